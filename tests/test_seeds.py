"""Seeds depend on the root and on what is drawn, and on nothing else."""

import itertools

import numpy as np
import pytest

from scribblegen.seeds import derive_seed, numpy_generator


def test_a_seed_is_the_same_in_every_process_and_version() -> None:
    # Published rows are drawn again from their seed: these numbers must never change.
    assert derive_seed(0, "2007_000032", 0) == 301375198049825123
    assert derive_seed(7, "a", "drop") == 6483706078338060840


def test_seeds_fit_an_int64_column() -> None:
    seeds = [derive_seed(root, "a", i) for root in (0, -1, 2**70) for i in range(500)]
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert max(seeds) > 2**62  # all 63 bits are used


def test_every_part_and_the_order_of_parts_count() -> None:
    parts: list[str | int] = ["a", "b", "ab", "", "1", 1, 0, "0", "a\0b"]
    keys = [
        (root, combination)
        for root in (0, 1)
        for length in (0, 1, 2)
        for combination in itertools.product(parts, repeat=length)
    ]
    assert len({derive_seed(root, *drawn) for root, drawn in keys}) == len(keys)


def test_generators_of_equal_things_draw_equal_numbers() -> None:
    def draw(*key: str | int) -> list[float]:
        return list(numpy_generator(*key).random(4))  # type: ignore[arg-type]

    assert draw(0, "a", 1) == draw(0, "a", 1)
    assert not set(draw(0, "a", 1)) & (set(draw(0, "a", 2)) | set(draw(1, "a", 1)))


def test_the_global_state_is_neither_read_nor_written() -> None:
    np.random.seed(0)
    before = numpy_generator(0, "a").random()
    state = np.random.get_state()[1].tolist()  # type: ignore[index]
    np.random.seed(1)
    assert numpy_generator(0, "a").random() == before
    np.random.seed(0)
    assert np.random.get_state()[1].tolist() == state  # type: ignore[index]


def test_torch_takes_every_seed() -> None:
    torch = pytest.importorskip("torch")
    for index in range(50):
        seed = derive_seed(0, "source", index)
        assert torch.Generator().manual_seed(seed).initial_seed() == seed
