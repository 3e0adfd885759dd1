"""From repositories to a measured model in a folder."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from huggingface_hub import ModelCard
from PIL import Image
from safetensors.torch import load_file
from transformers import (
    AutoModelForSemanticSegmentation,
    BeitConfig,
    BeitForSemanticSegmentation,
    DPTConfig,
    DPTForSemanticSegmentation,
    MobileNetV2Config,
    MobileNetV2ForSemanticSegmentation,
    ResNetConfig,
    SegformerConfig,
    SegformerForSemanticSegmentation,
    SegformerImageProcessor,
    UperNetConfig,
    UperNetForSemanticSegmentation,
    pipeline,
)

from scribblegen.builders.config import ScenesConfig
from scribblegen.builders.scenes.kinds import SCENE_CLASSES
from scribblegen.cli import main
from scribblegen.commands.build import build
from scribblegen.methods.scribblegen_config import ScribbleGenConfig
from scribblegen.trainers.segmentation.config import SegmentationConfig
from scribblegen.trainers.segmentation.opening import open_data
from scribblegen.trainers.segmentation.run import train_segmentation

TWINS = ("guidance1-encode0.5", "guidance1-encode1")
SIZE = 48


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repository") / "scenes"
    grid = ScribbleGenConfig(
        guidance_scales=[1.0],
        encode_ratios=[0.5, 1.0],
        num_inference_steps=2,
        replicates=3,
        rows=4,
        pipeline="random",
    )
    source = ScenesConfig(ids="0:8", test_ids="50:54", scene_size=SIZE)
    build(source, grid, output_dir=folder)
    return str(folder)


def options_of(repository, output_dir, **changes):
    twins = [f"{repository}:{name}" for name in TWINS]
    return {
        "real": repository,
        "synthetic": twins,
        "scheme": "uniform",
        "eval_split": "test",
        "output_dir": str(output_dir),
        "crop_size": SIZE,
        "max_steps": 6,
        "per_device_train_batch_size": 4,
        "learning_rate": 1e-3,
        "save_strategy": "no",
        "logging_strategy": "no",
        "disable_tqdm": True,
        "report_to": "none",
        **changes,
    }


def config_of(repository, output_dir, **changes):
    return SegmentationConfig(**options_of(repository, output_dir, **changes))


def weights(folder):
    return load_file(folder / "model.safetensors")


def difference(one, other):
    one, other = weights(one), weights(other)
    return max(float((one[k].float() - other[k].float()).abs().max()) for k in one)


def test_the_folder_is_a_model_with_card_and_figures(repository, tmp_path):
    measured = train_segmentation(config_of(repository, tmp_path / "model", max_steps=40))
    folder = tmp_path / "model"
    assert measured["eval_images"] == 4 and 0 < measured["eval_mean_iou"] < 1
    assert json.loads((folder / "all_results.json").read_text())["eval_iou_sky"] == pytest.approx(
        measured["eval_iou_sky"]
    )
    card = ModelCard.load(folder / "README.md")
    assert card.data.pipeline_tag == "image-segmentation"
    (result,) = [r for r in card.data.eval_results if r.metric_type == "mean_iou"]
    assert result.metric_value == measured["eval_mean_iou"]
    assert f"| sky | {measured['eval_iou_sky']:.4f} |" in card.text
    assert "scribblegen train-segmentation --" in card.text and " --real=scenes " in card.text
    assert str(tmp_path) not in card.content and repository not in card.content
    model = AutoModelForSemanticSegmentation.from_pretrained(folder)
    assert model.config.id2label == dict(enumerate(SCENE_CLASSES.names))
    assert model.config.label2id["sky"] == 0


def test_the_pipeline_of_transformers_sees_what_was_measured(repository, tmp_path):
    config = config_of(repository, tmp_path, scheme="none", synthetic=[], max_steps=100)
    measured = train_segmentation(config)
    segmentor = pipeline("image-segmentation", model=str(tmp_path))
    right = counted = 0
    report = open_data(config).report
    for row in range(report.num_real):
        read = report.read(row)
        mask = read["label"]
        parts = segmentor(Image.fromarray(read["image"]), subtask="semantic")
        for part in parts:
            found = np.asarray(part["mask"]) > 0
            right += (mask[found] == SCENE_CLASSES.names.index(part["label"])).sum()
            counted += found.sum()
    assert counted == 4 * SIZE * SIZE
    assert right / counted == pytest.approx(measured["eval_overall_accuracy"], abs=2e-3)


@pytest.mark.parametrize("scheme", ["adaptive", "curriculum"])
def test_a_killed_run_goes_on_to_the_same_weights(repository, tmp_path, scheme):
    # Five of the steps lie inside an epoch of two.
    saving = {"scheme": scheme, "save_strategy": "steps", "save_steps": 3, "max_steps": 9}
    train_segmentation(config_of(repository, tmp_path / "whole", **saving))
    cut = tmp_path / "cut"
    shutil.copytree(tmp_path / "whole", cut)
    for later in (*cut.glob("checkpoint-[69]"), cut / "model.safetensors"):
        shutil.rmtree(later) if later.is_dir() else later.unlink()
    train_segmentation(config_of(repository, cut, resume_from_checkpoint="latest", **saving))
    assert difference(cut, tmp_path / "whole") == 0
    with pytest.raises(ValueError, match="holds another training: scheme: .* learning_rate"):
        other = {**saving, "scheme": "uniform", "learning_rate": 0.1}
        train_segmentation(config_of(repository, cut, resume_from_checkpoint="latest", **other))


def test_two_processes_train_and_count_as_one(repository, tmp_path):
    shared = {"optim": "sgd", "learning_rate": 0.1, "scheme": "none", "synthetic": []}
    one = train_segmentation(config_of(repository, tmp_path / "one", **shared))
    options = options_of(
        repository,
        tmp_path / "two",
        per_device_train_batch_size=2,
        use_cpu=True,
        num_processes=2,
        **shared,
    )
    flags = [f"--{k}={v}" for k, v in options.items() if not isinstance(v, list)]
    run = subprocess.run(
        [sys.executable, "-m", "scribblegen", "train-segmentation", *flags],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    two = json.loads((tmp_path / "two/eval_results.json").read_text())
    assert two["eval_images"] == 4
    assert difference(tmp_path / "one", tmp_path / "two") < 1e-5
    assert two["eval_mean_iou"] == pytest.approx(one["eval_mean_iou"], abs=1e-3)
    assert f"eval_mean_iou{'':<27} {two['eval_mean_iou']:.4f}" in run.stdout


def test_the_best_checkpoint_is_chosen_apart_from_what_is_reported(repository, tmp_path):
    config = config_of(
        repository,
        tmp_path,
        selection_share=0.25,
        load_best_model_at_end=True,
        eval_strategy="steps",
        eval_steps=3,
        save_strategy="steps",
        save_steps=3,
    )
    data = open_data(config)
    ids = [set(rows.tables[0]["source_id"]) for rows in (data.training, data.selection)]
    assert [len(i) for i in ids] == [6, 2] and not ids[0] & ids[1]
    assert {len(s.rows) for s in data.training.twin_sets} == {6}
    for number, twins in enumerate(data.training.twin_sets[0].rows):
        own = data.training.tables[0][number]["source_id"]
        assert {data.training.tables[1][t - 6]["source_id"] for t in twins} == {own}
    measured = train_segmentation(config)
    state = json.loads((tmp_path / "trainer_state.json").read_text())
    assert state["best_metric"] == pytest.approx(measured["selection_mean_iou"])
    assert measured["selection_images"] == 2 and measured["eval_images"] == 4
    with pytest.raises(ValueError, match="needs a `selection_share`"):
        config_of(repository, tmp_path, load_best_model_at_end=True, eval_strategy="epoch")


def test_twins_are_chosen_by_agreement_and_by_distance(repository, tmp_path):
    plain = train_segmentation(
        config_of(repository, tmp_path / "judge", scheme="none", synthetic=[], max_steps=60)
    )
    assert plain["eval_overall_accuracy"] > 0.2
    judge = {"agreement_model": str(tmp_path / "judge")}

    def twins(folder, **options):
        train_segmentation(config_of(repository, tmp_path / folder, max_steps=1, **options))
        return json.loads((tmp_path / folder / "run.json").read_text())["twins"]

    assert twins("all") == 2 * 8 * 3
    assert twins("best", best_twins=1, **judge) == 2 * 8
    assert 0 < twins("agreed", min_agreement=0.3, **judge) < 2 * 8 * 3
    assert 0 < twins("near", max_source_distance=0.25) < 2 * 8 * 3
    with pytest.raises(ValueError, match="`synthetic` must name a subset with twins"):
        twins("none", min_agreement=1.1, **judge)
    with pytest.raises(ValueError, match="must be given with `agreement_model`"):
        config_of(repository, tmp_path, **judge)


def _backbone():
    stages = [f"stage{number}" for number in (1, 2, 3, 4)]
    return ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16, 16, 16],
        depths=[1] * 4,
        layer_type="basic",
        out_features=stages,
    )


SMALL_MODELS = {
    "segformer": lambda: SegformerForSemanticSegmentation(
        SegformerConfig(
            depths=[1] * 4,
            hidden_sizes=[8, 16, 16, 16],
            num_attention_heads=[1] * 4,
            decoder_hidden_size=16,
            num_labels=5,
        )
    ),
    "upernet": lambda: UperNetForSemanticSegmentation(
        UperNetConfig(
            backbone_config=_backbone(),
            hidden_size=16,
            auxiliary_channels=8,
            auxiliary_in_channels=16,
            num_labels=5,
        )
    ),
    "dpt": lambda: DPTForSemanticSegmentation(
        DPTConfig(
            hidden_size=16,
            num_hidden_layers=4,
            num_attention_heads=2,
            intermediate_size=32,
            image_size=SIZE,
            patch_size=8,
            backbone_out_indices=[0, 1, 2, 3],
            neck_hidden_sizes=[8, 8, 16, 16],
            fusion_hidden_size=16,
            num_labels=5,
        )
    ),
    "beit": lambda: BeitForSemanticSegmentation(
        BeitConfig(
            hidden_size=16,
            num_hidden_layers=4,
            num_attention_heads=2,
            intermediate_size=32,
            image_size=SIZE,
            patch_size=8,
            out_indices=[1, 2, 3, 4],
            auxiliary_channels=8,
            num_labels=5,
        )
    ),
    "mobilenet_v2": lambda: MobileNetV2ForSemanticSegmentation(
        MobileNetV2Config(depth_multiplier=0.35, num_labels=5)
    ),
}


@pytest.mark.parametrize("kind", SMALL_MODELS)
def test_segmentors_of_transformers(repository, tmp_path, kind):
    given = tmp_path / "pretrained"
    SMALL_MODELS[kind]().save_pretrained(given)
    SegformerImageProcessor(image_mean=[0.4] * 3, image_std=[0.3] * 3).save_pretrained(given)
    window = {"eval_window": SIZE} if kind in ("beit", "dpt") else {}  # of one input size
    config = config_of(
        repository, tmp_path / "trained", model_name_or_path=str(given), max_steps=2, **window
    )
    measured = train_segmentation(config)
    assert 0 <= measured["eval_overall_accuracy"] <= 1
    again = AutoModelForSemanticSegmentation.from_pretrained(tmp_path / "trained")
    assert again.config.model_type == kind and again.config.num_labels == 12
    segmentor = pipeline("image-segmentation", model=str(tmp_path / "trained"))
    assert list(segmentor.image_processor.image_mean) == [0.4] * 3
    parts = segmentor(Image.new("RGB", (70, 90)), subtask="semantic")
    assert sum((np.asarray(part["mask"]) > 0).sum() for part in parts) == 70 * 90


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"real": None}, "`real` must be given"),
        ({"labels": "boxes"}, "`labels` must be one of"),
        ({"scheme": "poem"}, "`scheme` must be one of.*uniform"),
        ({"scheme": "none"}, "`scheme` must be one that draws twins"),
        ({"synthetic": []}, "`synthetic` must name a subset"),
        ({"eval_split": "validation"}, "no split validation of subset real"),
        ({"selection_share": 1.0}, r"`selection_share` must be in \[0, 1\)"),
        ({"selection_share": 0.99}, "leaves none to train on"),
        ({"eval_protocol": "thumb"}, "`eval_protocol` must be one of"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_work(repository, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        train_segmentation(config_of(repository, tmp_path / "model", **changes))
    assert not (tmp_path / "model").exists()


def test_an_unknown_subset_is_refused_with_those_that_there_are(repository, tmp_path, capsys):
    flags = ["--real", repository, "--synthetic", f"{repository}:guidance9", "--scheme", "uniform"]
    with pytest.raises(SystemExit, match="(?s)guidance9.*guidance1-encode0.5"):
        main(["train-segmentation", *flags, "--eval_split", "test", "--output_dir", str(tmp_path)])
    with pytest.raises(SystemExit, match="`output_dir` must be given"):
        main(["train-segmentation", *flags])


def test_the_paper_crops_what_it_measures(repository, tmp_path):
    config = config_of(repository, tmp_path, eval_protocol="crop513", crop_size=32, max_steps=1)
    assert config.inference().size is None
    measured = train_segmentation(config)
    assert measured["eval_images"] == 4
    assert "centre crops" in (tmp_path / "README.md").read_text()
