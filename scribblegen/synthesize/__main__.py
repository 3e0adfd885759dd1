"""What `accelerate launch -m scribblegen.synthesize` starts: `scribblegen build`."""

import sys

from scribblegen.cli import run_module

if __name__ == "__main__":
    run_module(["build", *sys.argv[1:]])
