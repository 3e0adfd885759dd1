"""The kinds of picture files that are opened, and how PIL opens them."""

import io
import os
import struct
import threading
import zlib

from PIL import Image

# TGA comes last: it is known by nothing at its beginning. MPO is opened as JPEG.
FORMATS = (
    *("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF", "JPEG2000"),
    *("DIB", "PCX", "TGA"),
)
NOT_READ = (
    "not a picture file of a kind that is read (JPEG, PNG, WebP, TIFF, BMP, GIF, PPM, AVIF, "
    "JPEG 2000)"
)
# What PIL raises for damaged files, found by damaging some.
PIL_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    ArithmeticError,
    LookupError,
    AssertionError,
    RuntimeError,  # of damaged AVIF; what PIL has not implemented is one too
    Image.DecompressionBombError,  # of a later frame
    struct.error,
    zlib.error,
)
_LOCK = threading.Lock()
if hasattr(os, "register_at_fork"):  # else a child might be born with the lock taken for ever
    os.register_at_fork(
        before=_LOCK.acquire, after_in_parent=_LOCK.release, after_in_child=_LOCK.release
    )


def open_picture(data: bytes) -> Image.Image:
    """A picture of which the header is read, whatever its size; its pixels are not decoded yet.

    Raises:
        UnidentifiedImageError: it is of no kind in `FORMATS`.
        Exception: of the kinds in `PIL_ERRORS`, where it is damaged.
    """
    with _LOCK:  # PIL's limit is one for all threads: it is put aside no longer than needed
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(io.BytesIO(data), formats=FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = limit
