"""Masked networks: each output sees only what comes before it in an order."""

import itertools
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .dense import activation_named

__all__ = ["MaskedLinear", "MaskedMLP", "autoregressive_masks"]


def autoregressive_masks(
    ordering: Sequence[int],
    hidden: Sequence[int],
    outputs: int,
    generator: torch.Generator | None = None,
    context: int = 0,
) -> list[Tensor]:
    """Masks of ones and zeros through which output block i depends on exactly the inputs placed before input i.

    Every hidden unit has a degree m: it sees the inputs placed at m or before, through units of degree m or less, and
    is seen by outputs placed after m. A context is placed before everything; with it, some units have degree −1.
    Germain et al., "MADE: Masked Autoencoder for Distribution Estimation", 2015, https://arxiv.org/abs/1502.03509

    Args:
        ordering: place of each input in the order, 0 first: a permutation of 0 … inputs−1.
        hidden: widths of the hidden layers; none makes a single mask.
        outputs: outputs for each input; block i is rows i·outputs … (i+1)·outputs − 1 of the last mask.
        generator: draws the degrees, as the paper does; without one they are spread evenly.
        context: number of inputs, after the others, that every output may see.

    Returns:
        len(hidden) + 1 masks, each (units, units before); the first has inputs + context columns.

    Raises:
        ValueError: the ordering is no permutation.
    """
    degrees = _degrees(ordering, hidden, generator, context)
    return _masks(degrees, outputs)


def _degrees(ordering: Sequence[int], hidden: Sequence[int], generator, context: int) -> list[Tensor]:
    """The degrees of the inputs (context last), and of every hidden layer: the last input's outputs see all of them."""
    inputs = len(ordering)
    if inputs < 1 or sorted(int(place) for place in ordering) != list(range(inputs)):
        raise ValueError(f"ordering must be a permutation of 0 … {inputs - 1}, got {list(ordering)}")
    lowest = -1 if context else 0
    highest = max(inputs - 2, lowest)
    degrees = [torch.tensor([int(place) for place in ordering] + [-1] * context, device="cpu")]
    for width in hidden:
        if generator is None:  # sorted, each degree (nearly) as often as any other
            degree = lowest + torch.arange(width, device="cpu") * (highest - lowest + 1) // width
        else:  # none below the lowest of the layer before, which would see nothing
            degree = torch.randint(lowest, highest + 1, (width,), generator=generator, device=generator.device).cpu()
            lowest = int(degree.min())
        degrees.append(degree)
    return degrees


def _masks(degrees: list[Tensor], outputs: int) -> list[Tensor]:
    """Hidden units see what has their degree or less; an output what has less than its input's place."""
    masks = [after[:, None] >= before for before, after in itertools.pairwise(degrees)]
    places = degrees[0][degrees[0] >= 0].repeat_interleave(outputs)
    return [mask.float() for mask in (*masks, places[:, None] > degrees[-1])]


def _where(chosen: Tensor) -> slice | list[int]:
    """The places of the True ones: a slice where they are neighbors, which spares a copy of what is looked up there."""
    places = chosen.nonzero().squeeze(-1).tolist()
    together = places[-1] - places[0] == len(places) - 1
    return slice(places[0], places[-1] + 1) if together else places


class MaskedLinear(nn.Linear):
    """A linear layer some of whose weights are held at zero: y = (mask ⊙ W) x + b, (…, inputs) -> (…, outputs).

    Attributes:
        mask: (outputs, inputs) of ones and zeros, all ones at first; it is not saved with the weights, since whoever
            made the layer makes the mask again.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs)
        self.register_buffer("mask", torch.ones(outputs, inputs), persistent=False)

    def masked_weight(self) -> Tensor:
        """mask ⊙ W, (outputs, inputs)."""
        return self.mask * self.weight

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.masked_weight(), self.bias)


class MaskedMLP(nn.Module):
    """An MLP whose output block i depends on the inputs placed before input i: (batch, inputs) -> (batch, inputs, outputs).

    Germain et al., "MADE: Masked Autoencoder for Distribution Estimation", 2015, https://arxiv.org/abs/1502.03509

    Args:
        inputs: number of inputs.
        hidden: widths of the hidden layers; none makes the network linear.
        outputs: outputs for each input.
        ordering: place of each input in the order, 0 first; None for their own order.
        context: features of a condition that every output sees, the first one too.
        activation: name of the activation.
        seed: draws the degrees of the hidden units; None spreads them evenly.
    """

    def __init__(
        self,
        inputs: int,
        hidden: Sequence[int],
        outputs: int,
        ordering: Sequence[int] | None = None,
        context: int = 0,
        activation: str = "relu",
        seed: int | None = None,
    ):
        super().__init__()
        self.inputs, self.outputs, self.context, self.hidden = inputs, outputs, context, tuple(hidden)
        widths = (inputs + context, *self.hidden, inputs * outputs)
        self.layers = nn.ModuleList(MaskedLinear(a, b) for a, b in itertools.pairwise(widths))
        self.activation = activation_named(activation)()
        self.connect(range(inputs) if ordering is None else ordering, seed)

    @torch.no_grad()
    def connect(self, ordering: Sequence[int], seed: int | None = None) -> None:
        """Change the masks, in place, to those of another ordering and of other hidden degrees."""
        if len(ordering) != self.inputs:
            raise ValueError(f"ordering must place {self.inputs} inputs, got {len(ordering)} places")
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        self._connect_by(_degrees(ordering, self.hidden, generator, self.context))

    def _connect_by(self, degrees: list[Tensor]) -> None:
        """Masks by the degrees of inputs and hidden units, and which units of each hidden layer have which degree."""
        self.degrees = degrees
        self._units = [{int(d): _where(layer == d) for d in layer.unique()} for layer in degrees[1:]]
        for layer, mask in zip(self.layers, _masks(degrees, self.outputs), strict=True):
            layer.mask.copy_(mask)

    @property
    def order(self) -> list[int]:
        """The inputs in the order in which they are placed: the inverse permutation of `ordering`."""
        return self.degrees[0][: self.inputs].argsort().tolist()

    def _check_context(self, context: Tensor | None, batch: int) -> None:
        wanted = (batch, self.context) if self.context else None
        if (None if context is None else tuple(context.shape)) != wanted:
            given = None if context is None else tuple(context.shape)
            raise ValueError(f"this network needs a context of shape {wanted}, got {given}")

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(batch, inputs) and (batch, context) -> (batch, inputs, outputs)."""
        self._check_context(context, len(x))
        h = x if context is None else torch.cat([x, context], dim=-1)  # (batch, inputs + context)
        for layer in self.layers[:-1]:
            h = self.activation(layer(h))
        return self.layers[-1](h).unflatten(-1, (self.inputs, self.outputs))

    def one_by_one(self, batch: int, context: Tensor | None = None) -> Iterator[Tensor]:
        """The outputs of each input in turn, while the inputs become known: a generator to be driven with `send`.

        Each hidden unit is computed once, as soon as all that it sees is known, so that all the inputs together cost
        one forward pass, where calling the network anew for each of them costs `inputs` passes.

            turns = network.one_by_one(len(z))
            out = next(turns)                      # (batch, outputs) of the first input in the order
            for i in network.order:
                x[i] = …                           # whatever the caller makes of `out`
                out = turns.send(x[i])             # (batch,) -> the outputs of the next input; None after the last

        Args:
            batch: number of examples.
            context: (batch, context).
        """
        self._check_context(context, batch)
        weights = [layer.masked_weight() for layer in self.layers]
        # what has arrived at every unit so far, before its activation
        sums = [layer.bias.expand(batch, -1) for layer in self.layers]
        if context is not None:
            sums[0] = torch.addmm(sums[0], context.to(weights[0]), weights[0][:, self.inputs :].T)
            sums = self._spread(-1, sums, weights)
        for place, i in enumerate(self.order):
            value = yield sums[-1][:, i * self.outputs : (i + 1) * self.outputs]
            sums[0] = torch.addcmul(sums[0], value.to(weights[0])[:, None], weights[0][:, i])
            sums = self._spread(place, sums, weights)
        yield None

    def _spread(self, degree: int, sums: list[Tensor], weights: list[Tensor]) -> list[Tensor]:
        """Hidden units of this degree have heard all that they see: pass their activations on, layer by layer."""
        sums = list(sums)
        for i, units in enumerate(self._units):
            if degree in units:
                active = self.activation(sums[i][:, units[degree]])  # (batch, units)
                sums[i + 1] = torch.addmm(sums[i + 1], active, weights[i + 1][:, units[degree]].T)
        return sums
