"""Diffusion and flow matching: a known path from data to noise, and a network that finds the way back."""

from .denoiser import Denoiser
from .diffusion import SAMPLERS, Diffusion
from .flow_matching import FlowMatching
from .likelihood import flow_log_prob

__all__ = ["SAMPLERS", "Denoiser", "Diffusion", "FlowMatching", "flow_log_prob"]
