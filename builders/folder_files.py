"""The photographs and labels of a folder, whether they lie in folders of their own or together."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from scribblegen.builders.config import FolderConfig
from scribblegen.builders.files import CLASS_FILES, OWN_CLASS_FILES, find_folder
from scribblegen.builders.folder_walk import PHOTOGRAPH_SUFFIXES, FoundFile, walk
from scribblegen.builders.label_names import Labels, is_picture, match_labels
from scribblegen.builders.side_by_side import tell_apart
from scribblegen.builders.unused_files import tell_unused

IMAGE_FOLDERS = ("images", "JPEGImages", "image", "img", "photos")
SCRIBBLE_FOLDERS = ("scribbles", "scribble", "scribbles*", "SegmentationScribble*")
MASK_FOLDERS = (
    "masks",
    "mask",
    "SegmentationClassAug",
    "SegmentationClass",
    "labels",
    "annotations",
)


@dataclass(frozen=True)
class FolderFiles:
    """What a folder holds, by id; nothing is read yet.

    Args:
        image_dir: the folder of the photographs.
        mask_dir: the folder of the dense masks; None where there is none.
        scribble_dir: the folder of the scribbles; None where there is none.
        photographs: id -> photograph, sorted by file name.
        masks: the dense masks.
        scribbles: the scribbles.
    """

    image_dir: Path
    mask_dir: Path | None
    scribble_dir: Path | None
    photographs: dict[str, Path]
    masks: Labels
    scribbles: Labels


def find_files(data_dir: Path, config: FolderConfig) -> FolderFiles:
    """Looks for the photographs of a folder and their labels, and tells what is not used.

    Args:
        data_dir: the folder.
        config: `image_dir`, `mask_dir` and `scribble_dir`, which are known by their usual names
            where unset. Where there are no folders of labels, they are looked for beside the
            photographs, which may lie in `data_dir` itself.

    Raises:
        FileNotFoundError: there are no photographs or no labels.
        ValueError: two photographs have the same id.
    """
    images = find_folder(data_dir, config.image_dir, IMAGE_FOLDERS, "image_dir")
    masks = find_folder(data_dir, config.mask_dir, MASK_FOLDERS, "mask_dir")
    scribbles = find_folder(data_dir, config.scribble_dir, SCRIBBLE_FOLDERS, "scribble_dir")
    files = None
    if images is not None:
        files = _files_of(data_dir, config, images, masks, scribbles)
    elif _holds_photographs(data_dir):
        files = _files_of(data_dir, config, data_dir, masks, scribbles)
        if not (files.masks.files or files.scribbles.files):
            files = None  # some picture beside the folders of something else
    if files is None:
        raise FileNotFoundError(
            f"`image_dir` must be given: {data_dir} has no folder called "
            f"{', '.join(IMAGE_FOLDERS)}, and no photographs with labels of its own."
        )
    if files.mask_dir is None and files.scribble_dir is None:
        raise FileNotFoundError(
            f"{data_dir} has neither scribbles ({', '.join(SCRIBBLE_FOLDERS)}) nor masks "
            f"({', '.join(MASK_FOLDERS)}), and none beside the photographs (a.jpg and a.png, or "
            "a.png and a_mask.png). Name a folder with `scribble_dir` or `mask_dir`."
        )
    return files


def _holds_photographs(folder: Path) -> bool:
    return any(
        path.suffix.lower() in PHOTOGRAPH_SUFFIXES and not path.name.startswith(".")
        for path in folder.iterdir()
    )


def _files_of(
    data_dir: Path,
    config: FolderConfig,
    images: Path,
    masks: Path | None,
    scribbles: Path | None,
) -> FolderFiles:
    folders = [folder for folder in (images, masks, scribbles) if folder is not None]
    apart = [folder for folder in folders if not folder.samefile(images)]
    found = walk(images, skip=apart)
    used = {config.ids, config.validation_ids, config.test_ids, config.classes}
    together = not apart or len(apart) < len(folders) - 1
    others = [
        file.name
        for file in found
        if not (is_picture(file) if together else file.suffix in PHOTOGRAPH_SUFFIXES)
        and not _is_used(file, data_dir, used)
    ]
    tell_unused(
        images, others, "is no photograph and is not used", "are no photographs and are not used"
    )
    if together:
        return _beside(images, masks, scribbles, found)
    photographs = _by_id(images, [f for f in found if f.suffix in PHOTOGRAPH_SUFFIXES])
    return FolderFiles(
        images,
        masks,
        scribbles,
        photographs,
        _labels_in(masks, folders, photographs),
        _labels_in(scribbles, folders, photographs),
    )


def _beside(
    images: Path, masks: Path | None, scribbles: Path | None, found: Sequence[FoundFile]
) -> FolderFiles:
    """As `_files_of`, where labels lie beside the photographs; a folder of labels comes first."""
    apart = tell_apart(found)
    photographs = _by_id(images, apart.photographs)
    scribbles_only = masks is None and scribbles is not None and scribbles.samefile(images)
    drawn, dense = [*apart.scribbles], [*apart.masks]
    (drawn if scribbles_only else dense).extend(apart.same_name)
    folders = [folder for folder in (images, masks, scribbles) if folder is not None]

    def labels(folder: Path | None, beside: list[FoundFile]) -> tuple[Path | None, Labels]:
        if folder is not None and not folder.samefile(images):
            return folder, _labels_in(folder, folders, photographs)
        matched = match_labels(beside, photographs)
        _tell_labels(images, matched)
        return (images if matched.files else folder), matched

    mask_dir, mask_labels = labels(masks, dense)
    scribble_dir, scribble_labels = labels(scribbles, drawn)
    return FolderFiles(images, mask_dir, scribble_dir, photographs, mask_labels, scribble_labels)


def _by_id(folder: Path, found: Sequence[FoundFile]) -> dict[str, Path]:
    by_id: dict[str, FoundFile] = {}
    for file in found:
        if file.id in by_id:
            raise ValueError(
                f"{folder} holds two photographs called {file.id!r}: {by_id[file.id].name} "
                f"and {file.name}. Rename one."
            )
        by_id[file.id] = file
    return {source_id: file.path for source_id, file in by_id.items()}


def _labels_in(folder: Path | None, folders: Sequence[Path], ids: Collection[str]) -> Labels:
    """The labels in a folder of their own."""
    if folder is None:
        return Labels({})
    found = walk(folder, skip=[other for other in folders if not other.samefile(folder)])
    others = [file.name for file in found if not is_picture(file)]
    tell_unused(folder, others, "is no label and is not used", "are no labels and are not used")
    labels = match_labels([file for file in found if is_picture(file)], ids)
    _tell_labels(folder, labels)
    return labels


def _tell_labels(folder: Path, labels: Labels) -> None:
    tell_unused(folder, labels.strays, "belongs to no photograph", "belong to no photograph")
    why = "not used, for another label of the same photograph comes first"
    tell_unused(folder, labels.spares, f"is {why}", f"are {why}")


def _is_used(file: FoundFile, data_dir: Path, used: Collection[str | None]) -> bool:
    """Whether a file that is no picture is one that the options name, or a list of classes."""
    if file.path.name in (*OWN_CLASS_FILES, *CLASS_FILES) and file.path.parent == data_dir:
        return True
    return any(name and file.path in (data_dir / name, Path(name)) for name in used)
