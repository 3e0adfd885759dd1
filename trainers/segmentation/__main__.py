"""What `accelerate launch -m scribblegen.trainers.segmentation` starts."""

import sys

from scribblegen.cli import main

if __name__ == "__main__":
    main(["train-segmentation", *sys.argv[1:]])
