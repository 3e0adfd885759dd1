"""`scribblegen <command>`. Commands hold no logic: parse, open, call, print what came of it."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scribblegen.command_line import is_to_launch, launch, refusals, set_up_logging
from scribblegen.train_commands import (
    train_autoencoder,
    train_controlnet,
    train_segmentation,
    train_text_to_image,
)

if TYPE_CHECKING:
    from scribblegen.generation import Progress

_USAGE = """usage: scribblegen <command> [options]

Synthetic scribble-segmentation datasets: generate, write, publish, train.

commands:
  demo      the whole way in a few minutes, with nothing but this package
  build     photographs with scribbles -> a dataset repository of real and synthetic subsets
  preview   the picture of a run, finished or not: sources, scribbles and their twins
  publish   a finished run's folder -> a dataset repository on the Hub
  train-controlnet
            a ControlNet for your classes, on photographs with scribbles
  train-segmentation
            a segmentor, on photographs, scribbles and twins
  study     which scheme helps, with how little data: every arm, fraction and seed, in one table
  train-autoencoder, train-text-to-image
            the two parts of a small pipeline that a ControlNet is trained over

`scribblegen <command> --help` lists a command's options.
"""

_DEFAULT_PIPELINES = {
    "tiny": "No `pipeline` given: using the small one that ships with scribblegen.",
    "random": "No `pipeline` given: using a tiny one with random weights. Its twins mean nothing.",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the console script."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    commands = {
        "demo": demo,
        "build": build,
        "preview": preview,
        "publish": publish,
        "train-controlnet": train_controlnet,
        "train-segmentation": train_segmentation,
        "study": study,
        "train-autoencoder": train_autoencoder,
        "train-text-to-image": train_text_to_image,
    }
    if not given or given[0] in ("-h", "--help"):
        print(_USAGE, end="")
    elif given[0] == "--version":
        import scribblegen

        print(scribblegen.__version__)
    elif given[0] in commands:
        commands[given[0]](given[1:])
    else:
        sys.exit(f"scribblegen: no command {given[0]!r}. Known: {', '.join(commands)}.")


def demo(arguments: Sequence[str]) -> None:
    """`scribblegen demo`."""
    import argparse

    parser = argparse.ArgumentParser(
        "scribblegen demo",
        description="Twins of 62 scribbled scenes, a dataset repository of them, and what they do "
        "for a segmentor. A few minutes on two cores; nothing is downloaded.",
    )
    parser.add_argument(
        "--output_dir", default="scribblegen-demo", help="Folder of the repository."
    )
    options = parser.parse_args(arguments)
    from scribblegen.demo import run_demo
    from scribblegen.run_folder import RunError

    set_up_logging(main_process=True)
    with refusals("demo", (RunError, ValueError, OSError)):
        run_demo(options.output_dir)


def build(arguments: Sequence[str]) -> None:
    """`scribblegen build`: in this process, or in as many as `--num_processes` says."""
    from scribblegen.builders.config import SourceConfig
    from scribblegen.configs import parse_configs
    from scribblegen.methods.scribblegen_config import ScribbleGenConfig
    from scribblegen.run_config import OutputConfig, RunConfig

    with refusals("build"):
        source_config, method_config, output_config, run_config = parse_configs(
            (SourceConfig, ScribbleGenConfig, OutputConfig, RunConfig),
            arguments,
            program="scribblegen build",
            description="Photographs with scribbles -> a dataset repository.",
        )
        if run_config.output_dir is None:
            raise ValueError("`output_dir` must be given: the folder of the repository.")
    if is_to_launch(run_config.num_processes):
        from scribblegen.builders.sources import open_source

        with refusals("build"):  # once, here, rather than in every process
            open_source(source_config)
        launch("scribblegen.synthesize", run_config.num_processes, arguments,
                "Finished shards are kept: run the same command again to go on.")  # fmt: skip
        return

    from tqdm.contrib.logging import logging_redirect_tqdm

    from scribblegen.processes import process_state
    from scribblegen.run_folder import RunError
    from scribblegen.synthesize import open_run, synthesize

    main_process = process_state().is_main_process
    set_up_logging(main_process)
    with refusals("build"):
        run = open_run(
            source_config,
            method_config,
            output_config,
            run_config.output_dir,
            memory_budget=run_config.memory_budget,
        )
    if output_config.pipeline is None and main_process:
        print(_DEFAULT_PIPELINES[str(run.output.pipeline)])
    with refusals("build", (RunError, OSError)):
        with logging_redirect_tqdm():
            progress = synthesize(run)
    if main_process:
        distinct_cells = run.method.images_per_source / method_config.replicates
        _print_summary(run_config.output_dir, progress, distinct_cells)
        if run_config.profile:
            print(f"\n{progress.profile}")


def preview(arguments: Sequence[str]) -> None:
    """`scribblegen preview FOLDER`."""
    import argparse

    parser = argparse.ArgumentParser(
        "scribblegen preview", description="Draws the grid of a finished or an unfinished run."
    )
    parser.add_argument("folder", help="Output folder of the run.")
    parser.add_argument("--output", help="PNG to write; assets/grid.png in the folder if unset.")
    parser.add_argument("--rows", type=int, default=6, help="Sources to show.")
    options = parser.parse_args(arguments)
    from scribblegen.builders.repository import write_gallery

    with refusals("preview"):
        print(write_gallery(options.folder, options.output, rows=options.rows))


def study(arguments: Sequence[str]) -> None:
    """`scribblegen study`."""
    with refusals("study"):
        from scribblegen.study_config import read_study

        plan, run_config = read_study(arguments)
    from scribblegen.run_folder import RunError
    from scribblegen.study import run_study

    set_up_logging(main_process=True)
    with refusals("study", (RunError, ValueError, OSError, FloatingPointError)):
        print(run_study(plan, str(run_config.output_dir), num_processes=run_config.num_processes))


def publish(arguments: Sequence[str]) -> None:
    """`scribblegen publish FOLDER --repo_id me/name`."""
    import argparse

    parser = argparse.ArgumentParser(
        "scribblegen publish",
        description="Publishes the folder of a finished run, or of a trained model, on the Hub.",
    )
    parser.add_argument("folder", help="Folder of the run or model.")
    parser.add_argument(
        "--repo_id", required=True, help="owner/name, or a name under the logged-in user."
    )
    parser.add_argument("--private", action="store_true", help="If the repository is new.")
    parser.add_argument("--license", help="Of the photographs, where the run does not tell it.")
    parser.add_argument("--tag", help="Name of the published state, such as v1.")
    parser.add_argument("--create_pr", action="store_true", help="Open a pull request instead.")
    parser.add_argument(
        "--overwrite", action="store_true", help="Replace subsets made with another config."
    )
    parser.add_argument(
        "--no_verify", action="store_true", help="Do not read back what was published."
    )
    options = vars(parser.parse_args(arguments))
    from huggingface_hub.errors import HfHubHTTPError

    from scribblegen.publish_command import publish_folder

    set_up_logging(main_process=True)
    with refusals("publish", (ValueError, OSError, RuntimeError, HfHubHTTPError)):
        options["private"] = options["private"] or None
        options["verify"] = not options.pop("no_verify")
        print(publish_folder(**options))


def _print_summary(output_dir: str, progress: "Progress", distinct_cells: float) -> None:
    from scribblegen.cards.render import subset_table
    from scribblegen.shards import read_manifest

    subsets = subset_table(read_manifest(Path(output_dir)))
    width = max(len(s["subset"]) for s in subsets)
    rate = sum(progress.images_by_process) / distinct_cells / max(progress.seconds, 1e-9)
    print(f"\n{'subset':<{width}}  {'rows':>8}  {'rejected':>8}  {'MB':>8}  {'images/s':>8}")
    for s in subsets:
        megabytes = f"{s['bytes'] / 1e6:.1f}"
        line = f"{s['subset']:<{width}}  {s['rows']:>8}  {s['rejected']:>8}  {megabytes:>8}"
        print(line if s["guidance_scale"] is None or not rate else f"{line}  {rate:>8.1f}")
    print(_speed(progress))
    example: Any = next((s["subset"] for s in subsets[1:]), subsets[0]["subset"])
    print(f'\nload_dataset("{output_dir}", "{example}")')


def _speed(progress: "Progress") -> str:
    shares = progress.images_by_process
    if not sum(shares):
        return "\nnothing was left to generate"
    rate = sum(shares) / max(progress.seconds, 1e-9)
    line = f"\n{sum(shares)} images in {progress.seconds:.1f} s: {rate:.1f} images/s"
    if len(shares) > 1:
        line += f" ({' + '.join(map(str, shares))} by {len(shares)} processes)"
    return line


if __name__ == "__main__":
    main()
