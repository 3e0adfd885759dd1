"""What a run would be, as a table of a few lines in plain words."""

import torch

from scribblegen.plain_table import duration, plain_table, seconds_of
from scribblegen.runs.dry_run import BuildPlan
from scribblegen.text_files import cut

_MOST_REASONS = 3


def table(plan: BuildPlan, *, subsets: int, made: str, processes: int) -> str:
    """A line for each thing that one asks before a long run.

    Args:
        plan: what was found.
        subsets: how many the method makes.
        made: images or texts.
        processes: that are to share the work.
    """
    done = plan.images - plan.images_left
    splits = ", ".join(f"{count:,} in {split}" for split, count in plan.items.items())
    each = f" by {processes} processes, if each has as much to itself" if processes > 1 else ""
    of = "the GPU" if torch.cuda.is_available() else "the machine"
    lines = [
        ("source", f"{splits}; {plan.looked_at} looked at, {_rejected(plan)}"),
        (
            made,
            f"{plan.images:,} in {subsets} {'subset' if subsets == 1 else 'subsets'}"
            + (f", of which {done:,} are made" if done else ""),
        ),
        (
            "tried",
            f"{plan.made} {made}, {seconds_of(plan.seconds_per_image)} each, "
            f"{plan.rejected} of them rejected",
        ),
        *(("mind", f"{remark}: {count}") for remark, count in plan.remarks.items()),
        ("time", f"about {duration(plan.seconds / processes)}{each}, besides opening"),
        ("disk", f"about {_bytes(plan.bytes)}, photographs and labels among them"),
        ("memory", f"{_bytes(plan.memory)} of {of} in each process"),
        ("dry run", "all could be opened; nothing was written"),
    ]
    return plain_table(lines)


def _rejected(plan: BuildPlan) -> str:
    lost = sum(plan.reasons.values())
    if not lost:
        return "all can be used"
    told = [f"{cut(reason)} ({count})" for reason, count in plan.reasons.items()]
    return f"{lost} cannot be used: {'; '.join(told[:_MOST_REASONS])}"


def _bytes(number: float) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number / 1e3:.3g} kB"
