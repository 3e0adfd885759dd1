"""What `accelerate launch -m scribblegen.trainers.controlnet` starts."""

import sys

from scribblegen.cli import main

if __name__ == "__main__":
    main(["train-controlnet", *sys.argv[1:]])
