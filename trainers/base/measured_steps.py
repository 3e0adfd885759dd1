"""The first batch, a few steps and one image of a training: what they give, take and hold."""

import math
import sys
import time
from collections.abc import Callable
from itertools import islice
from typing import Any

import psutil
import torch
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback

_ENOUGH = 60.0  # seconds after which fewer steps will do
_QUICK = 5.0  # seconds in which an image is measured for a second time


def first_batch(trainer: Any) -> tuple[float, dict[str, float]]:
    """The loss of the first batch, and its terms times their weights; all are finite."""
    views = islice(trainer.sampler, trainer.args.train_batch_size)
    batch = trainer.data_collator([trainer.train_dataset[view] for view in views])
    batch = trainer._prepare_inputs(batch)
    trainer.model.train()
    with trainer.compute_loss_context_manager():
        loss = trainer.compute_loss(trainer.model, batch)
    found = {name: float(value) for name, value in trainer.loss_values.items()}
    total = float(loss.detach())
    wrong = [f"{name} is {value}" for name, value in found.items() if not math.isfinite(value)]
    if not wrong and not math.isfinite(total):
        wrong = [f"the loss is {total}"]
    if not wrong:
        loss.backward()
        bad = [
            name
            for name, p in trainer.model.named_parameters()
            if p.grad is not None and not torch.isfinite(p.grad).all()
        ]
        trainer.model.zero_grad()
        if bad and not trainer.args.fp16:  # which training scales, and what is here does not
            wrong = [f"the gradients of {len(bad)} weights are not finite, such as {bad[0]}"]
    if wrong:
        raise FloatingPointError(
            f"on the first batch {', '.join(wrong)}. Look at the weights of the losses and at "
            "what `model_name_or_path` holds; or use no `fp16`."
        )
    return total, found


class _Clock(TrainerCallback):
    """When every step ended, in seconds; ends the training early where that takes long."""

    def __init__(self, mean_over_processes: Callable[[float], float]) -> None:
        self.ends: list[float] = []
        self.mean = mean_over_processes

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if args.device.type != "cpu":
            torch.accelerator.synchronize()
        self.ends.append(time.perf_counter())
        # All processes stop at the same step.
        if len(self.ends) > 1 and self.mean(self.ends[-1] - self.ends[0]) > _ENOUGH:
            control.should_training_stop = True


def measured_steps(trainer: Any) -> list[float]:
    """Seconds of each of a few steps, but for the first."""

    def mean(seconds: float) -> float:
        own = torch.tensor(seconds, device=trainer.args.device)
        return float(trainer.accelerator.reduce(own, "mean"))

    clock = _Clock(mean)
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(clock)
    trainer.train()
    return [end - start for start, end in zip(clock.ends, clock.ends[1:], strict=False)]


def seconds_per_image(trainer: Any, images: Any | None) -> float | None:
    """Of the image in the middle, as it is measured; a second time where that is quick."""
    if images is None:
        return None
    trainer.model.eval()
    batch = trainer.data_collator([images[len(images) // 2]])
    for _ in range(2):
        start = time.perf_counter()
        trainer.prediction_step(trainer.model, batch, False)
        seconds = time.perf_counter() - start
        if seconds > _QUICK:
            break
    return seconds


def memory_of(device: torch.device) -> tuple[int, int]:
    """(peak, all) bytes of the GPU; of the process and its machine where there is none."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return torch.cuda.max_memory_allocated(device), properties.total_memory
    import resource  # not on every system

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024), psutil.virtual_memory().total
