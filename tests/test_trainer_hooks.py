"""The private parts of transformers' Trainer that ours stands on are there, and all are named."""

import ast
import inspect
import re
import tomllib
from pathlib import Path

import transformers
from transformers import Trainer

from scribblegen.trainers.segmentation import trainer
from scribblegen.trainers.segmentation.trainer_hooks import ATTRIBUTES, PRIVATE_METHODS


def test_every_method_is_there_and_takes_what_we_rely_on():
    for name, needed in PRIVATE_METHODS.items():
        there = inspect.signature(getattr(Trainer, name)).parameters
        assert [parameter for parameter in needed if parameter not in there] == [], name


def test_every_attribute_is_read_or_set_there():
    source = inspect.getsource(Trainer)
    assert [name for name in ATTRIBUTES if f"self.{name}" not in source] == []


def test_the_epoch_is_said_by_keyword():
    source = inspect.getsource(Trainer)
    call = source[source.index("self._run_epoch(") :]
    assert re.search(r"\bepoch=epoch\b", call[: call.index(")")])


def test_no_other_private_part_is_used():
    used = set()
    for node in ast.walk(ast.parse(inspect.getsource(trainer))):
        if isinstance(node, ast.FunctionDef):
            used.add(node.name)
        elif isinstance(node, ast.Attribute):
            used.add(node.attr)
    private = {n for n in used if re.match(r"_[a-z]", n) and hasattr(Trainer, n)}
    assert private == PRIVATE_METHODS.keys()


def test_the_installed_version_is_one_that_may_be_installed():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))
    (required,) = (d for d in project["project"]["dependencies"] if d.startswith("transformers"))
    low, high = (tuple(map(int, v.split("."))) for v in re.findall(r"\d+\.\d+", required))
    installed = tuple(map(int, transformers.__version__.split(".")[:2]))
    assert low <= installed < high and high[1] == installed[1] + 1
