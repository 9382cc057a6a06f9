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
# # Normalizing flows
#
# In this lesson you build a machine that bends Gaussian noise into data, and that can be run backwards: so it knows the exact density of every point, and you can hold it to the truth.

# %%
from dgmcourse.lesson import data, fit, plots, show, torch
from dgmcourse.models import SplineFlow

ring = data.toy("eight_gaussians", n=(20_000, 2000, 10_000))
torch.manual_seed(0)
splines = SplineFlow(ring.space)
fit(splines, ring, steps=1000, batch_size=256, lr=5e-3, schedule="cosine", ema=0.99)

side = torch.linspace(-3, 3, 31)
lattice, dots = torch.stack(torch.meshgrid(side, side, indexing="xy"), -1), torch.randn(1500, 2)
with torch.no_grad():
    bent = [state.view(31, 31, 2) for state in splines.states(lattice.view(-1, 2))]
    moved = list(splines.states(dots))
titles = ["noise", "after 1 layer", "after 2", "after 3", "after 4: data"]
show(
    plots.plot_bending(dict(zip(titles, zip(bent, moved, strict=True), strict=True)), size=2.1),
    alt="A square lattice with a round cloud of dots, colored by direction. Layer by layer the lattice is pulled apart and the cloud splits, "
    "until the dots lie in eight round groups on a circle, with threads of lattice between them.",
)

# %% [markdown]
# Four layers, each of which can be undone, turned the round cloud on the left into the eight groups on the right. Every dot keeps its color, so you can see where it came from, and since nothing is torn or folded, every place on the right
# came from exactly one on the left. That is all a *normalizing flow* is. Its density is a matter of bookkeeping: where the lattice is stretched, the dots get sparse.
#
# **Time** 100 minutes · **You need** PyTorch, and what a log-likelihood, entropy and a KL divergence are (lesson 01) · **You will be able to**
#
# - compute a density after a change of variables, and check it against a Jacobian;
# - build a flow from coupling layers, run it both ways, and measure its distance from the exact entropy;
# - say which way a masked autoregressive flow is fast, and why;
# - turn a density of spread-out pixels into honest bits per dimension;
# - recognize an exploding inverse and a bridge between modes, and say what helps.

# %%
import time

from dgmcourse import recipes
from dgmcourse.lesson import MLP, GenerativeModel, Kind, LogProb, Space, Step, Table, begin, check, evaluation, exercise, explorers, hint, math, nn, predict, progress, zoo  # fmt: skip
from dgmcourse.models import AutoregressiveFlow, CouplingFlow, Glow, IndependentPixels
from dgmcourse.models.flows import log_standard_normal
from dgmcourse.networks import MaskedMLP

device = begin(seed=0)

# %% [markdown]
# Stuck in an exercise? `hint("flows/density")` gives one more step at each call. A blank or wrong answer never stops you: the
# cells below then use the course's own version, and say so. Each section uses what the ones before it made: if a cell says that a name is
# not defined, choose *Run → Run All Above Selected Cell*.
#
# ## 1. A bent line
#
# Take a point $x$ on the line and an increasing function $f$; call $z = f(x)$. We *decide* that $z$ is standard normal: its density is $\mathcal N(z; 0, 1) = e^{-z^2/2} / \sqrt{2\pi}$. What, then, is the density of $x$?
#
# A short interval of $x$, of width $dx$, becomes one of $z$ of width $|f'(x)|\, dx$, where $f'(x)$ is the slope. Both hold the same probability, as each is the other under another name:
#
# $$p(x)\,dx = \mathcal N(z; 0, 1)\,|f'(x)|\,dx, \qquad\text{so}\qquad \ln p(x) = \ln \mathcal N(f(x); 0, 1) + \ln |f'(x)| .$$
#
# This is the **change of variables**, and the rest of the lesson is this line with more letters. Where $f$ is steep, a little of $x$ holds what much of $z$ holds, and $p(x)$ is high. (A falling $f$ would do as well; hence the absolute value.)
#
# ### Exercise 1 · Change of variables on the line · ●○○ · 6 minutes


# %%
@exercise("flows/density")
def log_density(z, slope):
    """ln p(x) in nats, where z = f(x) is standard normal and slope = f′(x), of either sign: (batch,), (batch,) -> (batch,)."""
    ### BEGIN SOLUTION
    return -0.5 * z.square() - 0.5 * math.log(2 * math.pi) + slope.abs().log()
    ### END SOLUTION


# %%
check(log_density)

# %% [markdown]
# Take $f(x) = x/4 + x^3/20$, flat in the middle and steep outside, and let your function say what becomes of the Gaussian. Strips of one color belong to each other.


# %%
def cubic(x):
    """f(x) = x/4 + x³/20 and its slope: (n,) -> (n,), (n,)."""
    return x / 4 + x**3 / 20, 1 / 4 + 3 * x**2 / 20


show(
    plots.plot_bent_line(cubic, log_density, -4.2, 4.2),
    alt="Above: the curve z = f(x), flat in the middle, with the Gaussian density of z on its left, cut into six strips one standard deviation wide. "
    "Below: the density of x has two hills, near −2 and 2; each strip has the area of its partner, but another shape.",
)
line = torch.linspace(-8, 8, 4001, dtype=torch.float64)
z, slope = cubic(line)
with_slope = torch.trapezoid(log_density(z, slope).exp(), line)
without = torch.trapezoid((-0.5 * z.square()).exp() / math.sqrt(2 * math.pi), line)
print(f"area below p(x): {with_slope:.6f}\nthe same without the slope: {without:.4f}")

# %% [markdown]
# The area is one, as it must be, whatever $f$ is. Leave the slope out, and it is not: then it is no density at all. Keep this test in mind. *A flow integrates to one by construction, so if yours does not, there is a bug.*
#
# How would one learn? Give $f$ parameters, and raise $\ln p(x)$ of the data by gradient ascent. And sampling is the way back: draw $z$, solve $z = f(x)$ for $x$. So we want functions that are (1) easy to undo, (2) cheap to know the slope of, and (3) rich.
#
# ## 2. Many dimensions
#
# With $x$ and $z = f(x)$ in $d$ dimensions the slope becomes the **Jacobian**, the matrix $\partial f/\partial x$ with the entries $\partial z_i / \partial x_j$. Near a point $f$ acts like this matrix, and by how much a matrix changes volume is the absolute value of its determinant:
#
# $$\ln p(x) = \ln \mathcal N(f(x); 0, I) + \ln\left|\det \frac{\partial f}{\partial x}\right| .$$
#
# The last term is called the **log-determinant**. PyTorch can find it for any $f$ by brute force.
#
# ### Exercise 2 · The log-determinant of any map · ●●○ · 10 minutes
#
# `torch.autograd.functional.jacobian(g, row)` gives the Jacobian, (dim, dim), of a function `g` of one point, at that point. Ours, `f`, maps a whole batch, each row by itself; `row[None]` is a batch of one. `torch.linalg.slogdet(matrices)`
# gives signs and logs of absolute determinants, without ever forming the determinant, which rounds to zero all too soon.


# %%
@exercise("flows/jacobian")
def log_det_jacobian(f, x):
    """ln |det ∂f/∂x| at every row of x, in nats: f maps (batch, dim) -> (batch, dim), x is (batch, dim). Returns (batch,)."""
    ### BEGIN SOLUTION
    matrices = [torch.autograd.functional.jacobian(lambda row: f(row[None])[0], row) for row in x]
    return torch.linalg.slogdet(torch.stack(matrices)).logabsdet
    ### END SOLUTION


# %%
check(log_det_jacobian)

# %%
rows = []
for dim in (2, 16, 128, 784):
    matrix = torch.randn(dim, dim)
    point = torch.randn(1, dim)
    started = time.process_time()
    log_det_jacobian(lambda x, matrix=matrix: (x @ matrix).tanh(), point)
    rows.append((dim, f"{1000 * (time.process_time() - started):.1f}"))
Table(("dimensions", "ms for one point"), rows, "The log-determinant by brute force, of a single layer")

# %% [markdown]
# The last row is one image as large as MNIST's, and one layer; training would ask for it for every image of every batch, in every layer. Each of $d$ numbers must be differentiated, and a determinant takes of the order of $d^3$ operations. So this function is our *judge*, not our method: the art of flows is to choose layers whose
# determinant can be read off.
#
# ## 3. Coupling layers
#
# A determinant is easiest where the matrix is **triangular**: it is the product of the diagonal. Here is a way to get one (Dinh et al., 2015 and 2017). Cut $x$ into two halves, $a$ and $b$. Leave $a$ as it is. Stretch and shift $b$, each entry by itself, and let a network look at $a$ to say by how much:
#
# $$z_a = a, \qquad z_b = b \odot e^{s(a)} + t(a), \qquad \frac{\partial z}{\partial x} = \begin{pmatrix} I & 0 \\ \ast & \operatorname{diag}\big(e^{s(a)}\big)\end{pmatrix}, \qquad \ln|\det| = \sum_i s_i(a) .$$
#
# ($\odot$ multiplies entry by entry, $s$ are *log-scales*, $t$ shifts.) Whatever stands at $\ast$, which is how the network depends on $a$, does not matter: the network may be as wild as it likes, and needs neither a Jacobian nor an inverse.
#
# ### Exercise 3 · An affine coupling layer · ●●○ · 10 minutes


# %%
@exercise("flows/coupling")
def couple(x, network):
    """Towards noise: x (batch, dim), dim even -> z (batch, dim) and ln |det ∂z/∂x| (batch,), in nats.

    The first half a of x's entries stays. network(a) returns log-scales s and shifts t for the second half b, each (batch, dim / 2).
    """
    ### BEGIN SOLUTION
    a, b = x.chunk(2, dim=-1)
    log_scale, shift = network(a)
    return torch.cat([a, b * log_scale.exp() + shift], dim=-1), log_scale.sum(-1)
    ### END SOLUTION


# %%
check(couple)

# %% [markdown]
# The way back never has to invert the network: $a$ is still there, so the network can be asked the same question again.
#
# ### Exercise 4 · The coupling layer, backwards · ●○○ · 6 minutes


# %%
@exercise("flows/inverse")
def uncouple(z, network):
    """Towards data, the inverse of `couple`: z (batch, dim) -> x (batch, dim)."""
    ### BEGIN SOLUTION
    a, b = z.chunk(2, dim=-1)
    log_scale, shift = network(a)
    return torch.cat([a, (b - shift) * (-log_scale).exp()], dim=-1)
    ### END SOLUTION


# %%
check(uncouple)

# %% [markdown]
# Now your judge meets your layer. The network below has random weights.


# %%
class Conditioner(nn.Module):
    """One layer's network: the half that stays -> log-scales and shifts of the other half. It begins with zeros: the identity."""

    def __init__(self, dim, hidden=(64, 64), squash=None):
        super().__init__()
        self.network = MLP(dim // 2, hidden, dim, "silu")
        nn.init.zeros_(self.network[-1].weight)
        nn.init.zeros_(self.network[-1].bias)
        self.squash = squash

    def forward(self, a):
        log_scale, shift = self.network(a).chunk(2, dim=-1)
        return log_scale if self.squash is None else self.squash(log_scale), shift


torch.manual_seed(0)
wild = Conditioner(6)
for weights in wild.parameters():
    nn.init.normal_(weights, std=0.3)
points = torch.randn(100, 6)
with torch.no_grad():
    z, quick = couple(points, wild)
    returned = uncouple(z, wild)
slow = log_det_jacobian(lambda x: couple(x, wild)[0], points)
Table(
    ("what", "largest difference at 100 points"),
    [
        ("log-determinant: yours against the Jacobian's", f"{(quick - slow).abs().max():.1e}"),
        ("there and back again: x", f"{(returned - points).abs().max():.1e}"),
    ],
)

# %% [markdown]
# Both agree as far as float32 goes. A flow is a chain of such layers, and log-determinants add up along it, since the determinant of a product of matrices is the product of theirs. Only one thing is still to be settled: *which* half moves. We turn the entries of $x$ round before
# every second layer, and back after it. That only renames them: it changes no volume, so it adds nothing to the log-determinant.

# %%
predict(
    "Eight coupling layers, eight networks, but every layer keeps the same half: x₁ stays, x₂ moves. Trained on the eight Gaussians, how will it fare against one that lets the halves take turns?",
    choices=(
        "About the same: there are eight networks either way",
        "Somewhat worse, by a few hundredths of a nat",
        "Much worse, by nats: x₁ never changes, and the data's x₁ is not standard normal",
        "It cannot be inverted",
    ),
    answer=2,
    why="What is never touched must already be Gaussian. x₁ of the data spreads from −5 to 5, and to the flow such values are all but impossible. (Inverting it is no problem.)",
)


# %%
class MyFlow(GenerativeModel):
    """Coupling layers of your own; in every second one the entries are turned round, and back, so that the other half moves."""

    def __init__(self, space: Space, layers: int = 8, turns: bool = True, squash=None, base=None):
        super().__init__(space)
        self.networks = nn.ModuleList(Conditioner(space.dim, squash=squash) for _ in range(layers))
        self.turns, self.base = turns, base

    def turned(self, x, layer):
        return x.flip(-1) if self.turns and layer % 2 else x

    def to_noise(self, x):
        total = x.new_zeros(len(x))
        for i, network in enumerate(self.networks):
            x, log_det = couple(self.turned(x, i), network)
            x, total = self.turned(x, i), total + log_det
        return x, total

    def states(self, z, y=None):
        yield z
        for i in reversed(range(len(self.networks))):
            z = self.turned(uncouple(self.turned(z, i), self.networks[i]), i)
            yield z

    def log_prob(self, x, y=None):
        z, log_det = self.to_noise(x)
        log_base = log_standard_normal(z) if self.base is None else self.base.log_prob(z)
        return LogProb(log_base + log_det, Kind.EXACT)

    def training_step(self, x, y=None):
        yield Step(-self.log_prob(x).value.mean())

    def trajectory(self, n, y=None):
        z = torch.randn(n, self.space.dim, device=self.device) if self.base is None else self.base.sample(n)
        yield from self.states(z)

    def encode(self, x, y=None):
        return self.to_noise(x)[0]

    def decode(self, z, y=None):
        *_, x = self.states(z)
        return x

    @property
    def latents(self):
        return self.space.dim


ring = ring.to(device)
splines = splines.to(device)
settings = {"batch_size": 256, "lr": 6e-3, "schedule": "cosine", "ema": 0.99}
torch.manual_seed(0)
stubborn = MyFlow(ring.space, turns=False).to(device)
fit(stubborn, ring, steps=250, **settings)
torch.manual_seed(0)
mine = MyFlow(ring.space).to(device)
history = fit(mine, ring, steps=600, **settings)
history.plot(alt="Training loss against steps: it falls steeply at first, and levels off a little below 3.8 nats.")

# %% [markdown]
# The truth is known. The entropy of the eight Gaussians, $-\mathbb E[\ln p(x)]$, is what the best possible model pays, on average, in nats a point; what a flow $q$ pays more is exactly $\mathrm{KL}(p\,\|\,q) = \mathbb E[\ln p(x) - \ln q(x)]$. We average over 10,000 test points, the truth's
# own price too (so it differs a little from the entropy); ± is the standard error of the gap. And we sum every density over a fine grid of the plane, to see whether it integrates to one.


# %%
@torch.no_grad()
def integral(log_prob, reach=6.5, nodes=320):
    """∫ p(x) dx on the plane by a sum over a grid: log_prob maps (n, 2) -> (n,), in nats."""
    side = torch.linspace(-reach, reach, nodes, device=device)
    cell = float(side[1] - side[0]) ** 2
    return sum(float(log_prob(torch.cartesian_prod(part, side)).double().exp().sum()) * cell for part in side.split(40))


@torch.no_grad()
def paid(model):
    """Of the test points, in nats: the mean of −ln q(x); the mean of ln p(x) − ln q(x), the gap to the truth; its standard error."""
    log_q = model.log_prob(ring.test).value
    more = ring.truth.log_prob(ring.test) - log_q
    return -float(log_q.mean()), float(more.mean()), float(more.std()) / math.sqrt(len(more))


def scorer(flow):
    """ln p(x) of a flow, (n, 2) -> (n,); where the result is no number (section 7), next to nothing: −1000."""
    return lambda x: flow.log_prob(x).value.nan_to_num(-1000.0, -1000.0, -1000.0)


flows = {"yours, without turns": stubborn, "yours": mine, "splines": splines}
gaps = {name: paid(flow) for name, flow in flows.items()}
true_price = -float(ring.truth.log_prob(ring.test).mean())
rows = [(f"the truth (entropy {ring.truth.entropy:.3f})", f"= {true_price:.3f}", "–", f"{integral(ring.truth.log_prob):.4f}")]  # fmt: skip
for name, flow in flows.items():
    nll, gap, error = gaps[name]
    rows.append((name, f"= {nll:.3f}", f"{gap:.3f} ± {error:.3f}", f"{integral(scorer(flow)):.4f}"))
Table(("flow", "nats a point", "gap to the truth", "integral on a grid"), rows, "Eight Gaussians, 10,000 test points")

# %%
show(
    plots.plot_densities({"the truth": ring.truth.log_prob} | {name: scorer(flow) for name, flow in flows.items()}),
    alt="Four densities on the plane. The truth: eight round hills on a circle. The flow without turns: a single upright band around x₁ = 0. Yours: a crooked ring of hills that run into one another. Splines: eight separate hills.",
)  # fmt: skip

# %% [markdown]
# All integrate to one. (Of the second about a tenth lies outside the square of ±6.5 that we summed over: a terrible model, and yet a perfectly good density.) Yours finds the ring, and smears its hills into one another;
# section 8 is about that. The splines of the first picture are within a few hundredths of a nat.
#
# **Explore** your own flow as it bends the plane, layer by layer: press play. (1) Follow the orange circle around P: it becomes an ellipse, and the table keeps the account. On the way to data it reads log density = log N(z) − log |det|, with a minus: this is the determinant of the way *back* from noise, one over that of section 2. Drag P: where is the area stretched most? (2) Choose *area* for the colors: which places of
# noise become the empty middle of the ring? (3) Turn the direction to *data → noise*: is the cloud of dots round at the end?

# %%
explorers.FlowMorph(mine, ring.train[:1500])

# %% [markdown]
# ## 4. Splines
#
# Shifting and stretching is the simplest increasing function of $b$. Any other will do if it can be undone and its slope is known. The flow of the first picture uses **rational-quadratic splines** (Durkan et al., 2019): the network gives the places, heights and slopes of a few knots, and between two knots runs the quotient of two parabolas, which rises
# all the way, and whose inverse is the solution of a quadratic equation. Everything else, the halves, the turns, the sum of log-slopes, is as in your layers. Here is the spline of one layer of the first picture, for one value of the entry that stays, and what it alone would make of a Gaussian. (On both axes you see the entry that moves.)


# %%
@torch.no_grad()
def one_spline(x, at=0.5):
    """What the first layer of `splines` does to the entry it moves, where the other is `at`: (n,) -> values (n,) and slopes (n,)."""
    points = torch.stack([torch.full_like(x, at), x], dim=-1).float().to(device)
    layer = splines.layers[0]
    moves = int((layer(points)[0] - points).abs().sum(0).argmax())  # the entry that this layer moves
    if moves == 0:
        points = points.flip(-1)
    z, log_slope = layer(points)
    return z[:, moves].double().cpu(), log_slope.exp().double().cpu()


show(
    plots.plot_bent_line(one_spline, log_density, -5.4, 5.4),
    alt="The spline's curve rises, runs almost level for the middle half, and rises again; below, the Gaussian beside it has become two hills of unequal height, with next to nothing between them.",
)

# %% [markdown]
# An affine layer can only move and stretch a hill; this spline makes two of one, by running almost level in between. So four spline layers do better than eight affine ones (compare their rows in the table of section 3; in fairness, the splines were also trained for 1000 steps, yours for 600).
#
# ## 5. Masked autoregressive layers
#
# There is another way to a triangular Jacobian: let *every* entry depend on all entries before it,
#
# $$z_i = x_i\, e^{s_i(x_1, \dots, x_{i-1})} + t_i(x_1, \dots, x_{i-1}), \qquad \ln|\det| = \sum_i s_i .$$
#
# One network can give all $s_i$ and $t_i$ at once, if connections are **masked**, cut, so that output $i$ never sees the inputs $i, i+1, \dots$ (the masks are an exercise of lesson 07). This is the masked autoregressive flow, **MAF** (Papamakarios et al., 2017).
#
# ### Exercise 5 · A masked autoregressive density · ●●○ · 8 minutes
#
# `log_standard_normal(z)` is $\ln \mathcal N(z; 0, I)$, (batch, dim) → (batch,).


# %%
@exercise("flows/masked")
def masked_log_density(x, network):
    """ln p(x) in nats of one masked layer over a standard normal: (batch, dim) -> (batch,).

    network(x) returns log-scales s and shifts t, each (batch, dim), of which entry i depends on the entries of x before i alone.
    """
    ### BEGIN SOLUTION
    log_scale, shift = network(x)
    return log_standard_normal(x * log_scale.exp() + shift) + log_scale.sum(-1)
    ### END SOLUTION


# %%
check(masked_log_density)

# %% [markdown]
# And back? To undo entry $i$ one needs $x_1, \dots, x_{i-1}$, which must be undone first. The loop below asks the network once an entry.


# %%
def unmask(z, network):
    """The inverse of a masked layer, entry by entry: (batch, dim) -> (batch, dim)."""
    x = torch.zeros_like(z)
    for i in range(z.shape[1]):
        log_scale, shift = network(x)  # right as far as entry i: it depends on what is known by now
        x[:, i] = (z[:, i] - shift[:, i]) * (-log_scale[:, i]).exp()
    return x


torch.manual_seed(0)
masked = MaskedMLP(64, (128,), 2).double()


def ask(x):
    """Log-scales and shifts by a masked network with random weights: (batch, 64) -> (batch, 64) twice."""
    return (0.5 * masked(x)).unbind(-1)


with torch.no_grad():
    x = torch.randn(200, 64, dtype=torch.float64)
    log_scale, shift = ask(x)
    z = x * log_scale.exp() + shift
    print(f"there and back, float64: error {float((unmask(z, ask) - x).abs().max()):.1e}")
    yours = masked_log_density(x[:5], ask) - log_standard_normal(z[:5])  # what is left is the log-determinant
slow = log_det_jacobian(lambda x: x * ask(x)[0].exp() + ask(x)[1], x[:5])
print(f"log-determinant, yours against the Jacobian's: {float((yours - slow).abs().max()):.1e}")

# %%
predict(
    "A masked flow of five layers on 64 dimensions. Scoring 200 points takes one pass of each network. How does drawing 200 samples compare?",
    choices=(
        "It takes about as long",
        "It takes longer, by a factor of ten or more",
        "It takes 64⁵ passes, and cannot be done",
        "It is quicker, since no log-determinant is needed",
    ),
    answer=1,
    why="Each layer is undone entry by entry: 64 passes of its network instead of one, 320 in all. (The layers are undone one after the other, so the passes add up, they do not multiply. The package keeps what it has computed for the entries before, which helps, but the entries still take turns.)",
)

# %% [markdown]
# One may also use the layer the other way round: let each entry's scale and shift depend on the *noise* before it. Then sampling takes one pass, and scoring takes turns. That is the inverse autoregressive flow, **IAF** (Kingma et al., 2016). Measured:


# %%
@torch.no_grad()
def milliseconds(work):
    """The best of three runs, in ms."""
    taken = []
    for _ in range(3):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return 1000 * min(taken)


space = Space.real(64)
many = torch.randn(200, 64)
rows, slower = [], {}
for name, flow in {
    "coupling (RealNVP)": CouplingFlow(space, layers=5),
    "MAF": AutoregressiveFlow(space, layers=5),
    "IAF": AutoregressiveFlow(space, layers=5, direction="sampling"),
}.items():
    scoring, drawing = milliseconds(lambda flow=flow: flow.log_prob(many)), milliseconds(lambda flow=flow: flow.sample(200))  # fmt: skip
    slower[name] = drawing / scoring
    rows.append((name, f"{scoring:.1f}", f"{drawing:.1f}", f"{drawing / scoring:.3g}"))
Table(
    ("flow, five layers", "score 200, ms", "draw 200, ms", "draw / score"),
    rows,
    "64 dimensions, networks of two hidden layers of 64",
)

# %% [markdown]
# So choose by what you need often. Training by maximum likelihood scores, so take MAF; a fast sampler, or the posterior $q(z\mid x)$ of a variational autoencoder (lesson 04), which scores only what it has drawn itself, is a case for IAF. Coupling layers do both in one pass, and pay with a layer that sees only half.
#
# ## 6. Images: levels, cells, bits
#
# Pixels have levels: our digits have 17 of them, $x \in \{0, \frac1{16}, \dots, 1\}^{64}$. A density is the wrong thing for them. What goes wrong if one does not care?

# %%
digits = data.digits(levels=17).to(device)
flat = digits.train.flatten(1)
torch.manual_seed(0)
greedy = MyFlow(Space.real(64), layers=4).to(device)
optimizer = torch.optim.Adam(greedy.parameters(), lr=1e-3)
for step in range(101):
    loss = -greedy.log_prob(flat[torch.randint(len(flat), (100,))]).value.mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 25 == 0:
        print(f"step {step:3d}: {float(loss.detach()) / (64 * math.log(2)):.2f} “bits per pixel”")

# %% [markdown]
# Fewer bits than none, and fewer with every step. Some pixels are 0, empty, in almost every image, and on a value that always recurs a density can be as high as it likes. So it rises and rises, and learns nothing about digits; such “bits” mean nothing at all.
#
# The cure is **dequantization**: spread each level evenly over a *cell*. Level $k = 0, \dots, L - 1$ of $L$ levels (so $x = k / (L - 1)$) gets $u = (k + \text{noise}) / L$, with noise uniform on $[0, 1)$: the cells fill the unit cube without gaps. The probability of an image of $d$ pixels is the density's integral over its cell: the cell's volume $L^{-d}$ times the mean density there. One draw of the noise gives, by Jensen's
# inequality, on average no more than that:
#
# $$\ln P(x) \;=\; \ln \mathbb E_{\text{noise}}\big[p(u)\, L^{-d}\big] \;\ge\; \mathbb E_{\text{noise}}\big[\ln p(u)\big] - d \ln L .$$
#
# So the number is a *lower* bound of $\ln P(x)$, and what one reports, **bits per dimension** $-\log_2 P(x) / d$, is bounded from above: what a pixel costs, at most, in bits. Guessing blindly costs $\log_2 17$.
#
# ### Exercise 6 · Bits per dimension · ●●○ · 10 minutes
#
# The number above for one draw of the noise, the one that is given. $L$ is `levels`, $d$ the second dimension of `x`, and a nat is $1/\ln 2$ bits.


# %%
@exercise("flows/bits")
def dequantized_bits(x, noise, log_density, levels):
    """Bits per dimension, at most, of each image: (batch,).

    x: (batch, dim), levels 0, 1 / (levels − 1), …, 1; noise: (batch, dim), uniform on [0, 1).
    log_density(u) is ln p(u) in nats, (batch, dim) -> (batch,), of u in [0, 1).
    """
    ### BEGIN SOLUTION
    u = (x * (levels - 1) + noise) / levels
    nats = log_density(u) - x.shape[1] * math.log(levels)
    return -nats / (x.shape[1] * math.log(2))
    ### END SOLUTION


# %%
check(dequantized_bits)

# %% [markdown]
# For images there is a flow of its own, **Glow** (Kingma & Dhariwal, 2018). Three ideas:
#
# - *Pixels become channels.* Each block of 2×2 pixels becomes four channels of one smaller image; couplings then split channels, and their networks are convolutions.
# - *A 1×1 convolution* in place of turning halves round: at every pixel the channels are multiplied by one learned, invertible matrix $W$. Its log-determinant, $h\, w \ln|\det W|$ for an image of $h \times w$ pixels, costs almost nothing as $W$ is small (and kept as a product of triangular matrices).
# - *Several scales.* After some steps half of the channels are done and count as noise; the rest goes on, coarser. Early noise is about details, late noise about the whole.
#
# Besides: the sigmoid, or rather its inverse $\ln\frac{u}{1-u}$, takes the unit cube to all of space as the first layer of the chain, and each channel gets a learned scale and shift before each convolution (*actnorm*); both have their log-slopes in the account.

# %%
training = {"batch_size": 100, "schedule": "cosine", "warmup": 20, "clip": 50.0, "ema": 0.98, "keep_best": True}
pixels = IndependentPixels(digits.space).to(device)
fit(pixels, digits, steps=300, batch_size=100, lr=3e-2)
torch.manual_seed(0)
glow = Glow(digits.space, scales=2, depth=4, channels=32).to(device)
fit(glow, digits, steps=200, lr=4e-3, **training)
torch.manual_seed(0)
halves = CouplingFlow(digits.space, layers=8, hidden=(128, 128)).to(device)
fit(halves, digits, steps=250, lr=2e-3, **training)


@torch.no_grad()
def bits(flow, images, draws=10):
    """Your bits per dimension of a flow of the package, averaged over images and draws of the noise."""
    flat, shape = images.flatten(1), images.shape[1:]

    def score(u):
        return flow.log_density(u.view(-1, *shape))

    return float(torch.stack([dequantized_bits(flat, torch.rand_like(flat), score, 17) for _ in range(draws)]).mean())


torch.manual_seed(1)
grey = {"Glow": bits(glow, digits.test), "CouplingFlow": bits(halves, digits.test)}
alone = float(digits.space.bits_per_dim(torch.tensor(evaluation.average_log_prob(pixels, digits.test).value)))
Table(
    ("model", "bits per dimension, test"),
    [("blind guess", f"= {math.log2(17):.3f}"), ("independent pixels", f"= {alone:.3f}"), *((name, f"≤ {value:.3f}") for name, value in grey.items())],
    "Digits in 17 levels; = exact, ≤ at most",
)  # fmt: skip

# %%
torch.manual_seed(2)
with torch.no_grad():
    drawn = {"test images": digits.test[:12], "Glow": glow.sample(12), "CouplingFlow": halves.sample(12)}
show(
    plots.plot_images(drawn),
    alt="Three rows of twelve: real digits in grey; samples of Glow, rough shapes of which some are digits; samples of the coupling flow, somewhat more speckled.",
)

# %% [markdown]
# Both clearly beat independent pixels, after seconds of training, and Glow is hardly ahead of plain couplings of 64 numbers: eight by eight pixels leave a convolution little to repeat. (`benchmarks/flow_digits.py` compares them, and splines, over more steps and seeds.)
#
# How do flows fare on **binary** digits, the images of lessons 03 and 04? Two levels mean cells of half the cube each: the density must have walls in the middle of it. And now the numbers are comparable, since all are of $\ln P(x)$ of the same images.

# %%
binary = data.digits(levels=2).to(device)
torch.manual_seed(0)
walls = SplineFlow(binary.space, bins=4, hidden=(128,)).to(device)
fit(walls, binary, steps=200, lr=5e-3, **training)
torch.manual_seed(1)
of_walls = evaluation.average_log_prob(walls, binary.test, repeats=10)
share = (binary.train.sum(0) + 0.5) / (len(binary.train) + 1)
independent = float((binary.test * share.log() + (1 - binary.test) * (1 - share).log()).sum((1, 2, 3)).mean())
Table(
    ("model", "nats an image, test"),
    [
        ("independent pixels", f"= {independent:.2f}"),
        ("spline flow, dequantized", f"≥ {of_walls.value:.2f}"),
        ("variational autoencoder (printed in lesson 04)", "≥ -17.82"),
        ("Boltzmann machine, 256 hidden units (printed in lesson 03)", "≈ -16.94"),
    ],
    "Binary digits, ln P(x)",
)

# %% [markdown]
# Better than independent pixels, and nats behind the others. A flow is at home where data are continuous.
#
# ## 7. Failure lab: an exploding inverse
#
# A coupling layer can *always* be undone, on paper. Take your trained flow, start at points farther and farther from the data, go to noise and come back.


# %%
@torch.no_grad()
def round_trip_error(flow, radius, n=500):
    """The largest error of there-and-back in float32, over n points at this distance from the origin; 10⁴ if not finite."""
    angle = torch.linspace(0, 2 * math.pi, n, device=device)
    x = radius * torch.stack([angle.cos(), angle.sin()], dim=-1)
    error = (flow.decode(flow.encode(x)) - x).abs().max()
    return min(float(error.nan_to_num(1e4, 1e4)), 1e4)


radii = (1, 2, 3, 4, 5, 6, 7, 7.5, 8, 9, 10, 12, 16, 24, 40)
ceiling = {"no number any more": 1e4}
errors = {"yours": [round_trip_error(mine, radius) for radius in radii]}
show(
    plots.plot_curves({name: (radii, error) for name, error in errors.items()}, "distance from the origin (data end near 5.5)", "largest error of x", level=ceiling, log="xy"),
    alt="Error of the round trip against distance, both logarithmic. Among the data it is about a millionth to a hundred-thousandth; beyond, it jumps to a dotted line at the top of the picture, where results are no longer numbers.",
)  # fmt: skip


@torch.no_grad()
def share_without_number(flow, reach=12.0, nodes=200):
    """The share of a square grid at which ln p(x) is NaN or infinite."""
    side = torch.linspace(-reach, reach, nodes, device=device)
    return float((~flow.log_prob(torch.cartesian_prod(side, side)).value.isfinite()).float().mean())


@torch.no_grad()
def log_scales(flow, radius, n=500):
    """The largest |s| in every layer on the way to noise, over n points at this distance from the origin: a list."""
    angle = torch.linspace(0, 2 * math.pi, n, device=device)
    x, largest = radius * torch.stack([angle.cos(), angle.sin()], dim=-1), []
    for i, network in enumerate(flow.networks):
        x = flow.turned(x, i)
        largest.append(float(network(x[:, :1])[0].abs().max()))
        x = flow.turned(couple(x, network)[0], i)
    return largest


print(f"ln p(x) is no finite number on {share_without_number(mine):.0%} of the square ±12")
Table(
    ("distance", *(f"layer {i + 1}" for i in range(len(mine.networks)))),
    [(radius, *(f"{scale:.3g}" for scale in log_scales(mine, radius))) for radius in (4, 6, 8, 10, 16)],
    "The largest log-scale |s| in each layer, on the way from data to noise",
)

# %% [markdown]
# Among the data all is well: the error is float32's own. A little farther out the error grows, and then there is no number at all. **Diagnosis**: read the table. Among the data every log-scale is small. Outside the data nothing holds the networks, and their outputs grow with the distance; each layer multiplies by $e^{s}$,
# and what one layer blows up is what the next network is asked about. After a few layers $s$ is so large that $e^{s}$ is beyond float32. So an outlier, the very thing that a density should find, may get no density at all (Behrmann et al., 2021). (`scorer`, in section 3, quietly painted such places white.)
#
# ### Exercise 7 · A scale that cannot run away · ●○○ · 4 minutes
#
# **Repair**: bound the log-scale smoothly. Near zero nothing should change (slope 1), and it must never pass ±`bound`: stretch a tanh to do that.


# %%
@exercise("flows/bounded")
def bounded(raw, bound):
    """A log-scale within ±bound: bound · tanh(…), increasing, with slope 1 at zero. raw: any shape; bound: a positive number."""
    ### BEGIN SOLUTION
    return bound * torch.tanh(raw / bound)
    ### END SOLUTION


# %%
check(bounded)

# %%
torch.manual_seed(0)
tame = MyFlow(ring.space, squash=lambda log_scale: bounded(log_scale, 1.0)).to(device)
fit(tame, ring, steps=600, **settings)
errors["yours, log-scales within ±1"] = [round_trip_error(tame, radius) for radius in radii]
show(
    plots.plot_curves({name: (radii, error) for name, error in errors.items()}, "distance from the origin (data end near 5.5)", "largest error of x", level=ceiling, log="xy"),
    alt="The same curve, and below it that of the flow with bounded log-scales: it rises slowly, and stays near a thousandth or below everywhere, far from the dotted line.",
)  # fmt: skip
gaps["yours, bounded"] = paid(tame)
print(f"bounded: ln p(x) is no finite number on {share_without_number(tame):.0%} of the square ±12")
print(f"gap to the truth: yours {gaps['yours'][1]:.3f} nats, bounded {gaps['yours, bounded'][1]:.3f} nats")

# %% [markdown]
# The inverse holds wherever you look, every outlier has a density, and the fit has lost little, if anything. Eight layers of $e^{\pm 1}$ can still stretch by $e^{8}$. (The package bounds its layers too, with $s / (1 + |s| / 3)$; and splines leave alone what lies beyond their interval.)
#
# ## 8. Failure lab: mass between modes
#
# The eight Gaussians are islands; the noise is one continent. A flow is continuous and so is its inverse: it can stretch the continent as thin as it likes, but never tear it. There *must* be land between the islands, a bridge, and what lies on it is drawn. Of a Gaussian on the plane, the share $e^{-9/2}$ = 1.1 % lies beyond 3σ of its center.

# %%
predict(
    "How many samples of your bounded flow lie beyond 3σ of every center?",
    choices=(
        "About 1 %, as in the data",
        "3 % to 8 %: several times as many as in the data",
        "About 30 %",
        "None",
    ),
    answer=1,
    why="To join eight islands takes seven bridges. They are thin, but to make one thinner the log-scales must jump within a short distance, and a smooth network does that only so well.",
)


# %%
centers = ring.truth.centers.float().to(device)


@torch.no_grad()
def strays(points, radius=1.5):
    """The share of points beyond `radius` (3σ) of every center: a float."""
    return float((torch.cdist(points, centers).amin(1) > radius).float().mean())


torch.manual_seed(3)
with torch.no_grad():
    clouds = {"the data": ring.test, "yours, bounded": tame.sample(10_000), "splines": splines.sample(10_000)}
densities = {"the data": ring.truth.log_prob, "yours, bounded": scorer(tame), "splines": scorer(splines)}  # fmt: skip
show(
    plots.plot_bridges(
        {name: (densities[name], cloud[:1500]) for name, cloud in clouds.items()},
        centers,
        1.5,
        "beyond 3σ of every center",
    ),
    alt="Log densities of the data, your flow and the splines, with 1,500 points each and circles of 3σ around the centers. The data's density vanishes between the circles. "
    "Your flow has bands between neighboring circles and across, with orange crosses on them; the splines' bridges are fewer and thinner.",
)
for name, cloud in clouds.items():
    print(f"{name}: {strays(cloud):.2%} of 10,000 lie beyond 3σ of every center")

# %% [markdown]
# **Diagnosis**: count, as just done. The likelihood notices, too: every sample on a bridge is missing from an island. What helps?
#
# - *Steeper layers.* Splines can rise within a short stretch: their bridges are there, but nearly empty.
# - *A base with islands of its own.* Let $z$ come from a learned mixture of Gaussians instead of one. Nothing has to be torn then: the mixture supplies the pieces, the layers bend them. The price is a discrete choice, a latent variable as in lesson 02, and an encoder that no longer gives *one* Gaussian code.
#
# The second is a few lines, since your class takes any `base` that can score and sample.


# %%
class MixtureBase(nn.Module):
    """A mixture of round Gaussians with learned weights, means and widths, which begin at data points."""

    def __init__(self, means):
        super().__init__()
        self.means = nn.Parameter(means.clone())
        self.log_std = nn.Parameter(torch.full((len(means),), -0.7))
        self.logits = nn.Parameter(torch.zeros(len(means)))

    def log_prob(self, z):
        scaled = (z[:, None] - self.means) * (-self.log_std).exp()[:, None]  # (batch, components, 2)
        return (self.logits.log_softmax(0) + log_standard_normal(scaled) - 2 * self.log_std).logsumexp(-1)

    def sample(self, n):
        which = self.logits.softmax(0).multinomial(n, replacement=True)
        return self.means[which] + self.log_std.exp()[which, None] * torch.randn(n, 2, device=self.means.device)


torch.manual_seed(0)
islands = MyFlow(ring.space, layers=4, squash=lambda s: bounded(s, 1.0), base=MixtureBase(ring.train[:16])).to(device)
fit(islands, ring, steps=400, **settings)
gaps["yours, mixture base"] = paid(islands)
torch.manual_seed(3)
with torch.no_grad():
    clouds["yours, mixture base"] = islands.sample(10_000)
share_of = {name: strays(cloud) for name, cloud in clouds.items()}
true_share = strays(ring.truth.sample(1_000_000, torch.Generator().manual_seed(3)).to(device))
Table(
    ("flow", "samples beyond 3σ", "gap to the truth, nats"),
    [
        (name, f"{share:.2%}", f"{gaps[name][1]:.3f} ± {gaps[name][2]:.3f}" if name in gaps else "–")
        for name, share in share_of.items()
    ],
    f"10,000 samples of each; of a million points of the truth, {true_share:.2%} lie beyond 3σ",
)

# %% [markdown]
# With islands in the base, the bridges are gone and so is nearly all of the gap. In fairness: these data *are* a mixture of Gaussians, so the base could do it alone. Where the number of pieces is unknown, other families do not have the problem in the first place: an autoregressive model of discrete values (lesson 07) tears as it likes, and
# diffusion (lesson 08) adds noise all the way.
#
# ### Bug hunt · ●●○ · 8 minutes
#
# A colleague *standardizes* the data first, $(x - \text{mean}) / \text{std}$, as one should, trains your flow on that, and reports a result that beats the truth.

# %%
mean, std = ring.train.mean(0), ring.train.std(0)
train, valid, test = ((part - mean) / std for part in (ring.train, ring.valid, ring.test))
standardized = data.Dataset("standardized", ring.space, train, valid, test)
torch.manual_seed(0)
inner = MyFlow(ring.space, squash=lambda s: bounded(s, 1.0)).to(device)
fit(inner, standardized, steps=250, **settings)


def colleagues_log_density(x):
    z, log_det = inner.to_noise((x - mean) / std)
    return log_standard_normal(z) + log_det


with torch.no_grad():
    print(f"colleague: {-float(colleagues_log_density(ring.test).mean()):.3f} nats a point; the entropy: {ring.truth.entropy:.3f}")  # fmt: skip
print(f"its integral on a grid: {integral(colleagues_log_density):.3f}")

# %% [markdown]
# Nobody can pay less than the entropy. And the second line says what kind of bug it is. The flow, its training and its samples are fine; there is **one** line to mend, and you may write it in several ways.


# %%
@exercise("flows/bug")
def standardized_log_density(x, mean, std, flow):
    """ln p(x) in nats, (batch,): x is (batch, dim), mean and std (dim,); flow((x − mean) / std) returns z and its log-determinant."""
    z, log_det = flow((x - mean) / std)
    ### BEGIN SOLUTION
    return log_standard_normal(z) + log_det - std.log().sum()
    ### BEGIN BUG
    # return log_standard_normal(z) + log_det
    ### END SOLUTION


# %%
check(standardized_log_density)


# %%
def mended(x):
    return standardized_log_density(x, mean, std, inner.to_noise)


with torch.no_grad():
    print(f"mended: {-float(mended(ring.test).mean()):.3f} nats a point; the entropy: {ring.truth.entropy:.3f}")
print(f"its integral on a grid: {integral(mended):.3f}")

# %% [markdown]
# ## 9. What scale brings
#
# Glow on MNIST, 28×28 pixels in 256 levels, is the recipe `glow-mnist`: `python -m dgmcourse train glow-mnist` trains it and puts its number beside these.

# %%
recipe = recipes.find("glow-mnist")
rows = [(figure.model, f"≤ {figure.value:.2f}", figure.source) for figure in recipe.published]
if recipe.name in zoo.names():
    card = zoo.card(recipe.name)
    what_was = f"this course: {card['parameters']:,} weights, {card['hardware']}"
    rows += [(f"Glow, {name}", f"≤ {card['numbers'][f'bits per dimension, {key}']['value']:.2f}", what_was)
             for name, key in (("mean of the images", "at most"), ("median image", "median image"))]  # fmt: skip
    share = card["numbers"]["images that cost more than 8 bits per dimension"]
    print(f"Images that cost more than 8 bits per dimension: {share['value']:.2f} % of {share['count']:,}")
Table(("model", "bits per dimension", "training, or source"), rows, "MNIST in 256 levels, test images; ≤ at most")

# %% [markdown]
# The course's Glow is small, and its mean lies well above its median: one image in ten thousand costs far more than the 8 bits a pixel that it takes to store it as it is. The layers' scales go on growing beyond all that was seen in training, as in the failure lab, and a mean is at the mercy of its worst term.
#
# (More levels are harder: 256 instead of 17, and yet fewer bits per dimension, since most of MNIST's pixels are empty margin. Bits per dimension compare models of one dataset, never datasets.) Transformers as masked layers have since brought flows to photographs (Zhai et al., 2025).
#
# ## 10. How far from the truth?

# %%
Table(
    ("model", "data", "value", "truth or strongest reference", "gap"),
    [
        ("p(x) on the line: area", "–", f"= {with_slope:.4f}", "= 1", f"{abs(1 - float(with_slope)):.4f}"),
        *((f"{name}: ln p(x), nats", "eight Gaussians, test", f"= {-nll:.3f}", f"= {-true_price:.3f} (the truth, same points)", f"{gap:.3f} ± {error:.3f}") for name, (nll, gap, error) in gaps.items()),
        *((f"{name}: beyond 3σ", "eight Gaussians, samples", f"≈ {share:.2%}", f"≈ {true_share:.2%} (a million points of the truth)", f"{share - true_share:+.2%}") for name, share in share_of.items() if name != "the data"),
        ("CouplingFlow: bits per dimension", "grey digits, test", f"≤ {grey['CouplingFlow']:.3f}", f"≤ {grey['Glow']:.3f} (Glow)", f"{grey['CouplingFlow'] - grey['Glow']:.3f}"),
        ("spline flow: ln P(x), nats", "binary digits, test", f"≥ {of_walls.value:.2f}", "≈ -16.94 (RBM, 256 hidden, lesson 03)", f"{-16.94 - of_walls.value:.2f}"),
    ],
    "= exact, ≥ lower bound, ≤ upper bound, ≈ estimate",
)  # fmt: skip

# %% [markdown]
# On the plane nothing is hidden: the model's density is exact, and so is the truth's, and the gap estimates a KL divergence with an error that we know. On images the bound of dequantization lies between us and the exact value.
#
# ## 11. The same five questions
#
# Asked of every family in this course.
#
# | | normalizing flows |
# |---|---|
# | What does it assume? | That data are noise of the same dimension, bent by a smooth map that can be undone. |
# | How does it learn? | By plain maximum likelihood: the density is exact, and so is its gradient. |
# | How does it sample? | In one pass of the inverse (coupling, IAF), or entry by entry (MAF). |
# | Can it score? | Yes, exactly; levels by a lower bound. |
# | What is in its latent space? | As many numbers as in $x$: nothing is lost, and nothing summarized. |
#
# **Strengths**: exact densities, exact inverses, one stable loss. **Limitations**: no fewer latents than dimensions; every layer must be invertible, so it takes many; connected noise stays connected; numerical inverses must be watched. **Applications**: posterior densities in the sciences (simulation-based inference), sampling molecules and lattice fields with exact weights, flexible posteriors inside variational autoencoders, speech synthesis, and anomaly
# scores (with lesson 04's warning).

# %%
evaluation.family_map(mine, CouplingFlow, AutoregressiveFlow, SplineFlow, Glow)

# %% [markdown]
# ## 12. You can now…
#
# - carry a density through any bend, and test it by its integral;
# - build layers that know their determinant, and check them against one that does not need to be trusted;
# - choose between coupling, MAF and IAF by what must be fast;
# - say what bits per dimension count, and why uniform noise makes them honest;
# - measure an inverse, count strays, and mend both.
#
# **To go on with.** (1) Give `MyFlow` the spirals (`data.toy("spirals")`), whose truth is known. How many layers until the gap is below a tenth of a nat? (2) Train a flow on data that lie exactly on a curve. What becomes of the log-density, and which exercise of this lesson is the cure? (3) Layers without end, each infinitely thin: what becomes of the log-determinant? (Lesson 06b.)
#
# **Further reading**
#
# - Dinh, Krueger & Bengio, [NICE](https://arxiv.org/abs/1410.8516), 2015, and Dinh, Sohl-Dickstein & Bengio, [Density estimation using Real NVP](https://arxiv.org/abs/1605.08803), 2017: coupling layers, first additive, then affine, with several scales.
# - Rezende & Mohamed, [Variational Inference with Normalizing Flows](https://arxiv.org/abs/1505.05770), 2015: where the name became common.
# - Papamakarios, Pavlakou & Murray, [Masked Autoregressive Flow for Density Estimation](https://arxiv.org/abs/1705.07057), 2017, and Kingma et al., [Improved Variational Inference with Inverse Autoregressive Flow](https://arxiv.org/abs/1606.04934), 2016: section 5, both ways.
# - Kingma & Dhariwal, [Glow](https://arxiv.org/abs/1807.03039), 2018: section 6, and faces that made flows famous.
# - Theis, van den Oord & Bethge, [A note on the evaluation of generative models](https://arxiv.org/abs/1511.01844), 2016: dequantization, and why likelihood and looks may part.
# - Durkan et al., [Neural Spline Flows](https://arxiv.org/abs/1906.04032), 2019: section 4.
# - Papamakarios et al., [Normalizing Flows for Probabilistic Modeling and Inference](https://arxiv.org/abs/1912.02762), 2021: the survey to keep at hand.
# - Behrmann et al., [Understanding and Mitigating Exploding Inverses in Invertible Neural Networks](https://arxiv.org/abs/2006.09347), 2021: the lab of section 7.
# - Cornish et al., [Relaxing Bijectivity Constraints with Continuously Indexed Normalising Flows](https://arxiv.org/abs/1909.13833), 2020, and Stimper, Schölkopf & Hernández-Lobato, [Resampling Base Distributions of Normalizing Flows](https://arxiv.org/abs/2110.15828), 2022: the topology of section 8, and two cures.
# - Zhai et al., [Normalizing Flows are Capable Generative Models](https://arxiv.org/abs/2412.06329), 2025: transformers as masked layers.

# %%
progress()
