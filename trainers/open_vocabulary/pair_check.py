"""Every pair of a training, looked at before any work: pictures, sizes, values of masks."""

from typing import Any

from scribblegen.classes import IGNORE_INDEX, values_of
from scribblegen.images import BadImageError, picture_size
from scribblegen.label_pictures import decode_label
from scribblegen.picture_cells import cell_file

_MOST_SHOWN = 10


def pair_fault(record: Any) -> str | None:
    """Why a row cannot be learned from; None where it can.

    Of images the headers alone are read; the mask is decoded.

    Args:
        record: a row with `image`, `mask`, `classes` and maybe `counterfactual_image`, encoded.
    """
    try:
        size = picture_size(picture_file(record, "image"))
        mask = decode_label(picture_file(record, "mask"))
        twin = cell_file(record.get("counterfactual_image"))
        twin_size = None if twin is None else picture_size(twin)
    except BadImageError as error:
        return f"cannot be read: {error}"
    known = {0, IGNORE_INDEX, *(told["local"] for told in record["classes"])}
    if stray := [value for value in values_of(mask) if value not in known]:
        return f"holds {stray} in `mask`, which are values of no word"
    for name, other in (("mask", mask.shape[::-1]), ("counterfactual_image", twin_size)):
        if other is not None and other != size:
            return f"holds a `{name}` of {other} over an image of {size} (width, height)"
    return None


def check_pairs(records: Any, where: str) -> None:
    """Looks at all rows.

    Args:
        records: rows, as of `pair_fault`, with `source_id`.
        where: what they are of, for errors: an option and its value.

    Raises:
        ValueError: some cannot be used, the message counts them and lists the first; or the masks
            do not tell words apart that texts name together.
    """
    faults: list[str] = []
    number = united = apart = 0
    for record in records:
        number += 1
        if (fault := pair_fault(record)) is not None:
            faults.append(f"{record['source_id']} {fault}")
            continue
        if len(record["classes"]) > 1:
            values = {*values_of(decode_label(picture_file(record, "mask")))} - {0, IGNORE_INDEX}
            united += values == {1}
            apart += bool(values - {1})
    if faults:
        more = f"; and {len(faults) - _MOST_SHOWN} more" if len(faults) > _MOST_SHOWN else ""
        raise ValueError(
            f"{where} must hold images with masks of their words. Of {number} rows {len(faults)} "
            f"cannot be used: {'; '.join(faults[:_MOST_SHOWN])}{more}. Build the subset again."
        )
    if united and not apart:
        raise ValueError(
            f"{where} must have masks that tell the words of a text apart. Got {united} rows of "
            "several words whose masks hold 1 alone, as `mask_mode` union makes them. Build it "
            "with `mask_mode` words, or of texts with one word each."
        )


def picture_file(record: Any, column: str) -> bytes:
    """The file in a row's picture column; raises `BadImageError` where it is empty."""
    file = cell_file(record[column])
    if file is None:
        raise BadImageError(f"`{column}` is empty")
    return file
