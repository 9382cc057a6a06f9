"""Small models and data whose training is understood to the last digit."""

import torch
from torch import nn

from dgmcourse.core import GenerativeModel, Kind, LogProb, Space, Step
from dgmcourse.data import Dataset

REAL = Space.real(2)


class Mean(GenerativeModel):
    """N(mean, I): the loss is the squared distance, whose minimiser is the data's mean."""

    def __init__(self, space: Space):
        super().__init__(space)
        self.mean = nn.Parameter(torch.zeros(space.shape))

    def training_step(self, x, y=None):
        yield Step(0.5 * (x - self.mean).square().sum(-1).mean(), logs={"norm": self.mean.detach().norm()})

    def trajectory(self, n, y=None):
        yield self.mean + torch.randn(n, *self.space.shape)

    def log_prob(self, x, y=None):
        return LogProb(-0.5 * (x - self.mean).square().sum(-1) - 1.8378770664093453, Kind.EXACT)


class Game(GenerativeModel):
    """Two players in one step, the first twice: shows who is updated when."""

    def __init__(self, space: Space):
        super().__init__(space)
        self.first, self.second = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
        self.seen = []

    def parameter_groups(self):
        return {"first": [self.first], "second": [self.second]}

    def training_step(self, x, y=None):
        for _ in range(2):
            yield Step((self.first * self.second).sum(), "first")
            self.seen.append((self.first.tolist(), self.second.tolist()))
        yield Step((self.first * self.second).sum(), "second")
        self.seen.append((self.first.tolist(), self.second.tolist()))

    def trajectory(self, n, y=None):
        yield torch.zeros(n, 2)


def points(n=200, seed=0):
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(seed)) + torch.tensor([1.0, -2.0])


def dataset(n=200):
    return Dataset("points", REAL, points(n), points(50, 1), points(50, 2))
