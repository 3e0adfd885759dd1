"""Pairs of images with masks of words, as a training of open vocabularies reads them."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset

from scribblegen.classes import IGNORE_INDEX, values_of
from scribblegen.descriptions import Description, description_of
from scribblegen.images import BadImageError, decode_image, resize_image, resize_label
from scribblegen.label_pictures import decode_label
from scribblegen.picture_cells import cell_file
from scribblegen.subset_name import SubsetName
from scribblegen.trainers.segmentation.data import open_subset
from scribblegen.vocabulary import Vocabulary, Word

COLUMNS = ("image", "mask", "classes", "nouns", "prompt", "prompt_source", "source_id")
_PASSED = "counterfactual images that are learned from"
_FAILED = "rows of masks alone: what their counterfactual image should lack may be in it"
_UNTESTED = "rows of masks alone: nobody looked whether their counterfactual image lacks it"
_NONE = "rows of masks alone: they have no counterfactual image"


@dataclass(frozen=True, eq=False)
class WordPair:
    """A row, decoded.

    Args:
        image: (H, W, 3) uint8.
        mask: (H, W) uint8 of local values, 0 for none of them, `IGNORE_INDEX` for unsure.
        twin: (H, W, 3) uint8, without the words; None where it may not be learned from.
        description: the text, with its words.
    """

    image: np.ndarray
    mask: np.ndarray
    twin: np.ndarray | None
    description: Description


@dataclass(frozen=True, eq=False)
class PairTable:
    """The rows of subsets of pairs, numbered through, all of one size of image.

    Args:
        tables: rows, their pictures encoded.
        side: images are squashed to `side` x `side` pixels, masks by nearest.
        untested: learn from counterfactual images that no test looked at, too.
    """

    tables: tuple[Dataset, ...]
    side: int
    untested: bool = False

    def __len__(self) -> int:
        return sum(map(len, self.tables))

    def read(self, row: int) -> WordPair:
        """One row.

        Raises:
            ValueError: a picture of it cannot be read, or is not as large as the others.
        """
        number, place = 0, row
        while place >= len(self.tables[number]):
            place -= len(self.tables[number])
            number += 1
        record = self.tables[number][place]
        description = description_of(record)
        try:
            image = decode_image(_file(record, "image"))[0]
            mask = decode_label(_file(record, "mask"))
            twin = None
            if self.twin_of(record) == _PASSED:
                twin = decode_image(_file(record, "counterfactual_image"))[0]
        except BadImageError as error:
            raise ValueError(f"{description.source_id} cannot be read: {error}.") from error
        known = {0, IGNORE_INDEX, *(mention.local for mention in description.mentions)}
        if stray := [value for value in values_of(mask) if value not in known]:
            raise ValueError(
                f"{description.source_id} holds {stray} in `mask`, which are values of no word."
            )
        for name, other in (("mask", mask), ("counterfactual_image", twin)):
            if other is not None and other.shape[:2] != image.shape[:2]:
                raise ValueError(
                    f"{description.source_id} holds a `{name}` of {other.shape[:2]} over an image "
                    f"of {image.shape[:2]}."
                )
        return WordPair(
            resize_image(image, self.side, self.side),
            resize_label(mask, self.side, self.side),
            None if twin is None else resize_image(twin, self.side, self.side),
            description,
        )

    def twin_of(self, record: Mapping[str, Any]) -> str:
        """Whether the counterfactual image of a row is learned from, in words."""
        if record.get("counterfactual_image") is None:
            return _NONE
        passed = record.get("cf_passed")
        if passed is None:
            return _PASSED if self.untested else _UNTESTED
        return _PASSED if passed else _FAILED

    def twins(self) -> Counter[str]:
        """How many rows are learned from as what."""
        columns = ("counterfactual_image", "cf_passed")
        return Counter(
            self.twin_of(record)
            for table in self.tables
            for record in table.select_columns([c for c in columns if c in table.column_names])
        )

    def fingerprint(self) -> str:
        """Changes with all of the rows that is learned from."""
        digest = hashlib.blake2b(str(self.side).encode())
        read = {*COLUMNS, "counterfactual_image", "cf_passed"}
        for table in self.tables:
            for record in table.select_columns([c for c in table.column_names if c in read]):
                digest.update(repr(record).encode())  # files of pictures as they are
        return digest.hexdigest()[:16]

    def vocabulary(self) -> Vocabulary:
        """The words that any row was asked for, by id: without synonyms and parents.

        Raises:
            ValueError: rows give one id two names.
        """
        names: dict[int, str] = {}
        for table in self.tables:
            for classes in table["classes"]:
                for told in classes:
                    known = names.setdefault(told["id"], told["name"])
                    if known != told["name"]:
                        raise ValueError(
                            f"`synthetic` must be of one vocabulary. Its word {told['id']} is "
                            f"{known!r} and {told['name']!r}."
                        )
        return Vocabulary(tuple(Word(id_, name) for id_, name in sorted(names.items())))


def open_pairs(synthetic: Sequence[str], side: int, *, untested: bool = False) -> PairTable:
    """Opens the subsets that a training reads.

    Args:
        synthetic: `REPO:subset` each, as `build --method magicseg` makes.
        side, untested: see `PairTable`.

    Raises:
        ValueError: none is named, one is missing, or lacks a column.
        OSError: a file of it is damaged.
    """
    if not synthetic:
        raise ValueError("`synthetic` must be given: REPO:subset of images with masks of words.")
    tables = []
    for text in synthetic:
        rows = open_subset(SubsetName.parse(text), "train")
        if missing := [column for column in COLUMNS if column not in rows.column_names]:
            raise ValueError(
                f"`synthetic` {text} must have the columns {list(COLUMNS)}. It lacks {missing}. "
                "Make it with `scribblegen build --method magicseg`."
            )
        tables.append(rows)
    return PairTable(tuple(tables), side, untested)


def _file(record: Mapping[str, Any], column: str) -> bytes:
    file = cell_file(record[column])
    if file is None:
        raise BadImageError(f"`{column}` is empty")
    return file
