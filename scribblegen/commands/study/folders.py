"""Where the parts of a study lie."""

from pathlib import Path


def fraction_folder(folder: Path, fraction: float) -> Path:
    """What is made of a fraction of the photographs."""
    return folder / f"fraction-{fraction:g}"


def twins_folder(folder: Path) -> Path:
    """A fraction's photographs and twins."""
    return folder / "twins"


def segmentor_folder(folder: Path, arm: str, seed: int) -> Path:
    """A fraction's segmentor of an arm and a seed."""
    return folder / "segmentors" / f"{arm}-seed{seed}"


def pseudo_labels_folder(folder: Path, subset: str, seed: int | None) -> Path:
    """A fraction's pseudo labels of a subset; of a seed, where its segmentor makes them."""
    return folder / f"pseudo-labels-{subset}{'' if seed is None else f'-seed{seed}'}"
