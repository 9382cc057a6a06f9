"""What diffusion costs: a training step and 50 steps of sampling, against diffusers' schedulers with the same U-Net.

    pip install --target /tmp/diffusion-libraries --no-deps diffusers huggingface_hub importlib_metadata zipp regex
    OMP_NUM_THREADS=1 PYTHONPATH=/tmp/diffusion-libraries python benchmarks/diffusion_step.py

Images of 8×8 and of 28×28, DDPM's linear schedule of 1000 steps, noise predicted. Both sides call one network, so what
is compared is everything else. They run in turns within one process, so that whatever else the machine does hits both;
medians of CPU time are reported. First the two must agree: the same noise leads both to the same samples.
"""

import statistics
import time
from collections.abc import Callable

import torch
from diffusers import DDIMScheduler, DDPMScheduler
from torch import Tensor
from torch.nn import functional as F

from dgmcourse import Diffusion, Space
from dgmcourse.samplers import ddim, ddpm

BATCH, ROUNDS, STEPS = 64, 12, 50
SAMPLERS = {"DDIM": (ddim, DDIMScheduler, {"use_clipped_model_output": True}), "DDPM": (ddpm, DDPMScheduler, {})}


def models() -> dict[str, Diffusion]:
    """One for each size, no longer zero as new networks are."""
    small = Diffusion(Space.grey(1, 8, 8, levels=17), channels=(24, 48))
    large = Diffusion(Space.grey(1, 28, 28, levels=256), channels=(32, 56), patch=2)
    for model in (small, large):
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.05)
    return {"8×8": small, "28×28": large}


@torch.no_grad()
def their_sampling(model: Diffusion, kind: type, options: dict) -> Tensor:
    """diffusers' loop, as its documentation has it."""
    scheduler = kind()
    scheduler.set_timesteps(STEPS)
    x = torch.randn(BATCH, *model.space.shape)
    for timestep in scheduler.timesteps:
        t = ((timestep + 1) / 1000).expand(BATCH)  # its step 0 is the course's t = 1/1000
        x = scheduler.step(model.network(x, t), timestep, x, **options).prev_sample
    return x


def our_sampling(model: Diffusion, walk: Callable) -> Tensor:
    """The course's loop at diffusers' times: 981/1000, 961/1000, …, 1/1000, 0."""
    times = torch.cat([torch.arange(1000 - 1000 // STEPS, -1, -1000 // STEPS) + 1, torch.zeros(1)]).double() / 1000
    *_, x = walk(model.noise(), model.schedule, torch.randn(BATCH, *model.space.shape), times, clip=(-1.0, 1.0))
    return x


def training(model: Diffusion, data: Tensor) -> tuple[Callable[[], None], Callable[[], None]]:
    """One update, theirs and ours."""
    scheduler, optimizer = DDPMScheduler(), torch.optim.Adam(model.parameters(), lr=1e-5, fused=True)

    def their_loss() -> Tensor:
        noise, timestep = torch.randn_like(data), torch.randint(1000, (BATCH,))
        x = scheduler.add_noise(2 * data - 1, noise, timestep)
        return F.mse_loss(model.network(x, (timestep + 1) / 1000), noise)

    def our_loss() -> Tensor:
        (step,) = model.training_step(data)
        return step.loss

    def update(loss: Callable[[], Tensor]) -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return lambda: update(their_loss), lambda: update(our_loss)


def compare(what: str, theirs: Callable[[], None], ours: Callable[[], None], rounds: int) -> None:
    """Both in turns: median CPU milliseconds, and the median of the rounds' ratios."""
    pairs, calls = [], [(0, theirs), (1, ours)]
    for i in range(rounds + 1):
        pair = {}
        for name, call in calls if i % 2 else reversed(calls):
            started = time.process_time()
            call()
            pair[name] = 1000 * (time.process_time() - started)
        pairs.append((pair[0], pair[1]))
    their, our = (statistics.median(column) for column in zip(*pairs[1:], strict=True))
    ratio = statistics.median(b / a for a, b in pairs[1:])
    print(f"  {what}: diffusers {their:.1f}, course {our:.1f} ms of CPU; ratio {ratio:.2f}", flush=True)


def compare_sampler(model: Diffusion, name: str) -> None:
    """Do both draw the same samples from the same noise, and at what cost?"""
    walk, kind, options = SAMPLERS[name]

    def theirs() -> Tensor:
        return their_sampling(model, kind, options)

    def ours() -> Tensor:
        return our_sampling(model, walk)

    found = []
    for sample in (theirs, ours):
        torch.manual_seed(1)
        found.append(sample())
    print(f"  {name}: samples differ by at most {float((found[0] - found[1]).abs().max()):.1e}")
    compare(f"{STEPS} steps of {name}", theirs, ours, rounds=4)


def main() -> None:
    torch.manual_seed(0)
    for size, model in models().items():
        print(f"{size}, {sum(p.numel() for p in model.parameters()):,} parameters, batch {BATCH}")
        data = torch.randint(model.space.levels, (BATCH, *model.space.shape)) / (model.space.levels - 1)
        compare("training step", *training(model, data), ROUNDS)
        for name in SAMPLERS:
            compare_sampler(model, name)
    print(f"{torch.get_num_threads()} thread")


if __name__ == "__main__":
    main()
