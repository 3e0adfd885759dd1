"""Weights of networks, from a folder or the Hub: every one that the network has, and no other.

The loaders of diffusers and transformers draw weights that a file lacks at random, or leave them
without values, and drop those that they do not know, with a warning at most.
"""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from re import match
from typing import Any

from safetensors import SafetensorError
from torch import nn
from transformers import PreTrainedConfig

from scribblegen.families.loading_errors import loading
from scribblegen.text_files import shown

_SHOWN = 3
_MOST_LAYERS = 1000  # beyond all networks that there are; a network is built before it is filled
_COUNTS = ("layers", "depth", "repeats")  # in the names of options that say how many


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """In what a file may differ from the network that it is loaded into.

    Args:
        missing: regular expressions of the beginnings of keys that it may lack.
        unexpected: of those that it may have beyond; they are dropped.
        new_head: whether it brings a base alone: all keys outside of the network's own base, and
            the base's pooler, may differ.
        num_classes: of the file, and of the network; a head's rows may be as many times one as
            they are the other.
    """

    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    new_head: bool = False
    num_classes: tuple[int, int] | None = None


NOTHING = Allowed()


def load_weights(
    network: Any,
    option: str,
    name: str | Path,
    *,
    what: str = "cannot be loaded",
    allowed: Allowed = NOTHING,
    **arguments: Any,
) -> Any:
    """A network with the weights of a safetensors file, or of several with their index.

    Args:
        network: a class of diffusers or transformers that has `from_pretrained`.
        option: that names the file, for errors.
        name: folder or Hub id.
        what: is wrong with it, should it not load.
        allowed: in what file and network may differ.
        arguments: of `from_pretrained`.

    Raises:
        OSError: it cannot be read, or keys are missing, unexpected or of another shape; the
            message has the first of them and how many there are.
    """
    with loading(option, name, what):
        _check_size(name, arguments)
        with _telling_damage():
            model, found = network.from_pretrained(
                str(name),
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are told below, all of them
                **arguments,
            )
        wrong = _differences(model, found, allowed)
        if wrong:
            raise ValueError(
                f"its weights are not those of the {type(model).__name__} in its config.json: "
                f"{'; '.join(wrong)}. Download or save it again, whole."
            )
    return model


def restore_weights(network: Any, option: str, folder: str | Path, **arguments: Any) -> None:
    """Gives a network the weights of a file that was saved from one like it.

    Args:
        network: changed in place.
        option: that names the file, for errors.
        folder: that holds the file.
        arguments: of `from_pretrained`.

    Raises:
        OSError: as `load_weights`, or the saved network is of another size.
    """
    saved = load_weights(type(network), option, folder, **arguments)
    with loading(option, folder, "holds another network"):
        network.load_state_dict(saved.state_dict(), strict=True)


def _check_size(name: str | Path, arguments: dict[str, Any]) -> None:
    """Refuses a network of more layers than fit into memory, which takes hours to say so."""
    found: dict[str, Any] = {}
    places = {key: arguments.get(key) for key in ("subfolder", "revision")}
    with contextlib.suppress(Exception):  # what cannot be read the loader tells itself
        found, _ = PreTrainedConfig.get_config_dict(
            str(name), **{key: value for key, value in places.items() if value is not None}
        )
    for key, value in found.items():
        if any(word in key for word in _COUNTS) and _largest(value) > _MOST_LAYERS:
            raise ValueError(
                f"`{key}` in its config.json must be at most {_MOST_LAYERS}. Got {shown(value)}. "
                "Download or save it again, whole."
            )


def _largest(value: Any) -> float:
    if isinstance(value, (list, tuple)):
        return max(map(_largest, value), default=0)
    return value if isinstance(value, (int, float)) else 0


@contextlib.contextmanager
def _telling_damage() -> Iterator[None]:
    """The reader of safetensors knows what is wrong with a file; diffusers drops what it says."""
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, SafetensorError):
            cause = cause.__cause__ or cause.__context__
        if cause is None:
            raise
        raise ValueError(
            f"a safetensors file of it is cut short or damaged ({cause}). Download or save it "
            "again, whole."
        ) from error


def _differences(model: nn.Module, found: dict[str, Any], allowed: Allowed) -> list[str]:
    # Of a key that an index names and no file holds, diffusers says nothing: it has no value.
    empty = {key for key, value in model.state_dict().items() if value.is_meta}
    resized = {key: (list(old), list(new)) for key, old, new in found["mismatched_keys"]}
    missing = {
        key
        for key in {*found["missing_keys"], *(empty - resized.keys())}
        if not _begins(key, allowed.missing) and not (allowed.new_head and _in_head(model, key))
    }
    unexpected = {
        key
        for key in found["unexpected_keys"]
        if not _begins(key, allowed.unexpected) and not (allowed.new_head and _in_head(model, key))
    }
    shapes = [
        f"{key}, {old} for {new}"
        for key, (old, new) in sorted(resized.items())
        if not _may_resize(model, key, old, new, allowed)
    ]
    told = (
        ("missing", sorted(missing)),
        ("unexpected", sorted(unexpected)),
        ("of another shape", shapes),
    )
    return [f"{len(keys)} {kind} ({_first(keys)})" for kind, keys in told if keys]


def _first(keys: list[str]) -> str:
    return ", ".join(keys[:_SHOWN]) + (", ..." if len(keys) > _SHOWN else "")


def _begins(key: str, patterns: Iterable[str]) -> bool:
    return any(match(pattern, key) for pattern in patterns)


def _in_head(model: nn.Module, key: str) -> bool:
    """Whether a network made for another task may have it otherwise, over the same base."""
    base = getattr(model, "base_model_prefix", "")
    if not base:
        return False
    return not key.startswith(f"{base}.") or key.startswith(f"{base}.pooler.")


def _may_resize(
    model: nn.Module, key: str, old: list[int], new: list[int], allowed: Allowed
) -> bool:
    base = getattr(model, "base_model_prefix", "")
    if base and not _in_head(model, key):
        return False
    if allowed.new_head:
        return bool(base)
    if allowed.num_classes is None or not old or not new or old[1:] != new[1:]:
        return False
    before, now = allowed.num_classes
    return old[0] * now == new[0] * before and old[0] % before == 0
