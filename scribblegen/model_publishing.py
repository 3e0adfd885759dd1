"""A trained model's folder -> its repository on the Hub."""

from pathlib import Path

from huggingface_hub import HfApi

# What training leaves beside the model, for itself; the last two hold paths of the machine.
_LEFT_OUT = ["checkpoint-*", ".checkpoint-*", "logs/*", "training_args.bin", "trainer_state.json"]


def push_model(folder: Path, repo_id: str | None, *, private: bool | None = None) -> str:
    """Uploads a model; returns its address. The token is the one of `hf auth login` or HF_TOKEN.

    Args:
        folder: of the model, with its README.md.
        repo_id: name or owner/name; the folder's own name, under the logged-in user, if None.
        private: of a new repository; the owner's default if None.
    """
    api = HfApi()
    repo = api.create_repo(repo_id or folder.resolve().name, private=private, exist_ok=True)
    api.upload_folder(
        repo_id=repo.repo_id,
        folder_path=folder,
        ignore_patterns=_LEFT_OUT,
        commit_message="Upload model",
    )
    return str(repo)
