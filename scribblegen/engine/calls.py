"""The rows of one call, laid out: padded to its size, their tensors stacked."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from scribblegen.engine.queue import Picked, Row


def padded(picked: Picked, rows: int) -> list[Row]:
    """The picked rows, filled up to a call's; paired ones half by half."""
    parts = 2 if picked.paired else 1
    size = len(picked.rows) // parts
    halves = [picked.rows[i * size : (i + 1) * size] for i in range(parts)]
    return [row for half in halves for row in half + half[:1] * (rows // parts - size)]


def numbered(picked: Picked, rows: int) -> Iterable[tuple[Row, int]]:
    """The picked rows, each with its number in the call."""
    size = len(picked.rows) // 2
    for index, row in enumerate(picked.rows):
        skipped = rows // 2 - size if picked.paired and index >= size else 0
        yield row, index + skipped


def stacked_condition(rows: Sequence[Row]) -> dict[str, Tensor]:
    """What the rows are denoised under, (B, ...) for every name that any of them has.

    A row that lacks a name gets zeros: where families have rows without it, zeros stand for that.
    """
    names = sorted({name for row in rows for name in row.form.names})
    return {name: _stacked([row.tensor(name) for row in rows]) for name in names}


def _stacked(tensors: Sequence[Tensor | None]) -> Tensor:
    present = [tensor for tensor in tensors if tensor is not None]
    if len(present) == len(tensors):
        return torch.stack(present)
    absent = torch.zeros_like(present[0])
    return torch.stack([absent if tensor is None else tensor for tensor in tensors])


def stacked_kept(rows: Sequence[Row]) -> Mapping[str, Tensor]:
    """What a probe kept of the rows, (B, ...) by name."""
    kept = [row.node.kept[row.branch] for row in rows]
    return {name: torch.stack([of_row[name] for of_row in kept]) for name in kept[0]}
