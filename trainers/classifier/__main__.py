"""What `accelerate launch -m scribblegen.trainers.classifier` starts."""

import sys

from scribblegen.cli import main

if __name__ == "__main__":
    main(["train-classifier", *sys.argv[1:]])
