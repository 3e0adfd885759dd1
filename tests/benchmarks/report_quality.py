"""`results/pipeline_quality.json` as Markdown tables and a plot.

pip install -e ".[report]"
python -m tests.benchmarks.report_quality
"""

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def consistency_table(rows: list[dict[str, Any]]) -> str:
    """One line per setting; pixels and classes as percentages."""
    lines = [
        "| images | null | guidance | encode ratio | pixels | class mean |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [row["images"], *(_number(row.get(k)) for k in ("null", *_SETTING))]
        lines.append(f"| {' | '.join(cells)} | {row['pixels']:.3f} | {row['classes']:.3f} |")
    return "\n".join(lines)


def spectrum_table(rows: list[dict[str, Any]]) -> str:
    """Distance, spread and Frechet distance of every cell."""
    lines = [
        "| images | guidance | encode ratio | distance | spread | Frechet |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        measured = [f"{row[k]:.3f}" if k in row else "" for k in ("distance", "spread", "frechet")]
        cells = [row["images"], *(_number(row.get(k)) for k in _SETTING), *measured]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


_SETTING = ("guidance_scale", "encode_ratio")


def _number(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else f"{value:g}"


def plot(result: dict[str, Any], path: Path) -> None:
    """Four panels over the encode ratio, a line for each guidance scale."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    consistency = [
        r for r in result["consistency"] if r.get("null") == "both" and r["images"] == "twins"
    ]
    twins = [r for r in result["spectrum"] if r["images"] == "twins"]
    panels = (
        ("distance to the source (L1)", twins, "distance"),
        ("spread over seeds (L1)", twins, "spread"),
        ("Frechet distance to real scenes", twins, "frechet"),
        ("class consistency (class mean)", consistency, "classes"),
    )
    figure, axes = pyplot.subplots(1, len(panels), figsize=(14, 3.2), layout="constrained")
    for axis, (title, rows, key) in zip(axes, panels, strict=True):
        for w in sorted({row["guidance_scale"] for row in rows}):
            line = [(r["encode_ratio"], r[key]) for r in rows if r["guidance_scale"] == w]
            axis.plot(*zip(*sorted(line), strict=True), marker="o", label=f"guidance {w:g}")
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("encode ratio")
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    figure.savefig(path, dpi=80)


def main() -> None:
    """The command."""
    result = json.loads((RESULTS / "pipeline_quality.json").read_text("utf-8"))
    print(consistency_table(result["consistency"]), end="\n\n")
    print(spectrum_table(result["spectrum"]), end="\n\n")
    print(json.dumps(result["text"], indent=1))
    plot(result, RESULTS / "pipeline_quality.png")


if __name__ == "__main__":
    main()
