"""Boltzmann machines: models of an energy, p(x) ∝ exp(−E(x)), learned from samples of themselves."""

from .dbm import DBM
from .dbn import DBN
from .machine import BoltzmannMachine
from .partition import LogPartition
from .rbm import RBM

__all__ = ["DBM", "DBN", "RBM", "BoltzmannMachine", "LogPartition"]
