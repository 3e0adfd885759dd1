"""How a training of a part of a diffusion pipeline opens and ends; what it trains is its own."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from scribblegen.trainers.base.config import TrainingConfig, TrainingRunConfig
from scribblegen.trainers.base.plan import Draw, Rows
from scribblegen.trainers.base.training import Training, open_accelerator


class DiffusionTrainer(ABC):
    """One training run: `train` is all that is called from outside.

    A trainer of its own opens what it needs in `__init__`, ends with `_begin`, and says how a
    batch's loss is taken and how weights and results are written.

    Args:
        config: what is trained.
        run_config: where to, and how often.
        source: what it is trained on.

    Raises:
        ValueError: `output_dir` is missing.
    """

    project: ClassVar[str]  # the name of such trainings in a tracker

    def __init__(self, config: TrainingConfig, run_config: TrainingRunConfig, source: Rows) -> None:
        self.config, self.run_config, self.source = config, run_config, source
        self.accelerator = open_accelerator(config, run_config)
        self.output_dir = Path(str(run_config.output_dir))

    def _begin(
        self,
        module: nn.Module,
        load: Callable[[list[list[Draw]]], Iterable[Any]],
        after_step: Callable[[int, float], None] | None = None,
        groups: list[dict[str, Any]] | None = None,
    ) -> None:
        """Makes ready to train `module` on the batches of `load`; see `Training` for all four."""
        self._after_step = after_step
        self.training: Training[Any] = Training(
            self.accelerator,
            self.config,
            self.run_config,
            module,
            self.source,
            load,
            self._loss,
            save_weights=self._save_weights,
            load_weights=self._load_weights,
            groups=groups,
        )

    def train(self) -> Path:
        """Trains to the end; returns the folder of what was trained.

        Raises:
            FloatingPointError, ValueError: see `Training.run`.
        """
        self.training.run(self.project, self._after_step)
        return self.training.finish(self._save_result)

    @abstractmethod
    def _loss(self, module: nn.Module, batch: Any) -> Tensor:
        """The loss of a batch, summed over its samples, by the module as prepared."""

    @abstractmethod
    def _save_weights(self, folder: Path) -> None:
        """Writes what is trained into a checkpoint's folder."""

    @abstractmethod
    def _load_weights(self, folder: Path) -> None:
        """Reads what `_save_weights` wrote."""

    @abstractmethod
    def _save_result(self) -> None:
        """Writes the finished model into the output folder."""
