"""An interactive course on deep generative models: the real implementations behind the lessons.

Names are loaded when they are first used, so that importing the package costs next to nothing.
"""

import importlib

_HOMES = {
    "core": ("GenerativeModel", "Kind", "Latent", "LogProb", "Space", "Step"),
    "training": ("History", "TrainingDiverged", "fit"),
    "models": (
        "AR",
        "DBM",
        "DBN",
        "GAN",
        "JEM",
        "MADE",
        "PPCA",
        "RBM",
        "VAE",
        "Autoencoder",
        "AutoregressiveFlow",
        "BernoulliMixture",
        "BoltzmannMachine",
        "CausalConvolutions",
        "ClassConditionalGaussian",
        "ContinuousFlow",
        "CouplingFlow",
        "Diffusion",
        "EMState",
        "EnergyModel",
        "FlowMatching",
        "Gaussian",
        "GaussianMixture",
        "Glow",
        "IndependentPixels",
        "KernelDensity",
        "PPCAState",
        "PixelCNN",
        "SplineFlow",
        "Transformer",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
__all__ = sorted(_HOME_OF)
__version__ = "0.1.0"


def __getattr__(name: str):
    if name in _HOME_OF:
        return getattr(importlib.import_module(f".{_HOME_OF[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
