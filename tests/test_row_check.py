"""Rows that cannot be used, and classes that nothing teaches, are told before any work."""

import logging

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Image, List, Value

from scribblegen.trainers.classifier.config import ClassifierConfig
from scribblegen.trainers.classifier.run import train_classifier
from scribblegen.trainers.segmentation.config import SegmentationConfig
from scribblegen.trainers.segmentation.run import train_segmentation
from tests.subset_files import encoded

SIZE = 32
NAMES = ["background", "sky", "tree"]
TYPES = {
    "image": Image(),
    "label": Image(),
    "mask": Image(),
    "pseudo_label": Image(),
    "classes": List(ClassLabel(names=NAMES)),
    "source_id": Value("string"),
}


def strokes(*ids):
    label = np.full((SIZE, SIZE), 255, np.uint8)
    for place, number in enumerate(ids):
        label[4 * place + 2, 4:28] = number
    return label


def repository_of(folder, labels, *, test=None, **maps):
    """A repository of photographs with these labels; `maps` has more for every row."""
    rng = np.random.default_rng(0)
    splits = {"train": (labels, maps)}
    if test is not None:
        splits["test"] = (test, {})
    lines = []
    for split, (of_split, more) in splits.items():
        rows = {
            "image": [encoded(rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8)) for _ in of_split],
            "label": [encoded(label) for label in of_split],
            "classes": [[] for _ in of_split],
            "source_id": [f"{split}-{i}" for i in range(len(of_split))],
            **{name: [encoded(values) for values in each] for name, each in more.items()},
        }
        path = folder / "real" / f"{split}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        Dataset.from_dict(rows, Features({name: TYPES[name] for name in rows})).to_parquet(path)
        lines.append(f"  - split: {split}\n    path: real/{split}-*.parquet")
    # `datasets` caches a local folder by its name and this YAML: both may be those of another test.
    head = f"---\nconfigs:\n- config_name: real\n  description: {folder}\n  data_files:\n"
    (folder / "README.md").write_text(head + "\n".join(lines) + "\n---\n")
    return str(folder)


def options(repository, folder, **changes):
    return {
        "real": repository,
        "eval_split": "",
        "output_dir": str(folder / "model"),
        "crop_size": SIZE,
        "max_steps": 1,
        "per_device_train_batch_size": 2,
        "save_strategy": "no",
        "logging_strategy": "no",
        "disable_tqdm": True,
        "report_to": "none",
        "use_cpu": True,
        **changes,
    }


def segment(repository, folder, **changes):
    return train_segmentation(SegmentationConfig(**options(repository, folder, **changes)))


def classify(repository, folder, **changes):
    return train_classifier(ClassifierConfig(**options(repository, folder, **changes)))


GOOD = [strokes(0, 1), strokes(0, 2), strokes(1, 2), strokes(0, 1, 2)]


def refused(train, repository, folder, message, **changes):
    with pytest.raises(ValueError, match=message):
        train(repository, folder, **changes)
    assert not (folder / "model").exists()


def test_pseudo_labels_of_another_size_or_with_stray_ids_are_all_listed(tmp_path):
    stray = strokes(0, 7)
    pseudo = [strokes(0, 1), strokes(0, 1)[:-1], stray, np.ascontiguousarray(GOOD[0].T)]
    repository = repository_of(tmp_path / "data", GOOD, pseudo_label=pseudo)
    refused(
        segment,
        repository,
        tmp_path,
        r"`real` .*Of 4 rows that were looked at 2 cannot be used: train-1 holds a `pseudo_label` "
        r"of \(31, 32\) over an image of \(32, 32\); train-2 holds \[7\] in `pseudo_label`, "
        "outside the 3 classes",
        pseudo_label_weight=1.0,
    )
    segment(repository, tmp_path / "scribbles")  # which reads no pseudo label


@pytest.mark.parametrize("train", [segment, classify])
def test_what_is_measured_on_is_looked_at_too(tmp_path, train):
    repository = repository_of(tmp_path / "data", GOOD, test=[GOOD[0], strokes(0, 99)])
    changes = {} if train is classify else {"eval_labels": "scribble"}
    message = r"`eval_split` test must .*Of 2 rows.* 1 cannot be used: test-1 holds \[99\]"
    refused(train, repository, tmp_path, message, eval_split="test", **changes)


@pytest.mark.parametrize("train", [segment, classify])
def test_an_empty_split_is_refused(tmp_path, train):
    repository = repository_of(tmp_path / "data", GOOD, test=[])
    changes = {} if train is classify else {"eval_labels": "scribble"}
    refused(train, repository, tmp_path, "has no split test", eval_split="test", **changes)
    empty = repository_of(tmp_path / "empty", [])
    refused(train, empty, tmp_path, "has no split train")


def test_strokes_of_one_class_are_refused(tmp_path):
    repository = repository_of(tmp_path / "data", [strokes(1)] * 3)
    message = "`real` .*two classes or more. Its 3 rows hold sky alone, of 3 classes"
    refused(segment, repository, tmp_path, message)
    message = "`real` .*All 3 photographs .* have sky and no other of 2"
    refused(classify, repository, tmp_path, message)
    classify(repository_of(tmp_path / "two", [strokes(1), strokes(0)]), tmp_path)


def test_pseudo_labels_may_hold_the_other_classes(tmp_path):
    pseudo = [np.zeros((SIZE, SIZE), np.uint8)] * 3
    repository = repository_of(tmp_path / "data", [strokes(1)] * 3, pseudo_label=pseudo)
    segment(repository, tmp_path, pseudo_label_weight=1.0)


def test_photographs_without_a_tag_are_refused(tmp_path):
    repository = repository_of(tmp_path / "data", [strokes(0), strokes(0), strokes()])
    refused(classify, repository, tmp_path, "`real` must hold strokes of a class beside the back")
    refused(segment, repository_of(tmp_path / "none", [strokes()]), tmp_path, "1 rows hold none")


def test_classes_that_nothing_teaches_are_told_with_their_numbers(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    labels = [strokes(1, 2), strokes(1, 2), strokes()]
    repository = repository_of(tmp_path / "data", labels)
    segment(repository, tmp_path / "a")
    assert "none of 3 rows holds a stroke of background: every pixel will" in caplog.text
    assert "1 of 3 photographs have no labelled pixel" in caplog.text
    caplog.clear()
    segment(repository_of(tmp_path / "other", [strokes(0, 1)] * 2), tmp_path / "b")
    assert "no row holds a pixel of tree: not learned" in caplog.text
    caplog.clear()
    # The background is no tag: a classifier does without its strokes.
    classify(repository_of(tmp_path / "tags", [strokes(1), strokes(1, 2)]), tmp_path / "c")
    assert "every photograph has a stroke of sky: not told from anything" in caplog.text
    assert "background" not in caplog.text
