"""The options of writing descriptions. No torch: the command line reads it."""

import urllib.parse
from dataclasses import dataclass
from typing import ClassVar

from scribblegen.configs import option

TEXTS = ("auto", "template", "scenes", "model", "endpoint")
_LOCAL_TEMPERATURE = 0.8
_OF_ENDPOINT = ("llm_endpoint", "llm_model", "llm_cache")
_MOST_REQUESTS = 64


@dataclass(frozen=True, kw_only=True)
class DescribeConfig:
    """Who writes the texts. Equal configs and words give equal texts, but of an endpoint."""

    # Where, and how patiently, an endpoint is asked changes nothing of what is asked.
    LOCATIONS: ClassVar = (
        "description_templates",
        "prompt_model",
        "llm_endpoint",
        "llm_cache",
        "llm_requests",
        "llm_timeout",
        "llm_tries",
    )

    texts: str = option(
        "auto",
        "template, of data; scenes, captions of the procedural scenes; model, a language model on "
        "this machine; endpoint, one behind an OpenAI-compatible address. auto: what the other "
        "options name, else scenes for the shipped vocabulary scenes, else template.",
    )
    description_templates: str = option(
        "default",
        "YAML file of templates, of the form of the default; an endpoint is given hints of it.",
    )
    prompt_model: str | None = option(
        None, "Folder or Hub id of a language model that writes the texts, by transformers."
    )
    prompt_model_revision: str | None = option(None, "Revision of that model on the Hub.")
    prompt_temperature: float | None = option(
        None,
        "How freely a model chooses its words; 0: always the likeliest. If unset "
        f"{_LOCAL_TEMPERATURE}, and what an endpoint takes by itself.",
    )
    llm_endpoint: str | None = option(
        None,
        "Address of an OpenAI-compatible endpoint up to /v1. Its key, where it wants one, is read "
        "from the environment, SCRIBBLEGEN_LLM_API_KEY or else OPENAI_API_KEY, and never written.",
    )
    llm_model: str | None = option(None, "Name of the model at that endpoint.")
    llm_cache: str | None = option(
        None,
        "Folder of its answers, which no run asks for again; OUT-answers beside the dataset if "
        "unset.",
    )
    llm_requests: int = option(8, f"Requests in flight in a process, up to {_MOST_REQUESTS}.")
    llm_timeout: float = option(60.0, "Seconds that a request may take.")
    llm_tries: int = option(
        6, "Tries of a request that fails or is put off, ever longer apart: 15 seconds in all."
    )

    def __post_init__(self) -> None:
        if self.texts not in TEXTS:
            raise ValueError(f"`texts` must be one of {TEXTS}. Got {self.texts!r}.")
        self._refuse_others("model", ("prompt_model", "prompt_model_revision"))
        self._refuse_others("endpoint", _OF_ENDPOINT)
        if self.writer == "model" and self.prompt_model is None:
            raise ValueError("`prompt_model` must be given with `texts` model.")
        if self.writer == "endpoint":
            self._check_endpoint()
        if self.prompt_temperature is not None and not 0 <= self.prompt_temperature < float("inf"):
            raise ValueError(
                f"`prompt_temperature` must be at least 0. Got {self.prompt_temperature}."
            )
        if not 1 <= self.llm_requests <= _MOST_REQUESTS:
            raise ValueError(
                f"`llm_requests` must be from 1 to {_MOST_REQUESTS}. Got {self.llm_requests}."
            )
        if not 0 < self.llm_timeout < float("inf"):
            raise ValueError(f"`llm_timeout` must be above 0. Got {self.llm_timeout}.")
        if self.llm_tries < 1:
            raise ValueError(f"`llm_tries` must be at least 1. Got {self.llm_tries}.")

    @property
    def writer(self) -> str:
        """`texts`, where the options say it: auto where the vocabulary decides."""
        if self.texts == "auto" and self.llm_endpoint is not None:
            return "endpoint"
        if self.texts == "auto" and self.prompt_model is not None:
            return "model"
        return self.texts

    @property
    def local_temperature(self) -> float:
        """Of a model on this machine."""
        given = self.prompt_temperature
        return _LOCAL_TEMPERATURE if given is None else given

    def _refuse_others(self, writer: str, names: tuple[str, ...]) -> None:
        for name in names:
            if getattr(self, name) is not None and self.writer != writer:
                raise ValueError(
                    f"`{name}` has no effect on descriptions that {self.writer} writes. Leave it "
                    f"out, or give all options of `texts` {writer} and of no other."
                )

    def _check_endpoint(self) -> None:
        if self.llm_endpoint is None or self.llm_model is None:
            lacking = "llm_endpoint" if self.llm_endpoint is None else "llm_model"
            raise ValueError(f"`{lacking}` must be given for texts of an endpoint.")
        parts = urllib.parse.urlsplit(self.llm_endpoint)
        if parts.username or parts.password or parts.query or parts.fragment:
            # It is written into the dataset's records; the message does not repeat it.
            raise ValueError(
                "`llm_endpoint` must hold no user, password or query: it is written down. Put the "
                "key into the environment, as SCRIBBLEGEN_LLM_API_KEY."
            )
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(
                "`llm_endpoint` must be an address such as https://host/v1. Got one of the scheme "
                f"{parts.scheme!r}."
            )
