"""Loaders' errors, told with the option that named what could not be loaded."""

import contextlib
from collections.abc import Iterator

from scribblegen.text_files import cut, printable

_LONGEST = 1000  # characters of what a loader says: some list all keys, or a compiler's stack


@contextlib.contextmanager
def loading(option: str, name: object, what: str = "cannot be loaded") -> Iterator[None]:
    """Around a `from_pretrained`.

    Args:
        option: that named it.
        name: folder or Hub id.
        what: is wrong with it.

    Raises:
        OSError: instead of the loader's error, with the option's name in front. Of a damaged file
            the libraries raise errors of many types, some of their own.
    """
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        told = cut(printable(" ".join(str(error).split())), _LONGEST)
        if not isinstance(error, OSError | ValueError):
            told = f"{type(error).__name__}: {told}"  # a bare `KeyError` is but a key
        raise OSError(f"`{option}` {name} {what}: {told}") from error
