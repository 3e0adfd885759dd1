"""Are wrong masks found by segmentors that were not shown them? Scenes with planted wrong ones.

    python -m tests.benchmarks.pruning_quality

Scenes with their exact masks are written as a subset, but a share of them has the mask of another
scene. `scribblegen prune` then drops as many rows as are wrong. Chance would put planted rows at an
area under the curve of 0.5, and their own share among the dropped. Writes
`results/pruning_quality.json`.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from scribblegen.builders.config import ScenesConfig
from scribblegen.builders.repository import write_repository
from scribblegen.builders.sources import open_source
from scribblegen.commands.prune import prune
from scribblegen.methods.photographs import Photographs
from scribblegen.methods.photographs_config import PhotographsMethodConfig
from scribblegen.records import DEFAULT_SUBSET, Sample
from scribblegen.runs.config import OutputConfig
from scribblegen.runs.loop import synthesize
from scribblegen.runs.manifest import MANIFEST
from scribblegen.runs.open import open_run
from scribblegen.seeds import numpy_generator
from scribblegen.segmenting.quality import verdicts
from scribblegen.segmenting.quality_files import HELD_OUT_SCORES, read_qualities
from scribblegen.sources import PhotographSource, Source
from tests.benchmarks.timing import environment, save


class OthersMasks(PhotographSource):
    """Scenes, some with the mask of another.

    Args:
        source: of scenes with masks as their labels.
        mask_of: the position of the scene whose mask each has.
    """

    def __init__(self, source: Source[Sample], mask_of: Sequence[int]) -> None:
        super().__init__(source.classes, source.source_ids)
        self.source, self.mask_of = source, mask_of

    def load(self, index: int) -> Sample:
        label = self.source.load(self.mask_of[index]).scribble
        return replace(self.source.load(index), scribble=label, mask=None)

    def content_keys(self) -> list[str]:
        return [*self.source.content_keys(), *map(str, self.mask_of)]


def auroc(scores: Sequence[float], positive: Sequence[bool]) -> float:
    """The share of pairs, one positive and one not, that scores put in the right order."""
    values, is_positive = np.asarray(scores), np.asarray(positive, bool)
    differences = values[is_positive][:, None] - values[~is_positive][None]
    return float(((differences > 0) + 0.5 * (differences == 0)).mean())


def write_planted(folder: Path, *, scenes: int, size: int, share: float, seed: int) -> set[str]:
    """Writes the subset; returns the ids of the rows with another's mask."""
    source = open_source(ScenesConfig(ids=f"0:{scenes}", scene_size=size, scribbles="mask"))
    assert source is not None  # the training split is always there
    chosen = numpy_generator(seed, "planted").permutation(scenes)[: round(share * scenes)]
    mask_of = np.arange(scenes)
    mask_of[chosen] = np.roll(chosen, 1)
    planted = OthersMasks(source, mask_of.tolist())
    planted_ids = {source.source_ids[i] for i in chosen}
    method = Photographs(
        PhotographsMethodConfig(), source.classes, splits=["train"], image_format="webp"
    )
    options: dict[str, Any] = {"source": "scenes"}
    sources = {"train": planted}
    run = open_run("photographs", method, sources, OutputConfig(), folder, options=options)
    synthesize(run, finish=write_repository, progress_bar=False)
    return planted_ids


def pruning_quality(
    folder: Path,
    *,
    scenes: int = 240,
    size: int = 64,
    share: float = 0.2,
    folds: int = 3,
    steps: int = 400,
    seed: int = 0,
) -> dict[str, Any]:
    """Plants wrong masks, prunes, and says how many of them were found.

    Args:
        folder: empty; everything lies in it.
        scenes: how many.
        size: of a scene in pixels.
        share: of the scenes that have the mask of another.
        folds: parts of the rows.
        steps: of the training of each segmentor.
        seed: which scenes are planted.
    """
    repository, out = folder / "planted", folder / "kept"
    planted = write_planted(repository, scenes=scenes, size=size, share=share, seed=seed)
    started = time.perf_counter()
    prune(
        [f"{repository}:{DEFAULT_SUBSET}", "--folds", str(folds), "--fold_steps", str(steps)]
        + ["--keep", str(1 - share), "--output_dir", str(out)]
    )
    seconds = time.perf_counter() - started
    files = [folder / "kept-folds" / f"fold-{k + 1}" / HELD_OUT_SCORES for k in range(folds)]
    found = verdicts(read_qualities(files), keep=1 - share)
    is_planted = [source_id in planted for source_id in found]
    manifest = json.loads((out / MANIFEST).read_text("utf-8"))
    dropped = {r["source_id"] for unit in manifest["units"] for r in unit["rejections"]}
    ious = np.array([verdict.cv_iou for verdict in found.values()])
    return {
        "scenes": scenes,
        "planted": len(planted),
        "folds": folds,
        "steps": steps,
        "auroc of 1 - cv_iou": round(auroc(1 - ious, is_planted), 4),
        "auroc of 1 - rank": round(auroc([1 - v.rank for v in found.values()], is_planted), 4),
        "cv_iou of planted": round(float(ious[is_planted].mean()), 4),
        "cv_iou of others": round(float(ious[~np.array(is_planted)].mean()), 4),
        "dropped": len(dropped),
        "share of planted among the dropped": round(len(dropped & planted) / len(dropped), 4),
        "share of planted that is dropped": round(len(dropped & planted) / len(planted), 4),
        "seconds": round(seconds, 1),
    }


def main() -> None:
    """Runs it and saves what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=240)
    parser.add_argument("--size", type=int, default=64, help="of a scene in pixels")
    parser.add_argument("--share", type=float, default=0.2, help="of scenes with another's mask")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=400, help="of each training")
    parser.add_argument("--seed", type=int, default=0, help="which scenes are planted")
    options = vars(parser.parse_args())
    with tempfile.TemporaryDirectory() as folder:
        found = pruning_quality(Path(folder), **options)
    for name, value in found.items():
        print(f"{name:<36} {value}")
    save("pruning_quality", {"environment": environment(), "options": options, **found})


if __name__ == "__main__":
    main()
