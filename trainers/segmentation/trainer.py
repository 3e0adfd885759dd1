"""Trains a segmentor on photographs with scribbles and synthetic images."""

import json
from collections.abc import Sequence
from functools import partial, reduce
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, Trainer
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from scribblegen.classes import IGNORE_INDEX
from scribblegen.families.weights import restore_weights
from scribblegen.trainers.segmentation.adaptive import agreement, choose_stage
from scribblegen.trainers.segmentation.backbone_training import (
    freeze_batch_statistics,
    head_parameters,
    lay_out_for_speed,
)
from scribblegen.trainers.segmentation.config import SegmentationConfig
from scribblegen.trainers.segmentation.confusion import confusion_matrix, scores
from scribblegen.trainers.segmentation.losses import at_size_of, partial_cross_entropy
from scribblegen.trainers.segmentation.maps import LABEL
from scribblegen.trainers.segmentation.pseudo_label_options import PseudoLabelOptions
from scribblegen.trainers.segmentation.rectification_training import (
    RectificationGradients,
    RectificationTraining,
)
from scribblegen.trainers.segmentation.scribble_terms import scribble_terms
from scribblegen.trainers.segmentation.terms import num_counted, weighed_losses
from scribblegen.trainers.segmentation.training_terms import training_terms
from scribblegen.trainers.segmentation.views import SchemeSampler, as_pixels, collated
from scribblegen.trainers.segmentation.zero_shot_options import ZeroShotOptions

_AUXILIARY_WEIGHT = 0.4  # of UperNet's and DPT's second head, as in their own losses
_MEASUREMENTS = 20  # of a whole training, by the adaptive scheme
_SAMPLER_FILE = "sampler.json"


class SegmentationTrainer(Trainer):
    """The Trainer of transformers for labels on few pixels.

    What it mends (transformers 5): weights that resuming and `load_best_model_at_end` lose, losses
    that grow with gradient accumulation, batches without a label, maps of different sizes in
    evaluation. `trainer_hooks` names the parts of the Trainer that it needs for this.

    A method with a loss of its own overrides `segmentation_loss` alone.

    Args:
        model: from `open_model`.
        args: the options of the training.
        sampler: says which views an epoch shows; the Trainer's own order if None.
        mean, std: what the network's input is normalised by, for values in [0, 1].
        **options: other arguments of `Trainer`: `train_dataset` (`Views`), `eval_dataset`
            (`WholeImages`), ...
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
            data_collator=collated,
            compute_metrics=self._summed_scores,
            **options,
        )
        self.config = args
        self.unseen: tuple[int, ...] = ()  # classes that are reported apart
        if isinstance(args, ZeroShotOptions):
            self.unseen = args.unseen_ids(list(model.config.id2label.values()))
        self.sampler = sampler
        self.inference = args.inference()
        self.loss_is_scaled_for_ga = True
        if args.freeze_batch_norm:
            freeze_batch_statistics(model)
        lay_out_for_speed(model)
        self._mean = torch.tensor(mean).view(1, 3, 1, 1) * 255
        self._std = torch.tensor(std).view(1, 3, 1, 1) * 255
        self._resumed: dict[str, Any] | None = None
        self.terms = training_terms(args)
        self._term_counts: Tensor | None = None  # of this optimiser step, in all processes
        self.rectification: RectificationTraining | None = None
        if isinstance(args, PseudoLabelOptions) and args.rectification_weight:
            self.rectification = RectificationTraining(
                model, args, crop_size=args.crop_size, seed=args.seed
            )
            self.add_callback(RectificationGradients(self.rectification.module, self.accelerator))
        self.auxiliary_logits: list[Tensor] = []  # of the last call, by the heads that have some
        self.loss_values: dict[str, Tensor] = {}  # of the last call, by term, times their weights
        if getattr(model, "auxiliary_head", None) is not None:
            model.auxiliary_head.register_forward_hook(
                lambda module, inputs, output: self.auxiliary_logits.append(output)
            )

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """This call's part of the loss of an optimiser step: `segmentation_loss` over its calls.

        Args:
            model: the network, perhaps wrapped.
            inputs: the entries of a batch, see `Views`.
            return_outputs: return (loss, outputs of the model).
            num_items_in_batch: labelled pixels of the whole step, in all processes.
        """
        self.auxiliary_logits.clear()
        pixels = self._normalised(inputs["pixel_values"])
        if self.rectification is None:
            outputs = model(pixel_values=pixels)
        else:
            outputs = model(pixel_values=pixels, output_hidden_states=True)
        share, count, term_counts = 1.0, None, None
        if num_items_in_batch is not None:
            share = 1 / getattr(self, "current_gradient_accumulation_steps", 1)
            # Gradients are averaged over the processes, the count is of all of them.
            count = torch.as_tensor(num_items_in_batch) / self.accelerator.num_processes * share
            if self._term_counts is not None:
                term_counts = self._term_counts / self.accelerator.num_processes * share
        counts = {"num_labelled": count, "num_counted": term_counts}
        loss = share * self.segmentation_loss(outputs, {**inputs, **counts})
        return (loss, outputs) if return_outputs else loss

    def segmentation_loss(self, outputs: Any, batch: dict[str, Any]) -> Tensor:
        """The loss of one call: the one place where a method with its own loss says it.

        Here the sum of `loss_terms`. Optimiser steps of several calls take the mean of what this
        returns.

        Args:
            outputs: what the model gave; `logits` (B, K, h, w).
            batch: the entries of `Views`: `pixel_values` (B, 3, H, W) uint8, `labels` (B, H, W)
                int64, `inside` (B, H, W) bool and the other maps that were asked for. And
                `num_labelled`, the labelled pixels of an average call of this optimiser step: with
                it as divisor a sum over labelled pixels weighs each alike, in whatever call it is.
                None outside of training: then the call's own. `num_counted` is the same of
                each of `terms`.

        Returns:
            Scalar with a gradient.
        """
        terms = self.loss_terms(outputs, batch)
        self.loss_values = {name: term.detach() for name, term in terms.items()}
        return reduce(torch.add, terms.values())

    def loss_terms(self, outputs: Any, batch: dict[str, Any]) -> dict[str, Tensor]:
        """The configured losses times their weights, by name; arguments of `segmentation_loss`."""
        labels, count, config = batch["labels"], batch["num_labelled"], self.config
        logits = at_size_of(labels, outputs.logits)
        loss = partial_cross_entropy(logits, labels, count=count)
        for auxiliary in self.auxiliary_logits:
            again = partial_cross_entropy(at_size_of(labels, auxiliary), labels, count=count)
            loss = loss + _AUXILIARY_WEIGHT * again
        if config.divide_by_batch:
            loss = loss / len(labels)
        terms = {"cross_entropy": loss, **scribble_terms(config, logits, batch)}
        if self.terms:
            terms |= weighed_losses(self.terms, logits, batch, batch["num_counted"])
        if self.rectification is not None:
            terms["rectification"] = self.rectification.loss(outputs, batch)
        return terms

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """The Trainer's optimiser, with the head's own learning rate where one is configured, and
        the rectification module's weights where there is one."""
        is_new = self.optimizer is None
        if is_new and self.config.head_learning_rate_factor != 1:
            backbone, head = head_parameters(self.model)
            kind, options = self.get_optimizer_cls_and_kwargs(self.args, self.model)
            rate = self.args.learning_rate
            groups = [
                {"params": backbone, "lr": rate},
                {"params": head, "lr": rate * self.config.head_learning_rate_factor},
            ]
            self.optimizer = kind(groups, weight_decay=self.args.weight_decay, **options)
        optimizer = super().create_optimizer(model)
        if is_new and self.rectification is not None:
            own = list(self.rectification.parameters())
            optimizer.add_param_group({"params": own, "weight_decay": self.args.weight_decay})
        return optimizer

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
            read = views.read(row)
            return self._normalised(as_pixels(read["image"])[None].to(device))[0], read[LABEL]

        return choose_stage(
            scheme.twin_sets,
            scheme.num_real,
            partial(agreement, self.model, self.inference, read),
            self.config.adaptive_tolerance,
        )

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        name = f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        folder = Path(self._get_output_dir(trial=trial)) / name
        if self.rectification is not None and self.args.should_save:
            self.rectification.save(folder)
        if self.sampler is not None and self.args.should_save:
            folder.mkdir(parents=True, exist_ok=True)
            state = {"epoch": self.sampler.epoch, "stage": self.sampler.stage}
            (folder / _SAMPLER_FILE).write_text(json.dumps(state) + "\n", "utf-8")
        super()._save_checkpoint(model, trial)

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: Any) -> Tensor | None:
        if not batch_samples or "inside" not in batch_samples[0]:
            return None
        if self.terms:
            counted = num_counted(self.terms, batch_samples).to(device)
            self._term_counts = self.accelerator.reduce(counted, "sum")
        count = sum((batch["labels"] != IGNORE_INDEX).sum() for batch in batch_samples)
        return self.accelerator.reduce(torch.as_tensor(count).to(device), "sum")

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        model = self.model if model is None else model
        restore_weights(
            model, "resume_from_checkpoint", resume_from_checkpoint, config=model.config
        )
        if self.rectification is not None:
            self.rectification.load(Path(resume_from_checkpoint))
        state = Path(resume_from_checkpoint) / _SAMPLER_FILE
        if self.sampler is not None and state.is_file():
            self._resumed = json.loads(state.read_text("utf-8"))
            self.sampler.stage = self._resumed["stage"]

    def _load_best_model(self) -> None:
        best = str(self.state.best_model_checkpoint)
        restore_weights(self.model, "load_best_model_at_end", best, config=self.model.config)

    def _summed_scores(self, prediction: Any) -> dict[str, float]:
        matrix = np.asarray(prediction.predictions).sum(axis=0, dtype=np.int64)
        found = scores(matrix, self.unseen)
        return {key: value for key, value in found.items() if isinstance(value, float)}
