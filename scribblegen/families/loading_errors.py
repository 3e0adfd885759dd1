"""Loaders' errors, told with the option that named what could not be loaded."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def loading(option: str, name: object, what: str = "cannot be loaded") -> Iterator[None]:
    """Around a `from_pretrained`.

    Args:
        option: that named it.
        name: folder or Hub id.
        what: is wrong with it.

    Raises:
        OSError: instead of the loader's OSError or ValueError, with the option's name in front.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        raise OSError(f"`{option}` {name} {what}: {error}") from error
