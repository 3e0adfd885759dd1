"""The table of methods, and how one is found: here, or in another package.

Nothing heavy is imported before a method is opened: the command line reads the table for `--help`.
"""

from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from scribblegen.choices import Choice, import_name

if TYPE_CHECKING:
    from scribblegen.methods.base import Method, Opening

ENTRY_POINTS = "scribblegen.methods"  # the group under which other packages name their methods


@dataclass(frozen=True)
class Entry:
    """A line of the table of methods; both are imported when they are asked for.

    Args:
        config: `module:class` of its options, a frozen dataclass.
        open: `module:function` of (config, `Opening`) that gives a `Method`.
        item: `module:class` of what it is made from, as `Source.item` has it.
        source: the source that it is given where nobody names one.
    """

    config: str
    open: str
    item: str = "scribblegen.records:Sample"
    source: str = "scenes"

    def config_type(self) -> type:
        found: type = import_name(self.config)
        return found

    def items(self) -> type:
        found: type = import_name(self.item)
        return found

    def open_method(self, config: Any, opening: "Opening") -> "Method[Any]":
        method: Method[Any] = import_name(self.open)(config, opening)
        return method


METHODS = {
    "scribblegen": Entry(
        config="scribblegen.methods.scribblegen_config:ScribbleGenConfig",
        open="scribblegen.methods.scribblegen_open:open_method",
    ),
    "cdsp": Entry(
        config="scribblegen.methods.cdsp_config:CdspConfig",
        open="scribblegen.methods.cdsp:open_method",
    ),
    "describe": Entry(
        config="scribblegen.methods.describe_config:DescribeConfig",
        open="scribblegen.methods.describe:open_method",
        item="scribblegen.descriptions:Asked",
        source="vocabulary",
    ),
    "diffumask": Entry(
        config="scribblegen.methods.diffumask_config:DiffuMaskConfig",
        open="scribblegen.methods.diffumask_open:open_method",
        item="scribblegen.prompts:Prompt",
        source="prompts",
    ),
    "magicseg": Entry(
        config="scribblegen.methods.magicseg_config:MagicSegConfig",
        open="scribblegen.methods.magicseg_open:open_method",
        item="scribblegen.descriptions:Description",
        source="descriptions",
    ),
    "photographs": Entry(
        config="scribblegen.methods.photographs_config:PhotographsMethodConfig",
        open="scribblegen.methods.photographs:open_method",
    ),
    "prune": Entry(
        config="scribblegen.methods.prune_config:PruneConfig",
        open="scribblegen.methods.prune:open_method",
        source="subset",
    ),
}


def method_entry(name: str) -> Entry:
    """A method by its name: of this package, or of one that names it as an entry point.

    Raises:
        ValueError: there is none.
    """
    if name in METHODS:
        return METHODS[name]
    others = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name in others:
        entry = others[name].load()
        if not isinstance(entry, Entry):
            raise ValueError(
                f"`method` {name}: the entry point {others[name].value} must be a "
                f"`scribblegen.methods.table.Entry`. Got {type(entry).__name__}."
            )
        return entry
    raise ValueError(f"`method` must be one of {sorted({*METHODS, *others})}. Got {name!r}.")


def method_name(config: Any) -> str:
    """The name of the method that a config belongs to.

    Raises:
        ValueError: it belongs to none.
    """
    kind = f"{type(config).__module__}:{type(config).__qualname__}"
    for name, entry in METHODS.items():
        if entry.config == kind:
            return name
    for point in entry_points(group=ENTRY_POINTS):
        if method_entry(point.name).config_type() is type(config):
            return point.name
    raise ValueError(f"`method_config` must be the options of a method. Got a {kind}.")


def method_choice() -> Choice:
    """The option `--method`: of this package's methods, and of those that are installed."""
    others = {point.name for point in entry_points(group=ENTRY_POINTS)}
    return Choice(
        option="method",
        names=(*METHODS, *sorted(others - METHODS.keys())),
        default="scribblegen",
        config_type=lambda name: method_entry(name).config_type(),
        help="What makes the rows.",
    )
