"""Deep Boltzmann machines: layers of binary units, each connected with the next, and every connection in both directions."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from ...core import GenerativeModel, Kind, LogProb, Space, Step
from ...dynamics import AnnealingPath
from ...networks import one_hot
from .deep_partition import annealing_path, binary_units, exact_states, log_partitions
from .doubled import DoubledRBM
from .levels import Levels
from .partition import LogPartition, annealed_log_partition

__all__ = ["DBM"]

EXACT_UNITS = 16  # log_prob enumerates up to this many units of every other level
FORGET, BURN_IN = 100, 1000  # Gibbs sweeps: before chains are first learned from, and to samples of a large model


class DBM(GenerativeModel):
    """Deep Boltzmann machine: p(x, h₁, …, h_L) = exp(−E) / Z over binary units, neighboring levels connected.

        E = −xᵀW₀h₁ − h₁ᵀW₁h₂ − … − b₀ᵀx − b₁ᵀh₁ − b₂ᵀh₂ − …

    Given the even levels (x, h₂, …) all units of the odd ones (h₁, h₃, …) are independent, and the other way round.
    The posterior of h is not known; mean field, q(h|x) = Π q(hᵢ|x), bounds

        log p(x) ≥ −E_q[E] + H(q) − log Z        (nats)

    and learning follows the gradient of that bound: E at the mean field's means, less E under the model, for which
    persistent Gibbs chains stand in. With `classes`, one more level above h_L holds the label: p(x, y).

    All layers together learn badly from a random start. There are two ways out, which go together well: learning
    layer by layer first, and counting every unit from its mean (`initialize`). `learn(stage)` says what the next
    `fit` trains:

        0, 1, …   that layer alone: an RBM with two copies of what is below it (but the top layer) and two of what is
                  above (but the bottom layer), which stand in for the input that it will get from its other side
        "joint"   all layers together (the default)

    Salakhutdinov & Hinton, "Deep Boltzmann Machines", 2009, https://proceedings.mlr.press/v5/salakhutdinov09a.html
    Salakhutdinov & Hinton, "An Efficient Learning Procedure for Deep Boltzmann Machines", 2012,
    https://doi.org/10.1162/NECO_a_00311
    Montavon & Müller, "Deep Boltzmann Machines and the Centering Trick", 2012,
    https://doi.org/10.1007/978-3-642-35289-8_33

    Args:
        space: binary images.
        hidden: units of each layer, from the bottom; two layers or more.
        k: Gibbs sweeps a training step.
        chains: persistent chains (in each process).
        mean_field: rounds of mean-field updates a training step.
        weight_decay: λ of a penalty ½ λ ‖W‖².
        classes: number of labels of a joint p(x, y), None for p(x).
        sweeps: Gibbs sweeps from noise to a sample.
    """

    latent_kind = "units"  # each on or off; encode gives the probability that it is on

    def __init__(
        self,
        space: Space,
        hidden: Sequence[int] = (256, 256),
        k: int = 1,
        chains: int = 100,
        mean_field: int = 10,
        weight_decay: float = 0.0,
        classes: int | None = None,
        sweeps: int = 1000,
    ):
        super().__init__(space)
        if space.kind != "binary":
            raise ValueError(f"DBM needs a binary space, got {space}; binarize the data first, e.g. digits(levels=2)")
        if len(hidden) < 2:
            raise ValueError(f"DBM needs two hidden layers or more, got hidden={tuple(hidden)}; with one, use RBM")
        if min(*hidden, k, chains, mean_field, sweeps) < 1 or weight_decay < 0:
            raise ValueError("DBM needs hidden, k, chains, mean_field, sweeps ≥ 1 and weight_decay ≥ 0, got "
                             f"hidden={tuple(hidden)}, k={k}, chains={chains}, mean_field={mean_field}, sweeps={sweeps}, "
                             f"weight_decay={weight_decay}")  # fmt: skip
        if classes is not None and classes < 2:
            raise ValueError(f"a joint DBM needs classes ≥ 2, got {classes}; leave it out for none")
        self.hidden, self.latents, self.classes, self.sweeps = tuple(hidden), hidden[-1], classes, sweeps
        self.k, self.updates_of_mean_field, self.weight_decay = k, mean_field, weight_decay
        label = () if classes is None else (classes,)
        self.levels = Levels((space.dim, *hidden, *label), None if classes is None else len(hidden) + 1)
        self.stage: int | str = "joint"
        # averages of the data seen: where annealing starts
        self.register_buffer("data_mean", torch.full((space.dim,), 0.5))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.register_buffer("chains", self.levels.joined(self.levels.noise(1, chains)))  # states of the odd levels

    def _flat(self, x: Tensor) -> Tensor:
        return x.flatten(1).to(self.levels.dtype)

    def _shaped(self, u: Tensor) -> Tensor:
        return u.reshape(-1, *self.space.shape)

    def _labels(self, y: Tensor | None, n: int) -> list[Tensor]:
        """The label's state, where there is a label level."""
        return [] if self.classes is None else [one_hot(y, self.classes, n, self.levels.dtype)]

    def energy(self, v: Tensor, h: Sequence[Tensor], y: Tensor | None = None) -> Tensor:
        """E(x, h₁, …, h_L) (with labels: and y): (batch, *shape), [(batch, hidden[0]), …] -> (batch,), nats.

        After `initialize`, every unit and label is counted from its center.
        """
        x = self._flat(self.check_input(v))
        return self.levels.energy([x, *(state.to(x.dtype) for state in h), *self._labels(y, len(x))])

    # --- the bound -------------------------------------------------------------------------------------------------------

    def mean_field(self, x: Tensor, y: Tensor | None = None, updates: int | None = None) -> list[Tensor]:
        """Means of q(h|x), each update the best for its levels given the others: [(batch, hidden[0]), …], label last.

        Each round updates the odd, then the even levels, which can only raise the bound; it starts from a pass up.

        Args:
            x: (batch, *shape).
            y: labels that are known; without, q has a distribution over labels.
            updates: rounds; as many as in a training step by default.
        """
        x, levels = self._flat(self.check_input(x)), self.levels
        states, held = levels.pass_up(x, levels.mean, len(levels.sizes) - 1), [0]
        if self.classes is not None and y is not None:
            states[-1], held = self._labels(y, len(x))[0], [0, levels.label]
        driven = levels.from_below(1, x)
        for _ in range(self.updates_of_mean_field if updates is None else updates):
            for parity in (1, 0):
                states = levels.updated(states, parity, levels.mean, held, driven)
        return states[1:]

    def variational_free_energy(self, x: Tensor, y: Tensor | None = None, updates: int = 50) -> Tensor:
        """E_q[E] − H(q) at the mean field: an upper bound of −log p(x) − log Z, (batch,), nats; of (x, y) given y."""
        with torch.no_grad():
            means = self.mean_field(x, y, updates)
        entropy = sum(torch.special.entr(mean).sum(-1) for mean in means)
        entropy = entropy + sum(torch.special.entr(1 - mean).sum(-1) for mean in means[: len(self.hidden)])
        return self.levels.energy([self._flat(x), *means]) - entropy

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> LogProb:
        """The mean-field bound of log p(x), or of log p(x | y) of a joint model where y is given: (batch,), nats.

        Where log Z cannot be enumerated it is left out, and the number is unnormalized;
        `evaluation.annealed_log_prob` estimates it.
        """
        y = None if self.classes is None else y
        value = -self.variational_free_energy(x, y)
        if not self.enumerable:
            return LogProb(value, Kind.UNNORMALIZED)
        found = log_partitions(self.levels)
        return LogProb(value - (found.logsumexp(0) if y is None else found[y]), Kind.LOWER_BOUND)

    # --- the normalizer --------------------------------------------------------------------------------------------------

    @property
    def enumerable(self) -> bool:
        """Whether the even or the odd levels have so few units (16) that `log_prob` sums over all their states."""
        return min(binary_units(self.levels, parity) for parity in (0, 1)) <= EXACT_UNITS

    def log_partition(self, method: str = "exact", chains: int = 500, temperatures: int = 2000) -> LogPartition:
        """log Z, in nats.

        Args:
            method: "exact" sums over all states of the even or of the odd levels (up to 2^20); it can be
                differentiated. "ais" estimates by annealed importance sampling, from the mean of the data seen.
            chains, temperatures: of annealing.

        Raises:
            ValueError: both are too large to enumerate.
        """
        if method == "exact":
            return LogPartition(log_partitions(self.levels).logsumexp(0), 0.0, Kind.EXACT)
        if method != "ais":
            raise ValueError(f"method must be 'exact' or 'ais', got {method!r}")
        return annealed_log_partition(self.annealing_path(), chains, temperatures)

    def annealing_path(self) -> AnnealingPath:
        """From independent units, x as frequent as in the data seen, to this model; see `dynamics`."""
        return annealing_path(self.levels, self.data_mean.clamp(0.01, 0.99).logit(), self._odd_samples)

    def _odd_samples(self, n: int) -> Tensor:
        """Exact samples of the odd levels where they can be had, else persistent chains after many sweeps."""
        if self.enumerable:
            return self.levels.joined(exact_states(self.levels, n))
        return self.levels.swept(self.chains[torch.randint(len(self.chains), (n,), device=self.device)], BURN_IN)

    # --- learning --------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def initialize(self, x: Tensor) -> "DBM":
        """Center a new model on data, and start its visible biases there; return the model.

        From now on x counts from its mean, hidden units from ½ and labels from equal shares: the same family of
        distributions, in parameters of which a weight no longer pushes its two units up or down as a bias does.

        Args:
            x: (n, *shape).
        """
        mean = self._flat(self.check_input(x)).mean(0)
        labels = mean.new_full((self.classes or 0,), 1 / (self.classes or 1))
        self.levels.centers.copy_(torch.cat([mean, mean.new_full((sum(self.hidden),), 0.5), labels]))
        self.levels.biases[0].copy_(mean.clamp(0.01, 0.99).logit())
        self.data_mean.copy_(mean)
        return self

    def learn(self, stage: int | str) -> "DBM":
        """Choose what the next `fit` trains: 0, 1, … (from the bottom), or "joint"; return the model.

        "joint" lets the persistent chains forget where they started: a hundred sweeps of the model as it is now.
        Stages are no part of what is saved.

        Raises:
            ValueError: there is no such stage.
        """
        stages = (*range(len(self.hidden)), "joint")
        if stage not in stages:
            raise ValueError(f"stage must be one of {', '.join(map(repr, stages))}, got {stage!r}")
        if stage == "joint":
            self.chains.copy_(self.levels.swept(self.chains, FORGET))
        self.stage = stage
        return self

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """What the current stage trains: all of it as "model", or "layer 0", "layer 1", …: a layer's weights and biases."""
        if self.stage == "joint":
            return {"model": list(self.parameters())}
        layer, weights, biases = self.stage, self.levels.weights, self.levels.biases
        parameters = [weights[layer], biases[layer + 1]] + ([biases[0]] if layer == 0 else [])
        if layer == len(self.hidden) - 1 and self.classes is not None:
            parameters += [weights[-1], biases[-1]]
        return {f"layer {layer}": parameters}

    def training_step(self, x: Tensor, y: Tensor | None = None) -> Iterator[Step]:
        data = self._flat(self.check_input(x))
        y = None if self.classes is None else y
        if self.stage == "joint":
            yield from self._joint_step(data, x, y)
        else:
            yield self._greedy_step(data, y)
        self._remember(data)

    def _joint_step(self, data: Tensor, x: Tensor, y: Tensor | None) -> Iterator[Step]:
        """E at the mean field, less the free energy of the chains' odd levels; then the chains are kept."""
        levels = self.levels
        with torch.no_grad():
            means = self.mean_field(x, y)
        chains = levels.swept(self.chains, self.k)
        loss = levels.energy([data, *means]).mean() + levels.log_marginal(levels.parted(chains), 1).mean()
        yield Step(loss + sum(self._decay(weight) for weight in levels.weights))
        self.chains.copy_(chains)

    def _greedy_step(self, data: Tensor, y: Tensor | None) -> Step:
        """Contrastive divergence of one layer alone, on features drawn from those below."""
        layer, levels = self.stage, self.levels
        with torch.no_grad():
            features = levels.pass_up(data, levels.draw, layer)[-1]
        rbm = DoubledRBM.of(levels, layer)
        labels = None if rbm.label_weight is None or y is None else self._labels(y, len(data))[0]
        loss = rbm.contrastive_loss(features, labels, self.k)
        return Step(loss + self._decay(levels.weights[layer]), f"layer {layer}")

    def _decay(self, weight: Tensor) -> Tensor | float:
        return 0.5 * self.weight_decay * weight.square().sum() if self.weight_decay else 0.0

    @torch.no_grad()
    def _remember(self, data: Tensor) -> None:
        """The data's mean, over a thousand steps."""
        self.updates += 1
        self.data_mean.lerp_(data.mean(0), (1 / self.updates).clamp_min(0.001).to(data.dtype))

    # --- sampling ----------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def gibbs(
        self, v: Tensor, y: Tensor | None = None, sweeps: int | None = None, known: Tensor | None = None
    ) -> Iterator[Tensor]:
        """Gibbs sampling, odd levels and even levels in turn, from v and a pass up; yields v after each sweep.

        Args:
            v: where the chains start, (batch, *shape).
            y: labels that a joint model holds fixed; without, they are sampled too.
            sweeps: how many; the model's own number by default.
            known: entries of v that are held fixed, a mask that broadcasts to v's shape.
        """
        start = self._flat(self.check_input(v))
        levels = self.levels
        states, held = levels.pass_up(start, levels.draw, len(levels.sizes) - 1), []
        if self.classes is not None and y is not None:
            states[-1], held = self._labels(y, len(v))[0], [levels.label]
        fixed = None if known is None else known.bool().expand(v.shape).flatten(1)
        for _ in range(self.sweeps if sweeps is None else sweeps):
            for parity in (1, 0):
                states = levels.updated(states, parity, levels.draw, held)
            if fixed is not None:
                states[0] = torch.where(fixed, start, states[0])
            yield self._shaped(states[0])

    @torch.no_grad()
    def trajectory(self, n: int, y: Tensor | None = None) -> Iterator[Tensor]:
        """`sweeps` states of n Gibbs chains that start as noise; y is held fixed where it is given."""
        if y is not None and self.classes is None:
            raise ValueError("this DBM is not conditional, but y was given; build it with classes=…")
        yield from self.gibbs(self._shaped(self.levels.noise(0, n)[0]), y)

    @torch.no_grad()
    def complete(self, x: Tensor, mask: Tensor, y: Tensor | None = None, sweeps: int | None = None) -> Tensor:
        """x with its unknown entries drawn from p(unknown | known), by Gibbs sampling: (batch, *shape).

        Args:
            x: (batch, *shape); what the unknown entries hold does not matter.
            mask: True where x is known; broadcasts to x's shape, e.g. (1, 8, 8).
            y: labels of a joint model, where they are known.
            sweeps: Gibbs sweeps; the model's own number by default.
        """
        mask = mask.bool().expand(self.check_input(x).shape)
        state = start = torch.where(mask, x, self._shaped(self.levels.noise(0, len(x))[0]).to(x.dtype))
        for state in self.gibbs(start, y, sweeps, known=mask):  # noqa: B007 (only the last state is wanted)
            pass
        return torch.where(mask, x, state.to(x.dtype))

    @torch.no_grad()
    def exact_samples(self, n: int) -> Tensor:
        """n independent samples of p(x), (n, *shape), by enumeration of the even or of the odd levels.

        Raises:
            ValueError: both have too many units to enumerate.
        """
        return self._shaped(exact_states(self.levels, n)[0])

    # --- representing ------------------------------------------------------------------------------------------------------

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Mean-field probabilities of the top layer: (batch, *shape) -> (batch, hidden[-1])."""
        return self.mean_field(x, y)[len(self.hidden) - 1]

    def log_q_label(self, x: Tensor) -> Tensor:
        """log q(y|x) at the mean field: about log p(y|x). (batch, *shape) -> (batch, classes), nats.

        Raises:
            ValueError: the model has no labels.
        """
        if self.classes is None:
            raise ValueError("this DBM has no labels; build it with classes=…")
        return self.levels.inputs(self.levels.label, [None, *self.mean_field(x)]).log_softmax(-1)

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Means of x at the mean field given the top layer: (batch, hidden[-1]) -> (batch, *shape)."""
        top, levels = len(self.hidden), self.levels
        if z.ndim != 2 or z.shape[1] != self.latents:
            raise ValueError(f"z must have shape (batch, {self.latents}), got {tuple(z.shape)}")
        states = levels.pass_down(z.to(levels.dtype), levels.mean, top)
        for _ in range(self.updates_of_mean_field):
            for parity in (1, 0):
                states = levels.updated(states, parity, levels.mean, held=(top, top + 1))
        return self._shaped(states[0])
