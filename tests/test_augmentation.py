"""An image and all its maps go through the same view."""

import hashlib

import numpy as np
import pytest

from scribblegen.trainers.segmentation.augmentation import Augmentation
from scribblegen.trainers.segmentation.maps import DerivedMap, LabelMap, WeightMap


def coded(height=60, width=90):
    """An image whose red channel says the label: 40 a class, in large blocks."""
    label = (np.arange(height)[:, None] // 15 + np.arange(width)[None] // 15) % 5
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = 40 * label + 20
    return {"image": image, "label": label.astype(np.uint8)}


def values_of(view):
    return view["image"], view["label"], view["inside"]


@pytest.mark.parametrize("scale", [(0.5, 2.0), (1.0, 1.0), (0.3, 0.4)])
@pytest.mark.parametrize("size", [(60, 90), (33, 20), (16, 200)])
def test_labels_stay_on_what_they_name(scale, size):
    augment = Augmentation(crop_size=48, scale=scale)
    row = coded(*size)
    rng = np.random.default_rng(0)
    for _ in range(30):
        view, labels, inside = values_of(augment(row, rng))
        assert view.shape == (48, 48, 3) and labels.shape == (48, 48)
        assert set(np.unique(labels)) <= {0, 1, 2, 3, 4, 255}
        kept = labels != 255
        assert np.array_equal(kept, inside)
        assert kept.any()
        agree = np.abs(view[..., 0][kept].astype(int) - (40 * labels[kept] + 20.0)) < 20
        assert agree.mean() > 0.75, "but for the blended borders of the image"


def test_what_is_outside_does_not_count():
    augment = Augmentation(crop_size=32, scale=(0.5, 0.5), flip=0.0)
    view, labels, _ = values_of(augment(coded(40, 40), np.random.default_rng(0)))
    assert (labels[:16, :16] != 255).all() and (labels[16:] == 255).all()
    assert (view[16:] == (124, 116, 104)).all()


def test_flips_mirror_all():
    always, never = (
        Augmentation(crop_size=48, scale=(1, 1), flip=p)(coded(48, 48), np.random.default_rng(0))
        for p in (1.0, 0.0)
    )
    assert all(np.array_equal(always[name][:, ::-1], never[name]) for name in never)


def test_the_same_generator_gives_the_same_view():
    augment = Augmentation(crop_size=40, blur=0.5, jitter=0.3)
    one, other = (augment(coded(), np.random.default_rng(5)) for _ in range(2))
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_colours_alone_change_no_label():
    row = coded(48, 48)
    plain = Augmentation(crop_size=48, scale=(1, 1), flip=0.0)
    strong = Augmentation(crop_size=48, scale=(1, 1), flip=0.0, blur=1.0, jitter=0.5)
    rng = np.random.default_rng(0)
    view = strong(row, rng)
    assert np.array_equal(view["label"], plain(row, rng)["label"])
    assert not np.array_equal(view["image"], row["image"])


# Label and inside, and image, of forty views, by SHA-256, as they were when there were but these.
# None where floats decide the last bit of a pixel.
KNOWN = [
    ({}, "e8fd57cab98faf21", "e249d664dd649c46"),
    ({"blur": 0.5}, "b8dab28f70d3b69e", "a8d6c784a2ad398c"),
    ({"scale": (1, 1)}, "61f5a8a8848e553a", "6465f92fc7617787"),
    ({"scale": (0.3, 0.4), "flip": 1.0}, "2bbdac085cb305f2", "7fa94f7dcdd65b7e"),
    ({"jitter": 0.3, "blur": 0.5}, "cdb107d0a3bfad71", None),
]


@pytest.mark.parametrize("maps", [{}, {"pseudo": LabelMap(), "weight": WeightMap(pad=9)}])
@pytest.mark.parametrize(("options", "label_digest", "image_digest"), KNOWN)
def test_views_are_what_they_were_whatever_maps_come_along(
    options, label_digest, image_digest, maps
):
    augment = Augmentation(crop_size=48, maps={"label": LabelMap(), **maps}, **options)
    labels, images = hashlib.sha256(), hashlib.sha256()
    for size in [(60, 90), (33, 20), (16, 200), (48, 48)]:
        rng = np.random.default_rng(7)
        row = coded(*size)
        row |= {name: row["label"] for name in maps}
        for _ in range(10):
            image, label, inside = values_of(augment(row, rng))
            labels.update(label.tobytes() + inside.tobytes())
            images.update(np.ascontiguousarray(image).tobytes())
    assert labels.hexdigest().startswith(label_digest)
    assert image_digest is None or images.hexdigest().startswith(image_digest)


MAPS = {
    "label": LabelMap(),
    "tags": LabelMap(pad=0),
    "near": WeightMap(),
    "far": WeightMap(pad=2.5),
}


@pytest.mark.parametrize("scale", [(0.5, 2.0), (0.3, 0.4)])
def test_every_map_is_cut_and_mirrored_as_the_image(scale):
    augment = Augmentation(crop_size=48, scale=scale, maps=MAPS)
    row = coded(60, 90)
    row["tags"] = row["label"] + np.uint8(10)
    row["near"] = row["image"][..., 0]
    row["far"] = row["near"].astype(np.float32) / 255
    rng = np.random.default_rng(0)
    for _ in range(20):
        view = augment(row, rng)
        inside = view["inside"]
        assert np.array_equal(view["tags"][inside], view["label"][inside] + 10)
        assert np.array_equal(view["near"][inside], view["image"][..., 0][inside])
        assert np.abs(view["far"][inside] * 255 - view["near"][inside]).max() <= 1
        assert [view[name].dtype for name in MAPS] == [np.uint8] * 3 + [np.float32]
        for name, kind in MAPS.items():
            assert (view[name][~inside] == kind.pad).all()


def test_labels_are_never_blended_and_weights_are():
    step = np.where(np.arange(20)[None] < 10, 0, 200).astype(np.uint8).repeat(20, axis=0)
    row = {"image": step[..., None].repeat(3, axis=2), "label": step, "weight": step}
    maps = {"label": LabelMap(), "weight": WeightMap()}
    view = Augmentation(crop_size=50, scale=(1, 1), maps=maps)(row, np.random.default_rng(0))
    assert set(np.unique(view["label"])) == {0, 200}
    assert len(np.unique(view["weight"])) > 2


def _share(ids):
    return np.full(ids.shape, (ids == 1).mean(), np.float32)


def test_weights_that_are_made_of_a_view_are_of_what_it_shows():
    maps = {"label": LabelMap(), "share": DerivedMap("label", _share, of_view=True, pad=7.0)}
    augment = Augmentation(crop_size=48, maps=maps)
    rng = np.random.default_rng(0)
    for _ in range(20):
        view = augment(coded(60, 90), rng)
        inside = view["inside"]
        assert np.allclose(view["share"][inside], (view["label"][inside] == 1).mean())
        assert view["share"].dtype == np.float32 and (view["share"][~inside] == 7).all()


def test_weights_that_are_made_of_the_whole_map_are_cut_from_it_and_never_blended():
    row = coded(60, 90)
    row["coded"] = row["label"].astype(np.float32) / 7
    maps = {"label": LabelMap(), "coded": DerivedMap("label", _share)}
    view = Augmentation(crop_size=48, maps=maps)(row, np.random.default_rng(3))
    inside = view["inside"]
    assert np.array_equal(view["coded"][inside], view["label"][inside].astype(np.float32) / 7)
    assert (view["coded"][~inside] == 0).all()


@pytest.mark.parametrize(
    "maps",
    [
        {},
        {"label": WeightMap()},
        {**MAPS, "inside": LabelMap()},
        {"label": LabelMap(), "share": DerivedMap("nothing", _share)},
        {**MAPS, "share": DerivedMap("near", _share)},
    ],
)
def test_maps_need_a_label_and_names_of_their_own(maps):
    with pytest.raises(ValueError, match="`maps` must"):
        Augmentation(crop_size=8, maps=maps)


@pytest.mark.parametrize(
    ("options", "named"),
    [({"crop_size": 0}, "crop_size"), ({"crop_size": 8, "scale": (2, 1)}, "scale")],
)
def test_bad_options_are_refused(options, named):
    with pytest.raises(ValueError, match=f"`{named}`"):
        Augmentation(**options)
