"""Networks from files: every weight of the network, no other, or an error that names them."""

import ast
import json
import shutil
from functools import partial

import diffusers
import pytest
import torch
import transformers
from diffusers import AutoencoderTiny, ControlNetModel, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import (
    CLIPTextModel,
    DPTConfig,
    DPTForSemanticSegmentation,
    ResNetConfig,
    ResNetForImageClassification,
    SegformerConfig,
    SegformerForImageClassification,
    SegformerForSemanticSegmentation,
)

from scribblegen.classes import Classes
from scribblegen.families.open import load_base, load_controlnet, load_diffusion
from scribblegen.families.weights import load_weights, restore_weights
from scribblegen.tiny.random_weights import random_parts
from scribblegen.trainers.judge import Judge
from scribblegen.trainers.segmentation.deeplab import (
    DeepLabV3PlusConfig,
    DeepLabV3PlusForSemanticSegmentation,
)
from scribblegen.trainers.segmentation.efficientnet_lite import EfficientNetLiteConfig
from scribblegen.trainers.segmentation.fpn import FPNConfig, FPNForSemanticSegmentation
from scribblegen.trainers.segmentation.models import load_segmentor, open_model
from scribblegen.trainers.segmentation.small_segmentor import (
    SmallSegmentorConfig,
    SmallSegmentorForSemanticSegmentation,
)
from tests.test_bad_input import save_pipeline
from tests.test_judge import save_segmentor
from tests.test_layout import modules

NAMES = ("sky", "sea")
LABELS = {"id2label": dict(enumerate(NAMES)), "label2id": {"sky": 0, "sea": 1}}
RESNET = {"embedding_size": 8, "hidden_sizes": [8, 8, 8, 8], "depths": [1] * 4}
SEGFORMER = {
    "depths": [1] * 4,
    "hidden_sizes": [8, 16, 16, 16],
    "num_attention_heads": [1] * 4,
    "decoder_hidden_size": 16,
}


def tiny_vae():
    return AutoencoderTiny(
        encoder_block_out_channels=(8,) * 4,
        decoder_block_out_channels=(8,) * 4,
        num_encoder_blocks=(1,) * 4,
        num_decoder_blocks=(1,) * 4,
    )


def segformer(**changes):
    return SegformerForSemanticSegmentation(SegformerConfig(**{**SEGFORMER, **LABELS, **changes}))


def deeplab():
    backbone = ResNetConfig(**RESNET)
    config = DeepLabV3PlusConfig(backbone, aspp_channels=8, low_level_channels=8, **LABELS)
    return DeepLabV3PlusForSemanticSegmentation(config)


def small():
    return SmallSegmentorForSemanticSegmentation(SmallSegmentorConfig((8, 8, 8), **LABELS))


def fpn():
    backbone = EfficientNetLiteConfig(width=0.25, depth=0.5)
    return FPNForSemanticSegmentation(FPNConfig(backbone, channels=8, **LABELS))


SEGMENTORS = {"small": small, "deeplab": deeplab, "fpn": fpn, "segformer": segformer}
OPENERS = {
    "load_segmentor": partial(load_segmentor, "agreement_model"),
    "judge": lambda name: Judge(name, Classes(NAMES), torch.device("cpu")),
    "open_model": lambda name: open_model(NAMES, model_name_or_path=name),
}


def weights_of(folder):
    (path,) = folder.glob("*.safetensors")
    return path


def change(folder, changed):
    """Writes a network's file anew, with what `changed` makes of its tensors."""
    path = weights_of(folder)
    tensors = load_file(path)
    changed(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def remove(tensors):
    for key in sorted(tensors)[:4]:
        del tensors[key]


def add(tensors):
    tensors["encoder.of_another.weight"] = torch.zeros(2)


def reshape(tensors):
    key = next(k for k in sorted(tensors) if k.endswith("weight") and tensors[k].ndim > 1)
    tensors[key] = tensors[key].flatten()[:1].clone()


def cut(folder):
    path = weights_of(folder)
    path.write_bytes(path.read_bytes()[:-10])


def empty(folder):
    weights_of(folder).write_bytes(b"")


DAMAGES = {
    "missing": (partial(change, changed=remove), r"4 missing \(\S+, \S+, \S+, \.\.\.\)\. Download"),
    "unexpected": (partial(change, changed=add), r"1 unexpected \(encoder\.of_another\.weight\)"),
    "shape": (
        partial(change, changed=reshape),
        r"1 of another shape \(\S+weight, \[.*\] for \[.*\]\)",
    ),
    "cut": (cut, r"cut short or damaged \(.*incomplete metadata.*\)\. Download"),
    "empty": (empty, r"cut short or damaged \(.*header too small\)\. Download"),
}


def damaged(folder, damage):
    """Damages it, and says what the error must be."""
    do, told = DAMAGES[damage]
    do(folder)
    return told


def same_weights(model, other):
    mine, theirs = model.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[k], theirs[k]) for k in mine)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A pipeline, and a small autoencoder apart."""
    folder = tmp_path_factory.mktemp("saved")
    (folder / "pipeline").mkdir()
    save_pipeline(folder / "pipeline")
    tiny_vae().save_pretrained(folder / "tiny_vae")
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("part", ["vae", "unet", "text_encoder", "controlnet"])
def test_a_part_of_a_pipeline_whose_weights_are_not_its_own_is_refused(folder, part, damage):
    told = damaged(folder / "pipeline" / part, damage)
    with pytest.raises(OSError, match=f"^`pipeline` .* has no usable {part}: .*{told}"):
        load_diffusion(folder / "pipeline")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_part_of_its_own_is_refused_by_its_option(folder, damage):
    told = damaged(folder / "tiny_vae", damage)
    with pytest.raises(OSError, match=f"^`tiny_vae` .* cannot be loaded: .*{told}"):
        load_diffusion(folder / "pipeline", tiny_vae=folder / "tiny_vae")
    told = damaged(folder / "pipeline" / "controlnet", damage)
    with pytest.raises(OSError, match=f"^`resume_from_checkpoint` .*{told}"):
        load_controlnet(str(folder / "pipeline" / "controlnet"), option="resume_from_checkpoint")


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize("kind", SEGMENTORS)
def test_a_segmentor_whose_weights_are_not_its_own_is_refused(tmp_path, kind, opener, damage):
    SEGMENTORS[kind]().save_pretrained(tmp_path)
    told = damaged(tmp_path, damage)
    with pytest.raises(OSError, match=f"^`(agreement_model|model_name_or_path)` .*{told}"):
        OPENERS[opener](str(tmp_path))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_backbone_whose_weights_are_not_its_own_is_refused(tmp_path, damage):
    ResNetForImageClassification(ResNetConfig(**RESNET)).save_pretrained(tmp_path)
    path = str(tmp_path)
    model = open_model(NAMES, model_name_or_path=path, architecture="deeplabv3plus")
    assert same_weights(model.backbone, ResNetForImageClassification.from_pretrained(path).resnet)
    change(tmp_path, lambda tensors: [tensors.pop(k) for k in list(tensors) if "classifier" in k])
    told = damaged(tmp_path, damage)
    with pytest.raises(OSError, match=f"^`model_name_or_path` .*{told}"):
        open_model(NAMES, model_name_or_path=path, architecture="deeplabv3plus")


def test_silence_of_the_libraries_changes_nothing(folder):
    change(folder / "pipeline" / "text_encoder", remove)
    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity(100)
    try:
        with pytest.raises(OSError, match="4 missing"):
            load_base(folder / "pipeline")
    finally:
        for library in (diffusers, transformers):
            library.utils.logging.set_verbosity_error()


@pytest.mark.parametrize(
    ("network", "part"),
    [
        (UNet2DConditionModel, "unet"),
        (CLIPTextModel, "text_encoder"),
        (ControlNetModel, "controlnet"),
    ],
)
def test_weights_in_several_files_are_loaded_and_missed_alike(tmp_path, network, part):
    given = random_parts(3)[part]
    given.save_pretrained(tmp_path, max_shard_size="10KB")
    files = sorted(tmp_path.glob("*.safetensors"))
    assert len(files) > 1
    assert same_weights(load_weights(network, "pipeline", tmp_path), given)

    # The index names it still, and no file holds it.
    whole = files[0].read_bytes()
    tensors = load_file(files[0])
    lost = sorted(tensors)[0]
    save_file({k: v for k, v in tensors.items() if k != lost}, files[0], metadata={"format": "pt"})
    with pytest.raises(OSError, match=rf"1 missing \({lost}\)"):
        load_weights(network, "pipeline", tmp_path)
    tensors[lost] = torch.zeros(3, 3, 3)
    save_file(tensors, files[0], metadata={"format": "pt"})
    with pytest.raises(OSError, match=rf"1 of another shape \({lost}, \[3, 3, 3\] for"):
        load_weights(network, "pipeline", tmp_path)
    files[0].write_bytes(whole)
    files[1].unlink()
    with pytest.raises(OSError, match=f"`pipeline` .* cannot be loaded: .*{files[1].name}"):
        load_weights(network, "pipeline", tmp_path)


def test_a_text_encoder_of_old_has_positions_too(folder):
    """As Stable Diffusion's first were saved: with a prefix, and a list of positions."""
    plain = load_base(folder / "pipeline")["text_encoder"]

    def as_of_old(tensors):
        for key in list(tensors):
            tensors[f"text_model.{key.removeprefix('text_model.')}"] = tensors.pop(key)
        tensors["text_model.embeddings.position_ids"] = torch.arange(77)[None]

    change(folder / "pipeline" / "text_encoder", as_of_old)
    assert same_weights(load_base(folder / "pipeline")["text_encoder"], plain)


def test_only_the_head_is_made_anew_for_other_classes(tmp_path):
    given = segformer()
    given.save_pretrained(tmp_path)
    model = open_model(("a", "b", "c"), model_name_or_path=str(tmp_path))
    mine, theirs = model.state_dict(), given.state_dict()
    differing = [k for k in mine if not torch.equal(mine[k], theirs[k])]
    assert differing == ["decode_head.classifier.weight", "decode_head.classifier.bias"]
    change(tmp_path, reshape)
    with pytest.raises(OSError, match="1 of another shape"):
        open_model(("a", "b", "c"), model_name_or_path=str(tmp_path))


def test_rows_that_are_not_the_saved_classes_are_refused(tmp_path):
    segformer().save_pretrained(tmp_path)

    def one_more(tensors):
        weight = tensors["decode_head.classifier.weight"]
        tensors["decode_head.classifier.weight"] = torch.cat([weight, weight[:1]])

    change(tmp_path, one_more)
    with pytest.raises(OSError, match=r"classifier.weight, \[3, 16, 1, 1\] for \[4, 16, 1, 1\]"):
        open_model(("a", "b", "c", "d"), model_name_or_path=str(tmp_path))


def test_a_network_for_classification_brings_all_of_its_base(tmp_path):
    given = SegformerForImageClassification(SegformerConfig(**SEGFORMER))
    given.save_pretrained(tmp_path)
    model = open_model(NAMES, model_name_or_path=str(tmp_path))
    assert same_weights(model.segformer, given.segformer)
    again = open_model(NAMES, model_name_or_path=str(tmp_path))
    assert same_weights(model, again)  # the head too: it is drawn from the seed
    with pytest.raises(OSError, match=r"`agreement_model` .*missing \(decode_head\."):
        load_segmentor("agreement_model", str(tmp_path))
    lost = next(k for k in load_file(weights_of(tmp_path)) if k.startswith("segformer."))
    change(tmp_path, lambda tensors: tensors.pop(lost))
    with pytest.raises(OSError, match=r"`model_name_or_path` .*1 missing \(segformer\."):
        open_model(NAMES, model_name_or_path=str(tmp_path))


def test_what_no_number_goes_through_may_be_missing(tmp_path):
    config = DPTConfig(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=32,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8] * 4,
        fusion_hidden_size=8,
        **LABELS,
    )
    DPTForSemanticSegmentation(config).save_pretrained(tmp_path)
    unused = "neck.fusion_stage.layers.0.residual_layer1."
    change(tmp_path, lambda tensors: [tensors.pop(k) for k in list(tensors) if unused in k])
    first, second = (load_segmentor("agreement_model", str(tmp_path)) for _ in range(2))
    assert same_weights(first, second)  # a judge's fingerprint is the same in every process


def test_a_checkpoint_is_given_back_whole_or_not_at_all(tmp_path):
    trained, fresh = (random_parts(3)["text_encoder"] for _ in range(2))
    for parameter in trained.parameters():
        parameter.data.add_(1)
    trained.save_pretrained(tmp_path)
    restore_weights(fresh, "resume_from_checkpoint", tmp_path)
    assert same_weights(fresh, trained)
    change(tmp_path, remove)
    with pytest.raises(OSError, match="^`resume_from_checkpoint` .*4 missing"):
        restore_weights(fresh, "resume_from_checkpoint", tmp_path)
    segformer(decoder_hidden_size=8).save_pretrained(tmp_path / "other")
    with pytest.raises(OSError, match="^`resume_from_checkpoint` .* holds another network: "):
        restore_weights(segformer(), "resume_from_checkpoint", tmp_path / "other")


def test_one_function_loads_networks():
    """All else that has a `from_pretrained` holds no weights."""
    callers = set()
    for module, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr == "from_pretrained":
                callers.add((ast.unparse(node.value), module))
    assert {what for what, _ in callers} == {
        "network",
        "AutoConfig",
        "AutoImageProcessor",
        "AutoTokenizer",
        "CLIPTokenizer",
    }
    assert [m for what, m in callers if what == "network"] == ["scribblegen.families.weights"]


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("file", "changes", "told"),
    [
        (
            "scheduler/scheduler_config.json",
            {"beta_end": 20.0},
            "has no usable scheduler: the scheduler's betas must leave a share of the picture",
        ),
        (
            "scheduler/scheduler_config.json",
            {"num_train_timesteps": None},
            "has no usable scheduler: TypeError: ",
        ),
        (
            "text_encoder/config.json",
            {"num_hidden_layers": 2**31 - 1},
            "has no usable text_encoder: `num_hidden_layers` in its config.json must be at most "
            "1000. Got 2147483647. Download or save it again, whole.",
        ),
        (
            "unet/config.json",
            {"layers_per_block": [1, 10**6]},
            "has no usable unet: `layers_per_block` in its config.json must be at most 1000. Got ",
        ),
        (
            "controlnet/config.json",
            {"_scribblegen": {"null_conditions": ["a"]}},
            "has parts that do not fit: the ControlNet's record must name null conditions among",
        ),
    ],
)
def test_a_damaged_config_of_a_pipeline_is_told_with_its_part(tmp_path, file, changes, told):
    pipeline = save_pipeline(tmp_path / "pipeline")
    edit(pipeline / file, **changes)
    with pytest.raises(OSError) as error:
        load_diffusion(pipeline)
    assert f"`pipeline` {pipeline} {told}" in str(error.value)
    assert len(str(error.value)) < 1200


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"image_mean": [0.5]}, "mean must have 3 elements"),
        ({"size": {"height": 2**31, "width": 8}}, "`size` of its processor must be at most 8192."),
        ({"size": {"height": 1, "width": 1}}, "RuntimeError: "),
    ],
)
def test_a_judge_that_cannot_be_shown_a_picture_is_refused_before_any_work(tmp_path, changes, told):
    judge = save_segmentor(tmp_path, NAMES)
    edit(tmp_path / "preprocessor_config.json", **changes)
    with pytest.raises(OSError, match=f"^`agreement_model` .* cannot be shown a picture: {told}"):
        Judge(judge, Classes(NAMES), torch.device("cpu"))
