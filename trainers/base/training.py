"""Optimiser steps with checkpoints: what every trainer of the project shares.

An optimiser step is the same sum over the same draws whatever the batch size, the accumulation and
the number of processes. So a run resumes to what it would have been, and a larger machine changes
nothing but rounding.
"""

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Generic

import torch
from accelerate import Accelerator
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from tqdm import tqdm

from scribblegen.configs import to_dict
from scribblegen.hub.models import publish_model
from scribblegen.trainers.base.checkpoints import checkpoints
from scribblegen.trainers.base.config import TrainingConfig, TrainingRunConfig
from scribblegen.trainers.base.plan import Batch, Call, Calls, Draw, Plan, Rows
from scribblegen.trainers.base.state import TrainingState, training_identity

logger = logging.getLogger(__name__)


def open_accelerator(config: TrainingConfig, run_config: TrainingRunConfig) -> Accelerator:
    """The processes and the precision of a training.

    Raises:
        ValueError: `output_dir` is missing.
    """
    if run_config.output_dir is None:
        raise ValueError("`output_dir` must be given: the folder of the trained model.")
    torch.backends.cuda.matmul.allow_tf32 = config.allow_tf32
    return Accelerator(
        mixed_precision=config.mixed_precision,
        cpu=not torch.cuda.is_available(),
        log_with=run_config.report_to,
        project_dir=run_config.output_dir,
    )


class Training(Generic[Batch]):
    """One run of the optimiser.

    Args:
        accelerator: from `open_accelerator`.
        config, run_config: what is trained; where to and how often.
        module: what is trained: its parameters that require a gradient.
        source: what it is trained on.
        load: gives the batches of many lists of draws, in their order; it may read ahead.
        loss: the loss of a call's batch, summed over its samples, by the module as prepared.
        save_weights, load_weights: write and read the weights of `module` in a checkpoint folder.
        groups: of AdamW, where parts of what is trained learn at rates of their own; they hold
            every parameter that requires a gradient.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        config: TrainingConfig,
        run_config: TrainingRunConfig,
        module: nn.Module,
        source: Rows,
        load: Callable[[list[list[Draw]]], Iterable[Batch]],
        loss: Callable[[nn.Module, Batch], Tensor],
        *,
        save_weights: Callable[[Path], None],
        load_weights: Callable[[Path], None],
        groups: list[dict[str, Any]] | None = None,
    ) -> None:
        self.accelerator, self.config, self.run_config = accelerator, config, run_config
        self.loss = loss
        self.step_size = (
            config.train_batch_size * config.gradient_accumulation_steps * accelerator.num_processes
        )
        plan = Plan(len(source), self.step_size, config.seed)
        self.calls = Calls(
            plan,
            load,
            batch_size=config.train_batch_size,
            rank=accelerator.process_index,
            world=accelerator.num_processes,
        )
        self.total_steps = config.total_steps(plan.steps_per_epoch)
        self.identity = training_identity(config, self.step_size, source.fingerprint())
        self.output_dir = Path(str(run_config.output_dir))
        self.seconds = 0.0  # of this process, since it began or resumed
        module.train()
        scale = self.step_size if config.scale_lr else 1
        for group in groups or ():
            group["lr"] *= scale
        learning = [p for p in module.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(
            groups or [{"params": learning}],
            lr=config.learning_rate * scale,
            betas=(config.adam_beta1, config.adam_beta2),
            weight_decay=config.adam_weight_decay,
            eps=config.adam_epsilon,
            fused=True,
        )
        self.lr_scheduler = get_scheduler(
            config.lr_scheduler,
            optimizer=optimiser,
            num_warmup_steps=config.lr_warmup_steps,
            num_training_steps=self.total_steps,
            num_cycles=config.lr_num_cycles,
            power=config.lr_power,
        )
        self.module, self.optimiser = accelerator.prepare(module, optimiser)
        self.trained = [
            p for p in accelerator.unwrap_model(self.module).parameters() if p.requires_grad
        ]
        self.ema = None
        if config.use_ema:
            self.ema = EMAModel(
                self.trained, decay=config.ema_decay, use_ema_warmup=True, foreach=True
            )
        parts = {
            "optimizer": self.optimiser,
            "scheduler": self.lr_scheduler,
            "ema": self.ema,
            "scaler": accelerator.scaler,
        }
        present = {name: part for name, part in parts.items() if part is not None}
        self.state = TrainingState(save_weights, load_weights, present)

    def run(self, name: str, after_step: Callable[[int, float], None] | None = None) -> None:
        """Trains to the end.

        Args:
            name: the project in the tracker.
            after_step: called on the main process with the steps done and the last loss.

        Raises:
            FloatingPointError: the loss is not a number; the last good checkpoint is kept.
            ValueError: the checkpoint to resume from belongs to another config or source.
        """
        accelerator = self.accelerator
        if self.run_config.report_to:
            accelerator.init_trackers(name, to_dict(self.config))
        done = self.state.resume(
            self.output_dir, self.run_config.resume_from_checkpoint, self.identity
        )
        if self.ema is not None:
            self.ema.to(accelerator.device)
        started = time.perf_counter()
        bar = tqdm(
            total=self.total_steps,
            initial=done,
            desc="train",
            unit="step",
            disable=not accelerator.is_main_process,
        )
        for step, calls in self.calls.steps(done, self.total_steps):
            loss = self._optimise(step, calls)
            bar.update()
            bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
            self._log_and_save(step + 1, loss)
            if after_step is not None and accelerator.is_main_process:
                after_step(step + 1, loss)
        bar.close()
        self.seconds = time.perf_counter() - started
        accelerator.wait_for_everyone()

    def figures(self) -> dict[str, float]:
        """What this run took: steps, samples, seconds, trained parameters."""
        return {
            "steps": self.total_steps,
            "samples": self.total_steps * self.step_size,
            "seconds": round(self.seconds),
            "parameters": sum(p.numel() for p in self.trained),
        }

    def finish(self, save_result: Callable[[], None]) -> Path:
        """Saves what was trained, publishes it if asked to, and returns its folder.

        Args:
            save_result: writes the model into the output folder; the weights are then the
                averaged ones, where an average is kept.
        """
        run = self.run_config
        if self.accelerator.is_main_process:
            with self._averaged():
                save_result()
            if run.push_to_hub:
                published = publish_model(
                    self.output_dir, run.hub_model_id, private=run.hub_private_repo
                )
                logger.info("published %s", published.address)
        self.accelerator.wait_for_everyone()
        self.accelerator.end_training()
        return self.output_dir

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        """The moving average of the weights in their place, where one is kept."""
        if self.ema is not None:
            self.ema.store(self.trained)
            self.ema.copy_to(self.trained)
        yield
        if self.ema is not None:
            self.ema.restore(self.trained)

    def _optimise(self, step: int, calls: list[Call[Batch]]) -> float:
        """One optimiser step; returns its mean loss over all processes."""
        mean_loss = torch.zeros((), device=self.accelerator.device)
        for number, call in enumerate(calls):
            # Gradients are exchanged once, with the last call.
            waits = number < len(calls) - 1
            with self.accelerator.no_sync(self.module) if waits else contextlib.nullcontext():
                with self.accelerator.autocast():
                    summed = self.loss(self.module, call.batch)
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

    def _log_and_save(self, step: int, loss: float) -> None:
        run = self.run_config
        rate = self.lr_scheduler.get_last_lr()[0]
        self.accelerator.log({"loss": loss, "learning_rate": rate}, step=step)
        if self.accelerator.is_main_process and step % run.logging_steps == 0:
            logger.info("step %d: loss %.4f, learning rate %.2e", step, loss, rate)
        if step % run.checkpointing_steps == 0:
            self.accelerator.wait_for_everyone()
            if self.accelerator.is_main_process:
                self.state.save(self.output_dir, step, self.identity, run.checkpoints_total_limit)
