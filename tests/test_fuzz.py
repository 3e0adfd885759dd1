"""Damaged and hostile files: every one is a value, a rejection or a named error.

`pytest tests/test_fuzz.py --fuzz_inputs 20000` tries more of them; `python -m tests.fuzz` writes
one out, by its kind, its number and its seed.
"""

import pytest

from tests.fuzz.room import ROOM, fuzz

SEED = 0


@pytest.mark.parametrize("kind", ROOM)
def test_bad_files_are_values_rejections_or_named_errors(kind, tmp_path, request):
    count = round(request.config.getoption("fuzz_inputs") * ROOM[kind].share)
    report = fuzz(kind, SEED, range(count), tmp_path)
    print(report)
    assert not report.faults, str(report)
