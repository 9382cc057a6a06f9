"""The parts of a training run, for `training.fit`: batches, the state that is trained, and the score on held-out data."""

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from .core import GenerativeModel, Kind, Space, Step

__all__ = ["Batches", "History", "Run", "Scorer", "TrainingDiverged", "seeded", "tail_mean", "undisturbed"]


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
        last = ", ".join(f"{group} {tail_mean(values):.4g}" for group, values in self.losses.items())
        best = f", best on valid at step {self.best_step}" if self.best_step is not None else ""
        return f"History: {self.steps} steps in {self.seconds:.1f} s, last losses: {last or 'none'}{best}"

    def plot(self, alt: str | None = None):
        """Draw losses by group, and the validation score where there is one."""
        from .plots import plot_history

        return plot_history(self, alt=alt)


def tail_mean(values: list[float], n: int = 50) -> float:
    tail = values[-n:]
    return sum(tail) / len(tail) if tail else math.nan


class Stepper(nn.Module):
    """Lets autocast and DDP, which hook `forward`, drive a generator: one call, one `next`."""

    def __init__(self, model: GenerativeModel):
        super().__init__()
        self.model = model

    def forward(self, steps: Iterator[Step]) -> Step | None:
        return next(steps, None)


def undisturbed(device: torch.device):
    """A context after which the random generators of the CPU and of this GPU are as they were before."""
    return torch.random.fork_rng([device.index or 0] if device.type == "cuda" else [])


@contextlib.contextmanager
def seeded(accelerator, seed: int):
    """Random numbers depend on the seed and the process's rank alone; the generators are put back afterwards."""
    with undisturbed(accelerator.device):
        torch.manual_seed(seed + 1_000_003 * accelerator.process_index)
        yield


class Batches:
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
            self.orders[epoch] = torch.randperm(len(self.x), generator=generator).to(self.x.device)
        return self.orders[epoch]

    def __call__(self, step: int) -> tuple[Tensor, Tensor | None]:
        start = (step - 1) * self.batch_size
        (epoch, offset), n = divmod(start, len(self.x)), len(self.x)
        index = self._order(epoch)[offset : offset + self.batch_size]
        if offset + self.batch_size > n:
            index = torch.cat([index, self._order(epoch + 1)[: offset + self.batch_size - n]])
        index = index[self.share]
        x = self.x[index]
        return (x if self.transform is None else self.transform(x)), (None if self.y is None else self.y[index])

    def check(self, space: Space) -> None:
        """Look at every value of a first batch, so that data of another space are refused before training."""
        x = self.x[: self.batch_size]
        with undisturbed(self.x.device):  # the look must not change the noise of the first step
            space.check(x if self.transform is None else self.transform(x), "the training data", values=True)


class Run:
    """The state of one training run: model, optimizers, average, history, and the last state known to be good."""

    def __init__(self, model, accelerator, optimizer, lr, ema, clip):
        self.model, self.accelerator, self.clip, self.decay = model, accelerator, clip, ema
        self.history, self.pending, self.updates = History(), [], 0
        self.best, self.best_score = None, math.inf
        self.between_steps = True  # whether the state is that after a whole step
        model.to(accelerator.device)
        model.train()
        self.same_everywhere()
        self.stepper = accelerator.prepare(Stepper(model))
        self.groups = {name: list(parameters) for name, parameters in model.parameter_groups().items()}
        make = optimizer or (lambda group, parameters: torch.optim.Adam(parameters, lr=lr, fused=_fusable(parameters)))
        self.optimizers = {name: make(name, parameters) for name, parameters in self.groups.items()}
        self.base_lr = {name: [g["lr"] for g in opt.param_groups] for name, opt in self.optimizers.items()}
        # only fp16's scaled gradients need accelerate's optimizer, which costs 0.2 ms a step
        scaled = accelerator.scaler is not None
        self.prepared = {name: accelerator.prepare(o) if scaled else o for name, o in self.optimizers.items()}
        self.trained = {name for name, _ in model.named_parameters()}
        self.average = self._copy() if ema is not None else None
        self.remember()

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

    def remember(self) -> None:
        """This state is good: keep a copy, to go back to if training diverges."""
        self.good = self._copy()
        self.good_average = None if self.average is None else {k: v.clone() for k, v in self.average.items()}

    @torch.no_grad()
    def same_everywhere(self) -> None:
        """Give every process the first one's parameters and buffers."""
        if self.accelerator.num_processes > 1:
            from accelerate.utils import broadcast

            self.load(
                {name: broadcast(value.contiguous().clone(), from_process=0) for name, value in self.state.items()}
            )

    def _anywhere(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        if self.accelerator.num_processes == 1:
            return flag
        total = self.accelerator.reduce(torch.tensor(float(flag), device=self.accelerator.device), reduction="sum")
        return float(total) > 0

    def set_lr(self, factor: float) -> None:
        for name, optimizer in self.optimizers.items():
            for group, base in zip(optimizer.param_groups, self.base_lr[name], strict=True):
                group["lr"] = base * factor

    def step(self, number: int, x: Tensor, y: Tensor | None) -> None:
        """One batch: drive the model's generator, updating after each yield the group that it names."""
        self.between_steps = False
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
            if name in self.trained:
                self.average[name].lerp_(value, 1 - decay)
            else:  # chains, codebooks, running statistics: an average of them would be none of them
                self.average[name].copy_(value)

    @torch.no_grad()
    def flush(self) -> None:
        """Look at the losses since the last look, and at the weights; if all is finite, remember this state as good."""
        if not self.pending:
            return
        losses = torch.stack([loss.float() for _, _, loss, _ in self.pending]).tolist()
        problem = self._problem(losses)
        if self._anywhere(problem != ""):
            self.load(self.good)
            self.average = self.good_average
            self.pending.clear()
            raise TrainingDiverged(
                f"{problem or 'training diverged in another process'}; the model holds the last good state. "
                "Try a smaller lr, warmup=…, or clip=1.0, and check the loss for log(0) and division by zero."
            )
        for (_, group, _, _), loss in zip(self.pending, losses, strict=True):
            self.history.losses.setdefault(group, []).append(loss)
        for name in dict.fromkeys(name for *_, logs in self.pending for name in logs):
            values = torch.stack([torch.as_tensor(logs[name]).float() for *_, logs in self.pending if name in logs])
            self.history.logs.setdefault(name, []).extend(values.tolist())
        self.pending.clear()
        self.remember()

    def _problem(self, losses: list[float]) -> str:
        """What is not finite, in words; "" if all is well."""
        for (number, group, _, _), loss in zip(self.pending, losses, strict=True):
            if not math.isfinite(loss):
                return f"the loss of group {group!r} was {loss} at step {number}"
        parameters = dict(self.model.named_parameters())
        finite = torch.stack([torch.isfinite(value).all() for value in parameters.values()])
        if bool(finite.all()):
            return ""
        name = next(name for name, fine in zip(parameters, finite.tolist(), strict=True) if not fine)
        return f"the weights {name} are no longer finite at step {self.pending[-1][0]}, though the loss was"

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
        """Leave the model with the weights that were asked for, in evaluation mode."""
        if self.best is not None:
            self.load(self.best)
        elif self.average is not None and self.updates:
            self.load(self.average)
        self.model.eval()


def _fusable(parameters: Iterable[nn.Parameter]) -> bool:
    """Fused Adam is the fastest, for floating-point parameters on CPU, CUDA and MPS."""
    return all(p.is_floating_point() and p.device.type in ("cpu", "cuda", "mps") for p in parameters)


class Scorer:
    """Scores the model on the validation split with the same random numbers each time, and keeps the best weights.

    The score is −log p in nats, which must be comparable from step to step, or what `score(model)` says; lower is better.
    """

    def __init__(self, run: Run, valid: tuple[Tensor, Tensor | None], seed: int, score: Callable | None):
        self.run, self.seed, self.score = run, seed, score
        self.x, self.y = (part if part is None else part.to(run.accelerator.device) for part in valid)
        if score is None:
            with torch.no_grad(), seeded(run.accelerator, seed):
                found = run.model.log_prob(self.x[:2], None if self.y is None else self.y[:2])
            if found is None or found.kind is Kind.UNNORMALIZED:
                what = "cannot score" if found is None else "scores up to an unknown constant, which training changes"
                raise ValueError(f"keep_best: {type(run.model).__name__} {what}; pass score=, a function of the model")

    def _negative_log_prob(self) -> float:
        parts = self.x.split(1000)
        labels = [None] * len(parts) if self.y is None else self.y.split(1000)
        scores = [-self.run.model.log_prob(x, y).value.sum() for x, y in zip(parts, labels, strict=True)]
        return float(torch.stack(scores).sum()) / len(self.x)

    @torch.no_grad()
    def __call__(self, step: int) -> None:
        run = self.run
        with run.averaged(), seeded(run.accelerator, self.seed):
            score = self._negative_log_prob() if self.score is None else float(self.score(run.model))
            if score < run.best_score:  # a NaN is not
                run.best, run.best_score, run.history.best_step = run._copy(), score, step
        run.history.valid.append((step, score))
