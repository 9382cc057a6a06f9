"""`fit`: the one training loop of the course, for any model, on any device, in any number of processes.

A model says what to minimise by yielding `Step`s; everything else about training is here: batches, optimizers,
schedules, averaging, clipping, precision, validation, checkpoints, curves. It runs on Hugging Face accelerate, so the
same script works under `torchrun --nproc-per-node N` and `accelerate launch`.
"""

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from .checkpoint import Checkpoints
from .core import GenerativeModel, Step
from .data.dataset import Dataset

__all__ = ["History", "TrainingDiverged", "fit"]

FLUSH = 50  # steps between looks at the losses: on a GPU each look waits for the device


class TrainingDiverged(RuntimeError):
    """A loss or a weight is no longer finite. The model holds the last good state."""


@dataclass
class History:
    """What happened during a `fit`.

    Attributes:
        losses: every loss, by group.
        logs: every logged number, by name.
        valid: (step, score) pairs, where the score is −log p in nats (or the loss) on the validation split.
        best_step: the step whose weights were kept, with `keep_best`.
        steps: steps done in all; `seconds`: time spent, summed over resumed runs.
    """

    losses: dict[str, list[float]] = field(default_factory=dict)
    logs: dict[str, list[float]] = field(default_factory=dict)
    valid: list[tuple[int, float]] = field(default_factory=list)
    best_step: int | None = None
    steps: int = 0
    seconds: float = 0.0

    def __repr__(self):
        last = ", ".join(f"{group} {_tail_mean(values):.4g}" for group, values in self.losses.items())
        best = f", best on valid at step {self.best_step}" if self.best_step is not None else ""
        return f"History: {self.steps} steps in {self.seconds:.1f} s, last losses: {last or 'none'}{best}"

    def plot(self, alt: str | None = None):
        """Draw losses by group, and the validation score where there is one."""
        from .plots import plot_history

        return plot_history(self, alt=alt)


def _tail_mean(values: list[float], n: int = 50) -> float:
    tail = values[-n:]
    return sum(tail) / len(tail) if tail else math.nan


class Stepper(nn.Module):
    """Lets autocast and DDP, which hook `forward`, drive a generator: one call, one `next`."""

    def __init__(self, model: GenerativeModel):
        super().__init__()
        self.model = model

    def forward(self, steps: Iterator[Step]) -> Step | None:
        return next(steps, None)


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
        keep_best: look at `data.valid` 40 times and keep the weights that scored best there.
        precision: "no", "bf16" or "fp16".
        device: "auto", "cpu", "cuda" or "mps".
        watch: called as `watch(step, model)` after every step.
        checkpoint: a folder to resume from and to save to, so that a killed run loses little and ends the same.
        checkpoint_every: steps between saves; by default fifty a run.
        progress: show a bar.

    Raises:
        TrainingDiverged: a loss or weight is not finite; the message names step and group, and the model holds the
            last good state.
        ValueError: an argument makes no sense, or the checkpoint belongs to another run.
        KeyboardInterrupt: on interruption; the model keeps what it has learned, and a checkpoint is written.
    """
    _check_arguments(model, steps, batch_size, schedule, ema, precision, device)
    x, y, transform, valid = _unpack(data)
    if len(x) == 0:
        raise ValueError("there are no training examples: data.train is empty")
    if keep_best and valid is None:
        raise ValueError("keep_best needs a validation split: pass a Dataset with `valid`, not a bare tensor")
    with _accelerator(device, precision) as accelerator, _seeded(accelerator, seed):
        settings = {"batch_size": batch_size, "lr": lr, "schedule": schedule, "warmup": warmup, "ema": ema, "seed": seed,
                    "clip": clip, "examples": len(x), "keep_best": keep_best, "precision": precision,
                    "steps": steps if schedule != "constant" else None}  # fmt: skip
        run = _Run(model, accelerator, optimizer, lr, ema, clip)
        batches = _Batches(x, y, transform, batch_size, seed, accelerator)
        score = _Scorer(run, valid, seed) if keep_best else None
        saver = Checkpoints(checkpoint, run, settings) if checkpoint is not None else None
        first = saver.restore() if saver else 0
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
                if score and (step % look == 0 or step == steps):
                    run.flush()
                    score(step)
                if watch is not None:
                    watch(step, model)
                bar.update()
                run.history.seconds = before + time.perf_counter() - started
                if saver and (step % every == 0 or step == steps):
                    run.flush()
                    saver.save(step)
        except KeyboardInterrupt:
            raise _interrupted(run, saver, steps) from None
        finally:
            bar.close()
            run.finish()
    return run.history


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
    from accelerate.state import AcceleratorState, GradientState

    ddp = DistributedDataParallelKwargs(find_unused_parameters=True, broadcast_buffers=False)
    gpu = torch.cuda.is_available() or torch.backends.mps.is_available()
    cpu_flag = os.environ.get("ACCELERATE_USE_CPU")
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    try:
        yield Accelerator(mixed_precision=precision, cpu=device == "cpu" or not gpu, kwargs_handlers=[ddp])
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()
        if cpu_flag is None:
            os.environ.pop("ACCELERATE_USE_CPU", None)
        else:
            os.environ["ACCELERATE_USE_CPU"] = cpu_flag


@contextlib.contextmanager
def _seeded(accelerator, seed: int):
    """Random numbers depend on the seed and the process's rank alone; the generators are put back afterwards."""
    devices = [accelerator.device.index or 0] if accelerator.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed + 1_000_003 * accelerator.process_index)
        yield


class _Batches:
    """Step → batch. The order is one shuffled epoch after another and depends on the seed alone."""

    def __init__(self, x, y, transform, batch_size, seed, accelerator):
        world = accelerator.num_processes
        self.batch_size = min(batch_size, len(x))
        if self.batch_size % world:
            raise ValueError(f"a batch of {self.batch_size} does not divide among {world} processes; choose a multiple")
        self.x = x.to(accelerator.device)
        self.y = y if y is None else y.to(accelerator.device)
        self.transform, self.seed = transform, seed
        share = self.batch_size // world
        self.share = slice(accelerator.process_index * share, (accelerator.process_index + 1) * share)
        self.orders: dict[int, Tensor] = {}

    def _order(self, epoch: int) -> Tensor:
        if epoch not in self.orders:
            self.orders = {key: value for key, value in self.orders.items() if key == epoch - 1}
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            self.orders[epoch] = torch.randperm(len(self.x), generator=generator)
        return self.orders[epoch]

    def __call__(self, step: int) -> tuple[Tensor, Tensor | None]:
        start = (step - 1) * self.batch_size
        (epoch, offset), n = divmod(start, len(self.x)), len(self.x)
        index = self._order(epoch)[offset : offset + self.batch_size]
        if offset + self.batch_size > n:
            index = torch.cat([index, self._order(epoch + 1)[: offset + self.batch_size - n]])
        index = index[self.share].to(self.x.device)
        x = self.x[index]
        return (x if self.transform is None else self.transform(x)), (None if self.y is None else self.y[index])


class _Run:
    """The state of one training run: model, optimizers, average, history, and the last state known to be good."""

    def __init__(self, model, accelerator, optimizer, lr, ema, clip):
        self.model, self.accelerator, self.clip, self.decay = model, accelerator, clip, ema
        self.history, self.pending, self.best, self.updates = History(), [], None, 0
        model.to(accelerator.device)
        model.train()
        self.stepper = accelerator.prepare(Stepper(model))
        self.groups = {name: list(parameters) for name, parameters in model.parameter_groups().items()}
        make = optimizer or (lambda group, parameters: torch.optim.Adam(parameters, lr=lr, fused=_fusable(parameters)))
        self.optimizers = {name: make(name, parameters) for name, parameters in self.groups.items()}
        self.base_lr = {name: [g["lr"] for g in opt.param_groups] for name, opt in self.optimizers.items()}
        self.prepared = {name: accelerator.prepare(opt) for name, opt in self.optimizers.items()}
        self.average = self._copy() if ema is not None else None
        self.good, self.good_average = self._copy(), self.average

    @property
    def state(self) -> dict[str, Tensor]:
        """Live views of parameters and buffers, by name."""
        return self.model.state_dict()

    def _copy(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.state.items()}

    @torch.no_grad()
    def load(self, values: dict[str, Tensor]) -> None:
        """Put these values into the model, in place."""
        for name, value in self.state.items():
            value.copy_(values[name])

    def set_lr(self, factor: float) -> None:
        for name, optimizer in self.optimizers.items():
            for group, base in zip(optimizer.param_groups, self.base_lr[name], strict=True):
                group["lr"] = base * factor

    def step(self, number: int, x: Tensor, y: Tensor | None) -> None:
        """One batch: drive the model's generator, updating after each yield the group that it names."""
        turns, updates = self.model.training_step(x, y), 0
        while (turn := self.stepper(turns)) is not None:
            self._check_turn(turn)
            optimizer = self.prepared[turn.group]
            optimizer.zero_grad()
            self.accelerator.backward(turn.loss)
            if self.clip is not None:
                self.accelerator.clip_grad_norm_(self.groups[turn.group], self.clip)
            optimizer.step()
            self.pending.append((number, turn.group, turn.loss.detach(), dict(turn.logs)))
            updates += 1
        if not updates:
            raise ValueError(f"{type(self.model).__name__}.training_step yielded no Step; yield Step(loss)")
        if self.average is not None:
            self._update_average()

    def _check_turn(self, turn) -> None:
        name = type(self.model).__name__
        if not isinstance(turn, Step):
            raise TypeError(f"{name}.training_step must yield Step(loss), got {type(turn).__name__}")
        if turn.loss.ndim != 0:
            raise ValueError(f"{name}.training_step yielded a loss of shape {tuple(turn.loss.shape)}; "
                             "reduce it to a scalar, e.g. loss.mean()")  # fmt: skip
        if turn.group not in self.groups:
            raise ValueError(f"{name}.training_step yielded the group {turn.group!r}; "
                             f"parameter_groups() has {', '.join(self.groups)}")  # fmt: skip

    @torch.no_grad()
    def _update_average(self) -> None:
        """average ← decay·average + (1−decay)·weights; the decay starts small, so that the start is forgotten."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, value in self.state.items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - decay)
            else:
                self.average[name].copy_(value)

    @torch.no_grad()
    def flush(self) -> None:
        """Look at the losses since the last look; if all is finite, remember this state as good."""
        if not self.pending:
            return
        losses = torch.stack([loss.float() for _, _, loss, _ in self.pending]).tolist()
        bad = next((i for i, loss in enumerate(losses) if not math.isfinite(loss)), None)
        if bad is None and not all(bool(torch.isfinite(v).all()) for v in self.state.values() if v.is_floating_point()):
            bad = len(losses) - 1
        if bad is not None:
            number, group = self.pending[bad][:2]
            self.load(self.good)
            self.average = self.good_average
            self.pending.clear()
            raise TrainingDiverged(
                f"the loss of group {group!r} was {losses[bad]} at step {number}; the model holds the last good state. "
                "Try a smaller lr, warmup=…, or clip=1.0, and check the loss for log(0) and division by zero."
            )
        for (_, group, _, logs), loss in zip(self.pending, losses, strict=True):
            self.history.losses.setdefault(group, []).append(loss)
            for name, value in logs.items():
                self.history.logs.setdefault(name, []).append(float(value))
        self.pending.clear()
        self.good = self._copy()
        if self.average is not None:
            self.good_average = {name: value.clone() for name, value in self.average.items()}

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside, the model holds the average (if there is one) and is in evaluation mode."""
        kept = self._copy() if self.average is not None else None
        if kept is not None:
            self.load(self.average)
        self.model.eval()
        try:
            yield
        finally:
            if kept is not None:
                self.load(kept)
            self.model.train()

    def finish(self) -> None:
        """Leave the model with the weights that were asked for, the same in every process, in evaluation mode."""
        if self.best is not None:
            self.load(self.best)
        elif self.average is not None and self.updates:
            self.load(self.average)
        if self.accelerator.num_processes > 1:
            from accelerate.utils import broadcast

            self.load({name: broadcast(value.clone(), from_process=0) for name, value in self.state.items()})
        self.model.eval()


def _fusable(parameters: Iterable[nn.Parameter]) -> bool:
    """Fused Adam is the fastest, for floating-point parameters on CPU, CUDA and MPS."""
    return all(p.is_floating_point() and p.device.type in ("cpu", "cuda", "mps") for p in parameters)


class _Scorer:
    """Scores the model on the validation split with the same random numbers each time, and keeps the best weights."""

    def __init__(self, run: _Run, valid: tuple[Tensor, Tensor | None], seed: int):
        self.run, self.seed = run, seed
        self.x, self.y = (part if part is None else part.to(run.accelerator.device) for part in valid)

    @torch.no_grad()
    def _batch_score(self, x: Tensor, y: Tensor | None) -> float:
        found = self.run.model.log_prob(x, y)
        if found is not None:
            return -float(found.value.sum())
        return len(x) * sum(float(turn.loss) for turn in self.run.model.training_step(x, y))

    def __call__(self, step: int) -> None:
        run, parts = self.run, self.x.split(1000)
        labels = self.y.split(1000) if self.y is not None else [None] * len(parts)
        with run.averaged(), _seeded(run.accelerator, self.seed):
            score = sum(self._batch_score(x, y) for x, y in zip(parts, labels, strict=True)) / len(self.x)
            if math.isfinite(score) and (run.best is None or score < min(s for _, s in run.history.valid)):
                run.best, run.history.best_step = run._copy(), step
        run.history.valid.append((step, score))


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


def _show(bar, run: _Run) -> None:
    if not bar.disable:
        bar.set_postfix({g: f"{_tail_mean(v):.4g}" for g, v in run.history.losses.items()}, refresh=False)


def _interrupted(run: _Run, saver, steps: int) -> KeyboardInterrupt:
    with contextlib.suppress(TrainingDiverged):
        run.flush()
        if saver:
            saver.save(run.history.steps)
    where = f"run the same call again to resume from {saver.folder}" if saver else "call fit again to train on"
    return KeyboardInterrupt(
        f"training stopped at step {run.history.steps} of {steps}; the model keeps what it has learned; {where}"
    )
