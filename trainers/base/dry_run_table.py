"""What a dry run found, as a table of a few lines in plain words."""

from scribblegen.plain_table import duration, plain_table, seconds_of
from scribblegen.trainers.base.dry_run import DryRun

_MOST_NAMES = 24
_SAFE = 0.9  # of the memory: other processes, and larger pictures, need some too


def table(found: DryRun) -> str:
    """A line for each thing that one asks before a long training."""
    data = found.data
    lines = [
        ("photographs", f"{_photographs(found)}; {_checked(found)}"),
        ("twins", _twins(found)),
        ("classes", _classes(data.classes, "photographs" if data.photographs else "images")),
        *(("mind", remark) for remark in data.remarks),
        ("model", f"{found.architecture}, {found.parameters:,} parameters trained"),
        ("losses", _losses(found)),
        ("a step", _step(found)),
        (
            "training",
            f"{found.steps:,} steps of {found.step_size} "
            f"{'photographs' if data.photographs else 'images'}, about "
            f"{duration(found.training_seconds)} ({seconds_of(found.seconds_per_step)} a step, "
            f"measured on {found.measured_steps})",
        ),
        ("shown", f"{found.epochs:,.4g} epochs, {found.samples:,} samples"),
        ("evaluation", _evaluation(found)),
        ("in all", f"about {duration(found.training_seconds + found.evaluation_seconds)}"),
        ("memory", _memory(found)),
        ("checkpoints", _checkpoints(found)),
        ("dry run", "all is as it must be; nothing was trained and nothing was written"),
    ]
    return plain_table(lines)


def _photographs(found: DryRun) -> str:
    data = found.data
    return f"{data.photographs:,} of {data.real}" if data.photographs else "none"


def _checked(found: DryRun) -> str:
    data = found.data
    return f"{data.rows_checked:,} rows checked, no size and no class id is wrong"


def _twins(found: DryRun) -> str:
    data = found.data
    unpaired = f", {data.unpaired:,} images of no photograph" if data.unpaired else ""
    return (f"{data.twins:,}" if data.twins else "none") + unpaired


def _classes(classes: dict[str, int], of: str) -> str:
    held = [f"{name} {number:,}" for name, number in classes.items()]
    more = f", and {len(held) - _MOST_NAMES} more" if len(held) > _MOST_NAMES else ""
    return f"{len(held)}, in so many {of}: {', '.join(held[:_MOST_NAMES])}{more}"


def _losses(found: DryRun) -> str:
    terms = [
        f"{name} {value:.4g}" + ("" if (w := found.loss_weights[name]) == 1 else f" x {w:g}")
        for name, value in found.losses.items()
    ]
    return f"{found.loss:.4g} on the first batch: {', '.join(terms) or 'of its own'}"


def _step(found: DryRun) -> str:
    calls = "1 call" if found.calls == 1 else f"{found.calls} calls"
    processes = "" if found.processes == 1 else f" in each of {found.processes} processes"
    side = found.crop_size
    return f"{calls} of {found.call_size} crops of {side} x {side}{processes}, on {found.device}"


def _evaluation(found: DryRun) -> str:
    if found.seconds_per_image is None:
        return "none: no split is named"
    return (
        f"{found.images:,} images, about {duration(found.evaluation_seconds)} "
        f"({seconds_of(found.seconds_per_image)} an image: {found.inference})"
    )


def _memory(found: DryRun) -> str:
    of = "the GPU" if found.device == "cuda" else "the machine"
    each = "" if found.processes == 1 else " in each process"
    tight = found.peak_memory * found.processes if found.device == "cpu" else found.peak_memory
    fits = "it fits" if tight < _SAFE * found.memory else "nearly all of it"
    gigabytes = [f"{number / 1e9:.3g} GB" for number in (found.peak_memory, found.memory)]
    return f"at most {gigabytes[0]}{each} of the {gigabytes[1]} of {of}: {fits}"


def _checkpoints(found: DryRun) -> str:
    number = f"{found.checkpoints:,} on the way" if found.checkpoints else "none on the way"
    begins = "" if found.checkpoint is None else f"; it would go on from {found.checkpoint}"
    return f"{number}; the model in {found.output_dir}{begins}"
