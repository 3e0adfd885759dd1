"""Subsets of a few rows, written as a repository that `load_dataset` reads."""

import io

from datasets import ClassLabel, Dataset, Features, Image, List, Value
from PIL import Image as Picture

NAMES = ["ground", "thing"]


def encoded(array):
    buffer = io.BytesIO()
    Picture.fromarray(array).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def save(folder, subset, rows):
    """A subset of a repository, as `load_dataset` finds it by its folder's name."""
    types = {
        "image": Image(),
        "label": Image(),
        "pseudo_label": Image(),
        "distance_map": Image(),
        "classes": List(ClassLabel(names=NAMES)),
        "source_id": Value("string"),
        "encode_ratio": Value("float64"),
        "scores": {"source_distance": Value("float32"), "agreement": Value("float32")},
    }
    features = Features({key: types[key] for key in rows})
    path = folder / subset / "train-00000-of-00001.parquet"
    path.parent.mkdir(parents=True)
    Dataset.from_dict(rows, features).to_parquet(path)


def write_card(folder, *subsets):
    lines = [f"- config_name: {s}\n  data_files: {s}/train-*.parquet" for s in subsets]
    (folder / "README.md").write_text("---\nconfigs:\n" + "\n".join(lines) + "\n---\n")
