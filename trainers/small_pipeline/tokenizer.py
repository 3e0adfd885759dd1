"""A tokenizer with a token for every word of a source's captions."""

import re
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import AddedToken, CLIPTokenizer

_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789-,."


def word_tokenizer(captions: Sequence[str], length: int) -> CLIPTokenizer:
    """A CLIP tokenizer in which each word of `captions` is one token; others are spelled.

    Args:
        captions: the captions of a source.
        length: tokens of a prompt, first and last included.
    """
    words = [re.findall(r"\w+|[^\w\s]", caption.lower()) for caption in captions]
    spelling = ["<|startoftext|>", "<|endoftext|>", *_LETTERS, *(f"{c}</w>" for c in _LETTERS)]
    vocabulary = {token: number for number, token in enumerate(spelling)}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=length)
    unspelled = {word for caption in words for word in caption} - {*_LETTERS}
    tokenizer.add_tokens(
        [AddedToken(word, single_word=True, normalized=True) for word in sorted(unspelled)]
    )
    return tokenizer


def tokens_of(tokenizer: CLIPTokenizer, captions: Sequence[str]) -> Tensor:
    """(N, T) int64, padded to the tokenizer's length.

    Raises:
        ValueError: a caption is longer than that.
    """
    tokens = tokenizer(captions, padding="max_length", max_length=tokenizer.model_max_length)
    longest = max(map(len, tokens.input_ids))
    if longest > tokenizer.model_max_length:
        raise ValueError(
            f"`text_length` must be at least {longest}, the tokens of the longest caption. "
            f"Got {tokenizer.model_max_length}."
        )
    return torch.tensor(tokens.input_ids)
