"""What `accelerate launch -m scribblegen.trainers.segmentation` starts."""

import sys

from scribblegen.cli import run_module

if __name__ == "__main__":
    run_module(["train-segmentation", *sys.argv[1:]])
