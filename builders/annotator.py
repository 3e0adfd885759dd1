"""Where a source's scribbles come from: its own files, or a simulated annotator."""

import zlib
from dataclasses import dataclass, field

import numpy as np

from scribblegen.builders.config import PhotographsConfig
from scribblegen.classes import Classes
from scribblegen.images import BadImageError
from scribblegen.scribbles.simulate import simulate_scribbles
from scribblegen.scribbles.strokes import (
    Stroke,
    drop_scribble,
    drop_strokes,
    rasterise,
    shrink_scribble,
    shrink_strokes,
)
from scribblegen.seeds import derive_seed

_REMEMBERED = 50_000  # simulated scribbles, about a kilobyte each


@dataclass(frozen=True)
class Annotator:
    """Draws or degrades the scribble of one source at a time, the same every time.

    Args:
        config: the source's, which says how wide, erring, short or few its strokes are.
        origin: `files`, `simulate` or `mask`.
        background_id: class whose strokes are never dropped; None where there is no background.
    """

    config: PhotographsConfig
    origin: str
    background_id: int | None
    _simulated: dict[tuple[str, int], bytes] = field(
        default_factory=dict, repr=False, compare=False
    )

    @classmethod
    def of(cls, config: PhotographsConfig, classes: Classes, *, has_scribbles: bool) -> "Annotator":
        """The annotator of one source.

        Args:
            config: the source's.
            classes: class 0 is background where it is called so.
            has_scribbles: whether the source has scribbles of its own; `auto` then takes them,
                for all its samples, and never mixes in simulated ones.

        Raises:
            ValueError: the source's own scribbles are asked for and it has none.
        """
        origin = config.scribbles
        if origin == "auto":
            origin = "files" if has_scribbles else "simulate"
        if origin == "files" and not has_scribbles:
            raise ValueError(
                "`scribbles` must be simulate, mask or auto: this source has none of its own. "
                "Got 'files'."
            )
        return cls(config, origin, 0 if classes.names[0] == "background" else None)

    def scribble(
        self, source_id: str, drawn: np.ndarray | None, mask: np.ndarray | None
    ) -> np.ndarray:
        """The scribble to use, (H, W) uint8.

        Args:
            source_id: seeds whatever is random.
            drawn: the source's own scribble, (H, W) uint8, if it has one.
            mask: its dense mask, (H, W) uint8, if it has one.

        Raises:
            BadImageError: there is nothing to take or to simulate a scribble from.
        """
        if self.origin == "files":
            if drawn is None:
                raise BadImageError("no scribble")
            return self._degrade(drawn, source_id)
        if mask is None:
            raise BadImageError("no mask to take a scribble from")
        if self.origin == "mask":
            return mask
        return self.simulate(mask, source_id)

    def simulate(self, mask: np.ndarray, source_id: str) -> np.ndarray:
        """Simulated strokes on `mask`, shrunk and dropped as strokes, which is exact.

        They are remembered: a training comes back to a photograph, and drawing takes far longer
        than reading it.
        """
        key = (source_id, zlib.crc32(mask.tobytes()))
        if key in self._simulated:
            known = np.frombuffer(zlib.decompress(self._simulated[key]), np.uint8)
            return known.reshape(mask.shape).copy()
        scribble = self._simulate(mask, source_id)
        if len(self._simulated) < _REMEMBERED:
            self._simulated[key] = zlib.compress(scribble.tobytes(), 1)
        return scribble

    def _simulate(self, mask: np.ndarray, source_id: str) -> np.ndarray:
        scribble, strokes = simulate_scribbles(
            mask,
            seed=derive_seed(self.config.scribble_seed, source_id, "scribble"),
            width=self.config.scribble_width,
            error_rate=self.config.scribble_error_rate,
        )
        if not (self.config.scribble_shrink or self.config.scribble_drop):
            return scribble
        return self.rasterise(strokes, mask.shape[0], mask.shape[1], source_id)

    def rasterise(
        self, strokes: list[Stroke], height: int, width: int, source_id: str
    ) -> np.ndarray:
        """Draws strokes, shrunk and dropped as the config says, (height, width) uint8."""
        strokes = shrink_strokes(strokes, self.config.scribble_shrink)
        if self.config.scribble_drop:
            strokes = drop_strokes(
                strokes,
                self.config.scribble_drop,
                self._drop_seed(source_id),
                background_id=self.background_id,
            )
        return rasterise(strokes, height, width)

    def _degrade(self, scribble: np.ndarray, source_id: str) -> np.ndarray:
        if self.config.scribble_shrink:
            scribble = shrink_scribble(scribble, self.config.scribble_shrink)
        if self.config.scribble_drop:
            scribble = drop_scribble(
                scribble,
                self.config.scribble_drop,
                self._drop_seed(source_id),
                background_id=self.background_id,
            )
        return scribble

    def _drop_seed(self, source_id: str) -> int:
        return derive_seed(self.config.scribble_seed, source_id, "drop")
