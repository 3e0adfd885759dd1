"""Label values of other code bases: read as ours, and nothing passes by mistake."""

import datasets
import numpy as np
import pytest
from PIL import Image

from scribblegen.builders.config import FolderConfig, HubConfig, PascalScribbleConfig
from scribblegen.builders.sources import open_source
from scribblegen.classes import IGNORE_INDEX
from scribblegen.records import Rejection, Sample
from scribblegen.scribbles.label_conventions import CONVENTIONS, from_convention

NUM_CLASSES = 21


@pytest.mark.parametrize("num_classes", [1, 2, 21, 150, 254])
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_class_ids_and_255_mean_the_same_in_every_convention(
    convention: str, num_classes: int
) -> None:
    label = np.array([[*range(num_classes), IGNORE_INDEX]], np.uint8)
    read = from_convention(label, convention, num_classes)
    assert np.array_equal(read, label) and read.dtype == np.uint8


@pytest.mark.parametrize(
    ("convention", "read"),
    [
        ("ids", [20, 21, 22, 254, 255]),
        ("rloss", [20, 21, 22, 255, 255]),
        ("agmm", [20, 255, 22, 254, 255]),
    ],
)
def test_each_convention_has_its_own_values(convention: str, read: list[int]) -> None:
    label = np.array([[20, 21, 22, 254, 255]], np.uint8)
    assert from_convention(label, convention, NUM_CLASSES).tolist() == [read]


def test_agmm_s_unlabelled_value_follows_the_number_of_classes() -> None:
    label = np.array([[0, 5, 7]], np.uint8)
    assert from_convention(label, "agmm", 7).tolist() == [[0, 5, IGNORE_INDEX]]
    assert from_convention(label, "agmm", 6).tolist() == [[0, 5, 7]], "still a stray value"


def test_an_unknown_convention_is_refused() -> None:
    with pytest.raises(ValueError, match="`convention` must be one of .*Got 'coco'"):
        from_convention(np.zeros((1, 1), np.uint8), "coco", 2)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_arguments_are_left_as_they_were(convention: str) -> None:
    label = np.array([[0, 21, 254, 255]], np.uint8)
    before = label.copy()
    from_convention(label, convention, NUM_CLASSES)
    assert np.array_equal(label, before)


LABEL = np.full((24, 24), 3, np.uint8)  # of three classes: agmm's unlabelled
LABEL[4:8, 4:20] = 1


def _open(kind, folder, convention):
    """A source of one photograph with `LABEL` as its scribble."""
    for name in ("images", "scribbles"):
        (folder / name).mkdir(exist_ok=True)
    Image.fromarray(np.zeros((24, 24, 3), np.uint8)).save(folder / "images" / "a.jpg")
    Image.fromarray(LABEL).save(folder / "scribbles" / "a.png")
    options = {"classes": "a,b,c", "label_convention": convention}
    if kind is not HubConfig:
        return open_source(kind(data_dir=str(folder), **options))
    files = {"image": folder / "images" / "a.jpg", "label": folder / "scribbles" / "a.png"}
    row = {name: {"bytes": file.read_bytes(), "path": None} for name, file in files.items()}
    features = datasets.Features({name: datasets.Image() for name in row})
    table = folder / "table"
    table.mkdir(exist_ok=True)
    datasets.Dataset.from_list([row], features).to_parquet(table / "train.parquet")
    return open_source(HubConfig(dataset_name=str(table), **options))


@pytest.mark.parametrize("kind", [FolderConfig, PascalScribbleConfig, HubConfig])
def test_every_source_of_label_files_reads_under_the_named_convention(tmp_path, kind) -> None:
    found = _open(kind, tmp_path, "agmm").read(0)
    assert isinstance(found, Sample)
    assert np.array_equal(found.scribble, np.where(LABEL == 3, IGNORE_INDEX, LABEL))
    refused = _open(kind, tmp_path, "ids").read(0)
    assert isinstance(refused, Rejection) and "holds [3], outside the 3 classes" in refused.reason
