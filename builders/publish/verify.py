"""What a stranger reads of a published dataset, beside what was published."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Image, load_dataset

from scribblegen.hub.retry import retried

_COMPARED_ROWS = 8


def check_rows(folder: Path, subsets: Sequence[str], repo_id: str, revision: str) -> None:
    """Reads a few rows of the default subset and of a named one, as a stranger would, streamed too.

    Args:
        folder: the folder of the run.
        subsets: of it; the first is the default.
        repo_id, revision: where it was published.

    Raises:
        OSError: they are not those of the folder.
    """
    named = subsets[-1]
    with tempfile.TemporaryDirectory() as cache:
        for subset, streaming in ((None, True), (named, True), (named, False)):
            name = subset or subsets[0]

            def read(
                where: str, subset: str | None = subset, streaming: bool = streaming, **options: Any
            ) -> list[dict[str, Any]]:
                rows = load_dataset(
                    where, subset, split="train", streaming=streaming, cache_dir=cache, **options
                )
                for column, feature in rows.features.items():
                    if isinstance(feature, Image):
                        rows = rows.cast_column(column, Image(decode=False))
                return list(rows.take(_COMPARED_ROWS))

            there = retried(
                lambda read=read: read(repo_id, revision=revision),  # type: ignore[misc]
                f"reading {name} back",
            )
            if there != read(str(folder)):
                raise OSError(
                    f"{repo_id} at {revision}: `load_dataset` reads other rows of {name} than the "
                    "folder holds. Publish again."
                )
