"""The options of the method that makes nothing new. No torch: the command line reads it."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PhotographsMethodConfig:
    """None: the photographs of a source are what they are."""

    @property
    def subset_names(self) -> list[str]:
        """Of the subsets with twins: none."""
        return []
