"""A trained model's folder -> its repository on the Hub."""

from fnmatch import fnmatch
from pathlib import Path

from huggingface_hub import HfApi

from scribblegen.hub.upload import (
    Changes,
    LocalFile,
    Uploaded,
    check_upload,
    make_repository,
    tag_commit,
    upload,
)

# What training leaves beside the model, for itself; the last two hold paths of the machine.
_LEFT_OUT = ("checkpoint-*", ".*", "logs", "training_args.bin", "trainer_state.json")
# Loading one runs whatever code is in it.
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.pickle", "*.ckpt")


def publish_model(
    folder: Path,
    repo_id: str | None = None,
    *,
    private: bool | None = None,
    tag: str | None = None,
    create_pr: bool = False,
    verify: bool = True,
) -> Uploaded:
    """Publishes a model in one commit; the token is the one of `hf auth login` or HF_TOKEN.

    Args:
        folder: The model's folder, with its README.md.
        repo_id: The repository's name or owner/name. The folder's own name, under the logged-in
            user, if None.
        private: Whether a new repository is private; the owner's default if None.
        tag: A name for the commit, if it is to have one.
        create_pr: Whether to open a pull request instead of writing to the main branch.
        verify: Whether to compare afterwards what the Hub holds with what was sent.

    Raises:
        ValueError: If the folder holds pickled weights or a symbolic link.
        OSError: If what is there afterwards is not what was sent.
    """
    files = model_files(folder)
    api = HfApi()
    full_id = make_repository(api, repo_id or folder.resolve().name, "model", private)
    uploaded = upload(
        api,
        full_id,
        "model",
        lambda remote: Changes(files),
        message="Upload model",
        create_pr=create_pr,
    )
    if tag is not None:
        tag_commit(api, full_id, "model", tag, uploaded.commit)
    if verify:
        check_upload(api, full_id, "model", uploaded)
    return uploaded


def model_files(folder: Path) -> list[LocalFile]:
    """The files of a model's folder that are published.

    Raises:
        ValueError: If the folder holds pickled weights or a symbolic link.
    """
    files = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if any(fnmatch(part, pattern) for part in name.parts for pattern in _LEFT_OUT):
            continue
        if path.is_symlink():
            raise ValueError(f"{name} in {folder} is a symbolic link. Copy what it should hold.")
        if path.is_dir():
            continue
        if any(fnmatch(path.name, pattern) for pattern in _PICKLED):
            raise ValueError(
                f"{name} in {folder} is pickled: whoever loads it runs the code in it. Save the "
                "weights as safetensors."
            )
        files.append(LocalFile.of(name.as_posix(), path))
    return files
