"""Requests to an OpenAI-compatible endpoint: asked again where that may help, and never for ever.

The key is read from the environment and sent to the endpoint, and is nowhere else: in no file, no
log, no message of an error. Redirects are not followed, since another host would be told it.
"""

import email.utils
import http.client
import json
import os
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from scribblegen.seeds import derive_seed

KEY_VARIABLES = ("SCRIBBLEGEN_LLM_API_KEY", "OPENAI_API_KEY")
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0  # seconds; doubled from try to try
_LONGEST_RETRY_AFTER = 300.0
_LARGEST_ANSWER = 1 << 20
_MOST_IN_A_ROW = 20  # requests that fail one after the other before the endpoint counts as down
_AGAIN = (408, 409, 425, 429)  # and all from 500 on
_WRONG = {
    401: f"it wants a key, or another one: set {KEY_VARIABLES[0]}",
    403: f"the key may not be used there: set another in {KEY_VARIABLES[0]}",
    404: "there is no such model or address: check `llm_endpoint` and `llm_model`",
    405: "it is no endpoint of this kind: give its address up to /v1",
}


class EndpointError(OSError):
    """An endpoint that answers nothing, or will not; what was answered before is kept."""


class NoAnswerError(Exception):
    """A request that stayed without an answer; the message says why."""


class ChatEndpoint:
    """Asks `URL/chat/completions`; may be used by many threads.

    Args:
        url: up to `/v1`, without user, password or query.
        timeout: seconds that one try may take.
        tries: of a request, at least 1.

    Raises:
        ValueError: the key in the environment can be none.
    """

    def __init__(self, url: str, *, timeout: float, tries: int) -> None:
        self.url, self.timeout, self.tries = f"{url.rstrip('/')}/chat/completions", timeout, tries
        self._key = _key()
        self._opener = urllib.request.build_opener(_NoRedirects)
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._fault: EndpointError | None = None
        self._has_answered, self._in_a_row = False, 0
        self.tried_again = 0

    def close(self) -> None:
        """Ends all waiting: nothing more is wanted."""
        self._closed.set()

    def ask(self, request: dict[str, Any]) -> str:
        """The text of an answer.

        Raises:
            NoAnswerError: after all tries there is none.
            EndpointError: the endpoint cannot be used at all.
        """
        reason = ""
        for attempt in range(self.tries):
            if self._fault is not None or self._closed.is_set():
                raise self._fault or EndpointError("the run has ended")
            try:
                answer = self._post(request)
            except _AgainError as error:
                reason = str(error)
                with self._lock:
                    self.tried_again += attempt + 1 < self.tries
                if attempt + 1 < self.tries:
                    self._closed.wait(_waiting(request, attempt, error.retry_after))
            else:
                with self._lock:
                    self._has_answered, self._in_a_row = True, 0
                return answer
        with self._lock:
            self._in_a_row += 1
            is_down = not self._has_answered or self._in_a_row >= _MOST_IN_A_ROW
        if is_down:
            self._give_up(f"no answer after {self.tries} tries each: {reason}")
        raise NoAnswerError(f"no answer after {self.tries} tries: {reason}")

    def _post(self, request: dict[str, Any]) -> str:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        body = json.dumps(request).encode()
        posted = urllib.request.Request(self.url, body, headers, method="POST")
        try:
            with self._opener.open(posted, timeout=self.timeout) as response:
                data = response.read(_LARGEST_ANSWER + 1)
        except urllib.error.HTTPError as error:
            with error:
                self._refused(error.code, error.headers.get("Retry-After"))
        except TimeoutError as error:
            raise _AgainError(f"timed out after {self.timeout:g} s") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            inner = error.reason if isinstance(error, urllib.error.URLError) else error
            if isinstance(inner, TimeoutError):
                raise _AgainError(f"timed out after {self.timeout:g} s") from None
            # Of messages only the kind: what they quote may have been sent.
            raise _AgainError(f"not reached ({type(inner).__name__})") from None
        return self._content(data)

    def _content(self, data: bytes) -> str:
        if len(data) > _LARGEST_ANSWER:
            raise _AgainError("the answer is too long")
        try:
            content = json.loads(data)["choices"][0]["message"]["content"]
        except (ValueError, KeyError, IndexError, TypeError, RecursionError):
            content = None
        if not isinstance(content, str):
            raise _AgainError("the answer is no completion")
        return content.replace(self._key, "...") if len(self._key) > 7 else content

    def _refused(self, status: int, retry_after: str | None) -> None:
        if status in _AGAIN or status >= 500:
            raise _AgainError(f"status {status}", _seconds(retry_after))
        if status in _WRONG:
            self._give_up(f"status {status}: {_WRONG[status]}")
        if status < 400:
            self._give_up(f"status {status}: it lies elsewhere. Give the address that it names")
        with self._lock:
            self._has_answered, self._in_a_row = True, 0
        raise NoAnswerError(f"refused with status {status}")

    def _give_up(self, reason: str) -> None:
        self._fault = EndpointError(
            f"`llm_endpoint` {self.url} cannot be used: {reason}. What was answered is kept: run "
            "the same command again to go on."
        )
        self._closed.set()
        raise self._fault


class _AgainError(Exception):
    """What may be another at the next try."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like any other."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def _key() -> str:
    for name in KEY_VARIABLES:
        key = os.environ.get(name, "").strip()
        if key and not (key.isascii() and key.isprintable()):
            raise ValueError(f"`{name}` in the environment must be a key: printable ASCII alone.")
        if key:
            return key
    return ""


def _waiting(request: dict[str, Any], attempt: int, retry_after: float | None) -> float:
    """Seconds before the next try: as long as the endpoint says, else ever longer, and not all
    threads at once."""
    if retry_after is not None:
        return min(retry_after, _LONGEST_RETRY_AFTER)
    wait = min(_FIRST_WAIT * 2**attempt, _LONGEST_WAIT)
    share: float = derive_seed(int(request.get("seed", 0)), "wait", attempt) / 2**63
    return wait * (0.5 + share)


def _seconds(retry_after: str | None) -> float | None:
    """Of a `Retry-After`: seconds, or a date."""
    if retry_after is None:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        until = email.utils.parsedate_to_datetime(retry_after).timestamp()
    except (ValueError, TypeError):
        return None
    return max(0.0, until - time.time())
