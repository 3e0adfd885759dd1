"""`scribblegen train-...`: parse, open, train, print the folder."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from scribblegen.choices import import_name
from scribblegen.commands.command_line import is_to_launch, launch, set_up_logging


def train_controlnet(arguments: Sequence[str]) -> None:
    """`scribblegen train-controlnet`: one ControlNet, or one for each of `--id_lists`."""
    from scribblegen.builders.sources import open_source
    from scribblegen.trainers.controlnet.config import ControlNetConfig, ControlNetRunConfig

    def trainers(source_config: Any, config: Any, run_config: Any) -> Iterator[Any]:
        from scribblegen.trainers.controlnet.trainer import ControlNetTrainer

        for ids in run_config.id_lists or [source_config.ids]:
            folder = Path(run_config.output_dir)
            if run_config.id_lists:
                folder = folder / Path(ids).stem.replace(":", "-")
            source = open_source(replace(source_config, ids=ids))
            assert source is not None  # the training split is always there
            yield ControlNetTrainer(config, replace(run_config, output_dir=str(folder)), source)

    _train(
        "controlnet",
        arguments,
        (ControlNetConfig, ControlNetRunConfig),
        trainers,
        "Trains a ControlNet on photographs with scribbles.",
    )


def train_autoencoder(arguments: Sequence[str]) -> None:
    """`scribblegen train-autoencoder`."""
    from scribblegen.builders.sources import open_source
    from scribblegen.trainers.base.config import TrainingRunConfig
    from scribblegen.trainers.small_pipeline.autoencoder_config import AutoencoderConfig

    def trainers(source_config: Any, config: Any, run_config: Any) -> Iterator[Any]:
        from scribblegen.trainers.small_pipeline.autoencoder import AutoencoderTrainer

        source, validation = (open_source(source_config, s) for s in ("train", "validation"))
        assert source is not None
        yield AutoencoderTrainer(config, run_config, source, validation)

    _train(
        "autoencoder",
        arguments,
        (AutoencoderConfig, TrainingRunConfig),
        trainers,
        "Trains a small autoencoder from nothing.",
    )


def train_text_to_image(arguments: Sequence[str]) -> None:
    """`scribblegen train-text-to-image`."""
    from scribblegen.builders.sources import open_source
    from scribblegen.trainers.base.config import TrainingRunConfig
    from scribblegen.trainers.small_pipeline.text_to_image_config import TextToImageConfig

    def trainers(source_config: Any, config: Any, run_config: Any) -> Iterator[Any]:
        from scribblegen.trainers.small_pipeline.text_to_image import TextToImageTrainer

        source = open_source(source_config)
        assert source is not None
        yield TextToImageTrainer(config, run_config, source)

    _train(
        "text-to-image",
        arguments,
        (TextToImageConfig, TrainingRunConfig),
        trainers,
        "Trains a small text-to-image pipeline over a trained autoencoder.",
    )


def train_clip(arguments: Sequence[str]) -> None:
    """`scribblegen train-clip`."""
    from scribblegen.builders.sources import open_source
    from scribblegen.trainers.base.config import TrainingRunConfig
    from scribblegen.trainers.clip.config import ClipConfig

    def trainers(source_config: Any, config: Any, run_config: Any) -> Iterator[Any]:
        from scribblegen.trainers.clip.trainer import ClipTrainer

        source, validation = (open_source(source_config, s) for s in ("train", "validation"))
        assert source is not None
        yield ClipTrainer(config, run_config, source, validation)

    _train(
        "clip",
        arguments,
        (ClipConfig, TrainingRunConfig),
        trainers,
        "Trains a small CLIP-like pair of encoders from nothing, on photographs and captions.",
    )


def train_segmentation(arguments: Sequence[str]) -> None:
    """`scribblegen train-segmentation`; processes as its `--num_processes` or the launcher says."""
    _train_on_subsets(
        "train-segmentation",
        arguments,
        "scribblegen.trainers.segmentation.config:SegmentationConfig",
        "scribblegen.trainers.segmentation.run:train_segmentation",
        "Trains a segmentor on real and synthetic subsets.",
        is_shown=lambda figure: "_iou_" in f"{figure}_",
    )


def train_classifier(arguments: Sequence[str]) -> None:
    """`scribblegen train-classifier`; processes as its `--num_processes` or the launcher says."""
    _train_on_subsets(
        "train-classifier",
        arguments,
        "scribblegen.trainers.classifier.config:ClassifierConfig",
        "scribblegen.trainers.classifier.run:train_classifier",
        "Trains a classifier of the classes that scribbles name.",
        is_shown=lambda figure: "precision" in figure or figure == "eval_f1",
    )


def train_affinity(arguments: Sequence[str]) -> None:
    """`scribblegen train-affinity`; processes as its `--num_processes` or the launcher says."""
    _train_on_subsets(
        "train-affinity",
        arguments,
        "scribblegen.trainers.affinity.config:AffinityConfig",
        "scribblegen.trainers.affinity.run:train_affinity",
        "Trains a network that tells which near places belong together, on synthetic masks.",
        is_shown=lambda figure: "affinity" in figure or "pair" in figure,
    )


def train_open_vocabulary(arguments: Sequence[str]) -> None:
    """`scribblegen train-open-vocabulary`."""
    from scribblegen.trainers.base.config import TrainingRunConfig
    from scribblegen.trainers.open_vocabulary.config import OpenVocabularyTrainingConfig

    def trainers(config: Any, run_config: Any) -> Iterator[Any]:
        from scribblegen.trainers.open_vocabulary.trainer import OpenVocabularyTrainer

        yield OpenVocabularyTrainer(config, run_config)

    _train(
        "open-vocabulary",
        arguments,
        (OpenVocabularyTrainingConfig, TrainingRunConfig),
        trainers,
        "Trains a segmentor of any words over a frozen CLIP model, on pairs of images.",
        source=(),
    )


def _train_on_subsets(
    command: str,
    arguments: Sequence[str],
    config_type: str,
    train: str,
    description: str,
    *,
    is_shown: Callable[[str], bool],
) -> None:
    """Parses, trains, prints figures and the folder; config and function as `module:name`."""
    from dataclasses import dataclass

    from scribblegen.configs import option, parse_configs

    @dataclass(frozen=True, kw_only=True)
    class Processes:
        num_processes: int = option(1, "Processes on this machine, through `accelerate launch`.")

    config, processes = parse_configs(
        (import_name(config_type), Processes),
        arguments,
        program=f"scribblegen {command}",
        description=description,
    )
    if config.output_dir is None or not any(a.startswith("--output_dir") for a in arguments):
        raise ValueError("`output_dir` must be given: the folder of the trained model.")
    if is_to_launch(processes.num_processes):
        advice = "Go on with --resume_from_checkpoint latest."
        launch(command, processes.num_processes, arguments, advice)
        return

    from scribblegen.runs.processes import end_processes, process_state

    main_process = process_state().is_main_process
    set_up_logging(main_process)
    measured = import_name(train)(config)
    if main_process and config.dry_run:
        from scribblegen.trainers.base.dry_run import DryRun
        from scribblegen.trainers.base.dry_run_table import table

        print(table(DryRun(**measured)))
    elif main_process:
        for key, value in measured.items():
            if isinstance(value, float) and is_shown(key):
                print(f"{key:<40} {value:.4f}")
        print(config.output_dir)
    end_processes()


def _train(
    name: str,
    arguments: Sequence[str],
    config_types: tuple[type, type],
    trainers: Callable[..., Iterator[Any]],
    description: str,
    source: tuple[Any, ...] | None = None,
) -> None:
    """A training command: in this process, or in as many as `--num_processes` says.

    Args:
        name: the command's, after `train-`.
        arguments: the command line's, after the command.
        config_types: the dataclasses of what is trained, and of where to.
        trainers: makes the trainers, one after the other, from the parsed source where there is
            one, config and run config.
        description: what the command does, for `--help`.
        source: the dataclasses that say what it is trained on; photographs if None.
    """
    from scribblegen.builders.sources import PHOTOGRAPHS
    from scribblegen.configs import parse_configs

    command = f"train-{name}"
    configs = parse_configs(
        (*((PHOTOGRAPHS,) if source is None else source), *config_types),
        arguments,
        program=f"scribblegen {command}",
        description=description,
    )
    run_config = configs[-1]
    if run_config.output_dir is None:
        raise ValueError("`output_dir` must be given: the folder of the trained model.")
    if is_to_launch(run_config.num_processes):
        advice = "Go on with --resume_from_checkpoint latest."
        launch(command, run_config.num_processes, arguments, advice)
        return

    from tqdm.contrib.logging import logging_redirect_tqdm

    from scribblegen.runs.processes import process_state

    set_up_logging(process_state().is_main_process)
    with logging_redirect_tqdm():
        for trainer in trainers(*configs):
            print(trainer.train())
