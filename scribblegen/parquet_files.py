"""Parquet that is cut short or changed on its way: told by its file, with what makes it whole."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from scribblegen.text_files import shown_message

_LONGEST = 1000  # characters of what `datasets` says: it lists all that it knows
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
    except (PermissionError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path} is missing. {fix}") from error
    except Exception as error:  # of data and of metadata: the kinds are many
        raise OSError(f"{path} is damaged: {shown_message(error)}. {fix}") from error


@contextlib.contextmanager
def opening_rows(option: str, name: str) -> Iterator[None]:
    """Around `load_dataset_builder`, which reads the card of a data set and looks for its files.

    Args:
        option: that named it.
        name: Hub id or folder.

    Raises:
        FileNotFoundError: it is not there, or its card names files that are not.
        OSError: its card cannot be read.
        ValueError: as `datasets` raises it, of a config that there is not.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(f"`{option}` {name}: {shown_message(error, _LONGEST)}.") from error
    except (OSError, ValueError):
        raise
    except Exception as error:  # of YAML and of metadata: the kinds are many
        raise OSError(
            f"`{option}` {name} cannot be opened: {shown_message(error, _LONGEST)}. Mend its "
            "README.md, or download it again."
        ) from error


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
