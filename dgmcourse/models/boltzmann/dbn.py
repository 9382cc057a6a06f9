"""Deep belief networks: layers of binary units, learned one after another, each as an RBM of the features below it."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from ...core import GenerativeModel, Kind, LogProb, Space, Step
from ...dynamics import AnnealingPath
from ...networks import one_hot
from .partition import LogPartition
from .rbm import RBM
from .units import coins, log_bernoulli, sigmoid_network

__all__ = ["DBN"]


class DBN(GenerativeModel):
    """Deep belief network: an RBM on top, and below it layers that each generate the next one down.

        p(x, h₁, …, h_L) = p(x|h₁) p(h₁|h₂) … p(h_{L−2}|h_{L−1}) p(h_{L−1}, h_L),        the last factor an RBM

    Upwards, a recognition network q(h₁|x) … q(h_{L−1}|h_{L−2}) stands in for the posterior, so that

        log p(x) ≥ E_q[log p(x|h₁) + … + log p(h_{L−1}) − log q(h|x)]        (nats)

    Learning goes by stages, one `fit` each; `learn(stage)` says which:

        0, 1, …       that layer alone, as an RBM of features drawn from the layers below
        "generative"  all layers by wake–sleep (up–down): what is recognized is generated better, what is dreamed is
                      recognized better, and the top RBM learns contrastively
        "classifier"  with `classes`: a network with a softmax, which starts at the layers' weights, learns p(y|x)
        "together"    until you choose: all layers (and the classifier, given labels) in every step

    With `classes`, the top RBM is of h_{L−1} and a label, p(x, y); where labels are missing, they are summed out.

    Hinton, Osindero & Teh, "A fast learning algorithm for deep belief nets", 2006,
    https://doi.org/10.1162/neco.2006.18.7.1527 (greedy learning, the bound, up–down)
    Bengio, Lamblin, Popovici & Larochelle, "Greedy Layer-Wise Training of Deep Networks", 2006,
    https://papers.nips.cc/paper/3048-greedy-layer-wise-training-of-deep-networks (the classifier)
    Salakhutdinov & Murray, "On the quantitative analysis of deep belief networks", 2008,
    https://doi.org/10.1145/1390156.1390266 (the bound with an annealed log Z)

    Args:
        space: binary images, or real vectors.
        hidden: units of each layer, from the bottom; two layers or more.
        k: Gibbs sweeps a training step of an RBM.
        chains: persistent chains of each RBM (in each process); 0 starts at the data instead.
        weight_decay: λ of a penalty ½ λ ‖W‖² of each RBM.
        classes: number of labels, for p(x, y) and for the classifier; None for p(x).
        sweeps: Gibbs sweeps of the top RBM from noise to a sample.
        scale: of real visible units, as in `RBM`.
    """

    latent_kind = "units"  # each on or off; encode gives the probability that it is on

    def __init__(
        self,
        space: Space,
        hidden: Sequence[int] = (256, 256),
        k: int = 1,
        chains: int = 0,
        weight_decay: float = 0.0,
        classes: int | None = None,
        sweeps: int = 1000,
        scale: str = "learned",
    ):
        super().__init__(space)
        if space.kind not in ("binary", "real"):
            raise ValueError(
                f"DBN needs a binary or real space, got {space}; binarize the data first, e.g. digits(levels=2)"
            )
        if len(hidden) < 2:
            raise ValueError(f"DBN needs two hidden layers or more, got hidden={tuple(hidden)}; with one, use RBM")
        self.hidden, self.latents, self.classes, self.sweeps = tuple(hidden), hidden[-1], classes, sweeps
        spaces = [space, *(Space.binary(units) for units in hidden[:-1])]
        labels = [None] * (len(hidden) - 1) + [classes]
        self.layers = nn.ModuleList(
            RBM(below, units, k, chains, weight_decay, label, sweeps, scale)
            for below, units, label in zip(spaces, hidden, labels, strict=True)
        )
        self.recognition = nn.ModuleList(
            nn.Linear(below.dim, units) for below, units in zip(spaces[:-1], hidden[:-1], strict=True)
        )
        self.classifier = None if classes is None else sigmoid_network((space.dim, *hidden), classes)
        self.stage: int | str = "together"
        for layer in range(len(hidden) - 1):
            self._follow(layer)

    @property
    def top(self) -> RBM:
        """The RBM of the two highest layers (and the label)."""
        return self.layers[-1]

    # --- stages ----------------------------------------------------------------------------------------------------

    def learn(self, stage: int | str, transposed: bool = False, copy: bool = True) -> "DBN":
        """Choose what the next `fit` trains; return the model. Stages are no part of what is saved.

        Args:
            stage: 0, 1, … (from the bottom), "generative", "classifier" or "together".
            transposed: start this layer, 1 or higher, as the one below turned upside down, which leaves p(x) as it was
                before the layer was added: from there on, every gain of the layer is one of the bound. It needs as
                many hidden units as there are units two layers down.
            copy: start the classifier at the layers' weights. False goes on from the classifier's own, which are
                random at first: the same network from scratch.

        Raises:
            ValueError: there is no such stage, or sizes do not allow the transposed start.
        """
        stages = (*range(len(self.layers)), "generative", "classifier", "together")
        if stage not in stages:
            raise ValueError(f"stage must be one of {', '.join(map(repr, stages))}, got {stage!r}")
        if stage == "classifier" and self.classes is None:
            raise ValueError("this DBN has no classifier; build it with classes=…")
        if transposed:
            self._turn_upside_down(stage)
        if stage == "classifier" and copy:
            self._copy_to_classifier()
        self.stage = stage
        return self

    @torch.no_grad()
    def _turn_upside_down(self, layer: int | str) -> None:
        """Visible units of this RBM are the hidden ones of the RBM below; make its hidden units that RBM's visible ones."""
        sizes = (self.space.dim, *self.hidden)
        if isinstance(layer, str) or layer < 1:
            raise ValueError(f"a transposed start is for layers 1 to {len(self.layers) - 1}, got stage {layer!r}")
        if sizes[layer + 1] != sizes[layer - 1] or self.layers[layer - 1].real:
            raise ValueError(f"layer {layer} can start transposed if it has as many hidden units as layer {layer - 1} has "
                             f"binary visible ones, {sizes[layer - 1]}; got {sizes[layer + 1]} in {self.space}")  # fmt: skip
        below, rbm, n = self.layers[layer - 1], self.layers[layer], sizes[layer]
        rbm.weight.zero_()[:n] = below.weight.T  # the label's weights, if any, stay zero
        rbm.visible_bias.zero_()[:n] = below.hidden_bias
        rbm.hidden_bias.copy_(below.visible_bias)
        self._follow(layer)

    @torch.no_grad()
    def _follow(self, layer: int) -> None:
        """Recognize as this layer's RBM does: q(h|v) = p(h|v). The top RBM recognizes for itself."""
        if layer < len(self.recognition):
            weight, bias = self._affine(layer)
            self.recognition[layer].weight.copy_(weight.T)
            self.recognition[layer].bias.copy_(bias)

    def _affine(self, layer: int) -> tuple[Tensor, Tensor]:
        """An RBM's log-odds of its hidden units as a linear map, (units below, units) and (units,); labels are averaged."""
        rbm, n = self.layers[layer], self.layers[layer].space.dim
        weight, bias = rbm.weight[:n], rbm.hidden_bias
        if rbm.classes is not None:
            bias = bias + rbm.weight[n:].mean(0)
        return (weight * (-2 * rbm.log_scale).exp()[:, None] if rbm.real else weight), bias

    @torch.no_grad()
    def _copy_to_classifier(self) -> None:
        for layer, linear in enumerate(self.classifier[:-1:2]):
            weight, bias = self._affine(layer)
            if layer < len(self.recognition):  # which fine-tuning has made a map of its own
                weight, bias = self.recognition[layer].weight.T, self.recognition[layer].bias
            linear.weight.copy_(weight.T)
            linear.bias.copy_(bias)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """What the current stage trains: "layer 0", "layer 1", … and "classifier", each with its own optimizer."""
        groups = {f"layer {i}": list(layer.parameters()) for i, layer in enumerate(self.layers)}
        for i, layer in enumerate(self.recognition):
            groups[f"layer {i}"] += layer.parameters()
        if self.stage == "generative":
            return groups
        if self.classifier is not None:
            groups["classifier"] = list(self.classifier.parameters())
        if self.stage == "together":
            return groups
        name = self.stage if self.stage == "classifier" else f"layer {self.stage}"
        return {name: groups[name]}

    # --- one layer, up and down; states of layers are flat, (batch, units) ------------------------------------------------

    def _up(self, layer: int, below: Tensor) -> Tensor:
        """Log-odds of q(h = 1 | below): (batch, units below) -> (batch, units)."""
        linear = self.recognition[layer]
        return linear(below.to(linear.weight.dtype)).to(linear.weight.dtype)

    @torch.no_grad()
    def _draw_up(self, x: Tensor, layers: int) -> list[Tensor]:
        """x and a draw of so many layers above it by recognition: [(batch, dim), (batch, hidden[0]), …]."""
        states = [x.flatten(1)]
        for layer in range(layers):
            states.append(coins(self._up(layer, states[-1]).sigmoid()))
        return states

    @torch.no_grad()
    def _draw_down(self, h: Tensor) -> list[Tensor]:
        """A draw of every layer from h_{L−1} down to x: [(batch, dim), …, (batch, hidden[-2])]."""
        states = [h]
        for rbm in reversed(self.layers[:-1]):
            inputs = rbm._visible_inputs(states[0])
            states.insert(0, rbm._draw_visible(inputs, rbm.scale if rbm.real else None))
        return states

    def _log_generated(self, layer: int, below: Tensor, above: Tensor) -> Tensor:
        """log p(below | above), (batch,), nats."""
        rbm = self.layers[layer]
        inputs = rbm._visible_inputs(above)
        if not rbm.real:
            return log_bernoulli(below, inputs)
        error = ((below - inputs) / rbm.scale).square()
        return -(0.5 * error + rbm.log_scale + 0.5 * math.log(2 * math.pi)).sum(-1)

    # --- learning --------------------------------------------------------------------------------------------------

    def training_step(self, x: Tensor, y: Tensor | None = None) -> Iterator[Step]:
        self.check_input(x)
        if self.stage == "generative":
            yield from self._wake_and_sleep(x, y)
        elif self.stage == "classifier":
            yield self._discriminative_step(x, y)
        elif self.stage != "together":
            yield from self._greedy_step(self.stage, x, y)
        else:
            for layer in range(len(self.layers)):
                yield from self._greedy_step(layer, x, y)
            if self.classes is not None and y is not None:
                yield self._discriminative_step(x, y)

    def _greedy_step(self, layer: int, x: Tensor, y: Tensor | None) -> Iterator[Step]:
        """A step of one RBM on features of the layers below."""
        features = self._draw_up(x, layer)[-1] if layer else x
        yield from self._contrastive_step(layer, features, y)
        self._follow(layer)

    def _contrastive_step(self, layer: int, features: Tensor, y: Tensor | None) -> Iterator[Step]:
        rbm = self.layers[layer]
        for turn in rbm.training_step(features, self._labels(features, y) if rbm is self.top else None):
            yield turn._replace(group=f"layer {layer}")

    @torch.no_grad()
    def _labels(self, features: Tensor, y: Tensor | None) -> Tensor | None:
        """Labels for the top RBM: those given, else draws of p(y|h), whose mean gradient is that of log p(h)."""
        if self.classes is None or y is not None:
            return y
        return torch.multinomial(self.top.log_posterior(features).exp(), 1).squeeze(1)

    def _wake_and_sleep(self, x: Tensor, y: Tensor | None) -> Iterator[Step]:
        """Up–down, Hinton, Osindero & Teh 2006, appendix B: every layer learns from a pass up and from a dream."""
        awake = self._draw_up(x, len(self.recognition))
        y = self._labels(awake[-1], y)
        dream = self._dream(awake[-1], y)
        for layer in range(len(self.recognition)):
            generated = self._log_generated(layer, awake[layer], awake[layer + 1]).mean()
            recognized = log_bernoulli(dream[layer + 1], self._up(layer, dream[layer])).mean()
            logs = {f"wake {layer}": -generated.detach(), f"sleep {layer}": -recognized.detach()}
            yield Step(-generated - recognized, f"layer {layer}", logs)
        yield from self._contrastive_step(len(self.layers) - 1, awake[-1], y)

    @torch.no_grad()
    def _dream(self, h: Tensor, y: Tensor | None) -> list[Tensor]:
        """k sweeps of the top RBM, from its chains or from the data's features, then a pass down."""
        top = self.top
        u = top._negatives(top._flat(h, y) if top.chains is None else top.chains)
        return self._draw_down(u[:, : top.space.dim])

    def _discriminative_step(self, x: Tensor, y: Tensor | None) -> Step:
        """Cross-entropy of the classifier, nats."""
        target, log_p = one_hot(y, self.classes, len(x)), self.classify(x)
        right = (log_p.detach().argmax(-1) == y).float().mean()
        return Step(-(target * log_p).sum(-1).mean(), "classifier", {"accuracy": right})

    # --- scoring ---------------------------------------------------------------------------------------------------

    def log_weights(self, x: Tensor, y: Tensor | None = None, samples: int = 1) -> Tensor:
        """log p(x, h) − log q(h|x) at `samples` draws of q for every x, without log Z: (samples, batch), nats.

        The top RBM's hidden units, and its label where y is not given, are summed out. What is missing is the log Z
        of the top RBM (where y is given, that of this label: then it is the p of p(x | y)).
        """
        self.check_input(x)
        states = self._draw_up(x.repeat(samples, *[1] * len(self.space.shape)), len(self.recognition))
        total = -self.top.free_energy(states[-1], None if y is None else y.repeat(samples))
        for layer in range(len(self.recognition)):
            below, above = states[layer], states[layer + 1]
            total = total + self._log_generated(layer, below, above) - log_bernoulli(above, self._up(layer, below))
        return total.view(samples, len(x))

    def variational_free_energy(self, x: Tensor, y: Tensor | None = None, samples: int = 1) -> Tensor:
        """An estimate, without bias, of an upper bound of −log p(x) − log Z: (batch,), nats; Z is the top RBM's."""
        return -self.log_weights(x, y, samples).mean(0)

    @property
    def enumerable(self) -> bool:
        """Whether log Z of the top RBM is summed exactly: one of the two highest layers has at most 16 units."""
        return self.top.enumerable

    def log_partition(
        self, method: str = "exact", side: str | None = None, chains: int = 500, temperatures: int = 2000
    ) -> LogPartition:
        """log Z of the top RBM, the only factor that needs one; see `RBM.log_partition`."""
        return self.top.log_partition(method, side, chains, temperatures)

    def annealing_path(self) -> AnnealingPath:
        """From independent units to the top RBM, over states of h_{L−1}; see `dynamics`."""
        return self.top.annealing_path()

    def _normalizer(self, y: Tensor | None) -> Tensor:
        """Exact log Z of the top RBM, a scalar, or that of every label given, (batch,)."""
        log_partitions = self.top._log_partitions()
        return log_partitions.logsumexp(0) if y is None or self.classes is None else log_partitions[y]

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> LogProb:
        """A one-sample estimate of the bound of log p(x), or of log p(x | y) where y is given: (batch,), nats.

        Where log Z of the top RBM cannot be enumerated it is left out, and the number is unnormalized;
        `evaluation.annealed_log_prob` estimates it.
        """
        y = None if self.classes is None else y
        value = -self.variational_free_energy(x, y)
        if not self.enumerable:
            return LogProb(value, Kind.UNNORMALIZED)
        return LogProb(value - self._normalizer(y), Kind.LOWER_BOUND)

    def importance_weighted_bound(
        self,
        x: Tensor,
        y: Tensor | None = None,
        samples: int = 50,
        rows: int = 10_000,
        log_partition: Tensor | float | None = None,
    ) -> Tensor:
        """E[log (1/k) Σᵢ p(x, hᵢ) / q(hᵢ|x)], (batch,), nats: tighter than the bound, and tight as k → ∞.

        Burda, Grosse & Salakhutdinov, "Importance Weighted Autoencoders", 2016, https://arxiv.org/abs/1509.00519

        Args:
            samples: k.
            rows: how many draws are scored at a time; bounds the memory, changes nothing else.
            log_partition: log Z of the top RBM where it cannot be enumerated, e.g. from `log_partition("ais")`.

        Raises:
            ValueError: log Z is neither given nor small enough to enumerate.
        """
        y = None if self.classes is None else y
        if log_partition is None and not self.enumerable:
            raise ValueError('log Z of the top RBM is unknown; pass log_partition=model.log_partition("ais").value')
        log_partition = self._normalizer(y) if log_partition is None else log_partition
        at_once, total = max(1, rows // len(x)), x.new_full((len(x),), -math.inf)
        for start in range(0, samples, at_once):
            found = self.log_weights(x, y, min(at_once, samples - start)).logsumexp(0)
            total = torch.logaddexp(total, found)
        return total - math.log(samples) - log_partition

    def classify(self, x: Tensor) -> Tensor:
        """log p(y|x) of the classifier: (batch, *shape) -> (batch, classes), nats.

        Raises:
            ValueError: the model has no labels.
        """
        if self.classifier is None:
            raise ValueError("this DBN has no classifier; build it with classes=…")
        dtype = self.top.weight.dtype
        return self.classifier(self.check_input(x).flatten(1).to(dtype)).to(dtype).log_softmax(-1)

    # --- sampling and representing ---------------------------------------------------------------------------------

    @torch.no_grad()
    def trajectory(self, n: int, y: Tensor | None = None) -> Iterator[Tensor]:
        """`sweeps` states of Gibbs chains in the top RBM that start as noise, each with one pass down to x."""
        if y is not None and self.classes is None:
            raise ValueError("this DBN is not conditional, but y was given; build it with classes=…")
        for h in self.top.trajectory(n, y):
            yield self._draw_down(h)[0].reshape(n, *self.space.shape)

    def _recognize(self, x: Tensor) -> Tensor:
        """Mean-field pass up to the layer below the top: (batch, *shape) -> (batch, hidden[-2])."""
        h = self.check_input(x).flatten(1)
        for layer in range(len(self.recognition)):
            h = self._up(layer, h).sigmoid()
        return h

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Probabilities of the top units after a mean-field pass up: (batch, *shape) -> (batch, hidden[-1])."""
        return self.top.hidden_given_visible(self._recognize(x), None if self.classes is None else y)

    def log_q_label(self, x: Tensor) -> Tensor:
        """log p(y|h) of the top RBM, h the mean-field pass up from x: about log p(y|x). (batch, classes), nats."""
        return self.top.log_posterior(self._recognize(x))

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """A mean-field pass down from the top units: (batch, hidden[-1]) -> (batch, *shape)."""
        for rbm in reversed(self.layers):
            z = rbm.visible_given_hidden(z)
        return z
