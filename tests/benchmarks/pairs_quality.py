"""Do counterfactual images lack their words? MagicSeg's ways of making them, before a judge.

    python -m tests.benchmarks.pairs_quality [--descriptions_per_class 6] [--seeds 0 1 2]

Texts of the procedural scenes are drawn by the shipped pipeline with their words and without, in
every way that `build --method magicseg` has. A segmentor that was trained on the masks of other
scenes says whether the words are there. Writes `results/pairs_quality.json` and `.md`.
"""

import argparse
import math
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import load_dataset
from transformers import SegformerImageProcessor

from scribblegen.builders.scenes.kinds import SCENE_CLASSES
from scribblegen.cli import main as scribblegen
from tests.benchmarks.judge import train_judge
from tests.benchmarks.pruning_quality import auroc
from tests.benchmarks.timing import RESULTS, environment, save

# Ways by name: options of `build --method magicseg` beside guidance 2, the scenes' own.
WAYS: dict[str, dict[str, str]] = {
    "nothing": {},
    "nothing, independent noise": {"cf_noise": "independent"},
    "nothing, guidance 7.5": {"guidance_scale": "7.5"},
    "nothing, from the image at 0.7": {"cf_encode_ratio": "0.7"},
    "delete": {"cf_mode": "delete"},
    "hypernym": {"cf_mode": "hypernym"},
    "swap": {"cf_mode": "swap"},
    "negative prompt": {"cf_mode": "negative_prompt"},
}
_SEEN = 0.5  # the judge's probability from which a word is there


def save_judge(folder: Path, steps: int) -> dict[str, float]:
    """Trains a judge and saves it as `--agreement_model` reads it; returns how good it is."""
    judge, quality = train_judge(steps)
    judge.config.id2label = dict(enumerate(SCENE_CLASSES))
    judge.config.label2id = {name: i for i, name in enumerate(SCENE_CLASSES)}
    judge.save_pretrained(folder)
    half = (0.5, 0.5, 0.5)
    SegformerImageProcessor(
        image_mean=half, image_std=half, do_resize=False, do_reduce_labels=False
    ).save_pretrained(folder)
    return quality


def pairs(texts: Path, judge: Path, folder: Path, seed: int, options: Mapping[str, str]) -> Any:
    """Builds the pairs of some texts in one way; returns their rows."""
    told = {"guidance_scale": "2.0", **options, "seed": str(seed), "num_processes": "2"}
    flags = [word for name, value in told.items() for word in (f"--{name}", value)]
    arguments = ["--method", "magicseg", "--source", str(texts), *flags]
    out = ["--agreement_model", str(judge), "--output_dir", str(folder)]
    scribblegen(["build", *arguments, *out])
    columns = ["source_id", "cf_absent_score", "cf_passed", "scores"]
    return load_dataset(str(folder), "magicseg", split="train").select_columns(columns)


def measured(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """What the judge says of pairs.

    Returns:
        `pairs`; `presence` and `cf_presence`, the shares of images with the words; of the pairs
        whose image has them `gone`, the share whose counterfactual lacks them,
        `background_distance`, `auroc` of the absence test's score for these, `passed`, the share
        that passes it, and `gone_of_passed`.
    """
    has = [row for row in rows if row["scores"]["presence"] >= _SEEN]
    gone = [row["scores"]["cf_presence"] < _SEEN for row in has]
    passed = [lacks for row, lacks in zip(has, gone, strict=True) if row["cf_passed"]]
    apart = [row["scores"]["background_distance"] for row in has]
    both = 0 < sum(gone) < len(gone)
    return {
        "pairs": len(rows),
        "presence": len(has) / len(rows),
        "cf_presence": _mean([row["scores"]["cf_presence"] >= _SEEN for row in rows]),
        "gone": _mean(gone),
        "background_distance": _mean([value for value in apart if value is not None]),
        "auroc": auroc([row["cf_absent_score"] for row in has], gone) if both else math.nan,
        "passed": len(passed) / max(1, len(has)),
        "gone_of_passed": _mean(passed),
    }


def table(ways: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """A line a way: means over seeds, and their deviation."""
    columns = {
        "words in the image": "presence",
        "in the counterfactual": "cf_presence",
        "gone": "gone",
        "background distance": "background_distance",
        "AUROC of the test": "auroc",
        "passes": "passed",
        "gone, of those that pass": "gone_of_passed",
    }
    lines = [f"| way | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for way, seeds in ways.items():
        cells = [_spread([found[name] for found in seeds]) for name in columns.values()]
        lines.append(f"| {way} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _mean(values: Sequence[float]) -> float:
    return statistics.fmean(values) if values else math.nan


def _spread(values: Sequence[float]) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):.3f} ± {deviation:.3f}"


def main() -> None:
    """Measures, and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--descriptions_per_class", type=int, default=6)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--judge_steps", type=int, default=3000)
    parser.add_argument("--folder", help="where pairs are kept and taken up again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(options.folder or scratch)
        quality = save_judge(folder / "judge", options.judge_steps)
        found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for seed in options.seeds:
            texts = folder / f"texts-{seed}"
            number = str(options.descriptions_per_class)
            scribblegen(
                ["describe", "--descriptions_per_class", number, "--description_seed", str(seed)]
                + ["--output_dir", str(texts)]
            )
            for position, (way, told) in enumerate(WAYS.items()):
                rows = pairs(texts, folder / "judge", folder / f"{seed}-{position}", seed, told)
                found[way].append(measured(list(rows)))
    save(
        "pairs_quality",
        {
            "environment": environment(),
            "descriptions_per_class": options.descriptions_per_class,
            "seeds": options.seeds,
            "judge": quality,
            "ways": found,
        },
    )
    (RESULTS / "pairs_quality.md").write_text(table(found) + "\n", "utf-8")
    print(table(found))


if __name__ == "__main__":
    main()
