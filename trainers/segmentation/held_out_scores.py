"""What a trained segmentor says of the synthetic images that it was not shown."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from scribblegen.records import row_id
from scribblegen.segmenting.quality import MaskQuality, mask_quality
from scribblegen.segmenting.quality_files import HELD_OUT_SCORES, is_measured, write_qualities
from scribblegen.trainers.judge import Judge
from scribblegen.trainers.segmentation.data import open_rows
from scribblegen.trainers.segmentation.maps import LABEL
from scribblegen.trainers.segmentation.row_selection import rows_of_part


def score_held_out(
    segmentor: str | Path,
    synthetic: str,
    held_out: str,
    *,
    device: torch.device,
    identity: Mapping[str, Any],
    progress_bar: bool = True,
) -> Path:
    """Measures every mask of one part of a subset, unless it is measured already.

    Args:
        segmentor: the folder of one that was trained with the same `held_out`.
        synthetic: REPO:subset.
        held_out: the part, such as 1/3.
        device: that the segmentor runs on.
        identity: what must agree for scores that are there to be used again.
        progress_bar: whether to show one.

    Returns:
        The file of the scores, in the segmentor's folder.

    Raises:
        ValueError, OSError: subset or segmentor cannot be read, or do not go together.
    """
    path = Path(segmentor) / HELD_OUT_SCORES
    if is_measured(path, identity):
        return path
    rows = open_rows(None, [synthetic])
    judge = Judge(str(segmentor), rows.classes, device, option="output_dir")
    qualities: dict[str, MaskQuality] = {}
    asked = rows_of_part(rows, held_out)
    for row in tqdm(asked, desc=f"score {held_out}", unit="image", disable=not progress_bar):
        read, (record, _) = rows.read(row), rows.record(row)
        found = judge.found(read["image"], read[LABEL].shape)
        name = row_id(record["source_id"], record.get("replicate"))
        qualities[name] = mask_quality(read[LABEL], found, rows.classes.names)
    write_qualities(path, qualities, identity)
    return path
