"""Disentanglement, where the factors that made the data are known: has each factor a latent of its own?"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["DCI", "dci", "mutual_information", "mutual_information_gap", "sap_score"]

Factors = Mapping[str, Tensor] | Tensor


@torch.no_grad()
def mutual_information(z: Tensor, factors: Factors, bins: int = 20) -> Tensor:
    """I(z_i; v_k) of every latent and every factor, in nats, counted in a table of their values.

        I(z; v) = Σ p(z, v) ln( p(z, v) / (p(z) p(v)) )

    Real numbers are sorted into equally wide bins, as in Locatello et al., "Challenging common assumptions in the
    unsupervised learning of disentangled representations", 2019, https://arxiv.org/abs/1811.12359. Counting n examples
    adds about (occupied cells − rows − columns + 1)/(2n) nats to what is true.

    Args:
        z: latents, (n, latents).
        factors: each (n,) by name, e.g. `data.factors`, or (n, factors). Integers are kinds, floats are amounts.
        bins: for real numbers.

    Returns:
        (latents, factors), float64.

    Raises:
        ValueError: shapes that do not fit, values that are not finite, a constant factor, fewer than two bins.
    """
    z, known = _checked(z, factors, latents=1)
    if bins < 2:
        raise ValueError(f"bins must be at least 2, got {bins}")
    codes = [_binned(column, bins) for column in z.T]
    kinds = [_kinds(values, bins) for values in known.values()]
    return torch.stack([torch.stack([_information(code, kind) for kind in kinds]) for code in codes])


@torch.no_grad()
def mutual_information_gap(z: Tensor, factors: Factors, bins: int = 20) -> float:
    """MIG: how much more the best latent tells of a factor than the second best, as a share of the factor's entropy.

        MIG = mean_k ( I(z_best(k); v_k) − I(z_second(k); v_k) ) / H(v_k)

    1 where each factor can be read off one latent and no other; 0 where two latents tell equally much, or none does.
    Other factors may lie in the same latent. Of a real factor, H is that of its bins.
    Chen, Li, Grosse & Duvenaud, "Isolating sources of disentanglement in variational autoencoders", 2018,
    https://arxiv.org/abs/1802.04942

    Args:
        z: latents, (n, latents), two or more; e.g. `model.encode(x)`.
        factors, bins: see `mutual_information`, which also tells what is raised.
    """
    z, known = _checked(z, factors, latents=2)
    entropies = torch.stack([_information(kind, kind) for kind in (_kinds(v, bins) for v in known.values())])
    first, second = mutual_information(z, known, bins).topk(2, dim=0).values
    return float(((first - second) / entropies).mean())


@torch.no_grad()
def sap_score(z: Tensor, factors: Factors, bins: int = 20) -> float:
    """Separated attribute predictability: how much better the best latent predicts a factor than the second best.

        SAP = mean_k ( S_best(k),k − S_second(k),k )

    S_ik is, for amounts, R² = cov(z_i, v_k)²/(var z_i · var v_k), of a line; for kinds, the balanced accuracy of the
    best guess from which of `bins` equally wide intervals z_i lies in, so that perfect is 1 − 1/kinds, not 1. A latent
    that is constant predicts nothing: S = 0 for amounts, 1/kinds for kinds.
    Kumar, Sattigeri & Balakrishnan, "Variational inference of disentangled latent concepts from unlabeled
    observations", 2018, https://arxiv.org/abs/1711.00848, who fit few thresholds in place of intervals.

    Args:
        z: latents, (n, latents), two or more.
        factors, bins: see `mutual_information`, which also tells what is raised.
    """
    z, known = _checked(z, factors, latents=2)
    scores = [_balanced_accuracy(z, v, bins) if _is_kind(v) else _squared_correlation(z, v) for v in known.values()]
    first, second = torch.stack(scores).topk(2, dim=1).values.T  # (factors, latents) -> (factors,) each
    return float((first - second).mean())


class DCI(NamedTuple):
    """Three answers about a representation, each from 0 to 1.

    Attributes:
        disentanglement: does each latent that is used serve one factor alone?
        completeness: does one latent alone serve each factor?
        informativeness: how well are factors predicted from all latents: 1 − error/error of the best constant, on
            examples that were held out; R² for amounts. (The paper gives the error itself.)
        importance: (latents, factors), each factor's column sums to 1 (to 0 if nothing was learned).
    """

    disentanglement: float
    completeness: float
    informativeness: float
    importance: Tensor


def dci(z: Tensor, factors: Factors, trees: int = 20, seed: int = 0) -> DCI:
    """Disentanglement, completeness and informativeness, from random forests that predict each factor from all latents.

        D = Σ_i ρ_i (1 − H_K(R_i· / Σ_k R_ik)),    C = mean_k (1 − H_L(R_·k / Σ_i R_ik))

    R_ik is the importance of latent i in predicting factor k (the impurity that splits on it remove), ρ_i its share of
    all importance, and H_b an entropy in units of ln b, for K factors and L latents.
    Eastwood & Williams, "A framework for the quantitative evaluation of disentangled representations", 2018,
    https://openreview.net/forum?id=By-7dz-AZ

    Args:
        z: latents, (n, latents), two or more.
        factors: two or more, as in `mutual_information`, which also tells what is raised.
        trees: of each forest.
        seed: of the forests and of the halves to learn from and to be tested on.
    """
    z, known = _checked(z, factors, latents=2)
    if len(known) < 2:
        raise ValueError(f"dci compares latents over two factors or more, got {len(known)}")
    order = torch.randperm(len(z), generator=torch.Generator().manual_seed(seed))
    half = order[: len(z) // 2], order[len(z) // 2 :]
    found = [_forest(z.cpu(), values.cpu(), half, trees, seed) for values in known.values()]
    importance = torch.stack([one for one, _ in found], 1)  # (latents, factors)
    weights = importance.sum(1) / importance.sum().clamp_min(1e-12)
    disentanglement = (weights * (1 - _relative_entropy(importance, dim=1))).sum()
    completeness = (1 - _relative_entropy(importance, dim=0)).mean()
    skill = sum(share for _, share in found) / len(found)
    return DCI(float(disentanglement), float(completeness), skill, importance)


def _forest(z: Tensor, values: Tensor, half: tuple[Tensor, Tensor], trees: int, seed: int) -> tuple[Tensor, float]:
    """Importance of each latent for one factor, and the share of a constant's error that prediction removes."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    kind = _is_kind(values)
    forest = (RandomForestClassifier if kind else RandomForestRegressor)(
        trees, max_features=None, min_samples_leaf=5, random_state=seed
    )
    learn, test = half
    guess = torch.from_numpy(forest.fit(z[learn].numpy(), values[learn].numpy()).predict(z[test].numpy()))
    if kind:
        error = (guess != values[test]).double().mean()
        constant = (values[learn].mode().values != values[test]).double().mean()
    else:
        error = (guess - values[test]).square().mean()
        constant = (values[learn].mean() - values[test]).square().mean()
    skill = float(1 - error / constant) if constant > 0 else 1.0
    return torch.from_numpy(forest.feature_importances_), min(max(skill, 0.0), 1.0)


def _relative_entropy(weights: Tensor, dim: int) -> Tensor:
    """Entropy along a dimension as a share of the largest possible; where all weights are 0, that largest: 1."""
    total = weights.sum(dim, keepdim=True)
    p = torch.where(total > 0, weights / total.clamp_min(1e-300), 1 / weights.shape[dim])
    return -torch.xlogy(p, p).sum(dim) / torch.tensor(weights.shape[dim], dtype=p.dtype).log()


def _information(a: Tensor, b: Tensor) -> Tensor:
    """Mutual information, nats, of two columns of small integers, (n,) each."""
    rows, columns = int(a.max()) + 1, int(b.max()) + 1
    joint = torch.bincount(a * columns + b, minlength=rows * columns).view(rows, columns).double() / len(a)
    independent = joint.sum(1, keepdim=True) * joint.sum(0)
    return torch.where(joint > 0, joint * (joint / independent.clamp_min(1e-300)).log(), 0.0).sum()


def _balanced_accuracy(z: Tensor, values: Tensor, bins: int) -> Tensor:
    """Of each latent (latents,): the mean over kinds of the share that is guessed right from its interval."""
    kind = _kinds(values, bins)
    one_hot = F.one_hot(kind).double()
    shares = [torch.zeros(bins, one_hot.shape[1]).to(one_hot).index_add_(0, _binned(column, bins), one_hot / one_hot.sum(0))
              for column in z.T]  # p(interval|kind), (bins, kinds)  # fmt: skip
    return torch.stack([share.amax(1).sum() / one_hot.shape[1] for share in shares])


def _squared_correlation(z: Tensor, values: Tensor) -> Tensor:
    """R² of each latent and a real factor: (latents,)."""
    centered, target = z - z.mean(0), values - values.mean()
    spread = centered.square().sum(0)
    known = spread > 1e-12 * z.square().sum(0).clamp_min(1e-300)
    return torch.where(known, (target @ centered).square() / (spread * target.square().sum()).clamp_min(1e-300), 0.0)


def _is_kind(values: Tensor) -> bool:
    return not values.is_floating_point()


def _kinds(values: Tensor, bins: int) -> Tensor:
    """A factor as integers from 0: its own values, or the bins of real ones."""
    return values.unique(return_inverse=True)[1] if _is_kind(values) else _binned(values, bins)


def _binned(values: Tensor, bins: int) -> Tensor:
    """Which of `bins` equally wide intervals between the least and the largest value each lies in: (n,), int64."""
    low, high = values.min(), values.max()
    if high - low <= 1e-9 * values.abs().max():  # constant, but for rounding
        return torch.zeros(len(values), dtype=torch.int64, device=values.device)
    return ((values - low) / (high - low) * bins).long().clamp_max(bins - 1)


def _checked(z: Tensor, factors: Factors, latents: int) -> tuple[Tensor, dict[str, Tensor]]:
    """z in float64 and the factors by name, real ones in float64, or an error in words."""
    if z.ndim != 2 or not len(z) or z.shape[1] < latents:
        raise ValueError(f"z must be (n, latents) with {'two latents or more' if latents > 1 else 'a latent'}, "
                         f"got {tuple(z.shape)}")  # fmt: skip
    if not torch.isfinite(z).all():
        raise ValueError("z holds NaN or infinity")
    if isinstance(factors, Tensor):
        factors = {str(i): column for i, column in enumerate(factors.T)}
    known = {}
    for name, values in factors.items():
        if values.shape != z.shape[:1]:
            raise ValueError(f"factor {name!r} must be ({len(z)},), got {tuple(values.shape)}")
        if not torch.isfinite(values).all():
            raise ValueError(f"factor {name!r} holds NaN or infinity")
        if (values == values[0]).all():
            raise ValueError(f"factor {name!r} is constant: leave it out, there is nothing to find")
        known[name] = values.to(z.device, torch.float64 if values.is_floating_point() else torch.int64)
    if not known:
        raise ValueError("there are no factors to look for; glyphs() has some")
    return z.detach().double(), known
