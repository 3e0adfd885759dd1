"""Descriptions that a language model on this machine writes: one at a time, each from its seed."""

import threading
from collections.abc import Mapping

from scribblegen.builders.prompt_model import (
    TRIES,
    CaptionModel,
    caption_request,
    model_identity,
)
from scribblegen.builders.prompt_templates import with_article
from scribblegen.builders.texts.verified import Verifier
from scribblegen.descriptions import Asked, Description
from scribblegen.seeds import derive_seed


class ModelTexts:
    """Asks a causal language model, by transformers, until it names the words, or `TRIES` times.

    Args:
        name: folder or Hub id of the model.
        revision: on the Hub.
        temperature: 0 for the likeliest words.
        verifier: finds the words.

    Raises:
        OSError: there is no such model. Its weights are read when the first text is written.
    """

    at_once = 1

    def __init__(
        self, name: str, revision: str | None, temperature: float, verifier: Verifier
    ) -> None:
        self.name, self.revision, self.temperature = name, revision, temperature
        self.verifier = verifier
        self._identity = model_identity(name, revision)
        self._lock = threading.Lock()
        self._model: CaptionModel | None = None

    def identity(self) -> dict[str, str | None]:
        """The model's, without reading its weights."""
        return {"texts": self._identity}

    def remarks(self) -> Mapping[str, int]:
        """Nothing."""
        return {}

    def close(self) -> None:
        """Nothing."""

    def write(self, asked: Asked) -> Description | str:
        """The description, or why the last text is none."""
        about = " and ".join(with_article((word.name, True)) for word in asked.words)
        found: Description | str = ""
        with self._lock:
            if self._model is None:
                self._model = CaptionModel(self.name, self.revision)
            for attempt in range(TRIES):
                seed = derive_seed(asked.seed, "text", attempt)
                text = self._model.caption(caption_request(about, seed), seed, self.temperature)
                found = self.verifier.description(text, asked, "model")
                if not isinstance(found, str):
                    return found
        return found
