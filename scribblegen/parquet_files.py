"""Parquet that is cut short or changed on its way: told by its file, with what makes it whole."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from scribblegen.text_files import shown_message

MAKE_AGAIN = (
    "Delete it and run `scribblegen build` again with the same options: it makes what is missing."
)


@contextlib.contextmanager
def reading_shard(path: Path, fix: str = MAKE_AGAIN) -> Iterator[None]:
    """Around the reading of one Parquet file that this program has written.

    Args:
        path: of the file.
        fix: what makes it whole.

    Raises:
        OSError: the file is damaged or missing, in place of what pyarrow raises.
    """
    try:
        yield
    except PermissionError:
        raise
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path} is missing. {fix}") from error
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise OSError(f"{path} is damaged: {shown_message(error)}. {fix}") from error


@contextlib.contextmanager
def reading_rows(name: str) -> Iterator[None]:
    """Around the reading of a data set through `datasets`, of a folder or of the Hub.

    Args:
        name: Hub id or folder; either may have `:subset` behind it.

    Raises:
        OSError: one of its files is damaged; named, where it lies in a folder.
    """
    from datasets.exceptions import DatasetGenerationError

    try:
        yield
    except (pa.ArrowException, DatasetGenerationError, OSError) as error:
        # What is not there, or not to be reached, is a kind of OSError of its own.
        if isinstance(error, OSError) and type(error) is not OSError:
            raise
        cause = error.__cause__ if isinstance(error, DatasetGenerationError) else error
        if type(cause) is OSError and " is damaged: " in str(cause):
            raise cause from error  # told already, with its file
        found = damaged_file(Path(name)) or damaged_file(Path(name.rpartition(":")[0] or name))
        if found is not None:
            raise OSError(
                f"{name} holds a damaged file: {found}: {shown_message(cause or error)}."
                " Make or download it again."
            ) from error
        raise OSError(
            f"{name} cannot be read: {shown_message(cause or error)}. If a file of it "
            "is damaged, delete its copy in the cache of the Hub and of `datasets`, or make it "
            "again."
        ) from error


def damaged_file(folder: Path) -> Path | None:
    """The first Parquet file of a folder that cannot be read to its end, if there is one."""
    for path in sorted(folder.rglob("*.parquet")) if folder.is_dir() else ():
        try:
            for _ in pq.ParquetFile(path).iter_batches():
                pass
        except (pa.ArrowException, OSError):
            return path
    return None
