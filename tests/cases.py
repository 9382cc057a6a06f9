"""Every model of the course in a small size: what the contract and the two-process test run over.

A new model adds one `Case`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from dgmcourse.core import GenerativeModel, Space
from dgmcourse.models import (
    AR,
    DBM,
    DBN,
    GAN,
    JEM,
    MADE,
    PPCA,
    RBM,
    VAE,
    Autoencoder,
    AutoregressiveFlow,
    BernoulliMixture,
    BoltzmannMachine,
    CausalConvolutions,
    ClassConditionalGaussian,
    ContinuousFlow,
    CouplingFlow,
    Diffusion,
    EnergyModel,
    FlowMatching,
    Gaussian,
    GaussianMixture,
    Glow,
    IndependentPixels,
    KernelDensity,
    PixelCNN,
    SplineFlow,
    Transformer,
)


@dataclass(frozen=True)
class Case:
    name: str
    make: Callable[[], GenerativeModel]
    classes: int | None = None  # labels, where the model is conditional
    distributed: bool = True
    draws_labels: bool = False  # sampling without y draws labels first, instead of refusing

    def model(self, seed: int = 0) -> GenerativeModel:
        torch.manual_seed(seed)
        return self.make()

    def batch(self, n: int = 16, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Random members of the model's space, and labels where it is conditional."""
        generator = torch.Generator().manual_seed(seed)
        space = self.model().space
        y = torch.randint(self.classes, (n,), generator=generator) if self.classes else None
        if space.kind == "real":
            return torch.randn(n, *space.shape, generator=generator), y
        levels = torch.randint(space.levels, (n, *space.shape), generator=generator)
        return (levels if space.kind == "tokens" else levels / (space.levels - 1)), y


BINARY, GREY, REAL = Space.binary(1, 8, 8), Space.grey(1, 8, 8, levels=17), Space.real(2)


def remembering(space: Space) -> KernelDensity:
    """A kernel density that remembers 32 random members of the space."""
    x, _ = Case("points", lambda: KernelDensity(space, 32)).batch(32, seed=2)
    return KernelDensity(space, 32).remember(x)


def labelled_gaussian(space: Space, covariance: str) -> Case:
    name = f"ClassConditionalGaussian {space.kind}, {covariance}"
    return Case(name, lambda: ClassConditionalGaussian(space, 4, covariance), classes=4, draws_labels=True)


CASES = [
    Case("VAE binary", lambda: VAE(BINARY, 3, hidden=(16,))),
    Case("VAE grey", lambda: VAE(GREY, 3, hidden=(16,))),
    Case("VAE real", lambda: VAE(REAL, 1, hidden=(16,))),
    Case("VAE linear", lambda: VAE(REAL, 1, hidden=())),
    Case("VAE convolutional", lambda: VAE(BINARY, 3, hidden=(16,), channels=(4, 8))),
    Case("VAE convolutional, odd sides", lambda: VAE(Space.grey(3, 7, 9, levels=4), 2, hidden=(16,), channels=(4, 8))),
    Case("VAE conditional", lambda: VAE(BINARY, 3, hidden=(16,), classes=4), classes=4),
    Case("VAE conditional, convolutional", lambda: VAE(GREY, 2, hidden=(16,), channels=(4,), classes=4), classes=4),
    Case("VAE importance-weighted", lambda: VAE(BINARY, 3, hidden=(16,), samples=5)),
    Case("VAE warm-up and free bits", lambda: VAE(BINARY, 3, hidden=(16,), warmup=10, free_bits=0.1)),
    Case("BoltzmannMachine, exact", lambda: BoltzmannMachine(Space.binary(1, 3, 3), hidden=2, sweeps=5)),
    Case("BoltzmannMachine, PCD", lambda: BoltzmannMachine(BINARY, hidden=2, chains=4, sweeps=2)),
    Case("RBM, CD-1", lambda: RBM(BINARY, 12, sweeps=5)),
    Case("RBM, CD-3 with weight decay", lambda: RBM(BINARY, 20, k=3, weight_decay=1e-3, sweeps=5)),
    Case("RBM, PCD-1", lambda: RBM(BINARY, 20, chains=8, sweeps=5)),
    Case("RBM real", lambda: RBM(REAL, 6, chains=8, sweeps=5)),
    Case("RBM real, unit scale", lambda: RBM(REAL, 20, k=2, sweeps=5, scale="unit")),
    Case("RBM with labels", lambda: RBM(BINARY, 6, classes=4, sweeps=5), classes=4, draws_labels=True),
    Case("RBM with labels, PCD", lambda: RBM(REAL, 20, chains=8, classes=4, sweeps=5), classes=4, draws_labels=True),
    Case("DBN", lambda: DBN(BINARY, (12, 8), sweeps=5)),
    Case("DBN, PCD, three layers", lambda: DBN(BINARY, (20, 18, 17), chains=8, weight_decay=1e-3, sweeps=5)),
    Case("DBN real", lambda: DBN(REAL, (6, 4), sweeps=5)),
    Case("DBN with labels", lambda: DBN(BINARY, (12, 6), classes=4, sweeps=5), classes=4, draws_labels=True),
    Case("DBN fine-tuned by wake-sleep", lambda: DBN(BINARY, (12, 8), sweeps=5).learn("generative")),
    Case("DBM", lambda: DBM(BINARY, (12, 8), chains=8, sweeps=5)),
    Case("DBM, three layers", lambda: DBM(BINARY, (20, 9, 17), k=2, chains=8, weight_decay=1e-3, sweeps=5)),
    Case("DBM with labels", lambda: DBM(BINARY, (12, 6), chains=8, classes=4, sweeps=5), classes=4, draws_labels=True),
    Case("IndependentPixels binary", lambda: IndependentPixels(BINARY)),
    Case("IndependentPixels grey", lambda: IndependentPixels(GREY)),
    Case("IndependentPixels tokens", lambda: IndependentPixels(Space.tokens(6, 5))),
    Case("Gaussian binary", lambda: Gaussian(BINARY)),
    Case("Gaussian grey", lambda: Gaussian(GREY)),
    Case("Gaussian real", lambda: Gaussian(REAL)),
    Case("KernelDensity binary", lambda: remembering(BINARY)),
    Case("KernelDensity grey", lambda: remembering(GREY)),
    Case("KernelDensity real", lambda: remembering(REAL)),
    Case("KernelDensity tokens", lambda: remembering(Space.tokens(6, 5))),
    labelled_gaussian(REAL, "full"),
    labelled_gaussian(REAL, "shared"),
    labelled_gaussian(REAL, "diagonal"),
    labelled_gaussian(BINARY, "shared"),
    labelled_gaussian(GREY, "full"),
    labelled_gaussian(GREY, "diagonal"),
    Case("GaussianMixture real, full", lambda: GaussianMixture(REAL, 3)),
    Case("GaussianMixture real, diagonal", lambda: GaussianMixture(REAL, 3, covariance="diagonal")),
    Case("GaussianMixture binary", lambda: GaussianMixture(BINARY, 3)),
    Case("GaussianMixture grey", lambda: GaussianMixture(GREY, 3, covariance="diagonal")),
    Case("BernoulliMixture", lambda: BernoulliMixture(BINARY, 3)),
    Case("PPCA real", lambda: PPCA(REAL)),
    Case("PPCA binary", lambda: PPCA(BINARY, 3)),
    Case("PPCA grey", lambda: PPCA(GREY, 3)),
    Case("Autoencoder binary", lambda: Autoencoder(BINARY, 3, hidden=(16,))),
    Case("Autoencoder grey", lambda: Autoencoder(GREY, 3, hidden=(16,))),
    Case("Autoencoder real", lambda: Autoencoder(REAL, 1, hidden=(16,))),
    Case("Autoencoder linear", lambda: Autoencoder(GREY, 3, hidden=())),
    Case("Autoencoder convolutional", lambda: Autoencoder(BINARY, 3, hidden=(16,), channels=(4, 8))),
    Case("GAN real", lambda: GAN(REAL, 2, hidden=(16,))),
    Case("GAN linear", lambda: GAN(REAL, 2, hidden=())),
    Case("GAN grey", lambda: GAN(GREY, 3, hidden=(16,))),
    Case("GAN saturating", lambda: GAN(REAL, 2, hidden=(16,), objective="saturating")),
    Case("GAN hinge, spectral norm", lambda: GAN(REAL, 2, hidden=(16,), objective="hinge", spectral_norm=True)),
    Case(
        "GAN Wasserstein, clipped",
        lambda: GAN(REAL, 2, hidden=(16,), objective="wasserstein", penalty="clip", critic_steps=3),
    ),
    Case(
        "GAN Wasserstein, penalty",
        lambda: GAN(REAL, 2, hidden=(16,), objective="wasserstein", penalty="gradient", critic_steps=2),
    ),
    Case("GAN zero-centered penalty", lambda: GAN(REAL, 2, hidden=(16,), penalty="zero-centered")),
    Case("GAN conditional", lambda: GAN(REAL, 2, hidden=(16,), classes=4, penalty="gradient"), classes=4),
    Case("GAN convolutional", lambda: GAN(GREY, 3, hidden=(16,), channels=(4, 8), spectral_norm=True)),
    Case("GAN convolutional, odd sides", lambda: GAN(Space.grey(3, 7, 9, levels=4), 2, hidden=(16,), channels=(4, 8))),
    Case(
        "GAN conditional, convolutional",
        lambda: GAN(GREY, 2, hidden=(16,), channels=(4,), classes=4, penalty="gradient", spectral_norm=True),
        classes=4,
    ),
    Case("Glow binary", lambda: Glow(BINARY, depth=1, channels=8)),
    Case("Glow grey, conditional", lambda: Glow(GREY, depth=1, channels=8, classes=4), classes=4),
    Case("Glow real, an odd side", lambda: Glow(Space.real(2, 3, 4), depth=2, channels=8)),
    Case("ContinuousFlow real", lambda: ContinuousFlow(REAL, hidden=(8,), steps=2)),
    Case("ContinuousFlow adaptive", lambda: ContinuousFlow(REAL, hidden=(8,), solver="adaptive", tolerance=1e-3)),
    Case("ContinuousFlow grey, Hutchinson", lambda: ContinuousFlow(GREY, hidden=(8,), steps=2)),
    Case("ContinuousFlow conditional", lambda: ContinuousFlow(REAL, hidden=(8,), steps=2, classes=4), classes=4),
    Case("AR", lambda: AR(Space.real(9), 3)),
    Case("AR, shorter than its order", lambda: AR(REAL, 4)),
    Case("CausalConvolutions tokens", lambda: CausalConvolutions(Space.tokens(9, 5), 8, layers=2)),
    Case("CausalConvolutions real", lambda: CausalConvolutions(Space.real(9), 8, layers=2, kernel=3, components=2)),
    Case(
        "CausalConvolutions conditional",
        lambda: CausalConvolutions(Space.tokens(9, 5), 8, layers=2, classes=4),
        classes=4,
    ),
    Case("Transformer tokens", lambda: Transformer(Space.tokens(9, 5), 16, heads=2, layers=2, dropout=0.1)),
    Case("Transformer binary", lambda: Transformer(BINARY, 16, heads=2, layers=1)),
    Case("Transformer grey, in color", lambda: Transformer(Space.grey(3, 3, 4, levels=4), 16, heads=2, layers=1)),
    Case("Transformer conditional", lambda: Transformer(GREY, 16, heads=2, layers=1, classes=4), classes=4),
    Case("Diffusion real", lambda: Diffusion(REAL, hidden=(16, 16), steps=5)),
    Case("Diffusion binary, v, DDPM", lambda: Diffusion(BINARY, "cosine", "v", hidden=(16,), sampler="ddpm", steps=5)),
    Case(
        "Diffusion grey, data, DPM-Solver",
        lambda: Diffusion(GREY, "vp", "data", hidden=(16,), sampler="dpm-solver++", steps=5),
    ),
    Case("Diffusion exploding, Heun", lambda: Diffusion(REAL, "ve", hidden=(16,), sampler="heun", steps=5)),
    Case("Diffusion convolutional", lambda: Diffusion(GREY, channels=(8, 16), steps=3)),
    Case(
        "Diffusion conditional, guided",
        lambda: Diffusion(BINARY, channels=(8,), classes=4, steps=3, guidance=1.0),
        classes=4,
        draws_labels=True,
    ),
    Case("Diffusion conditional alone", lambda: Diffusion(REAL, hidden=(16,), classes=4, drop_label=0.0), classes=4),
    Case("FlowMatching real", lambda: FlowMatching(REAL, hidden=(16, 16), steps=5)),
    Case("FlowMatching optimal", lambda: FlowMatching(REAL, hidden=(16,), coupling="optimal", solver="rk4", steps=3)),
    Case(
        "FlowMatching conditional",
        lambda: FlowMatching(Space.grey(3, 7, 9, levels=4), channels=(8, 8), classes=4, steps=3, guidance=0.5),
        classes=4,
        draws_labels=True,
    ),
    Case("EnergyModel real", lambda: EnergyModel(REAL, hidden=(8,), k=2, chains=24, steps=4)),
    Case(
        "EnergyModel binary, Metropolis, short runs",
        lambda: EnergyModel(BINARY, hidden=(8,), k=2, chains=0, steps=4, walk="metropolis"),
    ),
    Case("EnergyModel denoising", lambda: EnergyModel(REAL, "denoising", hidden=(8,), steps=4)),
    Case(
        "EnergyModel denoising, convolutional, three levels",
        lambda: EnergyModel(GREY, "denoising", (8,), channels=(4, 8), noise_levels=(0.1, 0.3, 1.0), steps=4),
    ),
    Case("EnergyModel sliced", lambda: EnergyModel(GREY, "sliced", hidden=(8,), directions=2, steps=4)),
    Case("EnergyModel score matching", lambda: EnergyModel(REAL, "score matching", hidden=(8,), steps=4)),
    Case("EnergyModel noise-contrastive", lambda: EnergyModel(GREY, "noise-contrastive", hidden=(8,), steps=4)),
    Case("EnergyModel linear", lambda: EnergyModel(REAL, hidden=(), k=2, chains=8, steps=4)),
    Case("JEM real", lambda: JEM(REAL, 4, hidden=(8,), k=2, chains=24, steps=4), classes=4, draws_labels=True),
    Case(
        "JEM convolutional",
        lambda: JEM(BINARY, 4, hidden=(8,), channels=(4,), k=2, chains=24, steps=4),
        classes=4,
        draws_labels=True,
    ),
    Case("CouplingFlow real", lambda: CouplingFlow(REAL, 4, hidden=(16,))),
    Case("CouplingFlow additive", lambda: CouplingFlow(REAL, 4, hidden=(16,), scale="additive")),
    Case("CouplingFlow binary", lambda: CouplingFlow(BINARY, 4, hidden=(16,))),
    Case("CouplingFlow grey, scaled", lambda: CouplingFlow(GREY, 4, hidden=(16,), preprocess="scale")),
    Case("CouplingFlow conditional", lambda: CouplingFlow(GREY, 2, hidden=(16,), classes=4), classes=4),
    Case("AutoregressiveFlow, MAF", lambda: AutoregressiveFlow(REAL, 2, hidden=(16,))),
    Case("AutoregressiveFlow, IAF", lambda: AutoregressiveFlow(REAL, 2, hidden=(16,), direction="sampling")),
    Case("AutoregressiveFlow binary", lambda: AutoregressiveFlow(BINARY, 2, hidden=(64,))),
    Case("AutoregressiveFlow conditional", lambda: AutoregressiveFlow(REAL, 2, hidden=(16,), classes=4), classes=4),
    Case("SplineFlow real", lambda: SplineFlow(REAL, 2, hidden=(16,))),
    Case("SplineFlow grey", lambda: SplineFlow(GREY, 2, bins=4, hidden=(16,))),
    Case("SplineFlow masked", lambda: SplineFlow(REAL, 2, hidden=(16,), autoregressive=True)),
    Case("SplineFlow conditional", lambda: SplineFlow(REAL, 2, hidden=(16,), classes=4), classes=4),
    Case(
        "SplineFlow conditional, masked",
        lambda: SplineFlow(REAL, 2, hidden=(16,), autoregressive=True, classes=4),
        classes=4,
    ),
    Case("MADE binary", lambda: MADE(BINARY, hidden=(16,))),
    Case("MADE grey, direct", lambda: MADE(GREY, hidden=(16, 16), direct=True)),
    Case("MADE tokens", lambda: MADE(Space.tokens(6, 5), hidden=(16,))),
    Case("MADE, orderings and masks", lambda: MADE(BINARY, hidden=(16,), masks=2, orderings=3, dropout=0.2)),
    Case("MADE conditional", lambda: MADE(GREY, hidden=(16,), orderings=2, classes=4), classes=4),
    Case("PixelCNN binary", lambda: PixelCNN(BINARY, 4, layers=2, dropout=0.1)),
    Case("PixelCNN grey, two channels", lambda: PixelCNN(Space.grey(2, 5, 3, levels=4), 4, layers=2)),
    Case("PixelCNN with a blind spot", lambda: PixelCNN(GREY, 4, layers=2, gated=False)),
    Case("PixelCNN conditional", lambda: PixelCNN(BINARY, 4, layers=2, classes=4), classes=4),
]
