"""Answers of a language model on disk, by the digest of the request."""

import hashlib
import json
from pathlib import Path
from typing import Any

from scribblegen.runs.atomic_files import atomic_file


class AnswerCache:
    """A file for each answer, which is there whole or not at all: any number of processes may share
    a folder. A file that is damaged counts for nothing; its answer is asked for again.

    Args:
        folder: made when the first answer comes.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def get(self, request: dict[str, Any]) -> str | None:
        """The answer to a request, if there is one."""
        try:
            found = json.loads(self.path(request).read_bytes())
        except (OSError, ValueError, RecursionError):
            return None
        answer = found.get("answer") if isinstance(found, dict) else None
        return answer if isinstance(answer, str) else None

    def put(self, request: dict[str, Any], answer: str) -> None:
        """Keeps an answer.

        Raises:
            OSError: the device is full or read-only.
        """
        text = json.dumps({"request": request, "answer": answer}, indent=1, sort_keys=True)
        with atomic_file(self.path(request)) as partial:
            partial.write_text(f"{text}\n", "utf-8")

    def path(self, request: dict[str, Any]) -> Path:
        """The file of a request."""
        told = json.dumps(request, sort_keys=True).encode()
        digest = hashlib.sha256(told).hexdigest()
        return self.folder / digest[:2] / f"{digest}.json"
