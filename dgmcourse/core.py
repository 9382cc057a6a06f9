"""The interface that every family of the course satisfies. Read this file first.

A model is built for a `Space` (the set that one example x lives in), learns by yielding losses from
`training_step`, samples by yielding states from `trajectory`, and says what its log-probabilities are worth
with a `Kind`. `dgmcourse.training.fit` trains any of them.
"""

import abc
import enum
import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

__all__ = ["GenerativeModel", "Kind", "Latent", "LogProb", "Saved", "Space", "Step"]


@dataclass(frozen=True)
class Space:
    """The set that one example x lives in. Every dataset has one; every model is built for one.

    Make one with `Space.real`, `Space.binary`, `Space.grey` or `Space.tokens`.

    Attributes:
        kind: "real", "binary", "grey" or "tokens".
        shape: shape of one example, without the batch: `(2,)`, `(1, 28, 28)`, …
        levels: how many values one entry may take; None for reals.
    """

    kind: str
    shape: tuple[int, ...]
    levels: int | None = None

    def __post_init__(self):
        object.__setattr__(self, "shape", tuple(int(side) for side in self.shape))
        if self.kind not in ("real", "binary", "grey", "tokens"):
            raise ValueError(f"Space.kind must be 'real', 'binary', 'grey' or 'tokens', got {self.kind!r}")
        if not self.shape or any(side < 1 for side in self.shape):
            raise ValueError(f"a Space needs a shape of positive sides, got {self.shape}")
        if (self.levels is None) != (self.kind == "real") or (self.levels is not None and self.levels < 2):
            raise ValueError(f"a {self.kind} space cannot have levels={self.levels}")

    @staticmethod
    def real(*shape: int) -> "Space":
        """Vectors (or arrays) of real numbers, float."""
        return Space("real", shape)

    @staticmethod
    def binary(*shape: int) -> "Space":
        """{0, 1}, held as float."""
        return Space("binary", shape, 2)

    @staticmethod
    def grey(*shape: int, levels: int) -> "Space":
        """`levels` evenly spaced values in [0, 1], held as float: 0, 1/(levels−1), …, 1."""
        return Space("grey", shape, levels)

    @staticmethod
    def tokens(length: int, vocabulary: int) -> "Space":
        """Sequences of `length` integers in 0 … vocabulary−1, held as int64."""
        return Space("tokens", (length,), vocabulary)

    def __str__(self):
        sides = ", ".join(map(str, self.shape))
        return f"{self.kind}({sides}, levels={self.levels})" if self.kind == "grey" else f"{self.kind}({sides})"

    @property
    def dim(self) -> int:
        """Number of entries of one example: the product of `shape`."""
        return math.prod(self.shape)

    @property
    def discrete(self) -> bool:
        """Whether x takes finitely many values, so that its log-probability is never positive."""
        return self.levels is not None

    def bits_per_dim(self, log_prob: "Tensor | LogProb") -> Tensor:
        """−log p(x) / (dim · ln 2): from nats per example to bits per dimension, of the same shape."""
        value = log_prob.value if isinstance(log_prob, LogProb) else log_prob
        return -value / (self.dim * math.log(2))

    def dequantize(self, x: Tensor) -> Tensor:
        """Uniform noise spreads each of the levels over a cell of width 1/levels: (batch, *shape) in [0, 1).

        If p is a density on [0, 1)^dim, the discrete value has P(x) = levels^−dim · E_u[p(dequantize(x))], so
        `log p(dequantize(x)) + log_cell_volume` is, on average, a lower bound of log P(x).
        Theis, van den Oord & Bethge, "A note on the evaluation of generative models", 2016,
        https://arxiv.org/abs/1511.01844. Real spaces pass through unchanged.
        """
        if self.kind == "tokens":
            raise ValueError("tokens have no order, so uniform noise cannot dequantize them; embed them instead")
        if self.kind == "real":
            return x
        margin = self.levels * torch.finfo(x.dtype).eps  # rounding must not reach the cells on either side
        noise = margin + (1 - 2 * margin) * torch.rand_like(x)
        return ((x * (self.levels - 1)).round() + noise) / self.levels

    def quantize(self, x: Tensor) -> Tensor:
        """The inverse of `dequantize`: the level whose cell holds x. Reals pass through unchanged."""
        if self.kind in ("real", "tokens"):
            return x
        return (x * self.levels).floor().clamp(0, self.levels - 1) / (self.levels - 1)

    @property
    def log_cell_volume(self) -> float:
        """log of one dequantization cell's volume: −dim · ln levels, in nats (0 for reals)."""
        return -self.dim * math.log(self.levels) if self.kind in ("binary", "grey") else 0.0

    def check(self, x: Tensor, name: str = "x", values: bool = False) -> Tensor:
        """Return x if it is a batch from this space; else say what was given, what is expected, what to do.

        Args:
            x: (batch, *shape).
            name: what to call x in the message.
            values: also look at every entry (slower): allowed values, no NaN.

        Raises:
            TypeError: not a tensor, or of the wrong dtype.
            ValueError: wrong shape, or values outside the space.
        """
        if not isinstance(x, Tensor):
            raise TypeError(f"{name} must be a torch.Tensor, got {type(x).__name__}; use torch.as_tensor(…)")
        if tuple(x.shape[1:]) != self.shape or x.ndim == 0:
            hint = f"; add the batch dimension: {name}[None]" if tuple(x.shape) == self.shape else ""
            raise ValueError(f"{name} must have shape (batch, {', '.join(map(str, self.shape))}) for {self}, "
                             f"got {tuple(x.shape)}{hint}")  # fmt: skip
        if self.kind == "tokens" and x.dtype != torch.int64:
            raise TypeError(f"{name} must be int64 for {self}, got {x.dtype}; use {name}.long()")
        if self.kind != "tokens" and not x.is_floating_point():
            raise TypeError(f"{name} must be floating point for {self}, got {x.dtype}; use {name}.float()")
        if values:
            self._check_values(x, name)
        return x

    def _check_values(self, x: Tensor, name: str) -> None:
        if not torch.isfinite(x).all():
            raise ValueError(f"{name} holds NaN or infinity")
        if self.kind == "tokens" and x.numel() and not 0 <= int(x.min()) <= int(x.max()) < self.levels:
            raise ValueError(f"{name} must hold tokens 0 … {self.levels - 1}, got {int(x.min())} … {int(x.max())}")
        if self.kind in ("binary", "grey") and not torch.allclose(x, self.quantize(x), atol=1e-4):
            fix = "binarize it first, e.g. digits(levels=2)" if self.kind == "binary" else "round it to the levels"
            raise ValueError(f"{name} must hold the {self.levels} values of {self}, "
                             f"got values from {float(x.min()):.3g} to {float(x.max()):.3g}; {fix}")  # fmt: skip


class Kind(enum.Enum):
    """What a log-probability is worth; it travels with the number, and is printed before it."""

    EXACT = "="
    LOWER_BOUND = "≥"  # the true log p(x) is at least this
    UPPER_BOUND = "≤"  # at most this: a KL divergence, say, where log p(x) is a lower bound
    ESTIMATE = "≈"
    UNNORMALIZED = "+C"  # right up to a constant that nobody knows: never ranked

    def __str__(self):
        return self.value


class LogProb(NamedTuple):
    """Log-probabilities and what they are worth.

    Attributes:
        value: (batch,), nats per example.
        kind: exact, lower bound, estimate or unnormalized.
    """

    value: Tensor
    kind: Kind


class Step(NamedTuple):
    """One loss of a training step, yielded by `GenerativeModel.training_step`.

    Attributes:
        loss: scalar to minimise.
        group: whose parameters this loss updates (a key of `parameter_groups()`).
        logs: numbers worth a curve, by name (detached scalars).
    """

    loss: Tensor
    group: str = "model"
    logs: Mapping[str, Tensor] = {}


@runtime_checkable
class Latent(Protocol):
    """A model with a latent space: what explorers and representation metrics need.

    `encode(x)` gives one point per example, (batch, latents); `decode(z)` the expected x, (batch, *shape).
    """

    latents: int

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor: ...

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor: ...


class Saved(nn.Module, PyTorchModelHubMixin):
    """A module that can be written to a folder and rebuilt from it: weights and constructor arguments, never pickled."""

    def __new__(cls, *arguments, **keywords):
        """Note the constructor's arguments for `save_pretrained`: NumPy scalars and ranges as JSON has them."""
        arguments, keywords = [_plain(a) for a in arguments], {k: _plain(v) for k, v in keywords.items()}
        model = super().__new__(cls, *arguments, **keywords)
        given = {**dict(zip(list(cls._hub_mixin_init_parameters)[1:], arguments, strict=False)), **keywords}
        model._cannot_be_saved = [name for name, value in given.items() if not cls._is_jsonable(value)]
        return model

    @property
    def device(self) -> torch.device:
        """Where the parameters live; the CPU for a model without any."""
        parameter = next(self.parameters(), None)
        return torch.device("cpu") if parameter is None else parameter.device

    def _save_pretrained(self, save_directory: Path) -> None:
        """Weights and constructor arguments, each file replaced whole, so that a crash leaves the old one."""
        from safetensors.torch import save_model

        config = {"class": type(self).__name__, **(self._hub_mixin_config or {})}
        partial = save_directory / f"model.safetensors.{os.getpid()}.partial"
        save_model(self, str(partial))
        os.replace(partial, save_directory / "model.safetensors")
        partial = save_directory / f"config.json.{os.getpid()}.partial"
        partial.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        os.replace(partial, save_directory / "config.json")

    def save_pretrained(self, save_directory: str | Path, **_) -> None:
        """Write `model.safetensors` and `config.json` into a folder. Nothing is uploaded anywhere.

        Raises:
            ValueError: a constructor argument is no JSON value, so that the model could not be rebuilt.
        """
        if self._cannot_be_saved:
            raise ValueError(f"{type(self).__name__} cannot be saved: {', '.join(self._cannot_be_saved)} must be numbers, "
                             "strings or lists of them; pass the name of a function, say, and look it up")  # fmt: skip
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        self._save_pretrained(folder)

    @classmethod
    def from_pretrained(cls, folder: str | Path, **changes) -> "Saved":
        """Rebuild a model, in evaluation mode on the CPU, from a folder written by `save_pretrained`.

        Args:
            folder: a local folder; nothing is ever downloaded or unpickled.
            **changes: constructor arguments to use instead of the saved ones.

        Raises:
            FileNotFoundError: the folder or one of its two files is missing.
            ValueError: the folder holds another class, or a damaged file.
        """
        folder = Path(folder)
        for name in ("config.json", "model.safetensors"):
            if not (folder / name).is_file():
                raise FileNotFoundError(
                    f"{folder} holds no {name}; give a folder written by model.save_pretrained(folder)"
                )
        try:
            saved = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("class")
        except (ValueError, AttributeError) as error:
            raise ValueError(f"{folder / 'config.json'} is damaged ({error}); save the model again") from None
        if saved not in (None, cls.__name__):
            raise ValueError(f"{folder} holds a {saved}, not a {cls.__name__}; use {saved}.from_pretrained")
        return super().from_pretrained(folder, **changes)

    @classmethod
    def _from_pretrained(cls, *, model_id: str, **constructor_and_hub_arguments) -> "Saved":
        """Build the model and fill in its weights; half-precision files are widened to the model's own dtype."""
        from safetensors import SafetensorError
        from safetensors.torch import load_model

        hub = ("revision", "cache_dir", "force_download", "local_files_only", "token", "class")
        arguments = {k: v for k, v in constructor_and_hub_arguments.items() if k not in hub}
        if isinstance(arguments.get("space"), dict):  # decoded by the mixin only where the argument is annotated
            arguments["space"] = Space(**arguments["space"])
        model = cls(**arguments)
        try:
            load_model(model, Path(model_id) / "model.safetensors", strict=True)
        except (SafetensorError, RuntimeError) as error:
            raise ValueError(f"the weights in {model_id} do not fit {cls.__name__}, or are damaged: {error}") from None
        return model.eval()


class GenerativeModel(Saved, abc.ABC):
    """What every family can do. A new family writes `training_step` and `trajectory`, and `log_prob` if it can.

    Constructor arguments must be JSON values (numbers, strings, lists) beside `space`: they are saved with the
    weights by `save_pretrained(folder)` and `from_pretrained(folder)` rebuilds the model from them.

    Args:
        space: where one example x lives.
    """

    def __init__(self, space: Space):
        super().__init__()
        if not isinstance(space, Space):
            raise TypeError(f"{type(self).__name__} needs a Space first, got {type(space).__name__}; "
                            "use the space of your data, e.g. digits().space")  # fmt: skip
        self.space = space

    @abc.abstractmethod
    def training_step(self, x: Tensor, y: Tensor | None = None) -> Iterator[Step]:
        """Yield one or more losses for a batch.

        After each `yield` the loop has updated that group's parameters, and the model resumes: a GAN's generator
        sees the updated critic, and whatever must follow an update (clipping weights, storing chains) is plain code.

        Args:
            x: (batch, *shape).
            y: the condition, if there is one: labels (batch,), int64, or vectors (batch, features). `fit` passes the
                data's labels to every model; one without a condition ignores them.
        """

    @abc.abstractmethod
    def trajectory(self, n: int, y: Tensor | None = None) -> Iterator[Tensor]:
        """Yield every state on the way to n samples, each (n, *shape); the last one is the sample."""

    @torch.no_grad()
    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """n samples of the model, (n, *shape), members of its space: the last state of `trajectory`."""
        if n < 1:
            raise ValueError(f"sample needs n ≥ 1, got {n}")
        state = None
        for state in self.trajectory(n, y):  # noqa: B007 (only the last state is wanted)
            pass
        return state

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> LogProb | None:
        """log p(x), or log p(x | y), in nats per example with its kind; None where the family cannot score."""
        return None

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Parameters by the name that `Step.group` uses; each group has its own optimizer."""
        return {"model": list(self.parameters())}

    def check_input(self, x: Tensor, name: str = "x") -> Tensor:
        """Return x if it belongs to the model's space and device; else raise an error that says what to do."""
        self.space.check(x, name)
        if x.device != self.device:
            raise ValueError(f"{name} is on {x.device}, the model on {self.device}; move it: {name}.to(model.device)")
        return x


def _plain(value: object) -> object:
    """A constructor argument as JSON holds it, where there is an obvious way."""
    if isinstance(value, range):
        return list(value)
    item = getattr(value, "item", None)  # NumPy scalars and tensors of one number
    return item() if callable(item) and getattr(value, "ndim", None) == 0 else value
