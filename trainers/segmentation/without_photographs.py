"""What a training on synthetic images alone cannot have: all that is said of photographs."""

from scribblegen.trainers.segmentation.config import SegmentationConfig
from scribblegen.trainers.segmentation.schemes import SYNTHETIC_ONLY

_OF_PHOTOGRAPHS = ("selection_share", "best_twins", "max_source_distance")


def check_photographs(config: SegmentationConfig) -> None:
    """Refuses options that need photographs where `real` names none.

    Raises:
        ValueError: the message names the option.
    """
    if config.real is not None:
        return
    if not config.synthetic:
        raise ValueError(
            "`real` must be given: the REPO or REPO:subset of the photographs; or `synthetic`, to "
            "train on synthetic images alone."
        )
    if config.scheme != SYNTHETIC_ONLY:
        raise ValueError(
            f"`real` must be given for scheme {config.scheme}, which draws photographs too. Leave "
            "`scheme` out to train on synthetic images alone."
        )
    usual = {name: field.default for name, field in type(config).__dataclass_fields__.items()}
    for name in _OF_PHOTOGRAPHS:
        if getattr(config, name) != usual[name]:
            raise ValueError(
                f"`{name}` has no effect without `real`: it is about photographs. Got "
                f"{getattr(config, name)}. Leave it out."
            )
    if config.twins_per_real != usual["twins_per_real"]:
        raise ValueError(
            "`twins_per_real` has no effect without `real`: an epoch draws every synthetic image "
            f"once. Got {config.twins_per_real}. Leave it out."
        )
    if config.eval_split and config.eval_data is None:
        raise ValueError(
            f"`eval_data` must be given where there is no `real`: the REPO or REPO:subset whose "
            f"split {config.eval_split} is reported. Or give an empty `eval_split`."
        )
