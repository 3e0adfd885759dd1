"""Files of the right form that hold what is wrong: JSON, YAML, PNG, safetensors."""

import copy
import json
import random
import struct
import zlib
from collections.abc import Callable
from typing import Any

import yaml

VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 3, 255, 10**6, 2**31, 2**63, 10**30, 0.5, 1e308),
    *(float("nan"), float("inf"), "", " ", "0", "a\0b", "\ud800", "\u202e", "a\nb", "x" * 300),
    *("../..", "/dev/zero", "auto", [], {}, [None], [[[]]], {"a": {"b": None}}, [1, 2, 3]),
)


def mutate_tree(tree: Any, rng: random.Random) -> Any:
    """Nested lists and dicts with a value dropped, doubled, renamed, swapped or replaced."""
    tree = {"": copy.deepcopy(tree)}  # so that the whole has a place, too
    for _ in range(rng.choice((1, 1, 1, 2))):
        places = list(_places(tree))
        holder, key = rng.choice(places)
        change = rng.randrange(6)
        if change == 0 and holder is not tree:
            del holder[key]
        elif change == 1:
            other, its_key = rng.choice(places)
            holder[key] = copy.deepcopy(other[its_key])
        elif change == 2:
            holder[key] = rng.choice(([holder[key]], {"a": holder[key]}))
        elif change == 3 and isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        elif change == 3 and holder is not tree:
            holder[rng.choice(("extra", "", "id", "name", "0", "_"))] = holder.pop(key)
        else:
            holder[key] = copy.deepcopy(rng.choice(VALUES))
    return tree[""]


def mutate_json(data: bytes, rng: random.Random) -> bytes:
    return json.dumps(mutate_tree(json.loads(data), rng)).encode()


def mutate_yaml(data: bytes, rng: random.Random) -> bytes:
    return yaml.safe_dump(mutate_tree(yaml.safe_load(data), rng)).encode("utf-8", "surrogatepass")


def mutate_png(data: bytes, rng: random.Random) -> bytes:
    """Chunks dropped, doubled, swapped or changed inside; all checksums are right."""
    chunks = _chunks(data)
    place, other = rng.randrange(len(chunks)), rng.randrange(len(chunks))
    name, body = chunks[place]
    change = rng.randrange(5)
    if change == 0:
        del chunks[place]
    elif change == 1:
        chunks.insert(other, chunks[place])
    elif change == 2:
        chunks[place], chunks[other] = chunks[other], chunks[place]
    elif body:
        start = rng.randrange(len(body))
        part = rng.choice((b"\0", b"\xff", rng.randbytes(4), b"\xff" * 4))
        chunks[place] = name, body[:start] + part + body[start + rng.choice((0, len(part))) :]
    return data[:8] + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def mutate_safetensors(data: bytes, rng: random.Random) -> bytes:
    """The header changed as a tree; or a tensor that is dropped, renamed or of another shape."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    names = [name for name in header if name != "__metadata__"]
    change = rng.randrange(4)
    if change == 0:
        header[f"{rng.choice(names)}.extra"] = header.pop(rng.choice(names))
    elif change == 1:
        tensor = header[rng.choice(names)]
        tensor["shape"] = rng.choice((tensor["shape"][::-1], [1, *tensor["shape"]], [2**62, 4], []))
    elif change == 2:
        header[rng.choice(names)]["dtype"] = rng.choice(("F16", "I32", "BOOL", "F8_E4M3", "x"))
    else:
        header = mutate_tree(header, rng)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


STRUCTURES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    ".json": mutate_json,
    ".yaml": mutate_yaml,
    ".png": mutate_png,
    ".safetensors": mutate_safetensors,
}


def _places(tree: Any) -> Any:
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
        yield tree, key
        if isinstance(tree[key], (dict, list)):
            yield from _places(tree[key])


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return found
