"""Sums over all pairs, on a lattice against all of them; what the field makes of rough maps."""

import pytest
import torch
import torch.nn.functional as F

from scribblegen.builders.config import ScenesConfig
from scribblegen.builders.sources import open_source
from scribblegen.segmenting.affinity_sums import affinity_sums
from scribblegen.segmenting.crf import dense_crf
from scribblegen.segmenting.lattice import Lattice
from scribblegen.trainers.segmentation.confusion import confusion_matrix, scores
from tests.benchmarks.crf_speed import rough_maps


def test_the_sums_are_those_over_all_pairs():
    random = torch.Generator().manual_seed(0)
    values, features = (torch.randn(k, 40, generator=random) for k in (2, 5))
    squares = (features[:, :, None] - features[:, None]).square().sum(dim=0)
    expected = values @ torch.exp(-0.5 * squares)
    torch.testing.assert_close(affinity_sums(values, features), expected, rtol=1e-4, atol=1e-4)


def test_one_update_of_the_exact_field_is_its_formula():
    random = torch.Generator().manual_seed(0)
    maps = torch.softmax(torch.randn(3, 4, 5, generator=random), dim=0)
    image = torch.randint(0, 256, (3, 4, 5), generator=random, dtype=torch.uint8)
    place = torch.cartesian_prod(torch.arange(4.0), torch.arange(5.0))
    colour = image.float().flatten(1).T
    message = torch.zeros(3, 20)
    for weight, distances in (
        (2.0, torch.cdist(place, place) ** 2 / 6**2 + torch.cdist(colour, colour) ** 2 / 30**2),
        (1.0, torch.cdist(place, place) ** 2 / 2**2),
    ):
        kernel = torch.exp(-0.5 * distances)
        sums = kernel.sum(dim=1)
        kernel = kernel / (sums[:, None] * sums).sqrt()
        for label in range(3):
            unlike = [k for k in range(3) if k != label]
            message[label] -= weight * (maps.flatten(1)[unlike].sum(dim=0) @ kernel)
    expected = torch.softmax(maps.flatten(1).log() + message, dim=0).view(3, 4, 5)
    found = dense_crf(
        maps,
        image,
        steps=1,
        appearance_weight=2.0,
        sigma_xy=6.0,
        sigma_rgb=30.0,
        smoothness_weight=1.0,
        sigma_smooth=2.0,
        method="exact",
    )
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("dimensions", [1, 2, 5])
def test_the_lattice_is_near_to_the_sums_up_to_a_factor(dimensions):
    random = torch.Generator().manual_seed(1)
    features = 2 * torch.rand(dimensions, 2000, generator=random)
    values = torch.rand(3, 2000, generator=random)
    lattice = Lattice(features)
    ratio = lattice.sums(values) / affinity_sums(values, features)
    assert float(ratio.std() / ratio.mean()) < 0.05
    one, other = (torch.rand(1, 2000, generator=random) for _ in range(2))
    forth, back = (one * lattice.sums(other)).sum(), (other * lattice.sums(one)).sum()
    torch.testing.assert_close(forth, back)


@pytest.mark.parametrize("labels", [2, None])
def test_the_fast_field_finds_what_the_exact_one_finds(labels):
    source = open_source(ScenesConfig(ids="0:3", scene_size=64))
    classes = labels or len(source.classes)
    matrix = 0
    for index in range(len(source)):
        scene = source.load(index)
        image = torch.from_numpy(scene.image.copy()).permute(2, 0, 1)
        maps = rough_maps(torch.from_numpy(scene.mask.copy()), classes, seed=index)
        fast, exact = (
            dense_crf(maps, image, steps=5, method=method).argmax(dim=0).numpy()
            for method in ("fast", "exact")
        )
        matrix = matrix + confusion_matrix(fast, exact, classes)
    assert scores(matrix)["mean_iou"] > 0.98


def test_it_mends_what_does_not_follow_the_image():
    image = torch.full((3, 40, 40), 60, dtype=torch.uint8)
    image[:, 8:32, 8:32] = 200
    mask = (image[0] > 100).long()
    random = torch.Generator().manual_seed(0)
    noise = torch.rand(1, 2, 10, 10, generator=random)
    maps = F.one_hot(mask, 2).permute(2, 0, 1) + 1.5 * F.interpolate(noise, size=(40, 40))[0]
    maps = maps / maps.sum(dim=0)
    kept, shown = maps.clone(), image.clone()
    found = dense_crf(maps, image)
    assert (maps.argmax(dim=0) != mask).any() and (found.argmax(dim=0) == mask).all()
    torch.testing.assert_close(found.sum(dim=0), torch.ones(40, 40))
    assert torch.equal(maps, kept) and torch.equal(image, shown)


def test_the_order_of_labels_does_not_matter():
    random = torch.Generator().manual_seed(0)
    maps = torch.softmax(torch.randn(4, 12, 16, generator=random), dim=0)
    image = torch.randint(0, 256, (3, 12, 16), generator=random, dtype=torch.uint8)
    turned = dense_crf(maps.flip(0), image).flip(0)
    torch.testing.assert_close(dense_crf(maps, image), turned, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1)])
def test_pictures_of_a_line_or_a_pixel(size):
    maps = torch.full((2, *size), 0.5)
    assert torch.isfinite(dense_crf(maps, torch.zeros(3, *size))).all()


@pytest.mark.parametrize(
    ("maps", "image", "options", "said"),
    [
        ((1, 4, 4), (3, 4, 4), {}, "K at least 2. Got .1, 4, 4."),
        ((2, 4, 4), (3, 4, 5), {}, r"`image` must be \(3, 4, 4\)"),
        ((2, 4, 4), (3, 4, 4), {"sigma_rgb": 0}, "above 0"),
        ((2, 4, 4), (3, 4, 4), {"method": "slow"}, "fast or exact"),
    ],
)
def test_what_does_not_fit_is_said(maps, image, options, said):
    with pytest.raises(ValueError, match=said):
        dense_crf(torch.rand(maps), torch.zeros(image), **options)
