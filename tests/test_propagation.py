"""Maps spread along attention or affinity, and nowhere else."""

import torch

from scribblegen.segmenting.propagation import random_walk, spread_by_attention


def blocks(*sizes):
    """An affinity of places in groups: 1 within, 0 between."""
    return torch.block_diag(*[torch.ones(size, size) for size in sizes])


def test_a_walk_shares_within_what_belongs_together():
    maps = torch.tensor([[[1.0, 0.0, 0.0, 0.0, 0.6]]])
    walked = random_walk(maps, blocks(3, 2))
    expected = torch.tensor([[[1 / 3] * 3 + [0.3] * 2]])
    torch.testing.assert_close(walked, expected, atol=1e-5, rtol=1e-4)


def test_a_constant_map_stays_what_it_is():
    affinity = torch.rand(12, 12, generator=torch.Generator().manual_seed(0))
    affinity = ((affinity + affinity.T) / 2).fill_diagonal_(1)
    constant = torch.full((2, 3, 4), 0.45)
    for doublings in (0, 3, 8):
        torch.testing.assert_close(random_walk(constant, affinity, doublings=doublings), constant)


def test_a_walk_is_its_single_steps():
    affinity = torch.rand(6, 6, generator=torch.Generator().manual_seed(1))
    affinity = ((affinity + affinity.T) / 2).fill_diagonal_(1)
    maps = torch.rand(2, 2, 3, generator=torch.Generator().manual_seed(2))
    transition = affinity**4 / (affinity**4).sum(dim=0)
    expected = maps.flatten(1)
    for _ in range(8):
        expected = expected @ transition
    walked = random_walk(maps, affinity, power=4, doublings=3)
    torch.testing.assert_close(walked, expected.view(maps.shape))


def test_attention_spreads_to_places_that_attend_to_it():
    attention = torch.eye(4)
    attention[3] = torch.tensor([0.5, 0.0, 0.0, 0.5])  # the last place attends to the first too
    maps = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    spread = spread_by_attention(maps, attention.view(2, 2, 4), times=1)
    assert torch.allclose(spread, torch.tensor([[[1.0, 0.0], [0.0, 0.5]]]))
    twice = spread_by_attention(maps, attention.view(2, 2, 4), times=2)
    assert torch.allclose(twice, torch.tensor([[[1.0, 0.0], [0.0, 0.75]]]))


def test_spreading_never_divides_by_zero():
    assert not spread_by_attention(torch.zeros(1, 2, 2), torch.eye(4).view(2, 2, 4)).any()
