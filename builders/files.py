"""Finding and identifying files, without decoding them."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from scribblegen.builders.folder_walk import LABEL_SUFFIXES, PHOTOGRAPH_SUFFIXES
from scribblegen.classes import Classes, is_file, load_classes
from scribblegen.file_names import safe_text
from scribblegen.regular_files import UnreadableFileError, file_size, read_file
from scribblegen.text_files import read_text

OWN_CLASS_FILES = ("classes.json", "id2label.json")
CLASS_FILES = (
    "label2id.json",
    "labels.txt",  # LabelMe, COCO-Stuff
    "class_names.txt",
    "labelmap.txt",  # CVAT
    "label_colors.txt",
    "meta.json",  # Supervisely
    "_classes.csv",  # Roboflow
    "data.yaml",  # YOLO
    "classes.txt",  # Label Studio
)


def read_ids(path: Path, known: Collection[str] = ()) -> list[str]:
    """Ids in a list file: the name on each line, without folder and picture suffix.

    So `2007_000032`, `2007_000032.jpg` and the pair `JPEGImages/a.jpg scribbles/a.png` all do.
    Folders belong to an id where they do to those that are known, such as `cat/a`.

    Args:
        path: of the list file.
        known: the ids of the photographs that there are.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not UTF-8.
    """
    if not path.is_file():
        raise FileNotFoundError(f"`ids` must name a list file, one id a line. No file at {path}.")
    lines = [line.strip() for line in read_text(path, "`ids`", encoding="utf-8-sig").splitlines()]
    depths: dict[str, int] = {}
    for source_id in known:
        if "/" in source_id:
            top = source_id.split("/")[0]
            depths[top] = max(depths.get(top, 0), source_id.count("/"))
    return [_listed_id(_listed_name(line), known, depths) for line in lines if line]


def find_folder(
    data_dir: Path, given: str | None, candidates: Sequence[str], option: str
) -> Path | None:
    """The sub-folder `given`, which must exist, or the first of `candidates` that does.

    A candidate that ends in `*` stands for any folder whose name begins so.
    """
    if given is not None:
        if not (data_dir / given).is_dir():
            raise FileNotFoundError(f"`{option}` {given!r} is no folder in {data_dir}.")
        return data_dir / given
    for candidate in candidates:
        for path in sorted(data_dir.glob(candidate)):
            if path.is_dir():
                return path
    return None


def content_key(path: Path | None, *, whole: bool) -> str:
    """What identifies a file's content: its digest (`whole`) or its size; "-" where it is missing.

    Labels are small and decide everything, so they are read; photographs go by size. What is no
    file that can be read goes by what it is instead.

    Raises:
        OSError: a fault of the machine, which says nothing of the file.
    """
    if path is None:
        return "-"
    try:
        if whole:
            return hashlib.blake2b(read_file(path), digest_size=8).hexdigest()
        return str(file_size(path))
    except FileNotFoundError:
        return "-"
    except UnreadableFileError as error:
        return f"({error.what})"


def folder_classes(data_dir: Path, spec: str | None) -> Classes:
    """The classes that `spec` names, else those of the class list inside.

    That is classes.json, else id2label.json, else the one file that is called as in `CLASS_FILES`.

    Raises:
        FileNotFoundError: there is no class list.
        ValueError: there are several, or it is none; see `load_classes`.
    """
    if spec is not None:
        inside = data_dir / spec
        return load_classes(inside if is_file(inside) else spec)
    for name in OWN_CLASS_FILES:
        if (data_dir / name).is_file():
            return load_classes(data_dir / name)
    found = [name for name in CLASS_FILES if (data_dir / name).is_file()]
    if len(found) > 1:
        raise ValueError(
            f"`classes` must name one class list: {data_dir} has {', '.join(found)}. "
            "Give the one that its masks go by."
        )
    if found:
        return load_classes(data_dir / found[0])
    raise FileNotFoundError(
        f"`classes` must be given: {data_dir} has no classes.json and no class list of a tool. "
        "Use voc, ade20k, a file, or names separated by commas, in the order of the ids."
    )


def check_data_dir(data_dir: str | None, source: str) -> Path:
    """`data_dir` as a path, refused where it is missing."""
    if data_dir is None:
        raise ValueError(f"`data_dir` must be given for source {source}.")
    if not Path(data_dir).is_dir():
        raise FileNotFoundError(f"`data_dir` must be a folder. Nothing at {data_dir}.")
    return Path(data_dir)


def _listed_name(line: str) -> str:
    """The first of several file names; else the whole line, for a name may hold spaces."""
    words = line.split()
    suffixes = (*PHOTOGRAPH_SUFFIXES, *LABEL_SUFFIXES)
    are_files = all(Path(word).suffix.lower() in suffixes for word in words)
    return words[0] if are_files else line


def _listed_id(name: str, known: Collection[str], depths: Mapping[str, int]) -> str:
    """The end of a path that is an id; where none is known, as much of it as may be one.

    Args:
        name: the path.
        known: ids of photographs.
        depths: folder at the beginning of known ids -> how many folders they hold at most.
    """
    parts = [safe_text(part) for part in Path(name).parts if part not in ("/", "..")]
    *folders, last = parts or [""]
    suffix = Path(last).suffix
    stem = last.removesuffix(suffix) if suffix.lower() in PHOTOGRAPH_SUFFIXES else last
    longest = min(max(depths.values(), default=0), len(folders))
    ends = ["/".join([*folders[len(folders) - n :], stem]) for n in range(longest, -1, -1)]
    for end in ends:
        if end in known or end.split("/")[0] in depths:
            return end
    return ends[0]
