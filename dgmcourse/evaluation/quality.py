"""What samples are worth beside real examples: every distance at once, in features where those of images are known."""

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor

from ..core import GenerativeModel
from .frechet import frechet_distance
from .kernels import kernel_distance
from .likelihood import Estimate
from .memorization import memorization_test
from .neighbors import manifold_scores

__all__ = ["SURE", "clock", "draw", "plain", "recognition", "sample_quality"]

SURE = 0.9  # the classifier's probability from which an image counts as recognized


def clock(device: torch.device) -> Callable[[], float]:
    """Seconds of computing: the processor's on a CPU, where other programs do not count, else the wall's."""
    return time.process_time if device.type == "cpu" else time.perf_counter


def draw(model: GenerativeModel, n: int, seed: int = 0, at_once: int = 1000) -> tuple[Tensor, Tensor | None, float]:
    """n samples on the CPU, of a conditional model for each label as often; the generators are left as they were.

    Returns:
        samples (n, *shape), the labels that were asked for (n,) or None, milliseconds of computing for each sample.
    """
    asked = torch.arange(n) % model.classes if getattr(model, "classes", None) else None
    now, parts = clock(model.device), []
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        started = now()
        for first in range(0, n, at_once):
            y = None if asked is None else asked[first : first + at_once].to(model.device)
            parts.append(model.sample(min(at_once, n - first), y).cpu())  # on a GPU, this waits for the result
        seconds = now() - started
    return torch.cat(parts), asked, 1000 * seconds / n


@torch.no_grad()
def sample_quality(fake: Tensor, test: Tensor, train: Tensor, fresh: Tensor) -> dict[str, Estimate]:
    """Numbers by the names of `report.QUANTITIES`: Fréchet, kernel, precision, recall, density, coverage, copying.

    Args:
        fake: features of samples, (n, d).
        test: features of the real examples that samples are compared with, (m, d).
        train: features of what the model was trained on.
        fresh: features of examples drawn as `train` was, and not shown to the model; see `memorization_test`.
    """
    n = len(fake)
    numbers = {"Fréchet": plain(frechet_distance(test, fake), n), "kernel": kernel_distance(test, fake)}
    numbers |= {name: plain(value, n) for name, value in manifold_scores(test, fake)._asdict().items()}
    copying = memorization_test(fake, train, fresh)
    return numbers | {"copying z": plain(copying.z, n), "copied": plain(copying.copied, n)}


def recognition(chances: Tensor, asked: Tensor | None = None) -> dict[str, Estimate]:
    """The share of samples that a classifier is sure of, and the share that it takes for the label asked for.

    Args:
        chances: the classifier's probabilities, (n, classes).
        asked: labels, (n,), if any were.
    """
    numbers = {"recognized": Estimate.mean((chances.amax(1) > SURE).double(), "")}
    if asked is not None:
        numbers["as asked"] = Estimate.mean((chances.argmax(1) == asked).double(), "")
    return numbers


def plain(value: float, n: int, unit: str = "") -> Estimate:
    """A number whose standard error nobody knows."""
    return Estimate(float(value), math.nan, None, n, unit)
