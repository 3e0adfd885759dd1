"""All benchmarks of speed as one Markdown table, from their JSON files.

    python -m tests.benchmarks.report_engine

Writes `results/speed.md`. What was not measured is not in it.
"""

from collections.abc import Iterator
from typing import Any

from tests.benchmarks.timing import RESULTS, load

_FILES = (
    "engine_speed",
    "writing_speed",
    "segmentation_speed",
    "scale",
    "approximations",
    "gpu_speed",
)


def main() -> None:
    """The command."""
    lines = ["# Speed, measured", ""]
    for name in _FILES:
        path = RESULTS / f"{name}.json"
        if not path.is_file():
            continue
        measured = load(name)
        where = ", ".join(f"{k} {v}" for k, v in measured.pop("environment").items() if v)
        lines += [f"## `python -m tests.benchmarks.{name}`", "", where, ""]
        lines += ["| | | |", "|---|---|---|"]
        for title, result in measured.items():
            for key, value in _leaves(result):
                lines.append(f"| {title} | {key} | {value} |")
                title = ""
        lines.append("")
    (RESULTS / "speed.md").write_text("\n".join(lines), "utf-8")


def _leaves(result: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Rows of a table: what was measured, and the figure with its quartiles."""
    if isinstance(result, dict) and {"low", "median", "high"} <= set(result):
        yield _named(path), f"{result['median']:g} ({result['low']:g} to {result['high']:g})"
    elif isinstance(result, dict):
        for key, value in result.items():
            yield from _leaves(value, (*path, str(key).replace("_", " ")))
    elif isinstance(result, float):
        yield _named(path), f"{result:.4g}"
    elif isinstance(result, list):
        yield _named(path), ", ".join(map(str, result))
    elif result is not None:
        yield _named(path), str(result)


def _named(path: tuple[str, ...]) -> str:
    return ": ".join(path)


if __name__ == "__main__":
    main()
