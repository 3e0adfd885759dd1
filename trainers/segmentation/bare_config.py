"""What of a pretrained network's config is about the network itself."""

from typing import Any

from transformers import PretrainedConfig

# Entries of a saved config that are not about its network.
_NOT_SIZES = (
    "_name_or_path",
    "architectures",
    "auto_map",
    "dtype",
    "id2label",
    "label2id",
    "model_type",
    "transformers_version",
)


def bare_config(saved: PretrainedConfig, **changes: Any) -> PretrainedConfig:
    """A backbone's sizes alone: neither the classes that it told apart nor where it lay.

    Args:
        saved: as it was loaded; not changed.
        changes: entries that are otherwise, or beside them.
    """
    sizes = {key: value for key, value in saved.to_diff_dict().items() if key not in _NOT_SIZES}
    bare: PretrainedConfig = type(saved)(**{**sizes, **changes})
    return bare
