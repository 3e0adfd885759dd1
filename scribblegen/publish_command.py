"""`scribblegen publish`: which kind of folder it is, and what came of it, as a table."""

from pathlib import Path
from typing import Any

from scribblegen.hub_upload import Uploaded
from scribblegen.shards import MANIFEST

_MODEL_FILES = ("config.json", "model_index.json")


def publish_folder(folder: str, repo_id: str, **options: Any) -> str:
    """Publishes a run's or a model's folder; returns the report.

    Args:
        folder: of a finished run, or of a trained model.
        repo_id: of the repository.
        **options: of `scribblegen.builders.publish.publish`.

    Raises:
        ValueError, OSError: the folder may not be published, or the Hub refuses.
    """
    if (Path(folder) / MANIFEST).is_file():
        from scribblegen.builders.publish import publish

        published = publish(folder, repo_id, **options)
        lines = [f"{'subset':<28} {'rows':>8} {'MB':>8}"]
        for name, rows, size in published.subsets:
            lines.append(f"{name:<28} {rows:>8} {size / 1e6:>8.1f}")
        example = published.subsets[-1][0]
        revision = "" if not published.uploaded.pull_request else ', revision="' + (
            f'{published.uploaded.revision}"')  # fmt: skip
        lines += [
            "",
            *_summary(published.uploaded, published.verified),
            "",
            f'load_dataset("{published.repo_id}", "{example}"{revision})',
        ]
        return "\n".join(lines)
    if any((Path(folder) / name).is_file() for name in _MODEL_FILES):
        from scribblegen.model_publishing import publish_model

        for name in ("overwrite", "license"):  # of datasets
            if options.pop(name):
                raise ValueError(f"`{name}` has no meaning for a model.")
        uploaded = publish_model(Path(folder), repo_id, **options)
        return "\n".join(_summary(uploaded, options["verify"]))
    raise ValueError(f"`folder` must hold a finished run or a trained model. {folder} holds none.")


def _summary(uploaded: Uploaded, verified: bool) -> list[str]:
    sent = f"{len(uploaded.sent)} files, {uploaded.bytes_sent / 1e6:.1f} MB"
    lines = [
        f"sent           {sent if uploaded.sent else 'nothing: all of it was there'}",
        f"already there  {uploaded.bytes_there / 1e6:.1f} MB",
        f"commit         {uploaded.commit}",
        f"address        {uploaded.pull_request or uploaded.address}",
        f"read back      {'the same' if verified else 'not asked for'}",
    ]
    if uploaded.deleted:
        lines.insert(1, f"removed        {len(uploaded.deleted)} files")
    return lines
