"""Random views of an image and of the maps that lie over it, always of all alike."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageFilter

from scribblegen.trainers.segmentation.distortions import PADDING, Erasing, Perspective, Shown
from scribblegen.trainers.segmentation.maps import ONLY_LABEL, DerivedMap, Maps, check_maps

_MIRRORED = Image.Transpose.FLIP_LEFT_RIGHT


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What may happen to a training image.

    Args:
        crop_size: side of the square that comes out.
        scale: range of the random scale, of the shorter side against `crop_size`; (1, 1) fits the
            shorter side to the crop.
        flip: probability to mirror.
        blur: probability of a Gaussian blur.
        jitter: largest relative change of brightness, contrast and saturation.
        perspective: a warp of what is shown, if any; after the colours, so that padding keeps its
            own.
        erasing: of a part of it, if any.
        maps: that lie over the image, by name, and how each is resized and padded.
    """

    crop_size: int
    scale: tuple[float, float] = (0.5, 2.0)
    flip: float = 0.5
    blur: float = 0.0
    jitter: float = 0.0
    perspective: Perspective | None = None
    erasing: Erasing | None = None
    maps: Maps = field(default_factory=lambda: ONLY_LABEL, hash=False)

    def __post_init__(self) -> None:
        if self.crop_size < 1:
            raise ValueError(f"`crop_size` must be at least 1. Got {self.crop_size}.")
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"`scale` must be two positive numbers in order. Got {self.scale}.")
        check_maps(self.maps)

    def __call__(
        self, row: Mapping[str, np.ndarray], rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """One random view.

        Args:
            row: `image` (H, W, 3) uint8, and every one of `maps` that is not made of the view,
                (H, W): uint8 class ids, uint8 or float32 weights. Nothing else is looked at.
            rng: of everything that is random; how much is drawn does not depend on the maps.
                Perspective and erasing draw from children of it, and move no other draw.

        Returns:
            `image` (crop_size, crop_size, 3) uint8; every map (crop_size, crop_size) in its own
            type, its pad value where the view leaves the image; and `inside` (crop_size,
            crop_size) bool, False there.
        """
        height, width = row["image"].shape[:2]
        low, high = np.log(self.scale)
        shorter = self.crop_size * float(np.exp(rng.uniform(low, high)))
        factor = shorter / min(height, width)
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        left, top = (_offset(side, self.crop_size, rng) for side in size)
        mirrored = rng.random() < self.flip
        # Only what the crop shows is resized: from this box of the source.
        box = (
            left / size[0] * width,
            top / size[1] * height,
            min(left + self.crop_size, size[0]) / size[0] * width,
            min(top + self.crop_size, size[1]) / size[1] * height,
        )
        shown = (min(self.crop_size, size[0]), min(self.crop_size, size[1]))
        picture = Image.fromarray(row["image"]).resize(shown, Image.Resampling.BILINEAR, box=box)
        laid = {
            name: Image.fromarray(row[name]).resize(shown, kind.resampling, box=box)
            for name, kind in self.maps.items()
            if not _is_of_view(kind)
        }
        if mirrored:  # here: PIL mirrors several times faster than NumPy
            picture = picture.transpose(_MIRRORED)
            laid = {name: map_.transpose(_MIRRORED) for name, map_ in laid.items()}
        if rng.random() < self.blur:
            picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.1, 1.0)))
        pixels = np.asarray(picture)
        if self.jitter:
            pixels = _jittered(pixels, self.jitter, rng)
        square = (self.crop_size, self.crop_size)
        values = {name: np.asarray(map_) for name, map_ in laid.items()}
        view = self._distorted(Shown(pixels, values, np.ones(pixels.shape[:2], bool)), rng)
        pixels, values, visible = view.pixels, dict(view.maps), view.visible
        for name, kind in self.maps.items():
            if isinstance(kind, DerivedMap) and kind.of_view:
                derived = kind.derive(values[kind.of])
                values[name] = np.where(visible, derived, derived.dtype.type(kind.pad))
        if shown == square:
            return {"image": pixels, **values, "inside": visible}
        place = (
            slice(0, shown[1]),
            slice(self.crop_size - shown[0], None) if mirrored else slice(0, shown[0]),
        )
        image = np.empty((*square, 3), np.uint8)
        image[:] = PADDING
        image[place] = pixels
        padded = {}
        for name, kind in self.maps.items():
            padded[name] = np.full(square, kind.pad, values[name].dtype)
            padded[name][place] = values[name]
        inside = np.zeros(square, bool)
        inside[place] = visible
        return {"image": image, **padded, "inside": inside}

    def _distorted(self, shown: Shown, rng: np.random.Generator) -> Shown:
        if self.perspective is None and self.erasing is None:
            return shown
        for distortion, own in zip((self.perspective, self.erasing), rng.spawn(2), strict=True):
            if distortion is not None:
                shown = distortion(shown, self.maps, own)
        return shown


def _is_of_view(kind: object) -> bool:
    return isinstance(kind, DerivedMap) and kind.of_view


def centre_crop(image: np.ndarray, label: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The centre square of an image whose shorter side is brought to `side`, and of its label."""
    height, width = label.shape
    factor = side / min(height, width)
    # The longer side is cut to whole pixels, as RLoss does.
    size = (max(side, int(width * factor)), max(side, int(height * factor)))
    left, top = round((size[0] - side) / 2), round((size[1] - side) / 2)
    box = (left, top, left + side, top + side)
    shown = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR).crop(box)
    classes = Image.fromarray(label).resize(size, Image.Resampling.NEAREST).crop(box)
    return np.asarray(shown), np.asarray(classes)


def _offset(side: int, crop: int, rng: np.random.Generator) -> int:
    return int(rng.integers(side - crop + 1)) if side > crop else 0


def _jittered(image: np.ndarray, most: float, rng: np.random.Generator) -> np.ndarray:
    """Brightness, contrast and saturation, each times 1 +- `most`."""
    brightness, contrast, saturation = rng.uniform(1 - most, 1 + most, 3)
    values = image.astype(np.float32) * brightness
    grey = values.mean(axis=2, keepdims=True)
    values = grey + saturation * (values - grey)
    mean = grey.mean()
    return np.clip(mean + contrast * (values - mean) + 0.5, 0, 255).astype(np.uint8)
