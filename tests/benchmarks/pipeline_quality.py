"""Does the shipped pipeline draw what scribble and caption say? Held-out scenes, one judge.

    python -m tests.benchmarks.pipeline_quality [--pipeline FOLDER]

Writes `results/pipeline_quality.json` and two pictures beside it.
"""

import argparse
import colorsys
import json
import time
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from scribblegen.builders.config import ScenesConfig
from scribblegen.builders.scenes.kinds import COLOURS, SCENE_CLASSES
from scribblegen.builders.scenes.painter import render_scene
from scribblegen.builders.scenes.source import open_scenes
from scribblegen.cards.gallery import GalleryRow, draw_scribble, render_gallery
from scribblegen.families.open import load_diffusion
from scribblegen.tiny import tiny_folder
from scribblegen.trainers.segmentation.small_segmentor import (
    SmallSegmentorForSemanticSegmentation as SmallSegmentor,
)
from tests.benchmarks.judge import (
    agreement,
    frechet_distance,
    judge_features,
    masked_scenes,
    train_judge,
)
from tests.benchmarks.judge_training import segment
from tests.benchmarks.studio import SIZE, STEPS, Studio

RESULTS = Path(__file__).parent / "results"
GUIDANCE_SCALES = (1.0, 2.0, 4.0)
ENCODE_RATIOS = (0.2, 0.5, 0.8, 1.0)
NULLS = ("hint", "text", "both")
HELD_OUT = 20_000  # first of the scenes measured on; the pipeline was trained on 100 000 and up
REAL_FOR_FRECHET = (40_000, 44_000)
_CAPTION = "a photo of {article} {colour} {thing} {where}"
_THINGS = (
    ("cottage", "on grass under a day sky"),
    ("bus", "on sand under an overcast sky"),
    ("sailboat", "in water under a dusk sky"),
    ("toadstool", "on grass under a day sky"),
    ("hot air balloon", "in a day sky"),
    ("pine", "on grass under an overcast sky"),
)
_SEEN_OBJECT = 20  # pixels of a class from which it counts as found


def consistency(studio: Studio, judge: SmallSegmentor, grids: dict[str, dict]) -> list[dict]:
    """Class consistency of every setting, and of what it is to be compared with."""
    scribbles = np.stack([sample.scribble for sample in studio.samples])
    real = np.stack([sample.image for sample in studio.samples])
    rows = [
        {"images": "real scenes", **agreement(judge, real, scribbles)},
        {"images": "reconstruction", **agreement(judge, studio.reconstructions(), scribbles)},
    ]
    for name, conditioning, text, w in (
        ("prompt only", False, True, 2.0),
        ("unconditional", False, False, 1.0),
    ):
        conditions = studio.conditions(conditioning, text, "text")
        images = studio.draw(conditions, [w], [1.0], description=name)[w, 1.0]
        rows.append({"images": name, "guidance_scale": w, **agreement(judge, images, scribbles)})
    for null, cells in grids.items():
        count = len(next(iter(cells.values())))
        for (w, r), images in cells.items():
            row = {"images": "twins", "null": null, "guidance_scale": w, "encode_ratio": r}
            rows.append({**row, **agreement(judge, images, scribbles[:count])})
    images = grids["both"][2.0, 1.0]
    shuffled = agreement(judge, images, np.roll(scribbles, 1, axis=0))
    rows.append(
        {
            "images": "another source's scribble",
            "null": "both",
            "guidance_scale": 2.0,
            "encode_ratio": 1.0,
            **shuffled,
        }
    )
    return rows


def spectrum(
    studio: Studio, judge: SmallSegmentor, cells: dict[tuple[float, float], np.ndarray]
) -> list[dict]:
    """Distance to the source, spread over seeds and realism, against encode ratio and guidance."""
    real = np.stack([sample.image for sample in studio.samples])
    reference = judge_features(judge, masked_scenes(*REAL_FOR_FRECHET)[0])
    rows = [
        {
            "images": "real scenes",
            "frechet": frechet_distance(judge_features(judge, real), reference),
        },
        {
            "images": "reconstruction",
            "distance": _distance(studio.reconstructions(), real),
            "frechet": frechet_distance(judge_features(judge, studio.reconstructions()), reference),
        },
    ]
    few = studio.conditions(True, True, "both")[: len(real) // 4]
    again = studio.draw(few, GUIDANCE_SCALES, ENCODE_RATIOS, seed=1, description="second seed")
    for (w, r), images in cells.items():
        features = judge_features(judge, images)
        rows.append(
            {
                "images": "twins",
                "guidance_scale": w,
                "encode_ratio": r,
                "distance": _distance(images, real),
                "spread": _distance(again[w, r], images[: len(few)]),
                "frechet": frechet_distance(features, reference),
            }
        )
    return rows


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    """Mean absolute difference, in units of the range of a pixel."""
    return float(np.abs(one.astype(np.float64) - other).mean() / 255)


def text(studio: Studio, judge: SmallSegmentor, count: int) -> dict[str, dict[str, float]]:
    """Captions that name one object and its colour: whether the class and the colour are there.

    Drawn from the caption alone, by the base without its ControlNet.
    """
    asked, real = [], []
    number = HELD_OUT + 10_000_000
    while len(asked) < count:
        scene = render_scene(number, height=SIZE, width=SIZE, seed=0)
        number += 1
        colours = [o.colour for o in scene.objects if o.colour in scene.caption.split()]
        if len(scene.objects) == len(colours) == 1:
            asked.append((scene.caption, scene.objects[0].class_name, colours[0]))
            real.append(scene.image)
    conditions = [studio.text_alone(caption) for caption, _, _ in asked]
    drawn = studio.draw(conditions, [4.0], [1.0], description="captions")
    return {
        "real scenes": _found(judge, np.stack(real), asked),
        "from captions": _found(judge, drawn[4.0, 1.0], asked),
    }


def _found(judge: SmallSegmentor, images: np.ndarray, asked: list) -> dict[str, float]:
    classes = colours = 0
    for image, labels, (_, class_name, colour) in zip(
        images, segment(judge, images), asked, strict=True
    ):
        pixels = image[labels == SCENE_CLASSES.names.index(class_name)]
        if len(pixels) >= _SEEN_OBJECT:
            classes += 1
            colours += _nearest_colour(pixels) == colour
    return {"class found": classes / len(asked), "colour right": colours / max(1, classes)}


def _nearest_colour(pixels: np.ndarray) -> str:
    """The colour word whose hue is nearest to the mean hue, weighted by chroma squared."""
    hues = [colorsys.rgb_to_hsv(*(pixel / 255)) for pixel in pixels]
    mean = sum((s * v) ** 2 * np.exp(2j * np.pi * h) for h, s, v in hues)
    angle = np.degrees(np.angle(mean))
    return min(COLOURS, key=lambda c: abs((angle - c.hue + 180) % 360 - 180)).name


def twin_sheet(studio: Studio, cells: dict[tuple[float, float], np.ndarray], rows: int) -> bytes:
    """A PNG: sources in rows; scene, scribble and the twins at guidance scale 2 in columns."""
    shown = []
    for number, sample in enumerate(studio.samples[:rows]):
        drawn = draw_scribble(sample.image, sample.scribble, SCENE_CLASSES)
        twins = [cells[2.0, r][number] for r in ENCODE_RATIOS]
        shown.append(GalleryRow((sample.image, drawn, *twins)))
    headings = ["scene", "scribble", *(f"encode {r:g}" for r in ENCODE_RATIOS)]
    return render_gallery(headings, shown, cell_height=96)


def caption_sheet(studio: Studio) -> bytes:
    """A PNG: colour words in columns, things in rows, drawn from captions alone."""
    colours = [colour.name for colour in COLOURS]
    captions = [
        _CAPTION.format(
            article="an" if colour[0] in "aeio" else "a", colour=colour, thing=thing, where=where
        )
        for thing, where in _THINGS
        for colour in colours
    ]
    conditions = [studio.text_alone(caption) for caption in captions]
    images = studio.draw(conditions, [4.0], [1.0], description="sheet")
    drawn = images[4.0, 1.0].reshape(len(_THINGS), len(colours), SIZE, SIZE, 3)
    return render_gallery(colours, [GalleryRow(tuple(row)) for row in drawn], cell_height=80)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser("pipeline_quality", description=__doc__)
    parser.add_argument("--pipeline", default=str(tiny_folder()))
    parser.add_argument("--output", type=Path, default=RESULTS / "pipeline_quality.json")
    parser.add_argument("--sources", type=int, default=512)
    options = parser.parse_args()
    started = time.perf_counter()
    config = ScenesConfig(ids=f"{HELD_OUT}:{HELD_OUT + options.sources}", scene_size=SIZE)
    source = open_scenes(config, config.ids)
    samples = [source.load(i) for i in tqdm(range(len(source)), desc="held-out scenes")]
    judge, quality = train_judge()
    studio = Studio(load_diffusion(options.pipeline), samples)
    grids = {}
    for null in NULLS:
        count = len(samples) if null == "both" else len(samples) // 4
        conditions = studio.conditions(True, True, null)[:count]
        grids[null] = studio.draw(
            conditions, GUIDANCE_SCALES, ENCODE_RATIOS, description=f"null {null}"
        )
    result = {
        "sources": len(samples),
        "num_inference_steps": STEPS,
        "torch": torch.__version__,
        "judge": quality,
        "consistency": consistency(studio, judge, grids),
        "spectrum": spectrum(studio, judge, grids["both"]),
        "text": text(studio, judge, count=options.sources),
        "minutes": round((time.perf_counter() - started) / 60, 1),
    }
    pictures = {"twins": twin_sheet(studio, grids["both"], 8), "captions": caption_sheet(studio)}
    for name, picture in pictures.items():
        options.output.with_name(f"{options.output.stem}_{name}.png").write_bytes(picture)
    options.output.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
