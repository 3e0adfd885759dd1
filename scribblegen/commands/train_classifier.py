"""`scribblegen train-classifier`: parse, train, print the figures and the folder."""

from collections.abc import Sequence

from scribblegen.commands.command_line import is_to_launch, launch, set_up_logging


def train_classifier(arguments: Sequence[str]) -> None:
    """Processes as its `--num_processes` or the launcher says."""
    from dataclasses import dataclass

    from scribblegen.configs import option, parse_configs
    from scribblegen.trainers.classifier.config import ClassifierConfig

    @dataclass(frozen=True, kw_only=True)
    class Processes:
        num_processes: int = option(1, "Processes on this machine, through `accelerate launch`.")

    command = "train-classifier"
    config, processes = parse_configs(
        (ClassifierConfig, Processes),
        arguments,
        program=f"scribblegen {command}",
        description="Trains a classifier of the classes that scribbles name.",
    )
    if config.output_dir is None or not any(a.startswith("--output_dir") for a in arguments):
        raise ValueError("`output_dir` must be given: the folder of the trained model.")
    if is_to_launch(processes.num_processes):
        advice = "Go on with --resume_from_checkpoint latest."
        launch(command, processes.num_processes, arguments, advice)
        return

    from scribblegen.runs.processes import end_processes, process_state
    from scribblegen.trainers.classifier.run import train_classifier as train

    main_process = process_state().is_main_process
    set_up_logging(main_process)
    measured = train(config)
    if main_process:
        for key, value in measured.items():
            if isinstance(value, float) and ("precision" in key or key == "eval_f1"):
                print(f"{key:<40} {value:.4f}")
        print(config.output_dir)
    end_processes()
