"""Captions that a language model writes: one at a time, each from its own seed.

So a caption is the same whatever process asks for it, and in whatever order.
"""

import hashlib
import logging
import re
import threading
from pathlib import Path
from typing import Any

from scribblegen.builders.prompt_drafts import Draft, draw
from scribblegen.builders.prompt_templates import TemplateWriter, with_article
from scribblegen.seeds import derive_seed
from scribblegen.segmenting.phrases import occurrences

logger = logging.getLogger(__name__)
TRIES = 4
LONGEST = 300  # characters of a caption
_SHOWN = 3  # examples in a request
_EXAMPLES = (
    ("lighthouse", "a white lighthouse on a cliff above a stormy sea"),
    ("kite", "a red kite high above an empty beach"),
    ("violin", "an old violin lying on a wooden table beside a window"),
    ("squirrel", "a squirrel with a nut sitting on a mossy log"),
    ("tractor", "a green tractor crossing a muddy field in the morning"),
    ("lantern", "a paper lantern glowing under a tree at night"),
    ("waterfall", "a narrow waterfall between rocks in a deep forest"),
)


class ModelWriter:
    """Captions of a language model, and plain prompts among them.

    A caption must name its classes. Where none of `TRIES` does, a template stands in for it, and
    the log says so once for each class.

    Args:
        templates: writes the plain prompts, those that stand in, and what a caption is about.

    Raises:
        OSError: there is no such model. Its weights are read when the first caption is written.
    """

    def __init__(self, templates: TemplateWriter) -> None:
        self.templates, self.config = templates, templates.config
        self.source_ids = templates.source_ids
        self.name, self.revision = str(self.config.prompt_model), self.config.prompt_model_revision
        self.identity = model_identity(self.name, self.revision)
        self.stood_in: dict[str, int] = {}  # class name -> prompts
        self._written: dict[int, Draft] = {}
        self._lock = threading.Lock()
        self._model: CaptionModel | None = None

    def write(self, position: int) -> Draft:
        class_id, number = self.templates.turns.turn(position)
        before = self.templates.plain_before(class_id, number)
        if before is not None:
            return self.templates.plain(position, before)
        with self._lock:
            if position not in self._written:
                self._written[position] = self._write(position)
            return self._written[position]

    def content_key(self, position: int) -> str:
        class_id, number = self.templates.turns.turn(position)
        before = self.templates.plain_before(class_id, number)
        if before is not None:
            return self.templates.plain(position, before).text
        asked = [self.request(position, attempt)[0] for attempt in range(TRIES)]
        words = [self.templates.words[i].phrases for i in self.templates.named(class_id, number)]
        temperature = self.config.prompt_temperature
        return repr((self.identity, asked, words, self._seed(position, 0), temperature))

    def request(self, position: int, attempt: int) -> tuple[str, tuple[int, ...]]:
        """What the model is asked, and the classes that its caption has to name."""
        class_id, number = self.templates.turns.turn(position)
        ids = self.templates.named(class_id, number)
        things = [self.templates.thing(i, class_id, number) for i in ids]
        about = " and ".join(map(with_article, things))
        return caption_request(about, self._seed(position, attempt)), ids

    def _write(self, position: int) -> Draft:
        if self._model is None:
            self._model = CaptionModel(self.name, self.revision)
        for attempt in range(TRIES):
            asked, ids = self.request(position, attempt)
            text = self._model.caption(
                asked, self._seed(position, attempt), self.config.prompt_temperature
            )
            phrases = [self.templates.words[i].phrases for i in ids]
            if len({found.row for found in occurrences(text, phrases)}) == len(ids):
                return Draft(text, "model", ids)
        class_id, number = self.templates.turns.turn(position)
        name = self.templates.words[class_id].name
        self.stood_in[name] = self.stood_in.get(name, 0) + 1
        if self.stood_in[name] == 1:
            logger.warning(
                f"prompt_model: {TRIES} captions for {self.source_ids[position]} do not name "
                f"{name}; a template stands in for this one and others like it"
            )
        return self.templates.plain(position, number)

    def _seed(self, position: int, attempt: int) -> int:
        class_id, number = self.templates.turns.turn(position)
        name = self.templates.words[class_id].name
        return derive_seed(self.config.prompt_seed, "caption", name, number, attempt)


def caption_request(about: str, seed: int) -> str:
    """What a model goes on from: examples that the seed chooses, then what a caption is about."""
    examples = sorted(_EXAMPLES, key=lambda example: draw(seed, "example", example[0]))
    shown = "".join(f"{thing}: {text}\n" for thing, text in examples[:_SHOWN])
    start = "Short captions of photographs, one a line, each of what stands in front of it.\n"
    return f"{start}{shown}{about}:"


def model_identity(name: str, revision: str | None) -> str:
    """Changes with the model, without reading its weights: its options and the sizes of its files,
    or its commit on the Hub.

    Raises:
        OSError: there is no such model.
    """
    from transformers import PreTrainedConfig

    from scribblegen.families.loading_errors import loading

    with loading("prompt_model", name):
        options: dict[str, Any] = {} if revision is None else {"revision": revision}
        found, _ = PreTrainedConfig.get_config_dict(name, **options)
        if not found.get("model_type"):
            raise ValueError("its config.json does not say what model it is")
    files = [path for path in Path(name).glob("*") if path.is_file()]
    sizes = sorted((path.name, path.stat().st_size) for path in files)
    return hashlib.sha256(repr((sorted(found.items()), sizes)).encode()).hexdigest()[:16]


class CaptionModel:
    """A language model that is loaded: `caption` asks it.

    Args:
        name: folder or Hub id of a causal language model and its tokenizer.
        revision: on the Hub.

    Raises:
        OSError: it cannot be loaded.
    """

    def __init__(self, name: str, revision: str | None) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from scribblegen.families.loading_errors import loading
        from scribblegen.families.weights import load_weights
        from scribblegen.runs.processes import process_state

        options: dict[str, Any] = {} if revision is None else {"revision": revision}
        with loading("prompt_model", name, "has no tokenizer"):
            self.tokenizer = AutoTokenizer.from_pretrained(name, **options)
        model = load_weights(AutoModelForCausalLM, "prompt_model", name, **options)
        self.model = model.to(process_state().device).eval()

    def caption(self, request: str, seed: int, temperature: float) -> str:
        """The first line that the model answers; the same for the same arguments.

        Args:
            request: what it goes on from.
            seed: of the words that it chooses; no other random number is touched.
            temperature: 0 for the likeliest words.
        """
        import torch
        from transformers import LogitsProcessorList

        tokenizer = self.tokenizer
        if getattr(tokenizer, "chat_template", None):
            message = [{"role": "user", "content": request}]
            request = tokenizer.apply_chat_template(
                message, add_generation_prompt=True, tokenize=False
            )
        inputs = tokenizer(request, return_tensors="pt", return_token_type_ids=False)
        inputs = inputs.to(self.model.device)
        noise = [] if temperature == 0 else [SeededChoice(seed, temperature)]
        end = tokenizer.eos_token_id
        with torch.inference_mode():
            found = self.model.generate(
                **inputs,
                do_sample=False,  # the noise chooses
                num_beams=1,
                max_new_tokens=40,
                logits_processor=LogitsProcessorList(noise),
                pad_token_id=tokenizer.pad_token_id if end is None else end,
            )
        new = found[0, inputs["input_ids"].shape[1] :]
        return first_line(tokenizer.decode(new, skip_special_tokens=True))


class SeededChoice:
    """Sampling with a generator of its own: the likeliest word after Gumbel noise is a sample.

    Args:
        seed: of the noise, which is drawn on the CPU: it is the same for every device.
        temperature: above 0.
        most: likeliest words from which one is chosen.
    """

    def __init__(self, seed: int, temperature: float, most: int = 50) -> None:
        import torch

        self.generator = torch.Generator().manual_seed(seed)
        self.temperature, self.most = temperature, most

    def __call__(self, input_ids: "object", scores: "object") -> "object":
        """(1, V) scores of the next word -> as they are after noise, -inf for unlikely ones."""
        import torch

        assert isinstance(scores, torch.Tensor)
        noise = torch.empty(scores.shape).exponential_(generator=self.generator).log().neg()
        lowest = scores.topk(min(self.most, scores.shape[-1])).values[..., -1:]
        noisy = scores.float() / self.temperature + noise.to(scores.device)
        return noisy.masked_fill(scores < lowest, float("-inf"))


def first_line(text: str) -> str:
    """A caption out of an answer: its first line with words, without quotes and bullets."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    line = next((line for line in lines if re.search(r"\w", line)), "")
    line = re.sub(r"^(?:[-*•]|\d+[.)])\s+", "", line).strip("\"'“”` ")
    return line[:LONGEST].strip()
