"""The size at which the networks see a source."""

import math

import pytest

from scribblegen.families.stable_diffusion.geometry import buckets, network_size

SIZES = [(375, 500), (500, 375), (333, 500), (1, 1), (64, 64), (1, 4000), (4000, 1), (1080, 1920)]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_the_square_is_the_same_for_every_source(height: int, width: int) -> None:
    size = network_size(height, width, resolution=512, geometry="square", multiple=8)
    assert size == (512, 512)


@pytest.mark.parametrize("multiple", [8, 64])
def test_buckets_are_few_of_one_area_and_fit_the_networks(multiple: int) -> None:
    sizes = buckets(512, multiple)
    assert len(sizes) == len(set(sizes)) == 7
    assert (512, 512) in sizes and {(w, h) for h, w in sizes} == set(sizes)
    for height, width in sizes:
        assert height % multiple == width % multiple == 0
        assert height * width == pytest.approx(512**2, rel=0.1)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_the_bucket_is_the_nearest_aspect(height: int, width: int) -> None:
    def distance(size: tuple[int, int]) -> float:
        return abs(math.log(size[1] / size[0]) - math.log(width / height))

    size = network_size(height, width, resolution=512, geometry="bucket", multiple=8)
    assert size in buckets(512, 8)
    assert distance(size) == pytest.approx(min(map(distance, buckets(512, 8))))
    assert (size[0] > size[1]) == (height > width) and (size[0] < size[1]) == (height < width)


def test_a_turned_source_gets_the_turned_bucket() -> None:
    for height, width in SIZES:
        one = network_size(height, width, resolution=256, geometry="bucket", multiple=64)
        other = network_size(width, height, resolution=256, geometry="bucket", multiple=64)
        assert one == other[::-1]


def test_the_smallest_resolution_still_has_sides() -> None:
    assert all(min(size) >= 64 for size in buckets(64, 64))


@pytest.mark.parametrize("geometry", ["square", "bucket"])
@pytest.mark.parametrize(
    ("resolution", "near"), [(500, 448), (513, 512), (32, 64), (0, 64), (-64, 64)]
)
def test_a_resolution_that_does_not_fit_is_refused_with_one_that_does(
    geometry: str, resolution: int, near: int
) -> None:
    with pytest.raises(ValueError, match=rf"`resolution` .*Got {resolution}; {near} would do"):
        network_size(10, 10, resolution=resolution, geometry=geometry, multiple=64)
    size = network_size(10, 10, resolution=near, geometry=geometry, multiple=64)
    assert size == (near, near)


def test_an_unknown_geometry_is_refused() -> None:
    with pytest.raises(ValueError, match="`geometry` must be one of .*Got 'round'"):
        network_size(10, 10, resolution=64, geometry="round", multiple=8)
