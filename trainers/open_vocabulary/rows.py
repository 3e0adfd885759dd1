"""Pairs of images with masks of words, as a training of open vocabularies reads them."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset

from scribblegen.descriptions import Description, description_of
from scribblegen.images import BadImageError, decode_image
from scribblegen.label_pictures import decode_label
from scribblegen.repository_vocabulary import repository_vocabulary
from scribblegen.subset_name import SubsetName
from scribblegen.trainers.open_vocabulary.pair_check import check_pairs, pair_fault, picture_file
from scribblegen.trainers.segmentation.data import open_subset
from scribblegen.vocabulary import Vocabulary, Word

COLUMNS = ("image", "mask", "classes", "nouns", "prompt", "prompt_source", "source_id")
_MAKE = "Make it with `scribblegen build --method magicseg`."
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
    """The rows of subsets of pairs, numbered through.

    Args:
        tables: rows, their pictures encoded.
        names: `REPO:subset` of each table.
        untested: learn from counterfactual images that no test looked at, too.
    """

    tables: tuple[Dataset, ...]
    names: tuple[str, ...]
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
        if (fault := pair_fault(record)) is not None:
            raise ValueError(f"{description.source_id} {fault}.")
        try:
            image = decode_image(picture_file(record, "image"))[0]
            mask = decode_label(picture_file(record, "mask"))
            twin = None
            if self.twin_of(record) == _PASSED:
                twin = decode_image(picture_file(record, "counterfactual_image"))[0]
        except BadImageError as error:
            raise ValueError(f"{description.source_id} cannot be read: {error}.") from error
        return WordPair(image, mask, twin, description)

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
        digest = hashlib.blake2b()
        read = {*COLUMNS, "counterfactual_image", "cf_passed"}
        for table in self.tables:
            for record in table.select_columns([c for c in table.column_names if c in read]):
                digest.update(repr(record).encode())  # files of pictures as they are
        return digest.hexdigest()[:16]

    def check(self) -> None:
        """Looks at all rows before any work; see `check_pairs`."""
        read = {"image", "mask", "counterfactual_image", "classes", "source_id"}
        for table, name in zip(self.tables, self.names, strict=True):
            kept = table.select_columns([c for c in table.column_names if c in read])
            check_pairs(kept, f"`synthetic` {name}")

    def vocabulary(self) -> Vocabulary:
        """The words of the repositories, by id, with synonyms and parents; and without, those that
        any row was asked for and its repository's vocabulary does not hold.

        Raises:
            ValueError: rows give one id two names.
        """
        words: dict[int, Word] = {}
        for table, name in zip(self.tables, self.names, strict=True):
            carried = repository_vocabulary(
                SubsetName.parse(name).repository, option="synthetic", advice=_MAKE
            )
            found = () if carried is None else carried.words
            told = {(t["id"], t["name"]) for classes in table["classes"] for t in classes}
            asked = [Word(id_, called) for id_, called in sorted(told)]
            for word in (*found, *asked):
                known = words.setdefault(word.id, word)
                if known.name != word.name:
                    raise ValueError(
                        f"`synthetic` must be of one vocabulary. Its word {word.id} is "
                        f"{known.name!r} and {word.name!r}."
                    )
        return Vocabulary(tuple(word for _, word in sorted(words.items())))


def open_pairs(synthetic: Sequence[str], *, untested: bool = False) -> PairTable:
    """Opens the subsets that a training reads.

    Args:
        synthetic: `REPO:subset` each, as `build --method magicseg` makes.
        untested: see `PairTable`.

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
                f"{_MAKE}"
            )
        tables.append(rows)
    return PairTable(tuple(tables), tuple(synthetic), untested)
