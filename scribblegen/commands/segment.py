"""`scribblegen segment`: photographs and words -> masks of the words, and pictures of them."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scribblegen.option_parser import OptionParser

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")


def segment(arguments: Sequence[str]) -> None:
    """`scribblegen segment photo.jpg --model FOLDER --classes balloon "red car"`."""
    options = _parser().parse_args(arguments)
    folder = Path(options.output_dir)
    photographs = list(_photographs(options.photographs, folder))
    _check_free([path for path, _ in photographs], [folder / name for _, name in photographs])

    from scribblegen.classes import Classes
    from scribblegen.trainers.open_vocabulary.background import Background

    classes = Classes(tuple(options.classes), _colours(len(options.classes)))
    threshold = options.background_threshold
    if options.background_rule == "threshold" and threshold is None:
        threshold = 0.5
    background = Background(options.background_rule, threshold, tuple(options.background_words))

    from scribblegen.images import BadImageError, decode_image
    from scribblegen.trainers.open_vocabulary.opening import open_segmentor

    segmentor = open_segmentor(options.model)
    texts = segmentor.texts([*classes.names, *background.words])
    folder.mkdir(parents=True, exist_ok=True)
    rejected = 0
    for path, name in photographs:
        try:
            image, _ = decode_image(path.read_bytes())
        except (BadImageError, OSError) as error:
            rejected += 1
            print(f"{path}: left out: {error}")
            continue
        out = folder / name
        said = _segment(image, path.name, out, segmentor, texts, classes, background)
        shares = [f"{each['word']} {each['share']:.0%}" for each in said["words"]]
        print(f"{folder / name}_overlay.jpg: {', '.join(shares)}")
    if rejected:
        print(f"{rejected} of {len(photographs)} photographs left out, see above")
    if rejected == len(photographs):
        raise ValueError("`photographs` must hold a picture that can be read. Got none.")


def _segment(
    image: np.ndarray,
    photograph: str,
    out: Path,
    segmentor: Any,
    texts: Any,
    classes: Any,
    background: Any,
) -> dict[str, Any]:
    """Writes OUT.json, OUT.png and OUT_overlay.jpg; returns what the last one holds."""
    from scribblegen.cards.overlay import render_overlay
    from scribblegen.classes import IGNORE_INDEX
    from scribblegen.images import encode_label
    from scribblegen.trainers.open_vocabulary.background import winners

    scores = segmentor.scores(image, texts)
    mask, _ = winners(scores, len(classes), background, image.shape[:2])
    shares = [float((mask == i).mean()) for i in range(len(classes))]
    said = {
        "photograph": photograph,
        "height": image.shape[0],
        "width": image.shape[1],
        "words": [
            {"id": i, "word": name, "share": shares[i], "best_score": float(scores[i].max())}
            for i, name in enumerate(classes.names)
        ],
        "none_of_them": {"id": IGNORE_INDEX, "share": float((mask == IGNORE_INDEX).mean())},
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    mask_file, overlay_file, figures_file = _results(out)
    text = json.dumps(said, indent=1, ensure_ascii=False) + "\n"
    figures_file.write_text(text, "utf-8")  # first: it says whose the others are
    mask_file.write_bytes(encode_label(mask, classes))
    overlay = render_overlay(image, mask, classes, [f"{share:.0%}" for share in shares])
    overlay_file.write_bytes(overlay)
    return said


def _results(out: Path) -> tuple[Path, Path, Path]:
    """The files of one photograph: its mask, its overlay, its figures."""
    mask, overlay, figures = (
        out.with_name(out.name + ending) for ending in (".png", "_overlay.jpg", ".json")
    )
    return mask, overlay, figures


def _check_free(photographs: Sequence[Path], outs: Sequence[Path]) -> None:
    """Refuses, before anything is written, to write over what is no result of this command.

    Raises:
        ValueError: a file is there already, and is a photograph or has no figures of ours beside.
    """
    given = {path.resolve() for path in photographs}
    for out in outs:
        files = _results(out)
        there = [file for file in files if file.exists()]
        taken = [file for file in files if file.resolve() in given]
        if taken or (there and not _is_ours(files[-1])):
            raise ValueError(
                f"`output_dir` must be a folder of results alone. {(taken or there)[0]} is there "
                "already, and would be lost. Name another folder."
            )


def _is_ours(figures: Path) -> bool:
    try:
        said = json.loads(figures.read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(said, dict) and {"photograph", "words", "none_of_them"} <= said.keys()


def _photographs(given: Sequence[str], folder: Path) -> Iterator[tuple[Path, str]]:
    """Each file with the name that its results have: no two alike. In folders, those in `folder`,
    results of before, are passed over.

    Raises:
        ValueError: a path is neither a file nor a folder with pictures.
    """
    taken: set[str] = set()
    for text in given:
        root = Path(text)
        if root.is_dir():
            files = sorted(
                path
                for path in root.rglob("*")
                if path.suffix.lower() in _SUFFIXES
                and not path.resolve().is_relative_to(folder.resolve())
            )
            named = [(file, str(file.relative_to(root).with_suffix(""))) for file in files]
        else:
            named = [(root, root.stem)] if root.is_file() else []
        if not named:
            raise ValueError(
                f"`photographs` must be pictures, or folders of them. There is none at {text}."
            )
        for file, name in named:
            free, number = name, 2
            while free in taken:
                free, number = f"{name}-{number}", number + 1
            taken.add(free)
            yield file, free


def _colours(number: int) -> tuple[tuple[int, int, int], ...]:
    """Of PASCAL VOC, without its black: words have no background among them."""
    from scribblegen.classes import voc_palette

    return voc_palette(number + 1)[1:]


def _parser() -> OptionParser:
    parser = OptionParser(
        "scribblegen segment",
        description="Finds words in photographs: a mask, a picture and figures of each.",
    )
    add = parser.add_argument
    add("photographs", nargs="+", help="Pictures, or folders of them.")
    add(
        "--model",
        required=True,
        help="Folder or Hub id of what `scribblegen train-open-vocabulary` made.",
    )
    add("--classes", nargs="+", required=True, help='Words: --classes balloon "red car" grass.')
    add("--output_dir", "--output-dir", required=True, help="Folder of what is found.")
    add(
        "--background_rule",
        "--background-rule",
        default="threshold",
        help="When a pixel is none of the words: none, never; threshold, where the best score is "
        "lower; words, where one of background_words scores best. (default: threshold)",
    )
    add(
        "--background_threshold",
        "--background-threshold",
        type=float,
        help="Of scores in [0, 1]. (default: 0.5)",
    )
    add("--background_words", "--background-words", nargs="+", default=[], help="Such as sky wall.")
    return parser
