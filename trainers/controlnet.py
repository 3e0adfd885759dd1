"""Trains a ControlNet on scribbles, over a frozen pipeline.

    accelerate launch -m scribblegen.trainers.controlnet --config train.yaml

An optimiser step is the same sum over the same draws whatever the batch size, the accumulation and
the number of processes. So a run resumes to what it would have been, and a larger machine changes
nothing but rounding.
"""

import contextlib
import logging
import math
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from tqdm import tqdm

from scribblegen import __version__
from scribblegen.cards.render_controlnet import render_controlnet_card
from scribblegen.configs import to_dict, without_paths
from scribblegen.controlnet_record import (
    ControlNetRecord,
    check_record,
    read_record,
    write_record,
)
from scribblegen.pretrained import load_base, load_controlnet
from scribblegen.sources import Source
from scribblegen.trainers.checkpoints import checkpoints
from scribblegen.trainers.controlnet_calls import Call, Calls
from scribblegen.trainers.controlnet_config import ControlNetConfig, TrainingRunConfig
from scribblegen.trainers.controlnet_data import Examples, Plan
from scribblegen.trainers.controlnet_state import TrainingState, training_identity
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
        self.is_main = self.accelerator.is_main_process
        self.base_parts = base_parts
        dtype = _DTYPES[config.mixed_precision]
        self.base = FrozenBase(base_parts, self.accelerator.device, dtype)
        self.examples = Examples(
            source, self.base.resolution(config.resolution), config.prompt_mode, config.prompt_stem
        )
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
        self.calls = Calls(
            self.plan,
            self.examples,
            self.base,
            config,
            num_workers=run_config.dataloader_num_workers,
            rank=self.accelerator.process_index,
            world=self.accelerator.num_processes,
        )
        self._build()

    def train(self) -> Path:
        """Trains to the end; returns the folder of the ControlNet.

        Raises:
            FloatingPointError: the loss is not a number; the last good checkpoint is kept.
            ValueError: the checkpoint to resume from belongs to another config or source.
        """
        if self.run_config.report_to:
            self.accelerator.init_trackers("scribblegen-controlnet", to_dict(self.config))
        done = self.state.resume(
            self.output_dir, self.run_config.resume_from_checkpoint, self.identity
        )
        if self.ema is not None:
            self.ema.to(self.accelerator.device)
        bar = tqdm(total=self.total_steps, initial=done, desc="train", unit="step",
                   disable=not self.is_main)  # fmt: skip
        for step, calls in self.calls.steps(done, self.total_steps):
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
        parts = {"optimizer": self.optimiser, "scheduler": self.lr_scheduler, "ema": self.ema,
                 "scaler": self.accelerator.scaler}  # fmt: skip
        present = {name: part for name, part in parts.items() if part is not None}
        self.state = TrainingState(self._unwrapped(), present)
        self.identity = training_identity(config, self.plan.step_size, self.source.fingerprint())

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
        norm = self.accelerator.clip_grad_norm_(self.trained, self.config.max_grad_norm)
        # A gradient scaler skips steps that overflow by itself.
        if not math.isfinite(value) or not (self.accelerator.scaler or torch.isfinite(norm)):
            kept = checkpoints(self.output_dir)
            raise FloatingPointError(
                f"the loss is {value} and its gradient's norm {float(norm)} at step {step}. The "
                f"last good checkpoint is {kept[-1].name if kept else 'none yet'}. Lower "
                "`learning_rate`, or use `mixed_precision` no or bf16."
            )
        self.optimiser.step()
        self.lr_scheduler.step()
        self.optimiser.zero_grad(set_to_none=True)
        if self.ema is not None:
            self.ema.step(self.trained)
        return value

    def _after_step(self, step: int, loss: float) -> None:
        run = self.run_config
        rate = self.lr_scheduler.get_last_lr()[0]
        self.accelerator.log({"loss": loss, "learning_rate": rate}, step=step)
        if self.is_main and step % run.logging_steps == 0:
            logger.info("step %d: loss %.4f, learning rate %.2e", step, loss, rate)
        if step % run.checkpointing_steps == 0:
            self.accelerator.wait_for_everyone()
            if self.is_main:
                self.state.save(
                    self.output_dir,
                    step,
                    self.identity,
                    self._record(),
                    run.checkpoints_total_limit,
                )
        if run.validation_steps and step % run.validation_steps == 0 and self.is_main:
            self._save_picture(self.output_dir / "validation" / f"step-{step}.png")

    def _record(self) -> ControlNetRecord:
        return training_record(self._unwrapped(), self.source.classes, self.config)

    def _save_result(self) -> None:
        if self.ema is not None:
            self.ema.store(self.trained)
            self.ema.copy_to(self.trained)
        controlnet = self._unwrapped().controlnet
        write_record(controlnet, self._record())
        controlnet.save_pretrained(self.output_dir)
        self._save_picture(self.output_dir / "validation.png")
        (self.output_dir / "README.md").write_text(self._card(), "utf-8")
        if self.ema is not None:
            self.ema.restore(self.trained)

    def _card(self) -> str:
        options = without_paths(to_dict(self.config))
        controlnet = self._unwrapped().controlnet
        return render_controlnet_card(
            read_record(controlnet),
            options,
            name=self.output_dir.resolve().name,
            base=options["pretrained_model_name_or_path"] or "PIPELINE",
            channels=controlnet.config.conditioning_channels,
            steps=self.total_steps,
            step_size=self.plan.step_size,
            version=__version__,
        )

    def _save_picture(self, path: Path) -> None:
        controlnet = self._unwrapped().controlnet
        write_record(controlnet, self._record())
        picture = validation_picture(
            self.base_parts,
            controlnet,
            self.source,
            self.config,
            resolution=self.examples.resolution,
            num_images=self.run_config.num_validation_images,
            device=self.accelerator.device,
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture)


if __name__ == "__main__":
    # The command line stands above the trainers: it opens the source, which they may not.
    import importlib
    import sys

    importlib.import_module("scribblegen.cli").main(["train-controlnet", *sys.argv[1:]])
