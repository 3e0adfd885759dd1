"""Texts that people and tools write: class lists, strokes, lists of ids, options."""

import json
import unicodedata
from pathlib import Path

import yaml
from PIL import Image

from scribblegen.builders.config import FolderConfig, PascalScribbleConfig
from scribblegen.builders.sources import SOURCE, open_source
from scribblegen.classes import load_classes
from scribblegen.commands.study.plan import read_study
from scribblegen.configs import parse_configs, to_dict
from scribblegen.methods.table import method_choice
from scribblegen.recipes import read_config_file
from scribblegen.records import Rejection
from scribblegen.runs.config import OutputConfig, RunConfig
from tests.fuzz.kinds import File, Kind, write_all
from tests.fuzz.pictures import check_sample, encoded, label, photograph

_ROWS = [{"name": "cat", "id": 0, "color": [1, 2, 3]}, {"name": "dog", "id": 1, "color": "#102030"}]
_CLASS_LISTS: dict[str, object] = {
    "names.json": ["cat", "dog"],
    "rows.json": _ROWS,
    "classes.json": {"classes": [{"id": 0, "name": "cat", "palette_rgb": [1, 2, 3]}]},
    "meta.json": {"classes": [{"title": "cat", "id": 77, "color": "#102030"}]},
    "machine.json": {"cat": [1, 1, 1], "dog": [2, 2, 2]},
    "coco.json": {"categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]},
    "id2label.json": {"0": "cat", "1": "dog"},
    "label2id.json": {"cat": 0, "dog": 1},
    "data.yaml": {"nc": 2, "names": ["cat", "dog"]},
    "numbered.yaml": {"names": {0: "cat", 1: "dog"}},
    "labels.txt": "__ignore__\n_background_\ncat\ndog\n",
    "class_names.txt": "_background_\ncat\ndog\n",
    "labelmap.txt": "# label:color_rgb:parts:actions\ncat:48,112,32::\ndog:1,2,3:head,tail:run\n",
    "label_colors.txt": "64 128 64 Animal\n192 0 128 Archway\n",
    "coco_stuff.txt": "0: unlabeled\n1: person\n2: car\n",
    "plain.txt": "cat\ndog\n",
    "_classes.csv": "Pixel Value, Class\n0, cat\n1, dog\n",
    "objectInfo.csv": 'Idx,Ratio,Train,Val,Stuff,Name\n1,0.1,2,3,0,"cat, kitty"\n2,0.1,2,3,0,dog\n',
    "class_dict.csv": "name,r,g,b\ncat,1,2,3\ndog,4,5,6\n",
}
_STROKES = {
    "xml.xml": "<annotation><size><width>32</width><height>24</height></size>"
    "<polygon><tag>cat</tag><point><X>3</X><Y>4</Y></point><point><X>20</X><Y>9</Y></point>"
    "</polygon><polygon><tag>background</tag><point><X>5</X><Y>20</Y></point></polygon>"
    "</annotation>",
    "text.txt": "0,3,4,20,9\n1,5.5,20,9,21,30,2\n",
}


def class_lists(folder: Path) -> Kind:
    files = []
    for name, listed in _CLASS_LISTS.items():
        text = listed if isinstance(listed, str) else json.dumps(listed)
        files.append(File(name, text.encode()))
    write_all(folder, files)

    def read(file: File) -> None:
        classes = load_classes(folder / file.name)
        assert 1 <= len(classes.names) == len(set(classes.names)) == len(classes.palette) <= 254
        for name in classes.names:
            assert isinstance(name, str) and 0 < len(name.strip()) <= len(name) <= 200
            assert not {unicodedata.category(c) for c in name} & {"Cc", "Cs", "Zl", "Zp"}
        for colour in classes.palette:
            assert [type(c) for c in colour] == [int] * 3 and set(colour) <= set(range(256))

    return Kind(folder, files, read)


def strokes(folder: Path) -> Kind:
    """Strokes beside photographs; a bad file of strokes is a rejection."""
    files = [File(f"scribbles/{name}", text.encode()) for name, text in _STROKES.items()]
    picture = encoded(photograph(), "JPEG")
    stems = [Path(file.name).stem for file in files]
    write_all(folder, [*files, *(File(f"JPEGImages/{stem}.jpg", picture) for stem in stems)])
    config = PascalScribbleConfig(data_dir=str(folder), classes="background,cat")
    source = open_source(config)
    assert source is not None

    def read(file: File) -> Rejection | None:
        assert len(source.fingerprint()) == 16
        found = source.read(source.source_ids.index(Path(file.name).stem))
        if isinstance(found, Rejection):
            return found
        check_sample(found, source.classes)
        return None

    return Kind(folder, files, read, may_raise=False)


def id_lists(folder: Path) -> Kind:
    """A list that names photographs: a bad one is refused, a bad name in one is a rejection."""
    files = [
        File("ids.txt", b"a\nb\nc\n"),
        File("pairs.txt", b"images/a.png scribbles/a.png\nimages/b.png scribbles/b.png\n"),
    ]
    picture, mark = encoded(photograph(), "PNG"), encoded(Image.fromarray(label()), "PNG")
    pairs = [(f"images/{s}.png", picture) for s in "ab"] + [("scribbles/a.png", mark)]
    write_all(folder, [*files, *(File(*pair) for pair in pairs)])

    def read(file: File) -> Rejection | None:
        config = FolderConfig(data_dir=str(folder), ids=file.name, classes="ground,wall")
        source = open_source(config)
        assert source is not None and all(isinstance(i, str) and i for i in source.source_ids)
        try:
            assert len(source.fingerprint()) == 16
            found = [source.read(index) for index in range(min(8, len(source)))]
        except Exception as error:
            raise AssertionError(f"must be a rejection: {error!r}") from error
        for item in found:
            if not isinstance(item, Rejection):
                check_sample(item, source.classes)
        return next((item for item in found if isinstance(item, Rejection)), None)

    return Kind(folder, files, read)


def configs(folder: Path) -> Kind:
    """The files of `--config`, read as `scribblegen build` and `scribblegen study` read them."""
    own = {"method": "scribblegen", "source": "folder", "ids": "a.txt", "guidance_scales": [1.0]}
    own |= {"rows": "auto", "license": "cc0-1.0", "output_dir": "out", "num_processes": 1}
    files = [
        File("build.yaml", yaml.safe_dump(own).encode()),
        File("build-paper.yaml", read_config_file("paper-voc").encode()),
        File("study.yaml", read_config_file("study-daylight").encode()),
    ]
    write_all(folder, files)

    def read(file: File) -> None:
        config = ["--config", str(folder / file.name)]
        if file.name.startswith("study"):
            read_study([*config, "--output_dir", "out"])
            return
        types = (method_choice(), SOURCE, OutputConfig, RunConfig)
        found = parse_configs(types, config, program="scribblegen build", description="")
        for value in to_dict(*found).values():
            assert isinstance(value, (str, int, float, bool, list, type(None)))

    return Kind(folder, files, read)
