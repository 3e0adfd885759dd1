"""What a manifest holds, so that one that was cut short or edited is refused by its field."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any

from scribblegen.classes import Classes
from scribblegen.runs.shards import SPLITS
from scribblegen.text_files import shown, shown_message
from scribblegen.vocabulary import vocabulary_of

# A type; a list of one shape; a mapping of `str` to one shape; or a mapping of these very fields.
Shape = Any
_WORDS = {
    str: "text",
    int: "a whole number, 0 or more",
    bool: "true or false",
    int | float | str: "text or a number",
}
_LARGEST = 2**63  # of a number: there is nothing to count beyond
_UNIT: Shape = {
    "unit": str,
    "split": str,
    "index": int,
    "sources": int,
    "files": {str: {"path": str, "rows": int, "bytes": int, "sha256": str}},
    "rejections": [{"source_id": str, "reason": str, "subset": (str, None)}],
}
_HEADER: Shape = {
    "scribblegen": str,
    "complete": bool,
    "method": str,
    "identity": {str: object},
    "environment": {str: str},
    "classes": [{"id": int, "name": str, "palette_rgb": [int]}],
    "subsets": [
        {
            "subset": str,
            "settings": {str: int | float | str},
            "generated": bool,
            "pictures": {str: str},
        }
    ],
    "spanning": [str],
    "num_units": int,
}
# Of runs whose rows name words of a vocabulary.
_VOCABULARY: Shape = [
    {
        "id": int,
        "name": str,
        "sense": (str, None),
        "synonyms": [str],
        "plural": (str, None),
        "parents": [str],
    }
]


def check_header(manifest: Any, path: Path, fix: str) -> None:
    """Refuses a manifest whose fields are of another kind than this program writes.

    Args:
        manifest: what its JSON says; fields may be missing.
        path: of its file.
        fix: what to do.

    Raises:
        ValueError: a field does not fit; it is named.
    """
    wrong = "must hold fields" if not isinstance(manifest, dict) else None
    for name, shape in {**_HEADER, "vocabulary": _VOCABULARY}.items():
        if wrong is None and name in manifest:
            wrong = _fault(manifest[name], shape, name)
    if wrong is None and not isinstance(manifest.get("units", []), list):
        wrong = "`units` must be a list"
    _refuse(wrong, path, fix)


def check_fields(manifest: Mapping[str, Any], path: Path, fix: str) -> None:
    """Refuses a manifest that lacks a field, or whose fields do not go together."""
    missing = [name for name in _HEADER if name not in manifest]
    wrong = f"`{missing[0]}` is missing" if missing else None
    if wrong is None:
        wrong = _fault_of_classes(manifest["classes"])
        if wrong is None and "vocabulary" in manifest:
            wrong = _fault_of_vocabulary(manifest["vocabulary"])
        if not manifest["subsets"]:
            wrong = "`subsets` must be one or more. Got []"
        if not re.fullmatch(r"[\w.-]+", manifest["method"]):
            wrong = f"`method` must be the name of one. Got {shown(manifest['method'])}"
        known = {subset["subset"] for subset in manifest["subsets"]}
        for unit in manifest["units"]:
            for name in [*unit["files"], *(r["subset"] for r in unit["rejections"])]:
                if name is not None and name not in known:
                    wrong = f"`subsets` must list every subset. Got files of {shown(name)}"
    _refuse(wrong, path, fix)


def _fault_of_classes(listed: Sequence[Mapping[str, Any]]) -> str | None:
    if [c["id"] for c in listed] != list(range(len(listed))):
        return "`classes` must have the ids 0, 1, ..."
    try:
        Classes(tuple(c["name"] for c in listed), tuple(tuple(c["palette_rgb"]) for c in listed))
    except ValueError as error:
        return f"`classes`: {shown_message(error)}"
    return None


def _fault_of_vocabulary(listed: Sequence[Mapping[str, Any]]) -> str | None:
    try:
        vocabulary_of(listed)
    except ValueError as error:
        return f"`vocabulary`: {shown_message(error)}"
    return None


def check_unit(record: Any, path: Path, fix: str) -> None:
    """Refuses the record of a unit that this program cannot have written.

    Args, Raises: as of `check_header`.
    """
    wrong = _fault(record, _UNIT, "unit")
    if wrong is None:
        named = re.fullmatch(r"(\w+)-(\d{5,})-of-\d{5,}", record["unit"])
        if record["split"] not in SPLITS:
            wrong = f"`split` must be one of {SPLITS}. Got {shown(record['split'])}"
        elif named is None or (named[1], int(named[2])) != (record["split"], record["index"]):
            wrong = f"`unit` must be named by its split and index. Got {shown(record['unit'])}"
    if wrong is None:
        for subset, file in record["files"].items():
            # Nothing but the folder's own files is ever opened, or published.
            if file["path"] != f"{subset}/{record['unit']}.parquet" or set(subset) <= {"."}:
                wrong = f"`path` must be that of the unit's own file. Got {shown(file['path'])}"
            elif "/" in subset or "\\" in subset:
                wrong = f"`files` must be of subsets. Got {shown(subset)}"
    _refuse(wrong, path, fix)


def _refuse(wrong: str | None, path: Path, fix: str) -> None:
    if wrong is not None:
        raise ValueError(f"{path} was edited or damaged: {wrong}. {fix}")


def _fault(value: Any, shape: Shape, name: str) -> str | None:
    """What is wrong with a value, naming the field; None where it fits."""
    if shape is object:
        return None
    if isinstance(shape, tuple):  # that, or nothing
        return None if value is None else _fault(value, shape[0], name)
    if isinstance(shape, type | UnionType):
        fits = isinstance(value, shape) and (shape is bool or not isinstance(value, bool))
        if fits and isinstance(value, int | float):  # NaN is below nothing
            fits = (0 if shape is int else -_LARGEST) <= value < _LARGEST
        if fits:
            return None
        return f"`{name}` must be {_WORDS[shape]}. Got {shown(value)}"
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"`{name}` must be a list. Got {shown(value)}"
        parts = [(part, shape[0], name) for part in value]
    elif not isinstance(value, dict):
        return f"`{name}` must hold fields. Got {shown(value)}"
    elif str in shape:
        parts = [(part, shape[str], f"{name}.{key}") for key, part in value.items()]
    else:
        missing = [key for key in shape if key not in value]
        if missing:
            return f"`{name}` must have `{missing[0]}`. Got {shown(value)}"
        parts = [(value[key], kind, key) for key, kind in shape.items()]
    return next((wrong for part in parts if (wrong := _fault(*part))), None)
