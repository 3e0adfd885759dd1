"""What passes is tried again; what does not is said at once."""

import pytest

from scribblegen.hub import retry
from scribblegen.hub.retry import is_transient, retried


class Response:
    def __init__(self, status, headers=None):
        self.status_code, self.headers = status, headers or {}


def hub_error(status, headers=None):
    error = retry.HfHubHTTPError.__new__(retry.HfHubHTTPError)
    error.args = (f"{status} of the server",)
    error.response = Response(status, headers)
    return error


def caused(outer, inner):
    outer.__cause__ = inner
    return outer


@pytest.fixture
def waits(monkeypatch):
    found = []
    monkeypatch.setattr(retry.time, "sleep", found.append)
    monkeypatch.setattr(retry.random, "random", lambda: 0.0)
    return found


@pytest.mark.parametrize("status", [408, 409, 412, 425, 429, 500, 502, 503, 504])
def test_what_the_server_says_passes(status):
    assert is_transient(hub_error(status))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_the_server_says_stays(status):
    assert not is_transient(hub_error(status))


def test_an_upload_that_arrived_damaged_is_sent_again():
    outer = RuntimeError("Error while uploading 'x' to the Hub.")
    assert is_transient(caused(outer, hub_error(400)))
    assert not is_transient(caused(RuntimeError("Error while uploading 'x'"), hub_error(403)))


def test_lost_connections_pass_and_faults_of_ours_do_not():
    transport = type("TransportError", (Exception,), {"__module__": "httpx"})
    reading = type("ReadError", (transport,), {"__module__": "httpx"})
    assert is_transient(reading("gone")) and is_transient(ConnectionResetError())
    assert is_transient(caused(ValueError("x"), TimeoutError()))
    assert not is_transient(ValueError("x")) and not is_transient(OSError("disk full"))


def failing(*errors):
    left = list(errors)

    def call():
        if left:
            raise left.pop(0)
        return "done"

    return call


def test_waits_grow_or_are_what_the_server_asks_for(waits):
    calls = failing(hub_error(503), hub_error(500), hub_error(429, {"Retry-After": "7"}))
    assert retried(calls, "testing") == "done"
    assert waits == [1, 2, 7]


def test_a_wait_has_an_end(waits):
    with pytest.raises(retry.HfHubHTTPError):
        retried(failing(*[hub_error(503)] * 20), "testing", attempts=9)
    assert len(waits) == 8 and max(waits) == 60
    waits.clear()
    assert retried(failing(hub_error(429, {"Retry-After": "9999"})), "testing") == "done"
    assert waits == [60]


def test_what_does_not_pass_is_not_tried_again(waits):
    with pytest.raises(ValueError):
        retried(failing(ValueError("no")), "testing")
    assert waits == []
