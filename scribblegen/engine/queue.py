"""Rows that are ready to be evaluated, and which of them the next call takes."""

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from scribblegen.engine.jobs import CONDITIONAL, UNCONDITIONAL, Node

Row = tuple[Node, int]  # and its branch
_Entry = tuple[int, int, int, Node, int]  # group, -remaining steps, order; node, first branch


class Form(IntEnum):
    """How a row is evaluated. The first two may share a call."""

    CONTROLLED = 0  # by ControlNet and UNet
    UNCONTROLLED = 1  # by the UNet alone
    SHALLOW = 2  # by the UNet's outermost layers, over features that were kept


@dataclass(frozen=True)
class Picked:
    """The rows of a call.

    Args:
        rows: at most as many as a call has.
        paired: the second half are the unconditional rows of the first.
        form: of all of them; `CONTROLLED` where some are uncontrolled.
    """

    rows: list[Row]
    paired: bool
    form: Form


class ReadyRows:
    """Ready rows by form and by kind (guided pairs, single rows), each kind in a heap.

    Lower groups come first, so that a shard is finished before the next; within one, the longest
    remaining run, so that the short ones are left to fill the last calls.

    Args:
        mixed: forms and kinds may share a call, to the same bits. False where each has a graph of
            its own, which rounds in its own way: a row must then always go the same one.
    """

    def __init__(self, *, mixed: bool = True) -> None:
        self.mixed = mixed
        self._heaps: dict[tuple[Form, bool], list[_Entry]] = {
            (form, is_pair): [] for form in Form for is_pair in (True, False)
        }
        self._order = itertools.count()

    def __len__(self) -> int:
        return sum(len(heap) * (1 + is_pair) for (_, is_pair), heap in self._heaps.items())

    @property
    def oldest_group(self) -> int | None:
        return min((heap[0][0] for heap in self._heaps.values() if heap), default=None)

    def push(self, node: Node, form: Form) -> None:
        """Makes the rows of a node ready."""
        self._push(node, form, CONDITIONAL, len(node.branches) == 2)

    def pick(self, rows: int) -> Picked:
        """Takes out what the next call evaluates: `rows` rows, fewer only where no more can go
        together."""
        if not self.mixed:
            return self._pick_kind(rows)
        forms = sorted((form for form in Form if self._num(form)), key=self._foremost)
        for form in forms:
            if self._num(form) >= rows:
                return self._pick_form(form, rows)
        mixable = [form for form in forms if form is not Form.SHALLOW]
        if len(mixable) == 2:
            return Picked(self._pick_any(rows, mixable), False, Form.CONTROLLED)
        return self._pick_form(forms[0], rows)

    def _pick_kind(self, rows: int) -> Picked:
        """Rows of one form and kind: of the foremost that fills the call, else the foremost."""
        kinds = sorted(
            (kind for kind, heap in self._heaps.items() if heap),
            key=lambda kind: self._heaps[kind][0][:3],
        )
        sizes = {kind: len(self._heaps[kind]) * (2 if kind[1] else 1) for kind in kinds}
        form, is_pair = next((kind for kind in kinds if sizes[kind] >= rows), kinds[0])
        heap = self._heaps[form, is_pair]
        if is_pair:
            return self._pick_pairs(form, rows)
        count = min(rows, len(heap))
        return Picked([heapq.heappop(heap)[3:] for _ in range(count)], False, form)

    def _pick_pairs(self, form: Form, rows: int) -> Picked:
        heap = self._heaps[form, True]
        nodes = [heapq.heappop(heap)[3] for _ in range(min(rows // 2, len(heap)))]
        halves = [(n, CONDITIONAL) for n in nodes], [(n, UNCONDITIONAL) for n in nodes]
        return Picked([*halves[0], *halves[1]], True, form)

    def _pick_form(self, form: Form, rows: int) -> Picked:
        """Pairs alone or single rows alone, where the kind of the foremost row fills the call."""
        pairs, singles = self._heaps[form, True], self._heaps[form, False]
        half = rows // 2
        pairs_do = rows % 2 == 0 and (len(pairs) >= half or not singles)
        if pairs_do and pairs and (not singles or pairs[0][:2] <= singles[0][:2]):
            return self._pick_pairs(form, rows)
        if len(singles) >= rows and (not pairs or singles[0][:2] < pairs[0][:2]):
            return Picked([heapq.heappop(singles)[3:] for _ in range(rows)], False, form)
        return Picked(self._pick_any(rows, [form]), False, form)

    def _pick_any(self, rows: int, forms: Sequence[Form]) -> list[Row]:
        """The foremost rows of some forms; the last pair may be torn."""
        picked: list[Row] = []
        while len(picked) < rows and any(self._num(form) for form in forms):
            kinds = [kind for kind, heap in self._heaps.items() if kind[0] in forms and heap]
            form, is_pair = min(kinds, key=lambda kind: self._heaps[kind][0][:3])
            node, branch = heapq.heappop(self._heaps[form, is_pair])[3:]
            picked.append((node, branch))
            if is_pair and len(picked) < rows:
                picked.append((node, UNCONDITIONAL))
            elif is_pair:
                self._push(node, form, UNCONDITIONAL, False)
        return picked

    def _push(self, node: Node, form: Form, branch: int, is_pair: bool) -> None:
        remaining = node.grid.num_steps - node.step
        entry = (node.job.group, -remaining, next(self._order), node, branch)
        heapq.heappush(self._heaps[form, is_pair], entry)

    def _num(self, form: Form) -> int:
        return 2 * len(self._heaps[form, True]) + len(self._heaps[form, False])

    def _foremost(self, form: Form) -> tuple[int, int, int]:
        heaps = (self._heaps[form, True], self._heaps[form, False])
        return min(heap[0][:3] for heap in heaps if heap)
