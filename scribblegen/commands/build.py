"""`scribblegen build`: items of a source -> a dataset repository, and a summary of it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scribblegen.commands.command_line import is_to_launch, launch, set_up_logging

if TYPE_CHECKING:
    from scribblegen.runs.config import OutputConfig
    from scribblegen.runs.generation import Progress
    from scribblegen.runs.open import Run


def main(arguments: Sequence[str]) -> None:
    """`scribblegen build`: in this process, or in as many as `--num_processes` says."""
    from scribblegen.builders.sources import SOURCE, open_source, repository_flags
    from scribblegen.configs import parse_configs
    from scribblegen.methods.table import method_choice, method_entry
    from scribblegen.runs.config import DryRunConfig, OutputConfig, RunConfig

    source = replace(
        SOURCE,
        default=lambda chosen: method_entry(chosen["method"]).source,
        stands_for=lambda value, chosen: repository_flags(
            value, method_entry(chosen["method"]).item
        ),
    )
    method_config, source_config, output_config, run_config, trial = parse_configs(
        (method_choice(), source, OutputConfig, RunConfig, DryRunConfig),
        arguments,
        program="scribblegen build",
        description="Items of a source -> a dataset repository.",
    )
    if run_config.output_dir is None:
        raise ValueError("`output_dir` must be given: the folder of the repository.")
    if not trial.dry_run and is_to_launch(run_config.num_processes):
        open_source(source_config)  # once, here, rather than in every process
        launch(
            "build",
            run_config.num_processes,
            arguments,
            "Finished shards are kept: run the same command again to go on.",
        )
        return

    from tqdm.contrib.logging import logging_redirect_tqdm

    from scribblegen.runs.processes import end_processes, process_state

    main_process = process_state().is_main_process
    set_up_logging(main_process)
    run = open_build(
        source_config,
        method_config,
        output_config,
        run_config.output_dir,
        memory_budget=run_config.memory_budget,
    )
    if trial.dry_run:
        _print_plan(run, run_config.num_processes)
        end_processes()
        return
    with logging_redirect_tqdm():
        progress = _make(run)
    if main_process:
        _print_summary(run_config.output_dir, progress)
        if run_config.profile:
            print(f"\n{progress.profile}")
    end_processes()


def build(
    source_config: Any,
    method_config: Any,
    output_config: "OutputConfig | None" = None,
    *,
    output_dir: str | Path,
    progress_bar: bool = True,
) -> "Progress":
    """A dataset repository in one call. Resumes by itself.

    Args:
        source_config: options of a source, such as `FolderConfig`.
        method_config: options of a method, such as `ScribbleGenConfig`.
        output_config: how rows are stored.
        output_dir: folder of the repository.
        progress_bar: on the main process.

    Raises:
        ValueError, OSError: something is missing or does not fit; the message names the option.
    """
    run = open_build(source_config, method_config, output_config, output_dir)
    return _make(run, progress_bar=progress_bar)


def open_build(
    source_config: Any,
    method_config: Any,
    output_config: "OutputConfig | None",
    output_dir: str | Path,
    *,
    family: Any = None,
    memory_budget: float | None = None,
) -> "Run":
    """Opens sources and networks and checks that they fit, before any work.

    Args:
        source_config, method_config, output_config, output_dir: as of `build`.
        family: the networks, where they are in memory already; else the options name them.
        memory_budget: gigabytes that `rows` auto may fill; a share of what is free if None.

    Raises:
        ValueError, OSError: something is missing or does not fit; the message names the option.
    """
    from scribblegen.builders.sources import open_sources, source_options
    from scribblegen.configs import location_options
    from scribblegen.methods.base import Opening
    from scribblegen.methods.table import method_entry, method_name
    from scribblegen.runs.config import OutputConfig
    from scribblegen.runs.manifest import read_manifest
    from scribblegen.runs.open import open_run
    from scribblegen.runs.processes import process_state
    from scribblegen.sources import require_items

    output = output_config or OutputConfig()
    name = method_name(method_config)
    entry = method_entry(name)
    sources = open_sources(source_config)
    require_items(sources["train"], entry.items(), f"method {name}")

    def judge(name: str) -> Any:
        from scribblegen.trainers.judge import Judge

        return Judge(name, sources["train"].classes, process_state().device)

    def word_judge(name: str, vocabulary: Any) -> Any:
        from scribblegen.trainers.word_judge import WordJudge

        return WordJudge(name, vocabulary, process_state().device)

    def classifier(name: str, background: int | None) -> Any:
        from scribblegen.trainers.classifier.class_maps import ClassMaps

        return ClassMaps(name, sources["train"].classes, background, process_state().device)

    def segmentor(name: str, background: int | None) -> Any:
        from scribblegen.trainers.segmentation.class_probabilities import ClassProbabilities

        return ClassProbabilities(
            name, sources["train"].classes, background, process_state().device
        )

    def affinity(name: str) -> Any:
        from scribblegen.trainers.affinity.walk import AffinityWalk

        return AffinityWalk(name, process_state().device)

    def labels(folder: str, convention: str | None) -> Any:
        from scribblegen.builders.pseudo_label_folder import PseudoLabelFolder

        ids = dict.fromkeys(i for source in sources.values() for i in source.source_ids)
        return PseudoLabelFolder(folder, sources["train"].classes, list(ids), convention)

    def texts(config: Any) -> Any:
        from scribblegen.builders.texts.opening import open_writer

        vocabulary = sources["train"].vocabulary
        assert vocabulary is not None, "what is asked for is of one"
        return open_writer(config, vocabulary, source_config.description_seed)

    opening = Opening(
        sources=sources,
        output=output,
        begun=read_manifest(Path(output_dir)).get("identity", {}),
        judge=judge,
        word_judge=word_judge,
        classifier=classifier,
        segmentor=segmentor,
        affinity=affinity,
        labels=labels,
        texts=texts,
        family=family,
        memory_budget=memory_budget,
    )
    return open_run(
        name,
        entry.open_method(method_config, opening),
        sources,
        output,
        output_dir,
        options=source_options(source_config),
        locations=location_options(source_config),
    )


def _make(run: "Run", *, progress_bar: bool = True) -> "Progress":
    """Makes what is missing of a run, and the repository around it."""
    from scribblegen.builders.repository import write_repository
    from scribblegen.runs.loop import synthesize

    drawn = {subset.name: subset.drawn for subset in run.method.subsets if subset.drawn}
    return synthesize(
        run,
        finish=lambda folder: write_repository(folder, drawn=drawn),
        progress_bar=progress_bar,
    )


def _print_plan(run: "Run", processes: int) -> None:
    from scribblegen.runs.dry_run import plan_build
    from scribblegen.runs.dry_run_table import table

    generated = [subset for subset in run.method.subsets if subset.generated]
    made = "images" if any(subset.pictures for subset in generated) else "texts"
    print(table(plan_build(run), subsets=len(generated), made=made, processes=processes))


def _print_summary(output_dir: str, progress: "Progress") -> None:
    from scribblegen.cards.dataset import subset_table
    from scribblegen.runs.manifest import read_manifest

    manifest = read_manifest(Path(output_dir))
    subsets = subset_table(manifest)
    made = "images" if any(s["pictures"] for s in manifest["subsets"]) else "texts"
    generated = [s for s in subsets if s["generated"]]
    width = max(len(s["subset"]) for s in subsets)
    rate = sum(progress.images_by_process) / len(generated) / max(progress.seconds, 1e-9)
    print(f"\n{'subset':<{width}}  {'rows':>8}  {'rejected':>8}  {'MB':>8}  {made + '/s':>8}")
    for s in subsets:
        megabytes = f"{s['bytes'] / 1e6:.1f}"
        line = f"{s['subset']:<{width}}  {s['rows']:>8}  {s['rejected']:>8}  {megabytes:>8}"
        print(f"{line}  {rate:>8.1f}" if s["generated"] and rate else line)
    print(_speed(progress, made))
    for remark, count in progress.remarks.items():
        print(f"{remark}: {count}")
    if progress.warning:
        print(progress.warning)
    print(f'\nload_dataset("{output_dir}", "{generated[0]["subset"]}")')


def _speed(progress: "Progress", made: str) -> str:
    shares = progress.images_by_process
    if not sum(shares):
        return "\nnothing was left to generate"
    rate = sum(shares) / max(progress.seconds, 1e-9)
    line = f"\n{sum(shares)} {made} in {progress.seconds:.1f} s: {rate:.1f} {made}/s"
    if len(shares) > 1:
        line += f" ({' + '.join(map(str, shares))} by {len(shares)} processes)"
    return line
