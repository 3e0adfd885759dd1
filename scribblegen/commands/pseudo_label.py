"""`scribblegen pseudo-label`: a classifier where none is given, and a dataset of pseudo labels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scribblegen.configs import option

_STEPS = 500  # of a classifier that is trained from nothing, in batches of 16
_RECIPE = "photograph-classification"  # of one over a backbone


@dataclass(frozen=True, kw_only=True)
class OnTheWay:
    """The classifier that is trained on the way, where nothing else says what labels are made of.

    `train-classifier` has all the options of such a training.
    """

    backbone: str | None = option(
        None,
        "Pretrained backbone under it, such as efficientnet-lite0; trained from nothing if unset.",
    )
    classifier_steps: int | None = option(
        None, f"Steps of its training; {_STEPS} if unset, or those of recipe {_RECIPE} over one."
    )

    def __post_init__(self) -> None:
        if self.classifier_steps is not None and self.classifier_steps < 1:
            raise ValueError(f"`classifier_steps` must be at least 1. Got {self.classifier_steps}.")


def pseudo_label(arguments: Sequence[str]) -> None:
    """Trains, in this process, what is not given; then builds as `build` does.

    What is made on the way lies beside the dataset: the photographs that a training reads in
    OUT-photographs, unless they are a finished subset already, and the classifier in
    OUT-classifier. The same command again goes on where it was stopped.
    """
    from scribblegen.builders.config import SubsetConfig
    from scribblegen.builders.sources import PHOTOGRAPHS, open_source
    from scribblegen.configs import parse_configs
    from scribblegen.methods.cdsp_config import CdspConfig
    from scribblegen.runs.config import OutputConfig, RunConfig

    source_config, config, on_the_way, output_config, run_config = parse_configs(
        (PHOTOGRAPHS, CdspConfig, OnTheWay, OutputConfig, RunConfig),
        arguments,
        program="scribblegen pseudo-label",
        description="Photographs with scribbles -> a dataset with a pseudo label for each.",
    )
    if run_config.output_dir is None:
        raise ValueError("`output_dir` must be given: the folder of the repository.")
    if config.made_of and on_the_way != OnTheWay():
        raise ValueError(
            f"`backbone` and `classifier_steps` must be left out where `{config.made_of}` is "
            "given: they are of a classifier that is trained on the way, and none is."
        )
    source = open_source(source_config)  # what is wrong with it is said before a training
    assert source is not None  # the training split is always there
    out = run_config.output_dir.rstrip("/")
    if not config.made_of:
        from scribblegen.methods.cdsp import background_for

        background_for(config, source.classes.names)
        real = source_config.subset if _is_whole_subset(source_config) else None
        if real is None:
            photographs = f"{out}-photographs"
            run = replace(run_config, output_dir=photographs, profile=False)
            _build("photographs", source_config, output_config, run)
            real = f"{photographs}:real"
            if not isinstance(source_config, SubsetConfig):
                source_config = _subset_of(photographs)
        _train(real, config, on_the_way, f"{out}-classifier")
        config = replace(config, classifier=f"{out}-classifier")
    _build("cdsp", source_config, config, output_config, run_config)


def _is_whole_subset(source_config: Any) -> bool:
    """Whether a source is a subset, and its training split read as a training reads it."""
    from scribblegen.builders.config import SubsetConfig

    if not isinstance(source_config, SubsetConfig) or source_config.ids not in (None, "train"):
        return False
    whole = replace(source_config, ids=None, validation_ids=None, test_ids=None)
    return whole == SubsetConfig(subset=source_config.subset)


def _subset_of(folder: str) -> Any:
    """The photographs of a finished run as a source, with every split that they have."""
    from scribblegen.builders.config import SubsetConfig
    from scribblegen.records import DEFAULT_SUBSET
    from scribblegen.runs.manifest import finished_shards

    shards = finished_shards(Path(folder), DEFAULT_SUBSET)
    splits = [split for split, files in shards.items() if any(file.rows for file in files)]
    return SubsetConfig(
        subset=f"{folder}:{DEFAULT_SUBSET}",
        validation_ids="validation" if "validation" in splits else None,
        test_ids="test" if "test" in splits else None,
    )


def _build(method: str, source_config: Any, *configs: Any) -> None:
    from scribblegen.builders.sources import source_options
    from scribblegen.commands import build
    from scribblegen.configs import to_arguments, to_dict

    options = {**source_options(source_config), **to_dict(*configs), "method": method}
    build.main(to_arguments({k: v for k, v in options.items() if v is not None}))


def _train(real: str, config: Any, on_the_way: OnTheWay, folder: str) -> None:
    """A classifier of the tags of a subset in a folder; goes on where it was stopped."""
    from scribblegen.commands.command_line import set_up_logging
    from scribblegen.configs import read_config
    from scribblegen.trainers.classifier.config import ClassifierConfig
    from scribblegen.trainers.classifier.run import train_classifier

    set_up_logging(main_process=True)
    how: dict[str, Any] = {
        "max_steps": _STEPS,
        "per_device_train_batch_size": 16,
        "learning_rate": 1e-3,
        "lr_scheduler_type": "cosine",
    }
    if on_the_way.backbone is not None:
        how = {**read_config(_RECIPE), "backbone": on_the_way.backbone}
    how["max_steps"] = on_the_way.classifier_steps or how["max_steps"]
    train_classifier(
        ClassifierConfig(
            **how,
            real=real,
            background=config.background,
            eval_split="",
            output_dir=folder,
            resume_from_checkpoint="latest",
            save_steps=max(1, how["max_steps"] // 5),
            save_total_limit=2,
            logging_strategy="no",
            report_to="none",
        )
    )
