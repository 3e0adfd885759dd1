"""What counterfactual images, their losses and drawn words bring to a segmentor of any words.

    scribblegen train-clip --config tiny-clip --output_dir out/clip
    python -m tests.benchmarks.open_vocabulary_quality --clip out/clip --folder out/openvoc

Pairs of the shipped pipeline, of texts that never name two of the twelve classes of the scenes:
these are unseen. Every way trains from the same beginnings, over three seeds, and is measured on
scenes with exact masks, where all twelve are looked for. Takes up again what lies in `--folder`.
Writes `results/open_vocabulary_quality.json` and `.md`.
"""

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scribblegen.builders.config import ScenesConfig
from scribblegen.builders.scenes.kinds import SCENE_CLASSES
from scribblegen.builders.sources import open_source
from scribblegen.cli import main as scribblegen
from scribblegen.trainers.open_vocabulary.evaluation import Evaluation, evaluate
from scribblegen.trainers.open_vocabulary.opening import open_segmentor
from scribblegen.trainers.open_vocabulary.protocols import Protocol
from scribblegen.vocabulary_files import load_vocabulary
from tests.benchmarks.timing import RESULTS, environment, save

UNSEEN = ("balloon", "boat")
TESTED_ON = "30000:30200"
# Ways by name: options of `train-open-vocabulary --config tiny-open-vocabulary`.
WAYS: dict[str, list[str]] = {
    "no counterfactuals": ["--cf_loss", "none"],
    "cosine": ["--cf_loss", "cosine"],
    "text_anchored": ["--cf_loss", "text_anchored"],
    "infonce": ["--cf_loss", "infonce"],
    "dense": ["--cf_loss", "dense"],
    "text_anchored and dense": ["--cf_loss", "text_anchored", "dense"],
    "dense, 3 words an image": ["--cf_loss", "dense", "--words_per_image", "3"],
    "dense, related words too": ["--cf_loss", "dense", "--exclude_related", "False"],
}
FIGURES = ("mean_iou", "mean_iou_seen", "mean_iou_unseen", "harmonic_mean_iou")


def make_pairs(folder: Path, descriptions_per_class: int) -> str:
    """Texts of the seen words and their pairs; returns `REPO:subset`."""
    seen = [w for w in load_vocabulary("scenes").words if w.name not in UNSEEN]
    rows = [{"name": w.name, "synonyms": list(w.synonyms), "id": w.id} for w in seen]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "seen.json").write_text(json.dumps(rows), "utf-8")
    texts, pairs = folder / "texts", folder / "pairs"
    number = str(descriptions_per_class)
    scribblegen(
        ["describe", "--vocabulary", str(folder / "seen.json"), "--texts", "scenes"]
        + ["--descriptions_per_class", number, "--output_dir", str(texts)]
    )
    scribblegen(
        ["build", "--method", "magicseg", "--source", str(texts), "--guidance_scale", "2"]
        + ["--num_processes", "2", "--output_dir", str(pairs)]
    )
    return f"{pairs}:magicseg"


def measured(out: Path, pairs: str, clip: str, seed: int, options: Sequence[str]) -> dict[str, Any]:
    """Trains one way where that is not done, and measures it."""
    if not (out / "metrics.json").is_file():
        scribblegen(
            ["train-open-vocabulary", "--config", "tiny-open-vocabulary", "--synthetic", pairs]
            + ["--clip", clip, "--seed", str(seed), "--output_dir", str(out), *options]
        )
    source = open_source(ScenesConfig(ids=TESTED_ON, scene_size=64))
    assert source is not None  # the training split is always there
    unseen = tuple(SCENE_CLASSES.index(name) for name in UNSEEN)
    return evaluate(open_segmentor(str(out)), source, Evaluation(Protocol(SCENE_CLASSES), unseen))


def table(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """A line a way: percent, mean and deviation over seeds."""
    lines = ["| way | all | seen | unseen | harmonic |", "|---|---|---|---|---|"]
    for way, seeds in found.items():
        cells = []
        for name in FIGURES:
            values = [100 * each[name] for each in seeds]
            deviation = statistics.stdev(values) if len(values) > 1 else 0.0
            cells.append(f"{statistics.fmean(values):.1f} ± {deviation:.1f}")
        lines.append(f"| {way} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Trains, measures, and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--descriptions_per_class", type=int, default=60)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    options = parser.parse_args()
    folder = Path(options.folder)
    pairs = make_pairs(folder, options.descriptions_per_class)
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in options.ways}
    for seed in options.seeds:
        for way in options.ways:
            out = folder / f"{list(WAYS).index(way)}-{seed}"
            found[way].append(measured(out, pairs, options.clip, seed, WAYS[way]))
            print(table({w: each for w, each in found.items() if each}))
    save(
        "open_vocabulary_quality",
        {
            "environment": environment(),
            "descriptions_per_class": options.descriptions_per_class,
            "seeds": options.seeds,
            "unseen": UNSEEN,
            "ways": found,
        },
    )
    (RESULTS / "open_vocabulary_quality.md").write_text(table(found) + "\n", "utf-8")


if __name__ == "__main__":
    main()
