"""Training steps that are what they say: resumed, accumulated, over several processes."""

import numpy as np
import pytest
import torch
from transformers import SegformerConfig, SegformerForSemanticSegmentation, set_seed

from scribblegen.trainers.segmentation.backbone_training import head_parameters
from scribblegen.trainers.segmentation.config import SegmentationConfig
from scribblegen.trainers.segmentation.data import SegmentationRows
from scribblegen.trainers.segmentation.deeplab import (
    DeepLabV3PlusConfig,
    DeepLabV3PlusForSemanticSegmentation,
)
from scribblegen.trainers.segmentation.models import open_model
from scribblegen.trainers.segmentation.schemes import Scheme
from scribblegen.trainers.segmentation.trainer import SegmentationTrainer
from scribblegen.trainers.segmentation.views import SchemeSampler, Views, WholeImages

HALF = {"mean": (0.5,) * 3, "std": (0.5,) * 3}


class Squares(SegmentationRows):
    """Bright and dark squares on grey, a tenth of their pixels labelled; sizes differ."""

    def __init__(self, count=12, labelled=0.1):
        rng = np.random.default_rng(0)
        self.data = []
        for i in range(count):
            height, width = 32 + 4 * (i % 3), 40
            image = rng.integers(110, 140, (height, width, 3)).astype(np.uint8)
            mask = np.zeros((height, width), np.uint8)
            y, x = rng.integers(2, 18, 2)
            image[y : y + 12, x : x + 12] = 230 if i % 2 else 20
            mask[y : y + 12, x : x + 12] = 1 + i % 2
            mask[rng.random(mask.shape) > labelled] = 255
            self.data.append({"image": image, "label": mask})

    num_real = property(lambda self: len(self.data))

    def __len__(self):
        return len(self.data)

    def read(self, row):
        return self.data[row]


def small_model(kind):
    torch.manual_seed(0)
    labels = {
        "id2label": {0: "ground", 1: "dark", 2: "bright"},
        "label2id": {"ground": 0, "dark": 1, "bright": 2},
    }
    if kind == "segformer":
        config = SegformerConfig(
            depths=[1] * 4,
            hidden_sizes=[8, 16, 16, 16],
            num_attention_heads=[1] * 4,
            decoder_hidden_size=16,
            sr_ratios=[2, 2, 1, 1],
            classifier_dropout_prob=0.0,
            drop_path_rate=0.0,
            **labels,
        )
        return SegformerForSemanticSegmentation(config)
    if kind == "deeplab":
        backbone = {"embedding_size": 8, "hidden_sizes": [8, 16, 16, 16], "depths": [1] * 4}
        config = DeepLabV3PlusConfig(backbone, aspp_channels=16, low_level_channels=8, **labels)
        return DeepLabV3PlusForSemanticSegmentation(config)
    return open_model(tuple(labels["label2id"]))


def trainer(folder, kind="small", rows=None, **changes):
    options = {
        "output_dir": str(folder),
        "crop_size": 32,
        "num_train_epochs": 2,
        "use_cpu": True,
        "per_device_train_batch_size": 4,
        "learning_rate": 1e-3,
        "save_strategy": "no",
        "logging_strategy": "no",
        "disable_tqdm": True,
    }
    config = SegmentationConfig(**{**options, **changes})
    rows = rows or Squares()
    sampler = SchemeSampler(
        Scheme(name="none", num_real=len(rows), num_epochs=int(config.num_train_epochs))
    )
    set_seed(config.seed)
    return SegmentationTrainer(
        small_model(kind),
        config,
        sampler,
        train_dataset=Views(rows, config.augmentation(), seed=config.seed),
        eval_dataset=WholeImages(Squares(6, labelled=1.0)),
        **HALF,
    )


def weights(trained):
    return {k: v.clone() for k, v in trained.model.state_dict().items()}


def difference(one, other):
    return max(float((one[k].float() - other[k].float()).abs().max()) for k in one)


@pytest.mark.parametrize("kind", ["small", "segformer", "deeplab"])
def test_a_resumed_training_equals_an_uninterrupted_one(tmp_path, kind):
    whole = trainer(tmp_path / "whole", kind)
    whole.train()
    saving = {"save_strategy": "steps", "save_steps": 2}
    trainer(tmp_path / "cut", kind, **saving).train()
    again = trainer(tmp_path / "cut", kind, **saving)
    again.train(resume_from_checkpoint=str(tmp_path / "cut/checkpoint-2"))
    assert again.state.global_step == whole.state.global_step == 6
    assert difference(weights(again), weights(whole)) == 0


@pytest.mark.parametrize("kind", ["small", "segformer"])
def test_accumulation_equals_the_large_batch(tmp_path, kind):
    trained = []
    for batch, calls in ((4, 1), (2, 2), (1, 4)):
        one = trainer(
            tmp_path / f"{calls}",
            kind,
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=calls,
            optim="sgd",
            learning_rate=0.05,
            logging_strategy="steps",
            logging_steps=1,
        )
        if kind == "segformer":  # statistics of a batch are not those of its halves
            one.model.decode_head.batch_norm = torch.nn.GroupNorm(1, 16)
        one.train()
        losses = [entry["loss"] for entry in one.state.log_history if "loss" in entry]
        trained.append((losses, weights(one)))
    for losses, found in trained[1:]:
        assert losses == pytest.approx(trained[0][0], rel=1e-3)  # the log rounds to four digits
        assert difference(found, trained[0][1]) < 1e-5


def test_training_learns_and_every_pixel_is_counted(tmp_path):
    learner = trainer(
        tmp_path, num_train_epochs=60, learning_rate=3e-3, scale_min=1.0, scale_max=1.0
    )
    before = learner.evaluate()["eval_mean_iou"]
    learner.train()
    after = learner.evaluate()
    assert after["eval_mean_iou"] > max(0.7, before)
    matrices = learner.predict(learner.eval_dataset).predictions
    assert matrices.sum() == sum(row["label"].size for row in learner.eval_dataset.rows.data)


def test_the_best_checkpoint_is_really_loaded(tmp_path):
    best = trainer(
        tmp_path,
        "segformer",
        save_strategy="epoch",
        eval_strategy="epoch",
        load_best_model_at_end=True,
        selection_share=0.5,
        num_train_epochs=3,
    )
    best.train()
    chosen = SegformerForSemanticSegmentation.from_pretrained(best.state.best_model_checkpoint)
    assert difference(weights(best), chosen.state_dict()) == 0


def test_a_batch_without_a_label_does_not_spoil_the_weights(tmp_path):
    blank = trainer(tmp_path, "segformer", rows=Squares(4, labelled=0.0))
    before = {name: p.detach().clone() for name, p in blank.model.named_parameters()}
    blank.train()
    after = dict(blank.model.named_parameters())
    assert all(torch.isfinite(p).all() for p in after.values())
    assert difference(after, before) == 0, "nothing was said, nothing is learned"


@pytest.mark.parametrize("weight", ["dense_crf_weight", "gated_crf_weight", "absent_class_weight"])
def test_every_loss_reaches_the_weights(tmp_path, weight):
    plain, other = trainer(tmp_path / "a"), trainer(tmp_path / "b", **{weight: 1e-3})
    plain.train()
    other.train()
    assert difference(weights(plain), weights(other)) > 1e-6


def test_the_head_learns_faster_where_configured(tmp_path):
    faster = trainer(tmp_path, "deeplab", head_learning_rate_factor=10.0)
    faster.create_optimizer()
    rates = [group["lr"] for group in faster.optimizer.param_groups]
    sizes = [len(group["params"]) for group in faster.optimizer.param_groups]
    backbone, head = head_parameters(faster.model)
    assert rates == [1e-3, 1e-2] and sizes == [len(backbone), len(head)]
    assert sum(sizes) == sum(p.requires_grad for p in faster.model.parameters())


@pytest.mark.parametrize(
    ("options", "named"),
    [({"architecture": "poem"}, "`architecture`"), ({"architecture": "gpt2"}, "`architecture`")],
)
def test_unknown_architectures_are_refused(options, named):
    with pytest.raises(ValueError, match=named):
        open_model(("a", "b"), **options)
