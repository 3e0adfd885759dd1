"""Class lists: every form they are given in, and the colours they are shown in."""

import json
from pathlib import Path

import numpy as np
import pytest

from scribblegen.classes import (
    IGNORE_INDEX,
    MAX_CLASSES,
    Classes,
    load_classes,
    present_classes,
    voc_palette,
)

NAMES = ("background", "cat", "potted plant")


def test_the_palette_is_pascal_voc_s() -> None:
    known = {
        0: (0, 0, 0),
        1: (128, 0, 0),
        2: (0, 128, 0),
        3: (128, 128, 0),
        4: (0, 0, 128),
        8: (64, 0, 0),
        15: (192, 128, 128),
        20: (0, 64, 128),
    }
    palette = voc_palette(256)
    assert {i: palette[i] for i in known} == known
    assert palette[255] == (224, 224, 192)  # VOC's void
    assert len(set(palette)) == 256


def test_unlabelled_and_unused_ids_are_white_and_no_class_is() -> None:
    classes = Classes(tuple(f"class {i}" for i in range(MAX_CLASSES)))
    colours = classes.colours()
    assert colours.shape == (256, 3) and colours.dtype == np.uint8
    assert (colours[MAX_CLASSES:] == 255).all()
    assert not (colours[:MAX_CLASSES] == 255).all(axis=1).any()
    assert (Classes(NAMES).colours()[len(NAMES) :] == 255).all()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", json.dumps(NAMES)),
        ("a.json", json.dumps(dict(enumerate(NAMES)))),
        ("a.json", json.dumps({"2": NAMES[2], "0": NAMES[0], "1": NAMES[1]})),
        ("a.json", json.dumps({"classes": [{"id": i, "name": NAMES[i]} for i in (1, 0, 2)]})),
        ("a.txt", "background\ncat\n\npotted plant\n"),
        ("a.txt", "\ufeffbackground\r\n cat\r\npotted plant"),
        ("a.json", "\ufeff" + json.dumps(NAMES)),
        ("a,b.txt", "background\ncat\npotted plant\n"),
    ],
)
def test_every_form_of_a_file_gives_the_same_classes(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    assert load_classes(path) == load_classes(str(path)) == Classes(NAMES)


def test_names_can_be_given_on_the_command_line() -> None:
    assert load_classes("background, cat,potted plant") == Classes(NAMES)


@pytest.mark.parametrize(("text", "fault"), [(",", "empty"), ("cat,dog,cat", "cat.*twice")])
def test_names_that_are_none_are_refused_by_the_name_of_the_option(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=f"`classes` .*{text}.* is no list of names: .*{fault}"):
        load_classes(text)


def test_names_on_the_command_line_may_be_longer_than_a_file_name() -> None:
    names = tuple(f"quite a long class name {i}" for i in range(200))
    assert load_classes(",".join(names)).names == names


def test_colours_of_a_file_are_kept(tmp_path: Path) -> None:
    rows = [{"id": i, "name": n, "palette_rgb": [i, 2, 250]} for i, n in enumerate(NAMES)]
    (tmp_path / "classes.json").write_text(json.dumps({"classes": rows}))
    classes = load_classes(tmp_path / "classes.json")
    assert classes.palette == ((0, 2, 250), (1, 2, 250), (2, 2, 250))
    assert classes.colours()[1].tolist() == [1, 2, 250]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"0": "a", "2": "b"}, r"ids must run 0\.\.1 without a gap. Got \[0, 2\]"),
        ({"1": "a", "2": "b"}, "without a gap"),
        ({"classes": [{"id": 0, "name": "a"}, {"id": 0, "name": "b"}]}, "without a gap"),
        (["a", "b", "a"], r"`names` must differ from each other. Got \['a'\]"),
        (["a", " "], "`names` must not be empty"),
        ([], "`names` must hold 1 to 254 class names. Got 0"),
        ([str(i) for i in range(255)], "`names` must hold 1 to 254 class names. Got 255"),
        ({"classes": [{"id": 0}]}, "name"),
        ({"classes": [{"id": 0, "name": "a", "palette_rgb": [0, 0]}]}, "`palette` must hold"),
        ({"classes": [{"id": 0, "name": "a", "palette_rgb": [0, 0, 256]}]}, "`palette` must hold"),
        (
            {"classes": [{"id": 0, "name": "a", "palette_rgb": [0, 0, 0]}, {"id": 1, "name": "b"}]},
            "`palette` must hold one colour per class",
        ),
        ({"cat": "a"}, "cat"),
        ("background", "a list or an object"),
    ],
)
def test_a_file_that_is_no_class_list_is_refused_with_its_name(
    tmp_path: Path, content: object, reason: str
) -> None:
    path = tmp_path / "classes.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"`classes` file .*classes\.json.*{reason}"):
        load_classes(path)


def test_a_file_that_is_not_there_is_refused_with_what_would_do() -> None:
    with pytest.raises(FileNotFoundError, match="`classes` must be one of voc, ade20k.*'nothing'"):
        load_classes("nothing")


def test_the_known_label_spaces_are_complete() -> None:
    voc, ade = load_classes("voc"), load_classes("ade20k")
    assert len(voc) == 21 and voc.names[0] == "background" and voc.names[20] == "tv monitor"
    assert len(ade) == 150
    known = {0: "wall", 4: "tree", 12: "person", 20: "car", 76: "boat", 126: "animal", 149: "flag"}
    assert {i: ade.id2label[i] for i in known} == known
    assert not any(name != name.strip() for name in (*voc.names, *ade.names))


def test_stray_ids_are_values_that_are_no_class() -> None:
    classes = Classes(NAMES)
    assert classes.stray_ids(np.array([[0, 2, IGNORE_INDEX]], np.uint8)) == []
    assert classes.stray_ids(np.array([[254, 3, 0, 3]], np.uint8)) == [3, 254]


def test_present_classes_are_sorted_and_leave_out_unlabelled() -> None:
    assert present_classes(np.array([[7, 0], [255, 7]], np.uint8)) == [0, 7]
    assert present_classes(np.full((2, 2), 255, np.uint8)) == []
