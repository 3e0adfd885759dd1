"""`scribblegen prune`: a subset without the rows whose labels held-out segmentors doubt."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scribblegen.configs import option

_PROGRAM = "scribblegen prune"
_RECIPE = "photograph-segmentation"  # of segmentors over a backbone
_STEPS = 400  # of those that are trained from nothing, in batches of 16
_LARGEST_CROP = 512
_UNNAMED = "?"  # no subset is called so
_IDENTITY = "prune.json"  # in the folder of the segmentors: of what, and how they are trained
# Of a training: what a pruning says itself.
_OWN = ("real", "synthetic", "held_out", "scheme", "eval_data", "eval_split", "output_dir")


@dataclass(frozen=True, kw_only=True)
class Folds:
    """The subset, and the segmentors that are trained on the way."""

    subset: str | None = option(
        None,
        "REPO:subset, Hub id or folder; its one generated subset if REPO alone. Also without "
        f"`--subset`, as the first word: `{_PROGRAM} REPO:subset`.",
    )
    folds: int = option(3, "Parts of the rows, each measured by a segmentor trained on the others.")
    fold_steps: int | None = option(
        None, f"Steps of each training; {_STEPS} if unset, or those of its recipe."
    )
    crop_size: int | None = option(
        None,
        f"Side of the training crop; that of the images, up to {_LARGEST_CROP}, if unset, or that "
        "of the recipe.",
    )
    backbone: str | None = option(
        None,
        "Pretrained backbone under the segmentors, such as efficientnet-lite0; small ones from "
        "nothing if unset.",
    )
    fold_recipe: str | None = option(
        None,
        "YAML file of options of `train-segmentation`, or a shipped recipe, by which they are "
        f"trained; {_RECIPE} over a backbone if unset.",
    )

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise ValueError(
                f"`folds` must be at least 2: each is measured by what learned the others. "
                f"Got {self.folds}."
            )
        for name in ("fold_steps", "crop_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"`{name}` must be at least 1. Got {value}.")


def prune(arguments: Sequence[str]) -> None:
    """Trains and measures, in this process, what is not given; then builds as `build` does.

    The segmentors lie beside the dataset in OUT-folds, each with the scores of the part that it was
    not shown. The same command again goes on where it was stopped.
    """
    from scribblegen.builders.sources import open_source
    from scribblegen.configs import parse_configs
    from scribblegen.methods.prune_config import PruneConfig
    from scribblegen.runs.config import OutputConfig, RunConfig
    from scribblegen.segmenting.mask_rules import read_mask_rules

    if arguments and not arguments[0].startswith("-"):
        arguments = [f"--subset={arguments[0]}", *arguments[1:]]
    folds, config, output_config, run_config = parse_configs(
        (Folds, PruneConfig, OutputConfig, RunConfig),
        arguments,
        program=_PROGRAM,
        description="A subset with labels -> the same without those that segmentors doubt which "
        "were not shown them.",
    )
    given = config.held_out_scores
    if given and folds != Folds(subset=folds.subset):
        raise ValueError(
            "`folds` and how they are trained must be left out where `held_out_scores` are given: "
            "nothing is trained then."
        )
    repository, subset = _named(folds.subset)
    out = _output_dir(run_config.output_dir, repository)
    source_config = _subset_config(f"{repository}:{subset}")
    source = open_source(source_config)  # what is wrong with it is said before a training
    assert source is not None  # the training split is always there
    read_mask_rules(config.mask_rules, source.classes.names)
    if not given:
        files = _measure(f"{repository}:{subset}", source, folds, Path(f"{out}-folds"))
        config = replace(config, held_out_scores=[str(path) for path in files])
    _build(source_config, config, output_config, replace(run_config, output_dir=out))


def _named(text: str | None) -> tuple[str, str]:
    """The repository, and the subset of it: the one that was generated where none is named."""
    from datasets import get_dataset_config_names

    from scribblegen.parquet_files import opening_rows
    from scribblegen.records import DEFAULT_SUBSET
    from scribblegen.runs.manifest import MANIFEST, read_manifest
    from scribblegen.subset_name import SubsetName

    if text is None:
        raise ValueError(f"`subset` must be given, as in `{_PROGRAM} REPO:subset`.")
    name = SubsetName.parse(text.rstrip("/"), _UNNAMED, option="subset")
    if (Path(name.repository) / MANIFEST).is_file():
        manifest = read_manifest(Path(name.repository))
        if not manifest.get("complete"):
            raise ValueError(
                f"`subset` must be of a finished run: {name.repository} is not. Run the command "
                "that makes it again; it goes on."
            )
        generated = [s["subset"] for s in manifest["subsets"] if s["generated"]]
    elif name.subset == _UNNAMED:
        with opening_rows("subset", name.repository):
            known = get_dataset_config_names(name.repository)
        generated = [subset for subset in known if subset != DEFAULT_SUBSET]
    if name.subset != _UNNAMED:
        return name.repository, name.subset
    if len(generated) != 1:
        raise ValueError(
            f"`subset` must name one of {generated}, as REPO:subset, where a repository has not "
            f"just one. Got {text}."
        )
    return name.repository, generated[0]


def _output_dir(given: str | None, repository: str) -> str:
    """Where the repository goes, which is new or of this command."""
    from scribblegen.runs.manifest import MANIFEST, read_manifest

    if given is None and not Path(repository).is_dir():
        raise ValueError(
            "`output_dir` must be given: the folder of the repository that is made. Where "
            f"`subset` is of a folder it lies beside that; {repository} is none."
        )
    out = (given or f"{repository}-kept").rstrip("/")
    folder = Path(out)
    if (folder / MANIFEST).is_file():
        if read_manifest(folder).get("method") == "prune":
            return out
    elif not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return out
    raise ValueError(f"`output_dir` {out} holds something else. Use an empty or a new folder.")


def _measure(synthetic: str, source: Any, folds: Folds, folder: Path) -> list[Path]:
    """The scores of every part, by a segmentor that was not shown it; trains what is missing."""
    from scribblegen.commands.command_line import set_up_logging
    from scribblegen.runs.processes import process_state
    from scribblegen.segmenting.quality_files import HELD_OUT_SCORES, is_measured
    from scribblegen.trainers.segmentation.data import open_rows
    from scribblegen.trainers.segmentation.held_out_scores import score_held_out
    from scribblegen.trainers.segmentation.run import train_segmentation

    set_up_logging(main_process=True)
    how = _training(source, folds)
    ids = set(open_rows(None, [synthetic]).tables[1]["source_id"])
    if folds.folds > len(ids):
        raise ValueError(
            f"`folds` must be at most the number of images, {len(ids)} (twins of one photograph "
            f"count once). Got {folds.folds}."
        )
    identity = _settled_identity(
        folder,
        {
            "subset": source.subset,
            "rows": source.fingerprint(),
            "folds": folds.folds,
            **how,
        },
    )
    files = []
    for number in range(1, folds.folds + 1):
        part, fold = f"{number}/{folds.folds}", folder / f"fold-{number}"
        measured = {**identity, "held_out": part}
        files.append(fold / HELD_OUT_SCORES)
        if is_measured(files[-1], measured):
            continue
        print(f"fold {part}: a segmentor of the other rows, {fold}", flush=True)
        train_segmentation(_config(how, synthetic, part, fold))
        device = process_state().device
        score_held_out(fold, synthetic, part, device=device, identity=measured)
    return files


def _training(source: Any, folds: Folds) -> dict[str, Any]:
    """The options that decide the weights of a segmentor, besides what it is trained on."""
    from scribblegen.configs import check_options, read_config
    from scribblegen.trainers.segmentation.config import SegmentationConfig

    recipe = folds.fold_recipe or (_RECIPE if folds.backbone else None)
    if recipe is None:
        how: dict[str, Any] = {
            "crop_size": min(*source.load(0).image.shape[:2], _LARGEST_CROP),
            "scale_min": 0.75,
            "scale_max": 1.5,
            "max_steps": _STEPS,
            "per_device_train_batch_size": 16,
            "learning_rate": 2e-3,
            "lr_scheduler_type": "cosine",
            "weight_decay": 0.01,
        }
    else:
        how = check_options(read_config(recipe) or {}, (SegmentationConfig,), recipe)
        if own := sorted(how.keys() & set(_OWN)):
            raise ValueError(
                f"`fold_recipe` {recipe} must not say `{own[0]}`: a pruning says it itself."
            )
    asked = {
        "max_steps": folds.fold_steps,
        "crop_size": folds.crop_size,
        "backbone": folds.backbone,
    }
    return {**how, **{name: value for name, value in asked.items() if value is not None}}


def _settled_identity(folder: Path, identity: dict[str, Any]) -> dict[str, Any]:
    """`identity`, once a folder holds segmentors of just this, or none.

    Raises:
        ValueError: it holds others; the message says what differs.
    """
    from scribblegen.configs import differences
    from scribblegen.runs.atomic_files import write_atomically
    from scribblegen.text_files import read_fields

    path = folder / _IDENTITY
    if path.is_file():
        differing = differences(read_fields(path, f"Delete {folder}."), identity)
        if differing:
            raise ValueError(
                f"`output_dir`: {folder} holds segmentors of something else: "
                f"{'; '.join(differing)}. Take another `output_dir`, or delete {folder}."
            )
    else:
        write_atomically(path, f"{json.dumps(identity, indent=1)}\n".encode())
    return identity


def _config(how: dict[str, Any], synthetic: str, part: str, folder: Path) -> Any:
    from scribblegen.trainers.segmentation.config import SegmentationConfig

    steps = how.get("max_steps", 0)
    saving = {"save_steps": max(1, steps // 5)} if steps > 0 else {"save_strategy": "epoch"}
    return SegmentationConfig(
        **{
            "save_total_limit": 2,
            "logging_strategy": "no",
            "report_to": "none",
            **saving,
            **how,
            "synthetic": [synthetic],
            "held_out": part,
            "eval_split": "",
            "output_dir": str(folder),
            "resume_from_checkpoint": "latest",
        }
    )


def _subset_config(subset: str) -> Any:
    from scribblegen.builders.config import SubsetConfig

    return SubsetConfig(subset=subset)


def _build(source_config: Any, *configs: Any) -> None:
    from scribblegen.builders.sources import source_options
    from scribblegen.commands import build
    from scribblegen.configs import to_arguments, to_dict

    options = {**source_options(source_config), **to_dict(*configs), "method": "prune"}
    build.main(to_arguments({k: v for k, v in options.items() if v is not None}))
