"""What `accelerate launch -m scribblegen.synthesize` starts: `scribblegen build`."""

import sys

from scribblegen.cli import main

if __name__ == "__main__":
    main(["build", *sys.argv[1:]])
