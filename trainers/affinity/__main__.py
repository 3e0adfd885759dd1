"""What `accelerate launch -m scribblegen.trainers.affinity` starts."""

import sys

from scribblegen.cli import main

if __name__ == "__main__":
    main(["train-affinity", *sys.argv[1:]])
