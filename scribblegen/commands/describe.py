"""`scribblegen describe`: words of a vocabulary -> descriptions that name them."""

from collections.abc import Sequence
from dataclasses import replace

_TEXTS_PER_SHARD = 256  # they are small


def describe(arguments: Sequence[str]) -> None:
    """Builds as `build` does; an endpoint's answers are kept beside the dataset, in OUT-answers."""
    from scribblegen.builders.descriptions_config import VocabularyConfig
    from scribblegen.builders.sources import source_options
    from scribblegen.commands import build
    from scribblegen.configs import parse_configs, to_arguments, to_dict
    from scribblegen.methods.describe_config import DescribeConfig
    from scribblegen.runs.config import OutputConfig, RunConfig

    source, config, output, run = parse_configs(
        (VocabularyConfig, DescribeConfig, OutputConfig, RunConfig),
        arguments,
        program="scribblegen describe",
        description="Words of a vocabulary -> texts that name them, of which images can be made.",
    )
    if run.output_dir is None:
        raise ValueError("`output_dir` must be given: the folder of the repository.")
    if config.writer == "endpoint" and config.llm_cache is None:
        config = replace(config, llm_cache=f"{run.output_dir.rstrip('/')}-answers")
    if output.sources_per_shard is None:
        output = replace(output, sources_per_shard=_TEXTS_PER_SHARD)
    options = {**source_options(source), **to_dict(config, output, run), "method": "describe"}
    build.main(to_arguments({name: v for name, v in options.items() if v is not None}))
