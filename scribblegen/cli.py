"""`scribblegen <command>`: the table of commands."""

import importlib
import sys
from collections.abc import Sequence

from scribblegen.last_resort import run_command
from scribblegen.launched_exit import launched_exit
from scribblegen.option_parser import did_you_mean

# Imported when asked for: `--help` answers at once.
COMMANDS = {
    "demo": "scribblegen.commands.demo:demo",
    "build": "scribblegen.commands.build:main",
    "preview": "scribblegen.commands.preview:preview",
    "publish": "scribblegen.commands.publish:publish",
    "train-controlnet": "scribblegen.commands.train:train_controlnet",
    "train-segmentation": "scribblegen.commands.train:train_segmentation",
    "pseudo-label": "scribblegen.commands.pseudo_label:pseudo_label",
    "prune": "scribblegen.commands.prune:prune",
    "describe": "scribblegen.commands.describe:describe",
    "train-classifier": "scribblegen.commands.train:train_classifier",
    "train-affinity": "scribblegen.commands.train:train_affinity",
    "train-open-vocabulary": "scribblegen.commands.train:train_open_vocabulary",
    "evaluate-open-vocabulary": (
        "scribblegen.commands.evaluate_open_vocabulary:evaluate_open_vocabulary"
    ),
    "segment": "scribblegen.commands.segment:segment",
    "study": "scribblegen.commands.study.command:study",
    "train-autoencoder": "scribblegen.commands.train:train_autoencoder",
    "train-text-to-image": "scribblegen.commands.train:train_text_to_image",
    "train-clip": "scribblegen.commands.train:train_clip",
}

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
  pseudo-label
            photographs with scribbles -> a dataset with a pseudo label for each
  prune     a subset with labels -> the same without those that held-out segmentors doubt
  describe  words of a vocabulary -> texts that name them, of which images can be made
  train-classifier
            a classifier of the classes that scribbles name: what pseudo labels are read from
  train-affinity
            which near places belong together, learned from masks: what diffumask may spread by
  train-open-vocabulary
            a segmentor of any words, on pairs of images with masks, over a CLIP model
  evaluate-open-vocabulary
            how well such a segmentor finds the classes of photographs with masks
  segment   photographs and any words -> masks, and pictures of them, by such a segmentor
  study     which scheme helps, with how little data: every arm, fraction and seed, in one table
  train-autoencoder, train-text-to-image
            the two parts of a small pipeline that a ControlNet is trained over
  train-clip
            an image encoder and a text encoder of one space, on photographs and captions

`scribblegen <command> --help` lists a command's options. With `--debug True` any command shows the
traceback of what went wrong.
"""


def run_module(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `python -m`, which launchers start too."""
    with launched_exit():
        main(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the console script."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        print(_USAGE, end="")
    elif given[0] == "--version":
        import scribblegen

        print(scribblegen.__version__)
    elif given[0] in COMMANDS:
        module, function = COMMANDS[given[0]].split(":")
        run_command(
            given[0],
            lambda rest: getattr(importlib.import_module(module), function)(rest),
            given[1:],
        )
    else:
        near = did_you_mean(given[0], list(COMMANDS))
        sys.exit(f"scribblegen: no command {given[0]!r}.{near} Known: {', '.join(COMMANDS)}.")
