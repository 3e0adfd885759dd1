"""PNG and WebP files as the chunks that they are made of, without decoding a pixel."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Chunk:
    """One chunk.

    Args:
        name: four bytes.
        body: what is in it.
        end: where the next one begins in the file.
    """

    name: bytes
    body: memoryview
    end: int


class DamagedChunkError(ValueError):
    """A file that is not made of whole chunks; the message is the end of a sentence on it."""


def png_chunks(data: bytes) -> Iterator[Chunk]:
    """The chunks of a PNG file, up to its end; each checksum is computed anew.

    Raises:
        DamagedChunkError: a chunk is cut off or does not match its checksum, or there is no last.
    """
    view, place = memoryview(data), len(PNG_SIGNATURE)
    while place + 12 <= len(data):
        body_end = place + 8 + int.from_bytes(view[place : place + 4], "big")
        name = bytes(view[place + 4 : place + 8])
        told = f"chunk {ascii(name.decode('latin-1'))}"
        if body_end + 4 > len(data):
            raise DamagedChunkError(f"{told} is cut off")
        checksum = int.from_bytes(view[body_end : body_end + 4], "big")
        if zlib.crc32(view[place + 4 : body_end]) != checksum:
            raise DamagedChunkError(f"{told} does not match its checksum")
        yield Chunk(name, view[place + 8 : body_end], body_end + 4)
        place = body_end + 4
        if name == b"IEND":
            return
    raise DamagedChunkError("its end (chunk 'IEND') is missing")


def webp_chunks(data: bytes) -> Iterator[Chunk]:
    """The chunks of a WebP file, behind its header, up to its end.

    Raises:
        DamagedChunkError: a chunk is cut off, or its padding is not empty.
    """
    view, place = memoryview(data), 12
    while place < len(data):
        name = bytes(view[place : place + 4])
        body_end = place + 8 + int.from_bytes(view[place + 4 : place + 8], "little")
        end = body_end + body_end % 2  # chunks begin at even places
        told = f"chunk {ascii(name.decode('latin-1'))}"
        if body_end > len(data):
            raise DamagedChunkError(f"{told} is cut off")
        yield Chunk(name, view[place + 8 : body_end], end)
        if view[body_end:end] != b"\0" * (end - body_end):
            raise DamagedChunkError(f"{told} is not filled up with zeros")
        place = end
