"""ScribbleGen (arXiv 2311.17121): new photographs for scribbles that exist.

The source's latents are noised to an encode ratio and denoised again under its own scribble and
class names, so the scribble stays a true label of the twin.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from scribblegen.classes import Classes
from scribblegen.engine.encode_ratio import Timesteps
from scribblegen.engine.jobs import Finished
from scribblegen.engine.pool import DenoiserPool
from scribblegen.engine.stage_times import StageTimes, profile_table
from scribblegen.families.stable_diffusion.conditioning import num_conditioning_channels
from scribblegen.families.stable_diffusion.controlnet_record import (
    check_record,
    choose_null_condition,
)
from scribblegen.families.stable_diffusion.family import StableDiffusion
from scribblegen.families.stable_diffusion.geometry import network_size
from scribblegen.methods.base import Judge, Place, Record
from scribblegen.methods.scribblegen_config import Cell, ScribbleGenConfig
from scribblegen.methods.scribblegen_jobs import TwinJobs, TwinKey
from scribblegen.methods.scribblegen_rows import TWIN_SPLIT, PhotographRecords, subsets
from scribblegen.prompts import PROMPT_STEM
from scribblegen.records import Sample

logger = logging.getLogger(__name__)


class ScribbleGen:
    """The method: the photographs themselves, and the grid of their twins.

    Args:
        config: its options.
        family: pipeline and ControlNet.
        classes: the classes of the scribbles.
        splits: that the source has.
        image_format: the format of the twins' files.
        judge: a segmentor that looks at each twin, for its `scores`.

    Raises:
        ValueError: the ControlNet does not fit the classes, the null condition or the resolution.
    """

    def __init__(
        self,
        config: ScribbleGenConfig,
        family: StableDiffusion,
        classes: Classes,
        *,
        splits: Sequence[str] = (TWIN_SPLIT,),
        image_format: str = "webp",
        judge: Judge | None = None,
    ) -> None:
        record = family.record
        null_condition = choose_null_condition(record, config.null_condition)
        # What was left to the ControlNet is settled here, and so told in the provenance.
        self.config = replace(
            config,
            null_condition=null_condition,
            prompt_mode=config.prompt_mode or record.prompt_mode or "classes",
            prompt_stem=config.prompt_stem or record.prompt_stem or PROMPT_STEM,
            dtype=str(family.dtype).removeprefix("torch."),
            compile="on" if family.is_compiled else "off",
        )
        self.family = family
        self.classes, self.image_format, self.judge = classes, image_format, judge
        self.cells = config.cells(family.schedule.timesteps)
        self.subsets = subsets(self.cells, classes, splits, config.replicates)
        self.resolution = config.resolution or family.default_resolution
        self._check_fit()
        # Cells whose runs are the same are computed once and given to each.
        self._cells_of: dict[tuple[Timesteps, float], list[Cell]] = {}
        for cell in self.cells:
            self._cells_of.setdefault((cell.timesteps, cell.guidance_scale), []).append(cell)
        self.times = StageTimes(family.device)
        self.jobs = TwinJobs(self.config, family, classes, list(self._cells_of), self.times)
        self.pools: dict[tuple[int, int], DenoiserPool[TwinKey]] = {}

    def cells_of(self, twin: Finished[TwinKey]) -> list[Cell]:
        """The grid cells that a twin belongs to; more than one where they agree on every step."""
        return self._cells_of[twin.key.timesteps, twin.key.guidance_scale]

    @property
    def counts(self) -> Counter[str]:
        """What all pools have done, see `DenoiserPool`."""
        return sum((pool.counts for pool in self.pools.values()), Counter())

    def output_size(self, sample: Sample) -> tuple[int, int]:
        """(height, width) of the twins of `sample` as they are stored."""
        if self.config.output_size == "model":
            return self.network_size(sample)
        height, width = sample.scribble.shape
        return height, width

    def network_size(self, sample: Sample) -> tuple[int, int]:
        """(height, width) at which the networks see `sample`."""
        return network_size(
            *sample.scribble.shape,
            resolution=self.resolution,
            geometry=self.config.geometry,
            multiple=self.family.size_multiple,
        )

    def identity(self) -> dict[str, str | None]:
        """The fingerprints of all networks, and the kind of device."""
        return {
            "weights": self.family.fingerprint(),
            "agreement model": None if self.judge is None else self.judge.fingerprint(),
            "device": self.family.device.type,
        }

    def generate(self, items: Iterable[tuple[Place, Sample]]) -> Iterator[Record]:
        """The records of photographs and of their twins in all cells, as they are finished."""
        for made in self._made(items):
            if isinstance(made, Record):
                yield made
            else:
                key = made.key
                yield from key.photograph.twin(
                    made,
                    self.cells_of(made),
                    replicate=key.replicate,
                    seed=key.seed,
                    prompt=key.prompt,
                )

    def twins(self, items: Iterable[tuple[Place, Sample]]) -> Iterator[Finished[TwinKey]]:
        """Twins of all cells and replicates as images, in the order in which they are finished."""
        return (made for made in self._made(items) if isinstance(made, Finished))

    def remarks(self) -> Mapping[str, int]:
        """Prompts that are longer than the text encoder reads, and the names lost with them."""
        return self.jobs.remarks

    def profile(self, seconds: Mapping[str, float], wall: float) -> str:
        """Seconds of every stage, and how full the calls were."""
        stages = {**self.times.totals(), **seconds}
        return profile_table(stages, wall, self.counts, self.config.rows)

    def _made(self, items: Iterable[tuple[Place, Sample]]) -> Iterator[Record | Finished[TwinKey]]:
        newest = previous = 0
        for place, sample in items:
            photograph = PhotographRecords(
                place,
                sample,
                self.classes,
                size=self.output_size(sample),
                prompt=self.jobs.prompt(sample),
                image_format=self.image_format,
                agreement=None if self.judge is None else self.judge.agreement,
            )
            yield photograph.photograph()
            if place.split != TWIN_SPLIT:
                continue
            if place.group > newest:
                newest, previous = place.group, newest
            yield from self._drain_before(previous)
            size = self.network_size(sample)
            if size not in self.pools:
                self.pools[size] = self.jobs.new_pool()
            pool = self.pools[size]
            for job in self.jobs.jobs(photograph, size):
                pool.submit(job)
                while not pool.wants_jobs:
                    yield from pool.step()
        yield from self._drain_before(newest + 1)

    def _drain_before(self, group: int) -> Iterator[Finished[TwinKey]]:
        for pool in self.pools.values():
            while (oldest := pool.oldest_group) is not None and oldest < group:
                yield from pool.step()

    def _check_fit(self) -> None:
        record = self.family.record
        check_record(record, self.classes, self.config.conditioning_encoding)
        if record.prompt_stem not in (None, self.config.prompt_stem):
            logger.warning(
                "the ControlNet was trained on prompts that begin %r, not %r: see `prompt_stem`",
                record.prompt_stem,
                self.config.prompt_stem,
            )
        if self.config.null_condition is None and max(self.config.guidance_scales) > 1:
            raise ValueError(
                "`guidance_scales` must be 1: the ControlNet was trained without dropping hint "
                f"or text, so it cannot be guided. Got {self.config.guidance_scales}."
            )
        needed = num_conditioning_channels(self.classes, self.config.conditioning_encoding)
        takes = self.family.conditioning_channels
        if takes != needed:
            advice = "Use a ControlNet trained on these classes"
            if takes == 3:
                advice += ", or `conditioning_encoding` rgb_palette"
            raise ValueError(
                f"`controlnet` takes {takes} conditioning channels, but `conditioning_encoding` "
                f"{self.config.conditioning_encoding} of {len(self.classes)} classes makes "
                f"{needed}. {advice}."
            )
        network_size(
            1,
            1,
            resolution=self.resolution,
            geometry=self.config.geometry,
            multiple=self.family.size_multiple,
        )
