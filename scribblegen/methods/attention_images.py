"""Drawn from text, read by its attention: what methods that do so have in common."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scribblegen.engine.denoising import Denoising
from scribblegen.engine.jobs import Finished, Job, Key
from scribblegen.engine.pool import DenoiserPool
from scribblegen.engine.probes import Probe
from scribblegen.engine.stage_times import StageTimes
from scribblegen.engine.transfers import to_device
from scribblegen.families.base import Family
from scribblegen.families.stable_diffusion.family import StableDiffusion
from scribblegen.images import tensor_to_image
from scribblegen.methods.attention_config import AttentionConfig
from scribblegen.methods.base import Place, Record
from scribblegen.segmenting.attention import AttentionProbe
from scribblegen.segmenting.fusion import Fusion
from scribblegen.segmenting.maps_to_masks import MaskSettings
from scribblegen.segmenting.word_maps import Affinity, WordMaps


def square_of(config: AttentionConfig, family: StableDiffusion) -> tuple[int, int]:
    """(height, width) of the images.

    Raises:
        ValueError: the resolution does not fit the networks.
    """
    resolution = config.resolution or family.default_resolution
    if resolution % family.size_multiple:
        raise ValueError(
            f"`resolution` must be a multiple of {family.size_multiple} for this pipeline. "
            f"Got {resolution}."
        )
    return resolution, resolution


def noise_of(seed: int, family: Family, size: tuple[int, int]) -> Tensor:
    """(C, h, w) float32 on the family's device: the noise that an image of this size starts from.

    On the CPU, as the stock pipeline draws it from a generator of this seed.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(1, *family.latent_shape(*size), generator=generator)
    return to_device(noise, family.device)[0]


def attention_probe(config: AttentionConfig, fusion: Fusion) -> AttentionProbe:
    """Keeps what masks are read from."""
    spread = (config.spread_width,) if config.spread == "self_attention" else ()
    return AttentionProbe(
        factors=fusion.factors,
        self_factors=spread,
        start=config.attention_start,
        end=config.attention_end,
    )


def pool_of(
    config: AttentionConfig, family: Family, probe: Probe | None, times: StageTimes
) -> DenoiserPool[Any]:
    """An empty pool."""
    return DenoiserPool(
        family,
        rows=config.rows,
        decode_rows=config.decode_rows,
        denoising=Denoising(sampler=config.sampler, probe=probe),
        times=times,
    )


def word_maps(config: AttentionConfig, fusion: Fusion, affinity: Affinity | None) -> WordMaps:
    """How the maps of an image are fused and spread."""
    return WordMaps(
        fusion=fusion,
        normalise=config.normalise,
        spread_width=config.spread_width,
        spread_times=config.spread_times,
        affinity=affinity,
    )


def mask_settings(config: AttentionConfig) -> MaskSettings:
    """How maps become a mask."""
    return MaskSettings(
        background=config.background_threshold,
        thresholds=tuple(config.thresholds),
        ignore_band=config.ignore_band,
        refine=config.refine,
        min_component=config.min_component,
        max_hole=config.max_hole,
    )


def digest_of(fusion: Fusion) -> str:
    """Changes with any weight."""
    return hashlib.sha256(repr(fusion).encode()).hexdigest()[:16]


def picture_of(tensor: Tensor) -> np.ndarray | str:
    """(3, H, W) in [-1, 1] -> (H, W, 3) uint8; or what is wrong with it."""
    if not bool(torch.isfinite(tensor).all()):
        return "the output holds NaN or infinity"
    image = tensor_to_image(tensor)
    return image if image.any() else "the output is black"


def through_pool(
    pool: DenoiserPool[Key],
    items: Iterable[tuple[Place, Any]],
    begin: Callable[[Place, Any], Sequence[Job[Key]] | Record],
    end: Callable[[Finished[Key]], Iterable[Record]],
) -> Iterator[Record]:
    """The records of items that are drawn, as `Method.generate` must give them.

    Args:
        pool: that they go through.
        items: each with its place.
        begin: the jobs of an item, or its record where none is drawn.
        end: what a finished image completes; it may submit jobs of the same group.
    """

    def drained(group: int) -> Iterator[Record]:
        while (oldest := pool.oldest_group) is not None and oldest < group:
            yield from stepped()

    def stepped() -> Iterator[Record]:
        for finished in pool.step():
            yield from end(finished)

    newest = previous = 0
    for place, item in items:
        if place.group > newest:
            newest, previous = place.group, newest
        yield from drained(previous)
        begun = begin(place, item)
        if isinstance(begun, Record):
            yield begun
            continue
        for job in begun:
            pool.submit(job)
        while not pool.wants_jobs:
            yield from stepped()
    yield from drained(newest + 1)
