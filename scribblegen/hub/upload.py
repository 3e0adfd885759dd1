"""Files of this machine -> one commit of a Hub repository, whole or not at all."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

from scribblegen.hub.retry import retried


@dataclass(frozen=True, eq=False)
class LocalFile:
    """A file to publish.

    Args:
        path: The file's path in the repository.
        content: The file's bytes, or the local file that holds them.
        size: The number of bytes.
        sha256: The digest of the bytes, in hexadecimal.
    """

    path: str
    content: Path | bytes
    size: int
    sha256: str

    @classmethod
    def of(cls, path: str, content: Path | bytes) -> "LocalFile":
        if isinstance(content, bytes):
            return cls(path, content, len(content), hashlib.sha256(content).hexdigest())
        with open(content, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(path, content, content.stat().st_size, digest)

    def git_oid(self) -> str:
        """What git calls a file of this content."""
        data = self.content if isinstance(self.content, bytes) else self.content.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass(frozen=True)
class RemoteFile:
    """A file of a commit: `sha256` where it is stored as a large one, else git's own digest."""

    size: int
    sha256: str | None
    oid: str

    def equals(self, file: LocalFile) -> bool:
        if self.sha256 is not None:
            return self.sha256 == file.sha256
        return self.size == file.size and self.oid == file.git_oid()


@dataclass(frozen=True, eq=False)
class Remote:
    """A repository at one commit."""

    api: HfApi
    repo_id: str
    repo_type: str
    commit: str
    files: dict[str, RemoteFile]

    def read(self, path: str) -> bytes:
        """The content of one small file."""
        found = retried(
            lambda: self.api.hf_hub_download(
                self.repo_id, path, repo_type=self.repo_type, revision=self.commit
            ),
            f"reading {path}",
        )
        return Path(found).read_bytes()


@dataclass(frozen=True)
class Changes:
    """The files that a repository is to hold besides its own, and the paths that it is to lose."""

    files: Sequence[LocalFile]
    delete: Sequence[str] = ()


@dataclass(frozen=True)
class Uploaded:
    """What an upload left on the Hub, and how much of it was sent."""

    commit: str
    revision: str  # to read it from: the commit, or that of a pull request
    address: str
    files: Sequence[LocalFile]
    sent: Sequence[str] = ()
    deleted: Sequence[str] = ()
    bytes_sent: int = 0
    bytes_there: int = 0
    pull_request: str | None = None


def open_remote(api: HfApi, repo_id: str, repo_type: str, revision: str | None = None) -> Remote:
    """The repository as it is now, or at a revision."""

    def read() -> Remote:
        info = api.repo_info(repo_id, repo_type=repo_type, revision=revision)
        commit = str(info.sha)
        files = {}
        for entry in api.list_repo_tree(
            repo_id, repo_type=repo_type, revision=commit, recursive=True
        ):
            size: int | None = getattr(entry, "size", None)
            if size is None:
                continue  # a folder
            large: Any = getattr(entry, "lfs", None)
            blob: Any = entry
            files[entry.path] = RemoteFile(
                size=large.size if large else size,
                sha256=large.sha256 if large else None,
                oid=blob.blob_id,
            )
        return Remote(api, repo_id, repo_type, commit, files)

    return retried(read, f"reading {repo_id}")


def upload(
    api: HfApi,
    repo_id: str,
    repo_type: str,
    plan: Callable[[Remote], Changes],
    *,
    message: str,
    create_pr: bool = False,
) -> Uploaded:
    """Brings a repository to what `plan` wants of it, in one commit.

    Large files are sent first, to where nobody sees them; the commit then names them all at once:
    no commit in the history is half of one. Where another commit came first, or the answer was
    lost, the plan is made anew on what is there then. Nothing is sent that is there.

    Raises:
        Exception: The first failure that does not pass with time.
    """

    def attempt() -> Uploaded:
        remote = open_remote(api, repo_id, repo_type)
        changes = plan(remote)
        there = {
            file.path
            for file in changes.files
            if file.path in remote.files and remote.files[file.path].equals(file)
        }
        missing = [file for file in changes.files if file.path not in there]
        delete = sorted(set(changes.delete) & set(remote.files))
        address = f"{api.endpoint}/{'datasets/' if repo_type == 'dataset' else ''}{repo_id}"
        kept = sum(file.size for file in changes.files if file.path in there)
        if not missing and not delete:
            return Uploaded(remote.commit, remote.commit, address, changes.files, bytes_there=kept)
        done = api.create_commit(
            repo_id,
            [
                *(CommitOperationAdd(f.path, f.content) for f in missing),
                *(CommitOperationDelete(path) for path in delete),
            ],
            commit_message=message,
            repo_type=repo_type,
            # A stale parent is refused by the Hub: nothing of another publisher is overwritten.
            parent_commit=remote.commit,
            create_pr=create_pr,
        )
        return Uploaded(
            commit=done.oid,
            revision=done.pr_revision or done.oid,
            address=address,
            files=changes.files,
            sent=[file.path for file in missing],
            deleted=delete,
            bytes_sent=sum(file.size for file in missing),
            bytes_there=kept,
            pull_request=done.pr_url,
        )

    return retried(attempt, f"publishing {repo_id}")


def check_upload(api: HfApi, repo_id: str, repo_type: str, uploaded: Uploaded) -> None:
    """Compares every published file with what the Hub says it holds.

    Raises:
        OSError: If a file is missing there or differs.
    """
    remote = open_remote(api, repo_id, repo_type, uploaded.revision)
    wrong = [
        file.path
        for file in uploaded.files
        if file.path not in remote.files or not remote.files[file.path].equals(file)
    ]
    if wrong:
        raise OSError(
            f"{repo_id} at {uploaded.revision} does not hold what was sent: {', '.join(wrong[:5])}"
            f"{' and more' if len(wrong) > 5 else ''}. Publish again."
        )


def tag_commit(api: HfApi, repo_id: str, repo_type: str, tag: str, commit: str) -> None:
    """Names a commit; a tag that stands elsewhere is not moved.

    Raises:
        ValueError: If the tag names another commit.
    """

    def attempt() -> None:
        refs = api.list_repo_refs(repo_id, repo_type=repo_type)
        there = {ref.name: ref.target_commit for ref in refs.tags}
        if there.get(tag, commit) != commit:
            raise ValueError(
                f"`tag` {tag} of {repo_id} names the commit {there[tag]} already. Choose another."
            )
        if tag not in there:
            api.create_tag(repo_id, tag=tag, revision=commit, repo_type=repo_type)

    retried(attempt, f"tagging {repo_id}")


def make_repository(api: HfApi, repo_id: str, repo_type: str, private: bool | None) -> str:
    """Makes the repository where there is none; returns its full id, owner/name."""

    def attempt() -> str:
        made = api.create_repo(repo_id, repo_type=repo_type, private=private, exist_ok=True)
        return made.repo_id

    return retried(attempt, f"creating {repo_id}")
