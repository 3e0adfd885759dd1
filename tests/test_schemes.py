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
    ("name", "changes", "named"),
    [("mixup", {}, "`scheme` must be one of"), ("append", {"twin_sets": ()}, "`synthetic`"),
     ("append", {"twins_per_real": 0}, "`twins_per_real`"),
     ("replacement", {"replacement_rate": 2}, "`replacement_rate`")],
)  # fmt: skip
def test_what_cannot_be_is_refused(name, changes, named):
    with pytest.raises(ValueError, match=named):
        scheme(name, **changes)
