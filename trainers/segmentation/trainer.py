"""Trains a segmentor on photographs with scribbles and their twins."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel, Trainer
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from scribblegen.classes import IGNORE_INDEX
from scribblegen.trainers.segmentation.adaptive import agreement, choose_stage
from scribblegen.trainers.segmentation.config import SegmentationConfig
from scribblegen.trainers.segmentation.confusion import confusion_matrix, scores
from scribblegen.trainers.segmentation.data import SchemeSampler, as_pixels
from scribblegen.trainers.segmentation.losses import (
    absent_class_loss,
    dense_crf_loss,
    gated_crf_loss,
    partial_cross_entropy,
)
from scribblegen.trainers.segmentation.models import head_parameters

_AUXILIARY_WEIGHT = 0.4  # of UperNet's and DPT's second head, as in their own losses
_MEASUREMENTS = 20  # of a whole training, by the adaptive scheme
_SAMPLER_FILE = "sampler.json"


class SegmentationTrainer(Trainer):
    """The Trainer of transformers for labels on few pixels.

    What it mends (transformers 5): weights that resuming and `load_best_model_at_end` lose, losses
    that grow with gradient accumulation, batches without a label, maps of different sizes in
    evaluation.

    Args:
        model: from `open_model`.
        args: the config.
        sampler: of the views.
        mean, std: of the network's input, for values in [0, 1].
        **options: of `Trainer`: `train_dataset` (`Views`), `eval_dataset` (`WholeImages`), ...
    """

    optimizer: Any

    def __init__(
        self,
        model: PreTrainedModel,
        args: SegmentationConfig,
        sampler: SchemeSampler | None = None,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        **options: Any,
    ) -> None:
        super().__init__(
            model=model,
            args=args,
            data_collator=_collated,
            compute_metrics=_summed_scores,
            **options,
        )
        self.config = args
        self.sampler = sampler
        self.inference = args.inference()
        self.loss_is_scaled_for_ga = True
        self._mean = torch.tensor(mean).view(1, 3, 1, 1) * 255
        self._std = torch.tensor(std).view(1, 3, 1, 1) * 255
        self._resumed: dict[str, Any] | None = None
        self._auxiliary: list[Tensor] = []
        if getattr(model, "auxiliary_head", None) is not None:
            model.auxiliary_head.register_forward_hook(
                lambda module, inputs, output: self._auxiliary.append(output)
            )

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The sum of the configured losses; cross-entropy over `num_items_in_batch` pixels."""
        labels, config = inputs["labels"], self.config
        self._auxiliary.clear()
        outputs = model(pixel_values=self._normalised(inputs["pixel_values"]))
        count = None
        if num_items_in_batch is not None:
            # Gradients are averaged over the processes, the count is of all of them.
            count = torch.as_tensor(num_items_in_batch) / self.accelerator.num_processes
        logits = _at_size(outputs.logits, labels)
        loss = partial_cross_entropy(logits, labels, count=count)
        for auxiliary in self._auxiliary:
            again = partial_cross_entropy(_at_size(auxiliary, labels), labels, count=count)
            loss = loss + _AUXILIARY_WEIGHT * again
        if config.divide_by_batch:
            loss = loss / len(labels)
        # The other losses are means over images: of one call among several.
        share = 1 / getattr(self, "current_gradient_accumulation_steps", 1)
        if config.absent_class_weight:
            loss = loss + share * config.absent_class_weight * absent_class_loss(logits, labels)
        if config.dense_crf_weight or config.gated_crf_weight:
            images = inputs["pixel_values"].float()
            if config.dense_crf_weight:
                loss = loss + share * config.dense_crf_weight * dense_crf_loss(
                    logits,
                    images,
                    inputs["inside"],
                    sigma_rgb=config.crf_sigma_rgb,
                    sigma_xy=config.crf_sigma_xy,
                    scale=config.crf_scale,
                )
            if config.gated_crf_weight:
                loss = loss + share * config.gated_crf_weight * gated_crf_loss(
                    logits, images, inputs["inside"]
                )
        return (loss, outputs) if return_outputs else loss

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """As the Trainer's, with a learning rate of its own for the head where configured."""
        if self.optimizer is None and self.config.head_learning_rate_factor != 1:
            backbone, head = head_parameters(self.model)
            kind, options = self.get_optimizer_cls_and_kwargs(self.args, self.model)
            rate = self.args.learning_rate
            groups = [
                {"params": backbone, "lr": rate},
                {"params": head, "lr": rate * self.config.head_learning_rate_factor},
            ]
            self.optimizer = kind(groups, weight_decay=self.args.weight_decay, **options)
        return super().create_optimizer(model)

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """A confusion matrix for every image, at its own size: nothing else is gathered."""
        inputs = self._prepare_inputs(inputs)
        matrices = []
        for pixels, label in zip(inputs["pixel_values"], inputs["labels"], strict=True):
            with self.compute_loss_context_manager():
                image = self._normalised(pixels[None])[0]
                found = self.inference.probabilities(model, image).argmax(dim=0)
            matrix = confusion_matrix(
                found.cpu().numpy(), label.cpu().numpy(), self.model.config.num_labels
            )
            matrices.append(torch.from_numpy(matrix.astype(np.int32)))  # kept for every image
        stacked = torch.stack(matrices).to(self.args.device)
        return None, stacked, torch.zeros(len(matrices), device=self.args.device)

    def _normalised(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) uint8 -> the network's input, float32."""
        return (pixels.float() - self._mean.to(pixels.device)) / self._std.to(pixels.device)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return self.sampler

    def _run_epoch(self, *args: Any, **options: Any) -> Any:
        # Said to the sampler itself: the loader's wrappers do not always pass it on.
        if self.sampler is not None:
            epoch = options["epoch"]
            self.sampler.set_epoch(epoch)
            if self.sampler.scheme.name == "adaptive":
                self.sampler.stage = self._stage(epoch)
        return super()._run_epoch(*args, **options)

    def _stage(self, epoch: int) -> int | None:
        """What the adaptive scheme draws from in this epoch."""
        if self._resumed is not None and self._resumed["epoch"] == epoch:
            return self._resumed["stage"]  # measured when the epoch began
        assert self.sampler is not None
        scheme = self.sampler.scheme
        if epoch % max(1, scheme.num_epochs // _MEASUREMENTS) and self.sampler.stage is not None:
            return self.sampler.stage
        views: Any = self.train_dataset
        device = self.args.device

        def read(row: int) -> tuple[Tensor, np.ndarray]:
            image, label = views.read(row)
            return self._normalised(as_pixels(image)[None].to(device))[0], label

        return choose_stage(
            scheme.twin_sets,
            scheme.num_real,
            partial(agreement, self.model, self.inference, read),
            self.config.adaptive_tolerance,
        )

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        if self.sampler is not None and self.args.should_save:
            name = f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
            folder = Path(self._get_output_dir(trial=trial)) / name
            folder.mkdir(parents=True, exist_ok=True)
            state = {"epoch": self.sampler.epoch, "stage": self.sampler.stage}
            (folder / _SAMPLER_FILE).write_text(json.dumps(state) + "\n", "utf-8")
        super()._save_checkpoint(model, trial)

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: Any) -> Tensor | None:
        if not batch_samples or "inside" not in batch_samples[0]:
            return None
        count = sum((batch["labels"] != IGNORE_INDEX).sum() for batch in batch_samples)
        return self.accelerator.reduce(torch.as_tensor(count).to(device), "sum")

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        _load_weights(self.model if model is None else model, resume_from_checkpoint)
        state = Path(resume_from_checkpoint) / _SAMPLER_FILE
        if self.sampler is not None and state.is_file():
            self._resumed = json.loads(state.read_text("utf-8"))
            self.sampler.stage = self._resumed["stage"]

    def _load_best_model(self) -> None:
        _load_weights(self.model, str(self.state.best_model_checkpoint))


def _collated(items: list[dict[str, Tensor]]) -> dict[str, Any]:
    """Views in one tensor each; whole images, of any sizes, in lists."""
    if "inside" in items[0]:
        return {key: torch.stack([item[key] for item in items]) for key in items[0]}
    return {key: [item[key] for item in items] for key in items[0]}


def _summed_scores(prediction: Any) -> dict[str, float]:
    found = scores(np.asarray(prediction.predictions).sum(axis=0, dtype=np.int64))
    return {key: value for key, value in found.items() if isinstance(value, float)}


def _at_size(logits: Tensor, labels: Tensor) -> Tensor:
    return F.interpolate(
        logits.float(), size=labels.shape[-2:], mode="bilinear", align_corners=False
    )


def _load_weights(model: Any, checkpoint: str | Path) -> None:
    """All weights of a checkpoint, by the loader that knows how it names them."""
    saved = type(model).from_pretrained(checkpoint, config=model.config, use_safetensors=True)
    model.load_state_dict(saved.state_dict(), strict=True)
