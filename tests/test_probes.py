"""What a probe leaves is what calling by hand leaves, whatever else is in the calls."""

import contextlib

import pytest
import torch

from scribblegen.engine.denoising import Denoising
from scribblegen.engine.encode_ratio import timesteps_of
from scribblegen.engine.pool import DenoiserPool
from scribblegen.engine.probes import Probe, Use
from scribblegen.engine.samplers import ddim_step
from scribblegen.families.stable_diffusion.family import StableDiffusion
from scribblegen.tiny.random_weights import random_parts
from tests.pool_jobs import CHANNELS, full_grid_jobs, with_runs

ROWS = 6


class MiddleMeans(Probe):
    """The mean of what leaves the UNet's middle, summed over the steps from the second on.

    "weight", where a row has it, is read by the probe alone.
    """

    def use(self, step, num_steps, branch):
        return super().use(step, num_steps, branch) if step else Use.PLAIN

    @contextlib.contextmanager
    def attach(self, networks, condition):
        weight = condition.get("weight", torch.ones(()))

        def remember(module, inputs, output):
            self.means = output.mean(dim=(1, 2, 3)) * weight

        hook = networks["unet"].mid_block.register_forward_hook(remember)
        try:
            yield
        finally:
            hook.remove()

    def collect(self):
        return {"mean": self.means}

    def fold(self, kept, new, step):
        assert step >= 1
        return {"mean": new["mean"] + kept["mean"] if kept else new["mean"]}

    def finish(self, kept):
        return {"mean of all": kept["mean"] / 10}


@pytest.fixture(scope="module")
def networks():
    return StableDiffusion(**random_parts(CHANNELS))


@pytest.fixture(scope="module")
def jobs(networks):
    runs = [(timesteps_of(r, 6), (1.0, 3.0)) for r in (0.5, 1.0)]
    return [with_runs(one, runs) for one in full_grid_jobs(networks, 3, ratios=1)]


def by_hand(networks, task, trajectory):
    """One trajectory alone, every call of copies of its row."""
    run, w, probe = trajectory.timesteps, trajectory.guidance_scale, MiddleMeans()
    x, schedule = task.noise, networks.schedule
    if run.start is not None:
        alpha = schedule.alphas_cumprod[run.start]
        x = alpha**0.5 * task.latents + (1 - alpha) ** 0.5 * task.noise
    total = torch.zeros(())

    def rows(condition):
        stacked = {name: torch.stack([tensor] * ROWS) for name, tensor in condition.items()}
        return torch.stack([x] * ROWS), torch.full((ROWS,), t), stacked

    for step, (t, to) in enumerate(zip(run.timesteps, run.previous, strict=True)):
        arguments = rows(trajectory.conditional)
        if step == 0:
            conditional = networks.denoiser(*arguments)[0]
        else:
            with probe.attach(networks.networks, arguments[2]):
                conditional = networks.denoiser.observed(*arguments)[0]
            total = total + probe.means[0]
        null = networks.denoiser(*rows(trajectory.null))[0] if w != 1 else conditional
        guided = null + w * (conditional - null)
        x = ddim_step(x[None], guided[None], [t], [to], schedule)[0]
    return networks.decode(torch.stack([x] * 4))[0], total / 10


def test_what_is_left_is_what_calling_by_hand_leaves(networks, jobs):
    pool = DenoiserPool(networks, rows=ROWS, denoising=Denoising(probe=MiddleMeans()))
    finished = {one.key: one for one in pool.run(jobs)}
    for task in jobs[:2]:
        for trajectory in task.trajectories:
            image, mean = by_hand(networks, task, trajectory)
            one = finished[trajectory.key]
            assert one.left.keys() == {"mean of all"} and one.left["mean of all"].shape == ()
            assert torch.equal(one.left["mean of all"], mean)
            assert torch.equal(one.image, image)
    assert not networks.unet.mid_block._forward_hooks


def test_what_is_left_does_not_depend_on_batch_mates(networks, jobs):
    def left(some):
        pool = DenoiserPool(networks, rows=ROWS, denoising=Denoising(probe=MiddleMeans()))
        return {one.key: (one.image, one.left["mean of all"]) for one in pool.run(some)}

    together = left(jobs)
    alone = {key: value for task in jobs for key, value in left([task]).items()}
    for other in (left(jobs[::-1]), alone):
        assert other.keys() == together.keys()
        for key, values in together.items():
            assert all(torch.equal(a, b) for a, b in zip(values, other[key], strict=True))


def test_a_name_that_only_the_probe_reads_changes_no_image(networks, jobs):
    weighted = []
    for task in jobs:
        conditional = {**task.trajectories[0].conditional, "weight": torch.tensor(2.0)}
        changed = [
            type(t)(t.key, t.timesteps, t.guidance_scale, conditional, t.null)
            for t in task.trajectories
        ]
        weighted.append(type(task)(task.group, task.noise, task.latents, tuple(changed)))

    def run(some):
        pool = DenoiserPool(networks, rows=ROWS, denoising=Denoising(probe=MiddleMeans()))
        return {one.key: one for one in pool.run(some)}

    plain, doubled = run(jobs), run(weighted)
    for key, one in plain.items():
        assert torch.allclose(doubled[key].image, one.image, atol=1e-5)
        assert torch.allclose(doubled[key].left["mean of all"], 2 * one.left["mean of all"])


def test_without_a_probe_nothing_is_left(networks, jobs):
    for one in DenoiserPool(networks, rows=ROWS).run(jobs[:1]):
        assert one.left == {}


def test_a_step_is_not_replaced_by_what_was_never_kept(networks, jobs):
    class Hasty(MiddleMeans):
        def use(self, step, num_steps, branch):
            return Use.REPLACED

    pool = DenoiserPool(networks, rows=ROWS, denoising=Denoising(probe=Hasty()))
    with pytest.raises(ValueError, match="`probe` must watch a row .*Hasty asks .* step 0"):
        pool.submit(jobs[0])
    with pytest.raises(NotImplementedError, match="MiddleMeans replaces no step"):
        MiddleMeans().predict({}, *[torch.zeros(1)] * 2, {}, {})
