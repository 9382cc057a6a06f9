"""What `Noising` shows: data on their way to noise, and what is known exactly about them on the way."""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..data.toys import Mixture
from ..schedules import NoiseSchedule
from .pixels import image_shape

__all__ = ["NoisedImages", "NoisedPoints", "Path", "noised_data"]

MOST_IMAGES, MOST_POOL, MOST_COMPONENTS = 36, 2000, 300


class Path(NamedTuple):
    """A schedule at one time.

    Attributes:
        t: the time.
        alpha, sigma: what is left of the data, and the noise's standard deviation.
        log_snr: ln(alpha²/sigma²), nats.
    """

    t: float
    alpha: float
    sigma: float
    log_snr: float

    @classmethod
    def of(cls, schedule: NoiseSchedule, t: float) -> "Path":
        """The path of this schedule at time t."""
        time = torch.tensor(float(t), dtype=torch.float64)
        return cls(float(t), float(schedule.alpha(time)), float(schedule.sigma(time)), float(schedule.log_snr(time)))


class NoisedPoints:
    """Points of the plane, the same noise for each all along, and the exact density of what they become.

    The density of alpha·x + sigma·noise is that of the known density (which needs `noised`), or, of mere points, that of
    a mixture with one component for each of them: what a network would learn that knew these points by heart.

    Args:
        density: with `noised(alpha, sigma)`, see `data.ToyDensity`.
        points: samples of it, (n, 2).
        scale: points on the path are x / scale.
        extent: half the side of a square that holds nearly all x.
        exact: whether the density is the data's own, and not that of the points.

    Attributes:
        data: on the path, (n, 2), float32.
        noise: (n, 2).
    """

    kind = "points"

    def __init__(self, density, points: Tensor, scale: float, extent: float, exact: bool):
        self.density, self.scale, self.exact = density, scale, exact
        self.data, self.noise = points.float() / scale, torch.zeros(len(points), 2)
        self._extent = extent / scale

    def draw_noise(self, seed: int) -> None:
        """Another noise for every point."""
        self.noise = torch.randn(self.data.shape, generator=torch.Generator().manual_seed(seed))

    def at(self, path: Path) -> Tensor:
        """x_t, (n, 2)."""
        return path.alpha * self.data + path.sigma * self.noise

    def extent(self, path: Path) -> float:
        """Half the side of a square that holds nearly all x_t: that of the data, or more where noise adds to them."""
        return max(self._extent, math.hypot(path.alpha * self._extent, 3 * path.sigma))

    def density_at(self, path: Path):
        """The density of x_t, with `log_prob` and `score`; None where it has none (points without noise)."""
        if not self.exact and path.sigma == 0:
            return None
        return self.density.noised(path.alpha / self.scale, path.sigma)


class NoisedImages:
    """Images, the same noise for each all along, and the best guess of the image under the noise.

    The guess is E[data | x_t] where data are any of a pool's images, equally likely: a mean of the pool, weighted by
    exp(−‖x_t − alpha·data‖² / 2 sigma²). It is what a perfectly trained network would say that knew the pool by heart.

    Args:
        images: (n, h, w) or (n, 1 or 3, h, w), values in [0, 1]; on the path they are 2x − 1.
        pool: images of the same shape.
    """

    kind = "images"

    def __init__(self, images: Tensor, pool: Tensor):
        for x in (images, pool):
            if not x.isfinite().all() or float(x.min()) < 0 or float(x.max()) > 1:
                raise ValueError("Noising needs images with values in [0, 1], "
                                 f"got {float(x.min()):.3g} … {float(x.max()):.3g}")  # fmt: skip
        self.data, self.pool = 2 * images.float() - 1, 2 * pool.float().flatten(1) - 1
        self.noise = torch.zeros_like(self.data)
        self._half_squares = 0.5 * self.pool.square().sum(1)

    def draw_noise(self, seed: int) -> None:
        """Another noise for every image."""
        self.noise = torch.randn(self.data.shape, generator=torch.Generator().manual_seed(seed))

    def at(self, path: Path) -> Tensor:
        """x_t, (n, *shape)."""
        return path.alpha * self.data + path.sigma * self.noise

    def shown(self, path: Path) -> Tensor:
        """x_t as values in [0, 1]: scaled to unit variance as a network sees it, from −(1 + s) to 1 + s, s the noise's part."""
        size = math.hypot(path.alpha, path.sigma)
        reach = 1 + path.sigma / size
        return ((self.at(path) / size / reach + 1) / 2).clamp(0, 1)

    def guess(self, path: Path) -> tuple[Tensor, np.ndarray]:
        """E[data | x_t] as values in [0, 1], (n, *shape); and how many images of the pool it could be, (n,): the
        perplexity of the weights, from 1 to the pool's size."""
        if path.sigma == 0:
            return (self.data + 1) / 2, np.ones(len(self.data))
        x = self.at(path).flatten(1)
        factor = path.alpha / path.sigma**2
        log_weights = (factor * (x @ self.pool.T) - factor * path.alpha * self._half_squares).log_softmax(1)
        weights = log_weights.exp()
        could_be = torch.special.entr(weights).sum(1).exp()
        return ((weights @ self.pool).view_as(self.data) + 1) / 2, could_be.numpy()


def noised_data(data, n: int, seed: int, scale: float) -> NoisedPoints | NoisedImages:
    """What can be noised, out of a density, a dataset, points or images.

    Raises:
        TypeError: none of these.
        ValueError: a tensor of another shape, not finite, or images outside [0, 1].
    """
    truth = getattr(data, "truth", None)
    density = truth if hasattr(truth, "sample") else data
    if hasattr(density, "sample") and hasattr(density, "log_prob"):
        return _of_density(density, n, seed, scale)
    shown = data if isinstance(data, Tensor) else getattr(data, "test", None)
    pool = shown if isinstance(data, Tensor) else getattr(data, "train", None)
    if not isinstance(shown, Tensor) or not isinstance(pool, Tensor):
        raise TypeError("Noising needs a known density, a dataset, points (n, 2) or images (n, 1 or 3, height, width); "
                        f"got {type(data).__name__}")  # fmt: skip
    shown, pool = shown.detach().cpu(), pool.detach().cpu()
    if not len(shown) or not shown.is_floating_point() or not shown.isfinite().all():
        raise ValueError("the data must be finite floating-point numbers, one example or more")
    if shown.ndim == 2 and shown.shape[1] == 2:
        return _of_points(pool[: min(n, MOST_COMPONENTS)].float(), scale)
    if image_shape(tuple(shown.shape[1:])) is None or min(shown.shape[-2:]) < 2:
        raise ValueError("Noising shows points (n, 2) and images (n, height, width) or (n, 1 or 3, height, width); "
                         f"got {tuple(shown.shape)}")  # fmt: skip
    return NoisedImages(shown[: min(n, MOST_IMAGES)], pool[:MOST_POOL])


def _of_density(density, n: int, seed: int, scale: float) -> NoisedPoints:
    """Samples of a density of the plane, with its own noised density where that has a closed form."""
    points = density.sample(n, torch.Generator().manual_seed(seed)).detach().cpu().float()
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"Noising shows densities of the plane; this one's samples have shape {tuple(points.shape)}")
    try:
        density.noised(1.0, 1.0)
    except (AttributeError, ValueError):
        return _of_points(points[:MOST_COMPONENTS], scale)
    extent = getattr(density, "extent", None) or 1.1 * float(points.abs().max())
    return NoisedPoints(density, points, scale, extent, exact=True)


def _of_points(points: Tensor, scale: float) -> NoisedPoints:
    """Points and nothing more: each a component without any width."""
    mixture = Mixture("points", points, std=0.0)
    return NoisedPoints(mixture, points, scale, 1.1 * max(float(points.abs().max()), 1e-6), exact=False)
