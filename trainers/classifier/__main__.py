"""What `accelerate launch -m scribblegen.trainers.classifier` starts."""

import sys

from scribblegen.cli import run_module

if __name__ == "__main__":
    run_module(["train-classifier", *sys.argv[1:]])
