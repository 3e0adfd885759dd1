"""What is written beside a trained autoencoder or base: its figures and its card."""

import json
from pathlib import Path

from scribblegen import __version__
from scribblegen.cards.models import render_small_model_card
from scribblegen.configs import to_dict, without_paths
from scribblegen.trainers.base.config import TrainingConfig

METRICS_FILE = "metrics.json"


def write_figures(
    kind: str, folder: Path, config: TrainingConfig, metrics: dict[str, float]
) -> None:
    """Writes `metrics.json` and the card of a `kind` of `render_small_model_card`."""
    (folder / METRICS_FILE).write_text(json.dumps(metrics, indent=1) + "\n", "utf-8")
    card = render_small_model_card(
        kind,
        without_paths(to_dict(config)),
        metrics,
        name=folder.resolve().name,
        version=__version__,
    )
    (folder / "README.md").write_text(card, "utf-8")
