"""Attention maps of several sizes become one map of a class, as the weights say."""

import pytest
import torch

from scribblegen.segmenting.fusion import Fusion, fused, read_fusion

EVEN = {1: 1.0, 2: 1.0}


def test_each_size_is_normalised_before_the_mean():
    maps = {1: torch.tensor([[[0.2, 0.1], [0.0, 0.0]]]), 2: torch.tensor([[[50.0]]])}
    result = fused(maps, [EVEN], (2, 2))
    assert torch.allclose(result, torch.tensor([[[1.0, 0.75], [0.5, 0.5]]]))
    assert torch.allclose(fused(maps, [{1: 3.0, 2: 1.0}], (2, 2))[0, 1], torch.tensor([0.25, 0.25]))


def test_the_ways_to_normalise():
    maps = {1: torch.tensor([[[0.2, 0.4]], [[0.6, 0.1]]])}
    one = [{1: 1.0}] * 2
    by_max = fused(maps, one, (1, 2))
    assert torch.allclose(by_max, torch.tensor([[[0.5, 1.0]], [[1.0, 1 / 6]]]))
    ranges = fused(maps, one, (1, 2), normalise="min_max")
    assert torch.allclose(ranges, torch.tensor([[[0.0, 1.0]], [[1.0, 0.0]]]))
    shares = fused(maps, one, (1, 2), normalise="share")
    assert torch.allclose(shares, torch.tensor([[[0.25, 0.8]], [[0.75, 0.2]]]))
    with pytest.raises(ValueError, match="`normalise` must be one of"):
        fused(maps, one, (1, 2), normalise="softmax")


def test_larger_maps_stay_between_0_and_1_and_keep_their_place():
    spot = torch.zeros(1, 8, 8)
    spot[0, 2, 5] = 3.0
    large = fused({4: spot}, [{4: 1.0}], (64, 64))[0]
    assert large.min() == 0 and large.max() == 1
    top = large.argmax().item()
    assert (top // 64 // 8, top % 64 // 8) == (2, 5)


def test_a_word_without_a_map_stays_at_zero():
    assert not fused({1: torch.zeros(1, 4, 4)}, [{1: 1.0}], (8, 8)).any()


def test_widths_that_a_network_lacks_are_left_out():
    maps = {2: torch.tensor([[[1.0, 0.5]]])}
    assert torch.equal(fused(maps, [EVEN], (1, 2)), maps[2])
    with pytest.raises(ValueError, match=r"one of the widths that there are, \[2\]. Got \{8: 1"):
        fused(maps, [{8: 1.0}], (1, 2))


def test_maps_of_few_cells_say_nothing_beside_finer_ones():
    fine, few = torch.rand(1, 8, 8), torch.rand(1, 4, 4)
    both = fused({1: fine, 2: few}, [EVEN], (8, 8))
    assert torch.equal(both, fused({1: fine}, [EVEN], (8, 8)))
    alone = fused({1: fine, 2: few}, [{2: 1.0}], (8, 8))
    assert torch.equal(alone, fused({2: few}, [{2: 1.0}], (8, 8))), "unless they are all there is"


def test_fusions_that_ship():
    default, paper = read_fusion("default"), read_fusion("paper-voc")
    assert default.of("cat") == {1: 0.25, 2: 0.25, 4: 0.5} and default.factors == (1, 2, 4)
    assert paper.of("cat") == EVEN | {4: 1.0} and paper.of("sofa") == {8: 1.0}
    assert paper.of("diningtable") == {4: 1.0} and paper.factors == (1, 2, 4, 8)


def test_fusions_of_a_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("every: {2: 1}\nclasses: {cat: {1: 0.5, 2: 0.5}}\n", "utf-8")
    assert read_fusion(str(path)) == Fusion({2: 1.0}, {"cat": {1: 0.5, 2: 0.5}})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("classes: {}", "must have `every`"),
        ("every: {1: 1}\nothers: {}", "must have `every`, and may have `classes`"),
        ("every: {}", "`every` must map whole numbers"),
        ("every: {1: -1}", "`every` must map whole numbers"),
        ("every: {0: 1}", "`every` must map whole numbers"),
        ("every: {1: 0}", "not all 0"),
        ("every: {1: 1}\nclasses: {cat: 3}", "class cat must map whole numbers"),
        ("every: {1: 1}\nclasses: [cat]", "`classes` must map names"),
    ],
)
def test_files_that_are_no_fusion(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(ValueError, match=message):
        read_fusion(str(path))


def test_no_such_fusion():
    with pytest.raises(
        FileNotFoundError, match="default, paper-voc or a YAML file. Got 'papervoc'"
    ):
        read_fusion("papervoc")
