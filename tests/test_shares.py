"""Work is shared out evenly, whole and without overlap, whatever is done already."""

import random

import pytest

from scribblegen.runs.shards import default_sources_per_shard, plan_units
from scribblegen.runs.shares import Part, share_out


def units_of(num_sources, per_shard=None, test=0):
    per_shard = per_shard or default_sources_per_shard(num_sources)
    return [*plan_units("train", num_sources, per_shard), *plan_units("test", test, per_shard)]


def sources(parts):
    return [(part.unit.name, i) for part in parts for i in range(part.start, part.stop)]


def costs(shares):
    return [
        sum(part.stop - part.start for part in share if part.unit.split == "train")
        for share in shares
    ]


@pytest.mark.parametrize("num_processes", [1, 2, 3, 8, 64])
@pytest.mark.parametrize("num_sources, per_shard", [(1449, None), (12, 2), (250_000, None), (3, 8)])
def test_every_process_gets_the_same_number_of_sources(num_sources, per_shard, num_processes):
    shares = share_out(
        units_of(num_sources, per_shard, test=20), [], num_processes, costly=["train"]
    )
    assert max(costs(shares)) - min(costs(shares)) <= 1
    made = sources(part for share in shares for part in share)
    expected = sources(map(Part.whole, units_of(num_sources, per_shard, test=20)))
    assert sorted(made) == sorted(expected)


def test_the_longest_process_works_two_percent_longer_at_most():
    """P4: 1449 sources, 8 processes; a contiguous split of the list by ratio has 1.71."""
    shares = share_out(units_of(1449), [], 8, costly=["train"])
    assert max(costs(shares)) / (sum(costs(shares)) / 8) <= 1.02
    shares = share_out(units_of(250_000), [], 64, costly=["train"])
    assert max(costs(shares)) / (sum(costs(shares)) / 64) <= 1.02


def test_most_units_stay_whole():
    shares = share_out(units_of(250_000), [], 64, costly=["train"])
    parts = [part for share in shares for part in share]
    assert sum(not part.is_whole for part in parts) <= 3 * 64
    assert sum(part.is_whole for part in parts) >= 0.9 * len(units_of(250_000))


def test_what_is_made_already_is_not_made_again():
    rng = random.Random(0)
    for _ in range(200):
        units = units_of(rng.randint(1, 60), rng.randint(1, 9), test=rng.randint(0, 5))
        begun = rng.sample(units, rng.randint(0, len(units)))
        finished = []
        for unit in begun:
            for start in range(unit.start, unit.stop):
                if unit.split == "train" and rng.random() < 0.4:
                    finished.append(Part(unit, start, start + 1))
        shares = share_out(units, finished, rng.randint(1, 7), costly=["train"])
        made = [*sources(part for share in shares for part in share), *sources(finished)]
        assert sorted(made) == sorted(sources(map(Part.whole, units)))
        assert max(costs(shares)) - min(costs(shares)) <= 1


def test_one_process_makes_whole_units_only():
    (share,) = share_out(units_of(100, 8, test=9), [], 1, costly=["train"])
    assert all(part.is_whole for part in share)
