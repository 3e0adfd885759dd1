"""How a subset is named where one is asked for: `REPO:subset`."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SubsetName:
    """A subset of a repository: `me/voc-twins:guidance2-encode0.5`."""

    repository: str  # a folder or a Hub id
    subset: str

    @classmethod
    def parse(
        cls, text: str, default: str | None = None, *, option: str = "synthetic"
    ) -> "SubsetName":
        """From `REPO:subset`, or `REPO` alone where there is a default subset.

        Raises:
            ValueError: no subset is named and there is no default; the message names `option`.
        """
        repository, colon, subset = text.rpartition(":")
        if not colon or Path(text).is_dir() or "/" in subset:
            repository, subset = text, default or ""
        if not subset:
            raise ValueError(f"`{option}` must name subsets as REPO:subset. Got {text!r}.")
        return cls(repository, subset)
