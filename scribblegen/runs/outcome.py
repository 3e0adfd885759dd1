"""What came of a run: a subset without a row is an error, one that is mostly rejected a warning."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scribblegen.methods.base import Subset
from scribblegen.runs.folder import RunError
from scribblegen.text_files import cut

_MOST_NAMED = 3  # subsets, and reasons


def check_not_empty(
    folder: Path, subsets: Sequence[Subset], units: Sequence[Mapping[str, Any]]
) -> None:
    """Refuses the outcome of a run that made nothing of what it was asked for.

    Args:
        folder: of the run.
        subsets: that it makes.
        units: the records of all its units, as the manifest has them.

    Raises:
        RunError: no row of the training split, or a generated subset without a row in any split;
            subsets and the commonest reasons are named.
    """
    training = [unit for unit in units if unit["split"] == "train"]
    if not any(file["rows"] for unit in training for file in unit["files"].values()):
        reasons = Counter(r["reason"] for unit in training for r in unit["rejections"])
        raise RunError(
            f"no sample of the training split could be used: {_commonest(reasons)}. Mend the "
            f"source, and delete {folder}."
        )
    empty = [s.name for s in subsets if s.generated and _num_rows(s.name, units) == 0]
    if empty:
        raise RunError(
            f"no row of subset {_listed(empty)} could be made: "
            f"{_commonest(_reasons(empty, units))}. Change what the reasons name, and delete "
            f"{folder}."
        )


def mostly_rejected(subsets: Sequence[Subset], units: Sequence[Mapping[str, Any]]) -> str | None:
    """A warning, where more than half of a subset's rows were rejected; of all of them in one.

    Of a subset that is selective nothing is said.

    Args:
        subsets, units: as of `check_not_empty`.
    """
    asked = {
        s.name: s.records_per_item * sum(u["sources"] for u in units if s.name in u["files"])
        for s in subsets
        if not s.selective
    }
    lost = {name: count - _num_rows(name, units) for name, count in asked.items()}
    named = [name for name in asked if 2 * lost[name] > asked[name]]
    if not named:
        return None
    return (
        f"warning: more than half of subset {_listed(named)} was rejected, "
        f"{sum(lost[n] for n in named)} of {sum(asked[n] for n in named)} rows: "
        f"{_commonest(_reasons(named, units))}"
    )


def _num_rows(subset: str, units: Sequence[Mapping[str, Any]]) -> int:
    return sum(unit["files"][subset]["rows"] for unit in units if subset in unit["files"])


def _reasons(subsets: Sequence[str], units: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """Why rows of these subsets are missing; an item that is out is out of every one."""
    return Counter(
        rejection["reason"]
        for unit in units
        for rejection in unit["rejections"]
        for subset in subsets
        if subset in unit["files"] and rejection["subset"] in (None, subset)
    )


def _commonest(reasons: Counter[str]) -> str:
    return "; ".join(
        f"{cut(reason)} ({count})" for reason, count in reasons.most_common(_MOST_NAMED)
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
