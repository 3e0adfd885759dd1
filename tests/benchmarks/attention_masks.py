"""Masks read from attention, stage by stage, against what is there.

    python -m tests.benchmarks.attention_masks [--pipeline FOLDER] [--count 256]

Scenes that no part of the shipped pipeline was trained on, encoded and noised a little, are looked
at by one call of the network under their captions: against their exact masks. Images that are drawn
freely, under captions that were not trained on: against a segmentor that was trained on the masks
of other scenes. Writes `results/attention_masks.json` and a picture beside it.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from scribblegen.builders.config import ScenesConfig
from scribblegen.builders.prompts import PromptSource
from scribblegen.builders.prompts_config import PromptsConfig
from scribblegen.builders.scenes.kinds import SCENE_CLASSES
from scribblegen.builders.scenes.source import open_scenes
from scribblegen.cards.gallery import GalleryRow, draw_scribble, render_gallery
from scribblegen.classes import IGNORE_INDEX
from scribblegen.engine.denoising import Denoising
from scribblegen.engine.jobs import Job, Trajectory
from scribblegen.engine.pool import DenoiserPool
from scribblegen.families.open import load_diffusion
from scribblegen.families.schedule import add_noise
from scribblegen.families.stable_diffusion.family import StableDiffusion
from scribblegen.images import image_to_tensor, tensor_to_image
from scribblegen.prompts import Prompt
from scribblegen.segmenting.agreeing_threshold import agreeing_threshold
from scribblegen.segmenting.attention import WORDS, AttentionProbe
from scribblegen.segmenting.fusion import fused
from scribblegen.segmenting.maps_to_masks import MaskSettings, mask_of_maps
from scribblegen.segmenting.phrases import occurrences
from scribblegen.segmenting.propagation import spread_by_attention
from scribblegen.segmenting.token_spans import token_words
from scribblegen.tiny import tiny_folder
from scribblegen.trainers.segmentation.confusion import confusion_matrix, scores
from tests.benchmarks.judge import train_judge
from tests.benchmarks.judge_training import segment
from tests.benchmarks.timing import RESULTS, environment, save

HELD_OUT = 20_000  # first of the scenes looked at
TIMESTEPS = (50, 200, 400, 600)
FIXED = tuple(round(0.05 * i, 2) for i in range(1, 20))
NUM_CLASSES = len(SCENE_CLASSES)
_WORDS = 12  # rows of a call keep equally many maps
_SPREAD = 2  # width of the cells along which maps are spread


@dataclass(frozen=True, eq=False)
class Looked:
    """What attention says of one picture, and what is there."""

    image: np.ndarray
    class_ids: tuple[int, ...]
    left: dict[str, Tensor]
    truth: np.ndarray

    def maps(self, widths: Sequence[int], normalise: str) -> Tensor:
        """(W, H, W') of the classes, of some widths alike."""
        kept = {
            int(name.split(".")[1]): map_[: len(self.class_ids)]
            for name, map_ in self.left.items()
            if name.startswith("cross.")
        }
        weights = [dict.fromkeys(widths, 1.0)] * len(self.class_ids)
        return fused(kept, weights, self.truth.shape, normalise=normalise)

    def spread(self, maps: Tensor, times: int = 4) -> Tensor:
        """The same, spread along the network's attention to its own places."""
        attention = self.left[f"self.{_SPREAD}"]
        size = tuple(attention.shape[:2])
        small = torch.nn.functional.interpolate(maps[None], size=size, mode="area")[0]
        spread = spread_by_attention(small, attention, times)
        return torch.nn.functional.interpolate(
            spread[None], size=self.truth.shape, mode="bilinear", align_corners=False
        )[0]


def named(text: str, phrases: Sequence[Sequence[str]]) -> Prompt:
    """A caption as a prompt: the classes that it names."""
    class_ids = tuple(sorted({each.row for each in occurrences(text, phrases)}))
    return Prompt("", text, class_ids, tuple(tuple(phrases[i]) for i in class_ids), "captions")


def words_of(family: StableDiffusion, prompt: Prompt) -> Tensor:
    """(`_WORDS`, T), zeros behind the classes that a prompt names."""
    length = family.tokenizer.model_max_length
    words = torch.zeros(_WORDS, length)
    found = token_words(family.tokenizer, prompt.text, prompt.phrases, length=length)
    words[: len(found)] = found
    return words


def noised(
    family: StableDiffusion, prompts: PromptSource, count: int, timestep: int
) -> Iterator[Looked]:
    """Held-out scenes, noised to a timestep and looked at by one call each."""
    scenes = open_scenes(ScenesConfig(), f"{HELD_OUT}:{HELD_OUT + count}")
    generator = torch.Generator().manual_seed(0)
    for start in range(0, count, 16):
        samples = [scenes.load(i) for i in range(start, min(start + 16, count))]
        texts = [named(str(sample.prompt), prompts.phrases) for sample in samples]
        images = torch.stack([image_to_tensor(sample.image) for sample in samples])
        mean, _ = family.encode(images)
        latents = mean * family.vae.config.scaling_factor
        noise = torch.randn(latents.shape, generator=generator)
        told = {
            "prompt": torch.stack([family.prompt(p.text)["prompt"] for p in texts]),
            WORDS: torch.stack([words_of(family, p) for p in texts]),
        }
        at = [timestep] * len(samples)
        probe = AttentionProbe(self_factors=(_SPREAD,))
        with torch.inference_mode(), probe.attach(family.networks, told):
            family.denoiser.observed(
                add_noise(family.schedule, latents, noise, at), torch.tensor(at), told
            )
        found = probe.collect()
        for row, (sample, prompt) in enumerate(zip(samples, texts, strict=True)):
            left = {name: tensor[row] for name, tensor in found.items()}
            assert sample.mask is not None
            yield Looked(sample.image, prompt.class_ids, left, sample.mask)


def drawn(
    family: StableDiffusion, prompts: PromptSource, judge: Any, *, start: float
) -> Iterator[Looked]:
    """Images drawn freely, with guidance 2 in 20 steps; the judge says what is there."""
    probe = AttentionProbe(self_factors=(_SPREAD,), start=start)
    pool: DenoiserPool[Prompt] = DenoiserPool(family, rows=16, denoising=Denoising(probe=probe))
    run = family.schedule.timesteps(1.0, 20)
    side = family.default_resolution
    null = family.prompt("")

    def jobs() -> Iterator[Job[Prompt]]:
        for index in range(len(prompts)):
            prompt = prompts.load(index)
            shape = family.latent_shape(side, side)
            noise = torch.randn(shape, generator=torch.Generator().manual_seed(index))
            told = {**family.prompt(prompt.text), WORDS: words_of(family, prompt)}
            yield Job(0, noise, None, (Trajectory(prompt, run, 2.0, told, null),))

    for one in tqdm(pool.run(jobs()), total=len(prompts), desc=f"draw, from {start}"):
        image = tensor_to_image(one.image)
        truth = segment(judge, image[None])[0].astype(np.uint8)
        yield Looked(image, one.key.class_ids, one.left, truth)


def worth(looked: Iterable[Looked]) -> dict[str, Any]:
    """Mean IoU over the classes of every stage, in per cent, and of thresholds over their maps."""
    matrices: dict[str, np.ndarray] = defaultdict(
        lambda: np.zeros((NUM_CLASSES, NUM_CLASSES + 1), int)
    )
    at_fixed: dict[str, list[list[float]]] = defaultdict(list)
    thresholds: dict[str, list[float]] = defaultdict(list)
    for one in looked:
        widths = sorted(int(n.split(".")[1]) for n in one.left if n.startswith("cross."))
        counting = tuple(w for w in widths if min(one.left[f"cross.{w}"].shape[1:]) >= 8)
        maps = {
            **{f"width {w}": one.maps((w,), "max") for w in widths},
            "all widths": one.maps(widths, "max"),
            "fused": one.maps(counting, "max"),
            "fused, shares": one.maps(counting, "share"),
        }
        maps["fused, spread"] = one.spread(maps["fused"], 1)
        for name, map_ in maps.items():
            ids = np.asarray(one.class_ids, np.uint8)
            found = ids[map_.argmax(dim=0).numpy()]
            matrices[name] += confusion_matrix(found, one.truth, NUM_CLASSES)
            for number, class_id in enumerate(one.class_ids):
                there = one.truth == class_id
                if there.any():
                    at_fixed[name].append([_iou(map_[number].numpy() > t, there) for t in FIXED])
        plain = MaskSettings(refine=False, ignore_band=0.0)
        for name, settings in (
            ("+ specks", plain),
            ("+ random field", replace(plain, refine=True)),
            ("+ ignore band", replace(plain, refine=True, ignore_band=0.1)),
        ):
            mask = mask_of_maps(
                maps["fused"],
                maps["fused, spread"],
                one.class_ids,
                one.image,
                background=None,
                settings=settings,
            ).mask
            truth = np.where(mask == IGNORE_INDEX, IGNORE_INDEX, one.truth)
            matrices[name] += confusion_matrix(mask, truth, NUM_CLASSES)
        best = maps["fused"]
        coarse = ids[maps["fused, spread"].argmax(dim=0).numpy()]
        for number, class_id in enumerate(one.class_ids):
            there = one.truth == class_id
            if not there.any():
                continue
            values = best[number].numpy()
            chosen, _ = agreeing_threshold(values, coarse == class_id, FIXED)
            thresholds["of each image, by the coarse mask"].append(_iou(values > chosen, there))
            thresholds["of each image, by the truth"].append(
                agreeing_threshold(values, there, FIXED)[1]
            )
    result: dict[str, Any] = {}
    for name, matrix in matrices.items():
        found = scores(matrix)
        result[name] = {
            "mean IoU": _percent(found["mean_iou"]),
            "IoU": dict(
                zip(SCENE_CLASSES.names, map(_percent, found["per_category_iou"]), strict=True)
            ),
        }
        if name in at_fixed:
            result[name]["one class at the best fixed threshold"] = _percent(
                np.mean(at_fixed[name], axis=0).max()
            )
    for name, values in thresholds.items():
        result[f"one class at the threshold {name}"] = _percent(np.mean(values))
    return result


def _iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / max((one | other).sum(), 1))


def _percent(value: Any) -> float:
    return round(100 * float(value), 1)


def picture(looked: Sequence[Looked]) -> bytes:
    """Image, maps of up to four classes, mask and truth of each."""
    rows = []
    for one in looked:
        maps = one.maps((1, 2), "max")
        greys = [np.repeat((m * 255).numpy().astype(np.uint8)[..., None], 3, 2) for m in maps[:4]]
        mask = mask_of_maps(
            maps,
            maps,
            one.class_ids,
            one.image,
            background=None,
            settings=MaskSettings(),
        ).mask
        pads: list[np.ndarray | None] = [None] * (4 - len(greys))
        labels = [draw_scribble(one.image, label, SCENE_CLASSES) for label in (mask, one.truth)]
        rows.append(GalleryRow((one.image, *greys, *pads, *labels)))
    return render_gallery(["image", *["attention"] * 4, "mask", "judge"], rows)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pipeline", default=str(tiny_folder()), help="Folder of a pipeline.")
    parser.add_argument("--count", type=int, default=256, help="Scenes, and drawn images.")
    parser.add_argument(
        "--judge_steps",
        type=int,
        default=3000,
        help="Of the judge's training; 0: scenes alone, nothing is drawn.",
    )
    options = parser.parse_args()
    torch.set_num_threads(2)
    family = load_diffusion(options.pipeline, with_controlnet=False)
    captions = PromptSource(PromptsConfig(num_samples=options.count))
    result: dict[str, Any] = {"environment": environment(), "count": options.count}
    for timestep in tqdm(TIMESTEPS, desc="noised scenes"):
        result[f"scenes at {timestep}"] = worth(noised(family, captions, options.count, timestep))
    if options.judge_steps:
        judge, quality = train_judge(options.judge_steps)
        result["judge"] = quality
        for start in (0.0, 0.1, 0.5):
            looked = list(drawn(family, captions, judge, start=start))
            result[f"drawn, steps from {start}"] = worth(looked)
        (RESULTS / "attention_masks.png").write_bytes(picture(looked[:8]))
    save("attention_masks", result)
    for name, found in result.items():
        if name.startswith(("scenes", "drawn")):
            told = {k: v["mean IoU"] if isinstance(v, dict) else v for k, v in found.items()}
            print(name, told)


if __name__ == "__main__":
    main()
