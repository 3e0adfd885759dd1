"""What `accelerate launch -m scribblegen.trainers.controlnet` starts."""

import sys

from scribblegen.cli import run_module

if __name__ == "__main__":
    run_module(["train-controlnet", *sys.argv[1:]])
