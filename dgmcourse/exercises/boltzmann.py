"""Exercises of lesson 03, in the order of the lesson. Each `boltzmann_….py` beside this file holds one or two of them."""

from . import register
from .boltzmann_bug import BUG
from .boltzmann_energy import ENERGY, FREE_ENERGY
from .boltzmann_learning import CD, PERSISTENT
from .boltzmann_partition import AIS, LOG_PARTITION
from .boltzmann_units import HIDDEN, SWEEP

register(ENERGY, FREE_ENERGY, LOG_PARTITION, HIDDEN, SWEEP, CD, PERSISTENT, AIS, BUG)
