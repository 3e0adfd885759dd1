"""How the rows of a pool are denoised."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from scribblegen.engine.jobs import Node
from scribblegen.engine.probes import Probe, Use
from scribblegen.engine.queue import Form


@dataclass(frozen=True, kw_only=True)
class Denoising:
    """How rows are denoised, the same for all of a pool.

    Args:
        sampler: one of `encode_ratio.SAMPLERS`.
        windows: for names of a condition that take part in some of a run's steps alone, the shares
            of its steps between which they do. In the other steps its rows have no such name.
        probe: what the rows leave beside their predictions.
    """

    sampler: str = "ddim"
    windows: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    probe: Probe | None = None

    def forms(self, node: Node, *, compiled: bool) -> list[Form]:
        """How the rows of a node are evaluated, by branch."""
        names = [self._names(node, branch) for branch in node.branches]
        uses = [self._use(node, branch) for branch in node.branches]
        shared: frozenset[str] = frozenset()
        if compiled and len(names) == 2 and names[0] == names[1]:
            shared = shared_names([node], names[0])
        return [Form(use, own, shared) for use, own in zip(uses, names, strict=True)]

    def _names(self, node: Node, branch: int) -> tuple[str, ...]:
        return tuple(sorted(n for n in node.condition(branch) if self._takes_part(n, node)))

    def _takes_part(self, name: str, node: Node) -> bool:
        start, end = self.windows.get(name, (0.0, 1.0))
        too_early = node.step / node.num_steps < start
        too_late = (node.step + 1) / node.num_steps > end
        return not (too_early or too_late)

    def _use(self, node: Node, branch: int) -> Use:
        if self.probe is None:
            return Use.PLAIN
        use = self.probe.use(node.step, node.num_steps, branch)
        if use is Use.REPLACED and branch not in node.kept:
            raise ValueError(
                "`probe` must watch a row before it replaces a step of it. "
                f"{type(self.probe).__name__} asks to replace step {node.step}."
            )
        return use


def shared_names(nodes: list[Node], names: tuple[str, ...]) -> frozenset[str]:
    """The names whose tensors both rows of every node, a guided one, have in common."""
    shared = set(names)
    for node in nodes:
        conditional, null = node.conditions
        assert null is not None, "a guided node has both conditions"
        shared = {name for name in shared if conditional[name] is null[name]}
    return frozenset(shared)
