"""The size at which the networks see a source."""

import math

GEOMETRIES = ("square", "bucket")
OUTPUT_SIZES = ("source", "model")
# Width : height of the aspect buckets; the tall ones are the same turned.
_ASPECTS = (1.0, 4 / 3, 16 / 9, 2.5)


def buckets(resolution: int, multiple: int) -> list[tuple[int, int]]:
    """(height, width) of every aspect bucket, all of about `resolution` squared pixels."""

    def side(length: float) -> int:
        return max(1, round(length / multiple)) * multiple

    aspects = [*(1 / a for a in reversed(_ASPECTS[1:])), *_ASPECTS]
    sizes = [(side(resolution / math.sqrt(a)), side(resolution * math.sqrt(a))) for a in aspects]
    return list(dict.fromkeys(sizes))


def network_size(
    height: int, width: int, *, resolution: int, geometry: str, multiple: int
) -> tuple[int, int]:
    """(height, width) at which the networks see a (height, width) source.

    Args:
        resolution: side of the square, in pixels.
        geometry: `square` for all sources, or `bucket`: the nearest aspect of a few.
        multiple: both sides are a multiple of this many pixels.

    Raises:
        ValueError: an unknown geometry, or a resolution that does not fit the networks.
    """
    if geometry not in GEOMETRIES:
        raise ValueError(f"`geometry` must be one of {GEOMETRIES}. Got {geometry!r}.")
    if resolution < multiple or resolution % multiple:
        below = max(1, resolution // multiple) * multiple
        raise ValueError(
            f"`resolution` must be a multiple of {multiple} for this pipeline. Got {resolution}; "
            f"{below} would do."
        )
    if geometry == "square":
        return resolution, resolution
    return min(
        buckets(resolution, multiple),
        key=lambda size: abs(math.log((size[1] / size[0]) / (width / height))),
    )
