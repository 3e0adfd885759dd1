"""A dataset card from what a run recorded: YAML for machines, then text for people."""

import hashlib
import json
from collections import Counter
from typing import Any

from huggingface_hub import DatasetCardData

from scribblegen.cards.merge import marked
from scribblegen.cards.template import dataset_template

_TAGS = ("synthetic", "scribbles", "weakly-supervised")
_OF_PHOTOGRAPHS = ("photographs", "cdsp")  # methods that make no image: only twins are synthetic
_SIZES = {
    10**3: "n<1K",
    10**4: "1K<n<10K",
    10**5: "10K<n<100K",
    10**6: "100K<n<1M",
    10**7: "1M<n<10M",
}
_SHOWN_REJECTIONS = 20


def render_dataset_card(
    manifest: dict[str, Any],
    options: dict[str, Any],
    *,
    name: str,
    license: str,
    example: dict[str, Any] | None = None,
    columns: dict[str, str] | None = None,
    scores: dict[str, dict[str, float]] | None = None,
    class_rows: dict[str, dict[str, int]] | None = None,
    flags: dict[str, dict[str, tuple[int, int]]] | None = None,
    run_folder: str = "run",
    gallery: str | None = "assets/grid.png",
) -> str:
    """The README.md of a dataset repository.

    Args:
        manifest: as `run/manifest.json` holds it.
        options: all options of the run, flat.
        name: the name of the repository, for the title and the `load_dataset` line.
        license: the license of the photographs, a Hub license id.
        example: one generated record without its pictures.
        columns: the columns of all subsets, each with its type in words.
        scores: the mean `scores` of each subset that has any.
        class_rows: in how many rows of each subset each class is.
        flags: of each subset's columns of true and false, how many rows are true, and how many
            say.
        run_folder, gallery: where the repository has the run's records and its picture; no
            `gallery` where rows have no pictures.
    """
    subsets, means = subset_table(manifest), scores or {}
    rejections = [r for unit in manifest["units"] for r in unit["rejections"]]
    reasons = Counter(r["reason"] for r in rejections)
    text = dataset_template(manifest["method"]).render(
        name=name,
        run_folder=run_folder,
        gallery=gallery,
        means=means,
        scores=list(dict.fromkeys(score for found in means.values() for score in found)),
        settings=list(dict.fromkeys(key for s in subsets for key in s["settings"])),
        eval_split=next((s for s in ("validation", "test") if s in subsets[0]["splits"]), '""'),
        method=manifest["method"],
        subsets=subsets,
        columns=columns or {},
        classes=_named_ids(manifest),
        example=json.dumps(example, indent=2, ensure_ascii=False, default=str) if example else None,
        first_generated=next((s["subset"] for s in subsets if s["generated"]), None),
        options={"pipeline": None, **options},
        rejections=rejections[:_SHOWN_REJECTIONS],
        num_rejections=len(rejections),
        reasons=reasons.most_common(),
        kinds=Counter(r["reason"].partition(": ")[0] for r in rejections).most_common(),
        class_rows=class_rows or {},
        flags=flags or {},
        complete=manifest["complete"],
        environment=manifest["environment"],
        version=manifest["scribblegen"],
    )
    card_data = _card_data(manifest, subsets, name, license, options, columns or {}).to_yaml()
    return f"---\n{card_data}\n---\n\n{marked(text, run_key(manifest))}"


def _named_ids(manifest: dict[str, Any]) -> list[tuple[int, str]]:
    """The classes of labels; or the words of a vocabulary, each with its sense."""
    if "vocabulary" not in manifest:
        return [(c["id"], c["name"]) for c in manifest["classes"]]
    words = manifest["vocabulary"]
    return [(w["id"], ", ".join(filter(None, (w["name"], w["sense"])))) for w in words]


def run_key(manifest: dict[str, Any]) -> str:
    """A short name of a run: of its options, sources and weights."""
    identity = json.dumps(manifest["identity"], sort_keys=True)
    return hashlib.sha256(identity.encode()).hexdigest()[:8]


def subset_table(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """One entry per subset: settings, rows, rejected samples, bytes, digest and splits."""
    names = [s["subset"] for s in manifest["subsets"]]
    rejected: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    size: Counter[str] = Counter()
    splits: dict[str, list[str]] = {name: [] for name in names}
    content = {name: hashlib.sha256() for name in names}
    for unit in manifest["units"]:
        for subset, file in unit["files"].items():
            rows[subset] += file["rows"]
            size[subset] += file["bytes"]
            content[subset].update(file["sha256"].encode())
            if unit["split"] not in splits[subset]:
                splits[subset].append(unit["split"])
        for rejection in unit["rejections"]:
            # A source that is out is out of every subset.
            for subset in [rejection["subset"]] if rejection["subset"] else unit["files"]:
                rejected[subset] += 1
    return [
        {
            "subset": entry["subset"],
            "settings": entry["settings"],
            "generated": entry["generated"],
            "rows": rows[entry["subset"]],
            "rejected": rejected[entry["subset"]],
            "bytes": size[entry["subset"]],
            "content": content[entry["subset"]].hexdigest()[:16],
            "splits": splits[entry["subset"]],
        }
        for entry in manifest["subsets"]
    ]


def _card_data(
    manifest: dict[str, Any],
    subsets: list[dict[str, Any]],
    name: str,
    license: str,
    options: dict[str, Any],
    columns: dict[str, str],
) -> DatasetCardData:
    source = str(options.get("dataset_name") or "")
    total = sum(s["rows"] for s in subsets)
    of_photographs = manifest["method"] in _OF_PHOTOGRAPHS and "encode_ratio" not in columns
    of_texts = not any(s["pictures"] for s in manifest["subsets"])
    tags = _TAGS[:1] if of_texts else _TAGS[1:] if of_photographs else _TAGS
    return DatasetCardData(
        license=license,
        pretty_name=name,
        task_categories=["text-to-image"] if of_texts else ["image-segmentation"],
        task_ids=None if of_texts else ["semantic-segmentation"],
        size_categories=[next((text for limit, text in _SIZES.items() if total < limit), "n>10M")],
        annotations_creators=["machine-generated"],
        source_datasets=[f"extended|{source}" if source.count("/") == 1 else "original"],
        tags=list(dict.fromkeys(["scribblegen", *tags, manifest["method"]])),
        configs=[
            {
                "config_name": s["subset"],
                # `datasets` caches a local folder by its name and this YAML, not by its files:
                # without the digest another run in a folder of this name would load stale rows.
                "description": f"{s['rows']} rows, content {s['content']}",
                "data_files": [
                    {"split": split, "path": f"{s['subset']}/{split}-*.parquet"}
                    for split in s["splits"]
                ],
                **({"default": True} if number == 0 else {}),
            }
            for number, s in enumerate(s for s in subsets if s["splits"])
        ],
    )
