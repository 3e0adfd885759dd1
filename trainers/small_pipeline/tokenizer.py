"""A tokenizer with a token for every word of a source's captions."""

import re
from collections.abc import Sequence

from transformers import AddedToken, CLIPTokenizer

_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789-,."


def word_tokenizer(captions: Sequence[str], length: int) -> CLIPTokenizer:
    """A CLIP tokenizer in which each word of `captions` is one token; others are spelled.

    Args:
        captions: the captions of a source.
        length: tokens of a prompt, first and last included.

    Raises:
        ValueError: a caption is longer than that.
    """
    words = [re.findall(r"\w+|[^\w\s]", caption.lower()) for caption in captions]
    longest = max(map(len, words)) + 2
    if longest > length:
        raise ValueError(
            f"`text_length` must be at least {longest}, the tokens of the longest caption. "
            f"Got {length}."
        )
    spelling = ["<|startoftext|>", "<|endoftext|>", *_LETTERS, *(f"{c}</w>" for c in _LETTERS)]
    vocabulary = {token: number for number, token in enumerate(spelling)}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=length)
    unspelled = {word for caption in words for word in caption} - {*_LETTERS}
    tokenizer.add_tokens(
        [AddedToken(word, single_word=True, normalized=True) for word in sorted(unspelled)]
    )
    return tokenizer
