"""`scribblegen segment`: photographs and words -> masks of the words, and pictures of them."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from scribblegen.option_parser import OptionParser

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")


def segment(arguments: Sequence[str]) -> None:
    """`scribblegen segment photo.jpg --model FOLDER --classes balloon "red car"`."""
    options = _parser().parse_args(arguments)
    photographs = list(_photographs(options.photographs))

    from scribblegen.classes import Classes
    from scribblegen.trainers.open_vocabulary.background import Background

    classes = Classes(tuple(options.classes), _colours(len(options.classes)))
    threshold = options.background_threshold
    if options.background_rule == "threshold" and threshold is None:
        threshold = 0.5
    background = Background(options.background_rule, threshold, tuple(options.background_words))

    from scribblegen.images import BadImageError
    from scribblegen.trainers.open_vocabulary.opening import open_segmentor

    segmentor = open_segmentor(options.model)
    texts = segmentor.texts([*classes.names, *background.words])
    folder = Path(options.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    rejected = 0
    for path, name in photographs:
        try:
            said = _segment(path, folder / name, segmentor, texts, classes, background)
        except (BadImageError, OSError) as error:
            rejected += 1
            print(f"{path}: left out: {error}")
            continue
        shares = [f"{each['word']} {each['share']:.0%}" for each in said["words"]]
        print(f"{folder / name}_overlay.jpg: {', '.join(shares)}")
    if rejected:
        print(f"{rejected} of {len(photographs)} photographs left out, see above")
    if rejected == len(photographs):
        raise ValueError("`photographs` must hold a picture that can be read. Got none.")


def _segment(
    path: Path, out: Path, segmentor: Any, texts: Any, classes: Any, background: Any
) -> dict[str, Any]:
    """Writes OUT.png, OUT_overlay.jpg and OUT.json; returns what the last one holds."""
    from scribblegen.cards.overlay import render_overlay
    from scribblegen.classes import IGNORE_INDEX
    from scribblegen.images import decode_image, encode_label
    from scribblegen.trainers.open_vocabulary.background import winners

    image, _ = decode_image(path.read_bytes())
    scores = segmentor.scores(image, texts)
    mask, _ = winners(scores, len(classes), background, image.shape[:2])
    shares = [float((mask == i).mean()) for i in range(len(classes))]
    said = {
        "photograph": path.name,
        "height": image.shape[0],
        "width": image.shape[1],
        "words": [
            {"id": i, "word": name, "share": shares[i], "best_score": float(scores[i].max())}
            for i, name in enumerate(classes.names)
        ],
        "none_of_them": {"id": IGNORE_INDEX, "share": float((mask == IGNORE_INDEX).mean())},
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    _beside(out, ".png").write_bytes(encode_label(mask, classes))
    overlay = render_overlay(image, mask, classes, [f"{share:.0%}" for share in shares])
    _beside(out, "_overlay.jpg").write_bytes(overlay)
    text = json.dumps(said, indent=1, ensure_ascii=False) + "\n"
    _beside(out, ".json").write_text(text, "utf-8")
    return said


def _beside(out: Path, ending: str) -> Path:
    return out.with_name(out.name + ending)


def _photographs(given: Sequence[str]) -> Iterator[tuple[Path, str]]:
    """Each file with the name that its results have: no two alike.

    Raises:
        ValueError: a path is neither a file nor a folder with pictures.
    """
    taken: set[str] = set()
    for text in given:
        root = Path(text)
        if root.is_dir():
            files = sorted(p for p in root.rglob("*") if p.suffix.lower() in _SUFFIXES)
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
