"""Trains a ControlNet on scribbles, over a frozen pipeline."""

from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel
from torch import Tensor, nn

from scribblegen import __version__
from scribblegen.cards.models import render_controlnet_card
from scribblegen.configs import to_dict, without_paths
from scribblegen.families.open import load_base, load_controlnet
from scribblegen.families.stable_diffusion.controlnet_record import (
    check_record,
    read_record,
    write_record,
)
from scribblegen.sources import Source
from scribblegen.trainers.base.attention import use_fast_attention
from scribblegen.trainers.base.trainer import DiffusionTrainer
from scribblegen.trainers.controlnet.batches import ControlNetBatch, ExampleLoader
from scribblegen.trainers.controlnet.config import ControlNetConfig, ControlNetRunConfig
from scribblegen.trainers.controlnet.examples import Examples
from scribblegen.trainers.controlnet.step import (
    FrozenBase,
    TrainableControlNet,
    batch_loss,
    new_controlnet,
    training_record,
)
from scribblegen.trainers.controlnet.validation import validation_picture

_DTYPES = {"no": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class ControlNetTrainer(DiffusionTrainer):
    """One training run of a ControlNet.

    Args:
        config: what is trained.
        run_config: where to, and how often.
        source: photographs with scribbles.
        base_parts: the parts of the frozen pipeline, where they are in memory already.

    Raises:
        ValueError, OSError: something is missing or does not fit; the message names the option.
    """

    project = "scribblegen-controlnet"
    config: ControlNetConfig
    run_config: ControlNetRunConfig
    source: Source

    def __init__(
        self,
        config: ControlNetConfig,
        run_config: ControlNetRunConfig,
        source: Source,
        *,
        base_parts: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(config, run_config, source)
        if base_parts is None:
            if config.pretrained_model_name_or_path is None:
                raise ValueError(
                    "`pretrained_model_name_or_path` must be given: the base pipeline."
                )
            base_parts = load_base(
                config.pretrained_model_name_or_path,
                revision=config.revision,
                variant=config.variant,
                option="pretrained_model_name_or_path",
            )
        self.base_parts = base_parts
        dtype = _DTYPES[config.mixed_precision]
        self.base = FrozenBase(base_parts, self.accelerator.device, dtype)
        self.resolution = self.base.resolution(config.resolution)
        self.trainable = self._trainable()
        loader = ExampleLoader(
            Examples(source, self.resolution, config),
            self.base,
            cache_latents=config.cache_latents,
            num_workers=run_config.dataloader_num_workers,
        )
        self._begin(self.trainable, loader.load, self._save_pictures)

    @property
    def controlnet(self) -> ControlNetModel:
        """What is trained, with the record of its training as far as it is."""
        record = training_record(self.trainable, self.source.classes, self.config)
        write_record(self.trainable.controlnet, record)
        return self.trainable.controlnet

    def _trainable(self) -> TrainableControlNet:
        config, classes = self.config, self.source.classes
        if config.controlnet_model_name_or_path is None:
            controlnet = new_controlnet(self.base, classes, config)
        else:
            controlnet = load_controlnet(
                config.controlnet_model_name_or_path, option="controlnet_model_name_or_path"
            )
            check_record(read_record(controlnet), classes, config.conditioning_encoding)
        if config.gradient_checkpointing:
            controlnet.enable_gradient_checkpointing()
            self.base.family.unet.enable_gradient_checkpointing()
        if config.mixed_precision == "bf16":
            use_fast_attention(controlnet, self.accelerator.device)
            use_fast_attention(self.base.family.unet, self.accelerator.device)
        return TrainableControlNet(controlnet, learned_null=config.null_conditioning == "learned")

    def _loss(self, trainable: nn.Module, batch: ControlNetBatch) -> Tensor:
        return batch_loss(
            trainable, self.base, batch.examples, self.source.classes, self.config, batch.latents
        )

    def _save_weights(self, folder: Path) -> None:
        self.controlnet.save_pretrained(folder / "controlnet")

    def _load_weights(self, folder: Path) -> None:
        saved = load_controlnet(str(folder / "controlnet"), option="resume_from_checkpoint")
        self.trainable.controlnet.load_state_dict(saved.state_dict())
        null_conditioning = read_record(saved).null_conditioning
        if null_conditioning is not None:
            self.trainable.null_conditioning.data.copy_(torch.tensor(null_conditioning))

    def _save_pictures(self, step: int, loss: float) -> None:
        every = self.run_config.validation_steps
        if every and step % every == 0:
            self._save_picture(self.output_dir / "validation" / f"step-{step}.png")

    def _save_result(self) -> None:
        self.controlnet.save_pretrained(self.output_dir)
        self._save_picture(self.output_dir / "validation.png")
        (self.output_dir / "README.md").write_text(self._card(), "utf-8")

    def _card(self) -> str:
        options = without_paths(to_dict(self.config))
        return render_controlnet_card(
            read_record(self.controlnet),
            options,
            name=self.output_dir.resolve().name,
            base=options["pretrained_model_name_or_path"] or "PIPELINE",
            channels=self.controlnet.config.conditioning_channels,
            steps=self.training.total_steps,
            step_size=self.training.step_size,
            version=__version__,
        )

    def _save_picture(self, path: Path) -> None:
        picture = validation_picture(
            self.base_parts,
            self.controlnet,
            self.source,
            self.config,
            resolution=self.resolution,
            num_images=self.run_config.num_validation_images,
            device=self.accelerator.device,
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture)
