"""Names in cards are read as they are: no link, no picture, no HTML, no command."""

import ast
import html
import json
import re
import shlex

import pytest

from scribblegen.cards.dataset import render_dataset_card
from scribblegen.cards.escape import argument, code, code_cell, in_json, literal, plain
from scribblegen.cards.models import (
    AUTOENCODER,
    render_controlnet_card,
    render_segmentation_card,
    render_small_model_card,
)
from scribblegen.families.stable_diffusion.controlnet_record import ControlNetRecord

LIVE = [
    "![](http://evil.example/x.png)",
    "![a][b]",
    "[x](javascript:alert(1))",
    "[x]: http://evil.example",
    "[x][y]",
    "[[x](http://a.example)](http://b.example)",
    "\\[x](http://evil.example)",
    "\\![x](http://evil.example)",
    "<http://evil.example>",
    "<img src=http://evil.example/x.png>",
    "<a href=javascript:alert(1)>x</a>",
    "&lt;img src=x&gt; &#60;b&#62;",
    "http://evil.example/a_b",
    "HTTPS://evil.example",
    "www.evil.example",
    "mailto:ada@evil.example",
    "ada@evil.example",
    "**bold** __bold__ *italic* _italic_ ~~gone~~",
    "`code` and ``code``",
    "```\nfence\n```",
    "a | b \\| c \\",
    "# heading\n# heading #",
    "x\n---",
    "$$x$$",
    "reversed \u202egnp.exe",
    "nul \0 and escape \x1b[31m",
    "<!-- scribblegen run 00000000 -->",
]
PLAIN = [
    "wall",
    "traffic light",
    "scene_twins_2",
    "me/scenes-twins",
    "it's 0.5, 1.0 (x) - é 猫 + !",
]
SHOWN = [re.sub(r"[\s\0\x1b\u202e]+", " ", text) for text in LIVE]


def shown(markdown: str) -> tuple[str, set[str]]:
    """The text of one paragraph as a viewer shows it, and the elements that it is made of."""
    renderer = pytest.importorskip("markdown_it").MarkdownIt("gfm-like", {"linkify": False})
    page = renderer.render(f"name {markdown} end")
    text = html.unescape(re.sub(r"<[^>]*>", "", page)).strip()
    return text.removeprefix("name ").removesuffix(" end"), set(re.findall(r"<(\w+)", page))


@pytest.mark.parametrize("text", LIVE)
def test_text_is_shown_as_it_was_given(text: str) -> None:
    expected = SHOWN[LIVE.index(text)]
    assert shown(plain(text)) == (expected, {"p"})


@pytest.mark.parametrize("text", PLAIN)
def test_plain_names_are_not_even_spelt_otherwise(text: str) -> None:
    assert plain(text) == code(text) == text


@pytest.mark.parametrize("text", LIVE)
def test_no_address_is_left_to_be_made_a_link(text: str) -> None:
    assert not re.search(r"://|www\.|mailto:|@", plain(text), re.IGNORECASE)


@pytest.mark.parametrize("text", LIVE)
def test_code_commands_and_records_hold_the_text_and_nothing_else(text: str) -> None:
    assert "`" not in code(text) + literal(text) + in_json(json.dumps(text))
    assert ast.literal_eval(literal(text)) == text == json.loads(in_json(json.dumps(text)))
    assert shlex.split(argument(text)) == [code(text)] and "\n" not in argument(text)
    assert re.findall(r"(?<!\\)\|", code_cell(text)) == []


def body_of(card: str) -> str:
    """A card without its YAML and its blocks of code."""
    return re.sub(r"^```.*?^```$", "", card.split("\n---\n", 1)[1], flags=re.DOTALL | re.MULTILINE)


def dataset_card(names: list[str]) -> str:
    file = {"path": "p", "rows": 2, "bytes": 9, "sha256": "ab"}
    subsets = [
        {"subset": "real", "settings": {}, "generated": False, "pictures": {}},
        {"subset": "s", "settings": {"kind": names[0]}, "generated": True, "pictures": {}},
    ]
    unit = {
        "unit": "u",
        "split": "train",
        "index": 0,
        "sources": 2,
        "files": {"real": file, "s": file},
        "rejections": [{"source_id": n, "subset": None, "reason": n} for n in names[:20]],
    }
    manifest = {
        "scribblegen": "0",
        "complete": True,
        "method": "scribblegen",
        "identity": {},
        "environment": {"torch": "2"},
        "classes": [{"id": i, "name": n} for i, n in enumerate(names)],
        "subsets": subsets,
        "units": [unit],
    }
    options = {f"option_{i}": name for i, name in enumerate(names)}
    return render_dataset_card(manifest, options, name=names[0], license="mit")


def segmentation_card(names: list[str]) -> str:
    identity = {
        "real": names[0],
        "synthetic": names[1:],
        "eval_data": names[1],
        "labels": "mask",
        "eval_split": "test",
        "eval_labels": "mask",
        "eval_protocol": "full",
        "model_name_or_path": None,
        "scheme": "uniform",
        "classes": names,
        "photographs": 3,
        "twins": 0,
        "unpaired": 0,
    }
    measured = {"eval_mean_iou": 0.5, "eval_images": 2}
    return render_segmentation_card(
        identity,
        measured,
        name=names[0],
        architecture="X",
        own_code=False,
        steps=1,
        command=shlex.join(["scribblegen", *names]),
        version="0",
    )


def controlnet_card(names: list[str]) -> str:
    return render_controlnet_card(
        ControlNetRecord(class_names=tuple(names), null_conditions=()),
        {f"option_{i}": name for i, name in enumerate(names)},
        name=names[0],
        base=names[1],
        channels=2,
        steps=1,
        step_size=1,
        version="0",
    )


def small_model_card(names: list[str]) -> str:
    options = {"resolution": 8, **{f"option_{i}": name for i, name in enumerate(names)}}
    metrics = {name: name for name in names}
    return render_small_model_card(AUTOENCODER, options, metrics, name=names[0], version="0")


CARDS = [dataset_card, segmentation_card, controlnet_card, small_model_card]


@pytest.mark.parametrize("card_of", CARDS)
def test_a_card_of_live_names_has_no_element_that_one_of_plain_names_lacks(card_of) -> None:
    renderer = pytest.importorskip("markdown_it").MarkdownIt("gfm-like", {"linkify": False})
    pages = []
    for names in (PLAIN, LIVE):
        pages.append(renderer.render(body_of(card_of(names))))
    elements = [set(re.findall(r"<(\w+)", page)) for page in pages]
    assert elements[1] == elements[0]
    pictures = [re.findall(r"<(?:img|a)\b[^>]*>", page) for page in pages]
    assert pictures[1] == pictures[0]
    assert "evil" not in "".join(pictures[1])
    text = html.unescape(re.sub(r"<[^>]*>", "", pages[1]))
    assert [name for name in SHOWN if name not in text] == [], "names stay readable"


@pytest.mark.parametrize("card_of", CARDS)
def test_a_card_shows_no_address(card_of) -> None:
    body = body_of(card_of(LIVE))
    assert not re.search(r"https?:|www\.|@evil|\]\(http|\]\(javascript", body, re.IGNORECASE)
