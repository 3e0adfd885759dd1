"""What may come of a bad file; everything else is a fault."""

import contextlib
import io
import signal
import threading
from collections.abc import Iterator

from tests.fuzz.kinds import File, Kind

SECONDS = 10  # of one input, on the processor: others may be at work on the machine
_LONGEST = 2000  # characters of a message


class TooLong(BaseException):
    """An input that is still at work after `SECONDS`; nothing that is read catches it."""


def fault_of(kind: Kind, file: File) -> str | None:
    """Reads a file in place of the whole one, and says what is wrong with what comes of it."""
    path = kind.folder / file.name
    whole = path.read_bytes()
    path.write_bytes(file.data)
    try:
        with _alarm(), contextlib.redirect_stderr(io.StringIO()) as said:
            found = kind.read(file)
        return None if found is None else _of_message(found.reason)
    except (TooLong, AssertionError, MemoryError) as error:
        return f"{type(error).__name__}: {error}"
    except SystemExit as error:  # of the command line's parser, which has said why
        told = said.getvalue()
        return _of_message(told) if error.code == 2 and "error: `" in told else f"exit: {told}"
    except Exception as error:
        return _of_error(error, kind, file)
    finally:
        path.write_bytes(whole)


def _of_error(error: Exception, kind: Kind, file: File) -> str | None:
    """The same question as `last_resort.speaks_for_itself`, asked more strictly."""
    name = f"{type(error).__module__}.{type(error).__qualname__}"
    told = str(error)
    own = type(error).__module__.split(".")[0] in ("builtins", "scribblegen")
    if not kind.may_raise:
        return f"must be a rejection: {name}: {told[:_LONGEST]}"
    if not (own and isinstance(error, (ValueError, OSError))) or isinstance(error, UnicodeError):
        return f"not an error of ours: {name}: {told[:_LONGEST]}"
    if "[Errno" in told or not any(name in told for name in (str(kind.folder), file.name, "`")):
        return f"names neither file nor option: {name}: {told[:_LONGEST]}"
    return _of_message(told)


def _of_message(told: str) -> str | None:
    if len(told) > _LONGEST:
        return f"a message of {len(told)} characters: {told[:300]}"
    try:
        told.encode()
    except UnicodeError:
        return f"a message that cannot be written: {told!a}"
    return None


@contextlib.contextmanager
def _alarm() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(number: int, frame: object) -> None:
        raise TooLong(f"not done after {SECONDS} s")

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
