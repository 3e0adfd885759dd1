"""Mosaics: which draws they show, and that labels stay on what they name."""

from collections import Counter

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from scribblegen.classes import Classes
from scribblegen.trainers.segmentation.augmentation import Augmentation
from scribblegen.trainers.segmentation.augmentation_options import AugmentationOptions
from scribblegen.trainers.segmentation.maps import DerivedMap, LabelMap, WeightMap
from scribblegen.trainers.segmentation.schemes import Scheme, TwinSet
from scribblegen.trainers.segmentation.splicing import Grid, Splicing, mosaic
from scribblegen.trainers.segmentation.views import SchemeSampler, View, Views, collated

SIDE = 48
MAPS = {"label": LabelMap(), "weight": WeightMap(), "coded": WeightMap()}


def row_of(number, height=SIDE, width=SIDE):
    """An image of one colour, which says its number, as its maps do."""
    label = np.full((height, width), number, np.uint8)
    image = np.full((height, width, 3), 10 * number % 256, np.uint8)
    return {"image": image, "label": label, "weight": label, "coded": label.astype(np.float32)}


def splicing(*grids, rate=1.0):
    return Splicing(rate, tuple(map(Grid.parse, grids)))


class Rows:
    """Rows in memory, as `SegmentationRows` gives them; some of them photographs."""

    def __init__(self, rows, hidden=(), num_real=0):
        self.rows, self.hidden, self.num_real = rows, hidden, num_real
        self.classes = Classes(tuple("abcdefghij"))

    def __len__(self):
        return len(self.rows)

    def hidden_of(self, row):
        return self.hidden if row < self.num_real else ()

    def read(self, row):
        return self.rows[row]


@pytest.mark.parametrize("grid", [(1, 2), (2, 1), (2, 2), (3, 3), (5, 5), (7, 7)])
def test_every_tile_shows_its_row_in_every_map(grid):
    number = grid[0] * grid[1]
    rows = [row_of(n % 20, 30 + n, 70 - n) for n in range(number)]
    made = mosaic(rows, grid, SIDE, MAPS, flip=0.5, rng=np.random.default_rng(0))
    assert made.keys() == {"image", *MAPS}
    assert made["image"].shape == (SIDE, SIDE, 3) and made["label"].shape == (SIDE, SIDE)
    assert (made["image"][..., 1] == 10 * made["label"]).all()
    assert (made["label"] == made["weight"]).all() and (made["label"] == made["coded"]).all()
    assert [made[name].dtype for name in MAPS] == [np.uint8, np.uint8, np.float32]
    for n in range(number):
        down, across = divmod(n, grid[1])
        centre = (
            int((down + 0.5) * SIDE / grid[0]),
            int((across + 0.5) * SIDE / grid[1]),
        )
        assert made["label"][centre] == n % 20
    sizes = Counter(made["label"].ravel().tolist())
    assert set(sizes) == {n % 20 for n in range(number)}


@pytest.mark.parametrize("size", [(48, 48), (31, 80), (200, 47)])
def test_square_images_are_whole_and_others_keep_their_proportions(size):
    height, width = size
    label = (
        np.arange(width)[None] * 4 // width + 4 * (np.arange(height)[:, None] * 4 // height)
    ).astype(np.uint8)
    image = label[..., None].repeat(3, 2) * np.uint8(10)
    row = {"image": image, "label": label}
    maps = {"label": LabelMap()}
    made = mosaic([row] * 4, (2, 2), 64, maps, flip=0.0, rng=np.random.default_rng(1))
    corner = made["label"][:32, :32]
    held = Counter(corner.ravel().tolist())
    if height == width:
        assert held == {n: 64 for n in range(16)}, "all sixteen parts, each of a sixteenth"
    else:  # the shorter side is whole, and a part of the other has its own proportions
        parts = {n // 4 for n in held} if height < width else {n % 4 for n in held}
        assert parts == {0, 1, 2, 3}
        assert max(held.values()) <= 64 * max(size) / min(size) + 32


def test_a_tile_is_resized_once_from_its_image():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (64, 64, 3), np.uint8)
    label = (np.arange(64)[:, None] // 8 + np.arange(64)[None] // 8).astype(np.uint8) % 5
    row = {"image": image, "label": label}
    made = mosaic([row] * 4, (2, 2), 64, {"label": LabelMap()}, flip=0.0, rng=rng)
    assert np.array_equal(made["label"][:32, 32:], label[1::2, 1::2])


def test_maps_of_several_types_are_refused():
    other = {**row_of(2), "weight": np.zeros((SIDE, SIDE), np.float32)}
    with pytest.raises(ValueError, match="`weight` must be of one type.*uint8 and float32"):
        rng = np.random.default_rng(0)
        mosaic([row_of(1), other], (1, 2), SIDE, MAPS, flip=0.0, rng=rng)


def draws(made, rows, count, seed=0):
    return [made.draw(rows, p % len(rows), np.random.default_rng((seed, p))) for p in range(count)]


def test_a_view_s_own_row_has_one_tile_and_no_draw_is_shown_twice():
    rows = list(range(100, 200))
    for position, (grid, tiles) in enumerate(draws(splicing("5x5", "8x8", "2x3"), rows, 100)):
        assert len(tiles) == grid[0] * grid[1] == len(set(tiles))
        assert set(tiles) <= set(rows) and tiles.count(rows[position]) == 1


def test_a_row_that_is_drawn_twice_may_be_shown_twice():
    assert draws(splicing("2x2"), [7, 7, 8, 9], 1)[0][1].count(7) == 2


@pytest.mark.parametrize("rows", [[4], [4, 5]])
def test_few_draws_fill_a_large_grid(rows):
    for grid, tiles in draws(splicing("3x3"), rows, 5):
        assert grid == (3, 3) and len(tiles) == 9 and set(tiles) == set(rows)


def test_grids_are_chosen_by_rate_and_weight():
    made = splicing("1x2:1", "2x2:3", rate=0.4)
    counts = Counter(grid for grid, _ in draws(made, list(range(10)), 4000))
    assert counts[1, 1] / 4000 == pytest.approx(0.6, abs=0.03)
    assert counts[2, 2] / counts[1, 2] == pytest.approx(3, abs=0.5)
    assert all(grid == (1, 1) for grid, _ in draws(splicing("2x2", rate=0.0), [1, 2], 50))
    places = [tiles.index(3) for _, tiles in draws(splicing("2x2"), [3, 4, 5, 6, 7], 4000)[::5]]
    assert all(places.count(k) > 120 for k in range(4)), "the own row is anywhere"


def test_the_grids_of_the_paper_are_the_default():
    grids = AugmentationOptions(splice=True).splicing().grids
    assert sum(grid.weight for grid in grids) == 18_000
    shares = {(g.rows, g.columns): g.weight for g in grids}
    assert shares[1, 2] + shares[2, 1] == shares[2, 2] == shares[5, 5] == 3000
    assert shares[3, 3] == 4000 and shares[6, 6] == shares[7, 7] == 2000 and shares[8, 8] == 1000
    assert AugmentationOptions().splicing() is None
    AugmentationOptions().check_augmentation_options(crop_size=4)  # which no 8x8 fits into
    assert AugmentationOptions(splice=True, splice_rate=0.0).splicing() is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"splice_grids": ["1x1"]}, "`splice_grids` must hold .*Got '1x1'"),
        ({"splice_grids": ["0x4"]}, "Got '0x4'"),
        ({"splice_grids": ["2"]}, "Got '2'"),
        ({"splice_grids": ["2x2:0"]}, "Got '2x2:0'"),
        ({"splice_grids": ["2x2:-1"]}, "Got '2x2:-1'"),
        ({"splice_grids": []}, "`splice_grids` must hold at least one"),
        (
            {"splice": True, "splice_grids": ["2x33"]},
            "tiles of a pixel or more in a `crop_size` of 32. Got 2x33",
        ),
        ({"splice_rate": 1.5}, r"`splice_rate` must be in \[0, 1\]. Got 1.5"),
        ({"erase": -0.1}, r"`erase` must be in \[0, 1\]"),
        ({"erase_area": 0.01}, "`erase_area` must be in"),
        ({"erase_fill": "black"}, "`erase_fill` must be one of"),
        ({"erase_label": "drop"}, "`erase_label` must be one of"),
        ({"perspective": 2}, r"`perspective` must be in \[0, 1\]"),
        ({"perspective_strength": 0.5}, "`perspective_strength` must be above 0 and below 0.5"),
    ],
)
def test_what_means_nothing_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        AugmentationOptions(**changes).check_augmentation_options(32)


def noise_rows(count):
    rng = np.random.default_rng(0)
    return [
        {
            "image": rng.integers(0, 256, (40 + n, 60 - n, 3), np.uint8),
            "label": rng.integers(0, 5, (40 + n, 60 - n), np.uint8),
        }
        for n in range(count)
    ]


def loaded(rows, made, epochs=(0, 1), **options):
    pool = (TwinSet("pool", 0.0, pool=tuple(range(len(rows)))),)
    sampler = SchemeSampler(Scheme(name="synthetic_only", num_real=0, twin_sets=pool), made)
    views = Views(Rows(rows), Augmentation(crop_size=32, blur=0.5), seed=0)
    batches = DataLoader(views, batch_size=3, sampler=sampler, collate_fn=collated, **options)
    found = []
    for epoch in epochs:
        sampler.set_epoch(epoch)
        found += [batch["pixel_values"] for batch in batches]
    return torch.cat(found)


def test_mosaics_are_the_same_whatever_workers_read_and_from_wherever_one_goes_on():
    rows, made = noise_rows(11), splicing("2x2", "3x3", "1x2", rate=0.7)
    whole = loaded(rows, made)
    assert torch.equal(loaded(rows, made, num_workers=2), whole)
    assert torch.equal(loaded(rows, made, epochs=(1,)), whole[11:])
    plain = loaded(rows, None)
    same = [torch.equal(one, other) for one, other in zip(whole, plain, strict=True)]
    assert 0 < sum(same) < 14, "views that are no mosaics are what they were"
    sampled = SchemeSampler(
        Scheme(name="none", num_real=11),
        made,
    )
    assert list(sampled) == list(sampled)
    kept = [view.grid == (1, 1) for view in sampled]
    assert 0 < sum(kept) < 11


def test_tiles_are_of_the_epoch_s_own_draws():
    """A curriculum's mosaics hold nothing of another stage."""
    sets = tuple(TwinSet(f"{n}", n, pool=tuple(range(10 * n, 10 * n + 5))) for n in (1, 2))
    scheme = Scheme(name="curriculum", num_real=5, twin_sets=sets, num_epochs=2)
    sampler = SchemeSampler(scheme, splicing("3x3"))
    for epoch, other in ((0, 20), (1, 10)):
        sampler.set_epoch(epoch)
        shown = {tile for view in sampler for tile in view.tiles}
        assert not shown & set(range(other, other + 5)) and shown <= set(scheme.epoch(epoch))


def mosaic_view(rows, maps=None, **options):
    augment = Augmentation(crop_size=32, maps=maps or {"label": LabelMap()}, **options)
    return Views(rows, augment, seed=0)[View(0, 0, 0, (2, 2), (0, 1, 2, 3))]


def test_a_mosaic_fills_its_view_whatever_the_scale():
    view = mosaic_view(Rows([row_of(n) for n in range(4)]), scale=(0.2, 0.3))
    assert view["inside"].all() and view["pixel_values"].shape == (3, 32, 32)
    assert torch.equal(view["pixel_values"][0], 10 * view["labels"].byte())
    assert [int(view["labels"][y, x]) for y in (8, 24) for x in (8, 24)] == [0, 1, 2, 3]


def test_weights_of_a_view_are_made_of_the_mosaic_and_others_go_along():
    def share(ids):
        return np.full(ids.shape, (ids == 1).mean(), np.float32)

    rows = [row_of(n) | {"own": np.full((SIDE, SIDE), n / 8, np.float32)} for n in range(4)]
    maps = {
        "label": LabelMap(),
        "share": DerivedMap("label", share, of_view=True),
        "own": DerivedMap("label", share),
    }
    view = mosaic_view(Rows(rows), maps)
    assert (view["share"] == 0.25).all()
    assert torch.equal(view["own"], view["labels"].float() / 8)


def test_the_classes_of_a_mosaic_are_those_of_its_images():
    def drawn(rows):
        return mosaic_view(rows)["drawn"].nonzero()[:, 0].tolist()

    rows = [row_of(n) for n in (0, 3, 3, 7)]
    assert drawn(Rows(rows)) == [0, 3, 7]
    rows[1] = row_of(255)
    assert drawn(Rows(rows)) == [], "an image without a label may show any class"
    rows[1] = row_of(3)
    assert drawn(Rows(rows, hidden=(5,), num_real=1)) == [0, 3, 5, 7], "hidden is not absent"
