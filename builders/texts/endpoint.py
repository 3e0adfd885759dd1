"""Descriptions that a language model behind an endpoint writes, as MagicSeg (arXiv 2603.19575) has
them: several requests in flight, answers checked and kept.

An endpoint does not promise equal answers to equal requests, whatever `seed` it is sent. So a run
is byte-identical over processes, kills and resumes only by its answers on disk: those that are kept
are never asked for again. Without them the same options make another text. A description that is
left out because nothing was answered is left out for good in that run's folder.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from scribblegen.builders.prompt_drafts import choose, draw
from scribblegen.builders.texts.answer_cache import AnswerCache
from scribblegen.builders.texts.chat_endpoint import ChatEndpoint, NoAnswerError
from scribblegen.builders.texts.template_files import Templates
from scribblegen.builders.texts.verified import LONGEST, Verifier
from scribblegen.descriptions import Asked, Description
from scribblegen.seeds import derive_seed

ANSWERS = 4  # that are looked at for a description
_SYSTEM = (
    "You write texts from which an image generator draws photographs. You answer with one JSON "
    'object and nothing else: {"description": "...", "objects": ["...", "..."]}.'
)
_TASK = (
    "Describe one photograph in one or two sentences of plain English, at most "
    f"{LONGEST} characters, in which {{things}} can be seen. Name {{each}} by exactly that name, "
    "in the singular or the plural; a meaning in brackets tells which thing is meant and is not "
    "written.\n"
    "1. Surroundings: a rich background with several things in it, never empty or of one colour.\n"
    "2. Scenario: one particular situation, with details that can be seen.\n"
    "3. Attributes: of what is named its colour, shape, material, posture or action.\n"
    "4. Variety: there are many descriptions of the same things; this is number {number}, and is "
    'to be unlike the others. It may be somewhat like "{scene}{light}".\n'
    "In `objects` list every thing that the description names, of the background too, each as a "
    "noun in the singular."
)
_AGAIN = "\nAn earlier answer was of no use: {fault}."


class EndpointTexts:
    """Asks an endpoint for each description, up to `ANSWERS` times.

    Args:
        endpoint: to ask.
        model: its name there.
        temperature: how freely words are chosen; left to the endpoint where None.
        templates: scenes and lights that requests hint at, so that no two are alike.
        cache: of answers; of useless ones too, so that a resumed run goes the same way.
        verifier: finds the words.
        at_once: requests in flight.
    """

    def __init__(
        self,
        endpoint: ChatEndpoint,
        model: str,
        temperature: float | None,
        templates: Templates,
        cache: AnswerCache,
        verifier: Verifier,
        at_once: int,
    ) -> None:
        self.endpoint, self.model, self.temperature = endpoint, model, temperature
        self.templates, self.cache, self.verifier = templates, cache, verifier
        self.at_once = at_once

    def identity(self) -> dict[str, str | None]:
        """The digest of what is asked."""
        told = repr((_SYSTEM, _TASK, _AGAIN, ANSWERS, self.templates.digest))
        return {"texts": hashlib.sha256(told.encode()).hexdigest()[:16]}

    def remarks(self) -> Mapping[str, int]:
        """How often requests were made again."""
        again = self.endpoint.tried_again
        return {"requests to the endpoint that were made again": again} if again else {}

    def close(self) -> None:
        """Ends all waiting."""
        self.endpoint.close()

    def write(self, asked: Asked) -> Description | str:
        """The description; or why there is none.

        Raises:
            EndpointError: the endpoint cannot be used at all.
        """
        fault: str | None = None
        for attempt in range(ANSWERS):
            request = self.request(asked, attempt, fault)
            answer = self.cache.get(request)
            if answer is None:
                try:
                    answer = self.endpoint.ask(request)
                except NoAnswerError as error:
                    return f"endpoint: {error}"
                self.cache.put(request, answer)
            found = self._read(answer, asked)
            if not isinstance(found, str):
                return found
            fault = found
        return f"endpoint: {fault}"

    def request(self, asked: Asked, attempt: int, fault: str | None) -> dict[str, Any]:
        """The body of a request; `fault` is that of the answer before."""
        words = [f"{w.name} ({w.sense})" if w.sense else w.name for w in asked.words]
        scene = choose(self.templates.scenes, draw(asked.seed, "scene"))
        task = _TASK.format(
            things=" and ".join(words),
            each="it" if len(words) == 1 else "each of them",
            number=asked.number + 1,
            scene=scene.text,
            light=choose(self.templates.lights, draw(asked.seed, "light")),
        )
        task += "" if fault is None else _AGAIN.format(fault=fault)
        return {
            "model": self.model,
            "messages": [
                {"role": "system", "content": _SYSTEM},
                {"role": "user", "content": task},
            ],
            "response_format": {"type": "json_object"},
            "seed": derive_seed(asked.seed, "answer", attempt) % 2**31,
            **({} if self.temperature is None else {"temperature": self.temperature}),
        }

    def _read(self, answer: str, asked: Asked) -> Description | str:
        start, stop = answer.find("{"), answer.rfind("}") + 1  # some put a fence around it
        try:
            found = json.loads(answer[start:stop])
        except (ValueError, RecursionError):
            return "the answer is not JSON"
        if not isinstance(found, dict) or not isinstance(found.get("description"), str):
            return "the answer has no `description`"
        said = found.get("objects", found.get("nouns"))
        nouns = [noun for noun in said if isinstance(noun, str)] if isinstance(said, list) else []
        return self.verifier.description(found["description"], asked, "endpoint", nouns)
