"""The rectification module beside a segmentor in training: its weights, checkpoints, gradients.

The segmentor itself knows nothing of it: what is saved and shown to others is the same without.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel, TrainerCallback

from scribblegen.trainers.segmentation.features import deepest_features
from scribblegen.trainers.segmentation.pseudo_label_options import (
    PSEUDO_LABEL,
    PseudoLabelOptions,
)
from scribblegen.trainers.segmentation.rectification import (
    LocalizationRectification,
    at_features,
    foreground_at,
)

# In a folder of its own: a checkpoint is whole by the safetensors of its segmentor.
_FILE = Path("rectification") / "weights.safetensors"


class RectificationTraining:
    """The module and its loss, for one segmentor.

    Args:
        model: the segmentor, on its device; shown one black crop, to see what its features are.
        options: how the module is to be.
        crop_size: side of the training crop.
        seed: what the module's weights are drawn from; no other drawing is moved.

    Raises:
        ValueError: the segmentor has no features that can be laid out as a map.
    """

    def __init__(
        self, model: PreTrainedModel, options: PseudoLabelOptions, *, crop_size: int, seed: int
    ) -> None:
        self.options, self.model_config = options, model.config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.module = LocalizationRectification(
                _num_channels(model, crop_size),
                temperature=options.rectification_temperature,
                mask_background=options.rectification_mask_background,
            ).to(model.device)

    def loss(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """The weighed loss of one call, the mean over its features.

        Args:
            outputs: what the segmentor gave, with hidden states.
            batch: the entries of `Views`.
        """
        label = batch[PSEUDO_LABEL]
        features = deepest_features(outputs, label.shape[-2:], self.model_config)
        size = features.shape[-2:]
        resize = self.options.rectification_mask_resize
        padding = self.options.rectification_padding
        loss: Tensor = self.module(
            features,
            foreground_at(label, size, resize),
            None if padding else at_features(batch["inside"], size),
        )
        return self.options.rectification_weight * loss

    def parameters(self) -> Iterator[nn.Parameter]:
        """What an optimiser trains beside the segmentor."""
        return self.module.parameters()

    def save(self, checkpoint: Path) -> None:
        """Writes the module's weights into the folder of a checkpoint."""
        (checkpoint / _FILE).parent.mkdir(parents=True, exist_ok=True)
        weights = {name: value.contiguous() for name, value in self.module.state_dict().items()}
        save_file(weights, checkpoint / _FILE)

    def load(self, checkpoint: Path) -> None:
        """Reads the module's weights from the folder of a checkpoint.

        Raises:
            ValueError: they are not there, or of other features.
        """
        problem = "is not there"
        if (checkpoint / _FILE).is_file():
            try:
                self.module.load_state_dict(load_file(checkpoint / _FILE))
                return
            except RuntimeError as error:
                problem = f"does not fit: {error}"
        raise ValueError(
            f"`resume_from_checkpoint` {checkpoint}: {_FILE.as_posix()}, the weights of the "
            f"rectification module, {problem}. Take an earlier checkpoint of the same options."
        )


class RectificationGradients(TrainerCallback):
    """Clears the module's gradients before a step, and averages them over processes before it is
    taken: the Trainer does both for the segmentor alone."""

    def __init__(self, module: nn.Module, accelerator: Accelerator) -> None:
        self.module, self.accelerator = module, accelerator

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        """Called by the Trainer before the first call of an optimiser step."""
        self.module.zero_grad()

    def on_pre_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Called by the Trainer before an optimiser step."""
        if self.accelerator.num_processes == 1:
            return
        for parameter in self.module.parameters():
            # A process that saw no object has no gradient.
            own = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad = self.accelerator.reduce(own, "mean")


def _num_channels(model: PreTrainedModel, side: int) -> int:
    """Of the segmentor's deepest features; what it has learned is left as it is."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            black = torch.zeros(1, 3, side, side, device=model.device)
            outputs = model(pixel_values=black, output_hidden_states=True)
    finally:
        model.train(was_training)
    return deepest_features(outputs, (side, side), model.config).shape[1]
