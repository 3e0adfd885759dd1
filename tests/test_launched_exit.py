"""A launched process that has done its work succeeds, whatever its libraries do at the end."""

import os
import signal
import subprocess
import sys

import pytest

# A function of C that aborts behind the interpreter's end, as a library's destructor may.
_SCRIPT = """
import atexit, ctypes, sys
from scribblegen.launched_exit import launched_exit
libc = ctypes.CDLL(None)
libc.__cxa_atexit(ctypes.cast(libc.abort, ctypes.c_void_p), None, None)
with launched_exit():
    atexit.register(print, "ended in order")
    {work}
"""


def ended(work: str, **environment: str) -> subprocess.CompletedProcess[str]:
    before = {k: v for k, v in os.environ.items() if k != "WORLD_SIZE"}
    return subprocess.run(
        [sys.executable, "-c", _SCRIPT.format(work=work)],
        env={**before, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="asks glibc for an abort at the end")
def test_a_launched_process_succeeds_though_a_library_aborts_behind_it():
    done = ended("print('done')", WORLD_SIZE="2")
    assert (done.returncode, done.stdout) == (0, "done\nended in order\n")
    assert ended("print('done')").returncode == -signal.SIGABRT  # without a launcher, as ever


@pytest.mark.parametrize("work", ["sys.exit(3)", "raise ValueError('wrong')"])
def test_a_failure_stays_one(work):
    failed = ended(work, WORLD_SIZE="2")
    assert failed.returncode != 0 and "ended in order" in failed.stdout
