"""XML that others wrote, read element by element: no tree, no entities, a few encodings."""

import re
from collections.abc import Iterator
from xml.parsers import expat

from scribblegen.text_files import decode_text, shown, shown_message

_DEEPEST = 32  # elements within each other; annotations need five
_CHUNK = 2**16  # bytes parsed at a time, and so the memory that their elements take
# The first bytes tell a file in UTF-16, and the byte order mark of one in UTF-8.
_BY_FIRST_BYTES = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
    b"<\x00": "utf-16-le",
    b"\x00<": "utf-16-be",
}
_DECLARED = re.compile(rb"""\s*<\?xml[^>]*?\sencoding\s*=\s*["']([^"'>]*)["']""")
_BY_NAME = {
    **dict.fromkeys(("utf-8", "utf8"), "utf-8"),
    **dict.fromkeys(("iso-8859-1", "latin-1", "latin1"), "latin-1"),
    **dict.fromkeys(("us-ascii", "ascii"), "ascii"),
}


def elements(data: bytes, name: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every element of an XML file, as it ends.

    Args:
        data: The file, in UTF-8, UTF-16, ISO-8859-1 or US-ASCII.
        name: The file's name, for the message.

    Yields:
        The names of the elements that it lies in, from the root to its own, and the text before
        the first element that lies in it, without white space at both ends.

    Raises:
        ValueError: it is not XML, is in another encoding, is nested too deeply or defines
            entities, which can make a small file huge.
    """
    text = decode_text(data, name, encoding=_encoding(data, name)).encode()
    opened: list[tuple[tuple[str, ...], list[str]]] = []
    ended: list[tuple[tuple[str, ...], str]] = []

    def start(tag: str, _: object) -> None:
        if len(opened) == _DEEPEST:
            raise ValueError(
                f"{name} must have at most {_DEEPEST} elements in each other. Got more."
            )
        if opened:
            opened[-1][1].append("")  # from here on its text is no longer the first
        opened.append(((*(opened[-1][0] if opened else ()), tag), []))

    def characters(found: str) -> None:
        texts = opened[-1][1]
        if "" not in texts[-1:]:
            texts.append(found)

    def end(_: str) -> None:
        path, texts = opened.pop()
        ended.append((path, "".join(texts).strip()))

    def entity(entity_name: str, *_: object) -> None:
        raise ValueError(
            f"{name} must have no entities of its own. Got {shown(entity_name)}. Write its text."
        )

    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.buffer_text = True
    parser.CharacterDataHandler = characters
    # An entity that another file defines would be passed over, and a number lose its digits.
    parser.EntityDeclHandler = parser.SkippedEntityHandler = entity
    try:
        for position in range(0, len(text), _CHUNK):
            parser.Parse(text[position : position + _CHUNK], False)
            yield from ended
            ended.clear()
        parser.Parse(b"", True)
        yield from ended
    except expat.ExpatError as error:
        raise ValueError(f"{name} must be XML: {shown_message(error)}.") from error


def _encoding(data: bytes, name: str) -> str:
    for first_bytes, encoding in _BY_FIRST_BYTES.items():
        if data.startswith(first_bytes):
            return encoding
    declared = _DECLARED.match(data[:1024])
    if declared is None:
        return "utf-8"
    found = declared[1].decode("latin-1")
    if found.lower() not in _BY_NAME:
        raise ValueError(
            f"{name} must be in UTF-8, UTF-16 with its byte order mark, ISO-8859-1 or US-ASCII. "
            f"Got the XML encoding {shown(found)}. Save it as UTF-8."
        )
    return _BY_NAME[found.lower()]
