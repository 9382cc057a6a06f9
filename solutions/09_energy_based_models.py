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
# # Energy-based models
#
# In this lesson you turn any network with one output into a density, walk in it to draw samples, and learn it in five ways, each held to a sum over a grid.

# %%
from dgmcourse.lesson import data, fit, plots, show, torch
from dgmcourse.models import EnergyModel

torch.manual_seed(0)
moons = data.toy("moons", n=(20_000, 2000, 2000))
landscape = EnergyModel(moons.space, "sliced", reference=3.0, step_size=0.05)
fit(landscape, moons, steps=200, batch_size=256, lr=5e-3, schedule="cosine", ema=0.98)
states = dict(enumerate(landscape.trajectory(600, steps=400), start=1))
density = landscape.normalized(extent=15.0)
moments = {"after 1 step": 1, "after 10": 10, "after 50": 50, "after 400": 400}
show(
    plots.plot_densities(
        dict.fromkeys(moments, lambda x: density.log_prob(x).value), {name: states[at] for name, at in moments.items()}
    ),
    alt="Four times the same landscape, two interleaved half moons, with 600 dots. After one step the dots are a round cloud; step by step they gather on the moons, and after 400 nearly all lie there.",
)

# %% [markdown]
# A network gave every point of the plane a height, its *energy*: low on two half moons, where the data were. Dots were thrown in anywhere. They roll downhill, shaken by noise, and end up nearly where the data are. (Nearly: keep the unequal moons in mind until section 6.) This is an **energy-based model**: of all families it asks least
# of its network (no inverse, no order, no second player), and pays for that with an unknown constant.
#
# **Time** 110 minutes · **You need** lesson 01 (likelihood, KL divergence); lesson 03's two phases help · **You will be able to**
#
# - walk in an energy by Langevin dynamics, measure the error of its steps, and remove it;
# - train an energy against its own samples, and keep it from running away;
# - train one without any samples, by scores or by telling data from noise, and say what each way cannot see;
# - join energies by *and*, *or* and *not*, and check the result against an exact sum;
# - turn a classifier into an energy, and judge it as a detector of strange images.

# %%
from dgmcourse.data.toys import Mixture, Ring
from dgmcourse.lesson import F, GenerativeModel, Kind, LogProb, MLP, Space, Step, Table, begin, check, evaluation, exercise, explorers, hint, math, nn, predict, progress, zoo  # fmt: skip
from dgmcourse.models import JEM, ClassConditionalGaussian
from dgmcourse.models.energy import grid_density, score_matching, sliced_score_matching

device = begin(seed=0)

# %% [markdown]
# Stuck in an exercise? `hint("energy/langevin")` gives one more step at each call. A blank or wrong answer never stops you: the
# cells below then use the course's own version, and say so. Each section uses what the ones before it made: if a cell says that a name is
# not defined, choose *Run → Run All Above Selected Cell*.
#
# ## 1. Any function will do
#
# Take a function $E(x)$, the **energy**, and declare that low means likely:
#
# $$p(x) = \frac{e^{-E(x)}}{Z}, \qquad Z = \int e^{-E(x)}\,dx .$$
#
# The only condition is that the integral $Z$, the *normalizer*, be finite. Lesson 03 had binary units, and a sum for $Z$; here $x$ is a vector of reals, and the energy may be any network with one output. In the plane, $Z$ is a sum over a fine grid, exact to many digits. So all that we claim in the plane can be checked;
# with the 64 pixels of a small image the grid would have more nodes than there are atoms.
#
# Here is an energy by hand: two wells, at $x_1 = \pm 2$, the left one deeper, with a pass between them.


# %%
def two_wells(x):
    """E(x) = (x₁² − 4)²/8 + 0.3·x₁ + x₂²/2, in nats: (batch, 2) -> (batch,)."""
    return (x[:, 0].square() - 4).square() / 8 + 0.3 * x[:, 0] + 0.5 * x[:, 1].square()


exact = grid_density(two_wells, dim=2, extent=8.0)
cells = (exact.log_density.flatten() + exact.log_cell).exp()  # the probability of each cell of the grid
in_left = exact.points[:, 0] < 0
left = float(cells[in_left].sum())
spread = float((cells * exact.points[:, 0].square()).sum())
shifted = grid_density(lambda x: two_wells(x) + 5, dim=2, extent=8.0)
same = float((shifted.log_density - exact.log_density).abs().max())
print(f"log Z = {float(exact.log_partition):.4f} nats; P(x₁ < 0) = {left:.4f}")
print(f"with E + 5: log Z = {float(shifted.log_partition):.4f}, and log p differs by at most {same:.0e}")

# %% [markdown]
# A constant added to the energy changes $Z$ and nothing else: an energy has no zero. What an energy says at once, without $Z$, are *ratios*, $p(x)/p(x') = e^{E(x') - E(x)}$, and the slope
#
# $$\nabla \ln p(x) = -\nabla E(x),$$
#
# called the **score**: $Z$ does not depend on $x$, so it drops out. Lesson 08 learned scores to run time backwards. Here they are for walking.
#
# ## 2. Walking in an energy
#
# A ball that rolls downhill comes to rest at the bottom of a valley. Shake it, with just the right strength, and its place becomes a draw of $p$. **Langevin dynamics** does this in steps of size ε:
#
# $$x \;\leftarrow\; x - \tfrac{\varepsilon}{2}\,\nabla E(x) + \sqrt{\varepsilon}\;\text{noise}, \qquad \text{noise} \sim \mathcal N(0, I) .$$
#
# ### Exercise 1 · A Langevin step · ●○○ · 5 minutes


# %%
@exercise("energy/langevin")
def langevin_step(x, slope, step_size, noise):
    """One step of every walker: x (batch, dim) -> (batch, dim). slope(x) is ∇E(x), (batch, dim); step_size is ε; noise (batch, dim)."""
    ### BEGIN SOLUTION
    return x - 0.5 * step_size * slope(x) + step_size**0.5 * noise
    ### END SOLUTION


# %%
check(langevin_step)

# %% [markdown]
# `gradient` lets autograd find the slope of any energy. (Each energy depends on its own point alone, so the gradient of their sum holds every point's own.) We put all walkers into the *right* well, the wrong one, and count those on the left.


# %%
@torch.enable_grad()
def gradient(energy, x, learn=False):
    """∇E at each x: (batch, dim) both ways. With learn=True the result can itself be differentiated, for training."""
    x = x.detach().requires_grad_()
    return torch.autograd.grad(energy(x).sum(), x, create_graph=learn)[0]


def walk(energy, x, step_size, steps):
    """Yield every state of Langevin walks from x, (batch, dim)."""
    for _ in range(steps):
        x = langevin_step(x, lambda x: gradient(energy, x), step_size, torch.randn_like(x))
        yield x


torch.manual_seed(0)
crossed = {}
for step_size in (0.02, 0.1, 0.3):
    walkers = torch.tensor([2.0, 0.0], device=device).expand(4000, 2)
    shares = [float((x[:, 0] < 0).float().mean()) for x in walk(two_wells, walkers, step_size, 600)]
    crossed[f"ε = {step_size}"] = (range(1, 601, 30), shares[::30])
show(
    plots.plot_curves(crossed, "step", "share of walkers on the left", level={"exact, by the grid": left}),
    alt="The share of walkers on the left against steps, for three step sizes, all starting at zero. With ε = 0.3 it reaches the exact share within some two hundred steps, with 0.1 later, with 0.02 it is far below at the end.",
)

# %% [markdown]
# They cross the pass, against the slope, and the share settles where the grid says. The larger the step, the sooner. So why not take very large steps?

# %%
predict(
    "Along x₂ the energy is x₂²/2: the truth is a variance of 1. Walk with ε = 0.5 for ever. What variance will x₂ have?",
    choices=(
        "1: the noise is matched to the slope, whatever ε is",
        "Less than 1: large steps overshoot, back to the middle",
        "More than 1, by about an eighth",
        "It grows without end",
    ),
    answer=2,
    why="A step multiplies x₂ by 1 − ε/2 and adds noise of variance ε. At rest v = (1 − ε/2)² v + ε, so v = 1 / (1 − ε/4), which is 8/7 here. Only as ε → 0 is it 1.",
)

# %% [markdown]
# This *bias* belongs to the method: it is there however long one walks. **Metropolis' rule** (1953; for proposals that lean to one side, Hastings, 1970) takes it away. Call the step's result a *proposal* $x'$, drawn from $q(x'\mid x) = \mathcal N(x';\, x - \tfrac\varepsilon2\nabla E(x),\, \varepsilon I)$, and accept it with probability
#
# $$\min(1, r), \qquad \ln r = E(x) - E(x') + \ln q(x\mid x') - \ln q(x'\mid x) .$$
#
# Otherwise the walker stays where it is, and is counted there once more. Then as many walkers go from $x$ to $x'$ as back, once they are distributed as $p$, so they remain so: *exactly*, whatever ε is. Langevin steps with this rule are called **MALA**.
#
# ### Bug hunt · ●●● · 12 minutes
#
# A colleague wrote this rule, and is pleased that it accepts so many. Here is what it makes of the variance of $x_2$ and of the mean of $x_1^2$, beside plain steps.


# %%
def colleagues_log_acceptance(x, proposal, energy, slope, step_size):
    return energy(x) - energy(proposal)


def adjusted_walk(energy, x, step_size, steps, log_ratio):
    """Yield states and the share accepted, of Langevin proposals that log_ratio accepts or refuses."""
    for _ in range(steps):
        proposal = langevin_step(x, lambda x: gradient(energy, x), step_size, torch.randn_like(x))
        with torch.no_grad():
            log_r = log_ratio(x, proposal, energy, lambda x: gradient(energy, x), step_size)
        accepted = torch.rand_like(log_r).log() < log_r
        x = torch.where(accepted[:, None], proposal, x)
        yield x, float(accepted.float().mean())


at_random = torch.multinomial(cells, 10_000, replacement=True, generator=torch.Generator().manual_seed(0))
home = exact.points[at_random].float().to(device)  # 10,000 draws of p itself, as exact as the grid


def moments_of(states):
    """Over the second half of the states: Var(x₂), E[x₁²], the walkers lost to infinity, and the share accepted, where they tell."""
    late = list(states)[40:]
    shares = [state[1] for state in late if isinstance(state, tuple)]
    points = torch.stack([state[0] if isinstance(state, tuple) else state for state in late])  # (states, walkers, 2)
    here = (points.abs() < 100).all(-1).all(0)
    points = points[:, here].flatten(0, 1)
    accepted = f"{sum(shares) / len(shares):.0%}" if shares else "–"
    return (
        f"≈ {float(points[:, 1].var()):.3f}",
        f"≈ {float(points[:, 0].square().mean()):.3f}",
        int((~here).sum()),
        accepted,
    )


def bias_table(rule, name):
    """Plain steps and steps with a rule, beside the truth."""
    rows = [("truth, by the grid", "= 1.000", f"= {spread:.3f}", "–", "–")]
    for step_size in (0.1, 0.5):
        torch.manual_seed(0)
        plain = f"plain, ε = {step_size} (theory: Var {1 / (1 - step_size / 4):.3f})"
        rows.append((plain, *moments_of(walk(two_wells, home, step_size, 80))))
        steps = adjusted_walk(two_wells, home, step_size, 80, rule)
        rows.append((f"{name}, ε = {step_size}", *moments_of(steps)))
    return Table(("10,000 walkers, starting from p itself", "Var(x₂)", "E[x₁²]", "lost", "accepted"), rows)


bias_table(colleagues_log_acceptance, "colleague's rule")

# %% [markdown]
# Plain steps are wrong just as theory says; and with ε = 0.5 some walkers come so high up the outer walls, which rise as $x_1^4$, that the next step throws them higher still, and they are lost. (The other moments are of those who stayed.) The colleague loses none. But walkers that
# started with the right distribution are led far *away* from it. There is **one** bug. Mend it.


# %%
@exercise("energy/bug")
def log_acceptance(x, proposal, energy, slope, step_size):
    """ln r of each proposal, (batch,): x and proposal x′ (batch, dim); energy(x) is (batch,), slope(x) = ∇E(x) (batch, dim)."""
    ### BEGIN SOLUTION
    forth = (proposal - x + 0.5 * step_size * slope(x)).square().sum(1)
    back = (x - proposal + 0.5 * step_size * slope(proposal)).square().sum(1)
    return energy(x) - energy(proposal) + (forth - back) / (2 * step_size)
    ### BEGIN BUG
    # return energy(x) - energy(proposal)
    ### END SOLUTION


# %%
check(log_acceptance)

# %%
bias_table(log_acceptance, "MALA")

# %% [markdown]
# With the whole rule the error is gone, at both step sizes (what is left is chance), and nobody is lost. The colleague's rule had counted downhill twice, once in proposing and once in accepting: hence half the variance. The price of a large step is now refusals, which are honest. (The package has `dynamics.metropolis_langevin`, and `tuned_step_size`, which looks for the ε that accepts about 57 %.)
#
# **Explore** the two wells. (1) Fifty particles were dropped into the right well, and have made 100 steps. Play, and watch the table: how long until the shares are right? (Its valleys meet at the pass, a little to the right of $x_1 = 0$, so A holds slightly more than $P(x_1 < 0)$.) (2) Clear, cool to T = 0.3 (the walk then samples $e^{-E/T}$), and click into the right well to drop new ones. Do they still get across? (3) Set T = 1 again and the step size to 1, with plain Langevin: what becomes of the particles? Choose Metropolis-adjusted, and drop new ones.

# %%
wells = explorers.EnergyLandscape(two_wells, extent=4.5, step_size=0.1)
wells.drop((2.0, 0.0))
wells.step(100)
wells

# %% [markdown]
# ## 3. Learning: data down, samples up
#
# Let the energy be a network, with parameters θ. As in lesson 03, but now with an integral,
#
# $$-\nabla_\theta \ln p(x) = \nabla_\theta E(x) + \nabla_\theta \ln Z = \underbrace{\nabla_\theta E(x)}_{\text{at data}} - \underbrace{\mathbb E_{x'\sim p}\big[\nabla_\theta E(x')\big]}_{\text{at the model's own samples}} .$$
#
# So maximum likelihood needs no $Z$, only samples; and samples we can get by walking.
#
# ### Exercise 2 · The contrastive loss · ●○○ · 4 minutes
#
# Write the number whose gradient with respect to θ is the right-hand side, averaged over a batch. The samples are given as they are: their places are held fixed.


# %%
@exercise("energy/contrastive")
def contrastive_loss(positive, negative):
    """A scalar, nats: positive are energies of data, (batch,), negative energies of samples, (chains,)."""
    ### BEGIN SOLUTION
    return positive.mean() - negative.mean()
    ### END SOLUTION


# %%
check(contrastive_loss)

# %% [markdown]
# The energy is a small network over a wide bowl, $E(x) = \text{network}(x) + \|x\|^2 / (2 \cdot 3^2)$: the bowl makes sure that $Z$ is finite. In every training step, as many walkers as there are data start from the bowl's Gaussian and make ten Langevin steps.


# %%
class Landscape(GenerativeModel):
    """E(x) = network(x) + ½‖x‖² / reference², in the plane; objective(model, x) is what training makes small."""

    def __init__(self, objective, reference: float = 3.0):
        super().__init__(Space.real(2))
        self.network, self.objective, self.reference = MLP(2, (64, 64), 1, "silu"), objective, reference

    def energy(self, x):
        return self.network(x)[:, 0] + 0.5 * (x / self.reference).square().sum(1)

    def noise(self, n):
        return self.reference * torch.randn(n, 2, device=self.device)

    def training_step(self, x, y=None):
        yield Step(self.objective(self, x))

    def trajectory(self, n, y=None):
        yield from walk(self.energy, self.noise(n), 0.1, 300)

    def log_prob(self, x, y=None):
        return LogProb(-self.energy(x), Kind.UNNORMALIZED)


class ShortRuns(Landscape):
    """Learns from samples: walks of ten steps, each from noise."""

    def __init__(self, loss=contrastive_loss, step_size: float = 0.03):
        super().__init__(None)
        self.loss, self.step_size = loss, step_size

    def starting_points(self, n):
        return self.noise(n)

    def training_step(self, x, y=None):
        *_, samples = walk(self.energy, self.starting_points(len(x)), self.step_size, 10)
        self.newest = samples
        positive, negative = self.energy(x), self.energy(samples)
        logs = {"data": positive.detach().mean(), "samples": negative.detach().mean()}
        yield Step(self.loss(positive, negative), logs=logs)


ring = data.toy("eight_gaussians", n=(20_000, 2000, 2000)).to(device)
settings = {"batch_size": 128, "lr": 1e-2}
torch.manual_seed(0)
naive = ShortRuns().to(device)
history = fit(naive, ring, steps=200, **settings)


def energies_of(history):
    """Mean energies of data and samples by step, thinned for a picture."""
    return {name: (range(0, len(values), 10), [float(value) for value in values[::10]]) for name, values in history.logs.items()}  # fmt: skip


show(
    plots.plot_curves(energies_of(history), "training step", "mean energy, nats"),
    alt="Mean energies of data and samples against training steps: both stay near zero at first, then climb together to some forty nats, far from where they began.",
)


def judged(energy):
    """KL(p ‖ model) and log Z, nats, by a sum over a grid, for the eight Gaussians' p."""
    grid = grid_density(energy, 2, extent=16.0, like=ring.train)
    return grid.divergence_from(ring.truth.log_prob), float(grid.log_partition)


found = {"short runs": judged(naive.energy)}
print(f"KL(truth ‖ model) = {found['short runs'][0]:.2f} nats, log Z = {found['short runs'][1]:.1f}")

# %% [markdown]
# ## 4. Failure lab: energies run away
#
# The energies leave, together. **Diagnosis**: the loss knows only a *difference*, so nothing holds the level of the two. And where walkers cannot follow, the difference itself is a game that is won by steepness: lift the place where samples are now by a hundred nats, and the loss is minus a hundred; a step later the walkers, thrown about by such
# slopes, are elsewhere. The divergence above says what kind of density comes of that.
#
# ### Exercise 3 · A tether · ●○○ · 4 minutes
#
# **Repair** (Du & Mordatch, 2019): make large energies dear. Add, to the contrastive loss, a weight times (the mean *square* of the data's energies plus the mean square of the samples').


# %%
@exercise("energy/tether")
def tethered_loss(positive, negative, weight):
    """The contrastive loss and the price of large energies, a scalar: positive (batch,), negative (chains,), weight a number."""
    ### BEGIN SOLUTION
    return positive.mean() - negative.mean() + weight * (positive.square().mean() + negative.square().mean())
    ### END SOLUTION


# %%
check(tethered_loss)

# %%
torch.manual_seed(0)
tied = ShortRuns(lambda positive, negative: tethered_loss(positive, negative, 0.01)).to(device)
tied_history = fit(tied, ring, steps=200, **settings)
found["short runs, tethered"] = judged(tied.energy)
both = {f"{name}, no tether": curve for name, curve in energies_of(history).items()}
both |= {f"{name}, tethered": curve for name, curve in energies_of(tied_history).items()}
show(
    plots.plot_curves(both, "training step", "mean energy, nats"),
    alt="The curves of before, with those of the tethered model: its energies of data and samples stay within a few nats of zero all along.",
)
print(
    f"KL(truth ‖ model): {found['short runs'][0]:.2f} nats without a tether, {found['short runs, tethered'][0]:.2f} with it"
)

# %% [markdown]
# The energies are held. But the model is still far from the truth. So look at what it learns from.
#
# ## 5. Failure lab: short runs that do not mix
#
# Ten small steps do not lead from noise to the model's distribution, and yet the loss treats their ends as samples of it.

# %%
torch.manual_seed(1)
*_, after_ten = walk(tied.energy, tied.noise(1000), tied.step_size, 10)
*_, after_many = walk(tied.energy, after_ten, 0.1, 300)


def normalized(energy, extent=16.0):
    """log p by the grid: a function (n, 2) -> (n,), nats."""
    grid = grid_density(energy, 2, extent, like=ring.train)
    return lambda x: grid.log_prob(x).value


of_tied = normalized(tied.energy)
show(
    plots.plot_densities(
        {"the truth": ring.truth.log_prob, "model, 10 steps from noise": of_tied, "model, 300 more steps": of_tied},
        {"the truth": ring.test[:1000], "model, 10 steps from noise": after_ten, "model, 300 more steps": after_many},
    ),
    alt="Three panels. The truth: eight hills with dots on them. The model's density is an open arc of unequal hills. After ten steps the dots lie all around the ring, many where the model has next to no mass; after 300 more they have gathered on the arc.",
)

# %% [markdown]
# In the middle, ten steps from noise make a ring of dots, much as the data are; but the density to which these walkers belong is another, and they leave for it when they are let. **Diagnosis**: start chains from noise, and compare their ends after the steps of training with those after many. If they differ, the negative phase was not of $p$: the energy was taught to make *ten steps from noise* look right, or as right as they can. (Nijkamp et al., 2019, who use it on purpose, call this a generator, not a density.) More steps would help, and cost as much more.
#
# ### Exercise 4 · Where chains start · ●○○ · 4 minutes
#
# **Repair**: lesson 03's persistent chains, in the form of a **replay buffer** (Du & Mordatch, 2019). Let each chain go on where it was left at the last training step, so that short walks add up to long ones; but let a small share start anew, so that no valley is forgotten.


# %%
@exercise("energy/replay")
def starts(kept, fresh, uniform, restart):
    """Where each chain starts, (chains, dim): its row of `fresh` where its uniform number is below restart, else of `kept`.

    kept, fresh: (chains, dim); uniform: (chains,), random numbers in [0, 1); restart: a share.
    """
    ### BEGIN SOLUTION
    return torch.where((uniform < restart)[:, None], fresh, kept)
    ### END SOLUTION


# %%
check(starts)


# %%
class Replayed(ShortRuns):
    """Learns from samples whose chains go on from step to step."""

    def __init__(self, loss, chains: int = 1024):
        super().__init__(loss)
        self.register_buffer("kept", self.noise(chains))

    def starting_points(self, n):
        self.chosen = torch.randperm(len(self.kept), device=self.device)[:n]
        return starts(self.kept[self.chosen], self.noise(n), torch.rand(n, device=self.device), restart=0.05)

    def training_step(self, x, y=None):
        yield from super().training_step(x, y)
        self.kept[self.chosen] = self.newest


def tether(positive, negative):
    return tethered_loss(positive, negative, 0.001)


calm = {"batch_size": 256, "lr": 1e-2, "schedule": "cosine", "ema": 0.98}
for name, model in {"short runs, 1000 steps": ShortRuns, "replay, 1000 steps": Replayed}.items():
    torch.manual_seed(0)
    trained = model(tether).to(device)
    fit(trained, ring, steps=1000, **calm)
    found[name] = judged(trained.energy)
replayed = trained
Table(
    ("learning from samples", "KL(truth ‖ model), nats", "log Z, nats"),
    [(name, f"= {divergence:.3f}", f"= {log_z:.1f}") for name, (divergence, log_z) in found.items()],
    "Eight Gaussians, summed over a grid",
)

# %% [markdown]
# The last two rows differ in one thing only, where chains start. (Both train five times as long as the rows above, on larger batches, with a falling learning rate and a looser tether.) Short runs learn little from all this patience: it is the wrong thing that they learn. Replayed chains come near the truth, though not all the way.
#
# ## 6. Learning without samples: score matching
#
# Is there a way that needs no walk? If we knew the data's score $\nabla\ln p$, we could fit the model's, $-\nabla E$, by least squares; it has no $Z$. We do not know it. But integrating by parts (Hyvärinen, 2005) turns the least squares into
#
# $$\tfrac12\,\mathbb E_p\big\|{-\nabla E} - \nabla \ln p\big\|^2 = \mathbb E_p\Big[\underbrace{\tfrac12\|\nabla E(x)\|^2 - \Delta E(x)}_{\text{of the model alone}}\Big] + \tfrac12\,\mathbb E_p\|\nabla\ln p\|^2,$$
#
# where $\Delta E$ is the sum of second derivatives, $\sum_i \partial^2 E/\partial x_i^2$. The last term is a constant. In words: the energy should be flat at the data, and curved upward there. In $d$ dimensions $\Delta E$ takes $d$ further backward passes. Two ways out:
#
# - **Sliced** (Song et al., 2019): take the curvature along one random direction $v$, whose entries are ±1: $\tfrac12\|\nabla E\|^2 - v^\top \nabla(v^\top\nabla E)$. On average over $v$ this is the same, with one pass.
# - **Denoising** (Vincent, 2011): add noise of standard deviation σ, and let the slope point out which: $\tfrac12\big\|\text{noise} - \sigma\,\nabla E(x + \sigma\cdot\text{noise})\big\|^2$ (in code, σ is `std`). First derivatives only; but what is learned is the density of *noised* data. It is the loss of lesson 08 at one time, with $\alpha_t = 1$ and $\sigma_t = \sigma$.
#
# ### Exercise 5 · Denoising score matching · ●●○ · 8 minutes


# %%
@exercise("energy/denoising")
def denoising_loss(slope, x, noise, std):
    """½ ‖noise − std · slope at the noised point‖² of each example, (batch,): slope(x) is ∇E(x); x, noise (batch, dim); std a number."""
    ### BEGIN SOLUTION
    return 0.5 * (noise - std * slope(x + std * noise)).square().sum(1)
    ### END SOLUTION


# %%
check(denoising_loss)

# %% [markdown]
# How do the three compare? On one energy whose every integral is known: $E = \frac12\|x\|^2$ with data from $\mathcal N(0, I)$ in $d = 2$ dimensions, so the model is right. Exact score matching gives $\frac d2 - d = -\frac d2$. Denoising relates to it by
#
# $$\mathbb E[\text{denoising}] = \sigma^2\, \mathbb E_{p_\sigma}\big[\tfrac12\|\nabla E\|^2 - \Delta E\big] + \tfrac d2, \qquad p_\sigma = \text{the density of noised data},$$
#
# and with $p_\sigma = \mathcal N(0, (1 + \sigma^2) I)$ that is $\sigma^2\big(\tfrac d2 (1 + \sigma^2) - d\big) + \tfrac d2$.

# %%
torch.manual_seed(0)
cloud, std = torch.randn(200_000, 2, device=device), 0.5


def round_bowl(x):
    return 0.5 * x.square().sum(1)


def bowls_slope(x):
    return x


values = {
    "exact": (score_matching(round_bowl, cloud), -1.0),
    "sliced": (sliced_score_matching(round_bowl, cloud), -1.0),
    "denoising, σ = 0.5": (denoising_loss(bowls_slope, cloud, torch.randn_like(cloud), std), std**2 * (std**2 - 1) + 1),
}
values = {name: (float(losses.detach().mean()), theory) for name, (losses, theory) in values.items()}
Table(
    ("score matching", "mean over 200,000 points", "theory", "gap"),
    [
        (name, f"≈ {mean:.4f}", f"= {theory:.4f}", f"{abs(mean - theory):.4f}")
        for name, (mean, theory) in values.items()
    ],
    "E = ½‖x‖² and data from N(0, I), d = 2, nats",
)

# %% [markdown]
# (Exact and sliced agree to the last digit, as the curvature of this bowl is the same along every $v$ with entries ±1.) Now the eight Gaussians, by all three.


# %%
def by_score(model, x):
    return score_matching(model.energy, x).mean()


def by_slices(model, x):
    return sliced_score_matching(model.energy, x).mean()


def by_denoising(model, x, std=0.2):
    return denoising_loss(lambda u: gradient(model.energy, u, learn=True), x, torch.randn_like(x), std).mean()


patient = {"batch_size": 256, "lr": 5e-3, "schedule": "cosine", "ema": 0.98}
landscapes = {"replay, 1000 steps": replayed}
for name, objective in {"score matching": by_score, "sliced": by_slices, "denoising, σ = 0.2": by_denoising}.items():
    torch.manual_seed(0)
    landscapes[name] = Landscape(objective).to(device)
    fit(landscapes[name], ring, steps=1000, **patient)
    found[name] = judged(landscapes[name].energy)
    print(f"{name:20} KL(truth ‖ model) = {found[name][0]:.3f} nats, log Z = {found[name][1]:.1f}")

noised = ring.truth.noised(1.0, 0.2)
lost = grid_density(lambda x: -noised.log_prob(x), 2, extent=16.0).divergence_from(ring.truth.log_prob)
print(f"of the last, {lost:.3f} nats are the noise's: KL(truth ‖ truth with noise of σ = 0.2)")

# %% [markdown]
# No walk at all, and after as many steps the first two are nearer to the truth than the chains. Denoising aims at the density of noised data, which is close; but a small σ makes its gradients noisy, and it needs more steps. Look at log Z, too: it may be anything. Is score matching then the best of all ways? Here is what it does not see.

# %%
predict(
    "Data: two hills far apart, with 80 % of the data on the left one. A model has both hills in the right places and shapes, but equally high. By how much does exact score matching rate it worse than the truth?",
    choices=(
        "By as much as the KL divergence, 0.19 nats",
        "By about a tenth of that",
        "By practically nothing",
        "Infinitely: the two densities differ almost everywhere",
    ),
    answer=2,
    why="Scores are slopes of log p, and on either hill a constant factor has no slope. They differ only on the way between the hills, where both factors matter, and there are no data there. (KL, which knows the masses: 0.8 ln(0.8/0.5) + 0.2 ln(0.2/0.5) = 0.19.)",
)

# %%
pair = torch.tensor([[-3.0, 0.0], [3.0, 0.0]])
truth = Mixture("pair", pair, 0.5, torch.tensor([0.8, 0.2]))
side = torch.linspace(-6, 6, 301, dtype=torch.float64)
plane = torch.cartesian_prod(side, side)
log_p = truth.log_prob(plane)
mass = log_p.exp() * float(side[1] - side[0]) ** 2
weights, in_kl, in_score = [0.05, 0.2, 0.35, 0.5, 0.65, 0.75, 0.85, 0.95], [], []
for weight in weights:
    other = Mixture("pair", pair, 0.5, torch.tensor([weight, 1 - weight]))
    in_kl.append(float((mass * (log_p - other.log_prob(plane))).sum()))
    in_score.append(float((mass * 0.5 * (truth.score(plane) - other.score(plane)).square().sum(1)).sum()))
show(
    plots.plot_curves({"KL divergence": (weights, in_kl), "score matching": (weights, in_score)}, "the model's share of the left hill (truth: 0.8)", "worse than the truth by", log="y"),
    alt="On a logarithmic axis: KL divergence between a hundredth and two nats, except near the true share 0.8; the excess of the score matching loss lies many powers of ten below, for every share.",
)  # fmt: skip
print(f"share one half: KL {in_kl[3]:.3f} nats, score matching {in_score[3]:.1e}")

# %% [markdown]
# Score matching is **blind to how mass is shared** among hills that no data connect. (The eight Gaussians were kinder: each has neighbors near enough that some data lie on the way, so their shares are learned, if slowly. The very first picture shows the slowness: a landscape learned by sliced score matching in 200 steps, whose two moons should be alike, and are not equally dark.) The cure is noise large enough to connect them, from many levels of it: that is how diffusion models came about (Song & Ermon, 2019).
#
# ## 7. Learning without samples: telling data from noise
#
# A third way learns even $Z$. Mix the data with as many points from a *known* density $q$, and train a classifier to tell which is which. If data come from $p$, the best possible log-odds are $h(x) = \ln p(x) - \ln q(x)$ (lesson 05 had this for a discriminator). So we *write* the classifier as
#
# $$h(x) = -E(x) - \ln q(x),$$
#
# and what its cross-entropy makes of $-E$ is $\ln p$ itself, normalizer included. This is **noise-contrastive estimation**, NCE (Gutmann & Hyvärinen, 2010).
#
# ### Exercise 6 · Noise-contrastive estimation · ●●○ · 8 minutes
#
# At data the classifier should say yes, which costs $-\ln\operatorname{sigmoid}(h)$; at noise no, $-\ln(1 - \operatorname{sigmoid}(h))$. Return the mean of the one plus the mean of the other. `F.softplus(a)` is $\ln(1 + e^a)$, which is $-\ln\operatorname{sigmoid}(-a)$, and does not overflow.


# %%
@exercise("energy/nce")
def noise_contrastive_loss(data_energy, data_log_q, noise_energy, noise_log_q):
    """The cross-entropy of data against noise, a scalar, nats: E(x) and ln q(x) at data and at noise, each (batch,)."""
    ### BEGIN SOLUTION
    return F.softplus(data_energy + data_log_q).mean() + F.softplus(-noise_energy - noise_log_q).mean()
    ### END SOLUTION


# %%
check(noise_contrastive_loss)


# %%
def by_noise(points):
    """The objective, for data like these points, whose Gaussian serves as q."""
    q = torch.distributions.Independent(torch.distributions.Normal(points.mean(0), points.std(0)), 1)

    def objective(model, x):
        noise = q.sample((len(x),))
        return noise_contrastive_loss(model.energy(x), q.log_prob(x), model.energy(noise), q.log_prob(noise))

    return objective


torch.manual_seed(0)
landscapes["noise contrast"] = Landscape(by_noise(ring.train)).to(device)
fit(landscapes["noise contrast"], ring, steps=3000, **patient)
found["noise contrast"] = judged(landscapes["noise contrast"].energy)
pictured = {"replay": "replay, 1000 steps", "score matching": "score matching", "noise contrast": "noise contrast"}
shown = {"the truth": ring.truth.log_prob}
shown |= {title: normalized(landscapes[name].energy) for title, name in pictured.items()}
show(
    plots.plot_densities(shown),
    alt="The truth, eight round hills on a circle, and three learned densities. Replay: an uneven ring, some of whose hills run together. Score matching: eight round hills, one or two a little paler than the others. Noise contrast: eight hills, a little bent, their mass evenly shared.",
)
Table(
    ("objective", "KL(truth ‖ model), nats", "log Z, nats"),
    [(name, f"= {divergence:.3f}", f"= {log_z:+.2f}") for name, (divergence, log_z) in found.items()],
    "Eight Gaussians, each density summed over a grid; a normalized model has log Z = 0. The first two rows: 200 steps; the last: 3000; all others: 1000",
)  # fmt: skip

# %% [markdown]
# Score matching finds every hill, its place and its shape; what is still a little off is how dark each is, which it sees worst. The chains come behind. Only the last row's $Z$ is near one, and nobody has summed anything to get there: that is what NCE is for. (It made three times the steps; as the bars of progress say, each costs about a third of one that needs second derivatives, or a walk.) And does it see how mass is shared? Back to the two hills, this time to learn them.

# %%
hills = truth.sample(20_000, torch.Generator().manual_seed(0)).to(device)
learned, rows = {"the truth": truth.log_prob}, [("the truth", "= 80.0 %", "= 0", "= 0")]
for name, objective in {"score matching": by_score, "noise contrast": by_noise(hills)}.items():
    torch.manual_seed(0)
    model = Landscape(objective).to(device)
    fit(model, hills, steps=500, **patient)
    grid = grid_density(model.energy, 2, extent=12.0, like=hills)
    share = (grid.log_density.flatten() + grid.log_cell).exp()[grid.points[:, 0] < 0].sum()
    slope = gradient(model.energy, plane.to(hills)).to(plane)
    excess = float((mass * 0.5 * (truth.score(plane) - (-slope)).square().sum(1)).sum())
    divergence = grid.divergence_from(truth.log_prob)
    rows.append((name, f"= {100 * float(share):.1f} %", f"= {divergence:.3f}", f"= {excess:.3f}"))
    learned[name] = lambda x, grid=grid: grid.log_prob(x).value
show(
    plots.plot_densities(learned),
    alt="Three densities. The truth: two hills, the left one darker. Score matching: nearly all mass on one hill. Noise contrast: both hills, the left one darker, much as in the truth.",
)
Table(
    ("learned by", "mass on the left hill", "KL(truth ‖ model), nats", "½ mean ‖difference of scores‖²"),
    rows,
    "Two hills, 500 steps, summed over a grid",
)

# %% [markdown]
# Look at the last column, the mean under the truth, which is what score matching makes small: by that measure it is much better than NCE, and yet it has nearly all mass on one hill. NCE compares *values* with a density that covers both hills. Its slopes are worse, its shares nearly right. Its own weakness: if $q$ is unlike $p$, telling them apart is too easy, and teaches nothing (try `data.toy("spirals")`). In the plane a Gaussian will do; among images no simple $q$ does.
#
# ## 8. And, or, not
#
# Energies are in logarithms, and that makes them building blocks. Two models, $E_a$ and $E_b$, each trained by itself, can be joined without any training (Hinton, 2002: *products of experts*):
#
# | | density | what it likes |
# |---|---|---|
# | a **and** b | $p_a\, p_b$ / its own $Z$ | what both find likely |
# | a **or** b | $p_a + p_b$, halved | what either finds likely |
# | a **but not** b | $p_a / p_b^{\,w}$ / its own $Z$ | what a finds likely, and b does not |
#
# ### Exercise 7 · And, or, not · ●●○ · 8 minutes
#
# Turn the three densities into energies; write $e^{-E}$ for each $p$. (For *or* that presumes that both are normalized, or at least have the same $Z$. Halving is a constant: leave it out.) `torch.logaddexp(s, t)` is $\ln(e^s + e^t)$, also where both are so small that a computer rounds them to 0.


# %%
@exercise("energy/compose")
def compose(a, b, weight):
    """Energies of `a and b`, `a or b`, `a but not b` (to the power weight), up to constants: (batch,), (batch,), a number -> three of (batch,)."""
    ### BEGIN SOLUTION
    return a + b, -torch.logaddexp(-a, -b), a - weight * b
    ### END SOLUTION


# %%
check(compose)

# %% [markdown]
# Part a: a *learned* ring, by your NCE, which is good for *or*, as its $Z$ is about one. Part b: a Gaussian to the right, known exactly. The truth is composed of the true ring's density and the same Gaussian, and summed over the grid.

# %%
circle = Ring()


def blob(x):
    """−ln N(x; (2.5, 0), 1.5² I), nats: (batch, 2) -> (batch,)."""
    return 0.5 * (x - x.new_tensor((2.5, 0.0))).square().sum(1) / 2.25 + math.log(2 * math.pi * 2.25)


rings = data.toy("ring", n=(20_000, 2000, 2000)).to(device)
torch.manual_seed(0)
part_a = Landscape(by_noise(rings.train), reference=2.0).to(device)
fit(part_a, rings, steps=400, **patient)


def composed(energy_a, which):
    """The energy of one of the three: a function (n, 2) -> (n,)."""
    return lambda x: compose(energy_a(x), blob(x), 0.4)[which]


names, panels, dots, rows = ("a and b", "a or b", "a but not b"), {"a, learned": normalized(part_a.energy)}, {}, []
for which, name in enumerate(names):
    mine, true = composed(part_a.energy, which), composed(lambda x: -circle.log_prob(x), which)
    grid, goal = (grid_density(energy, 2, extent=14.0, like=rings.train) for energy in (mine, true))
    rows.append((name, f"= {grid.divergence_from(lambda x, goal=goal: goal.log_prob(x).value):.3f}"))
    panels[name] = lambda x, grid=grid: grid.log_prob(x).value
    torch.manual_seed(which)
    *_, dots[name] = walk(mine, part_a.noise(400), 0.05, 1000)
show(
    plots.plot_densities(panels, dots),
    alt="Four densities. The learned ring; ring and blob: an arc on the right; ring or blob: the ring and a round hill on the right; ring but not blob: an arc on the left. Dots of Langevin walks lie on each of the last three.",
)
Table(
    ("composition", "KL(truth ‖ composed), nats"),
    rows,
    "Of a learned and a known part, against the composition of the true ones",
)

# %% [markdown]
# Nothing was trained for the last three panels, and the walks go there all the same (a few are still on their way). The errors are the learned ring's own, weighted by where the composition looks. One warning about *not*: dividing by a density rewards places far from it. With too large a weight they win, and there is no $Z$. (Lesson 08's guidance is a composition as well, at every time.)
#
# ## 9. A classifier is an energy, too
#
# A classifier has one output $f_y(x)$ for each class $y$, and reports $p(y\mid x) = \operatorname{softmax} f(x)$. Add the same number to all outputs: the softmax does not feel it. Grathwohl et al. (2020) put this freedom to use. Declare that the outputs are energies of image *and* label, $E(x, y) = -f_y(x)$. Then
#
# $$p(x) \propto \sum_y e^{f_y(x)}, \qquad\text{so}\qquad E(x) = -\ln\sum_y e^{f_y(x)},$$
#
# while $p(y\mid x)$ is what it was. The **joint energy model**, JEM, learns both at once: the classifier's cross-entropy, plus a share of the contrastive loss on $E(x)$.
#
# It then has two ways to find an image strange: the label is doubtful, or the energy is high.
#
# ### Exercise 8 · How strange? · ●○○ · 5 minutes


# %%
@exercise("energy/strange")
def strangeness(logits):
    """Two scores, larger for stranger images: E(x), and −max p(y|x), each (batch,), from logits f(x), (batch, classes)."""
    ### BEGIN SOLUTION
    return -logits.logsumexp(-1), -logits.softmax(-1).amax(-1)
    ### END SOLUTION


# %%
check(strangeness)

# %% [markdown]
# Digits in 17 levels. Three networks of the same size: a plain classifier, a JEM, and an energy without labels. The package's models do what yours did: ten Langevin steps, a replay buffer, a tether, a bowl. (Images are spread over their cells, as in lesson 06, and put on [−1, 1].)

# %%
digits = data.digits(levels=17).to(device)
training = {"batch_size": 100, "lr": 2e-3, "schedule": "cosine", "ema": 0.98}
walks = {"hidden": (128, 128), "reference": 1.0, "k": 10, "chains": 500, "step_size": 0.02}
torch.manual_seed(0)
plain = JEM(digits.space, 10, weight=0.0, **walks).to(device)
fit(plain, digits, steps=200, **training)
torch.manual_seed(0)
joint = JEM(digits.space, 10, weight=0.1, **walks).to(device)
fit(joint, digits, steps=200, **training)
torch.manual_seed(0)
unlabeled = EnergyModel(digits.space, **walks).to(device)
fit(unlabeled, digits, steps=120, **training)
gaussians = ClassConditionalGaussian(digits.space, classes=10).to(device)
gaussians.estimate(digits.train, digits.train_labels, ridge=0.03)
right = {
    name: model.accuracy(digits.test, digits.test_labels)
    for name, model in (("plain classifier", plain), ("JEM", joint))
}
print({name: f"{share:.1%} of test labels right" for name, share in right.items()})

# %%
torch.manual_seed(0)
labels = torch.arange(10, device=device)
shown = {"test images": torch.stack([digits.test[digits.test_labels == label][0] for label in range(10)])}
for temperature in (1.0, 0.1):
    *_, shown[f"JEM, by label, T = {temperature:g}"] = joint.trajectory(10, labels, steps=300, temperature=temperature)
*_, shown["energy, no labels, T = 0.1"] = unlabeled.trajectory(10, steps=300, temperature=0.1)
show(
    plots.plot_images(shown, above=[str(label) for label in range(10)]),
    alt="Four rows of ten: a test image of each digit; samples of the joint model for the labels 0 to 9, grainy; its samples at a tenth of the temperature, with smoother strokes; cooled samples of the energy without labels.",
)

# %% [markdown]
# Walks in $E/T$ with T below 1 keep to the valleys: prettier, but no samples of the model. With labels each goes to its own digit; without, all ten cool down to nearly the same blur, the bottom of the landscape. As generators neither will win a prize after seconds of training. What about noticing strange images? Five kinds, among them letters, digits upside down, and noisy digits. The **AUROC** of lessons 01 and 04 is the share of pairs (strange image, test digit) in which the strange one has the higher score; ½ is guessing.

# %%
predict(
    "The same five kinds of strange images, and two scores from JEM's outputs: doubt, −max p(y|x), and energy. Which is the better detector of letters?",
    choices=(
        "Doubt: a letter has no label, so the classifier must be unsure",
        "Energy: it was trained to be low at digits, and high at what is not",
        "Both alike: they come from the same ten numbers",
    ),
    answer=1,
    why="Doubt compares the ten outputs with each other; a letter that looks a little like a 4 and not at all like anything else leaves no doubt. The energy asks whether any output is as large as digits make it.",
)

# %%
strange = evaluation.strange_images(digits)


def of_outputs(model, which):
    """One of your two scores for a classifier of the package; a JEM's energy has its bowl beside the outputs."""
    bowl = model.bowl if which == 0 else lambda u: 0.0
    return lambda x: strangeness(model.logits(x))[which] + bowl(model.points(x))


scores = {
    "classifier: doubt": of_outputs(plain, 1),
    "classifier: energy": of_outputs(plain, 0),
    "JEM: doubt": of_outputs(joint, 1),
    "JEM: energy": of_outputs(joint, 0),
    "EnergyModel: energy": unlabeled.energy,
    "likelihood: a Gaussian for each digit": lambda x: -gaussians.log_prob(x).value,
}
aurocs = {name: evaluation.outlier_aurocs(score, digits.test, strange) for name, score in scores.items()}
show(
    plots.plot_images({name: images[:10] for name, images in strange.items()}, scale=0.45),
    alt="Ten examples each of strange images: printed letters, digits upside down, mirrored digits, noisy digits, and the average image of each class.",
)
Table(
    ("score", *strange),
    [(name, *(f"{value:.3f}" for value in found_by.values())) for name, found_by in aurocs.items()],
    "AUROC against the 297 test digits, one seed (benchmarks/out_of_distribution.py: three seeds, more models)",
)

# %% [markdown]
# Energy training lifts the energy's AUROC for letters and for noise far above that of the plain classifier's energy, and above doubt. It does less for digits that are turned or mirrored, and it costs some right labels. That was one seed, and a few seconds of training. With twice the width, up to three times the steps and over three seeds, `benchmarks/out_of_distribution.py` finds (no standard deviation is above 0.022):
#
# | score | letters | upside down | mirrored | noisy | averages |
# |---|---|---|---|---|---|
# | classifier: doubt | 0.921 | 0.790 | 0.802 | 0.724 | 0.351 |
# | classifier: energy | 0.851 | 0.795 | 0.800 | 0.503 | 0.161 |
# | JEM: doubt | 0.878 | 0.760 | 0.777 | 0.617 | 0.415 |
# | JEM: energy | 0.997 | 0.813 | 0.874 | 0.976 | 0.000 |
# | EnergyModel: energy | 0.996 | 0.778 | 0.854 | 0.977 | 0.000 |
# | likelihood (a bound): mixture of Gaussians, lesson 02 | 0.996 | 0.864 | 0.919 | 0.998 | 0.015 |
# | likelihood: MADE, lesson 07 | 0.996 | 0.816 | 0.888 | 1.000 | 0.914 |
#
# Three things should sober us. Simple likelihoods, a Gaussian for each digit or a mixture of them, notice as much as the energies, or more (64 pixels are few; large images are another matter). *Upside down* is hard for everybody, and should be: a 0 or an 8 on its head is a digit. And the last column has the warning of lessons 01 and 04 again: **average digits** are dull, lie low in every landscape here, and pass as *more* normal than digits. A low energy means "much like the rest", not "real". (MADE alone is not
# fooled. It gives each level a probability of its own, so it can know how many pixels of a digit are *exactly* white; of an average fewer are.) Nalisnick et al. (2019) met the like with flows, VAEs and autoregressive models of photographs. In detectors for use one therefore trains with strange examples, or fine-tunes the energy of a large classifier on some (Liu et al., 2020).
#
# ## 10. What scale brings
#
# The energy-based model that ships with this course is the Boltzmann machine of lesson 03, with 500 hidden units on MNIST. Its free energy is an energy as in this lesson, of binary images, and its walk is Gibbs sampling. Its $Z$ is estimated by annealing, from both sides (forward, then reverse).
# (A convolutional energy of MNIST's grey pixels was tried as well. It denoises well, and its walks end in noise all the same: `benchmarks/energy_mnist.py` tells the numbers and the reason.)

# %%
card = zoo.card("rbm-mnist")
numbers = list(card["numbers"].values())
rows = [
    (
        card["about"],
        "MNIST, ln p(x), nats",
        f"≈ {numbers[0]['value']:.2f} … {numbers[1]['value']:.2f}",
        f"this course, {card['training_seconds'] / 60:.0f} min",
    ),
    (
        "RBM, 500 hidden units",
        "MNIST, ln p(x), nats",
        f"≈ {card['published'][0]['value']:.2f}",
        "Salakhutdinov & Murray, 2008",
    ),
    ("score matching at ten noise levels, walked through", "CIFAR-10, FID", "25.32", "Song & Ermon, 2019"),
    ("energies at several noise levels, each against the next", "CIFAR-10, FID", "9.58", "Gao et al., 2021"),
]
Table(("model", "what", "value", "source"), rows, "Energy-based models at scale; FID: Fréchet inception distance, lower is better")  # fmt: skip

# %%
machine = zoo.load("rbm-mnist").to(device)
torch.manual_seed(3)
*_, dreams = machine.trajectory(12)
with torch.no_grad():
    heights = {
        "its own dreams": machine.free_energy(dreams),
        "dreams, 5 % of pixels changed": machine.free_energy((dreams - (torch.rand_like(dreams) < 0.05).float()).abs()),
        "dreams upside down": machine.free_energy(dreams.flip(-2)),
        "blank paper": machine.free_energy(torch.zeros_like(dreams)),
    }
show(
    plots.plot_images(dreams, scale=0.6),
    alt="Twelve dreams of the Boltzmann machine on 28×28 pixels: most can be read as digits.",
)
Table(("images", "mean free energy, nats"), [(name, f"{float(value.mean()):.1f}") for name, value in heights.items()])

# %% [markdown]
# It finds its own dreams far likelier than the same dreams with a few wrong pixels, or upside down. Now look at the last row, and remember the average digits.
#
# ## 11. How far from the truth?

# %%
Table(
    ("what", "data", "value", "truth or strongest reference", "gap"),
    [
        ("Langevin, ε = 0.5: Var(x₂)", "two wells", f"= {1 / (1 - 0.125):.3f}", "= 1", f"{1 / (1 - 0.125) - 1:.3f}"),
        *((f"{name}: KL, nats", "eight Gaussians", f"= {value[0]:.3f}", "= 0", f"{value[0]:.3f}") for name, value in found.items()),
        ("noise contrast: log Z, nats", "eight Gaussians", f"= {found['noise contrast'][1]:+.3f}", "= 0", f"{abs(found['noise contrast'][1]):.3f}"),
        ("denoising: loss at the truth, nats", "N(0, I)", f"≈ {values['denoising, σ = 0.5'][0]:.4f}", f"= {values['denoising, σ = 0.5'][1]:.4f}", f"{abs(values['denoising, σ = 0.5'][0] - values['denoising, σ = 0.5'][1]):.4f}"),
        ("JEM: labels right", "digits, test", f"{right['JEM']:.1%}", f"{right['plain classifier']:.1%} (plain classifier)", f"{right['plain classifier'] - right['JEM']:+.1%}"),
        ("EnergyModel, JEM: ln p(x)", "digits", "+C", "–", "not compared: Z is not known"),
    ],
    "= exact (by a grid or a formula), ≈ estimate, +C up to a constant",
)  # fmt: skip

# %% [markdown]
# ## 12. The same five questions
#
# Asked of every family in this course.
#
# | | energy-based models |
# |---|---|
# | What does it assume? | Nothing but that likely things can be given low numbers by a network. |
# | How does it learn? | Data down, its own samples up; or by slopes; or by telling data from noise. |
# | How does it sample? | By a walk, for as long as it takes to forget where it started. |
# | Can it score? | At once, up to a constant. $Z$: by a grid in the plane, learned by NCE, else by annealing. |
# | What is in its latent space? | There is none; its gift is composition. |
#
# **Strengths**: any architecture; compositions without training; one network can classify and notice; unknown parts can be filled in by walking. **Limitations**: walks are slow and may not mix; training by samples runs away unless held; likelihoods only up to $Z$; low energy is not the same as real. **Applications**: noticing strange inputs, robust and calibrated classifiers, models of
# molecules and proteins (where energies have been at home for a century), planning by composed goals; and, by way of scores, diffusion models.

# %%
evaluation.family_map(landscapes["noise contrast"], EnergyModel, JEM)

# %% [markdown]
# ## 13. You can now…
#
# - walk in an energy, state the bias of the walk, and make it exact;
# - write the contrastive loss, tether it, and tell from two pictures that chains do not mix;
# - choose between scores and noise contrast by what each cannot see;
# - compose densities that were never trained together;
# - read a classifier as an energy, and be careful about what a low one means.
#
# **To go on with.** (1) Give `Replayed` the steps of `adjusted_walk` in place of `walk`, with ε = 0.3. What becomes of the KL divergence? (2) Train by denoising at several levels at once, `EnergyModel(space, "denoising", noise_levels=(0.1, 0.3, 1.0, 3.0))`, on two hills of unequal weight. Does it see the weights? (3) Let the noise of NCE be a flow (lesson 06) trained on the same data. What is left for the energy to learn?
#
# **Further reading**
#
# - LeCun et al., [A Tutorial on Energy-Based Learning](http://yann.lecun.com/exdb/publis/pdf/lecun-06.pdf), 2006: energies as a language for all of learning, with or without $Z$.
# - Roberts & Tweedie, [Exponential convergence of Langevin distributions and their discrete approximations](https://doi.org/10.2307/3318418), 1996: when plain Langevin steps may be trusted, and MALA.
# - Hinton, [Training Products of Experts by Minimizing Contrastive Divergence](https://doi.org/10.1162/089976602760128018), 2002: sections 3 and 8, at their source.
# - Hyvärinen, [Estimation of Non-Normalized Statistical Models by Score Matching](https://jmlr.org/papers/v6/hyvarinen05a.html), 2005; Vincent, [A Connection Between Score Matching and Denoising Autoencoders](https://doi.org/10.1162/NECO_a_00142), 2011; Song et al., [Sliced Score Matching](https://arxiv.org/abs/1905.07088), 2019: section 6, in order.
# - Gutmann & Hyvärinen, [Noise-Contrastive Estimation](https://proceedings.mlr.press/v9/gutmann10a.html), 2010: section 7.
# - Song & Ermon, [Generative Modeling by Estimating Gradients of the Data Distribution](https://arxiv.org/abs/1907.05600), 2019: many levels of noise, and the step to diffusion. Gao et al., [Learning Energy-Based Models by Diffusion Recovery Likelihood](https://arxiv.org/abs/2012.08125), 2021: energies again, one for each level.
# - Du & Mordatch, [Implicit Generation and Modeling with Energy-Based Models](https://arxiv.org/abs/1903.08689), 2019, and Nijkamp et al., [Learning Non-Convergent Non-Persistent Short-Run MCMC Toward Energy-Based Model](https://arxiv.org/abs/1904.09770), 2019: replay buffers, and what short runs learn instead.
# - Grathwohl et al., [Your Classifier is Secretly an Energy Based Model and You Should Treat it Like One](https://arxiv.org/abs/1912.03263), 2020: section 9. Liu et al., [Energy-based Out-of-distribution Detection](https://arxiv.org/abs/2010.03759), 2020; Nalisnick et al., [Do Deep Generative Models Know What They Don't Know?](https://arxiv.org/abs/1810.09136), 2019: hope and warning.
# - Du, Li & Mordatch, [Compositional Visual Generation with Energy Based Models](https://arxiv.org/abs/2004.06030), 2020: and, or, not, with faces.
# - Song & Kingma, [How to Train Your Energy-Based Models](https://arxiv.org/abs/2101.03288), 2021: the short survey of sections 3 to 7.

# %%
progress()
