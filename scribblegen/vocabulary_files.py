"""Vocabularies of files: YAML, lines of text, `index:name` lists, names, and those that ship."""

import re
from importlib import resources
from pathlib import Path
from typing import Any

from scribblegen.classes import is_file
from scribblegen.option_parser import did_you_mean
from scribblegen.text_files import decode_text, shown
from scribblegen.vocabulary import Vocabulary, Word
from scribblegen.yaml_files import parse_yaml

SHIPPED = ("scenes", "voc")
MAX_BYTES = 16 << 20
_FIELDS = ("name", "id", "sense", "synonyms", "plural", "parents")
_INDEXED = re.compile(r"(\d{1,9})\s*:\s*(.*)")
_SENSE = re.compile(r"(.*\S)\s*\(([^()]*\w[^()]*)\)")


def load_vocabulary(spec: str) -> Vocabulary:
    """Reads a vocabulary.

    A file that ends in .yaml, .yml or .json is a list of names, or of fields: `name`, and where
    known `id`, `sense`, `synonyms`, `plural` and `parents` (the nearest first). Every other file
    has a name a line, or `index:name`, whose indices are the ids. Without any, ids count from 0.

    In all of them an underscore is a space, and "bat (animal)" is the name bat in the sense animal.

    Args:
        spec: such a file; scenes or voc, which ship; or names separated by commas (one name with a
            comma behind it is a vocabulary too).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no vocabulary, or holds an id twice, or a name in one sense.
    """
    if spec in SHIPPED:
        file = resources.files("scribblegen") / "label_spaces" / "vocabularies" / f"{spec}.yaml"
        return parse_vocabulary(file.read_text("utf-8"), f"`vocabulary` {spec}", is_yaml=True)
    path = Path(spec)
    if not is_file(path):
        if "," not in spec:
            raise FileNotFoundError(
                f"`vocabulary` must be one of {', '.join(SHIPPED)}, a file, or names separated by "
                f"commas. Got {shown(spec)}, which is no file.{did_you_mean(spec, SHIPPED)} For a "
                "vocabulary of one word put a comma behind it."
            )
        names = spec.split(",")
        return _numbered([_word(name, 0) for name in (names if names[-1].strip() else names[:-1])])
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(
            f"`vocabulary` {path} must have at most {MAX_BYTES} bytes. Got {path.stat().st_size}. "
            "Keep the words alone."
        )
    where = f"`vocabulary` {path}"
    text = decode_text(path.read_bytes(), where, encoding="utf-8-sig")
    return parse_vocabulary(text, where, is_yaml=path.suffix in (".yaml", ".yml", ".json"))


def parse_vocabulary(text: str, where: str, *, is_yaml: bool) -> Vocabulary:
    """The vocabulary of a file's text; `where` it stands is said in messages.

    Raises:
        ValueError: as of `load_vocabulary`.
    """
    try:
        return _of_yaml(text, where) if is_yaml else _of_lines(text)
    except ValueError as error:
        if str(error).startswith(where):
            raise
        raise ValueError(f"{where} is no vocabulary: {error}") from error


def _of_lines(text: str) -> Vocabulary:
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    indexed = [_INDEXED.fullmatch(line) for line in lines]
    if not any(indexed):
        return _numbered([_word(line, 0) for line in lines])
    for line, found in zip(lines, indexed, strict=True):
        if found is None:
            raise ValueError(
                f"all of its lines must be `index:name`, or none. Got {shown(line)} among others."
            )
    return Vocabulary(tuple(_word(found[2], int(found[1])) for found in indexed if found))


def _of_yaml(text: str, where: str) -> Vocabulary:
    entries = parse_yaml(text, where)
    if not isinstance(entries, list):
        raise ValueError(f"it must be a list of words. Got {shown(entries)}.")
    words = [_entry(entry) for entry in entries]
    given = [isinstance(entry, dict) and entry.get("id") is not None for entry in entries]
    if any(given) and not all(given):
        lacking = words[given.index(False)]
        raise ValueError(f"all of its words must have an `id`, or none. {lacking.name} lacks it.")
    return Vocabulary(tuple(words)) if any(given) else _numbered(words)


def _numbered(words: list[Word]) -> Vocabulary:
    return Vocabulary(tuple(_with_id(word, i) for i, word in enumerate(words)))


def _with_id(word: Word, number: int) -> Word:
    return Word(number, word.name, word.sense, word.synonyms, word.plural, word.parents)


def _word(text: str, number: int) -> Word:
    """The word of a line: `bat_(animal)` has a sense."""
    spaced = " ".join(text.replace("_", " ").split())
    found = _SENSE.fullmatch(spaced)
    return Word(number, found[1], found[2].strip()) if found else Word(number, spaced)


def _entry(entry: Any) -> Word:
    if not isinstance(entry, dict):
        return _word(_text(entry, "a word"), 0)
    for field in entry:
        if field not in _FIELDS:
            near = did_you_mean(str(field), _FIELDS)
            raise ValueError(f"a word must have none but {_FIELDS}. Got {shown(field)}.{near}")
    named = _word(_text(entry.get("name"), "`name` of a word"), 0)
    number = entry.get("id")
    if number is not None and (not isinstance(number, int) or isinstance(number, bool)):
        raise ValueError(f"`id` of {named.name} must be a whole number. Got {shown(number)}.")
    if number is not None and number >= 2**31:
        raise ValueError(f"`id` of {named.name} must be below 2**31. Got {shown(number)}.")
    return Word(
        id=number or 0,
        name=named.name,
        sense=_optional(entry, "sense", named.name) or named.sense,
        synonyms=_texts(entry, "synonyms", named.name),
        plural=_optional(entry, "plural", named.name),
        parents=_texts(entry, "parents", named.name),
    )


def _optional(entry: dict[Any, Any], field: str, name: str) -> str | None:
    value = entry.get(field)
    return None if value is None else _text(value, f"`{field}` of {name}")


def _texts(entry: dict[Any, Any], field: str, name: str) -> tuple[str, ...]:
    values = entry.get(field) or []
    if not isinstance(values, list):
        raise ValueError(f"`{field}` of {name} must be a list. Got {shown(values)}.")
    return tuple(_text(v, f"one of `{field}` of {name}").replace("_", " ") for v in values)


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not re.search(r"\w", value):
        # YAML reads no as False: the word that was meant is lost.
        raise ValueError(f"{what} must be text. Got {shown(value)}. Put it in quotes.")
    return " ".join(value.split())
