"""README and the pages that it leads to: short, with links that lead somewhere."""

import re
from pathlib import Path

import pytest

from scribblegen.cli import COMMANDS
from scribblegen.commands.study.arms import shipped_arms
from scribblegen.configs import read_config
from scribblegen.recipes import recipe_names

ROOT = Path(__file__).parents[1]
PAGES = (
    "README.md",
    "scribblegen/README.md",
    "builders/README.md",
    "tests/benchmarks/RESULTS.md",
    "scribblegen/tiny/README.md",
)


def anchors(page):
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_to_a_file_and_a_heading(name):
    page = ROOT / name
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text("utf-8")):
        if not link.startswith("https://"):
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("name", PAGES)
def test_every_command_and_recipe_that_is_shown_exists(name):
    text = (ROOT / name).read_text("utf-8")
    blocks = "".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    assert set(re.findall(r"^scribblegen (\S+)", blocks, re.MULTILINE)) <= COMMANDS.keys()
    recipes = set(re.findall(r"--config\s+([\w-]+)(?![\w.-])", text))
    assert recipes <= set(recipe_names())
    for line in blocks.splitlines():
        (recipe,) = re.findall(r"^scribblegen study --config (\S+)", line) or [None]
        own = recipe and read_config(recipe).get("arms", {})
        for arms in re.findall(r"--arms ((?:[^-\s]\S*\s)+)", line):
            assert set(arms.split()) <= {*shipped_arms(), *own}


def test_readme_is_read_in_one_go():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) < 200
