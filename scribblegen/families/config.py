"""The options of every method that draws with a pipeline. No torch: the command line reads it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from scribblegen.configs import option

DTYPE_NAMES = ("auto", "float32", "bfloat16", "float16")
COMPILE_CHOICES = ("auto", "on", "off")
AUTO_ROWS = -1


if TYPE_CHECKING:
    RowCount = int
else:

    class RowCount(int):
        """Rows of a call: a number, or `auto` (`AUTO_ROWS`)."""

        def __new__(cls, value):
            return super().__new__(cls, AUTO_ROWS if value == "auto" else int(value))


@dataclass(frozen=True, kw_only=True)
class PipelineConfig:
    """Which networks draw, and in calls of what shape."""

    LOCATIONS: ClassVar[tuple[str, ...]] = ("pipeline", "tiny_vae")

    pipeline: str | None = option(
        None,
        "Folder or Hub id of a Stable Diffusion 1.x or 2.x pipeline in diffusers' layout; or tiny "
        "(ships with scribblegen, draws its scenes), or random. If unset tiny where the classes "
        "are the scenes', else random.",
    )
    pipeline_revision: str | None = option(None, "Revision of the pipeline on the Hub.")
    pipeline_variant: str | None = option(None, "Variant of the pipeline's weights, such as fp16.")
    tiny_vae: str | None = option(
        None,
        "Folder or Hub id of an AutoencoderTiny that decodes instead of the VAE: faster, less "
        "exact.",
    )
    resolution: int | None = option(None, "Side of the network's square; the pipeline's if unset.")
    rows: RowCount = option(
        16,
        "Denoiser rows in a call, or auto: what is fastest, measured once. Changes the last bits "
        "of an image.",
    )
    decode_rows: int = option(4, "Images in a decoder call. Changes the last bits of an image.")
    dtype: str = option(
        "auto",
        "float32, bfloat16 or float16, for weights and calls. auto: float32 on a CPU, bfloat16 on "
        "a GPU.",
    )
    compile: str = option(
        "auto",
        "on: calls go through torch.compile, off, or auto (on a GPU). Changes the last bits.",
    )

    def __post_init__(self) -> None:
        if self.tiny_vae is not None and self.pipeline is None:
            raise ValueError("`pipeline` must be given with `tiny_vae`: it holds the rest.")
        for name, known in (("dtype", DTYPE_NAMES), ("compile", COMPILE_CHOICES)):
            if getattr(self, name) not in known:
                raise ValueError(f"`{name}` must be one of {known}. Got {getattr(self, name)!r}.")
        object.__setattr__(self, "rows", int(RowCount(self.rows)))
        if self.rows < 1 and self.rows != AUTO_ROWS:
            raise ValueError(f"`rows` must be at least 1, or auto. Got {self.rows}.")
        if self.decode_rows < 1:
            raise ValueError(f"`decode_rows` must be at least 1. Got {self.decode_rows}.")
        if self.compile == "on" and self.rows % 2 and self.rows != AUTO_ROWS:
            raise ValueError(f"`rows` must be even where calls are compiled. Got {self.rows}.")
