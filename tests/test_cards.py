"""Cards for any input, and for several writers."""

import json

import pytest
import yaml
from huggingface_hub import DatasetCard, ModelCard

from scribblegen.cards.dataset import render_dataset_card
from scribblegen.cards.merge import marked, merge_cards
from scribblegen.cards.models import (
    AUTOENCODER,
    render_controlnet_card,
    render_segmentation_card,
    render_small_model_card,
)
from scribblegen.families.stable_diffusion.controlnet_record import ControlNetRecord

HOSTILE = [
    'say "cheese": now',
    "line\nbreak",
    "{{ config }} {% raw %}",
    "---",
    "emoji 🎈 and ümläut",
    "<script>alert(1)</script> & <!-- scribblegen run 00000000 -->",
    "| pipe ` tick ``` fence",
    "- dash: [1, 2]",
    "\\ back \\1 slash",
    "",
]
FILE = {"path": "real/train-00000-of-00001.parquet", "rows": 2, "bytes": 9, "sha256": "ab"}


def manifest_of(names, identity=None):
    twins = {**FILE, "path": "guidance2-encode1/train-00000-of-00001.parquet"}
    return {
        "scribblegen": "0",
        "complete": True,
        "method": "scribblegen",
        "identity": identity or {"seed": 0},
        "environment": {"torch": "2"},
        "classes": [{"id": i, "name": n, "palette_rgb": [0, 0, 0]} for i, n in enumerate(names)],
        "spanning": ["encode_ratios"],
        "subsets": [
            {"subset": "real", "settings": {}, "generated": False, "pictures": {}},
            {
                "subset": "guidance2-encode1",
                "generated": True,
                "pictures": {},
                "settings": {"guidance_scale": 2.0, "encode_ratio": 1.0},
            },
        ],
        "units": [
            {
                "unit": "train-00000-of-00001",
                "split": "train",
                "index": 0,
                "sources": 2,
                "files": {"real": FILE, "guidance2-encode1": twins},
                "rejections": [{"source_id": n, "subset": None, "reason": n} for n in names],
            }
        ],
    }


def card_of(names, **options):
    text = {f"option {i}": name for i, name in enumerate(names)}
    example = {"prompt": " ".join(names), "source_id": names[0]}
    return render_dataset_card(
        manifest_of(names), text, name="me/data", license="cc0-1.0", example=example, **options
    )


def test_any_names_and_prompts_make_a_card_that_parses():
    card = DatasetCard(card_of(HOSTILE))
    assert card.data.license == "cc0-1.0" and len(card.data.configs) == 2
    body = card.text
    assert "<script>" not in body.split("```json")[0]
    tables = [line for line in body.splitlines() if line.startswith("| `option")]
    assert len(tables) == len(HOSTILE)
    assert all(line.replace("\\|", "").count("|") == 3 for line in tables), "cells stay cells"
    assert body.count("```") % 2 == 0, "no fence is left open"
    record = json.loads(body.split("```json")[1].split("```")[0])
    assert record == {"prompt": " ".join(HOSTILE), "source_id": HOSTILE[0]}


def test_ten_thousand_classes_stay_readable():
    manifest = manifest_of([f"class {i}" for i in range(10_000)])
    card = render_dataset_card(manifest, {}, name="me/data", license="mit")
    assert "and 9900 more in `id2label.json`" in card and len(card) < 60_000
    assert len(DatasetCard(card).data.to_yaml()) < 5_000


def segmentor_card(measured=None, **identity):
    known = {
        "real": "me/data",
        "synthetic": ["me/data:a"],
        "eval_data": None,
        "labels": "mask",
        "eval_split": "test",
        "eval_labels": "mask",
        "eval_protocol": "full",
        "model_name_or_path": None,
        "scheme": "uniform",
        "classes": HOSTILE,
        "photographs": 3,
        "twins": 4,
        "unpaired": 0,
    }
    return render_segmentation_card(
        known | identity,
        measured or {},
        name="me/model",
        architecture="X",
        own_code=True,
        steps=1,
        command="scribblegen",
        version="0",
    )


def test_a_segmentor_s_card_parses_for_any_class():
    card = ModelCard(segmentor_card({"eval_mean_iou": 0.5, "eval_images": 2}))
    assert card.data.datasets == ["me/data"] and card.data.eval_results[0].metric_value == 0.5
    assert len([line for line in card.text.splitlines() if "does not occur" in line]) == 10


def test_a_segmentor_s_card_says_what_is_of_a_photograph_and_what_is_not():
    twins, pool = segmentor_card(), segmentor_card(twins=0, unpaired=5)
    assert ", 4 twins, scheme uniform" in twins and "ScribbleGen adds noise" in twins
    assert ", 5 synthetic images of no photograph, scheme uniform" in pool
    assert "twins" not in pool and "ScribbleGen adds noise" not in pool


def test_every_model_card_has_a_table_of_options_and_ends_with_it_or_with_the_method():
    options = {"resolution": 64, "left out": None, "odd": "a|b"}
    record = ControlNetRecord(class_names=("cat",), null_conditions=())
    closing = "| option | value |\n|---|---|\n| `resolution` | 64 |\n| `odd` | a\\|b |\n"
    small = render_small_model_card(AUTOENCODER, options, {"steps": 3}, name="me/v", version="0")
    assert small.endswith("\n\n" + closing)
    controlnet = render_controlnet_card(
        record, options, name="me/c", base="b", channels=2, steps=1, step_size=1, version="0"
    )
    assert f"\n\n{closing}\n## Method\n" in controlnet


def card(data, *parts):
    return f"---\n{yaml.safe_dump(data, sort_keys=False)}---\n\n" + "\n".join(parts)


def config(name, content="a", **more):
    return {"config_name": name, "description": content, **more}


OURS = card(
    {"license": "cc0-1.0", "configs": [config("real", default=True), config("twins")]},
    marked("# ours", "k1"),
)


def test_a_first_card_is_taken_as_it_is():
    assert merge_cards(None, OURS, "k1") == OURS


def test_the_same_again_changes_nothing():
    assert merge_cards(OURS, OURS, "k1") == OURS
    styled = OURS.replace("license: cc0-1.0", "license:   'cc0-1.0'  # as they spell it")
    assert merge_cards(styled, OURS, "k1") == styled


def test_what_others_wrote_stays():
    theirs = card(
        {"license": "mit", "extra": 1, "configs": [config("other", default=True)]},
        "# theirs",
        "text \\1 {{ x }}",
    )
    merged = merge_cards(theirs, OURS, "k1")
    data, text = DatasetCard(merged).data, merged.split("---\n", 2)[2]
    assert data.license == "mit" and data.to_dict()["extra"] == 1
    assert [c["config_name"] for c in data.configs] == ["other", "real", "twins"]
    assert [c.get("default") for c in data.configs] == [True, None, None]
    assert text.index("# theirs") < text.index("text \\1 {{ x }}") < text.index("# ours")


def test_a_run_replaces_its_part_and_those_it_stands_for():
    there = card(
        {"configs": [config("real")]},
        "above",
        marked("# old 1", "k1"),
        "between",
        marked("# old 2", "k2"),
        "below",
    )
    merged = merge_cards(there, OURS, "k1", ("k2",))
    assert "old" not in merged and merged.count("# ours") == 1
    assert merged.index("above") < merged.index("# ours") < merged.index("between")
    assert merged.rstrip().endswith("below")
    assert merge_cards(merged, OURS, "k1") == merged


def test_the_larger_size_category_stays():
    one, other = (card({"size_categories": [s]}, "") for s in ("1K<n<10K", "n<1K"))
    for a, b in ((one, other), (other, one)):
        assert DatasetCard(merge_cards(a, b, "k")).data.to_dict()["size_categories"] == ["1K<n<10K"]


@pytest.mark.parametrize("front", ["---\n{ : [\n---\nbody", "---\n- a list\n---\nbody"])
def test_a_card_that_cannot_be_read_is_not_overwritten(front):
    with pytest.raises(ValueError, match="Mend it on the Hub"):
        merge_cards(front, OURS, "k1")
