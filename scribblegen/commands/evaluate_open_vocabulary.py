"""`scribblegen evaluate-open-vocabulary`: a segmentor of any words -> IoU of classes."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def evaluate_open_vocabulary(arguments: Sequence[str]) -> None:
    """`scribblegen evaluate-open-vocabulary --model FOLDER --source ...`."""
    from scribblegen.builders.sources import PHOTOGRAPHS, open_source
    from scribblegen.configs import parse_configs
    from scribblegen.trainers.open_vocabulary.evaluation import (
        EvaluationConfig,
        evaluate,
        evaluation_of,
    )

    source_config, config = parse_configs(
        (PHOTOGRAPHS, EvaluationConfig),
        arguments,
        program="scribblegen evaluate-open-vocabulary",
        description="How well a segmentor of any words finds the classes of photographs.",
    )
    if config.model is None:
        raise ValueError("`model` must be given: what `scribblegen train-open-vocabulary` made.")
    source = open_source(source_config)
    assert source is not None  # the training split is always there
    evaluation = evaluation_of(config, source.classes.names)

    from scribblegen.trainers.open_vocabulary.opening import open_segmentor

    measured = evaluate(open_segmentor(config.model), source, evaluation, progress_bar=True)
    print(_table(measured))
    if config.output_dir is not None:
        folder = Path(config.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(_without_nan(measured), indent=1, ensure_ascii=False) + "\n"
        (folder / "metrics.json").write_text(text, "utf-8")
        print(folder / "metrics.json")


def _table(measured: dict[str, Any]) -> str:
    figures = {name: value for name, value in measured.items() if isinstance(value, float)}
    ious = {f"IoU {name}": value for name, value in measured["iou"].items()}
    lines = [f"{name:<32} {value:.4f}" for name, value in {**ious, **figures}.items()]
    counted = f"{measured['images']} images, {len(measured['rejected'])} rejected"
    told = [f"  {source_id}: {reason}" for source_id, reason in measured["rejected"].items()]
    return "\n".join([*lines, counted, *told])


def _without_nan(value: Any) -> Any:
    """JSON knows no NaN."""
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
