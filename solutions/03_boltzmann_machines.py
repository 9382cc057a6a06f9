# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Boltzmann machines
#
# In this lesson you build a model out of a single number for every image, its energy: it learns by pulling the energy of data down and that of its own dreams up, and it
# draws by rolling downhill with a little noise.

# %%
from dgmcourse.lesson import plots, show, torch, zoo

dreamer = zoo.load("rbm-mnist")
torch.manual_seed(0)
strip = dict(enumerate(dreamer.trajectory(6), start=1))
moments = [sweep for sweep in (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000) if sweep in strip]
show(
    plots.plot_images(
        {" " * chain: torch.stack([strip[sweep][chain] for sweep in moments]) for chain in range(6)},
        above=[str(sweep) for sweep in moments],
    ),
    alt="Six rows, one for each chain; columns after 1 to 1000 sweeps. All start as noise. Within ten sweeps there are pieces of strokes, after a hundred "
    "most rows hold a digit, and some of these turn into others later.",
)

# %% [markdown]
# Each row began as noise. The machine then redrew it again and again: 784 pixels tell 500 hidden units what they see, and the hidden units tell the pixels what they expect.
# Above each column stands how often. Nobody told it where a stroke belongs.
#
# **Time** 110 minutes · **You need** lesson 01: log-likelihood, maximum likelihood, KL divergence; lesson 02's idea of a hidden variable that is summed out · **You will be able to**
#
# - turn energies into probabilities, and say what the normalizer Z costs;
# - say what a *restricted* machine gives up, and what it gains: draw it, sum it out, sample it;
# - train one by contrastive divergence, and hold its gradient to your own by hand;
# - estimate log Z from both sides, with an error that can be believed;
# - see modes that training has never looked at, and repair them.

# %%
from itertools import pairwise

from dgmcourse.lesson import F, GenerativeModel, Kind, LogProb, Space, Step, Table, begin, check, data, evaluation, exercise, explorers, fit, hint, math, nn, plots, predict, progress, show, torch, zoo  # fmt: skip
from dgmcourse.models import RBM, BoltzmannMachine, IndependentPixels

device = begin(seed=0)

# %% [markdown]
# Stuck in an exercise? `hint("boltzmann/energy")` gives one more step at each call. A blank or wrong answer never stops you: the cells below then use the course's own version, and say
# so. Each section uses what the ones before it made: if a cell says that a name is not defined, choose *Run → Run All Above Selected Cell*.
#
# ## 1. From energies to probabilities
#
# A **Boltzmann machine** is a set of $n$ units, each on or off: a state is $s \in \{0, 1\}^n$. Every state has an **energy**, made of two kinds of numbers: a *bias* $b_i$ for each unit, which
# says how much it likes to be on, and a *coupling* $J_{ij}$ for each pair, which says how much these two like to be on together. (Couplings are symmetric, $J_{ij} = J_{ji}$, and no unit is coupled with itself, $J_{ii} = 0$.)
#
# $$E(s) \;=\; -\tfrac12 \sum_{ij} s_i J_{ij} s_j \;-\; \sum_i b_i s_i .$$
#
# The ½ is there because the double sum meets every pair twice. Liking lowers the energy, and low energy means high probability:
#
# $$p(s) = \frac{e^{-E(s)}}{Z}, \qquad Z = \sum_{s} e^{-E(s)} .$$
#
# The form is Boltzmann's, from the physics of gases; as a network that learns it is due to Ackley, Hinton & Sejnowski (1985). $Z$, the **normalizer** or *partition function*, makes the probabilities sum to one.
# Note how much the energy says without it: the ratio $p(s)/p(s')$ of two states' probabilities is $e^{E(s') - E(s)}$.
#
# ### Exercise 1 · The energy · ●○○ · 6 minutes


# %%
@exercise("boltzmann/energy")
def energy(s, couplings, bias):
    """E(s) of each state, in nats: s (batch, n) of zeros and ones, couplings J (n, n), bias (n,) -> (batch,)."""
    ### BEGIN SOLUTION
    return -0.5 * ((s @ couplings) * s).sum(-1) - s @ bias
    ### END SOLUTION


# %%
check(energy)

# %% [markdown]
# A machine of three units, small enough to see whole. The first two like each other ($J_{12} = 2$); the third dislikes the first ($J_{13} = -3$), and likes to be on.


# %%
def all_states(n):
    """Every state of n binary units: (2ⁿ, n)."""
    return torch.cartesian_prod(*[torch.tensor([0.0, 1.0], device=device)] * n).view(-1, n)


couplings = torch.tensor([[0.0, 2, -3], [2, 0, 0], [-3, 0, 0]], device=device)
bias = torch.tensor([0.0, -1, 1], device=device)
three = all_states(3)
energies = energy(three, couplings, bias)
show(
    plots.plot_states(
        {"energy E(s)": {"E": energies}, "probability exp(−E(s)) / Z": {"p": (-energies).softmax(0)}},
        names=["".join(str(int(unit)) for unit in state) for state in three],
        ylabels=("nats", ""),
        size=(6, 1.6),
    ),
    alt="Bars for the eight states of three units. Energies lie between −1 and 2. The lower the energy, the higher the probability: "
    "most probable are 001, and, equally, 110; least probable 101.",
)

# %% [markdown]
# Eight energies, one sum, and all is known: every probability, every average. `softmax` of the negative energies *is* this model.
#
# Now a machine that physicists have studied for a century. In the **Ising model** of a magnet, units sit on a lattice and are coupled with their four neighbors, all equally strongly; in terms of spins ±1 rather than 0 and 1, neighbors
# that agree lower the energy by the coupling, and neighbors that differ raise it. On a 4×4 lattice whose edges are joined, there are $2^{16}$ states to sum over. The truth is known in another way too: row by row, as the trace of the fourth power of a 16×16 matrix, which sees no 4×4 state at all.

# %%
states = all_states(16)  # (65536, 16)
rows_of_four = 2 * all_states(4).double() - 1  # the sixteen states of one row, as spins ±1
found, magnets = [], {}
torch.manual_seed(0)
for coupling in (0.2, 0.4406868, 0.6):
    magnet = BoltzmannMachine.ising(4, coupling).to(device)  # couplings, bias, and an offset that makes 0/1 into ±1
    with torch.no_grad():
        energies = energy(states, magnet.couplings, magnet.bias) - magnet.offset
    log_z = (-energies.double()).logsumexp(0)
    within = coupling * (rows_of_four * rows_of_four.roll(1, 1)).sum(-1)  # bonds along a row
    between = coupling * rows_of_four @ rows_of_four.T  # bonds from one row to the next
    transfer = (between + 0.5 * within + 0.5 * within[:, None]).exp()
    truth = transfer.matrix_power(4).trace().log()
    found.append((f"{coupling:.3f}", f"{log_z:.4f}", f"{truth:.4f}"))
    drawn = torch.multinomial((-energies).softmax(0), 12)
    magnets[f"coupling {coupling:.2f}"] = 0.15 + 0.85 * states[drawn].view(-1, 1, 4, 4)
show(
    plots.plot_images(magnets, scale=0.4),
    alt="Twelve 4×4 states at each of three couplings. At 0.2 they look like noise; at 0.44 patches form; at 0.6 most are all black or all grey but for a pixel or two.",
)
Table(
    ("coupling", "log Z, your energy over 65,536 states", "log Z, by the matrix"),
    found,
    "A magnet of 4×4 spins, nats",
)

# %% [markdown]
# Equal in every digit shown. So everything is fine, as long as all states can be visited.

# %%
predict(
    "Your function has just visited 65,536 states, in a fraction of a second. An 8×8 image of ink and paper has 64 units. How long would the same sum take on this computer?",
    choices=("About an hour", "About a month", "About a lifetime", "More than a thousand years"),
    answer=3,
    why="Every further unit doubles the sum. 48 more units make it 2⁴⁸ times as long, 281 million million times, even if the energy of a larger state cost no more.",
)

# %%
import time

small = BoltzmannMachine.ising(4, 0.4)
on_cpu = states.cpu()
started = time.perf_counter()
for _ in range(5):
    energy(on_cpu, small.couplings.detach(), small.bias.detach())
rate = 5 * len(on_cpu) / (time.perf_counter() - started)
years = 2**64 / rate / (365.25 * 24 * 3600)
print(f"{rate / 1e6:.0f} million states a second: 2⁶⁴ states take more than {years // 1000 * 1000:,.0f} years")

# %% [markdown]
# This is the price of the family. An energy may be any function at all, which makes these models free; in return, $Z$ is a sum that nobody can do, and neither probabilities nor averages nor samples
# come for nothing. The rest of the lesson is about what to do instead.
#
# ## 2. Restriction
#
# Pairs alone cannot say much: that three pixels in a row make a stroke is not a matter of pairs. The remedy is that of lesson 02: add units that are not data. From now on the units are of two kinds, the **visible** ones $x$, which are the pixels, and the
# **hidden** ones $h$, and what we want is $p(x) = \sum_h p(x, h)$.
#
# In a general machine this makes everything worse. Even with the image known, the hidden units remain coupled, so $p(h\mid x)$ is a Boltzmann machine again, with a sum over $2^m$ states for every image. Look at what is left to be decided when one side is known:

# %%
full = torch.ones(7, 7) - torch.eye(7)  # four visible and three hidden units: all coupled …
between_sides = torch.zeros(7, 7)
between_sides[:4, 4:] = 1
between_sides = between_sides + between_sides.T  # … or only across
show(
    plots.plot_units(
        {
            "general": (full, ()),
            "general, x known": (full, range(4)),
            "restricted": (between_sides, ()),
            "restricted, x known": (between_sides, range(4)),
            "restricted, h known": (between_sides, range(4, 7)),
        },
        visible=4,
    ),
    alt="Five graphs of four visible and three hidden units. General: every unit is joined with every other. With x known, thick lines remain among the hidden units. "
    "Restricted: lines run only between the two sides. With x known, or with h known, no thick line remains.",
)

# %% [markdown]
# Thick lines join units that still depend on each other; a line to a known unit (filled) is thin, since what it carries is known. The **restricted Boltzmann machine**, RBM (Smolensky, 1986, who called it *harmonium*), keeps only the couplings between the
# two sides. With either side known, no thick line is left: the units of the other side are **independent**. They do depend on each other as long as both sides are open, and through the hidden units any pixel may influence any other.
#
# Name the couplings $W$, one row for each visible and one column for each hidden unit, the visible biases $b$ and the hidden ones $c$:
#
# $$E(x, h) = -x^\top W h - b^\top x - c^\top h .$$
#
# It is your `energy` of the state $(x, h)$, with $J = \begin{pmatrix} 0 & W \\ W^\top & 0\end{pmatrix}$.
#
# **What restriction buys, 1: the hidden units sum out.** Write $a_j = c_j + \sum_i x_i W_{ij}$ for the input that hidden unit $j$ receives. Then $-E(x, h) = b^\top x + \sum_j h_j a_j$, each $h_j$ stands in a term of its own, and the sum over all $2^m$ states falls apart into $m$ sums of two terms, off and on:
#
# $$\sum_h e^{-E(x, h)} = e^{b^\top x} \prod_j \sum_{h_j \in \{0, 1\}} e^{h_j a_j} = e^{b^\top x} \prod_j \big(1 + e^{a_j}\big) .$$
#
# Minus its logarithm is called the **free energy** of $x$, and it is to $p(x)$ what the energy is to $p(x, h)$:
#
# $$F(x) = -b^\top x - \sum_j \log\big(1 + e^{a_j}\big), \qquad p(x) = \frac{e^{-F(x)}}{Z} .$$
#
# ### Exercise 2 · The free energy · ●●○ · 8 minutes
#
# $\log(1 + e^{a})$ is called *softplus*. Where $a$ is large, $e^a$ overflows although the logarithm is simply about $a$; `F.softplus` knows. (`F` without an argument is torch's library of functions, not the free energy.)


# %%
@exercise("boltzmann/free_energy")
def free_energy(x, weight, b, c):
    """F(x) of each image, in nats: x (batch, visible), weight (visible, hidden), b (visible,), c (hidden,) -> (batch,)."""
    ### BEGIN SOLUTION
    return -x @ b - F.softplus(c + x @ weight).sum(-1)
    ### END SOLUTION


# %%
check(free_energy)

# %% [markdown]
# **What restriction buys, 2: half of Z.** $Z = \sum_h \sum_x e^{-E(x, h)}$ has $2^{n + m}$ terms. But for fixed $h$ the sum over $x$ falls apart in just the same way, only with the sides exchanged. What is left is a sum over the states of *one* side, and we may choose the smaller.
#
# ### Exercise 3 · log Z, exactly · ●●○ · 10 minutes
#
# You are given all $2^m$ states of the hidden side. First $\log \sum_x e^{-E(x, h)}$ for each of them, in closed form; then the sum over them, in logs.


# %%
@exercise("boltzmann/log_partition")
def log_partition(h, weight, b, c):
    """log Z in nats: all states h (2^hidden, hidden), weight (visible, hidden), b (visible,), c (hidden,) -> scalar."""
    ### BEGIN SOLUTION
    log_weight = h @ c + F.softplus(b + h @ weight.T).sum(-1)  # log Σ_x exp(−E(x, h)), (2^hidden,)
    return log_weight.logsumexp(0)
    ### END SOLUTION


# %%
check(log_partition)

# %% [markdown]
# Do your three functions agree? A machine with 6 visible and 4 hidden units: once as a general one, over all 1,024 states, once by restriction, over 16.

# %%
torch.manual_seed(0)
weight, b, c = (torch.randn(size, device=device) for size in ((6, 4), (6,), (4,)))
couplings = torch.zeros(10, 10, device=device)
couplings[:6, 6:], couplings[6:, :6] = weight, weight.T
logs = -energy(all_states(10), couplings, torch.cat([b, c])).view(64, 16)  # a row for each x, a column for each h
Table(
    ("what", "over all 1,024 states", "by restriction"),
    [
        ("log Z", f"{logs.flatten().logsumexp(0):.5f}", f"{log_partition(all_states(4), weight, b, c):.5f}"),
        *(
            (
                f"F of image {k}",
                f"{-logs[k].logsumexp(0):.5f}",
                f"{free_energy(all_states(6), weight, b, c)[k]:.5f}",
            )
            for k in (0, 21, 63)
        ),
    ],
    "Six visible and four hidden units, nats",
)

# %% [markdown]
# **What restriction buys, 3: the sides are easy to draw.** Given $x$, every hidden unit is on or off by itself, in the proportion of $e^{a_j}$ to 1:
#
# $$p(h_j = 1\mid x) = \frac{e^{a_j}}{1 + e^{a_j}} = \operatorname{sigmoid}\Big(c_j + \sum_i x_i W_{ij}\Big) .$$
#
# Once more the other side is the mirror image: $p(x_i = 1\mid h) = \operatorname{sigmoid}(b_i + \sum_j W_{ij} h_j)$. So a hidden unit is a *detector*: it is on when the image fits column $j$ of $W$. And it is a *brush*: being on, it adds this column to the inputs of the pixels.
#
# ### Exercise 4 · p(h | x) · ●○○ · 4 minutes


# %%
@exercise("boltzmann/hidden")
def hidden_probability(x, weight, c):
    """p(hⱼ = 1 | x) of each hidden unit: x (batch, visible), weight (visible, hidden), c (hidden,) -> (batch, hidden)."""
    ### BEGIN SOLUTION
    return (c + x @ weight).sigmoid()
    ### END SOLUTION


# %%
check(hidden_probability)

# %% [markdown]
# ## 3. Sampling: one side, then the other
#
# We can draw $h$ given $x$, and $x$ given $h$, each in one stroke. We cannot draw $x$ from $p(x)$. **Block Gibbs sampling** makes the one out of the others: start anywhere, draw $h$ given $x$, then $x$ given $h$, and repeat. If $x$ was distributed as $p(x)$, it still is
# after such a *sweep*: drawing $h\sim p(h\mid x)$ makes the pair a draw of $p(x, h)$, and redrawing either half from its conditional keeps it one. And from wherever it starts, the chain forgets the start and tends to $p$. (How soon is another matter.)
#
# ### Exercise 5 · A Gibbs sweep · ●●○ · 8 minutes
#
# Draw, do not round: a unit with probability $p$ is on if a uniform random number is below $p$, as in `(torch.rand_like(p) < p).float()`.


# %%
@exercise("boltzmann/sweep")
def gibbs_sweep(x, weight, b, c):
    """h ~ p(h|x), then x ~ p(x|h): (batch, visible) -> (batch, visible), zeros and ones. weight (visible, hidden)."""
    ### BEGIN SOLUTION
    p = (c + x @ weight).sigmoid()
    h = (torch.rand_like(p) < p).float()  # up
    q = (b + h @ weight.T).sigmoid()
    return (torch.rand_like(q) < q).float()  # and down
    ### END SOLUTION


# %%
check(gibbs_sweep)

# %% [markdown]
# Twenty thousand chains on a machine with four visible units, all started with every unit off. How soon do they know the distribution?

# %%
torch.manual_seed(4)
weight = 1.7 * torch.randn(4, 3, device=device)
b, c = -0.5 * weight.sum(1), -0.5 * weight.sum(0)  # a state and its opposite are equally likely
exact = (-free_energy(all_states(4), weight, b, c)).softmax(0)
chains, shares = torch.zeros(20_000, 4, device=device), {"exact": exact}
code = torch.tensor([8.0, 4, 2, 1], device=device)  # a state's place in `all_states(4)`
for sweep in range(1, 31):
    chains = gibbs_sweep(chains, weight, b, c)
    if sweep in (1, 3, 30):
        shares[f"{sweep} sweeps" if sweep > 1 else "1 sweep"] = torch.bincount(
            (chains @ code).long(), minlength=16
        ) / len(chains)
show(
    plots.plot_states({"": shares}, ["".join(str(int(u)) for u in s) for s in all_states(4)], ylabels=("probability",)),
    alt="Exact probabilities of sixteen states as bars, with the shares of 20,000 chains as marks. After one sweep the marks are far off for several states; after three they are closer; after thirty they sit on the bars.",
)
print({name: f"{0.5 * float((share - exact).abs().sum()):.3f}" for name, share in shares.items() if name != "exact"})

# %% [markdown]
# The printed numbers are total variation distances: the share of probability that is in the wrong place. (With 20,000 draws, chance alone leaves about 0.01.)
#
# **Explore.** The magnet again, with 24×24 spins, near the coupling (0.44) at which large lattices begin to order (Onsager, 1944). Units that are not neighbors are drawn together, like the two colors of a checkerboard. (1) Play it: how long until patches form? (2) Do they ever stop changing?
# (3) Give `BoltzmannMachine.ising` a coupling of 0.2, and of 0.7. At which of the three do chains forget their start soonest?

# %%
torch.manual_seed(0)
explorers.TrajectoryPlayer(BoltzmannMachine.ising(24, coupling=0.44, sweeps=200), n=4)

# %% [markdown]
# ## 4. Learning: two phases
#
# To learn is to raise the mean $\log p(x) = -F(x) - \log Z$ of the data. For any parameter $\theta$ (an entry of $W$, $b$ or $c$),
#
# $$\frac{\partial \log p(x)}{\partial\theta} = -\frac{\partial F(x)}{\partial\theta} - \frac{\partial \log Z}{\partial\theta},
# \qquad \frac{\partial \log Z}{\partial\theta} = \frac1Z \sum_{x'} e^{-F(x')}\Big({-\frac{\partial F(x')}{\partial\theta}}\Big) = -\,\mathbb E_{x'\sim p}\left[\frac{\partial F(x')}{\partial\theta}\right],$$
#
# and so, averaged over the data,
#
# $$\frac{\partial}{\partial\theta}\, \mathbb E_{\text{data}}[\log p(x)] \;=\; \underbrace{-\,\mathbb E_{\text{data}}\left[\frac{\partial F(x)}{\partial\theta}\right]}_{\text{positive phase}}
# \;+\; \underbrace{\mathbb E_{x'\sim p}\left[\frac{\partial F(x')}{\partial\theta}\right]}_{\text{negative phase}} .$$
#
# The *positive phase* pulls the free energy of data down. The *negative phase* pushes up the free energy of whatever the model itself produces. Where the two balance, the model dreams what it sees, and learning stops.
#
# For an RBM the derivatives are simple: $-\partial F / \partial W_{ij} = x_i\, p(h_j = 1\mid x)$, since the derivative of softplus is the sigmoid; $-\partial F/\partial b_i = x_i$; $-\partial F/\partial c_j = p(h_j = 1\mid x)$. So the gradient compares averages: how often pixel $i$ and detector $j$ are on together when
# the machine looks at data, and when it dreams.
#
# The dreams are the difficulty: they should be samples of $p$, and Gibbs sampling needs many sweeps. **Contrastive divergence**, CD-$k$ (Hinton, 2002), does not wait. It starts the chains at the data and stops after $k$ sweeps, often after one. If the model is good already, the chains are at home where they start; if it is not, they move off at once, and in which direction is just what is needed. These
# *negatives* are not samples of $p$, so this is an approximation. How good it is, we shall measure.
#
# ### Exercise 6 · The gradient by hand · ●●● · 12 minutes
#
# You are given a batch of data and a batch of negatives, which may differ in size. Return the direction in which $\log p$ rises: for $W$, $b$ and $c$ the average over the data minus the average over the negatives. Use hidden *probabilities*, not draws.


# %%
@exercise("boltzmann/cd")
def cd_gradient(x, negatives, weight, b, c):
    """Positive minus negative phase for (W, b, c): x (batch, visible), negatives (chains, visible) -> shapes of W, b, c."""
    ### BEGIN SOLUTION
    p, q = hidden_probability(x, weight, c), hidden_probability(negatives, weight, c)
    return (
        x.T @ p / len(x) - negatives.T @ q / len(negatives),
        x.mean(0) - negatives.mean(0),
        p.mean(0) - q.mean(0),
    )
    ### END SOLUTION


# %%
check(cd_gradient)

# %% [markdown]
# You will not need it for training: it is the gradient of something that autograd can do for us,
#
# $$\text{loss} = \text{mean } F(\text{data}) - \text{mean } F(\text{negatives}), \qquad \text{the negatives held fixed.}$$

# %%
torch.manual_seed(0)
theta = [torch.randn(size, device=device, requires_grad=True) for size in ((64, 16), (64,), (16,))]
x, negatives = (torch.rand(100, 64, device=device) < 0.3).float(), (torch.rand(50, 64, device=device) < 0.5).float()
loss = free_energy(x, *theta).mean() - free_energy(negatives, *theta).mean()
by_autograd = torch.autograd.grad(loss, theta)
by_hand = cd_gradient(x, negatives, *(part.detach() for part in theta))
difference = max(float((mine + theirs).abs().max()) for mine, theirs in zip(by_hand, by_autograd, strict=True))
print(f"largest difference between your gradient and minus that of the loss: {difference:.0e}")

# %% [markdown]
# Here is your machine. `training_step` yields that loss; `fit`, the training loop of all models of this course, takes its gradient, makes a step, and comes back for more. The chains run under `no_grad`: they are data, as far as the gradient is concerned.


# %%
class MyRBM(GenerativeModel):
    def __init__(self, space: Space, hidden: int = 16, k: int = 1, sweeps: int = 300):
        super().__init__(space)
        self.latents, self.k, self.sweeps = hidden, k, sweeps
        self.weight = nn.Parameter(0.01 * torch.randn(space.dim, hidden))
        self.b, self.c = nn.Parameter(torch.zeros(space.dim)), nn.Parameter(torch.zeros(hidden))

    @property
    def theta(self):
        return self.weight, self.b, self.c

    def free_energy(self, x):
        return free_energy(x.flatten(1), *self.theta)

    @torch.no_grad()
    def negatives(self, x):
        """Contrastive divergence: k sweeps from the data."""
        x = x.flatten(1)
        for _ in range(self.k):
            x = gibbs_sweep(x, *self.theta)
        return x

    def training_step(self, x, y=None):
        yield Step(self.free_energy(x).mean() - self.free_energy(self.negatives(x)).mean())

    @torch.no_grad()
    def gibbs(self, x, sweeps):
        """Yields the states of chains that start at x."""
        x = x.flatten(1)
        for _ in range(sweeps):
            x = gibbs_sweep(x, *self.theta)
            yield x.view(-1, *self.space.shape)

    def trajectory(self, n, y=None):
        yield from self.gibbs(torch.rand(n, self.space.dim, device=self.device).round(), self.sweeps)

    def log_partition(self):
        """log Z, by the states of the smaller side: the formula is the same for both."""
        weight, b, c = self.theta
        if self.latents <= self.space.dim:
            return log_partition(all_states(self.latents), weight, b, c)
        return log_partition(all_states(self.space.dim), weight.T, c, b)

    def log_prob(self, x, y=None):
        if min(self.latents, self.space.dim) > 16:
            return LogProb(-self.free_energy(x), Kind.UNNORMALIZED)
        return LogProb(-self.free_energy(x) - self.log_partition(), Kind.EXACT)

    def encode(self, x, y=None):
        return hidden_probability(x.flatten(1), self.weight, self.c)

    def decode(self, h, y=None):
        return hidden_probability(h, self.weight.T, self.b).view(-1, *self.space.shape)  # the mirror image


# %% [markdown]
# First on data whose truth is known. **Bars and stripes**: 3×3 images in which every column (bars) or every row (stripes) is all ink or all paper. There are 14 of them among 512 images, all equally likely. The entropy is $\ln 14 = 2.639$ nats: no model can have a smaller mean $-\log p(x)$. With an exact $Z$
# we can write down $\mathrm{KL}(\text{truth}\,\|\,\text{model})$ after every step: the mean $-\log p(x)$ of the 14 patterns, minus the entropy.

# %%
predict(
    "You will watch the loss, F(data) − F(negatives), while the machine learns. What will its value do?",
    choices=(
        "Fall to the entropy of the data, 2.639",
        "Fall and fall: the lower, the better the model",
        "Begin near zero, and end near zero",
        "Rise, since log Z grows",
    ),
    answer=2,
    why="At the beginning all free energies are nearly equal; at the end negatives look like data. Either way the two means cancel. The loss has the right gradient, and a "
    "value that says little: log Z, which would make it a likelihood, is missing.",
)

# %%
patterns = data.bars_and_stripes(3).to(device)
curves, losses, bars = {}, {}, {}
for k in (1, 20):
    torch.manual_seed(0)
    bars[k] = MyRBM(patterns.space, hidden=32, k=k).to(device)
    points = []

    def exact_kl(step, model, points=points):
        if step % 50 == 0:
            with torch.no_grad():
                points.append((step, float(-model.log_prob(patterns.test).value.mean()) - patterns.truth.entropy))

    history = fit(bars[k], patterns, steps=2000, batch_size=100, lr=2e-2, schedule="linear", watch=exact_kl)
    curves[f"CD-{k}"] = tuple(zip(*points, strict=True))
    smoothed = torch.tensor(history.losses["model"]).view(40, 50).mean(1)
    losses[f"CD-{k}"] = (range(50, 2001, 50), smoothed.tolist())
show(
    plots.plot_curves(losses, "step", "loss", level={"0": 0.0}),
    alt="The loss against steps for CD-1 and CD-20. Both dip below zero early on, by a nat or more, and return to zero; where they end does not tell which model is better.",
)
show(
    plots.plot_curves(curves, "step", "KL(truth ‖ model), nats", log="y"),
    alt=f"Exact KL divergence against steps, on a logarithmic scale. Both fall from above 3 nats; CD-1 levels off near {curves['CD-1'][1][-1]:.2f}, CD-20 reaches {curves['CD-20'][1][-1]:.2f}.",
)

# %%
with torch.no_grad():
    probability = {
        f"CD-{k}": model.log_prob(patterns.truth.patterns().to(device)).value.exp() for k, model in bars.items()
    }
show(
    plots.plot_states(
        {"": {"truth": torch.full((14,), 1 / 14), **probability}},
        images=patterns.truth.patterns(),
        ylabels=("probability",),
    ),
    alt="The fourteen patterns, each with probability 1/14 in truth. CD-20's marks lie near the bars; CD-1's scatter widely, some patterns being several times as likely as others.",
)
for name, share in probability.items():
    print(
        f"{name}: KL {curves[name][1][-1]:.3f} nats; all fourteen patterns together have probability {float(share.sum()):.3f}"
    )

# %% [markdown]
# The loss dips while the patterns become valleys, still so shallow that the negatives slip out of them and up; then it comes back. And it says nothing of quality: it is CD-1's that ends nearer to zero, and CD-20 that is the better model.
#
# Both machines have found the fourteen patterns among 512: nearly all probability lies on them. With twenty sweeps a step the KL is below a tenth of a nat. With one, the patterns are there but unequally likely, and the reason is worth a moment. A chain that starts at a pattern and makes one sweep is
# still at that pattern. Learning sees what happens *around* each pattern, and never compares two that are far apart. It makes every valley; how deep one is beside another, it does not know.
#
# And what about valleys where no data lie at all?
#
# ## 5. Failure lab: valleys that nobody has visited
#
# Let a machine learn twelve random 6×6 images by heart, with one hidden unit for each. We do it three times over, with different images.


# %%
@torch.no_grad()
def exact_samples(model, n):
    """Independent samples of p(x): h from the table of all its states, then x given h."""
    weight, b, c = model.theta
    h = all_states(model.latents)
    table = (-free_energy(h, weight.T, c, b)).softmax(0)  # p(h), summed over x: the free energy of the other side
    h = h[torch.multinomial(table, n, replacement=True)]
    return torch.bernoulli(hidden_probability(h, weight.T, b)).view(-1, *model.space.shape)


def distance(x, images):
    """Number of pixels by which each x differs from the nearest of the images."""
    return torch.cdist(x.flatten(1), images.flatten(1), p=1).amin(1)


def far_away(model, images, n=1000):
    """The model's probability of all that is four pixels or more from every image, estimated from exact samples."""
    return float((distance(exact_samples(model, n), images) >= 4).float().mean())


@torch.no_grad()
def judge(model, images):
    """What a look at the data shows, what chains from noise show, and what is true; and where those chains ended."""
    torch.manual_seed(0)
    many = images.repeat(50, 1, 1, 1)
    reconstructed = (model.decode(torch.bernoulli(model.encode(many))) > 0.5).float()
    *_, ended = model.gibbs(torch.rand(1000, 36, device=device).round(), sweeps=200)
    log_p = model.log_prob(images).value
    return (
        float((reconstructed - many).abs().sum((1, 2, 3)).mean()),
        float((distance(ended, images) >= 4).float().mean()),
        float(log_p.exp().sum()),
        far_away(model, images, 4000),
        float(-log_p.mean()) - math.log(12),
    ), ended


def memory_table(judged, title):
    columns = (
        "images",
        "wrong pixels",
        "chains from noise: far away",
        "p(the twelve images)",
        "p(far away)",
        "KL(images ‖ model), nats",
    )
    rows = [
        (k, f"{wrong:.2f} of 36", f"{stray:.0%}", f"= {twelve:.1%}", f"≈ {far:.1%}", f"= {kl:.1f}")
        for k, (wrong, stray, twelve, far, kl) in enumerate(judged, start=1)
    ]
    return Table(columns, rows, title)


torch.manual_seed(1)
memories = [torch.rand(12, 1, 6, 6, device=device).round() for _ in range(3)]
machines, judged, ended, drift = [], [], [], {}
for number, images in enumerate(memories, start=1):
    torch.manual_seed(0)
    machines.append(MyRBM(Space.binary(1, 6, 6), hidden=12, k=1).to(device))
    points = drift.setdefault(f"images {number}", [])

    def look(step, model, images=images, points=points):
        if step % 100 == 0:
            points.append((step, far_away(model, images)))

    # twelve images, 84 times over: data of about 1,000 rows, so that batches of 100 can be drawn
    fit(machines[-1], images.repeat(84, 1, 1, 1), steps=3000, batch_size=100, lr=1e-2, watch=look)
    verdict, where = judge(machines[-1], images)
    judged.append(verdict)
    ended.append(where)
memory_table(judged, "CD-1. Far away: four pixels or more from every image that was shown")

# %% [markdown]
# Look at the wrong pixels alone, and all is well: show a machine one of its images, and it gives it back without an error. This is what training looks at, one sweep from the data. The other columns start elsewhere. Of the chains from noise, more than half end far from every image. And in two machines of three that is no accident of sampling: by the exact $Z$, twelve images that are
# remembered perfectly have next to no probability, and nearly all of it lies in **modes far from the data**. Here is the share of probability far away, all along the way; and, below, some of the places in which the first machine's chains ended.

# %%
show(
    plots.plot_curves(
        {name: tuple(zip(*points, strict=True)) for name, points in drift.items()}, "step", "probability far away"
    ),
    alt="Probability far from every image against steps of CD-1, for three sets of images. All begin at 1 and fall below one half within a thousand steps. Then some rise again and come back to almost 1.",
)
images, machine = memories[0], machines[0]
strays = ended[0][distance(ended[0], images) >= 4].flatten(1)
states_met, visits = strays.unique(dim=0, return_counts=True)
stray = states_met[visits.argsort(descending=True)[:8]]
nearest = images.flatten(1)[torch.cdist(stray, images.flatten(1), p=1).argmin(1)]
rows = {"where chains ended": stray, "nearest image shown": nearest, "difference": (stray - nearest).abs()}
show(
    plots.plot_images({name: row.view(-1, 1, 6, 6) for name, row in rows.items()}, scale=0.6),
    alt="Upper row: the eight states, of the first set, in which most stray chains from noise ended. Middle row: the image nearest to each. Lower row: the pixels that differ, four or more in each.",
)
with torch.no_grad():
    for name, places in (("images that were shown", images), ("these strays", stray)):
        print(
            f"free energy of {name}, nats:", ", ".join(f"{f:.0f}" for f in sorted(machine.free_energy(places).tolist()))
        )


# %% [markdown]
# Lower is more likely: most of these strays are at least as likely as the most likely image, and beat the typical image by more than ten nats. And for two of the machines training longer made it *worse*, which no reconstruction shows.
#
# **Diagnosis.** The weights that make twelve images stable make other states stable too: mixtures, in which the hidden units of several images are on at once. Nothing in CD-1 objects. Its negatives start at the data and take one step, so they never come to such a place, and the negative phase cannot raise a valley that it has never seen. The
# likelihood would have told us, but nobody looks at it: $Z$ is unknown, as a rule.
#
# ### Exercise 7 · Chains that persist · ●○○ · 5 minutes
#
# **Repair.** Let the negatives come from chains of their own, which start as noise and are *never* sent back to the data: every step continues where the last one ended (Tieleman, 2008; the idea is Younes', 1989). The model changes only a little from step to step, so the chains stay close to its distribution; and they wander into every valley that is deep enough to hold them, where the negative phase then
# fills it up. It is called **persistent contrastive divergence**, PCD-$k$.


# %%
@exercise("boltzmann/persistent")
def persistent_negatives(x, chains, sweep, k):
    """The negatives of PCD-k, which the next step starts from: x (batch, visible), chains (n, visible) -> (n, visible).

    sweep: the function that makes one Gibbs sweep, (n, visible) -> (n, visible).
    """
    ### BEGIN SOLUTION
    for _ in range(k):
        chains = sweep(chains)
    return chains
    ### END SOLUTION


# %%
check(persistent_negatives)


# %% [markdown]
# Take the three machines as they are, and let them learn on with 1,000 chains that begin as noise.


# %%
class PersistentRBM(MyRBM):
    """Your RBM with your chains."""

    def __init__(self, space: Space, hidden: int = 16, k: int = 1, sweeps: int = 300, chains: int = 1000):
        super().__init__(space, hidden, k, sweeps)
        self.register_buffer("chains", torch.rand(chains, space.dim).round())

    def training_step(self, x, y=None):
        with torch.no_grad():
            negatives = persistent_negatives(x.flatten(1), self.chains, lambda x: gibbs_sweep(x, *self.theta), self.k)
        yield Step(self.free_energy(x).mean() - self.free_energy(negatives).mean())
        self.chains.copy_(negatives)  # `fit` is back: the update is done, the chains go on from here


judged_again = []
drift_again = {name: list(points) for name, points in drift.items()}
for points, machine, images in zip(drift_again.values(), machines, memories, strict=True):
    torch.manual_seed(0)
    repaired = PersistentRBM(Space.binary(1, 6, 6), hidden=12).to(device)
    repaired.load_state_dict(machine.state_dict(), strict=False)  # the same weights; the chains are new

    def look(step, model, images=images, points=points):
        if step % 50 == 0 or step in (10, 25):
            points.append((3000 + step, far_away(model, images)))

    fit(repaired, images.repeat(84, 1, 1, 1), steps=1000, batch_size=100, lr=5e-3, schedule="linear", watch=look)
    judged_again.append(judge(repaired, images)[0])
show(
    plots.plot_curves(
        {name: tuple(zip(*points, strict=True)) for name, points in drift_again.items()}, "step", "probability far away"
    ),
    alt="The same curves, continued with persistent chains from step 3000 on: within two hundred steps all three fall to almost 0, and stay there.",
)
memory_table(judged_again, "The same machines after 1,000 steps of PCD-1")

# %% [markdown]
# The chains fall into the far valleys at once, and within two hundred steps these are filled up: most probability now lies on the images, and reconstructions are as good as before. Repaired, not cured. The KL says that some images are still much less likely than others: the weights have become so large that even 1,000 chains seldom cross from one
# valley to the next, so nobody weighs them against each other. Chains from noise, too, may be caught for long in places whose probability is small. It is better to begin with chains that persist, and to make steps so small that they can keep up. Learn two things from this lab: reconstructions prove nothing; and start some chains from noise, always.
#
# ## 6. Digits
#
# Now real data: 8×8 scans of handwritten digits, 1,300 to learn from and 297 to judge by. Sixteen hidden units keep $Z$ within reach: 65,536 states.

# %%
digits = data.digits(levels=2).to(device)
independent = IndependentPixels(digits.space).to(device).estimate(digits.train)
torch.manual_seed(0)
small = MyRBM(digits.space, hidden=16, k=5).to(device)
fit(small, digits, steps=3000, batch_size=100, lr=2e-2, schedule="linear")
print(f"independent pixels:   {evaluation.average_log_prob(independent, digits.test)}")
print(f"your RBM, 16 hidden:  {evaluation.average_log_prob(small, digits.test)}")

# %% [markdown]
# Seven nats better than independent pixels, and this is no bound: it is the likelihood itself. (The VAE of lesson 04 *proves* about as much, with eight latents and well over a hundred thousand weights; this one has 1,104.) These images are alike and full of wobbles, so that chains which start at one soon find their way to others: here CD is no worse than PCD, as you may try with your `PersistentRBM`.
#
# More hidden units make a better model, and put $Z$ out of reach: the smaller side of 64 pixels and 256 hidden units has $2^{64}$ states.

# %%
torch.manual_seed(0)
large = MyRBM(digits.space, hidden=256, k=3).to(device)
fit(large, digits, steps=2000, batch_size=100, lr=1e-2, schedule="linear")
print(f"your RBM, 256 hidden: {evaluation.average_log_prob(large, digits.test)}")

# %% [markdown]
# The `+C` says that this number misses a constant, so it can be compared with nothing. (It is minus the mean free energy.)
#
# **Explore** its dreams. Nine chains start as noise; each frame is a sweep. (1) After how many sweeps do you see digits? (2) Do chains change from one digit into another, or do they stay with one? (3) Which digits do you never see?

# %%
torch.manual_seed(0)
explorers.TrajectoryPlayer(large, n=9)

# %% [markdown]
# ### How large is Z?
#
# A sum over $2^{64}$ states can be estimated, as an average. If $x$ is drawn from a simple distribution $p_0 = f_0/Z_0$ with a known normalizer, then the mean of the *weight* $w = f(x)/f_0(x)$, with $f = e^{-F}$, is exactly $Z/Z_0$. That is importance sampling, and here it is hopeless: almost no
# draw of $p_0$ looks like a digit, and the sum lives on digits.
#
# **Annealed importance sampling**, AIS (Neal, 2001), takes many small steps instead of one leap. Put a ladder of distributions $f_{\beta}$ between the two, from $\beta = 0$, the simple one, to $\beta = 1$, the machine. Start chains at $\beta = 0$; at each rung, first multiply the chain's weight by how much its state gains, then let the chain move a little at the new rung. With rungs $\beta_0 = 0 < \beta_1 < \dots < \beta_T = 1$ and $x_0 \sim p_0$:
#
# $$\log w = \sum_{t=0}^{T-1} \big[\log f_{\beta_{t+1}}(x_t) - \log f_{\beta_t}(x_t)\big], \qquad x_{t+1} = \text{a Gibbs sweep at } \beta_{t+1} \text{ from } x_t .$$
#
# The wonder is that $\mathbb E[w] = Z/Z_0$ *exactly*, however few the rungs and however badly the chains mix. Only the noise of $w$ depends on that. (You will see it below.)
#
# ### Exercise 8 · The weights of AIS · ●●● · 10 minutes
#
# `log_f(x, beta)` gives $\log f_\beta$ of each chain, `move(x, beta)` a sweep at $\beta$. `pairwise(betas)` gives neighboring rungs; take them in the order in which they come.


# %%
@exercise("boltzmann/ais")
def annealed_log_weights(log_f, move, x, betas):
    """log w of each chain: x (chains, …) are draws at betas[0]; log_f(x, beta) -> (chains,), move(x, beta) -> x. Returns (chains,)."""
    ### BEGIN SOLUTION
    log_weights = torch.zeros(len(x), device=x.device)
    for before, now in pairwise(betas):
        log_weights = log_weights + log_f(x, now) - log_f(x, before)  # weigh where it stands,
        x = move(x, now)  # then move on
    return log_weights
    ### END SOLUTION


# %%
check(annealed_log_weights)

# %% [markdown]
# The simplest ladder for an RBM multiplies every parameter by $\beta$: at $\beta = 0$ all units are fair coins, so $Z_0 = 2^{n+m}$, and at every rung stands an RBM, with $\log f_\beta(x) = -F(x; \beta W, \beta b, \beta c)$. So your functions serve again. ($\beta$ is an inverse temperature, and climbing is cooling: hence *annealing*.)
#
# First the wonder, on a machine that can be summed, with two steps only:

# %%
torch.manual_seed(0)
weight, b, c = (torch.randn(size, device=device) for size in ((6, 4), (6,), (4,)))
coins = (torch.rand(200_000, 6, device=device) < 0.5).float()
log_w = annealed_log_weights(
    lambda x, beta: -free_energy(x, beta * weight, beta * b, beta * c),
    lambda x, beta: gibbs_sweep(x, beta * weight, beta * b, beta * c),
    coins,
    [0.0, 0.5, 1.0],
)
log_ratio = float(log_partition(all_states(4), weight, b, c)) - 10 * math.log(2)
w = log_w.exp()
print(f"mean of w: {w.mean():.3f} ± {w.std() / math.sqrt(len(w)):.3f}; Z/Z₀, by summing: {math.exp(log_ratio):.3f}")
print(f"mean of log w: {log_w.mean():.3f}; log Z/Z₀: {log_ratio:.3f}")


# %% [markdown]
# The mean of $w$ is right, and the mean of $\log w$ is not: the log is concave. That goes, less and less, for the log of a mean of many weights too. So the estimate of $\log Z$ is, on average, too small: rare heavy weights are easily missed. But the ladder can also be climbed *down*: start at samples of the machine, end at coins, and estimate $Z_0/Z$. Now the error goes the other way. The truth lies in between, and the distance says how far to trust either.


# %%
@torch.no_grad()
def anneal(model, steps, model_samples):
    """What each chain says about log Z: forward from coins, and in reverse from samples of the model."""

    def rung(beta):
        return [beta * part for part in model.theta]

    def log_f(x, beta):
        return -free_energy(x, *rung(beta))

    def move(x, beta):
        return gibbs_sweep(x, *rung(beta))

    betas = torch.linspace(0, 1, steps + 1).tolist()
    log_z0 = (model.space.dim + model.latents) * math.log(2)
    coins = torch.rand_like(model_samples.flatten(1)).round()
    forward = annealed_log_weights(log_f, move, coins, betas)
    reverse = annealed_log_weights(log_f, move, model_samples.flatten(1), betas[::-1])
    return log_z0 + forward, log_z0 - reverse


def estimate(log_weights):
    """log of the mean weight, and its standard error: that of the mean of w, divided by the mean of w."""
    value = log_weights.logsumexp(0) - math.log(len(log_weights))
    return float(value), float((log_weights - value).exp().std()) / math.sqrt(len(log_weights))


torch.manual_seed(0)
*_, after_many_sweeps = large.gibbs(digits.train[:200], sweeps=500)
starts = {"16 hidden": exact_samples(small, 200), "256 hidden": after_many_sweeps}
models = {"16 hidden": small, "256 hidden": large}
runs = {
    name: {steps: anneal(model, steps, starts[name]) for steps in (1, 3, 10, 30, 100, 1000)}
    for name, model in models.items()
}
with torch.no_grad():
    small_log_z = float(small.log_partition())
show(
    plots.plot_annealing(runs, {"16 hidden": small_log_z}),
    alt="Estimates of log Z against the number of temperatures, forward and reverse, for 16 and 256 hidden units. With one temperature they are some fifty nats apart, forward far below the exact value "
    "and reverse far above it; the distance shrinks, and with 1000 they meet on it.",
)

# %% [markdown]
# Each small dot is one chain; the large marks are the estimates, with two standard errors, against the number of steps on the ladder. (Rungs are often called temperatures.) A single leap is off by tens of nats, and its error bar of one or two is a delusion: it is computed from the weights that were met, and cannot know of those that were missed. *The bracket knows.* The two ends approach each other as the rungs become many,
# and where the truth can be summed, it is where they meet. (For 256 hidden units the reverse chains start from long Gibbs chains instead of exact samples; the upper end is as good as these.)

# %%
rows = []
for name, model in models.items():
    (low, low_error), (high, high_error) = (
        (sign * value, error)
        for sign, (value, error) in ((1, estimate(runs[name][1000][0])), (-1, estimate(-runs[name][1000][1])))
    )
    with torch.no_grad():
        f = float(model.free_energy(digits.test).mean())
    exact_value = f"= {-f - small_log_z:.2f}" if model is small else "–"
    rows.append(
        (
            name,
            f"{low:.2f} ± {low_error:.2f} … {high:.2f} ± {high_error:.2f}",
            f"≈ {-f - high:.2f} … {-f - low:.2f}",
            exact_value,
        )
    )
    if model is large:
        large_nats = -f - high, -f - low
Table(
    ("your RBM", "log Z, forward … reverse, nats", "log p(x), test images", "exact"),
    rows,
    "1,000 rungs, 200 chains each way",
)

# %% [markdown]
# Now the numbers can be compared. With 256 hidden units the machine is well ahead of the one with 16. (The VAE of lesson 04 proves about −18 on the same images, and about −17 by importance weighting: the one number is a lower bound, the other may err to either side.) Since forward AIS rather underestimates $Z$, a model judged by it alone may look better than it is: quote the other end as well. The package does, and starts its
# ladder at independent pixels with the data's frequencies, which takes fewer rungs: `RBM(…).log_partition("ais")`, `evaluation.bracket(model)`.
#
# ## 7. What the hidden units look for
#
# Column $j$ of $W$ has a weight for each pixel, so it is an image: the **receptive field** of hidden unit $j$. Orange pixels speak for the unit, blue ones against it.

# %%
with torch.no_grad():
    busy = large.encode(digits.train).mean(0).argsort(descending=True)
show(
    plots.plot_filters(small.weight.T.view(-1, 8, 8)),
    alt="The sixteen receptive fields of the small machine as 8×8 images, with strong weights of both signs all over the image.",
)
show(
    plots.plot_filters(large.weight.T[busy[:48]].view(-1, 8, 8)),
    alt="The 48 busiest of 256 receptive fields of the large machine. Weights are smaller, and many fields show a piece of a stroke beside an empty place.",
)

# %% [markdown]
# With sixteen units (first picture) each has to say much at once. The 48 busiest of 256 share the work: bits of stroke here, and no ink beside them. (Mind the two color bars.) Nobody asked for strokes; they are what pixels of digits have in common.
#
# **Explore.** The wall of all 256. (1) Find a unit for a horizontal bar: which digits excite it? (2) Choose an image, and switch off units that are on: what happens to the reconstruction, and how many can you switch off before the digit becomes another? (3) Order the wall by activity: what do units look for that are almost always off?

# %%
explorers.FilterWall(large, digits.test)

# %% [markdown]
# ## 8. Put to use
#
# **Completing an image.** A machine of energies has no direction: any part of $x$ can be given, and the rest drawn. Hold the known pixels fixed, sweep, put the known ones back, and repeat. (This is Gibbs sampling from $p(x_\text{unknown}\mid x_\text{known})$.) First a check against the truth. With 16 hidden units this conditional can be summed exactly: given the known pixels, what are the odds of ink at each other one?


# %%
@torch.no_grad()
def complete(model, x, known, sweeps=60):
    """x with its unknown pixels drawn given the known ones: known (pixels,) is True where x is known."""
    x = torch.where(known, x, torch.rand_like(x).round())
    for _ in range(sweeps):
        x = torch.where(known, x, gibbs_sweep(x, *model.theta))
    return x


upper = (torch.arange(64, device=device) < 32).expand(1, 64)  # True in the upper half
image = digits.test[3].flatten()
with torch.no_grad():
    weight, b, c = small.theta
    h = all_states(16)
    inputs = b + h @ weight.T  # of every pixel, for every h
    fits = torch.where(upper, image * inputs, F.softplus(inputs)).sum(-1) + h @ c  # unknown pixels summed out
    exact_odds = fits.softmax(0) @ inputs.sigmoid()  # Σ_h p(h | known) p(xᵢ = 1 | h), (64,)
torch.manual_seed(0)
by_sampling = complete(small, image.expand(4000, -1), upper).mean(0)
gap = float((by_sampling - exact_odds)[32:].abs().max())
print(f"p(ink | upper half), 32 pixels: largest difference between 4,000 completions and the exact sum: {gap:.3f}")

# %% [markdown]
# A share of 4,000 draws is uncertain by up to 0.008, and the largest of 32 errors is two or three times that: as close as can be expected. Now the large machine, on images that it has not seen.

# %%
shown = torch.stack([digits.test[digits.test_labels == label][1] for label in range(10)])
torch.manual_seed(1)
rows = {"given": torch.where(upper.view(8, 8), shown, 0.35)}
for attempt in range(3):
    rows[f"completion {attempt + 1}"] = complete(large, shown.flatten(1), upper).view(-1, 1, 8, 8)
rows["the real image"] = shown
show(
    plots.plot_images(rows, scale=0.5),
    alt="Ten digits, from 0 to 9. First row: the upper half given, the lower half grey. Then three completions of each, most of which are digits, if not always the same one; last the real images.",
)
torch.manual_seed(0)
opinion = torch.stack([complete(large, digits.test.flatten(1), upper) for _ in range(20)]).mean(0)
lower = digits.test.flatten(1)[:, 32:]
guesses = {
    "each pixel's more frequent value": digits.train.mean(0).flatten().round()[32:].expand_as(lower),
    "one completion": complete(large, digits.test.flatten(1), upper)[:, 32:],
    "majority of 20 completions": (opinion > 0.5).float()[:, 32:],
}
Table(
    ("guess of the lower half", "pixels right"),
    [(name, f"{float((guess == lower).float().mean()):.1%}") for name, guess in guesses.items()],
    "297 test images, 32 pixels each",
)

# %% [markdown]
# Where the upper half leaves it open, three completions are three different digits, and that is as it should be. A single draw has to commit itself, so it is right less often than the majority of many.
#
# **Features.** The hidden probabilities of an image describe it in the machine's own terms, and no label was needed to find these terms. Are they worth having? Two tests. First, labels are often dear and images cheap: a classifier (logistic regression) learns from a few labeled images, once from the pixels, once from the 256 features. Ten choices of the labeled images each; the bands are one standard deviation.

# %%
from sklearn.linear_model import LogisticRegression

with torch.no_grad():
    described = {
        "pixels": (digits.train.flatten(1), digits.test.flatten(1)),
        "256 hidden features": (large.encode(digits.train), large.encode(digits.test)),
    }
budgets, accuracy, bands = (10, 30, 100, 300), {}, {}
for name, (seen, fresh) in described.items():
    scores = torch.zeros(len(budgets), 10)
    for seed in range(10):
        order = torch.randperm(1300, generator=torch.Generator().manual_seed(seed))
        ranked = torch.stack([order[digits.train_labels.cpu()[order] == label][:30] for label in range(10)], 1)
        for i, labels in enumerate(budgets):  # as many of each class
            chosen = ranked[: labels // 10].flatten()
            learner = LogisticRegression(max_iter=200).fit(seen.cpu()[chosen], digits.train_labels.cpu()[chosen])
            scores[i, seed] = learner.score(fresh.cpu(), digits.test_labels.cpu())
    mean, spread = scores.mean(1), scores.std(1)
    accuracy[name], bands[name] = (budgets, mean.tolist()), ((mean - spread).tolist(), (mean + spread).tolist())
show(
    plots.plot_curves(accuracy, "labeled images", "test accuracy", bands, log="x"),
    alt="Test accuracy against the number of labeled images, 10 to 300, from pixels and from hidden features. The features are ahead, most with 10 labels; with 300 the two bands overlap.",
)
for name, (_, values) in accuracy.items():
    print(f"{name:20}", ", ".join(f"{n} labels: {value:.1%}" for n, value in zip(budgets, values, strict=True)))

# %% [markdown]
# The fewer the labels, the more the features help: what goes together in digits was learned from images without labels. With hundreds of labels the classifier can learn it by itself, and the gain shrinks to about the width of the bands.
#
# Second, **dimension reduction**. Sixteen hidden units say in sixteen numbers what an image is; a plane can show the two directions in which they vary most (PCA, lesson 02). How much of the class survives, compared with PCA of the pixels?

# %%
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier

with torch.no_grad():
    sixteen = {
        "pixels": described["pixels"],
        "16 hidden features": (small.encode(digits.train), small.encode(digits.test)),
    }
kept, planes = {}, {}
for name, (seen, fresh) in sixteen.items():
    kept[name] = []
    for dimensions in (2, 3, 8, 16):
        axes = PCA(dimensions).fit(seen.cpu())
        neighbors = KNeighborsClassifier(5).fit(axes.transform(seen.cpu()), digits.train_labels.cpu())
        kept[name].append(neighbors.score(axes.transform(fresh.cpu()), digits.test_labels.cpu()))
        planes.setdefault(name, torch.as_tensor(axes.transform(fresh.cpu())))  # of two dimensions: the first that comes
show(
    plots.plot_codes(planes["16 hidden features"], digits.test_labels, title="two directions of 16 hidden features"),
    alt="The 297 test images in the plane, colored and marked by class. Several classes form clouds of their own; others overlap in the middle.",
)
Table(
    ("numbers kept of an image", "PCA of 64 pixels", "PCA of 16 hidden features"),
    [
        (dimensions, f"{kept['pixels'][i]:.1%}", f"{kept['16 hidden features'][i]:.1%}")
        for i, dimensions in enumerate((2, 3, 8, 16))
    ],
    "Test images whose five nearest training images, by these numbers, vote for their class",
)

# %% [markdown]
# In two or three numbers the hidden features keep more of the class; with eight and more the pixels overtake them. What sixteen on-off units leave out cannot be had back. (Hinton & Salakhutdinov, 2006, made this idea famous with four layers rather than one.)
#
# ## 9. Bug hunt · ●●● · 10 minutes
#
# A colleague wrote CD-1 in three lines, and takes probabilities rather than draws as negatives, which is less noisy and quite all right. The loss falls as never before.


# %%
class ColleaguesRBM(MyRBM):
    def training_step(self, x, y=None):
        x, (weight, b, c) = x.flatten(1), self.theta
        h = (torch.rand(len(x), self.latents, device=x.device) < (c + x @ weight).sigmoid()).float()
        negatives = (b + h @ weight.T).sigmoid()
        yield Step(free_energy(x, weight, b, c).mean() - free_energy(negatives, weight, b, c).mean())


def after_training(kind):
    torch.manual_seed(0)
    model = kind(digits.space, hidden=16).to(device)
    losses = fit(model, digits, steps=1500, batch_size=100, lr=1e-2, schedule="linear").losses["model"]
    torch.manual_seed(1)
    with torch.no_grad():
        reconstructed = model.decode(torch.bernoulli(model.encode(digits.test[:12])))
    *_, dreamed = model.trajectory(12)
    print(f"last loss {sum(losses[-50:]) / 50:.2f}; test log p(x): {evaluation.average_log_prob(model, digits.test)}")
    return {"test images": digits.test[:12], "reconstructed": reconstructed, "dreams": dreamed}


show(
    plots.plot_images(after_training(ColleaguesRBM), scale=0.5),
    alt="Test images, their reconstructions by the colleague's machine, which are grey and smeared, and its dreams, which are patches of noise.",
)

# %% [markdown]
# A loss of minus twelve, and a model worse than independent pixels. There is **one** bug. Find it, and mend it in place. (The noise for $h$ is handed in, so that your answer can be checked.)


# %%
@exercise("boltzmann/bug")
def cd_loss(x, noise, weight, b, c):
    """mean F(data) − mean F(negatives), a scalar: x (batch, visible), noise (batch, hidden) uniform in [0, 1]."""
    h = (noise < (c + x @ weight).sigmoid()).float()
    ### BEGIN SOLUTION
    negatives = (b + h @ weight.T).sigmoid().detach()
    ### BEGIN BUG
    # negatives = (b + h @ weight.T).sigmoid()
    ### END SOLUTION
    return free_energy(x, weight, b, c).mean() - free_energy(negatives, weight, b, c).mean()


# %%
check(cd_loss)


# %%
class MendedRBM(MyRBM):
    def training_step(self, x, y=None):
        noise = torch.rand(len(x), self.latents, device=x.device)
        yield Step(cd_loss(x.flatten(1), noise, *self.theta))


show(
    plots.plot_images(after_training(MendedRBM), scale=0.5),
    alt="Test images, their reconstructions by the mended machine, which look like them, and its dreams, which look like digits.",
)

# %% [markdown]
# The value of the loss was right; its gradient was not. The gradient of log p treats negatives as given. Left open, the path through the negatives offers a short cut: rather than believe in data, make negatives that nobody would believe in. You will meet this bug wherever a model learns from its own samples (lessons 05 and 09).
#
# ## 10. What scale brings
#
# An RBM with 500 hidden units, trained on 59,000 images of MNIST (28×28) by `python -m dgmcourse train rbm-mnist` and judged on its 10,000 test images; it made the picture at the top, and ships with the course. $Z$ is estimated by AIS, as in section 6.

# %%
card = zoo.card("rbm-mnist")
training = f"{card['training_seconds'] / 60:.0f} min, {card['hardware']}"
rows = [
    (card["about"], what, f"{number['kind']} {number['value']:.2f} ± {number['standard_error']:.2f} nats", training)
    for what, number in card["numbers"].items()
]
rows += [
    (figure["model"], figure["quantity"], f"≈ {figure['value']:.2f} nats", figure["source"])
    for figure in card["published"]
]
Table(("model", "what", "test images", "training, or source"), rows, "MNIST")

# %% [markdown]
# All three agree within their uncertainty: persistent chains, one sweep a step, come as far as the machine of 2008, which made 25 sweeps a step (CD-25). It was with such numbers that RBMs could first be compared with other models at all.

# %%
dreamer = dreamer.to(device)
torch.manual_seed(3)
*_, dreams = dreamer.trajectory(24)
show(
    plots.plot_images(dreams, columns=12, scale=0.6),
    alt="Twenty-four dreams of the machine with 500 hidden units after its last sweep: most are digits that can be read, thin and thick ones; a few fall apart.",
)
with torch.no_grad():
    busy = dreamer.encode(dreams).mean(0).argsort(descending=True)
show(
    plots.plot_filters(dreamer.weight.T[busy[:36]].view(-1, 28, 28), columns=12, scale=0.6),
    alt="The 36 busiest receptive fields, 28×28 each. A few cover the place of a whole digit; most are empty but for a small patch at one place: a short piece of stroke.",
)

# %% [markdown]
# **Explore** its wall. The images beside it are its own dreams, as MNIST does not come with the course. (1) Are these receptive fields larger or smaller than a digit? (2) Find one that looks for an end of a stroke. (3) Switch the most active units off, one by one: which of them carry the digit?

# %%
explorers.FilterWall(dreamer, dreams)

# %% [markdown]
# ## 11. How far from the truth?

# %%
kl = {name: values[1][-1] for name, values in curves.items()}
small_nats = float(evaluation.average_log_prob(small, digits.test).value)
Table(
    ("model", "data", "mean log p(x) (or log Z), nats", "truth or strongest reference", "gap"),
    [
        (
            "magnet, coupling 0.441: log Z by enumeration",
            "–",
            f"= {found[1][1]}",
            f"= {found[1][2]} (matrix)",
            f"{abs(float(found[1][1]) - float(found[1][2])):.4f}",
        ),
        *(
            (
                f"your RBM, 32 hidden, {name}",
                "bars and stripes",
                f"= {-patterns.truth.entropy - gap:.3f}",
                f"= {-patterns.truth.entropy:.3f} (minus the entropy)",
                f"{gap:.3f}",
            )
            for name, gap in kl.items()
        ),
        (
            "log Z by AIS, forward, 16 hidden",
            "digits",
            f"≈ {estimate(runs['16 hidden'][1000][0])[0]:.3f}",
            f"= {small_log_z:.3f} (65,536 states)",
            f"{abs(estimate(runs['16 hidden'][1000][0])[0] - small_log_z):.3f}",
        ),
        (
            "independent pixels",
            "digits, test",
            str(evaluation.average_log_prob(independent, digits.test)).split(" ±")[0],
            "–",
            "–",
        ),
        (
            "your RBM, 16 hidden",
            "digits, test",
            f"= {small_nats:.2f}",
            f"≈ {large_nats[0]:.2f} (256 hidden)",
            f"{large_nats[0] - small_nats:.2f}",
        ),
        (
            "your RBM, 256 hidden",
            "digits, test",
            f"≈ {large_nats[0]:.2f} … {large_nats[1]:.2f}",
            "–",
            f"between the ends {abs(large_nats[1] - large_nats[0]):.2f}",
        ),
    ],
    "= exact, ≈ estimate",
)

# %% [markdown]
# ## 12. The same five questions
#
# | | Boltzmann machines |
# |---|---|
# | What does it assume? | An energy of pairs, with hidden units to say more; restricted, the units of each side are independent given the other side. |
# | How does it learn? | It compares data with its own samples: free energies of data down, of samples up. |
# | How does it sample? | By a Markov chain, side by side, for as long as it takes to forget where it started. |
# | Can it score? | Up to a constant at once. With $Z$: exactly when one side is small, else by AIS, from both sides. |
# | What is in its latent space? | On-off features of the whole image, all computed in one step; no smooth map. |
#
# **Strengths**: any part of an image can be given and the rest drawn; exact inference of $h$; features without labels; a gradient that needs no network to be differentiated. **Limitations**: learning and sampling lean on chains that may not mix, and then fail silently; likelihoods only by estimate; binary (or other simple) units. **Applications**: recommendation (Salakhutdinov, Mnih & Hinton, 2007:
# RBMs were among the models blended in the Netflix prize), the pretraining that brought deep networks back in 2006, models of the states of quantum systems (Carleo & Troyer, 2017); and as an idea, every energy-based model (lesson 09).

# %%
evaluation.family_map(RBM(digits.space, hidden=16), BoltzmannMachine.ising(4, 0.4))

# %% [markdown]
# **More layers.** Treat the hidden features as data, train a second RBM on them, then a third: that is a **deep belief network** (`DBN`; Hinton, Osindero & Teh, 2006), whose layers can afterwards be tuned together, to draw or to classify. Couple three layers at once, all undirected, and it is a
# **deep Boltzmann machine** (`DBM`; Salakhutdinov & Hinton, 2009), where even $p(h\mid x)$ must be approximated. Both are in the package, and lesson 03b is about them.
#
# ## 13. You can now…
#
# - turn energies into probabilities, and say when the sum can be done;
# - draw the graph of a restricted machine, and read off what is independent of what;
# - write down the gradient of log p as two phases, and check autograd against it;
# - put a number with two ends on log Z, and distrust an error bar;
# - start chains from noise, and know what it means when they do not end at data.
#
# **To go on with.** (1) The magnet at its critical coupling: how does the number of sweeps that a chain needs to forget its start grow with the side of the lattice? (2) Train the large machine longer, and with `lr=3e-2`. What happens to the bracket of log Z, and what does that tell you about the chains?
# (3) `RBM(Space.binary(1, 8, 8), classes=10)` learns digits and labels together. Does $p(y\mid x)$, which needs no $Z$, beat the classifiers of section 8?
#
# **Further reading**
#
# - Ackley, Hinton & Sejnowski, [A Learning Algorithm for Boltzmann Machines](https://doi.org/10.1207/s15516709cog0901_7), 1985: the two phases, waking and dreaming, and why hidden units matter.
# - Smolensky, Information Processing in Dynamical Systems: Foundations of Harmony Theory, 1986 (chapter 6 of *Parallel Distributed Processing*, volume 1): the restricted machine, under the name of harmonium.
# - Hinton, [Training Products of Experts by Minimizing Contrastive Divergence](https://doi.org/10.1162/089976602760128018), 2002: CD, and what it leaves out of the gradient.
# - Tieleman, [Training Restricted Boltzmann Machines using Approximations to the Likelihood Gradient](https://doi.org/10.1145/1390156.1390290), 2008: PCD, the repair of section 5.
# - Neal, [Annealed Importance Sampling](https://arxiv.org/abs/physics/9803008), 2001, and Salakhutdinov & Murray, [On the Quantitative Analysis of Deep Belief Networks](https://doi.org/10.1145/1390156.1390266), 2008: the method, and the first likelihoods of RBMs that could be trusted.
# - Grosse, Ghahramani & Adams, [Sandwiching the Marginal Likelihood using Bidirectional Monte Carlo](https://arxiv.org/abs/1511.02543), 2015: the bracket.
# - Fischer & Igel, [An Introduction to Restricted Boltzmann Machines](https://doi.org/10.1007/978-3-642-33275-3_2), 2012: all of this, with proofs. And by the same authors, [Empirical Analysis of the Divergence of Gibbs Sampling Based Learning Algorithms](https://doi.org/10.1007/978-3-642-15825-4_26), 2010: how the likelihood falls while reconstructions improve.
# - Hinton, [A Practical Guide to Training Restricted Boltzmann Machines](https://doi.org/10.1007/978-3-642-35289-8_32), 2012: step sizes, weight decay, and what to watch.
# - Hinton, Osindero & Teh, [A Fast Learning Algorithm for Deep Belief Nets](https://doi.org/10.1162/neco.2006.18.7.1527), 2006, and Hinton & Salakhutdinov, [Reducing the Dimensionality of Data with Neural Networks](https://doi.org/10.1126/science.1127647), 2006: what stacking them started.

# %%
progress()
