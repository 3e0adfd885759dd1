"""The vocabulary that a repository of rows with words carries, in a folder or on the Hub."""

from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

from scribblegen.text_files import read_json, shown_message
from scribblegen.vocabulary import VOCABULARY_FILE, Vocabulary, vocabulary_of


def repository_vocabulary(
    name: str, revision: str | None = None, *, option: str, advice: str
) -> Vocabulary | None:
    """What `vocabulary.json` of a repository holds; None where it has none.

    Args:
        name: folder or Hub id.
        revision: on the Hub.
        option: that names the repository, for errors.
        advice: what to do about a damaged file, a sentence.

    Raises:
        ValueError: it holds no vocabulary.
        OSError: the Hub was not reached.
    """
    where = Path(name) / VOCABULARY_FILE
    if not Path(name).is_dir():
        where = _of_hub(name, revision, option) or where
    if not where.is_file():
        return None
    return listed_vocabulary(read_json(where, advice), where, advice)


def listed_vocabulary(listed: Any, where: Path, advice: str) -> Vocabulary:
    """`Vocabulary.rows`, read from a file; raises ValueError where it was edited or damaged."""
    try:
        return vocabulary_of(listed)
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(
            f"{where} was edited or damaged: it must hold a vocabulary ({shown_message(error)}). "
            f"{advice}"
        ) from error


def _of_hub(name: str, revision: str | None, option: str) -> Path | None:
    """The file of a repository of the Hub; None where it has none."""
    try:
        return Path(hf_hub_download(name, VOCABULARY_FILE, repo_type="dataset", revision=revision))
    except LocalEntryNotFoundError as error:
        raise OSError(f"`{option}` {name} cannot be read: {shown_message(error)}.") from error
    except EntryNotFoundError:
        return None
