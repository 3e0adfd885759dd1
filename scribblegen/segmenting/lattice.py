"""Gaussian sums over all pairs in linear time: the permutohedral lattice (Adams et al. 2010).

Points are spread over the corners of the simplex that they lie in, the corners are blurred along
each direction of the lattice, and every point gathers from its corners again. In F dimensions a
simplex has F + 1 corners, where a grid's cell has 2^F: with colour and place 6 in place of 32. All
three steps are weighted sums of rows, so one function does them.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


class Lattice:
    """The corners that points use, and how they are blurred; made once, used for any values.

    Args:
        features: (F, P) float, in units of the Gaussian's deviation; at least one point.

    Raises:
        ValueError: the points lie too far apart: more than 2^62 places of the lattice between them.
    """

    def __init__(self, features: Tensor) -> None:
        origin, rank, barycentric = _simplices(features.T)
        dimensions, points = features.shape
        corner = torch.arange(dimensions + 1, device=features.device)
        # Corner r of a simplex is r steps from its origin in the coordinates of the lowest ranks.
        steps = corner[:, None] - (dimensions + 1) * (corner > dimensions - corner[:, None])
        keys = (origin[:, None] + steps[:, rank].movedim(0, 1)).flatten(0, 1)
        coordinates, self._corners = torch.unique(
            _packed(keys, keys), return_inverse=True, sorted=True
        )
        first = torch.full_like(coordinates, keys.shape[0]).scatter_reduce_(
            0, self._corners, torch.arange(len(keys), device=keys.device), "amin"
        )
        corners = keys[first]
        self._weights = barycentric
        self._corners = self._corners.view(points, dimensions + 1)
        self._order = self._corners.flatten().argsort(stable=True)
        counts = torch.bincount(self._corners.flatten(), minlength=len(corners))
        self._starts = counts.cumsum(0) - counts
        self._neighbours = [
            _neighbours(corners, keys, coordinates, axis) for axis in range(dimensions + 1)
        ]

    def __len__(self) -> int:
        """How many corners are used."""
        return len(self._starts)

    def sums(self, values: Tensor) -> Tensor:
        """(K, P) float -> (K, P): as `affinity_sums`, near to a common factor."""
        per_point = self._weights.shape[1]
        spread = F.embedding_bag(
            self._order // per_point,
            values.T.contiguous(),
            self._starts,
            mode="sum",
            per_sample_weights=self._weights.flatten()[self._order],
        )
        # Corners that nobody uses cut ways short, others in each order of the axes. In both orders,
        # the sums are symmetric, as the Gaussian is: a third of the error remains.
        blurred = self._blurred(spread, self._neighbours)
        blurred = blurred + self._blurred(spread, self._neighbours[::-1])
        return F.embedding_bag(
            self._corners, blurred, mode="sum", per_sample_weights=self._weights
        ).T

    def _blurred(self, values: Tensor, neighbours: Sequence[Tensor]) -> Tensor:
        """(M, K) -> (M, K): each corner with half of its two neighbours, axis after axis."""
        weights = values.new_tensor([1.0, 0.5, 0.5]).expand(len(values), 3).contiguous()
        for rows in neighbours:
            padded = F.pad(values, (0, 0, 0, 1))  # what a corner that is not used holds
            values = F.embedding_bag(rows, padded, mode="sum", per_sample_weights=weights)
        return values


def _simplices(points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(P, F) -> for each point the origin of its simplex (P, F + 1) int64, the rank of each of its
    coordinates (P, F + 1) int64, and its weights in the F + 1 corners (P, F + 1)."""
    dimensions = points.shape[1]
    side = dimensions + 1
    index = torch.arange(1, side, device=points.device)
    # Blurring adds to the variance; this spacing makes the whole a Gaussian of deviation 1.
    scaled = points * (math.sqrt(2 / 3) * side / torch.sqrt(index * (index + 1.0)))
    # Onto the plane whose coordinates sum to zero.
    later = scaled.flip(1).cumsum(1).flip(1)
    elevated = F.pad(later, (0, 1)) - F.pad(index * scaled, (1, 0))
    nearest = torch.round(elevated / side)
    off = nearest.sum(dim=1, keepdim=True).long()
    origin = nearest.long() * side
    order = (elevated - origin).argsort(dim=1, descending=True, stable=True)
    rank = torch.empty_like(order).scatter_(
        1, order, torch.arange(side, device=points.device).expand_as(order)
    )
    # Where the nearest place is not on the plane, the coordinates that were rounded most step back.
    rank = rank + off
    turn = (rank < 0).long() - (rank > dimensions).long()
    rank, origin = rank + turn * side, origin + turn * side
    height = (elevated - origin) / side
    weights = points.new_zeros(len(points), side + 1)
    weights.scatter_add_(1, dimensions - rank, height)
    weights.scatter_add_(1, side - rank, -height)
    weights[:, 0] += 1 + weights[:, side]
    return origin, rank, weights[:, :side].contiguous()


def _packed(keys: Tensor, known: Tensor) -> Tensor:
    """(N, F + 1) int64 -> (N,) int64, one number a place; -1 for places outside `known`'s range.

    The coordinates of a place sum to zero: the last one says nothing new.
    """
    low, high = known.amin(dim=0)[:-1], known.amax(dim=0)[:-1]
    extents = [int(extent) for extent in (high - low + 1)]
    if math.prod(extents) >= 1 << 62:
        raise ValueError(
            f"`features` must span fewer places of the lattice. Got {extents}: give larger "
            "deviations."
        )
    packed = keys.new_zeros(len(keys))
    for axis, extent in enumerate(extents):
        packed = packed * extent + (keys[:, axis] - low[axis])
    inside = ((keys[:, :-1] >= low) & (keys[:, :-1] <= high)).all(dim=1)
    return torch.where(inside, packed, -1)


def _neighbours(corners: Tensor, known: Tensor, sorted_: Tensor, axis: int) -> Tensor:
    """(M, 3): each corner's row, and those of its two neighbours along a direction; M if unused."""
    step = torch.ones_like(corners[0])
    step[axis] -= len(step)
    rows = [torch.arange(len(corners), device=corners.device)]
    for sign in (1, -1):
        packed = _packed(corners + sign * step, known)
        place = torch.searchsorted(sorted_, packed).clamp(max=len(sorted_) - 1)
        rows.append(torch.where(sorted_[place] == packed, place, len(corners)))
    return torch.stack(rows, dim=1)
