"""Class lists as other tools write them: the right names, ids and colours, or a named refusal."""

import json
import re
from pathlib import Path

import pytest

from scribblegen.builders.files import CLASS_FILES, folder_classes
from scribblegen.class_lists.read import MAX_TEXT_BYTES
from scribblegen.classes import Classes, load_classes, voc_palette
from scribblegen.text_files import shown

NAMES = ("background", "cat", "potted plant")
COLOURS = ((0, 0, 0), (48, 112, 32), (250, 50, 83))

SUPERVISELY = """{
    "classes": [
        {"title": "cat", "description": "", "shape": "bitmap", "color": "#307020",
         "geometry_config": {}, "id": 2790451, "hotkey": ""},
        {"title": "dog", "description": "", "shape": "polygon", "color": "#FA3253",
         "geometry_config": {}, "id": 2790450, "hotkey": ""}
    ],
    "tags": [{"name": "train", "value_type": "none", "color": "#470F8A", "id": 1, "hotkey": "",
              "applicable_type": "all", "classes": []}],
    "projectType": "images"
}"""
COCO = """{"info": {"year": 2026}, "licenses": [], "images": [{"id": 1, "width": 4, "height": 3,
"file_name": "a.jpg"}], "annotations": [{"id": 1, "image_id": 1, "category_id": 2,
"segmentation": [[0, 0, 2, 0, 2, 2]], "area": 2.0, "bbox": [0, 0, 2, 2], "iscrowd": 0}],
"categories": [%s]}"""
LABEL_STUDIO = """{
  "categories": [
    {
      "id": 0,
      "name": "background"
    },
    {
      "id": 1,
      "name": "cat"
    },
    {
      "id": 2,
      "name": "potted plant"
    }
  ],
  "info": {
    "year": 2026,
    "version": "1.0",
    "contributor": "Label Studio"
  }
}"""
YOLO = """train: ../train/images
val: ../valid/images

nc: 3
names: ['background', 'cat', 'potted plant']

roboflow:
  workspace: mine
  version: 1
  license: CC BY 4.0
"""


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("labels.txt", "__ignore__\n_background_\ncat\npotted plant\n"),
        ("class_names.txt", "_background_\ncat\npotted plant"),
        ("_classes.csv", "Pixel Value, Class\n0, background\n1, cat\n2, potted plant\n"),
        ("_classes.csv", "Pixel Value, Class\r\n2, potted plant\r\n0, background\r\n1, cat"),
        ("data.yaml", YOLO),
        ("coco.yaml", "path: ../coco\nnames:\n  0: background\n  1: cat\n  2: potted plant\n"),
        ("notes.json", LABEL_STUDIO),
        ("classes.txt", "background\ncat\npotted plant\n"),
        ("obj.names", "background\ncat\npotted plant\n"),
        ("label2id.json", '{"background": 0, "potted plant": 2, "cat": 1}'),
        ("id2label.json", '{"0": "background", "2": "potted plant", "1": "cat"}'),
        ("a.txt", "0: background\n1: cat\n2: potted plant\n"),
        ("a.txt", "0 background\n1 cat\n2 potted plant\n"),
        ("a.tsv", "0\tbackground\n1\tcat\n2\tpotted plant\n"),
        ("a.JSON", json.dumps([{"name": name} for name in NAMES])),
        ("a.csv", "background\ncat\npotted plant\n"),
    ],
)
def test_a_list_of_a_tool_has_the_ids_of_its_masks(
    tmp_path: Path, file: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / file
    path.write_bytes(text.encode())
    assert load_classes(path) == Classes(NAMES)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (
            "labelmap.txt",
            "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:48,112,32:head,tail:run\n"
            "potted plant:250,50,83::\n",
        ),
        ("labelmap.txt", "background:0,0,0::\ncat:48,112,32::\npotted plant:250,50,83::"),
        ("label_colors.txt", "0 0 0 background\n48 112 32 cat\n250 50 83 potted plant\n"),
        ("class_dict.csv", "name,r,g,b\nbackground,0,0,0\ncat,48,112,32\npotted plant,250,50,83\n"),
        (
            "a.json",
            '[{"name": "cat", "id": 1, "color": [48, 112, 32]}, {"name": "background", "id": 0, '
            '"color": "#000000"}, {"name": "potted plant", "id": 2, "color": "#fa3253ff"}]',
        ),
        (
            "panoptic.json",
            COCO % '{"id": 0, "name": "background", "color": [0, 0, 0], "isthing": 0}, '
            '{"id": 1, "name": "cat", "color": [48, 112, 32], "isthing": 1}, '
            '{"id": 2, "name": "potted plant", "color": [250, 50, 83], "isthing": 1}',
        ),
        (
            "manifest.json",
            json.dumps(
                {
                    "classes": [
                        {"id": i, "name": name, "palette_rgb": COLOURS[i]}
                        for i, name in enumerate(NAMES)
                    ],
                    "units": [],
                }
            ),
        ),
    ],
)
def test_colours_of_a_tool_are_kept(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / file).write_text(text, "utf-8")
    assert load_classes(tmp_path / file) == Classes(NAMES, COLOURS)


@pytest.mark.parametrize(
    ("file", "text", "palette"),
    [
        ("meta.json", SUPERVISELY, ((48, 112, 32), (250, 50, 83))),
        ("obj_class_to_machine_color.json", '{"dog": [2, 2, 2], "cat": [1, 1, 1]}', ()),
        (
            "instances.json",
            COCO % '{"id": 2, "name": "dog", "supercategory": "animal"}, '
            '{"id": 1, "name": "cat", "supercategory": "animal"}',
            (),
        ),
        ("labels.txt", "0: unlabeled\n1: cat\n2: dog\n", ()),
        (
            "objects.csv",
            "Idx,Ratio,Train,Val,Stuff,Name\n1,.1,5,1,0,cat;puss\n2,.1,5,1,0,dog",
            (),
        ),
    ],
)
def test_a_list_that_counts_from_one_says_so(
    tmp_path: Path, file: str, text: str, palette: tuple[tuple[int, int, int], ...]
) -> None:
    (tmp_path / file).write_text(text, "utf-8")
    classes = load_classes(tmp_path / file)
    assert classes == Classes(("cat", "dog"), palette)
    assert classes.first_id == 1, "which is checked against the labels: see test_label_check.py"


@pytest.mark.parametrize(
    ("file", "header", "row"),
    [
        ("objectInfo150.csv", "Idx,Ratio,Train,Val,Stuff,Name", "{},0.1,10,2,0,{};{}"),
        ("objectInfo150.txt", "Idx\tRatio\tTrain\tVal\tName", "{}\t0.1\t10\t2\t{}, {}"),
    ],
)
def test_the_list_of_ade20k_is_its_label_space(
    tmp_path: Path, file: str, header: str, row: str
) -> None:
    """The file has a semicolon for every space too: "screen;door;screen", "screen;silver;..."."""
    words = [name.replace(" ", ";") for name in load_classes("ade20k").names]
    rows = [row.format(i, name, name) for i, name in enumerate(words, start=1)]
    (tmp_path / file).write_text("\n".join([header, *rows]))
    assert load_classes(tmp_path / file) == load_classes("ade20k")


def test_names_that_only_look_like_markup_stay_names(tmp_path: Path) -> None:
    names = ("[void]", "door, double door", "2 euro", "1 euro", "C#", "سگ", "#1", "a:b", "7")
    (tmp_path / "a.txt").write_text("\n".join(names), "utf-8")
    assert load_classes(tmp_path / "a.txt") == Classes(names)
    (tmp_path / "a.json").write_text(json.dumps([*names, 8]))
    assert load_classes(tmp_path / "a.json") == Classes((*names, "8"))


LONG = "x" * 201
DEEP = "[" * 100_000 + "]" * 100_000
BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nnames: [*b, *b]\n"

REFUSED = [
    # ids
    ("a.json", '{"0.5": "a", "1": "b"}', "ids must be whole numbers. Got '0.5'"),
    ("a.json", '[{"name": "a", "id": 0.5}]', "ids must be whole numbers. Got 0.5"),
    ("a.json", '[{"name": "a", "id": 1e999}]', "ids must be whole numbers. Got inf"),
    ("a.json", '[{"name": "a", "id": true}]', "ids must be whole numbers. Got True"),
    ("a.json", '[{"name": "a", "id": null}]', "ids must be whole numbers. Got None"),
    ("a.json", '[{"name": "a", "id": [0]}]', "ids must be whole numbers. Got [0]"),
    ("a.json", '{"cat": 1e999}', "ids must be whole numbers. Got inf"),
    ("a.json", '{"cat": 0, "dog": 0}', "ids must run 0..1 without a gap. Got [0, 0]. Give every"),
    ("a.json", '{"cat": 0, "dog": 2}', "Got [0, 2]. Number the classes anew, and rename"),
    ("a.json", '{"cat": 1, "dog": 2}', "Got [1, 2]. Where 0 in the masks is a class, list it too"),
    ("a.json", '{"cat": -1, "dog": 0}', "without a gap. Got [-1, 0]"),
    ("a.json", '{"-1": "cat", "0": "dog"}', "ids must be whole numbers. Got '-1'"),
    ("a.json", '{"0": "cat", "00": "dog"}', "Got [0, 0]. Give every class an id of its own."),
    ("a.json", '{"0": "cat", "0": "dog"}', "every key must be given once. Got '0' twice"),
    ("a.json", '[{"name": "a", "id": 0}, {"name": "b"}]', "every class must have an `id`, or none"),
    ("c.json", COCO % '{"id": 1, "name": "a"}, {"id": 3, "name": "b"}', "0..1 or 1..2 without a"),
    ("a.csv", "Pixel Value, Class\nx, cat\n", "ids must be whole numbers. Got 'x'"),
    ("a.csv", "Pixel Value, Class\n0, a\n2, b\n", "ids must run 0..1 without a gap. Got [0, 2]"),
    ("a.txt", "1 cat\n2 dog\n", "ids must run 0..1 without a gap. Got [1, 2]"),
    ("a.json", '{"a": [1, 1, 2]}', "machine colours must be grey, such as [1, 1, 1]"),
    # names
    ("a.json", '["a", null]', "`names` must be text. Got None"),
    ("a.json", '{"0": null}', "`names` must be text. Got None"),
    ("a.json", '[["a"], ["b"]]', "`names` must be text. Got ['a']"),
    ("a.json", '{"0": ["a", "b"]}', "`names` must be text. Got ['a', 'b']"),
    ("a.json", '["a", 1e999]', "`names` must be text. Got inf"),
    ("a.json", '[{"name": {"en": "a"}}]', "`names` must be text. Got {'en': 'a'}"),
    ("a.json", '[{"name": "a"}, "b"]', "every class must be an object with a `name`. Got 'b'"),
    ("a.yaml", "names: [yes, no]\n", "`names` must be text. Got True. Put quotes round"),
    ("a.json", '["a", "a"]', "`names` must differ from each other. Got ['a']"),
    ("a.txt", "cat\ndog\ncat\n", "`names` must differ from each other. Got ['cat']"),
    ("a.json", '["\\ud800"]', r"no halves of characters. Got '\ud800' for id 0"),
    ("a.json", '["a\\u0000"]', r"no control characters and no halves of characters. Got 'a\x00'"),
    ("a.json", '["\\u202etac"]', r"no control characters and no halves of characters. Got '\u202e"),
    ("a.txt", "cat\x0bdog\n", r"no control characters and no halves of characters. Got 'cat\x0bd"),
    ("a.txt", "cat\u2028dog\n", "no control characters and no halves of characters"),
    ("a.json", json.dumps([LONG]), "`names` must have at most 200 characters each. Got 201"),
    ("a.txt", LONG, "`names` must have at most 200 characters each. Got 201 for id 0"),
    ("a.json", '["", "a"]', "`names` must not be empty. Got '' for id 0"),
    ("a.txt", "\n", "a name a line is needed. Got no line"),
    # colours
    ("a.json", '[{"name": "a", "color": "red"}]', "`palette` must hold (R, G, B) of 0..255, or #R"),
    ("a.json", '[{"name": "a", "color": [0, 0, 1e999]}]', "or #RRGGBB, for each class. Got [0, 0,"),
    ("a.json", '[{"name": "a", "color": [0, 0, 256]}]', "for each class. Got [0, 0, 256]"),
    ("labelmap.txt", "a:0,0,256::\n", "for each class. Got [0, 0, 256]"),
    ("labelmap.txt", "a:0,0,0::\nb:::\n", "one colour per class (2), or none at all. Got 1"),
    # kinds
    ("labelmap.txt", "# label:color_rgb:parts:actions\ncat\n", "label:R,G,B:parts:actions. Got 'c"),
    ("labels.txt", "cat\n__ignore__\n", "__ignore__ must be the first line"),
    ("labels.txt", "__ignore__\ncat\n_background_\n", "_background_ the one after it"),
    (
        "a.yaml",
        "train: a\nnc: 2\n",
        "one with `classes`, `categories` or `names` is needed. Got",
    ),
    ("a.yaml", "nc: 2\nnames: [a]\n", "`nc` must be the number of names, 1. Got 2"),
    ("a.yaml", "names:\n  0: a\n  0: b\n", "every key must be given once. Got '0' twice"),
    ("a.yaml", "names: !!python/object/apply:os.getcwd []\n", "it must be YAML. Got"),
    ("a.yaml", BOMB, "it must be without aliases. Got *a in line 2. Write it out."),
    ("a.yaml", "names: [a", "it must be YAML. Got"),
    ("a.yaml", "cat\ndog\n", "a list or an object is needed. Got 'cat dog'"),
    ("a.json", "{", "Expecting property name"),
    ("a.json", DEEP, "it must be nested a few levels deep"),
    ("a.yaml", "[" * 5000, "it must be nested a few levels deep"),
    (
        "a.json",
        '{"a": {"b": 1}}',
        "a list of names, a list of objects with `name`, or an",
    ),
    ("a.csv", "filename, cat, dog\na.jpg, 1, 0\n", "a table of classes must have a header with"),
    ("a.csv", "name\ncat\n", "a list of names has no header and no commas. Got 'name'"),
    ("a.txt", "id,name\n0,cat\n", "a table of classes must have a header with the columns"),
    ("a.csv", "Pixel Value, Class\n0, a, b\n", "every line must have 2 cells, as the header has"),
    ("a.txt", '["a", "b"]', "a name a line is needed, or a list as LabelMe"),
    ("a.txt", "{\n'a': \"b\"\n}", "a name a line is needed"),
    ("a.xml", '<View>\n<Label value="cat"/>\n</View>', "a name a line is needed"),
    (
        "a.pbtxt",
        "item {\n  id: 1\n  name: 'cat'\n}\n",
        "YAML as .yaml). Got 'item {'",
    ),
    ("a.txt", "names:\n  0: cat\n", "JSON as .json, YAML as .yaml). Got 'names:'"),
    ("a.txt", "# my classes\ncat\n", "Got '# my classes'"),
]


@pytest.mark.parametrize(("file", "text", "reason"), REFUSED)
def test_what_is_no_class_list_is_refused_by_name(
    tmp_path: Path, file: str, text: str, reason: str
) -> None:
    path = tmp_path / file
    path.write_text(text, "utf-8")
    told = rf"`classes` file {re.escape(str(path))} is not a class list: .*{re.escape(reason)}"
    with pytest.raises(ValueError, match=told) as raised:
        load_classes(path)
    message = str(raised.value).removeprefix(f"`classes` file {path} is not a class list: ")
    assert len(message) < 600 and message.isprintable()


def test_a_file_of_another_encoding_or_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes("katze\nkäse\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"must be UTF-8 text. Got byte 0xe4 at position 7"):
        load_classes(path)
    path.write_bytes("cat\n".encode("utf-16"))
    with pytest.raises(ValueError, match=r"must be UTF-8 text. Got byte 0xff at position 0"):
        load_classes(path)
    with path.open("wb") as file:
        file.truncate(10 << 30)
    with pytest.raises(ValueError, match=f"at most {MAX_TEXT_BYTES} bytes. Got {10 << 30}"):
        load_classes(path)


@pytest.mark.parametrize("spec", ["cat,do\x07g", f"cat,{LONG}", "cat,\ud800", "a,a", "cat,,dog"])
def test_names_on_the_command_line_are_held_to_the_same(spec: str) -> None:
    with pytest.raises(ValueError, match="`names` must"):
        load_classes(spec)


def test_what_an_error_shows_is_short_however_large_the_value() -> None:
    bomb: list[object] = ["x"]
    for _ in range(60):
        bomb = [bomb] * 9
    for value in (bomb, "x" * 10**6, list(range(10**5)), {"a": "x" * 10**6}, 10**3000):
        assert len(shown(value)) <= 204
    assert shown([0, 2]) == "[0, 2]" and shown("x") == "'x'"
    with pytest.raises(FileNotFoundError) as raised:
        load_classes("x" * 10**5)
    assert len(str(raised.value)) < 600


@pytest.mark.parametrize("file", CLASS_FILES)
def test_a_folder_s_list_of_a_tool_is_found(tmp_path: Path, file: str) -> None:
    forms = {
        ".json": '{"cat": 0, "dog": 1}',
        ".csv": "Pixel Value, Class\n0, cat\n1, dog\n",
        ".yaml": "names: [cat, dog]",
        ".txt": "cat\ndog\n",
    }
    (tmp_path / file).write_text(forms[Path(file).suffix])
    assert folder_classes(tmp_path, None) == Classes(("cat", "dog"), voc_palette(2))
    (tmp_path / "classes.json").write_text('["sky", "sea"]')  # ours comes first
    assert folder_classes(tmp_path, None).names == ("sky", "sea")
    assert folder_classes(tmp_path, file).names == ("cat", "dog")


def test_of_several_lists_one_must_be_named(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("cat\n")
    (tmp_path / "meta.json").write_text(SUPERVISELY)
    with pytest.raises(ValueError, match=r"`classes` must name one.*labels\.txt, meta\.json"):
        folder_classes(tmp_path, None)
    assert folder_classes(tmp_path, "labels.txt").names == ("cat",)
    with pytest.raises(FileNotFoundError, match="no class list of a tool"):
        folder_classes(tmp_path / "nothing", None)
