"""The whole way in a few minutes: scribbles -> grid of twins -> dataset -> segmentation."""

import contextlib
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scribblegen.builders.config import ScenesConfig
from scribblegen.builders.sources import SOURCE
from scribblegen.commands.command_line import set_up_logging
from scribblegen.configs import parse_configs
from scribblegen.methods.scribblegen_config import ScribbleGenConfig
from scribblegen.option_parser import OptionParser
from scribblegen.runs.config import OutputConfig

RECIPE = "demo"
_STEPS = 400  # of each training, whatever it is given: neither sees more images than the other
_MIXED_IN = ("guidance2-encode0.6", "guidance2-encode0.8", "guidance2-encode1")


@dataclass(frozen=True)
class DemoResult:
    """Mean IoU on held-out scenes, of training on scribbles without and with twins."""

    scribbles_only: float
    with_twins: float
    seconds: float


def demo(arguments: Sequence[str]) -> None:
    """`scribblegen demo`."""
    parser = OptionParser(
        "scribblegen demo",
        description="Twins of 62 scribbled scenes, a dataset repository of them, and what they do "
        "for a segmentor. A few minutes on two cores; nothing is downloaded.",
    )
    parser.add_argument(
        "--output_dir", default="scribblegen-demo", help="Folder of the repository."
    )
    options = parser.parse_args(arguments)
    set_up_logging(main_process=True)
    run_demo(options.output_dir)


def demo_options() -> tuple[ScenesConfig, ScribbleGenConfig, OutputConfig]:
    """What the demo builds; `scribblegen build --config demo` builds the same."""
    source, method, output = parse_configs(
        (SOURCE, ScribbleGenConfig, OutputConfig),
        ["--config", RECIPE],
        program="scribblegen demo",
        description="",
    )
    return source, method, output


def run_demo(
    output_dir: str | Path,
    *,
    options: tuple[ScenesConfig, ScribbleGenConfig, OutputConfig] | None = None,
    steps: int = _STEPS,
) -> DemoResult:
    """Builds the demo's repository and trains on it; says every step. Resumes by itself.

    Args:
        output_dir: folder of the dataset repository; the segmentors lie in a folder beside it.
        options: what is built; `demo_options` if None.
        steps: how many steps each of the two segmentors is trained for.

    Raises:
        RunError, ValueError, OSError: the folder holds another run, or cannot be written.
    """
    from datasets import load_dataset

    from scribblegen.commands.build import build
    from scribblegen.records import DEFAULT_SUBSET

    started = time.perf_counter()
    source, method, output = options or demo_options()
    print(
        "1. Generate. For each scribbled scene, all of them by day, the small pipeline that ships\n"
        f"   with scribblegen draws twins in any light: guidance scales "
        f"{_list(method.guidance_scales)}\n"
        f"   by encode ratios {_list(method.encode_ratios)}. "
        f"Same as `scribblegen build --config {RECIPE}`.",
        flush=True,
    )
    progress = build(source, method, output, output_dir=output_dir)
    if progress.warning:
        print(progress.warning)
    folder = Path(output_dir)
    print(
        f"\n2. Look. {folder / 'assets' / 'grid.png'} shows scenes, scribbles and twins; {folder}\n"
        "   is a dataset repository, ready for the Hub.\n\n"
        f"3. Train. A small segmentor learns twice, {steps} steps each: from the scribbles on the\n"
        "   scenes, and from these mixed half and half with their twins, as by\n"
        "   `scribblegen train-segmentation --scheme uniform`.",
        flush=True,
    )
    models = folder.with_name(f"{folder.name}-segmentors")  # the repository itself holds data only
    mean_ious = []
    for name, twins in (("scribbles", []), ("scribbles-and-twins", list(_MIXED_IN))):
        print(f"   {models / name}", flush=True)
        mean_ious.append(_train(folder, models / name, twins, steps))
    num_tested = len(load_dataset(str(folder), DEFAULT_SUBSET, split="test"))
    result = DemoResult(mean_ious[0], mean_ious[1], time.perf_counter() - started)
    print(
        f"\nmean IoU on {num_tested} other scenes, in any light, against exact masks:\n"
        f"   scribbles only      {result.scribbles_only:.3f}\n"
        f"   scribbles + twins   {result.with_twins:.3f}\n"
        "   One seed, and a pipeline that was trained on 60 000 other scenes of this kind: it\n"
        "   stands for what a large pipeline knows of the world.\n\n"
        f'load_dataset("{output_dir}", "{_MIXED_IN[0]}")\n'
        f"{result.seconds:.0f} seconds in all",
        flush=True,
    )
    return result


def _list(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _train(folder: Path, output_dir: Path, twins: Sequence[str], steps: int) -> float:
    """Mean IoU on the test scenes of a segmentor trained on the scribbles, and on `twins`."""
    from scribblegen.trainers.segmentation.config import SegmentationConfig
    from scribblegen.trainers.segmentation.run import train_segmentation

    config = SegmentationConfig(
        real=str(folder),
        synthetic=[f"{folder}:{subset}" for subset in twins],
        scheme="uniform" if twins else "none",
        eval_split="test",
        output_dir=str(output_dir),
        crop_size=64,
        scale_min=0.75,
        scale_max=1.5,
        max_steps=steps,
        per_device_train_batch_size=16,
        learning_rate=2e-3,
        lr_scheduler_type="cosine",
        weight_decay=0.01,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=False,  # by default it follows the log level
    )
    with contextlib.redirect_stdout(io.StringIO()):  # the Trainer prints its dictionaries
        return float(train_segmentation(config)["eval_mean_iou"])
