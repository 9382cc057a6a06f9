"""`fit`: the one training loop of the course, for any model, on any device, in any number of processes.

A model says what to minimise by yielding `Step`s; everything else about training is here: batches, optimizers,
schedules, averaging, clipping, precision, validation, checkpoints, curves. It runs on Hugging Face accelerate, so the
same script works under `torchrun --nproc-per-node N` and `accelerate launch`.
"""

import contextlib
import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from .checkpoint import Checkpoints
from .core import GenerativeModel
from .data.dataset import Dataset
from .training_run import Batches, History, Run, Scorer, TrainingDiverged, seeded, tail_mean, undisturbed

__all__ = ["History", "TrainingDiverged", "fit"]

FLUSH = 50  # steps between looks at the losses: on a GPU each look waits for the device


def fit(
    model: GenerativeModel,
    data: Dataset | Tensor | tuple[Tensor, Tensor],
    *,
    steps: int,
    batch_size: int = 128,
    lr: float = 1e-3,
    schedule: str = "constant",
    warmup: int = 0,
    optimizer: Callable[[str, list[nn.Parameter]], torch.optim.Optimizer] | None = None,
    ema: float | None = None,
    clip: float | None = None,
    keep_best: bool = False,
    score: Callable[[GenerativeModel], float] | None = None,
    precision: str = "no",
    device: str = "auto",
    seed: int = 0,
    watch: Callable[[int, GenerativeModel], None] | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: int | None = None,
    progress: bool = True,
) -> History:
    """Train `model` on `data` for `steps` steps; leave it in evaluation mode, on the device it was trained on.

    The result depends on the seed alone (and on the hardware), not on the state of the random generators, which are
    left as they were found.

    Args:
        model: any GenerativeModel.
        data: a Dataset, a tensor (n, *shape), or a pair (x, y).
        steps: number of batches. One step may hold several updates (a critic's, then a generator's).
        batch_size: examples a step, over all processes together.
        lr, schedule, warmup: Adam's step size; "constant", or "cosine" / "linear" to zero; steps of linear warm-up.
        optimizer: `optimizer(group, parameters)` makes the optimizer of a group, instead of Adam.
        ema: decay of an exponential average of the weights; the model holds the average on return.
        clip: largest norm of a group's gradient.
        keep_best: look at `data.valid` some 40 times and keep the weights that scored best there.
        score: what `keep_best` goes by, lower is better; by default −log p of `data.valid`.
        precision: "no", "bf16" or "fp16".
        device: "auto", "cpu", "cuda" or "mps".
        watch: called as `watch(step, model)` after every step; random numbers it draws change nothing.
        checkpoint: a folder to resume from and to save to, so that a killed run loses little and ends the same.
        checkpoint_every: steps between saves; by default fifty a run.
        progress: show a bar.

    Raises:
        TrainingDiverged: a loss or weight is not finite; the message names step and group, and the model holds the
            last good state.
        ValueError: an argument makes no sense, or the checkpoint belongs to another run.
        KeyboardInterrupt: on interruption; the model keeps what it has learned.
    """
    _check_arguments(model, steps, batch_size, schedule, ema, precision, device)
    x, y, transform, valid = _unpack(data)
    if len(x) == 0:
        raise ValueError("there are no training examples: data.train is empty")
    if keep_best and valid is None and score is None:
        raise ValueError("keep_best needs a validation split: pass a Dataset with `valid`, not a bare tensor")
    if isinstance(data, Dataset) and data.space != model.space:
        raise ValueError(f"the model was built for {model.space}, but {data.name} lives in {data.space}")
    with _accelerator(device, precision) as accelerator, seeded(accelerator, seed):
        settings = {"batch_size": batch_size, "lr": lr, "schedule": schedule, "warmup": warmup, "ema": ema, "seed": seed,
                    "clip": clip, "examples": len(x), "keep_best": keep_best, "precision": precision,
                    "steps": steps if schedule != "constant" else None}  # fmt: skip
        run = Run(model, accelerator, optimizer, lr, ema, clip)
        batches = Batches(x, y, transform, batch_size, seed, accelerator)
        batches.check(model.space)
        best = Scorer(run, valid or (x[:0], None), seed, score) if keep_best else None
        saver = Checkpoints(checkpoint, run, settings) if checkpoint is not None else None
        first = saver.restore(steps) if saver else 0
        every = checkpoint_every or max(1, steps // 50)
        look = max(1, steps // 40)
        started, before = time.perf_counter(), run.history.seconds
        bar = _bar(first, steps, progress and accelerator.is_main_process)
        try:
            for step in range(first + 1, steps + 1):
                run.set_lr(_factor(step, steps, schedule, warmup))
                run.step(step, *batches(step))
                run.history.steps, run.history.seconds = step, before + time.perf_counter() - started
                if step % FLUSH == 0 or step == steps:
                    run.flush()
                    _show(bar, run)
                if best and (step % look == 0 or step == steps):
                    run.flush()
                    best(step)
                if watch is not None:
                    _watch(watch, step, model, accelerator)
                bar.update()
                run.between_steps = True
                run.history.seconds = before + time.perf_counter() - started
                if saver and (step % every == 0 or step == steps):
                    run.flush()
                    saver.save(step)
        except KeyboardInterrupt:
            raise _interrupted(run, saver, steps) from None
        finally:
            bar.close()
            run.finish()
        run.same_everywhere()
    return run.history


def _watch(watch: Callable, step: int, model: GenerativeModel, accelerator) -> None:
    """Call `watch` so that whatever it draws, or sets the model's mode to, training goes on as without it."""
    with undisturbed(accelerator.device):
        watch(step, model)
    model.train()


def _check_arguments(model, steps, batch_size, schedule, ema, precision, device) -> None:
    if not isinstance(model, GenerativeModel):
        raise TypeError(
            f"fit trains a GenerativeModel, got {type(model).__name__}; subclass dgmcourse.core.GenerativeModel"
        )
    for name, value in (("steps", steps), ("batch_size", batch_size)):
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a whole number ≥ 1, got {value!r}")
    for name, value, allowed in (
        ("schedule", schedule, ("constant", "cosine", "linear")),
        ("precision", precision, ("no", "bf16", "fp16")),
        ("device", device, ("auto", "cpu", "cuda", "mps")),
    ):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
    if ema is not None and not 0 <= ema < 1:
        raise ValueError(f"ema is a decay in [0, 1), e.g. 0.999; got {ema}")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            "device='cuda' was asked for, but torch sees no GPU; use device='auto', or run `dgmcourse doctor`"
        )
    if precision == "fp16" and (device == "cpu" or not torch.cuda.is_available()):
        raise ValueError("precision='fp16' needs a GPU; use 'bf16', which CPUs have too")
    if device == "mps" and not torch.backends.mps.is_available():
        raise ValueError("device='mps' was asked for, but torch sees no Apple GPU; use device='auto'")


def _unpack(data) -> tuple[Tensor, Tensor | None, Callable | None, tuple | None]:
    """(x, y, transform, (valid x, valid y) or None) of whatever `fit` accepts."""
    if isinstance(data, Dataset):
        valid = (data.valid, data.valid_labels) if len(data.valid) else None
        return data.train, data.train_labels, data.transform, valid
    if isinstance(data, Tensor):
        return data, None, None, None
    if isinstance(data, tuple) and len(data) == 2 and all(isinstance(part, Tensor) for part in data):
        if len(data[0]) != len(data[1]):
            raise ValueError(f"data holds {len(data[0])} examples but {len(data[1])} labels; they must pair up")
        return data[0], data[1], None, None
    raise TypeError(f"data must be a Dataset, a tensor or a pair of tensors (x, y), got {type(data).__name__}")


@contextlib.contextmanager
def _accelerator(device: str, precision: str):
    """An Accelerator whose process-wide state is reset afterwards, so that the next fit may choose anew."""
    from accelerate import Accelerator, DistributedDataParallelKwargs
    from accelerate.state import AcceleratorState, GradientState, PartialState

    ddp = DistributedDataParallelKwargs(find_unused_parameters=True, broadcast_buffers=False)
    gpu = torch.cuda.is_available() or torch.backends.mps.is_available()
    cpu_flag = os.environ.get("ACCELERATE_USE_CPU")
    states = (PartialState, AcceleratorState, GradientState)
    kept = [dict(state._shared_state) for state in states]  # of the caller's own Accelerator, or of an outer fit
    for state in states:
        state._shared_state.clear()
    try:
        yield Accelerator(mixed_precision=precision, cpu=device == "cpu" or not gpu, kwargs_handlers=[ddp])
    finally:
        for state, values in zip(states, kept, strict=True):
            state._shared_state.clear()
            state._shared_state.update(values)
        if cpu_flag is None:
            os.environ.pop("ACCELERATE_USE_CPU", None)
        else:
            os.environ["ACCELERATE_USE_CPU"] = cpu_flag


def _factor(step: int, steps: int, schedule: str, warmup: int) -> float:
    """What the base learning rate is multiplied by at this step (counted from 1)."""
    if step <= warmup:
        return step / warmup
    done = (step - 1 - warmup) / max(1, steps - warmup)
    return {"constant": 1.0, "linear": 1 - done, "cosine": 0.5 * (1 + math.cos(math.pi * done))}[schedule]


def _bar(first: int, steps: int, show: bool):
    from tqdm.auto import tqdm

    hidden = {} if show else {"disable": True}  # else TQDM_DISABLE=1 decides
    return tqdm(total=steps, initial=first, leave=False, unit="step", mininterval=0.2, **hidden)


def _show(bar, run: Run) -> None:
    if not bar.disable:
        bar.set_postfix({g: f"{tail_mean(v):.4g}" for g, v in run.history.losses.items()}, refresh=False)


def _interrupted(run: Run, saver, steps: int) -> KeyboardInterrupt:
    with contextlib.suppress(TrainingDiverged):
        run.flush()
        if saver and run.between_steps:  # within a step, the last save is the newest whole state
            saver.save(run.history.steps)
    where = f"the same call resumes from {saver.folder}" if saver else "another call of fit trains it on"
    return KeyboardInterrupt(
        f"training stopped at step {run.history.steps} of {steps}; the model keeps what it has learned; {where}"
    )
