"""Which tokens of a prompt stand for which class: the rows of attention that its mask is read from.

Tokens are found by the characters that they were made from, never by counting words: a word of two
pieces has two tokens, and moves all that follow.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from scribblegen.segmenting.phrases import occurrences

Span = tuple[int, int]


def token_words(
    tokenizer: Any, text: str, phrases: Sequence[Sequence[str]], *, length: int
) -> Tensor:
    """How much of a class each token is: the mean over all tokens that name it.

    Args:
        tokenizer: one that knows from which characters a token is made, such as `CLIPTokenizer`.
        text: the prompt.
        phrases: for each of W classes what stands for it: its name, aliases, sub-classes. See
            `phrases.occurrences` for what counts.
        length: T, the tokens that the text encoder reads, usually `tokenizer.model_max_length`;
            those beyond do not exist.

    Returns:
        (W, T) float32. A row is 1/n at the n tokens of all places where the class is named; all
        zeros where no token stands for it. Special tokens and padding are always 0.

    Raises:
        ValueError: the tokenizer has no offsets; or a phrase has no word in it.
    """
    spans: list[list[Span]] = [[] for _ in phrases]
    for found in occurrences(text, phrases):
        spans[found.row].append((found.start, found.stop))
    return words_at(tokenizer, text, spans, length=length)


def words_at(tokenizer: Any, text: str, spans: Sequence[Sequence[Span]], *, length: int) -> Tensor:
    """The same, where it is known which characters name each class.

    Args:
        tokenizer, text, length: as of `token_words`.
        spans: for each of W classes the `(start, stop)` of characters that name it.

    Returns:
        (W, T) float32, as of `token_words`.

    Raises:
        ValueError: the tokenizer has no offsets.
    """
    words = torch.zeros(len(spans), length)
    offsets = _offsets(tokenizer, text, length)
    for row, of_class in enumerate(spans):
        for first, end in of_class:
            for token, (start, stop) in enumerate(offsets):
                if start < stop and start < end and first < stop:
                    words[row, token] = 1
    return words / words.sum(dim=1, keepdim=True).clamp(min=1)


def unnamed(words: Tensor) -> list[int]:
    """Positions of the classes that no token stands for: the empty rows of `token_words` (W, T)."""
    return [row for row, found in enumerate(words.any(dim=1).tolist()) if not found]


def unnamed_reason(words: Tensor, class_names: Sequence[str]) -> str | None:
    """Why a prompt has to be rejected, if it has to: no mask can be read for a class.

    Args:
        words: (W, T), as `token_words` gives them.
        class_names: the W names, for the reason.
    """
    lacking = [class_names[row] for row in unnamed(words)]
    return f"no token stands for {', '.join(lacking)} in the prompt" if lacking else None


def _offsets(tokenizer: Any, text: str, length: int) -> list[tuple[int, int]]:
    """The characters of each of `length` tokens, as `Family.prompt` has them; (0, 0) for none."""
    if not getattr(tokenizer, "is_fast", False):
        raise ValueError(
            "`tokenizer` must tell from which characters each token is made: one that the library "
            f"tokenizers backs. Got {type(tokenizer).__name__}. Load it with AutoTokenizer, or "
            "save its tokenizer.json."
        )
    encoded = tokenizer(
        text,
        padding="max_length",
        max_length=length,
        truncation=True,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
    )
    spans = zip(encoded["offset_mapping"], encoded["special_tokens_mask"], strict=True)
    return [(0, 0) if special else tuple(span) for span, special in spans]
