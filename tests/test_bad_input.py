"""Bad data is a listed rejection and the rest of the run is whole; bad options are refused."""

import errno
import io
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from scribblegen.builders.config import FolderConfig
from scribblegen.commands.build import build, open_build
from scribblegen.families.open import load_diffusion
from scribblegen.images import decode_image
from scribblegen.label_pictures import decode_label
from scribblegen.methods.scribblegen_config import ScribbleGenConfig
from scribblegen.runs.config import OutputConfig
from scribblegen.runs.folder import RunError, lock_folder
from scribblegen.runs.loop import synthesize
from scribblegen.runs.manifest import read_manifest
from scribblegen.tiny.random_weights import random_diffusion, random_parts

METHOD = ScribbleGenConfig(
    guidance_scales=[2.0], encode_ratios=[0.5], num_inference_steps=2, rows=4
)
SUBSET = "guidance2-encode0.5"


def photograph(height=40, width=56, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (5, 7, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def scribble(height=40, width=56, class_id=1):
    label = np.full((height, width), 255, np.uint8)
    label[10:12, 5:30] = 0
    label[25:27, 20:50] = class_id
    return Image.fromarray(label)


def jpeg(picture, **options):
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", **options)
    return buffer.getvalue()


@pytest.fixture
def data_dir(tmp_path):
    """Good and bad samples side by side, with a list that names one more."""
    folder = tmp_path / "photographs"
    (folder / "images").mkdir(parents=True)
    (folder / "scribbles").mkdir()
    (folder / "classes.json").write_text(json.dumps(["ground", "thing"]))

    def add(name, image, label, suffix=".jpg"):
        (folder / "images" / f"{name}{suffix}").write_bytes(image)
        label.save(folder / "scribbles" / f"{name}.png")

    add("good-1", jpeg(photograph()), scribble())
    add("truncated", jpeg(photograph())[:700], scribble())
    add("stray-id", jpeg(photograph()), scribble(class_id=2))
    add("other-size", jpeg(photograph()), scribble(40, 57))
    add("no-stroke", jpeg(photograph()), Image.fromarray(np.full((40, 56), 255, np.uint8)))
    add("not-a-picture", b"hello", scribble())

    deep = io.BytesIO()
    grey = np.linspace(0, 65535, 40 * 56).reshape(40, 56).astype(np.uint16)
    Image.fromarray(grey).save(deep, "PNG")
    add("sixteen-bit", deep.getvalue(), scribble(), ".png")
    add("cmyk", jpeg(photograph().convert("CMYK")), scribble())
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees
    sideways = photograph(56, 40).transpose(Image.Transpose.TRANSPOSE)
    add("rotated", jpeg(sideways, exif=exif), scribble(56, 40))
    add("good-2", jpeg(photograph(seed=2)), scribble())
    names = [
        "good-1",
        "truncated",
        "stray-id",
        "other-size",
        "no-stroke",
        "not-a-picture",
        "sixteen-bit",
        "cmyk",
        "rotated",
        "missing",
        "good-2",
    ]
    (folder / "ids.txt").write_text("\n".join(names))
    return folder


def source_config(data_dir, **options):
    return FolderConfig(data_dir=str(data_dir), ids="ids.txt", **options)


def rows_of(folder, subset):
    return [
        row
        for path in sorted((folder / subset).glob("*.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]


def test_every_bad_sample_is_listed_and_the_rest_is_whole(data_dir, tmp_path):
    folder = tmp_path / "out"
    build(source_config(data_dir), METHOD, OutputConfig(sources_per_shard=3), output_dir=folder)
    reasons = {
        rejection["source_id"]: rejection["reason"]
        for unit in read_manifest(folder)["units"]
        for rejection in unit["rejections"]
    }
    for source_id, part in {
        "truncated": "unreadable",
        "stray-id": "label holds [2], outside the 2 classes",
        "other-size": "label is 57x40 but image is 56x40",
        "no-stroke": "no labelled pixel",
        "not-a-picture": "not a picture file",
        "missing": "missing file",
    }.items():
        assert part in reasons.pop(source_id)
    assert not reasons
    good = ["good-1", "sixteen-bit", "cmyk", "rotated", "good-2"]
    card = (folder / "README.md").read_text()
    assert "6 samples were left out" in card and "missing file" in card
    for subset in ("real", SUBSET):
        rows = rows_of(folder, subset)
        assert [row["source_id"] for row in rows] == good
        for row in rows:
            image, _ = decode_image(row["image"]["bytes"])
            label = decode_label(row["label"]["bytes"])
            drawn = np.asarray(Image.open(data_dir / "scribbles" / f"{row['source_id']}.png"))
            assert np.array_equal(label, drawn), "the scribble is the source's"
            assert image.shape[:2] == label.shape, "and the image has its size"
    kept = {row["source_id"]: row["image"]["bytes"] for row in rows_of(folder, "real")}
    assert kept["good-1"] == (data_dir / "images" / "good-1.jpg").read_bytes()
    assert b"Exif" not in kept["rotated"]


def test_a_class_list_shorter_than_the_labels_rejects_what_it_does_not_name(data_dir, tmp_path):
    folder = tmp_path / "out"
    build(source_config(data_dir, classes="ground,thing,another"), METHOD, output_dir=folder)
    assert "stray-id" in [row["source_id"] for row in rows_of(folder, "real")]
    one_class = tmp_path / "one.json"
    one_class.write_text('["ground"]')
    config = source_config(data_dir, classes=str(one_class))
    with pytest.raises(RunError, match="no sample of the training split could be used"):
        build(config, METHOD, output_dir=tmp_path / "none")


@pytest.mark.parametrize(
    ("value", "reason"), [(float("nan"), "NaN or infinity"), (-1.0, "output is black")]
)
def test_a_broken_output_is_a_listed_rejection(data_dir, tmp_path, value, reason):
    broken = random_diffusion(3)
    decode = broken.decode
    calls = []

    def decode_first_call_badly(latents):
        images = decode(latents)
        calls.append(1)
        if len(calls) == 1:
            images[0] = value
        return images

    broken.decode = decode_first_call_badly
    folder = tmp_path / "out"
    run = open_build(source_config(data_dir), METHOD, OutputConfig(), folder, family=broken)
    synthesize(run, progress_bar=False)
    assert len(rows_of(folder, "real")) == 5
    assert len(rows_of(folder, SUBSET)) == 4
    rejections = [r for unit in read_manifest(folder)["units"] for r in unit["rejections"]]
    (listed,) = [r for r in rejections if r["subset"] == SUBSET]
    assert reason in listed["reason"]


def test_a_folder_of_another_config_is_refused_and_the_difference_named(data_dir, tmp_path):
    folder = tmp_path / "out"
    build(source_config(data_dir), METHOD, output_dir=folder)
    other = ScribbleGenConfig(
        guidance_scales=[2.0], encode_ratios=[0.5], num_inference_steps=3, rows=4
    )
    with pytest.raises(RunError, match="num_inference_steps: 2 there, 3 here"):
        build(source_config(data_dir), other, output_dir=folder)
    label = data_dir / "scribbles" / "good-1.png"
    scribble(class_id=0).save(label)
    with pytest.raises(RunError, match="train files: '.*' there, '.*' here"):
        build(source_config(data_dir), METHOD, output_dir=folder)


def test_other_weights_are_refused(data_dir, tmp_path):
    folder = tmp_path / "out"
    build(source_config(data_dir), METHOD, output_dir=folder)
    other = random_diffusion(3, seed=1)
    run = open_build(source_config(data_dir), METHOD, OutputConfig(), folder, family=other)
    with pytest.raises(RunError, match="weights: "):
        synthesize(run)


def test_a_moved_source_folder_may_be_resumed(data_dir, tmp_path):
    folder = tmp_path / "out"
    build(source_config(data_dir), METHOD, output_dir=folder)
    moved = data_dir.rename(tmp_path / "elsewhere")
    assert build(source_config(moved), METHOD, output_dir=folder).images == 0


def test_a_folder_of_other_files_is_refused(data_dir, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="holds files of something else"):
        build(source_config(data_dir), METHOD, output_dir=tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_two_runs_at_once_in_one_folder_are_refused(data_dir, tmp_path):
    folder = tmp_path / "out"
    with lock_folder(folder), pytest.raises(RunError, match="written by another run"):
        build(source_config(data_dir), METHOD, output_dir=folder)
    build(source_config(data_dir), METHOD, output_dir=folder)


def test_a_full_device_loses_nothing_that_was_finished(data_dir, tmp_path, monkeypatch):
    folder = tmp_path / "out"
    output = OutputConfig(sources_per_shard=4)
    real_fsync = os.fsync
    writes = []

    def full_after_a_while(descriptor):
        writes.append(descriptor)
        if len(writes) > 14:
            raise OSError(errno.ENOSPC, "No space left on device")
        real_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full_after_a_while)
    with pytest.raises(OSError, match="no space left on the device. Free some and run the same"):
        build(source_config(data_dir), METHOD, output, output_dir=folder)
    assert not list(folder.rglob("*.partial"))
    finished = [unit["unit"] for unit in read_manifest(folder)["units"]]
    assert finished == ["train-00000-of-00003"]
    monkeypatch.undo()
    build(source_config(data_dir), METHOD, output, output_dir=folder)
    whole = tmp_path / "whole" / "out"
    build(source_config(data_dir), METHOD, output, output_dir=whole)
    for path in whole.rglob("*.parquet"):
        assert (folder / path.relative_to(whole)).read_bytes() == path.read_bytes()


def test_a_read_only_folder_is_refused(data_dir, tmp_path, monkeypatch):
    folder = tmp_path / "out"

    def read_only(path, *arguments, **options):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", read_only)
    with pytest.raises(OSError, match="cannot be written. Make it writable"):
        build(source_config(data_dir), METHOD, output_dir=folder)


def save_pipeline(folder, conditioning_channels=3, *, with_controlnet=True, **choices):
    """A pipeline in diffusers' layout on disk."""
    parts = random_parts(conditioning_channels, **choices)
    scheduler = parts.pop("scheduler_config")
    for name, part in parts.items():
        if name != "controlnet" or with_controlnet:
            part.save_pretrained(folder / name)
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    return folder


def test_a_pipeline_without_a_controlnet_is_refused(data_dir, tmp_path):
    pipeline = save_pipeline(tmp_path / "pipeline", with_controlnet=False)
    with pytest.raises(FileNotFoundError, match="has no ControlNet in it. Name one"):
        load_diffusion(pipeline)
    with pytest.raises(OSError, match="`controlnet` .* cannot be loaded"):
        load_diffusion(pipeline, tmp_path / "nothing-here")


@pytest.mark.parametrize("part", ["vae", "unet", "text_encoder", "tokenizer", "scheduler"])
def test_a_pipeline_without_a_part_is_refused_by_its_name(tmp_path, part):
    pipeline = save_pipeline(tmp_path / "pipeline")
    (pipeline / part).rename(tmp_path / "gone")
    with pytest.raises(OSError, match=part):
        load_diffusion(pipeline)


def test_pickled_weights_are_refused(tmp_path):
    pipeline = save_pipeline(tmp_path / "pipeline")
    weights = pipeline / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save({}, weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(OSError, match="no usable unet"):
        load_diffusion(pipeline)


def test_a_controlnet_that_does_not_fit_the_classes_is_refused(data_dir, tmp_path):
    pipeline = save_pipeline(tmp_path / "pipeline", 5)
    method = replace(METHOD, pipeline=str(pipeline))
    with pytest.raises(ValueError, match="takes 5 conditioning channels, .* 2 classes makes 3"):
        build(source_config(data_dir), method, output_dir=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_null_condition_that_was_never_trained_is_refused(data_dir, tmp_path):
    pipeline = save_pipeline(tmp_path / "pipeline", null_conditions=("hint",))
    method = ScribbleGenConfig(pipeline=str(pipeline), null_condition="text", num_inference_steps=2)
    with pytest.raises(ValueError, match=r"`null_condition` must be one .*\['hint'\]"):
        build(source_config(data_dir), method, output_dir=tmp_path / "out")


def test_a_resolution_that_does_not_fit_the_networks_is_refused(data_dir, tmp_path):
    method = ScribbleGenConfig(resolution=60, num_inference_steps=2)
    with pytest.raises(ValueError, match="multiple of 8 .* Got 60; 56 would do"):
        build(source_config(data_dir), method, output_dir=tmp_path / "out")


def test_a_pipeline_from_disk_gives_the_images_of_the_one_in_memory(data_dir, tmp_path):
    """Also: the ControlNet's own record, and a ControlNet in a folder of its own."""
    pipeline = save_pipeline(tmp_path / "pipeline", null_conditions=("both",))
    apart = (pipeline / "controlnet").rename(tmp_path / "controlnet")
    loaded = load_diffusion(pipeline, apart)
    assert loaded.record.null_conditions == ("both",)
    here = random_diffusion(3, null_conditions=("both",))
    assert loaded.fingerprint() == here.fingerprint()
    folders = []
    for name, networks in (("disk", loaded), ("memory", here)):
        folders.append(tmp_path / name)
        run = open_build(
            source_config(data_dir), METHOD, OutputConfig(), folders[-1], family=networks
        )
        synthesize(run, progress_bar=False)
    assert rows_of(folders[0], SUBSET) == rows_of(folders[1], SUBSET)
