"""Mosaics: views that show a grid of other draws, in which objects are small again.

A text-to-image model shows one large object; photographs show many, of any size. DiffuMask (arXiv
2303.11681) lays its images in grids of up to 8 x 8. Here a grid is made when it is shown, at the
size of the training crop, so that nothing large is ever written or decoded.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from scribblegen.trainers.segmentation.maps import DerivedMap, Maps

# How often the paper's code makes each, of 18,000; one of 1x2 and 2x1 is chosen there by a coin.
GRIDS = (
    "1x2:1500",
    "2x1:1500",
    "2x2:3000",
    "3x3:4000",
    "5x5:3000",
    "6x6:2000",
    "7x7:2000",
    "8x8:1000",
)


@dataclass(frozen=True)
class Grid:
    """So many rows and columns of tiles, and how often it is chosen beside others."""

    rows: int
    columns: int
    weight: float = 1.0

    @classmethod
    def parse(cls, text: str) -> "Grid":
        """From `ROWSxCOLUMNS`, or `ROWSxCOLUMNS:WEIGHT`.

        Raises:
            ValueError: it is neither, has less than two tiles, or a weight that is not above 0.
        """
        found = re.fullmatch(r"(\d{1,3})x(\d{1,3})(?::(\d+(?:\.\d+)?))?", text)
        grid = cls(int(found[1]), int(found[2]), float(found[3] or 1)) if found else None
        if grid is None or grid.rows * grid.columns < 2 or grid.weight <= 0:
            raise ValueError(
                "`splice_grids` must hold ROWSxCOLUMNS, of two tiles or more, or "
                f"ROWSxCOLUMNS:WEIGHT, such as 2x2 or 2x2:3000. Got {text!r}."
            )
        return grid


@dataclass(frozen=True)
class Splicing:
    """Which views are mosaics, and of which draws.

    Args:
        rate: probability that a view is one, in [0, 1].
        grids: that are chosen from, by their weights.
    """

    rate: float
    grids: tuple[Grid, ...]

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise ValueError(f"`splice_rate` must be in [0, 1]. Got {self.rate}.")
        if not self.grids:
            raise ValueError("`splice_grids` must hold at least one grid, such as 2x2.")

    def draw(
        self, rows: Sequence[int], position: int, rng: np.random.Generator
    ) -> tuple[tuple[int, int], tuple[int, ...]]:
        """What the view at a position of an epoch shows.

        Args:
            rows: all that the epoch draws, in order.
            position: of the view among them. Its row has a tile of its own.
            rng: of this view alone.

        Returns:
            Rows and columns of the grid, and the row in each tile, in reading order: other draws of
            the epoch, no draw twice where there are enough. (1, 1) and the row itself for a view
            that is no mosaic.
        """
        if rng.random() >= self.rate:
            return (1, 1), (rows[position],)
        weights = np.array([grid.weight for grid in self.grids])
        grid = self.grids[rng.choice(len(self.grids), p=weights / weights.sum())]
        number, others = grid.rows * grid.columns, len(rows) - 1
        if others:
            drawn = rng.choice(others, number - 1, replace=others < number - 1)
            tiles = [rows[d + (d >= position)] for d in drawn.tolist()]
        else:
            tiles = [rows[position]] * (number - 1)
        tiles.insert(int(rng.integers(number)), rows[position])
        return (grid.rows, grid.columns), tuple(tiles)


def mosaic(
    tiles: Iterable[Mapping[str, np.ndarray]],
    grid: tuple[int, int],
    side: int,
    maps: Maps,
    *,
    flip: float,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """A square made of tiles, which a view shows as it would show the image of a row.

    Every tile is filled: its image is resized, with its proportions, until it covers the tile, and
    what is over is cut off at a random place. Square images are whole in square tiles.

    Args:
        tiles: what the row of each tile holds, in reading order, see `Augmentation`; read one by
            one.
        grid: rows and columns.
        side: of the square, in pixels.
        maps: that lie over the images; those that are made of a view are left to it.
        flip: probability to mirror a tile.
        rng: of the places of the cuts and of the mirroring.

    Returns:
        `image` (side, side, 3) uint8 and the maps, (side, side), each in its own type.

    Raises:
        ValueError: a map is of several types, such as uint8 in one tile and float32 in another.
    """
    heights, widths = (_edges(side, number) for number in grid)
    kinds = {
        name: kind.resampling
        for name, kind in maps.items()
        if not (isinstance(kind, DerivedMap) and kind.of_view)
    }
    kinds["image"] = Image.Resampling.BILINEAR
    made: dict[str, np.ndarray] = {}
    for number, row in enumerate(tiles):
        across, down = number % grid[1], number // grid[1]
        place = (slice(*heights[down : down + 2]), slice(*widths[across : across + 2]))
        size = (place[1].stop - place[1].start, place[0].stop - place[0].start)
        box = _box(row["image"].shape[1::-1], size, rng)
        mirrored = rng.random() < flip
        for name, resampling in kinds.items():
            values = np.asarray(Image.fromarray(row[name]).resize(size, resampling, box=box))
            if name not in made:
                made[name] = np.empty((side, side, *values.shape[2:]), values.dtype)
            if made[name].dtype != values.dtype:
                raise ValueError(
                    f"`{name}` must be of one type in all rows that are spliced. Got "
                    f"{made[name].dtype} and {values.dtype}. Turn `splice` off, or write the "
                    "subsets alike."
                )
            made[name][place] = values[:, ::-1] if mirrored else values
    return made


def _edges(side: int, number: int) -> list[int]:
    """Where tiles begin, and where the last one ends; none is more than a pixel larger."""
    return [round(i * side / number) for i in range(number + 1)]


def _box(
    image: tuple[int, ...], tile: tuple[int, int], rng: np.random.Generator
) -> tuple[float, float, float, float]:
    """The part of an image, (width, height), that fills a tile: left, top, right, bottom."""
    factor = max(t / i for t, i in zip(tile, image, strict=True))
    spans = [min(t / factor, i) for t, i in zip(tile, image, strict=True)]
    left, top = (math.floor(rng.random() * (i - s)) for i, s in zip(image, spans, strict=True))
    return left, top, left + spans[0], top + spans[1]
