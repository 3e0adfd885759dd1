"""Image and label go through the same view."""

import numpy as np
import pytest

from scribblegen.trainers.segmentation.augmentation import Augmentation


def coded(height=60, width=90):
    """An image whose red channel says the label: 40 a class, in large blocks."""
    label = (np.arange(height)[:, None] // 15 + np.arange(width)[None] // 15) % 5
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = 40 * label + 20
    return image, label.astype(np.uint8)


@pytest.mark.parametrize("scale", [(0.5, 2.0), (1.0, 1.0), (0.3, 0.4)])
@pytest.mark.parametrize("size", [(60, 90), (33, 20), (16, 200)])
def test_labels_stay_on_what_they_name(scale, size):
    augment = Augmentation(crop_size=48, scale=scale)
    image, label = coded(*size)
    rng = np.random.default_rng(0)
    for _ in range(30):
        view, labels, inside = augment(image, label, rng)
        assert view.shape == (48, 48, 3) and labels.shape == (48, 48)
        assert set(np.unique(labels)) <= {0, 1, 2, 3, 4, 255}
        kept = labels != 255
        assert np.array_equal(kept, inside)
        assert kept.any()
        agree = np.abs(view[..., 0][kept].astype(int) - (40 * labels[kept] + 20.0)) < 20
        assert agree.mean() > 0.75, "but for the blended borders of the image"


def test_what_is_outside_does_not_count():
    view, labels, _ = Augmentation(crop_size=32, scale=(0.5, 0.5), flip=0.0)(
        *coded(40, 40), np.random.default_rng(0)
    )
    assert (labels[:16, :16] != 255).all() and (labels[16:] == 255).all()
    assert (view[16:] == (124, 116, 104)).all()


def test_flips_mirror_both():
    image, label = coded(48, 48)
    always, never = (
        Augmentation(crop_size=48, scale=(1, 1), flip=p)(image, label, np.random.default_rng(0))
        for p in (1.0, 0.0)
    )
    assert all(np.array_equal(a[:, ::-1], b) for a, b in zip(always, never, strict=True))


def test_the_same_generator_gives_the_same_view():
    augment = Augmentation(crop_size=40, blur=0.5, jitter=0.3)
    one, other = (augment(*coded(), np.random.default_rng(5)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_colours_alone_change_no_label():
    image, label = coded(48, 48)
    plain = Augmentation(crop_size=48, scale=(1, 1), flip=0.0)
    strong = Augmentation(crop_size=48, scale=(1, 1), flip=0.0, blur=1.0, jitter=0.5)
    rng = np.random.default_rng(0)
    view, labels, _ = strong(image, label, rng)
    assert np.array_equal(labels, plain(image, label, rng)[1])
    assert not np.array_equal(view, image)


@pytest.mark.parametrize(
    ("options", "named"),
    [({"crop_size": 0}, "crop_size"), ({"crop_size": 8, "scale": (2, 1)}, "scale")],
)
def test_bad_options_are_refused(options, named):
    with pytest.raises(ValueError, match=f"`{named}`"):
        Augmentation(**options)
