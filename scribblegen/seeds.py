"""Where every random number comes from: the root seed and what is being drawn, nothing else.

The noise of a sample depends on (root seed, source id, replicate): not on the batch, the process,
the shard, the guidance scale or the encode ratio. So the whole grid of one source shares its noise.
"""

import hashlib

import numpy as np


def derive_seed(root_seed: int, *parts: str | int) -> int:
    """A seed in [0, 2**63) for one thing, e.g. `derive_seed(0, source_id, replicate)`.

    Fits an int64 column and `torch.Generator.manual_seed`, so that a published row can be drawn
    again from its `seed` alone.
    """
    key = "\0".join([str(root_seed), *(f"{type(p).__name__}:{p}" for p in parts)])
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") >> 1


def numpy_generator(root_seed: int, *parts: str | int) -> np.random.Generator:
    """A NumPy generator for one thing."""
    return np.random.Generator(np.random.PCG64(derive_seed(root_seed, *parts)))
