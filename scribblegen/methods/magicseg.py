"""MagicSeg (arXiv 2603.19575): descriptions -> images with masks, each with its counterfactual.

Both images of a pair are drawn side by side: the one that its text tells of, and one of the same
text without the words that the mask is of. From one noise they share what the words do not decide.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from scribblegen.descriptions import Description
from scribblegen.engine.jobs import Finished, Job
from scribblegen.engine.pool import DenoiserPool
from scribblegen.engine.stage_times import StageTimes, profile_table
from scribblegen.families.stable_diffusion.family import StableDiffusion
from scribblegen.methods.attention_images import (
    attention_probe,
    picture_of,
    pool_of,
    through_pool,
)
from scribblegen.methods.base import Place, Record
from scribblegen.methods.magicseg_config import MagicSegConfig
from scribblegen.methods.magicseg_jobs import HalfKey, Pair, PairJobs
from scribblegen.methods.magicseg_rows import SUBSET, PairRows, subset
from scribblegen.segmenting.attention import AttentionProbe
from scribblegen.segmenting.fusion import Fusion
from scribblegen.vocabulary import Vocabulary


class MagicSeg:
    """The method: a pair of images of every description, with the mask of one of them.

    Args:
        config: its options.
        family: the pipeline; a ControlNet is not asked.
        vocabulary: that descriptions name words of.
        fusion: how much attention maps of each width count.
        rows: makes the rows of pairs.
        models: the fingerprints of whatever looks at the images, by what it is.

    Raises:
        ValueError: the resolution does not fit the networks.
    """

    def __init__(
        self,
        config: MagicSegConfig,
        family: StableDiffusion,
        vocabulary: Vocabulary,
        fusion: Fusion,
        rows: PairRows,
        models: Mapping[str, str | None],
    ) -> None:
        # What was left to the machine is settled here, and so told in the provenance.
        self.config = replace(
            config,
            dtype=str(family.dtype).removeprefix("torch."),
            compile="on" if family.is_compiled else "off",
        )
        self.family, self.rows, self.models = family, rows, models
        self.subsets = [subset(config)]
        self.times = StageTimes(family.device)
        self.jobs = PairJobs(self.config, family, vocabulary, self.times)
        self.pool: DenoiserPool[HalfKey] = pool_of(
            config, family, _probe(config, fusion), self.times
        )
        self._waiting: dict[Pair, Finished[HalfKey]] = {}  # for the other image

    def identity(self) -> dict[str, str | None]:
        """The fingerprints of all networks and of the weights of maps, and the kind of device."""
        return {
            "weights": self.family.fingerprint(),
            **self.models,
            "device": self.family.device.type,
        }

    def generate(self, items: Iterable[tuple[Place, Description]]) -> Iterator[Record]:
        """One record of each description, as its pair is finished."""
        return through_pool(self.pool, items, self._begin, self._end)

    def remarks(self) -> Mapping[str, int]:
        """Pairs that failed the test of absence."""
        return self.rows.remarks

    def profile(self, seconds: Mapping[str, float], wall: float) -> str:
        """Seconds of every stage, and how full the calls were."""
        stages = {**self.times.totals(), **seconds}
        counts: Counter[str] = self.pool.counts
        return profile_table(stages, wall, counts, self.config.rows)

    def _begin(self, place: Place, description: Description) -> Sequence[Job[HalfKey]] | Record:
        pair = self.jobs.pair(place, description)
        jobs = pair if isinstance(pair, str) else self.jobs.begin(pair)
        return _rejected(place, jobs) if isinstance(jobs, str) else jobs

    def _end(self, finished: Finished[HalfKey]) -> Iterator[Record]:
        pair = finished.key.pair
        other = self._waiting.pop(pair, None)
        if other is not None:
            positive, twin = sorted((finished, other), key=lambda f: f.key.is_counterfactual)
            yield self.rows.record(pair, positive, twin)
            return
        if self.config.cf_encode_ratio is not None:
            image = picture_of(finished.image)
            if isinstance(image, str):  # nothing is made from it
                yield _rejected(pair.place, image)
                return
            self.pool.submit(self.jobs.from_positive(pair, image))
        self._waiting[pair] = finished


def _probe(config: MagicSegConfig, fusion: Fusion) -> AttentionProbe | None:
    if not config.reads_attention:
        return None
    if config.masks != "attention":  # the test spreads nothing
        config = replace(config, spread="none", affinity_model=None)
    return attention_probe(config, fusion)


def _rejected(place: Place, reason: str) -> Record:
    return Record(place, SUBSET, 0, partial(str, reason))
