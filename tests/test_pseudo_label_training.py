"""Pseudo labels, doubt and rectification in a training: what is read, learned, saved, resumed."""

import json
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Image, List, Value
from safetensors.torch import load_file
from torch.utils.data import DataLoader
from transformers import AutoModelForSemanticSegmentation

from scribblegen.builders.scenes.kinds import SCENE_CLASSES
from scribblegen.segmenting.distance import boundary_distance_weight, scribble_distance_weight
from scribblegen.trainers.segmentation.config import SegmentationConfig
from scribblegen.trainers.segmentation.data import open_rows
from scribblegen.trainers.segmentation.pseudo_label_terms import pseudo_label_terms
from scribblegen.trainers.segmentation.run import train_segmentation
from scribblegen.trainers.segmentation.schemes import Scheme
from scribblegen.trainers.segmentation.terms import weighed_losses
from scribblegen.trainers.segmentation.trainer import SegmentationTrainer
from scribblegen.trainers.segmentation.views import SchemeSampler, Views
from tests.subset_files import encoded, write_card

SIZE = 64
CDSP = {
    "pseudo_label_weight": 1.0,
    "distance_entropy_weight": 1.0,
    "rectification_weight": 1.0,
    "entropy_weight": 0.1,
}
TERMS = ("pseudo_label", "scribble_distance", "boundary_distance")


@pytest.fixture(scope="module")
def repository(scenes, tmp_path_factory):
    """Scenes, with their masks as pseudo labels, a band of them left open."""
    folder = tmp_path_factory.mktemp("cdsp")
    pictures = {
        "image": [s.image for s in scenes],
        "label": [s.scribble for s in scenes],
        "mask": [s.mask for s in scenes],
        "pseudo_label": [np.where(np.arange(SIZE)[:, None] < 8, 255, s.mask) for s in scenes],
    }
    rows = {
        name: [encoded(np.asarray(p, np.uint8)) for p in held] for name, held in pictures.items()
    }
    rows["classes"] = [[0] for _ in scenes]
    rows["source_id"] = [s.source_id for s in scenes]
    types = dict.fromkeys(pictures, Image()) | {
        "classes": List(ClassLabel(names=list(SCENE_CLASSES.names))),
        "source_id": Value("string"),
    }
    for subset, left in (("real", ""), ("plain", "pseudo_label")):
        held = {name: rows[name] for name in rows if name != left}
        path = folder / subset / "train-00000-of-00001.parquet"
        path.parent.mkdir(parents=True)
        Dataset.from_dict(held, Features({n: types[n] for n in held})).to_parquet(path)
    write_card(folder, "real", "plain")
    return str(folder)


def options(repository, folder, **changes):
    return {
        "real": repository,
        "eval_split": "",
        "output_dir": str(folder),
        "crop_size": 48,
        "max_steps": 3,
        "per_device_train_batch_size": 2,
        "learning_rate": 1e-3,
        "save_strategy": "no",
        "logging_strategy": "no",
        "disable_tqdm": True,
        "report_to": "none",
        "use_cpu": True,
        **changes,
    }


def config_of(repository, folder, **changes):
    return SegmentationConfig(**options(repository, folder, **changes))


def difference(one, other):
    one, other = load_file(one), load_file(other)
    assert one.keys() == other.keys()
    return max(float((one[k].float() - other[k].float()).abs().max()) for k in one)


def views_of(repository, **changes):
    config = config_of(repository, "none", **changes)
    rows = open_rows(repository, [], maps=config.maps())
    return Views(rows, config.augmentation(), seed=0)


def batches(views, **changes):
    sampler = SchemeSampler(Scheme(name="none", num_real=len(views)))
    return list(DataLoader(views, batch_size=4, sampler=sampler, **changes))


def test_distances_stay_in_pixels_of_the_photograph(repository):
    views = views_of(repository, scale_min=1.5, scale_max=1.5, flip=0.0, **CDSP)
    near, far = zip(
        *(
            (
                scribble_distance_weight(views.rows.read(row)["label"]),
                boundary_distance_weight(views.rows.read(row)["pseudo_label"]),
            )
            for row in range(len(views))
        ),
        strict=True,
    )
    for batch in batches(views):
        assert batch.keys() == {"pixel_values", "labels", "inside", "drawn", *TERMS}
        assert batch["scribble_distance"].dtype == torch.float32
        assert set(batch["scribble_distance"].unique().tolist()) <= set(np.unique(near).tolist())
        assert set(batch["boundary_distance"].unique().tolist()) <= set(np.unique(far).tolist())
        drawn = (batch["labels"] != 255) & (batch["labels"] != 0)
        assert (batch["scribble_distance"][drawn] == 1).float().mean() > 0.9


def test_distances_are_measured_again_in_the_view_where_asked(repository):
    views = views_of(
        repository, scale_min=0.5, scale_max=2.0, distance_recompute=True, flip=0.5, **CDSP
    )
    assert views.rows.read(0).keys() == {"image", "label", "pseudo_label"}
    whole = [item for batch in batches(views) for item in zip(*batch.values(), strict=True)]
    for item in whole:
        item = dict(zip(("pixel_values", "labels", "inside", "drawn", *TERMS), item, strict=True))
        inside = item["inside"]
        rows, columns = (int(inside.any(dim=d).sum()) for d in (1, 0))
        shown = [
            item[name][inside].reshape(rows, columns).numpy()
            for name in ("labels", "pseudo_label", "scribble_distance", "boundary_distance")
        ]
        labels, pseudo = (ids.astype(np.uint8) for ids in shown[:2])
        assert np.array_equal(shown[2], scribble_distance_weight(labels))
        assert np.array_equal(shown[3], boundary_distance_weight(pseudo))


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_padding_weighs_nothing_but_in_the_reference(repository, weight):
    views = views_of(repository, scale_min=0.5, scale_max=0.6, distance_pad_weight=weight, **CDSP)
    for batch in batches(views):
        out = ~batch["inside"]
        assert out.any() and (batch["pseudo_label"][out] == 255).all()
        assert (batch["scribble_distance"][out] == weight).all()
        assert (batch["boundary_distance"][out] == weight).all()


def test_workers_read_what_one_process_reads(repository):
    alone, helped = (batches(views_of(repository, **CDSP), num_workers=n) for n in (0, 2))
    sent = batches(pickle.loads(pickle.dumps(views_of(repository, **CDSP))))  # as to a spawned one
    for one, other, third in zip(alone, helped, sent, strict=True):
        assert all(torch.equal(one[key], other[key]) for key in one)
        assert all(torch.equal(one[key], third[key]) for key in one)


@pytest.mark.parametrize("reference", [False, True])
def test_padding_adds_to_no_term_but_in_the_reference(repository, reference):
    parity = {"ignore_to_background": reference, "distance_pad_weight": float(reference)}
    views = views_of(repository, scale_min=0.5, scale_max=0.6, **CDSP, **parity)
    terms = pseudo_label_terms(config_of(repository, "none", **CDSP, **parity))
    (batch, *_) = batches(views)
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 12, 48, 48, generator=random, requires_grad=True)
    out = ~batch["inside"][:, None].expand_as(logits)
    touched = []
    for term in terms:
        (loss,) = weighed_losses([term], logits, batch, None).values()
        (gradient,) = torch.autograd.grad(loss, logits)
        assert (gradient[~out] != 0).any()
        touched.append(bool((gradient[out] != 0).any()))
    assert touched == [reference, False, reference, reference], "the plain entropy has no parity"


def test_a_killed_training_goes_on_to_the_same_weights(repository, tmp_path):
    saving = {"save_strategy": "steps", "save_steps": 2, "max_steps": 6, **CDSP}
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train_segmentation(config_of(repository, whole, **saving))
    shutil.copytree(whole, cut)
    for later in (*cut.glob("checkpoint-[46]"), cut / "model.safetensors"):
        shutil.rmtree(later) if later.is_dir() else later.unlink()
    train_segmentation(config_of(repository, cut, resume_from_checkpoint="latest", **saving))
    for file in ("model.safetensors", "checkpoint-6/rectification/weights.safetensors"):
        assert difference(whole / file, cut / file) == 0
    own = [whole / f"checkpoint-{n}/rectification/weights.safetensors" for n in (2, 6)]
    assert difference(*own) > 1e-5, "it is trained"
    assert all((load_file(own[0])[k] != load_file(own[1])[k]).any() for k in load_file(own[0]))
    saved = cut / "checkpoint-6/rectification/weights.safetensors"
    saved.write_bytes(saved.read_bytes()[:-9])
    with pytest.raises(ValueError, match="checkpoint-6 is damaged: rectification/weights"):
        train_segmentation(config_of(repository, cut, resume_from_checkpoint="latest", **saving))
    shutil.rmtree(saved.parent)
    with pytest.raises(ValueError, match="`resume_from_checkpoint`.*rectification.*is not there"):
        train_segmentation(config_of(repository, cut, resume_from_checkpoint="latest", **saving))


def test_what_is_published_knows_nothing_of_the_losses(repository, tmp_path):
    kinds = {"plain": {}, "cdsp": CDSP}
    for name, terms in kinds.items():
        train_segmentation(config_of(repository, tmp_path / name, **terms))
    plain, cdsp = (
        {str(p.relative_to(tmp_path / name)) for p in (tmp_path / name).rglob("*")}
        for name in kinds
    )
    assert plain == cdsp
    graphs = []
    for name in kinds:
        model = AutoModelForSemanticSegmentation.from_pretrained(tmp_path / name).eval()
        program = torch.export.export(model, (torch.zeros(1, 3, 32, 32),))
        graphs.append((str(program.graph), [(k, v.shape) for k, v in model.state_dict().items()]))
    assert graphs[0] == graphs[1]
    assert difference(*(tmp_path / name / "model.safetensors" for name in kinds)) > 1e-6


class Watching(SegmentationTrainer):
    unchanged: list = []

    def segmentation_loss(self, outputs, batch):
        tensors = {k: v for k, v in batch.items() if isinstance(v, torch.Tensor)}
        before = {k: v.clone() for k, v in tensors.items()}
        loss = super().segmentation_loss(outputs, batch)
        loss.backward(retain_graph=True)
        self.unchanged.append(all(torch.equal(tensors[k], before[k]) for k in before))
        return loss


def test_a_step_leaves_labels_and_weights_as_they_were(repository, tmp_path):
    Watching.unchanged.clear()
    parity = {"ignore_to_background": True, "distance_pad_weight": 1.0}
    train_segmentation(config_of(repository, tmp_path, **CDSP, **parity), Watching)
    assert Watching.unchanged == [True] * 3


@pytest.mark.parametrize(
    "terms",
    [
        # Padding, which differs from call to call, is what makes their counts differ.
        {**CDSP, "rectification_weight": 0.0, "scale_min": 0.4, "scale_max": 0.9},
        # The module's mean is one of a call: what it counts is not known before.
        {"rectification_weight": 1.0, "scale_min": 1.0, "scale_max": 1.0},
    ],
)
def test_means_stay_means_when_calls_accumulate(repository, tmp_path, terms):
    files = []
    for batch, calls in ((4, 1), (2, 2), (1, 4)):
        config = config_of(
            repository,
            tmp_path / str(calls),
            optim="sgd",
            learning_rate=0.05,
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=calls,
            **terms,
        )
        train_segmentation(config)
        files.append(tmp_path / str(calls) / "model.safetensors")
    assert all(difference(files[0], other) < 1e-5 for other in files[1:])


SHORT = {"max_steps": 2, "scale_max": 1.0, **CDSP}


@pytest.fixture(scope="module")
def usual(repository, tmp_path_factory):
    folder = tmp_path_factory.mktemp("usual")
    train_segmentation(config_of(repository, folder, **SHORT))
    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize(
    "changes",
    [
        {"pseudo_label_weight": 0.0},
        {"pseudo_label_smoothing": 0.0},
        {"ignore_to_background": True},
        {"entropy_weight": 0.0},
        {"distance_entropy_weight": 0.0},
        {"scribble_lambda": 9.0},
        {"boundary_lambda": 30.0},
        {"include_background_strokes": True},
        {"class_wise_contours": True},
        {"distance_quantise": True},
        {"distance_recompute": True},
        {"distance_pad_weight": 1.0},
        {"rectification_weight": 0.0},
        {"rectification_temperature": 0.1},
        {"rectification_mask_background": True},
        {"rectification_mask_resize": "bilinear"},
        {"rectification_padding": True},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_every_option_reaches_the_weights(repository, tmp_path, usual, changes):
    train_segmentation(config_of(repository, tmp_path, **{**SHORT, **changes}))
    other = load_file(tmp_path / "model.safetensors")
    assert any((usual[k] != other[k]).any() for k in other)


def test_the_same_options_give_the_same_weights(repository, tmp_path, usual):
    train_segmentation(config_of(repository, tmp_path, **SHORT))
    again = load_file(tmp_path / "model.safetensors")
    assert all(torch.equal(usual[k], again[k]) for k in usual)


def test_two_processes_train_the_module_as_one(repository, tmp_path):
    shared = {
        "optim": "sgd",
        "learning_rate": 0.1,
        "scale_min": 1.0,
        "scale_max": 1.0,
        "save_strategy": "steps",
        "save_steps": 3,
        **CDSP,
    }
    train_segmentation(
        config_of(repository, tmp_path / "one", per_device_train_batch_size=4, **shared)
    )
    flags = [
        f"--{k}={v}"
        for k, v in options(repository, tmp_path / "two", num_processes=2, **shared).items()
    ]
    run = subprocess.run(
        [sys.executable, "-m", "scribblegen", "train-segmentation", *flags],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    for file in ("model.safetensors", "checkpoint-3/rectification/weights.safetensors"):
        assert difference(tmp_path / "one" / file, tmp_path / "two" / file) < 1e-5


@pytest.mark.parametrize("option", ["pseudo_label", "distance_entropy", "rectification"])
def test_a_subset_without_pseudo_labels_is_refused_with_what_to_do(repository, tmp_path, option):
    config = config_of(f"{repository}:plain", tmp_path / "model", **{f"{option}_weight": 1.0})
    with pytest.raises(ValueError, match="(?s)reads `pseudo_label`.*scribblegen pseudo-label"):
        train_segmentation(config)
    assert not (tmp_path / "model").exists()
    train_segmentation(config_of(f"{repository}:plain", tmp_path / "entropy", entropy_weight=1.0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pseudo_label_weight": -1.0}, "`pseudo_label_weight` must be 0 or more. Got -1.0"),
        ({"rectification_weight": float("nan")}, "`rectification_weight` must be 0 or more"),
        ({"pseudo_label_smoothing": 1.5}, r"`pseudo_label_smoothing` must be in \[0, 1\]"),
        ({"distance_pad_weight": 255.0}, r"`distance_pad_weight` must be in \[0, 1\]. Got 255"),
        ({"scribble_lambda": 0.0}, "`scribble_lambda` must be above 0"),
        ({"rectification_temperature": 0.0}, "`rectification_temperature` must be above 0"),
        ({"rectification_mask_resize": "cubic"}, "`rectification_mask_resize` must be one of"),
        ({"select_on": "val"}, "`select_on` must be one of"),
        ({"select_on": "report"}, "`select_on` report needs `load_best_model_at_end`"),
    ],
)
def test_what_means_nothing_is_refused(repository, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        config_of(repository, tmp_path, **changes)


def test_the_best_may_be_chosen_on_what_is_reported_and_the_run_says_so(repository, tmp_path):
    choosing = {
        "select_on": "report",
        "load_best_model_at_end": True,
        "eval_split": "train",
        "eval_strategy": "steps",
        "eval_steps": 1,
        "save_strategy": "steps",
        "save_steps": 1,
    }
    measured = train_segmentation(config_of(repository, tmp_path, **choosing))
    state = json.loads((tmp_path / "trainer_state.json").read_text())
    assert state["best_metric"] == pytest.approx(measured["eval_mean_iou"])
    assert "chosen on the very images" in " ".join((tmp_path / "README.md").read_text().split())
