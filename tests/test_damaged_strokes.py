"""Files of strokes that are damaged, hostile or in another encoding: strokes, or a named error."""

import re
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from scribblegen.builders.config import PascalScribbleConfig
from scribblegen.builders.sources import open_source
from scribblegen.classes import Classes
from scribblegen.records import Rejection, Sample
from scribblegen.scribbles.files import read_polyline_text, read_scribblesup_xml

CLASSES = Classes(("background", "dining table", "dög"))
SIZE = (24, 40)
XML = (
    "<annotation><size><width>40</width><height>24</height></size>"
    "<polygon><tag>dög</tag><point><X>5</X><Y>6</Y></point><point><X>35</X><Y>6</Y></point>"
    "</polygon><polygon><tag>background</tag><point><X>5.5</X><Y>18</Y></point></polygon>"
    "</annotation>"
)
TEXT = "2,5,6,35,6\n0,5.5,18\n"
POINTS = [[[5, 6], [35, 6]], [[5.5, 18]]]


def read_xml(data):
    return read_scribblesup_xml(data, "a.xml", CLASSES, SIZE)[0]


def read_text(data, size=SIZE):
    return read_polyline_text(data, "a.txt", 3, size)


def declared(encoding):
    return f'<?xml version="1.0" encoding="{encoding}"?>\n{XML}'


def refused(read, data):
    """The message of the refusal, which is short and starts with the file's name."""
    with pytest.raises(
        ValueError, match=r"(?s)^a\.(xml|txt)(, (line|polygon) \d+)? must "
    ) as error:
        read(data)
    assert type(error.value) is ValueError and len(str(error.value)) < 600
    return str(error.value)


@pytest.mark.parametrize(
    "data",
    [
        XML.encode(),
        b"\xef\xbb\xbf" + XML.encode(),
        declared("utf-8").encode("utf-8-sig"),
        declared("UTF-16").encode("utf-16"),
        declared("utf-16").encode("utf-16-le"),
        XML.encode("utf-16-be"),
        declared("ISO-8859-1").encode("latin-1"),
        declared("us-ascii").replace("ö", "&#246;").encode("ascii"),
        XML.replace("<X>5<", "<X><!-- x -->\r\n 5.0 <").encode(),
        XML.replace("<X>5<", "<X><![CDATA[5]]><").encode(),
    ],
)
def test_xml_is_read_in_its_own_encoding(data):
    strokes = read_xml(data)
    assert [stroke.class_id for stroke in strokes] == [2, 0]
    assert [stroke.points.tolist() for stroke in strokes] == POINTS


@pytest.mark.parametrize(
    ("data", "got"),
    [
        (declared("windows-1252").encode("cp1252"), "encoding 'windows-1252'. Save it as UTF-8"),
        (declared("rot13").encode(), "encoding 'rot13'"),
        (declared("x" * 900).encode(), "encoding 'xxx"),
        (declared("no-such").encode(), "encoding 'no-such'"),
        (declared("utf-16").encode(), "encoding 'utf-16'"),
        (declared("shift_jis").encode(), "encoding 'shift_jis'"),
        (XML.encode("latin-1"), "must be UTF-8 text. Got byte 0xf6"),
        (declared("us-ascii").encode(), "Got byte 0xc3"),
        (XML.encode("utf-32"), "must be XML"),
        (XML.encode("utf-16")[:-1], "Got byte"),
        (b"", "must be XML: no element found"),
        (b"\0" * 100, "must be XML"),
        (XML.encode()[:-20], "must be XML"),
        (XML.encode() + b"<a/>", "must be XML: junk after document element"),
        (b"<a>" * 100_000, "must have at most 32 elements in each other"),
        (b'<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><a>&c;</a>', "Got 'b'"),
        (b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>', "Got 'b'"),
        (b'<!DOCTYPE a SYSTEM "x"><a><size><width>4&b;0</width></size></a>', "Got 'b'"),
        (b"<a>&b;</a>", "must be XML: undefined entity"),
        (b" " * (16 * 2**20 + 1), "at most 16 MiB"),
        (XML.replace("<width>40", "<width>1e999").encode(), "`size/width`. Got '1e999'"),
        (XML.replace("<width>40", "<width>40.5").encode(), "`size/width`. Got '40.5'"),
        (XML.replace("<width>40", "<width>" + "9" * 5000).encode(), "`size/width`. Got '999"),
        (XML.replace("<width>40</width>", "").encode(), "`size/width`. Got none"),
        (XML.replace("<X>35<", "<X>1e999<").encode(), "polygon 1 must .* `X`. Got '1e999'"),
        (XML.replace("<X>35<", "<X>3_5<").encode(), "`X`. Got '3_5'"),
        (XML.replace("<X>35</X>", "").encode(), "`X`. Got ''"),
        (XML.replace("<X>35<", "<X>-2e6<").encode(), r"coordinates in pixels.*\[-2000000.0, 6.0\]"),
        (XML.replace("dög", "d" * 9999).encode(), "must have a tag .* Got 'ddd"),
        (XML.replace("</tag>", "</tag><polygon/>").encode(), "must not lie in another one"),
        (b"<a>" + b"<polygon/>" * 100_001 + b"</a>", "at most 100,000 strokes"),
    ],
)
def test_xml_that_cannot_be_meant_is_refused_with_its_name(data, got):
    message = refused(read_xml, data)
    assert re.search(got, message), message


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r").encode(),
        TEXT.replace("\n", ",,\n\n,\n").encode(),
        TEXT.replace(",", " , ").encode() + b"\n",
    ],
)
def test_text_is_read_with_any_line_ends_and_trailing_commas(data):
    strokes = read_text(data)
    assert [stroke.class_id for stroke in strokes] == [2, 0]
    assert [stroke.points.tolist() for stroke in strokes] == POINTS


@pytest.mark.parametrize("data", [b"", b"\n\r\n", b"\xef\xbb\xbf", b",,,\n"])
def test_text_without_a_line_has_no_stroke(data):
    assert read_text(data) == []


@pytest.mark.parametrize(
    ("data", "got"),
    [
        (b"2,5,6\n1.0,5,6\n", "line 2 must .* class id. Got '1.0'"),
        (b"1e5,5,6", "Got '1e5'"),
        (b"-1,5,6", r"class id in 0\.\.2. Got '-1'"),
        (b"1" + b"0" * 30 + b",5,6", r"class id in 0\.\.2. Got '1000"),
        (b"9" * 9999 + b",5,6", r"class id in 0\.\.2. Got '999"),
        ("١,5,6".encode(), "Got '١'"),
        (b",5,6", "Got ''"),
        (b"1_0,5,6", "Got '1_0'"),
        (b"1,5,6\0", r"number at each `x,y`. Got '6\\x00'"),
        (b"\0" * 50, r"Got '\\x00"),
        (b"1,1e999,6", "Got '1e999'"),
        (b"1,5,,6,7", "Got ''"),
        (b"1;5;6", "Got '1;5;6'"),
        (b"1" + b",5" * 2_000_001, "at most 1,000,000 points"),
        (b"1," + b"5" * 5000, "`x,y`. Got '555"),
        (b"1,5,6,5,1e7", r"coordinates in pixels, within 1e\+06 of .*\[5.0, 10000000.0\]"),
        (TEXT.encode("utf-16"), "must be UTF-8 text. Got byte 0xff at position 0"),
        (b"1,5,6\n\xe9", "must be UTF-8 text. Got byte 0xe9 at position 6"),
        (b" " * (16 * 2**20 + 1), "at most 16 MiB"),
        (b"0" + b",0,0,39,23" * 120_000, r"strokes of at most 1e\+07 pixels together"),
    ],
)
def test_text_that_cannot_be_meant_is_refused_with_its_name(data, got):
    message = refused(read_text, data)
    assert re.search(got, message), message


@pytest.mark.parametrize(
    ("points", "touches"),
    [
        ([(-50, 10), (90, 10)], True),  # both ends outside
        ([(20, -1)], True),  # the pen is 3 pixels wide
        ([(-1e5, -1e5), (1e5, 1e5)], True),
        ([(-9, -9)], False),
        ([(10, 30), (30, 50)], False),  # x and y swapped
        ([(-30, 20), (20, 70)], False),  # about the corner
    ],
)
def test_a_stroke_must_touch_the_picture_with_its_line(points, touches):
    xml = XML.replace(
        "<point><X>5.5</X><Y>18</Y></point>",
        "".join(f"<point><X>{x}</X><Y>{y}</Y></point>" for x, y in points),
    )
    text = "2,5,6\n0," + ",".join(f"{x},{y}" for x, y in points)
    if touches:
        assert len(read_xml(xml.encode())) == len(read_text(text.encode())) == 2
        return
    low, high = (end(np.array(points, float), axis=0).tolist() for end in (np.min, np.max))
    got = (
        f"must touch the picture of 40x24 (width x height). Got points from {low} to {high} (x, y)."
    )
    assert refused(read_xml, xml.encode()) == f"a.xml, polygon 2 {got}"
    assert refused(read_text, text.encode()) == f"a.txt, line 2 {got}"


def test_damaged_strokes_are_rejections_of_their_samples(tmp_path):
    files = {
        "a.txt": TEXT.encode(),
        "b.txt": b"1,900,900\n",
        "c.xml": declared("utf-7").encode(),
        "d.txt": b"",
    }
    for folder in ("JPEGImages", "scribbles"):
        (tmp_path / folder).mkdir()
    for name, data in files.items():
        Image.new("RGB", SIZE[::-1]).save(tmp_path / "JPEGImages" / f"{name[0]}.jpg")
        (tmp_path / "scribbles" / name).write_bytes(data)
    source = open_source(PascalScribbleConfig(data_dir=str(tmp_path)))
    read = [source.read(index) for index in range(4)]
    assert isinstance(read[0], Sample)
    reasons = [found.reason for found in read[1:] if isinstance(found, Rejection)]
    assert reasons[0].startswith("b.txt, line 1 must touch the picture of 40x24")
    assert "c.xml must be in UTF-8, UTF-16" in reasons[1] and "'utf-7'" in reasons[1]
    assert reasons[2].endswith("no labelled pixel")


def mutated(data, rng):
    """The bytes with some flipped, cut, repeated, moved or replaced by what breaks parsers."""
    digit = b"%d" % rng.integers(10)
    odd = [digit] * 9 + [
        b"\0",
        b"<",
        b"&",
        b"1e999",
        b"-",
        b",",
        b"\n",
        b"\xff\xfe",
        b"nan",
        b"9" * 400,
        b"<a>",
    ]
    for _ in range(rng.integers(1, 4)):
        start, stop = sorted(int(i) for i in rng.integers(0, len(data) + 1, 2))
        stop = min(stop, start + int(rng.integers(4)))
        flipped = bytes(byte ^ (1 << int(rng.integers(8))) for byte in data[start : start + 1])
        middle = [
            flipped + data[start + 1 : stop],
            b"",
            data[start:stop] * int(rng.integers(2, 200)),
            odd[rng.integers(len(odd))],
            data[start:stop][::-1],
        ][rng.integers(5)]
        data = data[:start] + middle + data[stop:]
    return data


@pytest.mark.parametrize(
    ("read", "seeds"),
    [
        (read_xml, [XML.encode(), declared("utf-16").encode("utf-16"), declared("utf-8").encode()]),
        (read_text, [TEXT.encode(), TEXT.encode("utf-8-sig"), b"1," + b"5,6," * 40]),
    ],
)
def test_whatever_the_file_it_is_strokes_or_a_refusal_with_its_name(read, seeds):
    rng = np.random.default_rng(13)
    accepted = 0
    tracemalloc.start()
    for index in range(400):
        data = mutated(seeds[index % len(seeds)], rng)
        try:
            strokes = read(data)
        except ValueError as error:
            assert type(error) is ValueError and str(error).startswith("a."), (data, error)
            assert len(str(error)) < 600, data
        else:
            assert all(np.isfinite(stroke.points).all() for stroke in strokes)
            assert all(0 <= stroke.class_id < 3 for stroke in strokes)
            accepted += 1
    assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    tracemalloc.stop()
    assert 20 < accepted < 380
