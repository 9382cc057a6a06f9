"""One file (or, where it outgrows a file, one folder) per family of models."""

import json
from pathlib import Path

from ..core import GenerativeModel
from .autoregressive import AR, MADE, CausalConvolutions, PixelCNN, Transformer
from .baselines import ClassConditionalGaussian, Gaussian, IndependentPixels, KernelDensity
from .boltzmann import DBM, DBN, RBM, BoltzmannMachine
from .diffusion import Diffusion, FlowMatching
from .energy import JEM, EnergyModel
from .flows import AutoregressiveFlow, ContinuousFlow, CouplingFlow, Glow, SplineFlow
from .gan import GAN
from .latent import PPCA, Autoencoder, BernoulliMixture, EMState, GaussianMixture, PPCAState
from .vae import VAE

__all__ = [
    "AR",
    "DBM",
    "DBN",
    "GAN",
    "JEM",
    "MADE",
    "MODELS",
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
    "load_model",
]

MODELS: dict[str, type[GenerativeModel]] = {
    model.__name__: model
    for model in (
        IndependentPixels,
        Gaussian,
        KernelDensity,
        ClassConditionalGaussian,
        GaussianMixture,
        BernoulliMixture,
        PPCA,
        Autoencoder,
        BoltzmannMachine,
        RBM,
        DBN,
        DBM,
        VAE,
        GAN,
        CouplingFlow,
        AutoregressiveFlow,
        SplineFlow,
        Diffusion,
        FlowMatching,
        EnergyModel,
        JEM,
        Glow,
        ContinuousFlow,
        MADE,
        PixelCNN,
        AR,
        CausalConvolutions,
        Transformer,
    )
}


def load_model(folder: str | Path) -> GenerativeModel:
    """Rebuild whichever model of the course a folder holds (see `GenerativeModel.save_pretrained`), on the CPU.

    Raises:
        FileNotFoundError: the folder is not one of a saved model.
        ValueError: its class is not one of the course's.
    """
    config = Path(folder) / "config.json"
    if not config.is_file():
        raise FileNotFoundError(
            f"{folder} holds no config.json; give a folder written by model.save_pretrained(folder)"
        )
    try:
        name = json.loads(config.read_text(encoding="utf-8")).get("class")
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{config} is damaged ({error}); save the model again") from None
    if name not in MODELS:
        raise ValueError(f"{folder} holds a {name!r}, which is not a model of the course: {', '.join(MODELS)}")
    return MODELS[name].from_pretrained(folder)
