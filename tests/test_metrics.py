"""The streaming metric: the same scores however the maps come in."""

import evaluate
import numpy as np
import pytest

from scribblegen.trainers.segmentation import metrics
from scribblegen.trainers.segmentation.boundary_iou import boundary_counts
from scribblegen.trainers.segmentation.metrics import MeanIoU

KEYS = ("mean_iou", "mean_accuracy", "overall_accuracy", "frequency_weighted_iou")


@pytest.fixture(scope="module")
def maps():
    rng = np.random.default_rng(0)
    references = rng.choice([0, 1, 2, 3, 255], (10, 16, 24)).astype(np.uint8)
    predictions = np.where(rng.random(references.shape) < 0.6, references, 1).astype(np.uint8)
    predictions[predictions == 255] = 0
    return predictions, references


def stock_mean_iou(predictions, references, num_labels):
    """The stock metric's way, with histograms, image by image."""
    intersections = unions = 0
    for prediction, reference in zip(predictions, references, strict=True):
        kept = reference != 255
        prediction, reference = prediction[kept], reference[kept]
        bins = {"bins": num_labels, "range": (0, num_labels - 1)}
        both = np.histogram(prediction[prediction == reference], **bins)[0]
        sizes = [np.histogram(values, **bins)[0] for values in (prediction, reference)]
        intersections, unions = intersections + both, unions + sum(sizes) - both
    return np.nanmean(intersections / np.where(unions, unions, np.nan))


def test_equals_the_stock_metric(maps):
    found = MeanIoU(num_labels=4).compute(predictions=maps[0], references=maps[1])
    assert found["mean_iou"] == pytest.approx(stock_mean_iou(*maps, 4), abs=1e-12)


def test_adding_in_parts_in_any_type_gives_the_same(maps):
    whole = MeanIoU(num_labels=4).compute(predictions=maps[0], references=maps[1])
    parts = MeanIoU(num_labels=4)
    parts.add_batch(predictions=maps[0][:3].astype(np.int64), references=maps[1][:3].tolist())
    for prediction, reference in zip(maps[0][3:], maps[1][3:], strict=True):
        parts.add(prediction=prediction, reference=reference)
    found = parts.compute()
    assert {k: found[k] for k in KEYS} == {k: whole[k] for k in KEYS}
    assert np.array_equal(found["per_category_iou"], whole["per_category_iou"])
    assert np.isnan(parts.compute()["mean_iou"]), "what was computed is forgotten"


def test_maps_of_any_sizes(maps):
    predictions = [maps[0][0], maps[0][1][:5], maps[0][2][:, :7]]
    references = [maps[1][0], maps[1][1][:5], maps[1][2][:, :7]]
    found = MeanIoU(num_labels=4).compute(predictions=predictions, references=references)
    flat = [np.concatenate([m.ravel() for m in maps_]) for maps_ in (predictions, references)]
    whole = MeanIoU(num_labels=4).compute(predictions=[flat[0]], references=[flat[1]])
    assert found["mean_iou"] == whole["mean_iou"]


def test_processes_add_up(maps):
    one, other = MeanIoU(num_labels=4), MeanIoU(num_labels=4)
    one.add_batch(predictions=maps[0][:4], references=maps[1][:4])
    other.add_batch(predictions=maps[0][4:], references=maps[1][4:])
    one.merge([other])
    whole = MeanIoU(num_labels=4).compute(predictions=maps[0], references=maps[1])
    assert one.compute()["mean_iou"] == whole["mean_iou"]


def test_evaluate_loads_it_from_its_file(maps, tmp_path, monkeypatch):
    metric = evaluate.load(metrics.__file__, num_labels=4, cache_dir=str(tmp_path))
    found = metric.compute(predictions=maps[0], references=maps[1])
    assert found["mean_iou"] == pytest.approx(stock_mean_iou(*maps, 4), abs=1e-12)
    late = evaluate.load(metrics.__file__, cache_dir=str(tmp_path)).compute(
        predictions=maps[0], references=maps[1], num_labels=4, ignore_index=255
    )
    assert late["mean_iou"] == found["mean_iou"]
    with pytest.raises(ValueError, match="`num_labels` must be given"):
        MeanIoU().add(prediction=maps[0][0], reference=maps[1][0])


def test_boundary_iou_looks_at_rims_alone():
    reference = np.zeros((60, 80), np.uint8)
    reference[10:50, 10:60] = 1
    shifted = np.roll(reference, 3, axis=1)
    whole = MeanIoU(num_labels=2, boundary=True)
    perfect = whole.compute(predictions=[reference], references=[reference])
    assert perfect["boundary_iou"] == 1
    found = whole.compute(predictions=[shifted], references=[reference])
    assert found["boundary_iou"] < found["mean_iou"] - 0.2
    # Rim of a square of 40 x 50 at 2 pixels (2 % of a diagonal of 100), counted by hand.
    assert boundary_counts(reference, reference, 2, 255)[1, 1] == 40 * 50 - 36 * 46


def test_no_rim_runs_along_ignored_pixels():
    reference = np.zeros((40, 40), np.uint8)
    reference[:, 20:] = 255
    counts = boundary_counts(np.zeros_like(reference), reference, 2, 255)
    border = 40 * 20 - 38 * 19  # one pixel along three sides of the picture
    assert counts[0, 0] == counts[1, 0] == border
