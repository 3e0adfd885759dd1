"""Folders of models: a pipeline, its ControlNet and a segmentor, as methods open them."""

from pathlib import Path

import numpy as np
import torch

from scribblegen.classes import Classes
from scribblegen.families.open import load_controlnet, load_diffusion
from scribblegen.trainers.judge import Judge
from tests.fuzz.kinds import File, Kind, files_of
from tests.fuzz.pictures import NAMES
from tests.test_bad_input import save_pipeline
from tests.test_judge import save_segmentor

_CONTROLNET = "controlnet/"


def pipelines(folder: Path) -> Kind:
    """A pipeline in diffusers' layout, its ControlNet inside."""
    save_pipeline(folder)
    files = files_of(folder)

    def read(file: File) -> None:
        if file.name.startswith(_CONTROLNET):
            network = load_controlnet(str(folder / _CONTROLNET))
            assert all(tensor.device.type == "cpu" for tensor in network.state_dict().values())
            return
        family = load_diffusion(folder)
        assert len(family.fingerprint()) >= 16
        signal, noise = family.schedule.levels([-1, 0])
        assert signal.isfinite().all() and noise.isfinite().all()

    return Kind(folder, files, read)


def segmentors(folder: Path) -> Kind:
    """A segmentor with its processor, as a judge of twins."""
    save_segmentor(folder, NAMES)
    files = files_of(folder)
    image, ids = np.zeros((24, 32, 3), np.uint8), np.zeros((24, 32), np.uint8)

    def read(file: File) -> None:
        judge = Judge(str(folder), Classes(NAMES), torch.device("cpu"))
        assert len(judge.fingerprint()) == 16
        assert 0 <= judge.agreement(image, ids) <= 1

    return Kind(folder, files, read)
