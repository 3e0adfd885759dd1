"""What a folder holds that is not used is told once, so that nothing is passed over unseen."""

import functools
import logging
from collections.abc import Sequence
from pathlib import Path

from scribblegen.file_names import safe_text
from scribblegen.text_files import cut

logger = logging.getLogger(__name__)
_MOST_NAMED = 3


def tell_unused(folder: Path, names: Sequence[str], one: str, several: str) -> None:
    """Warns of the files of a folder that are not used, in one line: how many, and some names.

    Args:
        folder: that they lie in.
        names: of the files; no line where there are none.
        one: why a single file is not used, to go on after "1 file in images ".
        several: why several are not, to go on after "3 files in images ".
    """
    if not names:
        return
    count, why = (f"{len(names):,} files", several) if len(names) > 1 else ("1 file", one)
    named = ", ".join(cut(name) for name in names[:_MOST_NAMED])
    such_as = f", such as {named}" if len(names) > _MOST_NAMED else f": {named}"
    _tell_once(folder, f"{count} in {safe_text(folder.name or str(folder))} {why}{such_as}")


@functools.cache  # the splits of a source look into the same folders
def _tell_once(folder: Path, message: str) -> None:
    logger.warning("%s", message)
