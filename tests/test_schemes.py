"""What each scheme draws, against the table of the paper's code."""

from collections import Counter

import pytest

from scribblegen.trainers.segmentation.schemes import SCHEMES, Scheme, TwinSet

N, REPLICATES = 6, 3


def twin_set(number, ratio, missing=()):
    first = 100 * (number + 1)
    rows = [tuple(first + REPLICATES * i + k for k in range(REPLICATES)) for i in range(N)]
    return TwinSet(f"s{ratio}", ratio, tuple(() if i in missing else r for i, r in enumerate(rows)))


SETS = tuple(twin_set(n, r) for n, r in enumerate((1.0, 0.5, 0.8)))  # not in their order


POOL = TwinSet("pool", 0.7, pool=tuple(range(900, 900 + 4 * N)))  # of no photograph


def scheme(name, **changes):
    options = {"num_real": N, "twin_sets": SETS, "num_epochs": 6, "iteration_matched": False}
    return Scheme(name=name, **{**options, **changes})


def kinds(rows):
    return Counter("real" if row < N else f"set{row // 100}" for row in rows)


@pytest.mark.parametrize(
    ("name", "changes", "length"),
    [
        ("none", {}, N),
        ("append", {"twin_sets": SETS[:1]}, 2 * N),
        ("append", {"twin_sets": SETS[:1], "twins_per_real": 2}, 3 * N),
        ("append", {}, 4 * N),
        ("uniform", {}, 2 * N),
        ("uniform", {"twins_per_real": 3}, 4 * N),
        ("curriculum", {}, 2 * N),
        ("adaptive", {}, 2 * N),
        ("replacement", {}, N),
        ("synthetic_only", {"twin_sets": SETS[:2]}, 2 * N),
    ],
)
def test_epochs_are_as_long_as_in_the_table(name, changes, length):
    made = scheme(name, **changes)
    assert made.epoch_length == len(made.epoch(3)) == length
    matched = scheme(name, **changes, iteration_matched=True)
    assert matched.epoch_length == len(matched.epoch(3)) == N


def test_append_draws_every_photograph_and_one_twin_of_each_once():
    rows = scheme("append", twin_sets=SETS[:1]).epoch(0)
    assert sorted(r for r in rows if r < N) == list(range(N))
    assert sorted((r - 100) // REPLICATES for r in rows if r >= N) == list(range(N))


def test_uniform_draws_each_set_as_often_as_the_others():
    made = scheme("uniform")
    counts = Counter()
    for epoch in range(200):
        counts.update(kinds(made.epoch(epoch)))
    assert counts["real"] == 200 * N
    assert all(abs(counts[f"set{k}"] / (200 * N) - 1 / 3) < 0.05 for k in (1, 2, 3))


@pytest.mark.parametrize("iteration_matched", [True, False])
def test_a_curriculum_goes_from_realistic_to_diverse(iteration_matched):
    made = scheme("curriculum", iteration_matched=iteration_matched)
    drawn = [set(kinds(made.epoch(e))) - {"real"} for e in range(6)]
    # Ratios 0.5, 0.8, 1.0 are sets 2, 3, 1.
    assert drawn == [{"set2"}, {"set2"}, {"set3"}, {"set3"}, {"set1"}, {"set1"}]
    assert [made.stage(e) for e in range(8)] == [0, 0, 1, 1, 2, 2, 2, 2]


def test_adaptive_draws_from_the_stage_it_is_told():
    made = scheme("adaptive")
    assert set(kinds(made.epoch(0, stage=2))) == {"real", "set1"}


@pytest.mark.parametrize("rate", [0.0, 0.4, 1.0])
def test_replacement_stands_in_for_the_photograph_itself(rate):
    made = scheme("replacement", replacement_rate=rate)
    replaced = 0
    for epoch in range(100):
        rows = made.epoch(epoch)
        sources = [r if r < N else (r % 100) // REPLICATES for r in rows]
        assert sorted(sources) == list(range(N))
        replaced += sum(r >= N for r in rows)
    assert replaced / (100 * N) == pytest.approx(rate, abs=0.06)


def test_pretraining_is_synthetic_then_real():
    made = scheme("pretrain")
    assert "real" not in kinds(made.epoch(2)) and set(kinds(made.epoch(3))) == {"real"}


def test_two_matched_epochs_make_a_whole_round_of_append():
    made = scheme("append", twin_sets=SETS[:1], iteration_matched=True)
    both = made.epoch(4) + made.epoch(5)
    assert sorted(r for r in both if r < N) == list(range(N)), "each photograph once"


@pytest.mark.parametrize("name", SCHEMES)
def test_an_epoch_is_the_same_whenever_it_is_asked_for(name):
    made = scheme(name)
    first = [made.epoch(e) for e in range(4)]
    assert [scheme(name).epoch(e) for e in reversed(range(4))] == first[::-1]
    assert first[0] != first[1]
    assert scheme(name, seed=1).epoch(0) != first[0]


def test_sources_without_a_twin_are_drawn_as_they_are():
    sets = (twin_set(0, 0.5, missing=(2,)),)
    rows = scheme("uniform", twin_sets=sets).epoch(0)
    assert Counter(rows)[2] == 2
    assert len(scheme("append", twin_sets=sets).epoch(0)) == 2 * N - 1


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("append", {}, {"real": N, "set9": N}),
        ("append", {"twins_per_real": 3}, {"real": N, "set9": 3 * N}),
        ("append", {"twins_per_real": 9}, {"real": N, "set9": 4 * N}),
        ("uniform", {}, {"real": N, "set9": N}),
        ("uniform", {"twins_per_real": 9}, {"real": N, "set9": 9 * N}),
        ("curriculum", {}, {"real": N, "set9": N}),
        ("adaptive", {}, {"real": N, "set9": N}),
        ("replacement", {"replacement_rate": 1.0}, {"set9": N}),
        ("synthetic_only", {"twins_per_real": 2}, {"set9": 2 * N}),
        ("pretrain", {}, {"set9": N}),
    ],
)
def test_a_set_of_no_photographs_is_drawn_as_a_pool(name, changes, expected):
    made = scheme(name, twin_sets=(POOL,), **changes)
    assert kinds(made.epoch(0)) == expected
    drawn = Counter(row for epoch in range(40) for row in made.epoch(epoch) if row >= N)
    if name != "pretrain":
        assert drawn.keys() == set(POOL.pool), "all of it, sooner or later"
    if name not in ("uniform", "replacement"):
        once = [row for row in made.epoch(0) if row >= N]
        assert len(once) == len(set(once)), "none twice in a round"
    matched = scheme(name, twin_sets=(POOL,), iteration_matched=True, **changes)
    assert matched.epoch_length == len(matched.epoch(1)) == N


def test_pools_and_twins_are_drawn_side_by_side():
    both = {"twin_sets": (*SETS, POOL)}
    assert kinds(scheme("append", **both).epoch(0)) == {
        "real": N,
        "set1": N,
        "set2": N,
        "set3": N,
        "set9": N,
    }
    # Orders 0.5, 0.7, 0.8, 1.0 are set 2, the pool, and sets 3 and 1.
    stages = [scheme("curriculum", **both, num_epochs=4).epoch(e) for e in range(4)]
    drawn = [set(kinds(rows)) - {"real"} for rows in stages]
    assert drawn == [{"set2"}, {"set9"}, {"set3"}, {"set1"}]
    for name in ("uniform", "replacement"):
        counts = Counter()
        for epoch in range(300):
            counts.update(kinds(scheme(name, **both, replacement_rate=1.0).epoch(epoch)))
        assert all(abs(counts[f"set{k}"] / (300 * N) - 1 / 4) < 0.05 for k in (1, 2, 3, 9))


@pytest.mark.parametrize("name", ["curriculum", "adaptive"])
def test_the_length_is_that_of_the_longest_stage(name):
    small = TwinSet("small", 0.1, pool=(800, 801))
    made = scheme(name, twin_sets=(small, POOL), num_epochs=2)
    assert [len(made.epoch(e)) for e in range(2)] == [N + 2, 2 * N]
    assert made.epoch_length == 2 * N


def test_photographs_without_twins_take_from_the_pool():
    none = TwinSet("twins", 0.5, ((),) * N)
    rows = scheme("uniform", twin_sets=(none, POOL)).epoch(0)
    assert kinds(rows) == {"real": N, "set9": N}


@pytest.mark.parametrize(
    ("name", "changes", "named"),
    [
        ("mixup", {}, "`scheme` must be one of"),
        ("append", {"twin_sets": ()}, "`synthetic`"),
        ("append", {"twin_sets": (TwinSet("empty", 0.0),)}, "`synthetic`"),
        ("append", {"twins_per_real": 0}, "`twins_per_real`"),
        ("replacement", {"replacement_rate": 2}, "`replacement_rate`"),
    ],
)
def test_what_cannot_be_is_refused(name, changes, named):
    with pytest.raises(ValueError, match=named):
        scheme(name, **changes)
