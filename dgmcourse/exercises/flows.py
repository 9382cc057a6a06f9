"""Exercises of lesson 06, in the order of the lesson. Each `flows_….py` beside this file holds one or two of them."""

from . import register
from .flows_account import BITS, BUG
from .flows_bounded import BOUNDED
from .flows_coupling import COUPLE, UNCOUPLE
from .flows_masked import MASKED
from .flows_volume import DENSITY, JACOBIAN

register(DENSITY, JACOBIAN, COUPLE, UNCOUPLE, MASKED, BITS, BOUNDED, BUG)
