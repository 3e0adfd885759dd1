"""Trains a ControlNet on scribbles, over a frozen pipeline.

    accelerate launch -m scribblegen.trainers.controlnet --config train.yaml

An optimiser step is the same sum over the same draws whatever the batch size, the accumulation and
the number of processes. So a run resumes to what it would have been, and a larger machine changes
nothing but rounding.
"""

import contextlib
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from torch import Tensor
from tqdm import tqdm

from scribblegen.configs import differences, to_dict
from scribblegen.controlnet_record import check_record, read_record, write_record
from scribblegen.geometry import network_size
from scribblegen.pretrained import load_base, load_controlnet
from scribblegen.sources import Source
from scribblegen.trainers.checkpoints import (
    begin_checkpoint,
    checkpoints,
    find_checkpoint,
    finish_checkpoint,
    read_state,
)
from scribblegen.trainers.controlnet_config import ControlNetConfig, TrainingRunConfig
from scribblegen.trainers.controlnet_data import Draw, Example, Examples, Plan, batches
from scribblegen.trainers.controlnet_step import (
    FrozenBase,
    TrainableControlNet,
    batch_loss,
    new_controlnet,
    training_record,
)
from scribblegen.trainers.validation import validation_picture

logger = logging.getLogger(__name__)

_DTYPES = {"no": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
# What may differ between a run and its continuation: it changes no draw.
_FREE_OPTIONS = ("train_batch_size", "gradient_accumulation_steps", "gradient_checkpointing",
                 "cache_latents", "pretrained_model_name_or_path",
                 "controlnet_model_name_or_path")  # fmt: skip
_LENGTH_OPTIONS = ("max_train_steps", "num_train_epochs")


@dataclass(frozen=True, eq=False)
class Call:
    """One call of the networks: its batch, the latents where known, and the weight of its loss."""

    batch: list[tuple[Draw, Example]]
    latents: Tensor | None
    weight: float


class ControlNetTrainer:
    """One training run.

    Args:
        config: what is trained.
        run_config: where to, and how often.
        source: photographs with scribbles.
        base_parts: of the frozen pipeline, where they are in memory already.

    Raises:
        ValueError, OSError: something is missing or does not fit; the message names the option.
    """

    def __init__(
        self,
        config: ControlNetConfig,
        run_config: TrainingRunConfig,
        source: Source,
        *,
        base_parts: dict[str, Any] | None = None,
    ) -> None:
        if run_config.output_dir is None:
            raise ValueError("`output_dir` must be given: the folder of the trained ControlNet.")
        if base_parts is None:
            if config.pretrained_model_name_or_path is None:
                raise ValueError(
                    "`pretrained_model_name_or_path` must be given: the base pipeline."
                )
            base_parts = load_base(
                config.pretrained_model_name_or_path,
                revision=config.revision,
                variant=config.variant,
            )
        self.config, self.run_config, self.source = config, run_config, source
        self.output_dir = Path(run_config.output_dir)
        self.accelerator = Accelerator(
            mixed_precision=config.mixed_precision,
            cpu=not torch.cuda.is_available(),
            log_with=run_config.report_to,
            project_dir=self.output_dir,
        )
        self.base_parts = base_parts
        dtype = _DTYPES[config.mixed_precision]
        self.base = FrozenBase(base_parts, self.accelerator.device, dtype)
        self.examples = Examples(source, self._resolution(), config.prompt_mode, config.prompt_stem)
        self.plan = Plan(
            len(source),
            config.train_batch_size
            * config.gradient_accumulation_steps
            * self.accelerator.num_processes,
            config.seed,
        )
        self.total_steps = config.max_train_steps or (
            config.num_train_epochs * self.plan.steps_per_epoch
        )
        self._cache: dict[int, tuple[Example, Tensor]] = {}
        self._build()

    @property
    def is_main(self) -> bool:
        return bool(self.accelerator.is_main_process)

    def train(self) -> Path:
        """Trains to the end; returns the folder of the ControlNet.

        Raises:
            FloatingPointError: the loss is not a number; the last good checkpoint is kept.
            ValueError: the checkpoint to resume from belongs to another config or source.
        """
        if self.run_config.report_to:
            self.accelerator.init_trackers("scribblegen-controlnet", to_dict(self.config))
        done = self._resume()
        bar = tqdm(total=self.total_steps, initial=done, desc="train", unit="step",
                   disable=not self.is_main)  # fmt: skip
        for step, calls in self._steps(done):
            loss = self._optimise(step, calls)
            bar.update()
            bar.set_postfix(loss=f"{loss:.4f}")
            self._after_step(step + 1, loss)
        bar.close()
        self.accelerator.wait_for_everyone()
        if self.is_main:
            self._save_result()
        self.accelerator.wait_for_everyone()
        self.accelerator.end_training()
        return self.output_dir

    def _build(self) -> None:
        config, classes = self.config, self.source.classes
        if config.controlnet_model_name_or_path is None:
            controlnet = new_controlnet(self.base, classes, config)
        else:
            controlnet = load_controlnet(config.controlnet_model_name_or_path)
            check_record(read_record(controlnet), classes, config.hint_encoding)
        controlnet.train()
        if config.gradient_checkpointing:
            controlnet.enable_gradient_checkpointing()
            self.base.unet.enable_gradient_checkpointing()
        trainable = TrainableControlNet(controlnet, learned_null=config.null_hint == "learned")
        trained = [p for p in trainable.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(
            trained,
            lr=config.learning_rate,
            betas=(config.adam_beta1, config.adam_beta2),
            weight_decay=config.adam_weight_decay,
            eps=config.adam_epsilon,
        )
        self.lr_scheduler = get_scheduler(
            config.lr_scheduler,
            optimizer=optimiser,
            num_warmup_steps=config.lr_warmup_steps,
            num_training_steps=self.total_steps,
            num_cycles=config.lr_num_cycles,
            power=config.lr_power,
        )
        self.trainable, self.optimiser = self.accelerator.prepare(trainable, optimiser)
        self.trained = [p for p in self._unwrapped().parameters() if p.requires_grad]
        self.ema = None
        if config.use_ema:
            self.ema = EMAModel(self.trained, decay=config.ema_decay, use_ema_warmup=True)
            self.ema.to(self.accelerator.device)

    def _resolution(self) -> int:
        vae, unet = self.base.vae.config, self.base.unet.config
        scale = 2 ** (len(vae.block_out_channels) - 1)
        multiple = scale * 2 ** (len(unet.block_out_channels) - 1)
        resolution = self.config.resolution or int(unet.sample_size) * scale
        return network_size(1, 1, resolution=resolution, geometry="square", multiple=multiple)[0]

    def _unwrapped(self) -> TrainableControlNet:
        unwrapped: TrainableControlNet = self.accelerator.unwrap_model(self.trainable)
        return unwrapped

    def _optimise(self, step: int, calls: list[Call]) -> float:
        """One optimiser step; returns its mean loss over all processes."""
        mean_loss = torch.zeros((), device=self.accelerator.device)
        for number, call in enumerate(calls):
            # Gradients are exchanged once, with the last call.
            waits = number < len(calls) - 1
            with self.accelerator.no_sync(self.trainable) if waits else contextlib.nullcontext():
                with self.accelerator.autocast():
                    summed = batch_loss(
                        self.trainable,
                        self.base,
                        call.batch,
                        self.source.classes,
                        self.config,
                        call.latents,
                    )
                loss = call.weight * summed
                self.accelerator.backward(loss)
            mean_loss += loss.detach()
        value = float(self.accelerator.reduce(mean_loss, "mean"))
        if not math.isfinite(value):
            kept = checkpoints(self.output_dir)
            raise FloatingPointError(
                f"the loss is {value} at step {step}. The last good checkpoint is "
                f"{kept[-1].name if kept else 'none yet'}. Lower `learning_rate`, or use "
                "`mixed_precision` no or bf16."
            )
        self.accelerator.clip_grad_norm_(self.trained, self.config.max_grad_norm)
        self.optimiser.step()
        self.lr_scheduler.step()
        self.optimiser.zero_grad(set_to_none=True)
        if self.ema is not None:
            self.ema.step(self.trained)
        return value

    def _steps(self, first: int) -> Iterator[tuple[int, list[Call]]]:
        """(step, this process's calls of it) from step `first` on, read ahead epoch by epoch."""
        per_epoch = self.plan.steps_per_epoch
        while first < self.total_steps:
            end = min(self.total_steps, (first // per_epoch + 1) * per_epoch)
            planned = {step: self._planned(step) for step in range(first, end)}
            loaded = self._loaded([draws for calls in planned.values() for draws, _ in calls])
            for step, calls in planned.items():
                yield step, [Call(*next(loaded), weight) for _, weight in calls]
            first = end

    def _planned(self, step: int) -> list[tuple[list[Draw], float]]:
        """Draws of this process's calls, and the weight that makes their sum the step's mean."""
        draws = self.plan.step(step)
        size, world = self.config.train_batch_size, self.accelerator.num_processes
        mine = draws[self.accelerator.process_index :: world]
        if not mine:  # a short last step: take part in the exchange, add nothing
            return [(draws[:1], 0.0)]
        weight = world / len(draws)  # gradients are averaged over the processes
        return [(mine[i : i + size], weight) for i in range(0, len(mine), size)]

    def _loaded(
        self, plan: list[list[Draw]]
    ) -> Iterator[tuple[list[tuple[Draw, Example]], Tensor | None]]:
        """Examples of every list of draws, and their latents where these are kept."""
        if not self.config.cache_latents:
            for batch in batches(self.examples, plan, self.run_config.dataloader_num_workers):
                yield batch, None
            return
        for draws in plan:
            kept = [self._kept(draw.index) for draw in draws]
            batch = [(draw, example) for draw, (example, _) in zip(draws, kept, strict=True)]
            yield batch, torch.stack([latents for _, latents in kept], dim=1)

    def _kept(self, index: int) -> tuple[Example, Tensor]:
        """The example at `index` without its image, and its latents (2, C, h, w)."""
        if index not in self._cache:
            example = self.examples.example(index)
            latents = self.base.encode(example.image[None])[:, 0].cpu()
            self._cache[index] = replace(example, image=torch.empty(0)), latents
        return self._cache[index]

    def _after_step(self, step: int, loss: float) -> None:
        run = self.run_config
        rate = self.lr_scheduler.get_last_lr()[0]
        self.accelerator.log({"loss": loss, "learning_rate": rate}, step=step)
        if self.is_main and step % run.logging_steps == 0:
            logger.info("step %d: loss %.4f, learning rate %.2e", step, loss, rate)
        if step % run.checkpointing_steps == 0:
            self.accelerator.wait_for_everyone()
            if self.is_main:
                self._save_checkpoint(step)
        if run.validation_steps and step % run.validation_steps == 0 and self.is_main:
            self._save_picture(self.output_dir / "validation" / f"step-{step}.png")

    def _identity(self) -> dict[str, Any]:
        """What a checkpoint and the run that goes on from it must agree on."""
        options = {k: v for k, v in to_dict(self.config).items() if k not in _FREE_OPTIONS}
        if self.config.lr_scheduler.startswith("constant"):  # then a longer run is the same run
            options = {k: v for k, v in options.items() if k not in _LENGTH_OPTIONS}
        return {
            **options,
            "samples in a step": self.plan.step_size,
            "source files": self.source.fingerprint(),
        }

    def _save_checkpoint(self, step: int) -> None:
        partial = begin_checkpoint(self.output_dir, step)
        self._save_controlnet(partial / "controlnet")
        state = {
            "optimizer": self.optimiser.state_dict(),
            "scheduler": self.lr_scheduler.state_dict(),
        }
        if self.ema is not None:
            state["ema"] = self.ema.state_dict()
        if self.accelerator.scaler is not None:
            state["scaler"] = self.accelerator.scaler.state_dict()
        for name, part in state.items():
            torch.save(part, partial / f"{name}.bin")
        finish_checkpoint(
            partial,
            step,
            {"identity": self._identity()},
            self.run_config.checkpoints_total_limit,
        )

    def _resume(self) -> int:
        """Loads the checkpoint to go on from, if any; returns the steps already done."""
        found = find_checkpoint(self.output_dir, self.run_config.resume_from_checkpoint)
        if found is None:
            return 0
        state = read_state(found)
        changed = differences(state["identity"], self._identity())
        if changed:
            raise ValueError(
                f"`resume_from_checkpoint` {found.name} belongs to another run: "
                f"{'; '.join(changed)}. Use another `output_dir`."
            )
        controlnet = load_controlnet(str(found / "controlnet"))
        trainable = self._unwrapped()
        trainable.controlnet.load_state_dict(controlnet.state_dict())
        null_hint = read_record(controlnet).null_hint
        if null_hint is not None:
            trainable.null_hint.data.copy_(torch.tensor(null_hint))
        targets = {"optimizer": self.optimiser, "scheduler": self.lr_scheduler, "ema": self.ema,
                   "scaler": self.accelerator.scaler}  # fmt: skip
        for name, target in targets.items():
            if target is not None:
                # Written by this program, yet read as data alone.
                part = torch.load(found / f"{name}.bin", map_location="cpu", weights_only=True)
                target.load_state_dict(part)
        if self.ema is not None:
            self.ema.to(self.accelerator.device)
        return int(state["step"])

    def _save_controlnet(self, folder: Path) -> None:
        trainable = self._unwrapped()
        record = training_record(trainable, self.source.classes, self.config)
        write_record(trainable.controlnet, record)
        trainable.controlnet.save_pretrained(folder)

    def _save_result(self) -> None:
        if self.ema is not None:
            self.ema.store(self.trained)
            self.ema.copy_to(self.trained)
        self._save_controlnet(self.output_dir)
        self._save_picture(self.output_dir / "validation.png")
        if self.ema is not None:
            self.ema.restore(self.trained)

    def _save_picture(self, path: Path) -> None:
        trainable = self._unwrapped()
        write_record(
            trainable.controlnet, training_record(trainable, self.source.classes, self.config)
        )
        picture = validation_picture(
            self.base_parts,
            trainable.controlnet,
            self.source,
            self.config,
            resolution=self.examples.resolution,
            num_images=self.run_config.num_validation_images,
            device=self.accelerator.device,
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture)
