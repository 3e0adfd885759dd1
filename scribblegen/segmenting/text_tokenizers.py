"""The tokenizer beside a model's weights, and whether it is all there."""

import json
from typing import Any

from transformers import AutoTokenizer

from scribblegen.families.loading_errors import loading

_WORD = "ball"  # any tokenizer knows it, or its letters


def open_tokenizer(option: str, name: str) -> Any:
    """A tokenizer that knows from which characters its tokens are made.

    Of a folder without the words of its tokenizer, transformers makes one that knows none.

    Args:
        option: that names it, for errors.
        name: folder or Hub id.

    Raises:
        OSError: there is none, or it has no words.
    """
    with loading(option, name, "has no tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(name)
        if not getattr(tokenizer, "is_fast", False):
            raise ValueError(
                f"the library tokenizers must back it, and does not back {type(tokenizer)}. Save "
                "its tokenizer.json."
            )
        if {*tokenizer(_WORD).input_ids} <= {*tokenizer.all_special_ids}:
            raise ValueError("it knows no letters. Download or save its tokenizer.json again.")
    return tokenizer


def tokenizer_identity(tokenizer: Any) -> str:
    """All that decides what a text becomes; not how it was last padded and cut."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    kept = {key: value for key, value in state.items() if key not in ("padding", "truncation")}
    return json.dumps(kept, sort_keys=True)
