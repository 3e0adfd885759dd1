"""`python -m scribblegen <command>`: the console script, and what every launcher starts."""

from scribblegen.cli import run_module

if __name__ == "__main__":  # worker processes import this module too
    run_module()
