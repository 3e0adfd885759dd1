"""Whether a photograph's file holds nothing but what is needed to decode it.

A file stored as it is takes along all that nobody sees: metadata, comments, previews, a film after
the end. Each format is walked by its own structure from the first byte to the last, and whatever
is not known to be needed makes the file one that is encoded anew.

PNG is followed into its compressed data. The compressed pixels of JPEG and WebP are not decoded a
second time here: between a scan's last pixel and the next marker only text is found.
"""

import re
import struct
import zlib

from scribblegen.picture_chunks import PNG_SIGNATURE, png_chunks, webp_chunks

_MARKER = re.compile(rb"\xff(?![\x00\xd0-\xd7])")  # what ends the pixels of a JPEG's scan
_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended and progressive, with Huffman codes
_SOI, _EOI, _SOS, _DQT, _DHT, _DRI, _APP0, _APP14 = 0xD8, 0xD9, 0xDA, 0xDB, 0xC4, 0xDD, 0xE0, 0xEE
_ONCE = {*_FRAMES, _DRI, _APP0, _APP14}

# Beside IHDR, IDAT and IEND: how large and in which colours to show it. Each once, of this size.
_PNG_CHUNKS = {b"pHYs": 9, b"gAMA": 4, b"sRGB": 1, b"cHRM": 32}
# Of each pass of an interlaced PNG: its first column and their step, its first row and their step.
_ADAM7 = (
    (0, 8, 0, 8),
    (4, 8, 0, 8),
    (0, 4, 4, 8),
    (2, 4, 0, 4),
    (0, 2, 2, 4),
    (1, 2, 0, 2),
    (0, 1, 1, 2),
)
_PIECE = 2**20

_PRINTABLE = bytes(32 <= value < 127 or value in b"\t\n\r" for value in range(256))
_RUN, _LETTERS = b"\1" * 24, 10  # compressed pixels are not 24 printable characters, 10 of them new


def is_bare(data: bytes, file_format: str | None) -> bool:
    """Whether a file may be published as it is: 8-bit RGB pixels, and nothing beside them.

    Args:
        data: a file that decodes.
        file_format: as PIL names it. Of any but `JPEG`, `PNG` and `WEBP` the answer is no.

    Returns:
        False as well for a file that does not follow its format.
    """
    walk = {"JPEG": _bare_jpeg, "PNG": _bare_png, "WEBP": _bare_webp}.get(file_format or "")
    try:
        return walk is not None and walk(data)
    except (struct.error, IndexError, ValueError, zlib.error):  # it ends too early, or lies
        return False


def _bare_jpeg(data: bytes) -> bool:
    """Tables, one frame, its scans and the end; JFIF without a preview, and Adobe's colours."""
    if data[:2] != bytes((0xFF, _SOI)):
        return False
    place = 2
    seen: set[int] = set()
    while True:
        if data[place] != 0xFF:
            return False
        while data[place] == 0xFF:  # a marker may be preceded by any number of these
            place += 1
        marker = data[place]
        place += 1
        if marker == _EOI:
            return place == len(data)
        (size,) = struct.unpack_from(">H", data, place)
        body = data[place + 2 : place + size]
        if size < 2 or len(body) != size - 2:
            return False
        if not _bare_segment(marker, body) or (marker in seen and marker in _ONCE):
            return False
        seen.add(marker)
        place += size
        if marker == _SOS:
            end = _MARKER.search(data, place)
            if end is None or _holds_text(data[place : end.start()]):
                return False
            place = end.start()


def _bare_segment(marker: int, body: bytes) -> bool:
    """Whether a segment is one that a decoder needs, and is filled by what it must hold."""
    if marker in _FRAMES:
        return body[0] == 8 and body[5] == 3 and len(body) == 6 + 3 * 3
    if marker == _SOS:
        return len(body) == 4 + 2 * body[0]
    if marker == _DRI:
        return len(body) == 2
    if marker == _APP0:  # the last two bytes are the size of a preview
        return len(body) == 14 and body[:5] == b"JFIF\0" and body[12:] == b"\0\0"
    if marker == _APP14:
        return len(body) == 12 and body[:5] == b"Adobe"
    place = 0
    while marker == _DQT and place < len(body):
        place += 129 if body[place] >> 4 else 65
    while marker == _DHT and place < len(body):
        place += 17 + sum(body[place + 1 : place + 17])
    return marker in (_DQT, _DHT) and place == len(body)


def _bare_png(data: bytes) -> bool:
    """8 bits of RGB, and no more of them than the picture has."""
    if data[:8] != PNG_SIGNATURE:
        return False
    header, end = b"", 0
    names: list[bytes] = []
    pixels: list[bytes] = []
    for chunk in png_chunks(data):
        if chunk.name == b"IHDR":
            header = bytes(chunk.body)
        elif chunk.name == b"IDAT":
            pixels.append(bytes(chunk.body))
        elif len(chunk.body) != _PNG_CHUNKS.get(chunk.name, 0 if chunk.name == b"IEND" else -1):
            return False
        if chunk.name != b"IDAT" or names[-1] != b"IDAT":  # those of the pixels lie together
            names.append(chunk.name)
        end = chunk.end
    if end != len(data):
        return False
    if len(names) != len(set(names)) or names[0] != b"IHDR" or names[-1] != b"IEND":
        return False
    width, height, depth, colours, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    size = 0
    for left, right_by, top, down_by in _ADAM7 if interlaced else [(0, 1, 0, 1)]:
        columns, rows = -(-(width - left) // right_by), -(-(height - top) // down_by)
        size += rows * (1 + 3 * columns) if columns else 0  # each row begins with its filter
    return (depth, colours) == (8, 2) and _inflates_to(pixels, size)


def _inflates_to(pieces: list[bytes], size: int) -> bool:
    """Whether zlib's stream holds `size` bytes and ends with the last piece."""
    stream, found = zlib.decompressobj(), 0
    for piece in pieces:
        while piece:
            if stream.eof:
                return False
            found += len(stream.decompress(piece, _PIECE))
            piece = stream.unconsumed_tail
            if found > size:
                return False
    found += len(stream.flush())
    return stream.eof and not stream.unused_data and found == size


def _bare_webp(data: bytes) -> bool:
    """One chunk of pixels, which may stand after a header that announces nothing else."""
    riff, size, name = struct.unpack_from("<4sI4s", data)
    if riff != b"RIFF" or name != b"WEBP" or size != len(data) - 8:
        return False
    names: list[bytes] = []
    for chunk in webp_chunks(data):
        body = bytes(chunk.body)
        if chunk.name == b"VP8X" and (len(body) != 10 or any(body[:4])):
            return False
        if chunk.name != b"VP8X" and _holds_text(body):
            return False
        names.append(chunk.name)
    return names[:-1] in ([], [b"VP8X"]) and names[-1] in (b"VP8 ", b"VP8L")


def _holds_text(pixels: bytes) -> bool:
    printable = pixels.translate(_PRINTABLE)
    place = printable.find(_RUN)
    while place >= 0:
        if len(set(pixels[place : place + len(_RUN)])) >= _LETTERS:
            return True
        place = printable.find(_RUN, place + 1)
    return False
