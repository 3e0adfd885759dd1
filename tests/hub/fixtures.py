"""Processes that talk to the loopback Hub: its address is read when the client is imported."""

import os
import subprocess
import sys
from pathlib import Path

from tests.hub.server import LoopbackHub

ROOT = Path(__file__).parents[2]
TOKEN = "hf_plantedTokenThatMustNotLeak"


def hub_environment(hub: LoopbackHub, home: Path) -> dict[str, str]:
    """Of a process that knows no other Hub, with an empty cache in `home`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    return {
        **kept,
        "HF_ENDPOINT": hub.address,
        "HF_HOME": str(home),
        "HF_TOKEN": TOKEN,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONWARNINGS": "ignore",
    }


def run_python(
    hub: LoopbackHub, home: Path, *arguments: str, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """`python ARGUMENTS`, in the environment of the loopback Hub."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=hub_environment(hub, home),
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert TOKEN not in done.stdout + done.stderr, "a token was printed"
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done


def scribblegen(hub: LoopbackHub, home: Path, *arguments: str, check: bool = True) -> str:
    """`scribblegen ARGUMENTS`; returns what it printed."""
    done = run_python(hub, home, "-m", "scribblegen", *arguments, check=check)
    return done.stdout + done.stderr
