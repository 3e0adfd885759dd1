"""Rows that are ready to be evaluated, and which of them the next call takes."""

import heapq
import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from scribblegen.engine.jobs import Node
from scribblegen.engine.probes import CONDITIONAL, UNCONDITIONAL, Use

_Entry = tuple[int, int, int, Node, int]  # group, -remaining steps, order; node, first branch


class Form(NamedTuple):
    """How a row is evaluated.

    Args:
        use: what the row has to do with a probe.
        names: the names of the tensors that its condition has in this step, sorted.
        shared: where calls are compiled, of a pair: the names whose tensors both rows have in
            common. A graph of its own depends on it.
    """

    use: Use
    names: tuple[str, ...]
    shared: frozenset[str] = frozenset()


class Row(NamedTuple):
    """One evaluation of the networks, for a branch of a node."""

    node: Node
    branch: int
    form: Form

    def tensor(self, name: str) -> Tensor | None:
        """Of its condition; None where it has none of this name in this step."""
        return self.node.condition(self.branch)[name] if name in self.form.names else None


@dataclass(frozen=True)
class Picked:
    """The rows of a call.

    Args:
        rows: at most as many as a call has; they agree in the use of a probe.
        paired: the second half are the unconditional rows of the first.
    """

    rows: list[Row]
    paired: bool


class ReadyRows:
    """Ready rows by form and by kind (guided pairs, single rows), each kind in a heap.

    Lower groups come first, so that a shard is finished before the next; within one, the longest
    remaining run, so that the short ones are left to fill the last calls.

    Args:
        mixed: forms of one use, and kinds, may share a call, to the same bits. False where each has
            a graph of its own, which rounds in its own way: a row must then always go the same one.
    """

    def __init__(self, *, mixed: bool = True) -> None:
        self.mixed = mixed
        self._heaps: defaultdict[tuple[Form, bool], list[_Entry]] = defaultdict(list)
        self._order = itertools.count()

    def __len__(self) -> int:
        return sum(len(heap) * (1 + is_pair) for (_, is_pair), heap in self._heaps.items())

    @property
    def oldest_group(self) -> int | None:
        return min((heap[0][0] for heap in self._heaps.values() if heap), default=None)

    def push(self, node: Node, forms: Sequence[Form]) -> None:
        """Makes the rows of a node ready, given the form of each of its branches."""
        if len(forms) == 2 and forms[CONDITIONAL] == forms[UNCONDITIONAL]:
            self._push(node, forms[CONDITIONAL], CONDITIONAL, True)
            return
        for branch, form in enumerate(forms):
            self._push(node, form, branch, False)

    def pick(self, rows: int) -> Picked:
        """Takes out what the next call evaluates: `rows` rows, fewer only where no more can go
        together."""
        if not self.mixed:
            return self._pick_kind(rows)
        forms = sorted(
            {form for (form, _), heap in self._heaps.items() if heap}, key=self._foremost
        )
        for form in forms:
            if self._num(form) >= rows:
                return self._pick_form(form, rows)
        mixable = self._mixable(forms, rows)
        if len(mixable) > 1:
            return Picked(self._pick_any(rows, mixable), False)
        return self._pick_form(mixable[0], rows)

    def _mixable(self, forms: Sequence[Form], rows: int) -> list[Form]:
        """The forms of one use: the foremost whose rows together fill a call, else the foremost."""
        by_use: dict[Use, list[Form]] = {}
        for form in forms:
            by_use.setdefault(form.use, []).append(form)
        together = list(by_use.values())
        return next((fs for fs in together if sum(map(self._num, fs)) >= rows), together[0])

    def _pick_kind(self, rows: int) -> Picked:
        """Rows of one form and kind: of the foremost that fills the call, else the foremost."""
        kinds = sorted(
            (kind for kind, heap in self._heaps.items() if heap),
            key=lambda kind: self._heaps[kind][0][:3],
        )
        sizes = {kind: len(self._heaps[kind]) * (2 if kind[1] else 1) for kind in kinds}
        form, is_pair = next((kind for kind in kinds if sizes[kind] >= rows), kinds[0])
        return self._pick_pairs(form, rows) if is_pair else self._pick_singles(form, rows)

    def _pick_pairs(self, form: Form, rows: int) -> Picked:
        heap = self._heaps[form, True]
        nodes = [heapq.heappop(heap)[3] for _ in range(min(rows // 2, len(heap)))]
        both = (CONDITIONAL, UNCONDITIONAL)
        return Picked([Row(node, branch, form) for branch in both for node in nodes], True)

    def _pick_singles(self, form: Form, rows: int) -> Picked:
        heap = self._heaps[form, False]
        popped = [heapq.heappop(heap) for _ in range(min(rows, len(heap)))]
        return Picked([Row(node, branch, form) for *_, node, branch in popped], False)

    def _pick_form(self, form: Form, rows: int) -> Picked:
        """Pairs alone or single rows alone, where the kind of the foremost row fills the call."""
        pairs, singles = self._heaps[form, True], self._heaps[form, False]
        half = rows // 2
        pairs_do = rows % 2 == 0 and (len(pairs) >= half or not singles)
        if pairs_do and pairs and (not singles or pairs[0][:2] <= singles[0][:2]):
            return self._pick_pairs(form, rows)
        if len(singles) >= rows and (not pairs or singles[0][:2] < pairs[0][:2]):
            return self._pick_singles(form, rows)
        return Picked(self._pick_any(rows, [form]), False)

    def _pick_any(self, rows: int, forms: Sequence[Form]) -> list[Row]:
        """The foremost rows of some forms; the last pair may be torn."""
        picked: list[Row] = []
        while len(picked) < rows and any(self._num(form) for form in forms):
            kinds = [kind for kind, heap in self._heaps.items() if kind[0] in forms and heap]
            form, is_pair = min(kinds, key=lambda kind: self._heaps[kind][0][:3])
            *_, node, branch = heapq.heappop(self._heaps[form, is_pair])
            picked.append(Row(node, branch, form))
            if is_pair and len(picked) < rows:
                picked.append(Row(node, UNCONDITIONAL, form))
            elif is_pair:
                self._push(node, form, UNCONDITIONAL, False)
        return picked

    def _push(self, node: Node, form: Form, branch: int, is_pair: bool) -> None:
        remaining = node.num_steps - node.step
        entry = (node.job.group, -remaining, next(self._order), node, branch)
        heapq.heappush(self._heaps[form, is_pair], entry)

    def _num(self, form: Form) -> int:
        return 2 * len(self._heaps[form, True]) + len(self._heaps[form, False])

    def _foremost(self, form: Form) -> tuple[int, int, int]:
        heaps = (self._heaps[form, True], self._heaps[form, False])
        return min(heap[0][:3] for heap in heaps if heap)
