"""A family that is not Stable Diffusion goes through pool and shards: the proof of the seam."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from datasets import Features, Image, Value
from torch import nn

from scribblegen.engine.call_size import measure_rows
from scribblegen.engine.denoising import Denoising
from scribblegen.engine.encode_ratio import FINAL, Timesteps, num_steps_run
from scribblegen.engine.jobs import Job, Trajectory
from scribblegen.engine.pool import DenoiserPool
from scribblegen.images import encode_image, tensor_to_image
from scribblegen.records import image_cell
from scribblegen.runs.shards import write_shard

SHAPE = (2, 4, 4)
STEPS = 8


class FlowSchedule:
    """Straight lines from data to noise: x_t = (1 - t) x0 + t eps, of which eps - x0 is told."""

    def levels(self, timesteps, dtype=torch.float32):
        t = torch.tensor([0.0 if t == FINAL else t for t in timesteps], dtype=dtype)
        return 1 - t, t

    def clean_and_noise(self, noisy, output, timesteps):
        t = self.levels(timesteps)[1][:, None, None, None]
        return noisy - t * output, noisy + (1 - t) * output

    def timesteps(self, encode_ratio, num_inference_steps, **_):
        count = num_steps_run(encode_ratio, num_inference_steps)
        visited = tuple(encode_ratio * (count - i) / count for i in range(count))
        start = None if encode_ratio == 1 else encode_ratio
        return Timesteps(start, visited, (*visited[1:], FINAL))


class LinearDenoiser:
    """Row by row: a (C, C) mixture of the latents, a pull towards "target", and t."""

    def __init__(self, mixture):
        self.mixture = mixture
        self.calls = []

    def __call__(self, latents, timesteps, condition, *, shared=None):
        self.calls.append((len(latents), shared, tuple(condition)))
        pull = condition["target"] * condition.get("guidance_scale", torch.ones(()))
        mixed = torch.stack([torch.einsum("ij,jhw->ihw", self.mixture.weight, x) for x in latents])
        return mixed - pull.reshape(-1, 1, 1, 1) + timesteps.reshape(-1, 1, 1, 1)

    observed = __call__


@dataclass
class FlowFamily:
    """Latents are images with a channel too few."""

    guidance: str = "classifier_free"
    schedule: FlowSchedule = field(default_factory=FlowSchedule)
    device: torch.device = torch.device("cpu")
    dtype: torch.dtype = torch.float32
    is_compiled: bool = False

    def __post_init__(self):
        mixture = nn.Linear(2, 2, bias=False).requires_grad_(False)
        mixture.weight[:] = torch.tensor([[0.5, 0.25], [-0.25, 0.75]])
        self.networks = {"mixture": mixture}
        self.denoiser = LinearDenoiser(mixture)

    def latent_shape(self, height, width):
        return 2, height, width

    def prompt(self, text):
        return {"target": torch.tensor(len(text) / 10)}

    def decode(self, latents):
        return torch.cat([latents, latents[:, :1]], dim=1).clamp(-1, 1)


@pytest.fixture(params=["classifier_free", "embedded"])
def family(request):
    return FlowFamily(request.param)


def job(family: Any, number: int, *, ratios=(0.25, 0.5, 1.0), scales=(1.0, 3.0), latents=True):
    generator = torch.Generator().manual_seed(number)
    noise, clean = torch.randn(2, *SHAPE, generator=generator)
    null = None if family.guidance == "embedded" else family.prompt("")
    conditional = family.prompt("a photo"[: 3 + number % 4])
    runs = {r: family.schedule.timesteps(r, STEPS) for r in ratios}
    trajectories = tuple(
        Trajectory((number, r, w), run, w, conditional, null)
        for r, run in runs.items()
        for w in scales
    )
    return Job(number // 2, noise, clean if latents else None, trajectories)


def by_euler(family, task, trajectory):
    """x + (t' - t) v, in the plainest way there is."""
    run, w = trajectory.timesteps, trajectory.guidance_scale
    start = 1.0 if run.start is None else run.start
    x = task.noise if run.start is None else (1 - start) * task.latents + start * task.noise
    weight = family.networks["mixture"].weight

    def velocity(x, t, target):
        return torch.einsum("ij,jhw->ihw", weight, x) - target + t

    for t, to in zip(run.timesteps, run.previous, strict=True):
        target = trajectory.conditional["target"]
        if family.guidance == "embedded":
            v = velocity(x, t, target * w)
        else:
            null = velocity(x, t, trajectory.null["target"])
            v = null + w * (velocity(x, t, target) - null)
        x = x + (max(to, 0.0) - t) * v
    return family.decode(x[None])[0]


def test_ddim_of_a_flow_is_euler(family):
    jobs = [job(family, number) for number in range(6)]
    pool = DenoiserPool(family, rows=4)
    images = {twin.key: twin.image for twin in pool.run(jobs)}
    wanted = {t.key: by_euler(family, task, t) for task in jobs for t in task.trajectories}
    assert images.keys() == wanted.keys() and len(images) == 6 * 3 * 2
    assert max(float((images[key] - wanted[key]).abs().max()) for key in wanted) < 1e-5
    assert pool.counts["rows"] / (pool.counts["calls"] * 4) > 0.9


def test_rows_are_those_of_its_kind_of_guidance(family):
    pool = DenoiserPool(family, rows=4)
    list(pool.run([job(family, 0)]))
    steps = sum(num_steps_run(r, STEPS) for r in (0.25, 0.5, 1.0))
    if family.guidance == "embedded":  # one row a step, told the scale
        assert pool.counts["rows"] == 2 * steps and pool.counts["paired_calls"] == 0
        assert all(names == ("guidance_scale", "target") for _, _, names in family.denoiser.calls)
    else:  # one of scale 1, a pair of scale 3, and of every first step the pair alone
        assert pool.counts["rows"] == 3 * steps - 3
        assert any(shared is not None for _, shared, _ in family.denoiser.calls)


def test_a_sample_does_not_depend_on_its_batch_mates(family):
    jobs = [job(family, number) for number in range(4)]
    together = {twin.key: twin.image for twin in DenoiserPool(family, rows=4).run(jobs)}
    for task in jobs:
        for twin in DenoiserPool(family, rows=4).run([task]):
            assert torch.equal(twin.image, together[twin.key])


def test_without_latents_images_start_from_noise(family):
    task = job(family, 1, ratios=(1.0,), latents=False)
    images = {twin.key: twin.image for twin in DenoiserPool(family, rows=4).run([task])}
    for trajectory in task.trajectories:
        expected = by_euler(family, task, trajectory)
        assert (images[trajectory.key] - expected).abs().max() < 1e-5
    with pytest.raises(ValueError, match="`latents` must be given.*at timestep 0.5. Got None"):
        job(family, 1, ratios=(0.5, 1.0), latents=False)


def test_guidance_without_a_null_condition_is_refused_where_it_takes_rows():
    plain, told = FlowFamily(), FlowFamily("embedded")
    with pytest.raises(ValueError, match="`null` must be given where `guidance_scale` is not 1"):
        DenoiserPool(plain, rows=4).submit(job(told, 0))


def test_a_name_takes_part_in_its_window_alone(family):
    pool = DenoiserPool(family, rows=2, denoising=Denoising(windows={"extra": (0.0, 0.5)}))
    task = job(family, 0, ratios=(1.0,), scales=(1.0,))
    extra = {**task.trajectories[0].conditional, "extra": torch.ones(2)}
    run = task.trajectories[0].timesteps
    list(pool.run([Job(0, task.noise, None, (Trajectory("one", run, 1.0, extra),))]))
    seen = ["extra" in names for _, _, names in family.denoiser.calls]
    assert seen == [True] * 4 + [False] * 4


def test_its_calls_are_measured_too(family):
    assert measure_rows(family, 4, family.prompt(""), most_rows=8, memory_budget=4) <= 8


def test_its_images_go_into_shards(family, tmp_path):
    features = Features({"image": Image(), "encode_ratio": Value("float32")})
    rows, pixels = [], []
    finished = DenoiserPool(family, rows=4).run([job(family, number) for number in range(3)])
    for twin in sorted(finished, key=lambda twin: twin.key):
        picture = tensor_to_image(twin.image)
        pixels.append(picture)
        data = encode_image(picture, "png")
        rows.append({"image": image_cell(data), "encode_ratio": twin.key[1]})
    path = tmp_path / "toy" / "train-00000-of-00001.parquet"
    shard = write_shard(path, rows, features)
    table = pq.read_table(path)
    assert shard.rows == table.num_rows == 3 * 3 * 2
    read = [features["image"].decode_example(cell) for cell in table["image"].to_pylist()]
    assert all(np.array_equal(one, other) for one, other in zip(read, pixels, strict=True))
