"""What a method may be and do, and what is said where one does something else."""

from functools import partial
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from datasets import Features, Value

from scribblegen.builders.prompts import PromptSource
from scribblegen.builders.prompts_config import PromptsConfig
from scribblegen.methods import table
from scribblegen.methods.base import Place, Record, Shared, Subset
from scribblegen.methods.scribblegen_config import ScribbleGenConfig
from scribblegen.runs.generation import generate_parts
from scribblegen.runs.manifest import read_manifest
from scribblegen.runs.shards import plan_units
from scribblegen.runs.shares import Part

FEATURES = Features({"source_id": Value("string"), "number": Value("int32")})
SOURCE = PromptSource(PromptsConfig(classes="cat,dog", num_samples=4))


class Numbers:
    """Two records for each prompt, each item's in falling order; `change` makes other ones."""

    def __init__(self, change=lambda records: records):
        self.config, self.change = None, change
        self.subsets = [Subset(name="numbers", features=FEATURES, records_per_item=2)]

    def generate(self, items):
        for place, prompt in items:
            rows = [partial(self.row, prompt.source_id, number) for number in range(2)]
            records = [Record(place, "numbers", i, row) for i, row in enumerate(rows)]
            yield from self.change(records[::-1])

    def row(self, source_id: str, number: int) -> dict[str, Any] | str:
        if source_id == "dog-000000" and number == 1:
            return "an odd number"
        return {"source_id": source_id, "number": number}

    def remarks(self):
        return {}

    def profile(self, seconds, wall):
        return ""


def run(method, folder):
    (unit,) = plan_units("train", len(SOURCE), 8)
    return generate_parts(method, {"train": SOURCE}, [Part.whole(unit)], folder)


def test_records_are_written_by_position_and_order_whatever_came_first(tmp_path):
    import pyarrow.parquet as pq

    assert run(Numbers(), tmp_path).images == 8
    table = pq.read_table(tmp_path / "numbers" / "train-00000-of-00001.parquet")
    expected = [(s, n) for s in SOURCE.source_ids for n in range(2)]
    expected.remove(("dog-000000", 1))
    assert list(zip(*(table[c].to_pylist() for c in table.column_names), strict=True)) == expected
    (unit,) = read_manifest(tmp_path)["units"]
    assert unit["rejections"] == [
        {"source_id": "dog-000000", "reason": "an odd number", "subset": "numbers"}
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda records: records[:1], "every record .* 4 records of sources 0 to 3 of split train"),
        (lambda records: [*records, records[0]], "`records_per_item` records. Got one more of "),
        (
            lambda records: [Record(records[0].place, "letters", 0, records[0].row)],
            r"one of the subsets \['numbers'\] .* Got one of 'letters'",
        ),
    ],
)
def test_records_that_were_not_announced_are_an_error(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        run(Numbers(change), tmp_path)
    assert not list(tmp_path.rglob("*.parquet")), "nothing stands for a part of it"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "../up"}, "`name` of a subset must be of letters"),
        ({"name": ".hidden"}, "`name` of a subset must be of letters"),
        ({"features": Features({"number": Value("int32")})}, "must have a column `source_id`"),
        ({"pictures": {"image": "here"}}, r"must be columns of it. Got \['image'\]"),
    ],
)
def test_a_subset_that_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Subset(**{"name": "a-b_1.5+", "features": FEATURES, **options})


def test_a_method_is_found_by_its_name_and_by_its_config():
    assert table.method_name(ScribbleGenConfig()) == "scribblegen"
    assert table.method_entry("scribblegen").config_type() is ScribbleGenConfig
    with pytest.raises(ValueError, match=r"`method` must be one of \['cdsp', .*Got 'magic'"):
        table.method_entry("magic")
    with pytest.raises(ValueError, match="must be the options of a method. Got a .*PromptsConfig"):
        table.method_name(PromptsConfig(classes="cat"))


def test_an_entry_point_that_is_none_is_refused_by_name(monkeypatch):
    point = EntryPoint("odd", "scribblegen.records:DEFAULT_SUBSET", table.ENTRY_POINTS)
    monkeypatch.setattr(table, "entry_points", lambda group: [point])
    assert table.method_choice().names == (*table.METHODS, "odd")
    with pytest.raises(ValueError, match="`method` odd: the entry point .* must be .* Got str"):
        table.method_entry("odd")


def test_what_records_share_is_made_once_and_then_let_go():
    made = []
    shared = Shared(lambda: made.append(1) or len(made))
    assert [shared(), shared()] == [1, 1] and made == [1]
    assert Place("train", 0, 1) == Place("train", 0, 1)
