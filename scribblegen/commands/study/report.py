"""The figures of a study: a table, a CSV, and the paper's first picture, mean IoU over fraction."""

import csv
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_BASELINE = "real"
_COLUMNS = (
    "arm",
    "fraction",
    "fold",
    "seed",
    "photographs",
    "eval_mean_iou",
    "eval_mean_accuracy",
    "eval_overall_accuracy",
)


def write_report(
    folder: Path, results: list[dict[str, Any]], arms: Sequence[str], *, asked: int
) -> str:
    """Writes `results.json`, `.csv`, `.md` and, where matplotlib is installed, `.png`.

    Args:
        folder: where these files are written.
        results: one for every segmentor: `arm`, `fraction`, `fold`, `seed`, `photographs` and what
            was measured.
        arms: names of the arms, in the order of the table.
        asked: how many segmentors the study trains; where more than `results`, the table says so.

    Returns:
        The Markdown table.
    """
    kept = [{key: result[key] for key in _COLUMNS} for result in results]
    (folder / "results.json").write_text(json.dumps(kept, indent=1) + "\n", "utf-8")
    with open(folder / "results.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, kept[0])
        writer.writeheader()
        writer.writerows(kept)
    table = study_table(kept, arms)
    if len(results) < asked:
        table += f"\n\n{len(results)} of {asked} segmentors are trained so far."
    (folder / "results.md").write_text(table + "\n", "utf-8")
    try:
        _plot(kept, arms, folder / "results.png")
    except ModuleNotFoundError:
        (folder / "results.png").unlink(missing_ok=True)  # of other figures
    return table


def study_table(results: list[dict[str, Any]], arms: Sequence[str]) -> str:
    """Mean IoU in percent, mean and standard deviation over seeds; arms in rows.

    Of a seed it is the mean over its folds. Behind it the mean difference to the scribbles alone,
    seed by seed, with its standard deviation.
    """
    fractions = sorted({r["fraction"] for r in results}, reverse=True)
    sizes = {r["fraction"]: r["photographs"] for r in results}
    heading = [f"{sizes[f]} photographs" for f in fractions]
    lines = [f"| | {' | '.join(heading)} |", "|---" * (len(fractions) + 1) + "|"]
    for arm in arms:
        cells = []
        for fraction in fractions:
            values, base = (_measured(results, name, fraction) for name in (arm, _BASELINE))
            cell = _spread(_by_seed(values))
            paired = _by_seed({key: values[key] - base[key] for key in values if key in base})
            cells.append(
                f"{cell} ({_spread(paired, '+')})" if paired and arm != _BASELINE else cell
            )
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _measured(
    results: list[dict[str, Any]], arm: str, fraction: float
) -> dict[tuple[int, str], float]:
    """Seed and fold -> mean IoU in percent."""
    chosen = [r for r in results if (r["arm"], r["fraction"]) == (arm, fraction)]
    return {(r["seed"], r["fold"]): 100 * r["eval_mean_iou"] for r in chosen}


def _by_seed(values: dict[tuple[int, str], float]) -> list[float]:
    """The mean over the folds of each seed."""
    seeds = dict.fromkeys(seed for seed, _ in values)
    return [statistics.mean(v for key, v in values.items() if key[0] == seed) for seed in seeds]


def _spread(values: list[float], sign: str = "") -> str:
    if not values:
        return ""
    mean = f"{statistics.mean(values):{sign}.1f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.1f}"


def _plot(results: list[dict[str, Any]], arms: Sequence[str], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    fractions = sorted({r["fraction"] for r in results})
    sizes = {r["fraction"]: r["photographs"] for r in results}
    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for number, arm in enumerate(arms):
        values = [_by_seed(_measured(results, arm, f)) for f in fractions]
        shown = [(sizes[f], v) for f, v in zip(fractions, values, strict=True) if v]
        style = {"real": "k-", "masks": "k--"}.get(arm, "-")  # black: no twins
        if not shown:
            continue
        color = None if arm in ("real", "masks") else f"C{number % 10}"
        axes.errorbar(
            [size for size, _ in shown],
            [statistics.mean(v) for _, v in shown],
            [statistics.stdev(v) if len(v) > 1 else 0 for _, v in shown],
            fmt=style,
            capsize=2,
            label=arm,
            color=color,
        )
    axes.set_xscale("log", base=2)
    axes.set_xticks([sizes[f] for f in fractions], [str(sizes[f]) for f in fractions])
    axes.set_xlabel("photographs with scribbles")
    axes.set_ylabel("mean IoU, %")
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
