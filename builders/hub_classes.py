"""The classes of a data set of the Hub: given, in its columns, or in a file beside them."""

from pathlib import Path

import datasets
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from scribblegen.builders.config import HubConfig
from scribblegen.builders.files import folder_classes
from scribblegen.class_lists.listed import check_names
from scribblegen.classes import Classes, load_classes

CLASSES_FILE = "id2label.json"


def dataset_classes(config: HubConfig, features: datasets.Features) -> Classes:
    """`config.classes`, else the names of a column `classes`, else those of id2label.json.

    Args:
        config: `dataset_name`, a folder or a Hub id; `dataset_revision`; `classes`.
        features: the features of its rows.

    Raises:
        FileNotFoundError, ValueError: the classes are not told, or not in a form we read.
    """
    name = str(config.dataset_name)
    if config.classes is not None:
        folder = Path(name)
        return (
            folder_classes(folder, config.classes)
            if folder.is_dir()
            else load_classes(config.classes)
        )
    items = getattr(features.get("classes"), "feature", None)
    if isinstance(items, datasets.ClassLabel) and items.names:
        check_names(items.names)
        return Classes(tuple(items.names))
    if Path(name).is_dir():
        return folder_classes(Path(name), None)
    try:
        path = hf_hub_download(
            name, CLASSES_FILE, repo_type="dataset", revision=config.dataset_revision
        )
    except (EntryNotFoundError, LocalEntryNotFoundError, RepositoryNotFoundError) as error:
        raise FileNotFoundError(
            f"`classes` must be given: {name} has no {CLASSES_FILE}. Use voc, ade20k, a file, or "
            "names separated by commas, in the order of the ids."
        ) from error
    return load_classes(path)
