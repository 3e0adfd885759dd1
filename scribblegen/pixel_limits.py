"""How large a picture may be, known from its header before memory is taken for its pixels."""

MAX_PIXELS = 89_478_485  # a quarter of a gigabyte in RGB
LARGEST_MAX_PIXELS = 300_000_000


def size_fault(size: tuple[int, int], max_pixels: int) -> str | None:
    """Why a picture is too large; None where it is not.

    Args:
        size: width and height in pixels.
        max_pixels: how many there may be.

    Returns:
        The reason, for a rejection.
    """
    width, height = size
    if width * height <= max_pixels:
        return None
    told = f"{width}x{height} are {width * height:,} pixels, more than the {max_pixels:,}"
    may_be = f"which may be up to {LARGEST_MAX_PIXELS:,}"
    rest = f", {may_be}" if max_pixels < LARGEST_MAX_PIXELS else ""
    return f"dangerous size: {told} of `max_pixels`{rest}"
