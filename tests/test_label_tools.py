"""Labels as the tools write them: each row of the builders' table, by a folder of that tool."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from scribblegen.builders.config import FolderConfig
from scribblegen.builders.sources import open_source
from scribblegen.classes import load_classes, voc_palette

README = Path(__file__).parents[1] / "builders" / "README.md"
SIDE = 24
NOBODY = 255

# Ground, a cat on it, and a part that nobody drew.
TRUE = np.zeros((SIDE, SIDE), np.uint8)
TRUE[4:12, 4:20] = 1
TRUE[16:20] = NOBODY


def values(ground: int, cat: int, nobody: int) -> np.ndarray:
    return np.choose(np.where(TRUE == NOBODY, 2, TRUE), [ground, cat, nobody]).astype(np.uint8)


def colours(ground: Any, cat: Any, nobody: Any) -> np.ndarray:
    return np.array([ground, cat, nobody], np.uint8)[np.where(TRUE == NOBODY, 2, TRUE)]


def palette(label: np.ndarray, colours: Any) -> Image.Image:
    picture = Image.new("P", label.shape[::-1])
    picture.frombytes(label.tobytes())
    picture.putpalette(np.array(colours, np.uint8).tobytes())
    return picture


class Tool(NamedTuple):
    """What a tool leaves in a folder.

    Args:
        row: the first cell of its row in the table, and the option there.
        write: writes labels and class list into a folder that has `images/a.jpg`.
        options: of the source.
        names: the classes that are read.
        undrawn: whether the tool tells where nobody drew; else that is ground.
    """

    row: str
    write: Callable[[Path], None]
    options: dict[str, Any]
    names: tuple[str, ...]
    undrawn: bool = True


def save(folder: Path, name: str, picture: Any) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    (Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture).save(path)


def labelme(folder: Path) -> None:
    save(folder, "SegmentationClass/a.png", palette(values(0, 1, 255), voc_palette(256)))
    (folder / "labels.txt").write_text("__ignore__\n_background_\ncat\n")


def cvat(folder: Path) -> None:
    (folder / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:48,112,32::\n"
    )
    save(folder, "SegmentationClass/a.png", colours((0, 0, 0), (48, 112, 32), (0, 0, 0)))


def camvid(folder: Path) -> None:
    (folder / "label_colors.txt").write_text("128 64 128 Road\n64 128 64 Animal\n")
    save(folder, "masks/a.png", colours((128, 64, 128), (64, 128, 64), (0, 0, 0)))


META = {
    "classes": [
        {"title": "ground", "shape": "bitmap", "color": "#AA1020", "id": 9001},
        {"title": "cat", "shape": "bitmap", "color": "#10AA20", "id": 8007},
    ]
}


def supervisely_machine(folder: Path) -> None:
    (folder / "meta.json").write_text(json.dumps(META))
    save(folder, "masks_machine/a.png", np.stack([values(1, 2, 0)] * 3, axis=-1))


def supervisely_human(folder: Path) -> None:
    (folder / "meta.json").write_text(json.dumps(META))
    save(folder, "masks_human/a.png", colours((0xAA, 16, 32), (16, 0xAA, 32), (0, 0, 0)))


def roboflow(folder: Path) -> None:
    (folder / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, cat\n")
    save(folder, "masks/a.png", values(0, 1, 0))


def ade20k(folder: Path) -> None:
    save(folder, "annotations/a.png", values(4, 127, 0))


def cityscapes(folder: Path) -> None:
    (folder / "classes.json").write_text('["road", "cat"]')
    save(folder, "masks/a.png", values(7, 24, 4))


def voc(folder: Path) -> None:
    save(folder, "SegmentationClass/a.png", palette(values(0, 8, 255), voc_palette(256)))


def coco_stuff(folder: Path) -> None:
    (folder / "labels.txt").write_text("0: unlabeled\n1: ground\n2: cat\n")
    save(folder, "masks/a.png", values(0, 1, 255))


def binary(folder: Path) -> None:
    (folder / "classes.json").write_text('["background", "cat"]')
    save(folder, "masks/a.png", values(0, 255, 0))


def optimised(folder: Path) -> None:
    """A palette whose colours an optimiser put in another order: the same picture, other ids."""
    (folder / "classes.json").write_text(
        '[{"name": "ground", "color": "#102030"}, {"name": "cat", "color": "#d0e0f0"}]'
    )
    save(
        folder, "masks/a.png", palette(values(2, 0, 1), [(208, 224, 240), (255,) * 3, (16, 32, 48)])
    )


def painted(folder: Path) -> None:
    """Strokes on a transparent layer."""
    (folder / "classes.json").write_text(
        '[{"name": "ground", "color": "#0000ff"}, {"name": "cat", "color": "#ff0000"}]'
    )
    save(folder, "scribbles/a.png", colours((0, 0, 255, 255), (255, 0, 0, 255), (0, 0, 0, 0)))


def black_canvas(folder: Path) -> None:
    (folder / "classes.json").write_text('["nothing", "ground", "cat"]')
    save(folder, "scribbles/a.png", values(1, 2, 0))


def rloss(folder: Path) -> None:
    (folder / "classes.json").write_text('["ground", "cat"]')
    save(folder, "scribbles/a.png", values(0, 1, 254))


def agmm(folder: Path) -> None:
    (folder / "classes.json").write_text('["ground", "cat"]')
    save(folder, "scribbles/a.png", values(0, 1, 2))


ADE, VOC = load_classes("ade20k").names, load_classes("voc").names
GROUND_CAT = ("ground", "cat")
TOOLS = [
    Tool("LabelMe", labelme, {}, ("background", "cat")),
    Tool("VOC", voc, {"classes": "voc"}, (VOC[0], VOC[8])),
    Tool("CVAT", cvat, {"label_convention": "colors"}, ("background", "cat"), undrawn=False),
    Tool("CamVid", camvid, {"label_convention": "colors"}, ("Road", "Animal")),
    Tool(
        "Supervisely, machine masks",
        supervisely_machine,
        {"mask_dir": "masks_machine", "label_convention": "one_based"},
        GROUND_CAT,
    ),
    Tool(
        "Supervisely, human masks",
        supervisely_human,
        {"mask_dir": "masks_human", "label_convention": "colors"},
        GROUND_CAT,
    ),
    Tool("Roboflow", roboflow, {}, ("background", "cat"), undrawn=False),
    Tool(
        "ADE20K",
        ade20k,
        {"classes": "ade20k", "label_convention": "one_based"},
        (ADE[3], ADE[126]),
    ),
    Tool("COCO-Stuff", coco_stuff, {"label_convention": "ids"}, GROUND_CAT),
    Tool(
        "Cityscapes",
        cityscapes,
        {"label_map": ["7:0", "24:1"], "ignore_ids": [4]},
        ("road", "cat"),
    ),
    Tool("0 and 255", binary, {"label_convention": "binary"}, ("background", "cat"), undrawn=False),
    Tool("optimised palettes", optimised, {"label_convention": "palette_colors"}, GROUND_CAT),
    Tool("paint programs", painted, {"label_convention": "colors"}, GROUND_CAT),
    Tool("strokes on 0", black_canvas, {"ignore_ids": [0]}, GROUND_CAT),
    Tool("RLoss", rloss, {"label_convention": "rloss"}, GROUND_CAT),
    Tool("AGMM", agmm, {"label_convention": "agmm"}, GROUND_CAT),
]


@pytest.mark.parametrize("tool", TOOLS, ids=[tool.row for tool in TOOLS])
def test_the_labels_of_a_tool_mean_what_it_meant(tmp_path: Path, tool: Tool) -> None:
    save(tmp_path, "images/a.jpg", np.full((SIDE, SIDE, 3), 128, np.uint8))
    tool.write(tmp_path)
    source = open_source(FolderConfig(data_dir=str(tmp_path), **tool.options))
    assert source is not None
    sample = source.load(0)
    read = sample.scribble if sample.mask is None else sample.mask
    ids = {name: i for i, name in enumerate(source.classes.names)}
    ground, cat = (ids[name] for name in tool.names)
    nobody = NOBODY if tool.undrawn else ground
    assert np.array_equal(read, values(ground, cat, nobody))
    assert source.check(sample) is None


def table_rows() -> dict[str, str]:
    """First cell -> the row, of the builders' table of tools."""
    text = README.read_text("utf-8").partition("| labels of |")[2].partition("\n\n")[0]
    rows = [line for line in text.splitlines()[2:] if line.startswith("|")]
    return {row.split("|")[1].strip(): row for row in rows}


def test_the_table_has_every_tool_with_its_option() -> None:
    rows = table_rows()
    assert rows
    for tool in TOOLS:
        row = next((row for names, row in rows.items() if tool.row in names), "")
        assert row, f"{README} does not tell of {tool.row}"
        for option, value in tool.options.items():
            if option in ("label_convention", "label_map", "ignore_ids"):
                assert f"--{option}" in row
                if isinstance(value, str):
                    assert re.search(rf"--label_convention[^|]*\b{value}\b", row)


def test_every_tool_of_the_table_is_tried() -> None:
    told = ", ".join(table_rows())
    for tool in TOOLS:
        told = told.replace(tool.row, "")
    assert not re.search(r"\w", told), f"not tried: {told}"
