"""`scribblegen pseudo-label`: a classifier where none is given, and a dataset of pseudo labels."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

_STEPS = 500  # of a classifier that is trained on the way, in batches of 16


def pseudo_label(arguments: Sequence[str]) -> None:
    """Trains, in this process, what `--classifier` does not give; then builds as `build` does."""
    from scribblegen.builders.sources import PHOTOGRAPHS, open_source, source_options
    from scribblegen.commands import build
    from scribblegen.configs import parse_configs, to_arguments, to_dict
    from scribblegen.methods.cdsp_config import CdspConfig
    from scribblegen.runs.config import OutputConfig, RunConfig

    source_config, config, output_config, run_config = parse_configs(
        (PHOTOGRAPHS, CdspConfig, OutputConfig, RunConfig),
        arguments,
        program="scribblegen pseudo-label",
        description="Photographs with scribbles -> a dataset with a pseudo label for each.",
    )
    if run_config.output_dir is None:
        raise ValueError("`output_dir` must be given: the folder of the repository.")
    open_source(source_config)  # what is wrong with it is said before a training
    if config.classifier is None:
        folder = f"{run_config.output_dir.rstrip('/')}-classifier"
        _train(source_config, config, folder)
        config = replace(config, classifier=folder)
    options = {
        **source_options(source_config),
        **to_dict(config, output_config, run_config),
        "method": "cdsp",
    }
    build.main(to_arguments({k: v for k, v in options.items() if v is not None}))


def _train(source_config: Any, config: Any, folder: str) -> None:
    """A small classifier of the source's tags in a folder; goes on where it was stopped.

    Raises:
        ValueError: the source is no finished subset, which is what trainers read.
    """
    from scribblegen.builders.config import SubsetConfig

    if not isinstance(source_config, SubsetConfig) or source_config.subset is None:
        raise ValueError(
            "`classifier` must be given for this source: trainers read finished subsets. Take "
            "`--source subset --subset REPO:subset`, or a classifier of train-classifier."
        )
    from scribblegen.commands.command_line import set_up_logging
    from scribblegen.trainers.classifier.config import ClassifierConfig
    from scribblegen.trainers.classifier.run import train_classifier

    set_up_logging(main_process=True)
    train_classifier(
        ClassifierConfig(
            real=source_config.subset,
            background=config.background,
            eval_split="",
            output_dir=folder,
            resume_from_checkpoint="latest",
            max_steps=_STEPS,
            per_device_train_batch_size=16,
            learning_rate=1e-3,
            lr_scheduler_type="cosine",
            save_steps=_STEPS // 5,
            save_total_limit=2,
            logging_strategy="no",
            report_to="none",
        )
    )
