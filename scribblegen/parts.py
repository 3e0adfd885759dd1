"""Parts of a list of ids, such as the folds of a cross-validation, chosen by the ids alone."""

from collections.abc import Sequence

from scribblegen.seeds import derive_seed


def parse_part(text: str) -> tuple[int, int]:
    """`1/5` -> (1, 5): the first of five parts.

    Raises:
        ValueError: it is no part of at least two.
    """
    part, slash, parts = text.partition("/")
    if slash and part.isdecimal() and parts.isdecimal() and len(parts) < 10:
        if 1 <= int(part) <= int(parts) and int(parts) > 1:
            return int(part), int(parts)
    raise ValueError(f"`held_out` must be a part of two or more, such as 1/5. Got {text!r}.")


def places_in_part(ids: Sequence[str], part: int, parts: int) -> set[int]:
    """Where the ids of one of `parts` parts stand; the parts are equal but for one item.

    Args:
        ids: all different, at least as many as parts. In which order they come changes nothing.
        part: from 1 to `parts`.
        parts: how many there are; together they are all ids.

    Raises:
        ValueError: there are fewer ids than parts.
    """
    if len(ids) < parts:
        raise ValueError(
            f"`held_out` must be of at most as many parts as there are items, {len(ids)}. "
            f"Got {parts}."
        )
    order = sorted(range(len(ids)), key=lambda i: derive_seed(0, "part", ids[i]))
    return set(order[part - 1 :: parts])
