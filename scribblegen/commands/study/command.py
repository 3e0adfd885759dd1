"""`scribblegen study`: parse, run, print the table."""

from collections.abc import Sequence

from scribblegen.commands.command_line import set_up_logging


def study(arguments: Sequence[str]) -> None:
    """`scribblegen study`."""
    from scribblegen.commands.study.plan import read_study

    plan, run_config = read_study(arguments)
    from scribblegen.commands.study.run import run_study

    set_up_logging(main_process=True)
    print(run_study(plan, str(run_config.output_dir), num_processes=run_config.num_processes))
