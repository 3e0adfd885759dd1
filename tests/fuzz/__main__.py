"""Writes one input of the fuzz test to a file, or tries many.

python -m tests.fuzz KIND NUMBER [--seed 0]     writes the input of that number, and tries it
python -m tests.fuzz KIND 0:5000 [--seed 0]     tries them all, and says which are faults
"""

import argparse
import tempfile
from pathlib import Path

from tests.fuzz.outcomes import fault_of
from tests.fuzz.room import ROOM, fuzz

parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
parser.add_argument("kind", choices=sorted(ROOM))
parser.add_argument("numbers", help="A number, or START:STOP.")
parser.add_argument("--seed", type=int, default=0)
given = parser.parse_args()
with tempfile.TemporaryDirectory() as made:
    start, _, stop = given.numbers.partition(":")
    if stop:
        print(fuzz(given.kind, given.seed, range(int(start), int(stop)), Path(made)))
    else:
        (Path(made) / "whole").mkdir()
        kind = ROOM[given.kind].kind(Path(made) / "whole")
        file = kind.input(given.seed, int(start))
        path = Path(f"fuzz-{given.kind}-{given.seed}-{start}{Path(file.name).suffix}")
        path.write_bytes(file.data)
        print(f"{path}: {len(file.data)} bytes in place of {file.name}")
        print(fault_of(kind, file) or "no fault")
