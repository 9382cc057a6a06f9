"""Eight two-dimensional densities whose truth is known: samples, log density, entropy, and mostly the score.

All of them fit the square [−5.5, 5.5]², so that one picture frame serves them all. Six have a closed form. The
two curves (moons, spirals) are mixtures of hundreds of small Gaussians placed by Gauss–Legendre quadrature: to ten
digits the same as the continuous curve blurred by Gaussian noise, and, being finite mixtures, sampled and scored
exactly.
"""

import abc
import functools
import math

import torch
from torch import Tensor

from ..core import Space
from .dataset import Dataset, split_generators, split_sizes

__all__ = ["TOYS", "ToyDensity", "toy", "toy_density"]

PLANE = Space.real(2)


class ToyDensity(abc.ABC):
    """A density on the plane that is known exactly.

    Attributes:
        name: "moons", say.
        extent: half the side of the square, centered on the origin, that a picture should show (99 % of the mass).
    """

    name: str
    extent: float = 5.5
    _reach: float = 7.0  # the quadrature of the entropy covers [−reach, reach]²: all but about 1e-9 of the mass
    _grain: float  # the finest length scale of the density

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in nats: (batch, 2) -> (batch,). −inf where the density is zero; NaN only for NaN.

        Raises:
            TypeError, ValueError: x is not a floating point tensor of shape (batch, 2).
        """
        PLANE.check(x)
        finite = x.isfinite().all(-1)
        value = self._log_prob(x.where(finite[:, None], 0.0))
        return value.where(finite, torch.where(x.isnan().any(-1), math.nan, -math.inf).to(x.dtype))

    @abc.abstractmethod
    def _log_prob(self, x: Tensor) -> Tensor:
        """log p(x) of finite x, (batch,)."""

    @abc.abstractmethod
    def _draw(self, n: int, generator: torch.Generator | None, device: torch.device | None) -> Tensor:
        """n samples, (n, 2)."""

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n exact, independent samples: float32 (n, 2), on the generator's device (the CPU without one)."""
        if n < 1:
            raise ValueError(f"sample needs n ≥ 1, got {n}")
        return self._draw(n, generator, None if generator is None else generator.device)

    def score(self, x: Tensor) -> Tensor:
        """∇ log p(x): (batch, 2) -> (batch, 2)."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad(self.log_prob(x).sum(), x)[0]

    def noised(self, alpha: float, sigma: float) -> "ToyDensity":
        """The density of alpha·x + sigma·noise, noise ~ N(0, I): what diffusion makes of the data at one time."""
        raise ValueError(
            f"{self.name} has no closed form under noise; take eight_gaussians, grid, moons, spirals or ring"
        )

    @functools.cached_property
    def entropy(self) -> float:
        """−E[log p(x)] in nats, by the trapezoid rule on a grid of a quarter of the finest scale.

        The rule converges faster than any power of the step on smooth densities that vanish at the border.
        """
        step = self._grain / 4
        axis = (
            torch.arange(-math.ceil(self._reach / step), math.ceil(self._reach / step) + 1, dtype=torch.float64) * step
        )
        total = 0.0
        for row in axis.split(64):
            log_p = self.log_prob(torch.cartesian_prod(axis, row))
            total += float(torch.special.entr(log_p.exp()).sum())
        return total * step**2

    def __repr__(self):
        return f"{self.name}, a known density on the plane"


class Mixture(ToyDensity):
    """p(x) = Σ_k w_k N(x; c_k, std² I).

    Args:
        name: what to call it.
        centers: (components, 2).
        std: standard deviation of every component.
        weights: (components,), summing to 1; None for equal ones.
    """

    def __init__(self, name: str, centers: Tensor, std: float, weights: Tensor | None = None):
        self.name, self.std, self._grain = name, std, std
        self.centers = centers.double()
        equal = torch.full((len(centers),), 1 / len(centers), dtype=torch.float64)
        self.weights = equal if weights is None else weights.double()
        self._reach = float(self.centers.abs().max()) + 7 * std

    def _log_joint(self, x: Tensor) -> Tensor:
        """log w_k + log N(x; c_k, std² I): (batch, components)."""
        centers, weights = self.centers.to(x), self.weights.to(x)
        squared = (x[:, :1] - centers[:, 0]).square() + (x[:, 1:] - centers[:, 1]).square()
        return weights.log() - squared / (2 * self.std**2) - math.log(2 * math.pi * self.std**2)

    def _chunks(self, x: Tensor) -> tuple[Tensor, ...]:
        return x.split(max(1, 2**22 // len(self.centers)))  # keeps (batch, components) small on fine grids

    def _log_prob(self, x):
        return torch.cat([self._log_joint(part).logsumexp(-1) for part in self._chunks(x)])

    def score(self, x: Tensor) -> Tensor:
        """∇ log p(x) = (E[c | x] − x) / std²: (batch, 2) -> (batch, 2). Differentiable."""
        PLANE.check(x)
        mean = torch.cat([self._log_joint(part).softmax(-1) @ self.centers.to(x) for part in self._chunks(x)])
        return (mean - x) / self.std**2

    def _draw(self, n, generator, device):
        weights = self.weights.to(device)
        component = torch.multinomial(weights, n, replacement=True, generator=generator)
        noise = torch.randn(n, 2, generator=generator, device=device)
        return self.centers.to(device, torch.float32)[component] + self.std * noise

    def noised(self, alpha, sigma):
        return Mixture(self.name, alpha * self.centers, math.hypot(alpha * self.std, sigma), self.weights)


class Ring(ToyDensity):
    """A circle blurred by Gaussian noise: p(x) = exp(−(r² + radius²) / 2 std²) I₀(r·radius / std²) / (2π std²)."""

    def __init__(self, radius: float = 3.5, std: float = 0.35):
        self.name, self.radius, self.std, self._grain = "ring", radius, std, std
        self._reach = radius + 7 * std

    def _log_prob(self, x):
        r = torch.linalg.vector_norm(x, dim=-1)
        log_bessel = torch.special.i0e(r * self.radius / self.std**2).log()  # of I₀(z) exp(−z), which cannot overflow
        return log_bessel - (r - self.radius).square() / (2 * self.std**2) - math.log(2 * math.pi * self.std**2)

    def _draw(self, n, generator, device):
        angle = 2 * math.pi * torch.rand(n, generator=generator, device=device)
        noise = torch.randn(n, 2, generator=generator, device=device)
        return self.radius * torch.stack((angle.cos(), angle.sin()), -1) + self.std * noise

    def noised(self, alpha, sigma):
        return Ring(alpha * self.radius, math.hypot(alpha * self.std, sigma))


class Pinwheel(ToyDensity):
    """Five Gaussians along the spokes of a wheel, twisted by an angle that grows with the radius.

    Such a twist preserves area, so p(x) is the mixture's density at the untwisted point, and the entropy is the
    mixture's. After the pinwheel of Johnson et al., "Composing graphical models with neural networks", 2016,
    https://arxiv.org/abs/1603.06277, whose own twist has no tractable inverse.
    """

    name = "pinwheel"
    arms, rate = 5, 0.55
    radius, radial_std, tangential_std = 2.6, 0.8, 0.3
    _reach, _grain = 8.5, 0.25

    def _log_prob(self, x):
        r = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        spoke = 2 * math.pi / self.arms * torch.arange(self.arms, dtype=x.dtype, device=x.device)
        angle = spoke + self.rate * r.clamp_max(1e4)  # (batch, arms); farther out the density is 0 in any case
        along = x[:, :1] * angle.cos() + x[:, 1:] * angle.sin()  # untwisted, in each arm's own frame
        across = x[:, 1:] * angle.cos() - x[:, :1] * angle.sin()
        exponent = ((along - self.radius) / self.radial_std).square() + (across / self.tangential_std).square()
        scale = 2 * math.pi * self.radial_std * self.tangential_std * self.arms
        return (-exponent / 2).logsumexp(-1) - math.log(scale)

    def _draw(self, n, generator, device):
        noise = torch.randn(n, 2, generator=generator, device=device)
        along, across = self.radius + self.radial_std * noise[:, 0], self.tangential_std * noise[:, 1]
        arm = torch.randint(self.arms, (n,), generator=generator, device=device)
        angle = 2 * math.pi / self.arms * arm + self.rate * torch.hypot(along, across)
        cos, sin = angle.cos(), angle.sin()
        return torch.stack((along * cos - across * sin, along * sin + across * cos), -1)


class Checkerboard(ToyDensity):
    """Uniform on the eight dark squares of a 4 × 4 board on [−4, 4)²; zero elsewhere, so that log p = −inf there."""

    name = "checkerboard"
    entropy = math.log(32)  # the dark squares cover 8 · 2² = 32

    def _log_prob(self, x):
        column, row = ((x + 4) / 2).floor().unbind(-1)
        dark = ((column + row) % 2 == 0) & (x >= -4).all(-1) & (x < 4).all(-1)
        return torch.where(dark, 0 * x.sum(-1) - math.log(32), -math.inf)  # 0·x: a gradient, of zero

    def _draw(self, n, generator, device):
        cell = torch.randint(8, (n,), generator=generator, device=device)
        row = cell // 2
        column = 2 * (cell % 2) + row % 2
        corner = 2 * torch.stack((column, row), -1) - 4
        inside = torch.rand(n, 2, generator=generator, device=device).mul(2).clamp_max(2 - 2**-20)
        return corner + inside  # the clamp keeps rounding from reaching the next square

    def score(self, x: Tensor) -> Tensor:
        """Refused: the density jumps at every edge, and is flat in between."""
        raise ValueError("the checkerboard has no score: its density jumps from 0 to 1/32; take another toy")


class Banana(ToyDensity):
    """x₁ ~ N(0, width²) and x₂ | x₁ ~ N(bend·(x₁² − width²), thickness²): a Gaussian, bent without changing areas.

    After Haario, Saksman & Tamminen, "Adaptive proposal distribution for random walk Metropolis algorithm", 1999,
    https://doi.org/10.1007/s001800050022.
    """

    name = "banana"
    width, thickness, bend = 1.6, 0.5, 0.3
    entropy = math.log(2 * math.pi * math.e * width * thickness)

    def _log_prob(self, x):
        along = x[:, 0] / self.width
        across = (x[:, 1] - self.bend * (x[:, 0].square() - self.width**2)) / self.thickness
        return -(along.square() + across.square()) / 2 - math.log(2 * math.pi * self.width * self.thickness)

    def _draw(self, n, generator, device):
        along, across = torch.randn(n, 2, generator=generator, device=device).unbind(-1)
        x = self.width * along
        return torch.stack((x, self.thickness * across + self.bend * (x.square() - self.width**2)), -1)


def _gauss_legendre(nodes: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights of Gauss–Legendre quadrature on [0, 1], float64."""
    import numpy

    t, weights = numpy.polynomial.legendre.leggauss(nodes)
    return torch.from_numpy((t + 1) / 2), torch.from_numpy(weights / 2)


def _eight_gaussians() -> Mixture:
    angle = torch.arange(8, dtype=torch.float64) * math.pi / 4
    return Mixture("eight_gaussians", 4 * torch.stack((angle.cos(), angle.sin()), -1), std=0.5)


def _grid() -> Mixture:
    axis = torch.arange(-4, 5, 2, dtype=torch.float64)
    return Mixture("grid", torch.cartesian_prod(axis, axis), std=0.25)


def _moons() -> Mixture:
    """Two half circles of radius 2.5, interleaved, uniform along the arc."""
    t, weights = _gauss_legendre(80)
    cos, sin = (math.pi * t).cos(), (math.pi * t).sin()
    upper, lower = torch.stack((cos - 0.5, sin - 0.25), -1), torch.stack((0.5 - cos, 0.25 - sin), -1)
    return Mixture("moons", 2.5 * torch.cat((upper, lower)), std=0.25, weights=torch.cat((weights, weights)) / 2)


def _spirals() -> Mixture:
    """Two arms of one and a half turns, radius 4.2·t, t of density 2t: almost uniform along the arm."""
    t, weights = _gauss_legendre(240)
    arm = 4.2 * t[:, None] * torch.stack(((3 * math.pi * t).cos(), (3 * math.pi * t).sin()), -1)
    return Mixture("spirals", torch.cat((arm, -arm)), std=0.2, weights=torch.cat((weights * t, weights * t)))


_MAKERS = {
    "eight_gaussians": _eight_gaussians,
    "ring": Ring,
    "grid": _grid,
    "moons": _moons,
    "pinwheel": Pinwheel,
    "spirals": _spirals,
    "checkerboard": Checkerboard,
    "banana": Banana,
}
TOYS = tuple(_MAKERS)


@functools.cache
def toy_density(name: str) -> ToyDensity:
    """The density of one of `TOYS`: `sample(n)`, `log_prob(x)`, `entropy`, `score(x)`; some also `noised(alpha, sigma)`.

    Raises:
        ValueError: no toy has that name.
    """
    if name not in _MAKERS:
        raise ValueError(f"there is no toy called {name!r}; choose from {', '.join(TOYS)}")
    return _MAKERS[name]()


def toy(name: str, n: tuple[int, int, int] = (8000, 2000, 8000), seed: int = 0) -> Dataset:
    """Samples of a two-dimensional density that is known exactly.

    Args:
        name: one of `TOYS`.
        n: sizes of train, valid and test.
        seed: of the samples; each split has its own stream.

    Returns:
        a dataset of real(2), float32, whose `truth` is the density: the best any model can reach on average is a
        loss of `truth.entropy` nats, and on these very test points `-truth.log_prob(test).mean()`.

    Raises:
        ValueError: an unknown name, or sizes that are not three positive integers.
    """
    truth = toy_density(name)
    train, valid, test = map(truth.sample, split_sizes(n), split_generators(seed))
    return Dataset(name, PLANE, train, valid, test, truth=truth)
