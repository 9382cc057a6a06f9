"""Exercises of lesson 07, in the order of the lesson. Each `autoregressive_….py` beside this file holds two of them."""

from . import register
from .autoregressive_attention import ATTENTION, SAMPLING
from .autoregressive_chain import AR2, CHAIN
from .autoregressive_faults import BUG, LEAK
from .autoregressive_masks import MASKS, PIXEL_MASK

register(CHAIN, AR2, MASKS, LEAK, BUG, PIXEL_MASK, ATTENTION, SAMPLING)
