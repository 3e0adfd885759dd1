"""Perspective and erasing: an image and its maps are warped, or hidden in part, alike."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from scribblegen.trainers.segmentation.maps import Maps

# What a view shows where there is no image: the usual mean colour, which is zero to the network.
PADDING = (124, 116, 104)

ERASE_FILLS = ("noise", "mean")
ERASE_LABELS = ("keep", "ignore")
_SMALLEST_AREA = 0.02  # of what is shown; as in random erasing (arXiv 1708.04896), and
_ASPECT = (0.3, 1 / 0.3)  # height over width


@dataclass(frozen=True, eq=False)
class Shown:
    """What a view shows, before it is padded. Nothing of it is changed in place.

    Args:
        pixels: (h, w, 3) uint8.
        maps: (h, w) each, in its own type.
        visible: (h, w) bool, where it shows the image.
    """

    pixels: np.ndarray
    maps: Mapping[str, np.ndarray]
    visible: np.ndarray


@dataclass(frozen=True)
class Perspective:
    """Moves the four corners of what is shown, each by itself.

    The image is resized bilinearly, every map as its kind says, and what comes into view from
    outside is padding.

    Args:
        probability: in [0, 1].
        strength: a corner moves along each side by at most half this share of it, in or out; above
            0, below 0.5, at which corners could meet.
    """

    probability: float
    strength: float

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"`perspective` must be in [0, 1]. Got {self.probability}.")
        if not 0 < self.strength < 0.5:
            raise ValueError(
                f"`perspective_strength` must be above 0 and below 0.5. Got {self.strength}."
            )

    def __call__(self, shown: Shown, kinds: Maps, rng: np.random.Generator) -> Shown:
        """As it is, or warped."""
        if rng.random() >= self.probability:
            return shown
        height, width = shown.visible.shape
        corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], float)
        moves = rng.uniform(-self.strength / 2, self.strength / 2, (4, 2)) * (width, height)
        warp = _homography(corners + moves, corners)

        def warped(
            values: np.ndarray, resampling: Image.Resampling, fill: float | tuple[float, ...]
        ) -> np.ndarray:
            image = Image.fromarray(values)
            size, method = image.size, Image.Transform.PERSPECTIVE
            return np.asarray(image.transform(size, method, warp, resampling, fillcolor=fill))

        return Shown(
            warped(shown.pixels, Image.Resampling.BILINEAR, PADDING),
            {  # PIL tells integers from floats
                name: warped(
                    values, kinds[name].resampling, values.dtype.type(kinds[name].pad).item()
                )
                for name, values in shown.maps.items()
            },
            warped(shown.visible.astype(np.uint8), Image.Resampling.NEAREST, 0) > 0,
        )


@dataclass(frozen=True)
class Erasing:
    """Hides a rectangle, as something that stands before what is there (arXiv 1708.04896).

    Its label is kept: the segmentor learns to tell what is hidden from what is around it. A patch
    is of no class, and no photograph shows one, so that nothing else can be said of it. `ignore`
    is for losses that follow colours, such as those of CRFs: the patch is then as padding.

    Args:
        probability: in [0, 1].
        largest: share of what is shown that is hidden at most; at least 0.02, at most 1.
        fill: `noise`, every pixel by itself, or `mean`, the colour of padding.
        label: `keep`, or `ignore`: every map has its pad value there.
    """

    probability: float
    largest: float = 0.2
    fill: str = "noise"
    label: str = "keep"

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"`erase` must be in [0, 1]. Got {self.probability}.")
        if not _SMALLEST_AREA <= self.largest <= 1:
            raise ValueError(f"`erase_area` must be in [{_SMALLEST_AREA}, 1]. Got {self.largest}.")
        for name, value, known in (
            ("erase_fill", self.fill, ERASE_FILLS),
            ("erase_label", self.label, ERASE_LABELS),
        ):
            if value not in known:
                raise ValueError(f"`{name}` must be one of {known}. Got {value!r}.")

    def __call__(self, shown: Shown, kinds: Maps, rng: np.random.Generator) -> Shown:
        """As it is, or with a rectangle hidden."""
        if rng.random() >= self.probability:
            return shown
        area = rng.uniform(_SMALLEST_AREA, self.largest) * shown.visible.size
        aspect = np.exp(rng.uniform(*np.log(_ASPECT)))
        sides = (np.sqrt(area * aspect), np.sqrt(area / aspect))
        patch = np.zeros_like(shown.visible)
        place = tuple(
            _stretch(round(float(side)), most, rng)
            for side, most in zip(sides, patch.shape, strict=True)
        )
        patch[place] = True
        patch &= shown.visible  # padding stays what it is
        colours: np.ndarray | tuple[int, ...] = PADDING
        if self.fill == "noise":
            colours = rng.integers(0, 256, shown.pixels.shape, np.uint8)
        pixels = np.where(patch[..., None], np.array(colours, np.uint8), shown.pixels)
        if self.label == "keep":
            return Shown(pixels, shown.maps, shown.visible)
        return Shown(
            pixels,
            {
                name: np.where(patch, values.dtype.type(kinds[name].pad), values)
                for name, values in shown.maps.items()
            },
            shown.visible & ~patch,
        )


def _stretch(length: int, most: int, rng: np.random.Generator) -> slice:
    """A random stretch of so many of `most` pixels, at least one."""
    length = min(max(1, length), most)
    first = int(rng.integers(most - length + 1))
    return slice(first, first + length)


def _homography(points: np.ndarray, images: np.ndarray) -> list[float]:
    """The projective map that takes four points (4, 2) to four others, as its first 8 numbers: a
    point (x, y) goes to ((ax + by + c) / w, (dx + ey + f) / w), w = gx + hy + 1."""
    lines = []
    for (x, y), (u, v) in zip(points, images, strict=True):
        lines.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        lines.append([0, 0, 0, x, y, 1, -v * x, -v * y])
    return [float(value) for value in np.linalg.solve(lines, images.ravel())]
