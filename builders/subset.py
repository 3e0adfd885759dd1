"""ScribbleGen's subsets."""

from scribblegen.builders.base import ShardBuilder


class ScribbleGen(ShardBuilder):
    """`ScribbleGen("out/facade", "guidance2-encode0.5")`; `real` is a subset too."""
