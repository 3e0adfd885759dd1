"""The figures of a study: a table, a CSV, and the paper's first picture, mean IoU over fraction."""

import csv
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_BASELINE = "real"
_CLASS_COLUMN = "eval_iou_"
_COLUMNS = (
    "arm",
    "variant",
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
        results: one for every segmentor: `arm`, `variant`, `fraction`, `fold`, `seed`,
            `photographs` and what was measured.
        arms: names of the arms, in the order of the table.
        asked: how many segmentors the study trains; where more than `results`, the table says so.

    Returns:
        The Markdown table; that of each class stands in `results.md` alone.
    """
    kept = [
        {key: result[key] for key in (*_COLUMNS, *_class_columns(results))} for result in results
    ]
    (folder / "results.json").write_text(json.dumps(kept, indent=1) + "\n", "utf-8")
    with open(folder / "results.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, kept[0])
        writer.writeheader()
        writer.writerows(kept)
    table, missing = study_table(kept, arms), ""
    if len(results) < asked:
        missing = f"\n\n{len(results)} of {asked} segmentors are trained so far."
    tables = f"{table}\n\n{class_table(kept, arms)}{missing}\n"
    (folder / "results.md").write_text(tables, "utf-8")
    try:
        _plot(kept, arms, folder / "results.png")
    except ModuleNotFoundError:
        (folder / "results.png").unlink(missing_ok=True)  # of other figures
    return table + missing


def study_table(results: list[dict[str, Any]], arms: Sequence[str]) -> str:
    """Mean IoU in percent, mean and standard deviation over seeds; arms in rows.

    Of a seed it is the mean over its folds. Behind it the mean difference to the scribbles alone,
    seed by seed, with its standard deviation. Where the source has variants, a table for every
    fraction: variants in rows, arms in columns, their mean and the worst of them below.
    """
    fractions = sorted({r["fraction"] for r in results}, reverse=True)
    sizes = {r["fraction"]: f"{r['photographs']} photographs" for r in results}
    if len(_variants(results)) > 1:
        tables = [
            _variant_table(results, arms, fraction, sizes[fraction]) for fraction in fractions
        ]
        return "\n\n".join(tables)
    rows = [
        [arm, *(_compared(_measured(results, arm, f), _base(results, arm, f)) for f in fractions)]
        for arm in arms
    ]
    return _markdown(["", *(sizes[f] for f in fractions)], rows)


def class_table(results: list[dict[str, Any]], arms: Sequence[str]) -> str:
    """IoU of each class in percent at the largest fraction, mean over seeds, folds and variants."""
    largest = max(r["fraction"] for r in results)
    rows = []
    for column in _class_columns(results):
        row = [column.removeprefix(_CLASS_COLUMN)]
        for arm in arms:
            values = [
                r[column]
                for r in results
                if (r["arm"], r["fraction"]) == (arm, largest) and r.get(column) is not None
            ]
            row.append(f"{100 * statistics.mean(values):.1f}" if values else "")
        rows.append(row)
    return _markdown(["IoU of", *arms], rows)


def _class_columns(results: list[dict[str, Any]]) -> list[str]:
    """Of the classes that every result has; a class that a test split lacks has none there."""
    return [c for c in results[0] if c.startswith(_CLASS_COLUMN) and all(c in r for r in results)]


def _variant_table(
    results: list[dict[str, Any]], arms: Sequence[str], fraction: float, heading: str
) -> str:
    rows: list[list[str]] = []
    means: dict[str, list[float]] = {arm: [] for arm in arms}
    for variant in _variants(results):
        row = [variant]
        for arm in arms:
            values = _measured(results, arm, fraction, variant)
            row.append(_compared(values, _base(results, arm, fraction, variant)))
            means[arm] += [statistics.mean(_by_seed(values))] if values else []
        rows.append(row)
    for name, of in (("mean", statistics.mean), ("worst", min)):
        rows.append([name, *(f"{of(found):.1f}" if found else "" for found in means.values())])
    return _markdown([heading, *arms], rows)


def _markdown(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["".join(f"| {cell} " if cell else "| " for cell in c) + "|" for c in (heading, *rows)]
    return "\n".join([lines[0], "|---" * len(heading) + "|", *lines[1:]])


def _variants(results: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(r["variant"] for r in results))


Measured = dict[tuple[int, str], float]  # seed and fold -> mean IoU in percent


def _measured(
    results: list[dict[str, Any]], arm: str, fraction: float, variant: str | None = None
) -> Measured:
    chosen = [
        r
        for r in results
        if (r["arm"], r["fraction"]) == (arm, fraction) and variant in (None, r["variant"])
    ]
    return {(r["seed"], r["fold"]): 100 * r["eval_mean_iou"] for r in chosen}


def _base(
    results: list[dict[str, Any]], arm: str, fraction: float, variant: str | None = None
) -> Measured:
    """Of the arm that an arm is compared with; the first one is with none."""
    return {} if arm == _BASELINE else _measured(results, _BASELINE, fraction, variant)


def _compared(values: Measured, base: Measured) -> str:
    paired = _by_seed({key: values[key] - base[key] for key in values if key in base})
    cell = _spread(_by_seed(values))
    return f"{cell} ({_spread(paired, '+')})" if paired else cell


def _by_seed(values: Measured) -> list[float]:
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

    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    variants, fractions = _variants(results), sorted({r["fraction"] for r in results})
    sizes = {r["fraction"]: r["photographs"] for r in results}
    if len(variants) > 1:  # of the largest fraction
        found = [(variant, fractions[-1]) for variant in variants]
        places = list(range(len(found)))
        axes.set_xticks(places, variants, rotation=30, ha="right")
        axes.set_xlabel(f"strokes of {sizes[fractions[-1]]} photographs")
    else:
        found = [(variants[0], fraction) for fraction in fractions]
        places = [sizes[f] for f in fractions]
        axes.set_xscale("log", base=2)
        axes.set_xticks(places, [str(place) for place in places])
        axes.set_xlabel("photographs with scribbles")
    for number, arm in enumerate(arms):
        values = [_by_seed(_measured(results, arm, f, variant)) for variant, f in found]
        shown = [(place, v) for place, v in zip(places, values, strict=True) if v]
        style = {"real": "k-", "masks": "k--"}.get(arm, "-")  # black: no twins
        if not shown:
            continue
        color = None if arm in ("real", "masks") else f"C{number % 10}"
        axes.errorbar(
            [place for place, _ in shown],
            [statistics.mean(v) for _, v in shown],
            [statistics.stdev(v) if len(v) > 1 else 0 for _, v in shown],
            fmt=style,
            capsize=2,
            label=arm,
            color=color,
        )
    axes.set_ylabel("mean IoU, %")
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
