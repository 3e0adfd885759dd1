"""The folder of a run -> a dataset repository on the Hub, in one commit, checked afterwards."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi

from scribblegen.builders.publish.checks import (
    check_no_links,
    check_no_paths,
    remote_manifest,
    shard_files,
)
from scribblegen.builders.publish.verify import check_rows
from scribblegen.builders.repository import (
    GALLERY,
    LABEL_FILE,
    dataset_card,
    has_pictures,
    run_manifest,
    run_options,
    vocabulary_files,
)
from scribblegen.cards.dataset import run_key
from scribblegen.cards.merge import merge_cards
from scribblegen.configs import differences
from scribblegen.hub.upload import (
    Changes,
    LocalFile,
    Remote,
    Uploaded,
    check_upload,
    make_repository,
    tag_commit,
    upload,
)
from scribblegen.runs.folder import CONFIG_FILE
from scribblegen.runs.manifest import MANIFEST

_RUN = "run"
_UNKNOWN = "unknown"


@dataclass(frozen=True, eq=False)
class LocalRun:
    """A finished run, read and checked."""

    folder: Path
    manifest: dict[str, Any]
    shards: dict[str, list[LocalFile]]  # by subset

    @property
    def key(self) -> str:
        return run_key(self.manifest)

    @property
    def family(self) -> dict[str, Any]:
        return _family(self.manifest)


@dataclass(frozen=True, eq=False)
class Published:
    """What was published, for a report."""

    repo_id: str
    uploaded: Uploaded
    subsets: Sequence[tuple[str, int, int]]  # name, rows, bytes
    verified: bool


def open_local_run(folder: str | Path) -> LocalRun:
    """A run's folder, checked before anything is sent.

    Raises:
        FileNotFoundError: it holds no run.
        ValueError: the run is not complete, a file is not what the run wrote, or something in it
            may not leave the machine.
    """
    folder = Path(folder)
    manifest = run_manifest(folder)
    if not manifest["complete"]:
        raise ValueError(
            f"{folder} holds a run that is not complete. Finish it first: run `scribblegen build` "
            "with the same options again."
        )
    check_no_links(folder)
    shards = shard_files(folder, manifest)
    names = (CONFIG_FILE, MANIFEST, LABEL_FILE, *vocabulary_files(manifest))
    texts = [LocalFile.of(name, folder / name) for name in names]
    check_no_paths([*texts, *(file for files in shards.values() for file in files)])
    return LocalRun(folder, manifest, shards)


def publish(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool | None = None,
    license: str | None = None,
    tag: str | None = None,
    create_pr: bool = False,
    overwrite: bool = False,
    verify: bool = True,
) -> Published:
    """Publishes a run's folder. Started again, it sends what is not there yet: nothing, if all is.

    Subsets of other runs in the repository stay, and so does what people wrote into its card.

    Args:
        folder: the folder of a complete run.
        repo_id: `owner/name`, or a name under the logged-in user.
        private: whether a new repository is private; the owner's default if None.
        license: the license of the photographs, a Hub license id; needed where the run has none.
        tag: names the commit.
        create_pr: open a pull request instead of writing to the main branch.
        overwrite: replace subsets that were made with another config.
        verify: read it back, through the Hub's file list and through `load_dataset`.

    Raises:
        ValueError: the folder may not be published, or a subset there was made otherwise.
        OSError: what was read back is not what was sent.
    """
    run = open_local_run(folder)
    options = run_options(run.folder)
    license = license or options["license"]
    if license == _UNKNOWN:
        raise ValueError(
            "`license` of the photographs must be told to whoever uses them: give --license with "
            "an id of the Hub, such as cc-by-4.0, or other."
        )
    api = HfApi()
    full_id = make_repository(api, repo_id, "dataset", private)
    uploaded = upload(
        api,
        full_id,
        "dataset",
        lambda remote: plan_publication(run, remote, license=license, overwrite=overwrite),
        message=f"scribblegen run {run.key}: {', '.join(list(run.shards)[:5])}"
        f"{', ...' if len(run.shards) > 5 else ''}",
        create_pr=create_pr,
    )
    if tag is not None:
        tag_commit(api, full_id, "dataset", tag, uploaded.commit)
    if verify:
        check_upload(api, full_id, "dataset", uploaded)
        check_rows(run.folder, list(run.shards), full_id, uploaded.revision)
    rows = {
        name: sum(u["files"][name]["rows"] for u in run.manifest["units"] if name in u["files"])
        for name in run.shards
    }
    subsets = [(name, rows[name], sum(f.size for f in files)) for name, files in run.shards.items()]
    return Published(full_id, uploaded, subsets, verify)


def plan_publication(
    run: LocalRun, remote: Remote, *, license: str | None = None, overwrite: bool = False
) -> Changes:
    """What has to be in the repository for the run to be in it, beside what others put there.

    Raises:
        ValueError: a subset there was made with another config, or its classes differ.
    """
    others = {
        path.removesuffix("/manifest.json"): remote_manifest(remote, path)
        for path in sorted(remote.files, key=lambda path: (len(path), path))
        if path.startswith(_RUN) and path.endswith("/manifest.json")
    }
    card = remote.read("README.md").decode("utf-8") if "README.md" in remote.files else None
    files = [file for shards in run.shards.values() for file in shards]
    listed = {file.path for file in files}
    delete = [
        path
        for path in remote.files
        if path.endswith(".parquet") and path.split("/")[0] in run.shards and path not in listed
    ]
    replaced: list[str] = []
    own_place: str | None = None
    for place, manifest in others.items():
        if run_key(manifest) != run.key and not _stands_for(run, manifest):
            if _holds(manifest, run):
                return Changes(files)  # a larger run has said it all
            lost = _conflicts(run, manifest, overwrite)
            kept = _without(manifest, lost)
            if lost and _generated(kept):
                text = json.dumps(kept, indent=1, ensure_ascii=False)
                files.append(LocalFile.of(f"{place}/manifest.json", f"{text}\n".encode()))
            if not lost or _generated(kept):
                continue
        # Of several runs that this one stands for, it takes the first one's place.
        replaced.append(run_key(manifest))
        if own_place is None:
            own_place = place
        else:
            delete += [path for path in remote.files if path.startswith(f"{place}/")]
            delete.append(_gallery_at(place))
    if own_place is None:
        own_place = _RUN if _RUN not in others else f"{_RUN}-{run.key}"
    labels = LocalFile.of(LABEL_FILE, run.folder / LABEL_FILE)
    stays = [place for place, m in others.items() if run_key(m) not in (run.key, *replaced)]
    if LABEL_FILE in remote.files and not remote.files[LABEL_FILE].equals(labels) and stays:
        raise ValueError(
            f"{remote.repo_id} holds subsets of other classes ({LABEL_FILE} differs). Publish to "
            "another repository."
        )
    gallery = _gallery_at(own_place)
    own_card = dataset_card(
        run.folder, name=remote.repo_id, license=license, run_folder=own_place, gallery=gallery
    )
    merged = merge_cards(card, own_card, run.key, tuple(k for k in replaced if k != run.key))
    check_no_paths([LocalFile.of("README.md", merged.encode())])
    files += [
        labels,
        *(LocalFile.of(name, run.folder / name) for name in vocabulary_files(run.manifest)),
        *([LocalFile.of(gallery, run.folder / GALLERY)] if has_pictures(run.manifest) else []),
        LocalFile.of(f"{own_place}/config.yaml", run.folder / CONFIG_FILE),
        LocalFile.of(f"{own_place}/manifest.json", run.folder / MANIFEST),
        LocalFile.of("README.md", merged.encode()),
    ]
    return Changes(files, [path for path in delete if path not in {f.path for f in files}])


def _family(manifest: dict[str, Any]) -> dict[str, Any]:
    """What the subsets of one run share, whichever of them it makes.

    A grid may grow: its other cells stay as they are.
    """
    spanning = manifest["spanning"]
    return {key: value for key, value in manifest["identity"].items() if key not in spanning}


def _stands_for(run: LocalRun, manifest: dict[str, Any]) -> bool:
    """Whether the run holds all that another one does, made alike."""
    theirs = {s["subset"] for s in manifest["subsets"]}
    return _family(manifest) == run.family and theirs <= set(run.shards)


def _holds(manifest: dict[str, Any], run: LocalRun) -> bool:
    """Whether another run holds all that this one does, file for file."""
    theirs = _files(manifest)
    return _family(manifest) == run.family and all(
        theirs.get(subset) == _digests(files) for subset, files in run.shards.items()
    )


def _files(manifest: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Path -> digest of the files of every subset."""
    found: dict[str, dict[str, str]] = {}
    for unit in manifest["units"]:
        for subset, entry in unit["files"].items():
            found.setdefault(subset, {})[entry["path"]] = entry["sha256"]
    return found


def _digests(files: Sequence[LocalFile]) -> dict[str, str]:
    return {file.path: file.sha256 for file in files}


def _conflicts(run: LocalRun, manifest: dict[str, Any], overwrite: bool) -> set[str]:
    """Subsets of another run that this one replaces."""
    theirs = _files(manifest)
    changed = {
        subset
        for subset, files in run.shards.items()
        if subset in theirs and theirs[subset] != _digests(files)
    }
    if changed and not overwrite:
        reasons = differences(_family(manifest), run.family) or ["its files differ"]
        raise ValueError(
            f"{', '.join(sorted(changed))}: there already, made otherwise ({'; '.join(reasons)}). "
            "Publish to another repository, or replace what is there with --overwrite."
        )
    return changed


def _without(manifest: dict[str, Any], subsets: set[str]) -> dict[str, Any]:
    units = [
        {**unit, "files": {k: v for k, v in unit["files"].items() if k not in subsets}}
        for unit in manifest["units"]
    ]
    kept = [s for s in manifest["subsets"] if s["subset"] not in subsets]
    return {**manifest, "units": units, "subsets": kept}


def _generated(manifest: dict[str, Any]) -> list[str]:
    """Subsets that a run has made, besides what it passed on."""
    return [s["subset"] for s in manifest["subsets"] if s["generated"]]


def _gallery_at(place: str) -> str:
    """Where the picture of the run lies whose records lie in `place`."""
    suffix = place.removeprefix(_RUN)
    return f"{GALLERY.removesuffix('.png')}{suffix}.png"
