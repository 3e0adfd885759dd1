"""Whether the values in a picture file are those that were written: ids and weights need that.

A photograph may lose a little on its way; a class id that changes is another class.
"""

import contextlib
import re

from PIL import Image

from scribblegen.picture_chunks import (
    PNG_SIGNATURE,
    DamagedChunkError,
    png_chunks,
    webp_chunks,
)

_LOSSY = {"JPEG": "a JPEG", "MPO": "a JPEG", "JPEG2000": "a JPEG 2000", "AVIF": "an AVIF"}
_LOSSLESS = {"PNG", "TIFF", "BMP", "DIB", "GIF", "PPM", "TGA", "PCX", "WEBP"}
_LOSSLESS_TIFF = {
    "raw",
    "tiff_ccitt",
    "group3",
    "group4",
    "tiff_lzw",
    "tiff_adobe_deflate",
    "tiff_deflate",
    "tiff_raw_16",
    "packbits",
    "lzma",
    "zstd",
}
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
_GREYMAP = re.compile(
    rb"P[25](?:\s+|#[^\n\r]*[\n\r])+\d+(?:\s+|#[^\n\r]*[\n\r])+\d+"
    rb"(?:\s+|#[^\n\r]*[\n\r])+(\d+)\s"
)


def png_damage(data: bytes) -> str | None:
    """What is wrong with the chunks of a PNG file; None where nothing is, and for other files.

    Every checksum is computed anew, since decoders pass over some. The file must end with the
    chunk that says so: what is cut off or follows was not written with the picture.
    """
    if not data.startswith(PNG_SIGNATURE):
        return None
    try:
        *_, last = png_chunks(data)
    except DamagedChunkError as error:
        return str(error)
    rest = len(data) - last.end
    return f"data follow its end (bytes: {rest})" if rest else None


def altered_values(picture: Image.Image, data: bytes) -> str | None:
    """Why the values that are read may be others than were written; None where they are the same.

    Args:
        picture: as PIL opened it.
        data: the file.

    Returns:
        The end of a sentence that says what the picture is.
    """
    kind = str(picture.format)
    if kind in _LOSSY:
        return f"{_LOSSY[kind]}, which changes values; PNG is needed"
    if kind not in _LOSSLESS:
        return f"of format {kind}, which is not known to keep values; PNG is needed"
    if kind == "WEBP" and not _is_lossless_webp(data):
        return "a lossy WebP, which changes values; PNG is needed"
    if kind == "TIFF":
        compression = picture.info.get("compression")
        if compression not in _LOSSLESS_TIFF:
            return f"a TIFF compressed by {compression}, which changes values; PNG is needed"
        if picture.mode != "1" and _tiff_tag(picture, _PHOTOMETRIC) == _WHITE_IS_ZERO:
            return "a TIFF in which 0 is white, so that values are read inverted; PNG is needed"
    if kind == "PPM" and picture.mode in ("L", "I"):
        largest = _GREYMAP.match(data)
        if largest is None or int(largest[1]) not in (255, 65535):
            return "a PGM whose largest value is not 255, so that values are scaled; PNG is needed"
    frames = getattr(picture, "n_frames", 1)
    return f"a file of {frames} pictures; one is needed" if frames > 1 else None


def _is_lossless_webp(data: bytes) -> bool:
    """Whether the picture of a WebP file, not animated, is in a lossless chunk."""
    names = set()
    with contextlib.suppress(DamagedChunkError):  # whatever is cut off follows the picture
        for chunk in webp_chunks(data):
            names.add(chunk.name)
    return b"VP8L" in names and b"VP8 " not in names


def _tiff_tag(picture: Image.Image, tag: int) -> object:
    return getattr(picture, "tag_v2", {}).get(tag)
