"""`scribblegen publish`: which kind of folder it is, and what came of it, as a table."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scribblegen.commands.command_line import set_up_logging
from scribblegen.option_parser import OptionParser

if TYPE_CHECKING:
    from scribblegen.hub.upload import Uploaded

_MODEL_FILES = ("config.json", "model_index.json")
_MOST_SHOWN = 12


def publish(arguments: Sequence[str]) -> None:
    """`scribblegen publish FOLDER --repo_id me/name`."""
    parser = OptionParser(
        "scribblegen publish",
        description="Publishes the folder of a finished run, or of a trained model, on the Hub.",
    )
    parser.add_argument("folder", help="Folder of the run or model.")
    parser.add_argument(
        "--repo_id", required=True, help="owner/name, or a name under the logged-in user."
    )
    parser.add_argument("--private", action="store_true", help="If the repository is new.")
    parser.add_argument("--license", help="Of the photographs, where the run does not tell it.")
    parser.add_argument("--tag", help="Name of the published state, such as v1.")
    parser.add_argument("--create_pr", action="store_true", help="Open a pull request instead.")
    parser.add_argument(
        "--overwrite", action="store_true", help="Replace subsets made with another config."
    )
    parser.add_argument(
        "--no_verify", action="store_true", help="Do not read back what was published."
    )
    options = vars(parser.parse_args(arguments))
    set_up_logging(main_process=True)
    options["private"] = options["private"] or None
    options["verify"] = not options.pop("no_verify")
    print(publish_folder(**options))


def publish_folder(folder: str, repo_id: str, **options: Any) -> str:
    """Publishes a run's or a model's folder; returns the report.

    Args:
        folder: the folder of a finished run, or of a trained model.
        repo_id: `owner/name`, or a name under the logged-in user.
        **options: of `scribblegen.builders.publish.dataset.publish`.

    Raises:
        ValueError, OSError: the folder may not be published, or the Hub refuses.
    """
    if _holds_run(Path(folder)):
        from scribblegen.builders.publish.dataset import publish as publish_run

        published = publish_run(folder, repo_id, **options)
        lines = [f"{'subset':<28} {'rows':>8} {'MB':>8}"]
        for name, rows, size in published.subsets:
            lines.append(f"{name:<28} {rows:>8} {size / 1e6:>8.1f}")
        example = published.subsets[-1][0]
        revision = ""
        if published.uploaded.pull_request:
            revision = f', revision="{published.uploaded.revision}"'
        lines += [
            "",
            *_summary(published.uploaded, published.verified),
            "",
            f'load_dataset("{published.repo_id}", "{example}"{revision})',
        ]
        return "\n".join(lines)
    if _holds_model(Path(folder)):
        from scribblegen.hub.models import publish_model

        for name in ("overwrite", "license"):  # of datasets
            if options.pop(name):
                raise ValueError(f"`{name}` has no meaning for a model.")
        uploaded = publish_model(Path(folder), repo_id, **options)
        return "\n".join(_summary(uploaded, options["verify"]))
    raise ValueError(
        f"`folder` must hold a finished run or a trained model. {_what_else(Path(folder))}"
    )


def _holds_run(folder: Path) -> bool:
    from scribblegen.runs.manifest import MANIFEST  # loads pyarrow

    return (folder / MANIFEST).is_file()


def _holds_model(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _MODEL_FILES)


def _what_else(folder: Path) -> str:
    """What there is instead of a run or a model: often a folder of several, such as a study's."""
    if not folder.is_dir():
        return f"There is no folder {folder}."
    inside = _publishable(folder)
    if not inside:
        return f"{folder} holds none."
    shown = ", ".join(map(str, inside[:_MOST_SHOWN]))
    more = f" and {len(inside) - _MOST_SHOWN} more" if len(inside) > _MOST_SHOWN else ""
    return f"{folder} is none, but holds {shown}{more}: publish one of these."


def _publishable(folder: Path, depth: int = 3) -> list[Path]:
    """The folders inside that hold a run or a model, runs first; none inside of those."""
    runs, models = [], []
    for inside in sorted(path for path in folder.iterdir() if path.is_dir()):
        if _holds_run(inside):
            runs.append(inside)
        elif _holds_model(inside):
            models.append(inside)
        elif depth > 1:
            found = _publishable(inside, depth - 1)
            runs += [path for path in found if _holds_run(path)]
            models += [path for path in found if not _holds_run(path)]
    return runs + models


def _summary(uploaded: "Uploaded", verified: bool) -> list[str]:
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
