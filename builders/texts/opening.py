"""Options of describing -> the writer of texts."""

from typing import Any

from scribblegen.builders.texts.answer_cache import AnswerCache
from scribblegen.builders.texts.chat_endpoint import ChatEndpoint
from scribblegen.builders.texts.endpoint import EndpointTexts
from scribblegen.builders.texts.scenes import SceneTexts
from scribblegen.builders.texts.template_files import read_templates
from scribblegen.builders.texts.templates import TemplateTexts
from scribblegen.builders.texts.verified import Verifier
from scribblegen.methods.describe_config import DescribeConfig
from scribblegen.vocabulary import Vocabulary
from scribblegen.vocabulary_files import load_vocabulary


def open_writer(config: DescribeConfig, vocabulary: Vocabulary, seed: int) -> Any:
    """The writer that the options name, as `methods.describe.Writer` has it.

    Args:
        config: the options.
        vocabulary: whose words are asked for.
        seed: the root seed of what is asked for.

    Raises:
        ValueError, OSError: something is missing or does not fit; the message names the option.
    """
    verifier, kind = Verifier(vocabulary), config.writer
    if kind == "auto":
        kind = "scenes" if vocabulary == load_vocabulary("scenes") else "template"
    if kind == "scenes":
        return SceneTexts(seed, verifier)
    if kind == "model":
        from scribblegen.builders.texts.local_model import ModelTexts

        name, revision = str(config.prompt_model), config.prompt_model_revision
        return ModelTexts(name, revision, config.local_temperature, verifier)
    templates = read_templates(config.description_templates)
    if kind == "template":
        return TemplateTexts(templates, verifier)
    if config.llm_cache is None:
        raise ValueError(
            "`llm_cache` must be given with `llm_endpoint`: the folder of its answers. "
            "`scribblegen describe` takes one beside the dataset."
        )
    endpoint = ChatEndpoint(
        str(config.llm_endpoint), timeout=config.llm_timeout, tries=config.llm_tries
    )
    return EndpointTexts(
        endpoint,
        str(config.llm_model),
        config.prompt_temperature,
        templates,
        AnswerCache(config.llm_cache),
        verifier,
        config.llm_requests,
    )
