"""What `accelerate launch -m scribblegen.trainers.affinity` starts."""

import sys

from scribblegen.cli import run_module

if __name__ == "__main__":
    run_module(["train-affinity", *sys.argv[1:]])
