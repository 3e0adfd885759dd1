"""Which failures of the Hub pass, and how long to wait for it."""

import logging
import random
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from huggingface_hub.errors import HfHubHTTPError

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

ATTEMPTS = 10
_LONGEST_WAIT = 60.0  # seconds
# Time-outs, a branch that moved (409, 412), too early, too many, and whatever the server owns to.
_TRANSIENT = {408, 409, 412, 425, 429}


def retried(call: Callable[[], Result], what: str, *, attempts: int = ATTEMPTS) -> Result:
    """The result of `call`, tried again after failures that pass, with growing waits.

    Args:
        call: What is asked of the Hub; it must be safe to repeat.
        what: The words in which the log says what `call` does, such as `reading me/scenes`.
        attempts: The largest number of calls.

    Raises:
        Exception: The last failure, or the first that does not pass with time.
    """
    for attempt in range(1, attempts + 1):
        try:
            return call()
        except Exception as error:
            if not is_transient(error) or attempt == attempts:
                raise
            wait = _asked_wait(error) or min(_LONGEST_WAIT, 2.0 ** (attempt - 1))
            wait *= 1 + random.random() / 4  # publishers that collided do not collide again
            logger.warning(f"{what}: {_short(error)}; again in {wait:.0f} s")
            time.sleep(wait)
    raise AssertionError("unreachable: the last attempt returns or raises")


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed later: lost connections, time-outs, a busy server, a branch
    that moved, an upload that arrived damaged."""
    chain = list(_causes(error))
    uploading = any("Error while uploading" in str(e) for e in chain if isinstance(e, RuntimeError))
    for cause in chain:
        status = _status(cause)
        if status is not None:
            damaged = uploading and status in (400, 422)
            return status in _TRANSIENT or status >= 500 or damaged
        if isinstance(cause, ConnectionError | TimeoutError) or _lost_connection(cause):
            return True
    return False


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _status(error: BaseException) -> int | None:
    if isinstance(error, HfHubHTTPError):
        response = getattr(error, "response", None)
        return None if response is None else int(response.status_code)
    return None


def _lost_connection(error: BaseException) -> bool:
    """Transport errors of whichever HTTP library the Hub's client brings."""
    return any(
        kind.__name__ == "TransportError" and kind.__module__.startswith("httpx")
        for kind in type(error).__mro__
    )


def _asked_wait(error: BaseException) -> float | None:
    """Seconds that the server asks for, by Retry-After."""
    for cause in _causes(error):
        response = getattr(cause, "response", None)
        value = response.headers.get("Retry-After") if response is not None else None
        if value and value.replace(".", "", 1).isdigit():
            return min(_LONGEST_WAIT, float(value))
    return None


def _short(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__} {lines[0][:120] if lines else ''}".strip()
