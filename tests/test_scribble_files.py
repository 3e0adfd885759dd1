import numpy as np
import pytest

from scribblegen.classes import Classes, load_classes
from scribblegen.scribbles.files import read_polyline_text, read_scribblesup_xml
from scribblegen.scribbles.strokes import rasterise

CLASSES = Classes(("background", "dining table", "dog"))


def xml(polygons, size=(375, 500)):
    body = "".join(
        f"<polygon><tag>{tag}</tag>"
        + "".join(f"<point><X>{x}</X><Y>{y}</Y></point>" for x, y in points)
        + "</polygon>"
        for tag, points in polygons
    )
    return (
        "<annotation><filename>2007_000000.jpg</filename>"
        f"<size><width>{size[1]}</width><height>{size[0]}</height></size>{body}</annotation>"
    )


def read_xml(text, classes=CLASSES, image_size=None):
    return read_scribblesup_xml(text.encode(), "2007_000000.xml", classes, image_size)


def read_text(text, size=(375, 500)):
    return read_polyline_text(text.encode(), "a.txt", 3, size)


def test_each_polygon_of_the_xml_is_a_stroke_in_the_file_s_order():
    polygons = [("dog", [(10, 20), (30, 25)]), ("background", [(400, 7)])]
    strokes, size = read_xml(xml(polygons))
    assert size == (375, 500)
    assert [s.class_id for s in strokes] == [2, 0]
    assert strokes[0].points.tolist() == [[10, 20], [30, 25]]
    assert {s.width for s in strokes} == {3.0}
    assert rasterise(strokes, *size)[20, 10] == 2  # row y, column x


def test_names_match_with_and_without_spaces():
    names = ["diningtable", "pottedplant", "tvmonitor", "dining table", "aeroplane"]
    strokes, _ = read_xml(xml([(name, [(1, 1)]) for name in names]), load_classes("voc"))
    assert [s.class_id for s in strokes] == [11, 16, 20, 11, 1]


def test_an_unknown_tag_is_refused_with_the_file_s_name():
    with pytest.raises(
        ValueError, match=r"2007_000000\.xml, polygon 1 must .* Got 'unicorn'. Give"
    ):
        read_xml(xml([("unicorn", [(1, 1)])]))


def test_a_size_that_is_not_the_image_s_is_refused():
    text = xml([("dog", [(1, 1)])])
    assert read_xml(text, image_size=(375, 500))
    with pytest.raises(ValueError, match=r"2007_000000\.xml must .*375x500.* Got .*500x375"):
        read_xml(text, image_size=(500, 375))


@pytest.mark.parametrize(
    "text",
    [
        "<annotation><size>",
        "<annotation/>",
        xml([("dog", [])]),
        xml([("dog", [("a", 1)])]),
        xml([("dog", [("nan", 1)])]),
        xml([("dog", [(1, 450), (2, 460)])]),  # x and y swapped: below the picture
        xml([("", [(1, 1)])]),
    ],
)
def test_a_malformed_xml_is_refused_with_the_file_s_name(text):
    with pytest.raises(ValueError, match=r"2007_000000\.xml.* must "):
        read_xml(text)


def test_each_line_of_text_is_a_stroke_of_pairs_x_then_y():
    strokes = read_text("2,10,20,30.5,25\r\n\r\n0,400,7\r\n")
    assert [s.class_id for s in strokes] == [2, 0]
    assert np.array_equal(strokes[0].points, [[10, 20], [30.5, 25]])
    assert rasterise(strokes, 375, 500)[20, 10] == 2


@pytest.mark.parametrize(
    "line", ["3,1,1", "-1,1,1", "1", "1,5", "1,5,6,7", "dog,1,1", "1,a,1", "1,nan,1", "1,,1"]
)
def test_a_bad_line_of_text_is_refused_with_file_and_line(line):
    with pytest.raises(ValueError, match=r"a\.txt, line 2 must "):
        read_text(f"0,1,1\n{line}\n")
