"""Chains that outlive a training step."""

import torch
from torch import Tensor, nn

__all__ = ["Replay"]


class Replay(nn.Module):
    """A fixed number of states of Markov chains, kept from one training step to the next.

    A step takes some of them, walks on from there, and puts them back: chains that are short in every step become
    long ones together. Some start anew each time, so that no region is forgotten for good.
    Tieleman 2008, https://doi.org/10.1145/1390156.1390290 (persistent chains); Du & Mordatch, "Implicit generation and
    modeling with energy-based models", 2019, https://arxiv.org/abs/1903.08689 (restarts)

    Args:
        states: the first states, (size, *shape).
        restart: share of chains that start anew at each draw.
    """

    def __init__(self, states: Tensor, restart: float):
        super().__init__()
        self.restart = restart
        self.register_buffer("states", states)

    def draw(self, fresh: Tensor) -> tuple[Tensor, Tensor]:
        """As many states as `fresh` has (all, if there are fewer), some of which are `fresh` ones.

        Args:
            fresh: starting points, (n, *shape).

        Returns:
            where the states are kept, (m,), and the states, (m, *shape), m ≤ n.
        """
        n = min(len(fresh), len(self.states))
        places = torch.randperm(len(self.states), device=self.states.device)[:n]
        again = torch.rand(n, device=self.states.device) < self.restart
        again = again.view(-1, *[1] * (fresh.ndim - 1))
        return places, torch.where(again, fresh[:n], self.states[places])

    @torch.no_grad()
    def store(self, places: Tensor, states: Tensor) -> None:
        """Put states back where they were kept, in place."""
        self.states.index_copy_(0, places, states.to(self.states.dtype))
