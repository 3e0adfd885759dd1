"""`scribblegen preview`: the picture of a run, finished or not."""

from collections.abc import Sequence

from scribblegen.option_parser import OptionParser


def preview(arguments: Sequence[str]) -> None:
    """`scribblegen preview FOLDER`."""
    parser = OptionParser(
        "scribblegen preview", description="Draws the grid of a finished or an unfinished run."
    )
    parser.add_argument("folder", help="Output folder of the run.")
    parser.add_argument("--output", help="PNG to write; assets/grid.png in the folder if unset.")
    parser.add_argument("--rows", type=int, default=6, help="Sources to show.")
    options = parser.parse_args(arguments)
    from scribblegen.builders.repository import write_gallery

    print(write_gallery(options.folder, options.output, rows=options.rows))
