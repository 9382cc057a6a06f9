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
# # Latent variables
#
# In this lesson you explain what you see by something that you do not: you learn to sum a hidden cause out of a probability, and
# to climb a bound that lets a model learn although the cause is never shown.

# %%
from dgmcourse.lesson import Space, plots, show, torch
from dgmcourse.models import GaussianMixture

sources = torch.distributions.Categorical(torch.tensor([0.5, 0.3, 0.2]))
shapes = torch.distributions.MultivariateNormal(
    torch.tensor([[0.0, -1.5], [0.3, 0.2], [-0.3, 1.6]]),
    torch.tensor([[[4.3, 1.5], [1.5, 0.7]], [[3.5, 1.25], [1.25, 0.6]], [[2.9, 1.0], [1.0, 0.45]]]),
)
torch.manual_seed(0)
h = sources.sample((600,))  # which source throws each point …
x = shapes.sample((600,))[torch.arange(600), h]  # … and where it lands

model, frames = GaussianMixture(Space.real(2), components=3).initialize(x, seed=2), {"given": (None, None, None)}
for state in model.em(x, iterations=60):
    if state.iteration in (0, 10, 60):
        picture = (state.responsibilities, model.means.clone(), model.covariances)
        frames[f"iteration {state.iteration}"] = picture
show(
    plots.plot_mixtures(x, frames),
    alt="The same cloud of grey points four times; in the last three with the ellipses of three Gaussians. At first the three overlap "
    "almost entirely; after 10 iterations they begin to part; after 60 each lies along one of three parallel streaks of points.",
)

# %% [markdown]
# A cloud of points, and an algorithm that was told only "there are three sources, each a Gaussian". It was not told where they are, what shape they have, or which point belongs to
# which. Sixty rounds of guessing and averaging later it has found all of that. (A lucky start: section 2 tries twenty.)
#
# **Time** 120 minutes · **You need** lesson 01: log-likelihood, maximum likelihood, KL divergence, Bayes' rule · **You will be able to**
#
# - sum a hidden variable out, in logs, without underflow;
# - write EM for a mixture, and say why it never makes the likelihood worse;
# - write the evidence lower bound (ELBO) of any guess, and its gap to log p(x);
# - recognize a component that has collapsed onto a point, and repair it;
# - integrate a continuous latent out (probabilistic PCA), and say what an autoencoder lacks to be a generator.

# %%
from dgmcourse.lesson import MLP, F, GenerativeModel, Space, Step, Table, begin, check, data, evaluation, exercise, explorers, fit, hint, plots, predict, progress, show, torch, zoo  # fmt: skip
from dgmcourse.models import PPCA, VAE, Autoencoder, BernoulliMixture, GaussianMixture, IndependentPixels

device = begin(seed=0)

# %% [markdown]
# Stuck in an exercise? `hint("latent/marginal")` gives one more step at each call. A blank or wrong answer never stops you: the
# cells below then use the course's own version, and say so. Each section uses what the ones before it made: if a cell says that a name is
# not defined, choose *Run → Run All Above Selected Cell*.
#
# ## 1. A cause that is not seen
#
# The cloud above came about in two steps, and the code says both. First a source $h$ is chosen, with probabilities $\pi = (0.5, 0.3, 0.2)$. Then this source throws a
# point $x$, from its own Gaussian $p(x\mid h) = \mathcal N(x; \mu_h, \Sigma_h)$. We are given $x$. We are not given $h$: it is **latent**, or hidden.
#
# How likely is a point, then? It may have come from any source, so all the ways are added up:
#
# $$p(x) \;=\; \sum_h p(x, h) \;=\; \sum_h \pi_h\, p(x\mid h).$$
#
# The hidden variable is *summed out*, or marginalized. This **mixture** of three Gaussians is a density of $x$ alone. It can have several humps, which no single Gaussian can. As we made the
# cloud ourselves, we know the truth: on endless fresh points no model can have a larger mean $\log p(x)$ than minus the entropy of this density (lesson 01; on 5,000 points, chance is
# worth a hundredth of a nat or so). In the plane the entropy is a sum over a fine grid.


# %%
def log_normal(x, means, covariances):
    """log N(x; μ_h, Σ_h) of every point under every component: (n, dim), (K, dim), (K, dim, dim) -> (n, K)."""
    return torch.distributions.MultivariateNormal(means, covariances).log_prob(x[:, None])


truth = torch.distributions.MixtureSameFamily(sources, shapes)  # torch's own mixture, to compare with
torch.manual_seed(1)
test = truth.sample((5000,)).to(device)
x = x.to(device)
pi, mu, sigma = (part.to(device) for part in (sources.probs, shapes.loc, shapes.covariance_matrix))

axis = torch.linspace(-14, 14, 1001)
grid = torch.cartesian_prod(axis, axis)
p, cell = truth.log_prob(grid).exp(), float(axis[1] - axis[0]) ** 2
entropy = float(torch.special.entr(p).sum() * cell)
print(f"p(x) integrates to {float(p.sum() * cell):.4f}; its entropy is {entropy:.4f} nats")

# %% [markdown]
# ### Exercise 1 · Sum the hidden choice out · ●○○ · 8 minutes
#
# You are given the weights $\pi_h$ and, for a batch, $\log p(x\mid h)$. Return $\log p(x)$. A warning: some of these numbers are such as $\log p(x\mid h) = -2000$, whose exponential is zero in
# float32 and float64. Stay in logs, as with `logsumexp`, which computes $\log\sum_i e^{a_i}$ from the $a_i$ (it subtracts the largest first).


# %%
@exercise("latent/marginal")
def log_marginal(weights, log_likelihood):
    """log p(x) = log Σ_h π_h p(x|h) of each example, in nats: weights (K,), log p(x|h) (batch, K) -> (batch,)."""
    ### BEGIN SOLUTION
    return (weights.log() + log_likelihood).logsumexp(-1)
    ### END SOLUTION


# %%
check(log_marginal)

# %% [markdown]
# What happens without the care? Four points, ever farther from the cloud:

# %%
far = torch.tensor([[0.0, 0.0], [5.0, 10.0], [15.0, 30.0], [50.0, 100.0]], device=device)
log_likelihood = log_normal(far, mu, sigma)
naive = (pi * log_likelihood.exp()).sum(-1).log()
Table(
    ("point", "log of the plain sum", "your log p(x)", "torch's own mixture"),
    [
        (str(tuple(point.int().tolist())), f"{a:.3f}", f"{b:.3f}", f"{c:.3f}")
        for point, a, b, c in zip(far, naive, log_marginal(pi, log_likelihood), truth.log_prob(far.cpu()), strict=True)
    ],
    "Summed out in float32, in nats",
)

# %% [markdown]
# A log-likelihood of −∞ would stop any training, and it does not take a point so far away: float32 has no number below $e^{-104}$, and the images of section 9 lie lower than that on average.
#
# ## 2. Learning what is never shown: EM
#
# Now forget the sources. Given the cloud alone, which $\pi, \mu, \Sigma$ (together: $\theta$) make it most likely? It would be easy if either half were known:
#
# - If we knew **which point came from which source**, we would count and average: lesson 01's maximum likelihood, source by source.
# - If we knew **the sources**, Bayes' rule would tell us where each point probably came from: $p(h\mid x) = p(x, h) / p(x)$.
#
# We know neither, so we guess one and alternate. This is **expectation–maximization**, EM (Dempster, Laird & Rubin, 1977): E for the expectation over $h$, M for the maximization over $\theta$. The *E-step* computes
# $p(h\mid x)$, the **posterior**: what is known of $h$ once $x$ is seen. For a mixture its values are called **responsibilities**, $r_{nh} = p(h\mid x_n)$: how much of point $n$ each component answers for.
#
# ### Exercise 2 · The E-step · ●○○ · 8 minutes
#
# The same inputs as before; this time the whole posterior $p(h\mid x)$ is asked for.


# %%
@exercise("latent/e_step")
def e_step(weights, log_likelihood):
    """p(h|x) of each example: weights (K,), log p(x|h) (batch, K) -> (batch, K), rows summing to 1."""
    ### BEGIN SOLUTION
    return (weights.log() + log_likelihood).softmax(-1)
    ### END SOLUTION


# %%
check(e_step)

# %% [markdown]
# Posteriors are worth having for themselves. Here are those under the true sources: who threw each point?

# %%
posterior = e_step(pi, log_normal(x, mu, sigma))
right = (posterior.argmax(-1).cpu() == h).float().mean()
print(
    f"most probable source = real source: {right:.1%} of the points; p(h|x) of the most probable one: {posterior.amax(-1).mean():.1%} on average"
)

# %% [markdown]
# Where streaks overlap, nobody can know, and the posterior says so: it is as sure of itself as it is right.
#
# The second half, the *M-step*, pretends that the responsibilities are counts. Component $h$ owns $N_h = \sum_n r_{nh}$ points, some of them in part, and
#
# $$\pi_h = \frac{N_h}{n}, \qquad \mu_h = \frac1{N_h}\sum_n r_{nh}\, x_n, \qquad
# \Sigma_h = \frac1{N_h}\sum_n r_{nh}\,(x_n-\mu_h)(x_n-\mu_h)^\top .$$
#
# ### Exercise 3 · The M-step · ●●○ · 15 minutes
#
# $\mu_h$ in the last formula is the new mean. A loop over the components is fine; with `torch.einsum` there is none.


# %%
@exercise("latent/m_step")
def m_step(x, responsibilities):
    """Weights (K,), means (K, dim) and covariances (K, dim, dim) from x (n, dim) and responsibilities (n, K)."""
    ### BEGIN SOLUTION
    counts = responsibilities.sum(0)
    means = responsibilities.T @ x / counts[:, None]
    difference = x[:, None] - means  # (n, K, dim)
    scatter = torch.einsum("nk,nki,nkj->kij", responsibilities, difference, difference)
    return counts / len(x), means, scatter / counts[:, None, None]
    ### END SOLUTION


# %%
check(m_step)

# %% [markdown]
# Your two halves make the whole. The next cell starts with the components' means on randomly chosen points, and goes round.


# %%
def em(x, components, iterations, seed, maximize=m_step):
    """Yields θ = (weights, means, covariances), as it is before each M-step."""
    torch.manual_seed(seed)
    weights = torch.full((components,), 1 / components).to(x)
    means = x[torch.randperm(len(x))[:components]]
    covariances = torch.cov(x.T).expand(components, -1, -1)
    for _ in range(iterations):
        yield weights, means, covariances
        responsibilities = e_step(weights, log_normal(x, means, covariances))
        weights, means, covariances = maximize(x, responsibilities)


def mean_log_prob(x, weights, means, covariances):
    """The mean of log p(x) over a set of points, a number."""
    return float(log_marginal(weights, log_normal(x, means, covariances)).mean())


# %%
predict(
    "You will run EM on the cloud from twenty random starts, with three components, 300 iterations each. How do they end?",
    choices=(
        "All at the same log-likelihood: there is one best fit, and EM finds it",
        "Not all at the same one: what is found depends on the start",
        "All well below the truth's own log-likelihood",
        "They do not end: some rise and fall for ever",
    ),
    answer=1,
    why="EM only ever climbs, so it ends at a top, but the likelihood of a mixture has many tops. (It also has each of them six times: the components can be "
    "numbered in 3! ways.) That is why one starts several times and keeps the best.",
)

# %%
runs = [list(em(x, components=3, iterations=300, seed=seed)) for seed in range(20)]
log_probs = torch.tensor([[mean_log_prob(x, *theta) for theta in run] for run in runs])
show(
    plots.plot_em_runs(log_probs, {"the truth": float(truth.log_prob(x.cpu()).mean())}),
    alt="Mean log p(x) against iterations for twenty starts of EM. Every line rises, and none ever falls. Many wait on a plateau, some for two hundred iterations, before they climb on to the best; "
    f"a few stay on it to the end. The lines end between {log_probs[:, -1].min():.2f} and {log_probs[:, -1].max():.2f} nats.",
)

# %%
best, worst = runs[log_probs[:, -1].argmax()][-1], runs[log_probs[:, -1].argmin()][-1]
top = int((log_probs[:, -1] > log_probs[:, -1].max() - 0.005).sum())
*_, later = em(x, components=3, iterations=2000, seed=int(log_probs[:, -1].argmin()))
early = int((log_probs[:, 60] > log_probs[:, -1].max() - 0.005).sum())
print(
    f"{top} of 20 starts end within 0.005 nats of the best, {log_probs[:, -1].max():.3f}; after 60 iterations, {early}"
)
print(
    f"the worst ends at {log_probs[:, -1].min():.3f}; after 2,000 iterations it stands at {mean_log_prob(x, *later):.3f}"
)
print(
    f"largest fall from one iteration to the next, of any start: {-log_probs.diff(dim=1).min().clamp(max=0):.0e} nats, which is rounding"
)
show(
    plots.plot_mixtures(
        x,
        {
            name: (e_step(weights, log_normal(x, means, covariances)), means, covariances)
            for name, (weights, means, covariances) in {
                "the truth": (pi, mu, sigma),
                "the best start": best,
                "the worst start": worst,
            }.items()
        },
        scale=2.9,
    ),
    alt="Three panels. The true sources are three parallel streaks. The best start has found them, in another order of colors. "
    "In the worst start one wide component covers two streaks and two others share the third.",
)
Table(
    ("θ", "the 600 points", "5,000 fresh points", "gap to the truth there"),
    [
        (
            name,
            f"= {mean_log_prob(x, *theta):.4f}",
            f"= {mean_log_prob(test, *theta):.4f}",
            f"{mean_log_prob(test, pi, mu, sigma) - mean_log_prob(test, *theta):.4f}",
        )
        for name, theta in {"the truth": (pi, mu, sigma), "the best start": best, "the worst start": worst}.items()
    ],
    f"Mean log p(x) in nats; minus the entropy is {-entropy:.4f}",
)

# %% [markdown]
# Three things to see. No line ever falls. On its own 600 points the best fit beats even the truth, and on fresh points it does not: it has learned a little of the noise. (The gap there estimates the KL divergence from
# truth to model.) And some starts end below the best, on a top of their own, where 1,700 further iterations change nothing; others look just as stuck for a long while, and are not. Nothing in EM's own numbers tells which, so one starts several times, and keeps the best.

# %% [markdown]
# ## 3. Why it works: the bound
#
# Why does no line fall? The reason carries much of the rest of this course, so take your time with it.
#
# Let $q(h)$ be *any* distribution over the components, one for each point: a guess at where the point came from. For every $h$, $p(x, h) = p(h\mid x)\,p(x)$, and so
# $\log p(x) = \log p(x, h) - \log p(h\mid x)$. Add and subtract $\log q(h)$:
#
# $$\log p(x) = \log\frac{p(x, h)}{q(h)} + \log\frac{q(h)}{p(h\mid x)} .$$
#
# Now average both sides over $h \sim q$. The left side knows nothing of $h$ and stays; the second term becomes a KL divergence (lesson 01):
#
# $$\log p(x) \;=\; \underbrace{\sum_h q(h)\,\log\frac{p(x, h)}{q(h)}}_{\text{ELBO}} \;+\;
# \underbrace{\sum_h q(h)\,\log\frac{q(h)}{p(h\mid x)}}_{\mathrm{KL}(q\,\|\,p(h\mid x))\;\ge\;0} .$$
#
# So the first term is at most $\log p(x)$, whatever $q$ is. As $p(x)$ is also called the *evidence*, it is the **evidence lower bound**, ELBO; what it lacks, the **gap**, is how wrong the guess is. Read EM again:
#
# - **E-step**: keep $\theta$, choose $q = p(h\mid x)$. The gap closes; the bound touches $\log p(x)$.
# - **M-step**: keep $q$, choose $\theta$ to raise the bound. It holds $\log p(x, h)$, the log of a product, where $\log p(x)$ holds the log of a sum: so counting and averaging is all it takes.
#
# Afterwards $q$ is out of date, and a new gap has opened on top of the risen bound. So $\log p(x)$ has risen by at least as much: it cannot fall.
#
# ### Exercise 4 · The bound and its gap · ●●● · 12 minutes
#
# You are given $\log p(x, h)$ and a guess $q$; return both terms. $p(h\mid x)$ is not given: make it from $\log p(x, h)$. Some guesses are certain, with $q(h) = 0$ for other components. Such terms count 0 (as $q\log q \to 0$), but the computer makes $0\cdot(-\infty)$ of them:
# `torch.xlogy(q, q)` is $q \log q$ without this trap.


# %%
@exercise("latent/elbo")
def elbo_and_gap(log_joint, q):
    """The bound Σ_h q log (p(x,h)/q) and the gap KL(q ‖ p(h|x)), in nats: (batch, K), (batch, K) -> (batch,), (batch,)."""
    ### BEGIN SOLUTION
    log_posterior = log_joint.log_softmax(-1)
    negative_entropy = torch.xlogy(q, q).sum(-1)
    elbo = (q * log_joint).sum(-1) - negative_entropy
    gap = negative_entropy - (q * log_posterior).sum(-1)
    return elbo, gap
    ### END SOLUTION


# %%
check(elbo_and_gap)

# %% [markdown]
# Your function, at every iteration of the best start: with the guess of the iteration before (the *old* $q$, at first a uniform one), and with a fresh one.

# %%
rows, largest, q = [], 0.0, torch.full((len(x), 3), 1 / 3, device=device)
for iteration, (weights, means, covariances) in enumerate(runs[log_probs[:, -1].argmax()]):
    log_likelihood = log_normal(x, means, covariances)
    log_p = log_marginal(weights, log_likelihood)
    bound, gap = elbo_and_gap(weights.log() + log_likelihood, q)  # the old guess
    largest = max(largest, float((bound + gap - log_p).abs().max()))
    q = e_step(weights, log_likelihood)
    closed = elbo_and_gap(weights.log() + log_likelihood, q)[1].mean()  # the E-step's guess
    if iteration in (0, 1, 2, 3, 4, 10, 30, 100, 299):
        shown = (bound.mean(), gap.mean().clamp_min(0), (bound + gap).mean(), log_p.mean())  # rounding can make −1e-9
        rows.append((iteration, *(f"{value:.5f}" for value in shown), f"{closed.abs():.0e}"))
print(
    f"largest difference between ELBO + KL and log p(x), any point, any of the {len(runs[0])} iterations: {largest:.1e} nats"
)
Table(
    ("iteration", "ELBO, old q", "KL(old q ‖ p(h|x))", "their sum", "log p(x)", "KL after the E-step"),
    rows,
    "Mean over the 600 points, in nats",
)

# %% [markdown]
# ELBO and $\log p(x)$ never fall; the gap comes and goes. Every ELBO lies above the $\log p(x)$ of the row before.
#
# With one unknown, the whole story fits into one picture. Here are sixty points from two sources on a line. Everything is known but the mean $\theta$ of the second.

# %%
torch.manual_seed(0)
line = torch.cat([torch.randn(30) - 2, torch.randn(30) + 2])
halves = torch.tensor([0.5, 0.5])


def log_likelihood_on_line(theta):
    """log N(x; −2, 1) and log N(x; θ, 1): (60, 2)."""
    return torch.distributions.Normal(torch.stack([torch.tensor(-2.0), theta]), 1.0).log_prob(line[:, None])


thetas = torch.linspace(-4.0, 5.0, 181)
curve = torch.stack([log_marginal(halves, log_likelihood_on_line(theta)).mean() for theta in thetas])
theta, bounds = torch.tensor(-3.0), []
for _ in range(4):
    q = e_step(halves, log_likelihood_on_line(theta))  # E-step: the bound touches at θ
    bound = [elbo_and_gap(halves.log() + log_likelihood_on_line(other), q)[0].mean() for other in thetas]
    bounds.append((float(theta), torch.stack(bound)))
    theta = (q[:, 1] * line).sum() / q[:, 1].sum()  # M-step: to the bound's top
show(
    plots.plot_em_ascent(thetas, curve, bounds, xlabel="θ, the mean of the second source"),
    alt="The log-likelihood against θ, a curve that rises slowly, then steeply, to a top near θ = 2, and four bounds below it. Each bound touches the curve at "
    "one θ and is largest further to the right; there the next bound touches, higher up. The steps grow, and the last is short again, near the top.",
)

# %% [markdown]
# Each bound touches the curve (dot: E-step), its top is found (arrow: M-step), and the curve lies higher still above that top (dotted). A bound is a parabola here, whose top is an average; the curve itself has no such formula.
#
# Nothing in the argument needs $q$ to be exact. A poor guess gives a lower bound all the same, and an M-step need only go up, not to the top (Neal & Hinton, 1998). Lesson 04 lives on that: where the sum over $h$ is out of
# reach, it keeps the bound and lets a network do the guessing.
#
# **Explore.** Two iterations are done; go on from there, or press *New start*. (1) Step by halves. Which half changes the colors, which moves the ellipses, and what does each do to bound and gap? (2) Drag two means onto the same streak. Does EM get out?
# (3) Give it more components than there are streaks. What becomes of the bound, and what do the others do?

# %%
stepper = explorers.EMStepper(x.cpu(), components=3, truth=truth)
for _ in range(4):
    stepper.half_step()  # E, M, E, M
stepper

# %% [markdown]
# ## 4. Failure lab: a component collapses
#
# The same algorithm, more components, fewer points: twenty starts of eight components on the first forty points.


# %%
few = x[:40].cpu().double()  # double precision, to see how far it goes
fresh = test.cpu().double()


def follow(seed, maximize, components=8):
    """Every θ of EM from one start, and whether it broke off at the last of them."""
    thetas = []
    try:
        for theta in em(few, components, iterations=100, seed=seed, maximize=maximize):
            thetas.append(theta)
    except ValueError:  # torch refuses a covariance that is not positive definite
        return thetas, True
    return thetas, False


attempts = [follow(seed, m_step) for seed in range(20)]
broken = [seed for seed, (_, broke) in enumerate(attempts) if broke]
print(f"{len(broken)} of 20 starts broke off: a covariance had become singular")

# %%
victim = max(broken, key=lambda seed: mean_log_prob(few, *attempts[seed][0][-2]))
*before, (weights, means, covariances) = attempts[victim][0]  # the last θ is the one that broke
paths = {
    name: [mean_log_prob(points, *theta) for theta in before]
    for name, points in {"the 40 points": few, "5,000 fresh points": fresh}.items()
}
mine, others = paths.values()
show(
    plots.plot_curves(
        {name: (range(len(path)), path) for name, path in paths.items()}, "iteration", "log p(x), nats per point"
    ),
    alt=f"Log-likelihood against iterations of start {victim}, until it broke off. That of the 40 points rises from {mine[0]:.1f} to {mine[-1]:.1f}; "
    f"that of fresh points falls from {others[0]:.1f} to {others[-1]:.1f}.",
)
show(
    plots.plot_mixtures(few, {f"start {victim}, its last θ": (None, means, covariances)}, scale=4.2),
    alt="Forty points and eight ellipses. Half of the ellipses are so thin that they are needles through two points, or a few.",
)
Table(
    ("component", "N_h, points it owns", "its smallest standard deviation"),
    [
        (k + 1, f"{len(few) * weights[k]:.2f}", f"{torch.linalg.eigvalsh(covariances[k])[0].clamp_min(0).sqrt():.1e}")
        for k in range(8)
    ],
    f"Diagnosis: start {victim}, its last θ",
)

# %% [markdown]
# The log-likelihood rose to the very end, as EM promises, and was worth less and less. **Diagnosis**: look at how many points a component owns, and how thin it is. One that owns a single point has no spread at all; one that
# owns two is a needle.
#
# **Cause**: the thinner it gets, the higher its density *on* those points, and nothing stops it. The likelihood of such a mixture has no maximum. On the line it is plain to see: take ten points, let one component cover them all, put the other
# on the first of them, and shrink it.

# %%
torch.manual_seed(1)
line_fresh = torch.cat([torch.randn(1000) - 2, torch.randn(1000) + 2])
ten, widths = line[::6], torch.logspace(0.5, -12, 50)


def shrunken(points, width):
    """Mean log p(x) of half N(the mean of all, their variance) and half N(the first point, width²)."""
    centers, scales = torch.stack([ten.mean(), ten[0]]), torch.stack([ten.std(), width])
    return float(log_marginal(halves, torch.distributions.Normal(centers, scales).log_prob(points[:, None])).mean())


show(
    plots.plot_curves(
        {
            "the ten points": (widths, [shrunken(ten, width) for width in widths]),
            "2,000 fresh points": (widths, [shrunken(line_fresh, width) for width in widths]),
        },
        "standard deviation of the component on the first point",
        "log p(x), nats per point",
        log="x",
    ),
    alt="Log-likelihood against the width of a component that sits on one point, on a logarithmic scale. As the width shrinks by twelve powers of ten, that of the ten points "
    "soon rises in a straight line, without end, past any sensible fit, while that of fresh points falls a little and stays there.",
)

# %% [markdown]
# Each time the width shrinks tenfold, the one point gains ln 10 nats, for ever, and the mean over the ten a tenth of that. Fresh points are never hit, and gain nothing. This is maximum likelihood doing what it was told. (Deep latent variable models can do the same: Mattei & Frellsen, 2018.)
#
# ### Exercise 5 · Imagined points · ●●○ · 8 minutes
#
# **Repair**: give every component some points that nobody can take away. Imagine in each of them `strength` extra points, scattered around its mean, whose covariance is $\text{spread}^2 I$; the component's covariance
# is then that of its $N_h$ real points and the imagined ones together. (Statisticians call this a prior on $\Sigma_h$, and the result *maximum a posteriori*.)


# %%
@exercise("latent/repair")
def steady_covariances(covariances, counts, strength, spread):
    """Covariances of real and imagined points together: (K, dim, dim), N_h (K,), two numbers -> (K, dim, dim)."""
    ### BEGIN SOLUTION
    identity = torch.eye(covariances.shape[-1]).to(covariances)
    counts = counts[:, None, None]
    return (counts * covariances + strength * spread**2 * identity) / (counts + strength)
    ### END SOLUTION


# %%
check(steady_covariances)


# %%
def steady_m_step(x, responsibilities, strength=3.0, spread=1.0):
    weights, means, covariances = m_step(x, responsibilities)
    return weights, means, steady_covariances(covariances, weights * len(x), strength, spread)


rows = []
for components in (8, 3):
    for name, maximize in {"maximum likelihood": m_step, "with imagined points": steady_m_step}.items():
        tried = [follow(seed, maximize, components) for seed in range(20)]
        ended = [thetas[-1] for thetas, broke in tried if not broke]
        theta = max(ended, key=lambda theta: mean_log_prob(few, *theta))
        mine, others = mean_log_prob(few, *theta), mean_log_prob(fresh, *theta)
        rows.append((components, name, f"{len(tried) - len(ended)} of 20", f"= {mine:.2f}", f"= {others:.2f}"))
mine, others = (float(truth.log_prob(points.float()).mean()) for points in (few, fresh))
rows.append((3, "the truth", "–", f"= {mine:.2f}", f"= {others:.2f}"))
Table(
    ("components", "fitted by", "broke off", "best start: the 40 points", "the same fit: 5,000 fresh points"),
    rows,
    "Mean log p(x), nats",
)

# %% [markdown]
# A fit that did not break is no better: the best of them on its own forty points lies some eight nats behind the truth on fresh ones. With imagined points nothing breaks, and less than half a nat is missing. Eight components then do no worse than three, the right number; without
# them even three learn forty points too well. What rises at every iteration is now $\log p(x)$ plus the log of the prior. Libraries do the same with a floor under the variances (`GaussianMixture(…, floor=…)` here).
#
# ## 5. Real data: digits are a mixture of prototypes
#
# Our images: 8×8 scans of handwritten digits, ink (1) or paper (0), 1,300 to learn from, 200 to choose by (*valid*) and 297 to judge by (*test*). For such an $x\in\{0,1\}^{64}$ a Gaussian is out of place. Let each component be a **prototype**, with a
# probability of ink $p_{hi}$ at each pixel $i$, and let the pixels be independent *given* $h$:
#
# $$p(x\mid h) = \prod_i p_{hi}^{x_i}\,(1-p_{hi})^{1-x_i}.$$
#
# Only this likelihood and its M-step change; the E-step and the sum over $h$ are yours, as they are. The M-step of $p_{hi}$ is the share of ink at pixel $i$ among the images that $h$ owns, plus a tenth of an imagined image of ink and
# a tenth of one of paper, lest a pixel become impossible: lesson 01's pseudo-counts, and the repair of section 4 in another coat.


# %%
digits = data.digits(levels=2).to(device)
train, valid, tested = (images.flatten(1) for images in (digits.train, digits.valid, digits.test))


def log_bernoulli(x, p):
    """Σ_i x_i ln p_hi + (1 − x_i) ln (1 − p_hi) of every image under every prototype: (n, 64), (K, 64) -> (n, K)."""
    return x @ p.log().T + (1 - x) @ (1 - p).log().T


def learn_prototypes(x, components, iterations=40, seed=0):
    """EM for a mixture of Bernoullis: weights (K,) and prototypes (K, 64)."""
    torch.manual_seed(seed)
    weights = torch.full((components,), 1 / components).to(x)
    p = 0.25 + 0.5 * x[torch.randperm(len(x))[:components]]  # grey versions of some images
    for _ in range(iterations):
        responsibilities = e_step(weights, log_bernoulli(x, p))
        counts = responsibilities.sum(0)
        weights, p = counts / len(x), (responsibilities.T @ x + 0.1) / (counts[:, None] + 0.2)
    return weights, p


def score(x, weights, p):
    return float(log_marginal(weights, log_bernoulli(x, p)).mean())


counts = (1, 2, 5, 10, 20, 40, 80, 160, 320)
fits = {count: learn_prototypes(train, count) for count in counts}
curves = {
    name: [score(images, *fits[count]) for count in counts] for name, images in {"train": train, "valid": valid}.items()
}
chosen = max(counts, key=lambda count: score(valid, *fits[count]))
show(
    plots.plot_curves(
        {name: (counts, values) for name, values in curves.items()}, "components", "log p(x), nats per image", log="x"
    ),
    alt=f"Log-likelihood against the number of components, from 1 to 320, logarithmic. Training images: rising throughout. Validation images: rising to the best at {chosen} components, then falling.",
)

# %%
weights, prototypes = fits[chosen]
torch.manual_seed(0)
drawn = prototypes[torch.multinomial(weights, 24, replacement=True)]
order = weights.argsort(descending=True)[:24]
show(
    plots.plot_images(
        {
            "prototypes": prototypes[order[:12]].view(-1, 1, 8, 8),
            " ": prototypes[order[12:]].view(-1, 1, 8, 8),
            "samples": torch.bernoulli(drawn[:12]).view(-1, 1, 8, 8),
            "  ": torch.bernoulli(drawn[12:]).view(-1, 1, 8, 8),
        }
    ),
    alt="Two rows of the heaviest prototypes: soft grey digits, each a way to write one. Two rows of samples: digits with ragged edges and stray pixels.",
)
owner = e_step(weights, log_bernoulli(train, prototypes)).argmax(-1)
labels = torch.stack([torch.bincount(digits.train_labels[owner == k], minlength=10) for k in range(chosen)]).argmax(-1)
named = labels[e_step(weights, log_bernoulli(tested, prototypes)).argmax(-1)]
print(f"{chosen} components chosen on the validation images")
print(f"test images whose component is mostly of their own digit: {(named == digits.test_labels).float().mean():.1%}")

# %% [markdown]
# EM has never seen a label. Yet if each component is called by the digit that most of its training images show, most test images fall into a component of their own name: the hidden choice that explains the pixels best has much to do with what was written.
#
# Is it a good model? In the next table it stands beside lesson 01's independent pixels, which are a mixture of one, and beside mixtures of Gaussians, which must spread each binary value over half of the unit interval (lesson 01's `≥`; lesson 06 says how), and so give a lower bound.

# %%
torch.manual_seed(0)
independent = evaluation.average_log_prob(
    IndependentPixels(digits.space).estimate(digits.train.cpu()), digits.test.cpu()
)
gaussians = {}
for count in (1, 10, 20, 40):
    gaussians[count] = GaussianMixture(digits.space, count, covariance="diagonal", floor=0.02).to(device)
    for _ in gaussians[count].initialize(digits.train).em(digits.train, iterations=30):
        pass
wide = max(gaussians, key=lambda count: evaluation.average_log_prob(gaussians[count], digits.valid).value)
bernoulli = score(tested, weights, prototypes)
Table(
    ("model", "test, nats an image"),
    [
        ("independent pixels", f"{independent.kind} {independent.value:.2f}"),
        (f"mixture of {chosen} products of Bernoullis (your E-step)", f"= {bernoulli:.2f}"),
        (f"mixture of {wide} Gaussians, diagonal", str(evaluation.average_log_prob(gaussians[wide], digits.test))),
    ],
    "Binary digits; = exact, ≥ a lower bound",
)

# %% [markdown]
# Knowing *which* prototype is worth more than seven nats an image. (The Gaussians, as far as their bound tells, do worse than independent pixels: the same idea, with the wrong $p(x\mid h)$.) But a mixture can only choose: to write ten digits, slanted or upright, bold or thin, it needs a prototype for every combination, and within one the pixels are independent, hence the
# ragged edges. A digit is not one thing out of a list. It is a little of this and more of that.
#
# ## 6. From a choice to a code: probabilistic PCA
#
# So let the hidden variable be a few *numbers*, $z \in \mathbb R^L$, and the sum become an integral. The simplest such model is linear and Gaussian throughout:
#
# $$z \sim \mathcal N(0, I), \qquad p(x\mid z) = \mathcal N(x;\, Wz + b,\, \sigma^2 I), \qquad
# p(x) = \int p(x\mid z)\,p(z)\,dz = \mathcal N(x;\, b,\, WW^\top + \sigma^2 I).$$
#
# (We write $z$ for hidden numbers, $h$ for a hidden choice.) Sums of Gaussians are Gaussian, so the integral is done. It even has its maximum in closed form (Tipping & Bishop, 1999): with $\lambda_1\ge\lambda_2\ge\dots$ the eigenvalues
# and $u_1, u_2, \dots$ the eigenvectors of the data's covariance,
#
# $$b = \text{mean of } x, \qquad \sigma^2 = \text{mean of } \lambda_{L+1},\dots,\lambda_{\dim}, \qquad W = \big[\,u_1\sqrt{\lambda_1-\sigma^2},\;\dots,\;u_L\sqrt{\lambda_L-\sigma^2}\,\big].$$
#
# That is principal component analysis with a density: **probabilistic PCA**. Its data are the same digits, with all their grey levels, 0 to 16, divided by 16.


# %%
def closed_form(x, latents):
    """W (dim, latents), b (dim,) and σ² of the largest likelihood."""
    b = x.mean(0)
    values, vectors = torch.linalg.eigh((x - b).T @ (x - b) / len(x))
    values, vectors = values.flip(0), vectors.flip(1)  # largest first
    variance = values[latents:].mean()
    return vectors[:, :latents] * (values[:latents] - variance).sqrt(), b, variance


grey = data.digits(levels=17)
scans = torch.cat([grey.train, grey.valid, grey.test]).flatten(1).double()  # all 1,797

# %% [markdown]
# ### Exercise 6 · The posterior of a code · ●●○ · 8 minutes
#
# Given $x$, what was $z$? Prior and likelihood are Gaussian, so the posterior $p(z\mid x)$ is too, with
#
# $$\mathbb E[z\mid x] = M^{-1} W^\top (x-b), \qquad \operatorname{Cov}[z\mid x] = \sigma^2 M^{-1}, \qquad M = W^\top W + \sigma^2 I .$$
#
# Write it for a batch. The covariance is the same for every $x$.


# %%
@exercise("latent/ppca_posterior")
def ppca_posterior(x, weight, bias, variance):
    """p(z|x): means (batch, L) and covariance (L, L), from x (batch, dim), W (dim, L), b (dim,), σ²."""
    ### BEGIN SOLUTION
    precision = weight.T @ weight + variance * torch.eye(weight.shape[1]).to(weight)
    inverse = torch.linalg.inv(precision)
    return (x - bias) @ weight @ inverse, variance * inverse
    ### END SOLUTION


# %%
check(ppca_posterior)

# %% [markdown]
# With two latents the posterior can be drawn: a map of the digits, with the uncertainty of a code as an ellipse.

# %%
theta = closed_form(scans, latents=2)
means, covariance = ppca_posterior(scans, *theta)
everything = torch.cat([grey.train_labels, grey.valid_labels, grey.test_labels])
show(
    plots.plot_codes(
        means[::2], everything[::2], covariance=covariance, title="E[z|x], and one standard deviation of p(z|x)"
    ),
    alt="A map of every second of the 1,797 digits by two latents. Digits of one class gather: zeros, fours and sixes stand apart, others overlap in the middle. "
    "Equal ellipses around one digit of each class are small beside the whole cloud, and wide enough to hold the codes of many other digits. Each ellipse bears its digit.",
)
eight = closed_form(scans, latents=8)
codes, spread = ppca_posterior(scans, *eight)
told = -0.5 * spread.diagonal().log()
print(
    "of 8 latents, posterior standard deviations:",
    [round(s, 2) for s in spread.diagonal().sqrt().tolist()],
    "(prior: 1)",
)
print("each latent tells, in nats:                 ", [round(t, 2) for t in told.tolist()])

# %% [markdown]
# Seeing the image narrows its first latent from a standard deviation of 1 to 0.2: that is ln 5 = 1.6 nats of information, and the later latents tell less and less.
#
# Is that the promised maximum? Three ways to it, with sixteen latents: the formula, the package's own class, and scikit-learn.

# %%
from sklearn.decomposition import PCA


def ppca_score(x, weight, bias, variance):
    """Mean log p(x) of probabilistic PCA, a number."""
    covariance = weight @ weight.T + variance * torch.eye(64).double()
    return float(torch.distributions.MultivariateNormal(bias, covariance).log_prob(x).mean())


sixteen = PPCA(Space.real(64), latents=16).double().estimate(scans)
print(f"closed form:  {ppca_score(scans, *closed_form(scans, 16)):.3f} nats an image")
print(f"PPCA:         {sixteen.log_prob(scans).value.mean():.3f}")
print(f"scikit-learn: {PCA(16).fit(scans.numpy()).score(scans.numpy()):.3f}")

# %% [markdown]
# One number (of a density, so it may be positive). What do such models see and draw? Each reconstruction below is $W\,\mathbb E[z\mid x] + b$.

# %%
torch.manual_seed(0)
shown = scans[:12]
rebuilt = {"digits": shown.view(-1, 1, 8, 8)}
for latents in (2, 8, 16):
    weight, bias, variance = closed_form(scans, latents)
    rebuilt[f"L = {latents}"] = (ppca_posterior(shown, weight, bias, variance)[0] @ weight.T + bias).view(-1, 1, 8, 8)
rebuilt["samples, L = 16"] = sixteen.sample(12).view(-1, 1, 8, 8)
show(
    plots.plot_images(rebuilt),
    alt="Twelve digits and their reconstructions. With two latents all are vague smears; with eight most can be read; with sixteen nearly all. "
    "Of the samples with sixteen latents a few could pass for digits; the others are strokes of several digits mixed, on a speckled ground.",
)

# %% [markdown]
# Reconstructing is one thing, generating another: for a sample the code comes from the prior. A Gaussian cloud of codes, mapped linearly, is a Gaussian cloud of images; between the digits it holds every mixture of their strokes. To keep them apart takes a curved map, and that brings us to
# networks.
#
# But first: how many latents? More always fit the training images better. So ask the held-out ones, for 100 and for all 1,300 training images.

# %%
learned, held_out = grey.train.flatten(1).double(), grey.valid.flatten(1).double()


sizes, lines, peaks = range(2, 43, 2), {}, {}
for n in (100, 1300):
    thetas = [closed_form(learned[:n], latents) for latents in sizes]
    for name, images in {"training": learned[:n], "validation": held_out}.items():
        lines[f"{name}, {n:,} images"] = (sizes, [ppca_score(images, *theta) for theta in thetas])
    values = lines[f"validation, {n:,} images"][1]
    peaks[n] = sizes[values.index(max(values))]
show(
    plots.plot_curves(lines, "latents L", "log p(x), nats per image"),
    alt=f"Log-likelihood against the number of latents, 2 to 42. Learned from 100 images: the training curve rises, the validation curve peaks at {peaks[100]} latents and then falls. "
    f"Learned from 1,300: both rise together.",
)
print(f"best on the validation images: {peaks[100]} latents from 100 images, {peaks[1300]} (the most drawn) from 1,300")
most = closed_form(learned, 56)
print(
    f"56 latents from 1,300 images: training {ppca_score(learned, *most):.1f}, validation {ppca_score(held_out, *most):.1f}, σ² = {most[2]:.0e}"
)

# %% [markdown]
# How many latents are worth having depends on how much there is to learn them from. The last line is section 4 again, in a continuous dress: some corner pixels hardly ever vary, so with enough latents nothing is left for $\sigma^2$. On the training images the density shoots up; on others it pays for it.
#
# ## 7. Bug hunt: EM for probabilistic PCA
#
# Probabilistic PCA has a latent variable, so it has an EM as well: the E-step is your posterior, and the M-step makes the bound largest,
#
# $$W = \Big[\sum_n (x_n-b)\,\mathbb E[z_n]^\top\Big]\Big[\sum_n \mathbb E[z_n z_n^\top]\Big]^{-1}, \qquad
# \sigma^2 = \frac1{n\cdot\dim}\sum_n \mathbb E\,\lVert x_n - b - W z_n\rVert^2 ,$$
#
# where all expectations are over the posterior, so that $\mathbb E[z_n z_n^\top] = \operatorname{Cov}[z_n] + \mathbb E[z_n]\,\mathbb E[z_n]^\top$. Multiplied out, the last one is $\lVert x_n-b\rVert^2 - 2\,\mathbb E[z_n]^\top W^\top (x_n-b) + \operatorname{tr}(\mathbb E[z_n z_n^\top]\, W^\top W)$. A colleague wrote it, and it runs.


# %%
def colleagues_m_step(centered, mean, covariance):
    cross = mean.T @ centered
    second = mean.T @ mean + covariance
    weight = torch.linalg.solve(second, cross).T
    error = centered.square().sum() - 2 * (cross.T * weight).sum() + (second * (weight.T @ weight)).sum()
    return weight, error / centered.numel()


def ppca_em(maximize, latents=8, iterations=150):
    """Mean log p(x) at each iteration, from a random W."""
    torch.manual_seed(0)
    weight, bias, variance = 0.1 * torch.randn(64, latents).double(), scans.mean(0), scans.var()
    path = []
    for _ in range(iterations):
        path.append(ppca_score(scans, weight, bias, variance))
        mean, covariance = ppca_posterior(scans, weight, bias, variance)  # E-step
        weight, variance = maximize(scans - bias, mean, covariance)  # M-step
    return path


goal = ppca_score(scans, *closed_form(scans, 8))
path = ppca_em(colleagues_m_step)
show(
    plots.plot_curves(
        {"the colleague's EM": (range(0, len(path), 4), path[::4])},
        "iteration",
        "log p(x), nats per image",
        level={"closed form": goal},
    ),
    alt=f"The colleague's log-likelihood rises to {max(path):.1f} nats within {path.index(max(path))} iterations, and then sinks, to {path[-1]:.1f} after {len(path)}. The closed form stands at {goal:.1f}.",
)

# %% [markdown]
# The likelihood falls, and section 3 has proved that EM's never does. So this is not EM: somewhere a line does not say what the formulas say. That is what a theorem is for. There is **one** bug; find it and mend it in place.
#
# ### Bug hunt · ●●● · 10 minutes


# %%
@exercise("latent/bug")
def ppca_m_step(centered, mean, covariance):
    """W (dim, L) and σ² from x − b (n, dim), E[z|x] (n, L) and Cov[z|x] (L, L), the same for every x."""
    cross = mean.T @ centered  # Σ E[z] (x − b)ᵀ: (L, dim)
    ### BEGIN SOLUTION
    second = mean.T @ mean + len(centered) * covariance  # Σ E[z zᵀ]: (L, L)
    ### BEGIN BUG
    # second = mean.T @ mean + covariance  # Σ E[z zᵀ]: (L, L)
    ### END SOLUTION
    weight = torch.linalg.solve(second, cross).T
    error = centered.square().sum() - 2 * (cross.T * weight).sum() + (second * (weight.T @ weight)).sum()
    return weight, error / centered.numel()


# %%
check(ppca_m_step)

# %%
mended = ppca_em(ppca_m_step)
print(f"the colleague's EM: {path[-1]:.3f} nats after {len(path)} iterations, {max(path):.3f} at its best")
print(f"mended:             {mended[-1]:.3f} nats; closed form: {goal:.3f}")
print(f"smallest step of the mended one: {torch.tensor(mended).diff().min():.0e} nats")

# %% [markdown]
# A posterior is more than its mean. With its covariance counted once, for 1,797 images, each code was taken for almost certain. Whoever does that believes that the codes explain more than they do, stretches $W$ a little at every round, and never stops. Keep this in mind for the next section, whose models take every code for certain.

# %% [markdown]
# ## 8. Autoencoders: a code without a probability
#
# Leave the probabilities of $z$ away, and let networks do the rest: an **encoder** maps $x$ to a code $z$ of a few numbers, a **decoder** maps $z$ back, and both learn to lose as little as possible on the way. The code is a **bottleneck**: 64 pixels must pass through it. This is an
# **autoencoder**.
#
# ### Exercise 7 · The loss of an autoencoder · ●○○ · 6 minutes
#
# The decoder gives a logit for each binary pixel, so $-\log p(x\mid z)$ is `F.binary_cross_entropy_with_logits(logits, x, reduction="none")`, summed over the pixels. The loss is its mean over the batch: how many nats it costs to name an
# image to someone who has its code.


# %%
@exercise("latent/autoencoder_loss")
def autoencoder_loss(x, encoder, decoder):
    """Cross-entropy of x under decoder(encoder(x)), in nats, summed over the pixels, averaged over the batch: x (batch, pixels) -> scalar."""
    ### BEGIN SOLUTION
    logits = decoder(encoder(x))
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1).mean()
    ### END SOLUTION


# %%
check(autoencoder_loss)


# %%
class MyAutoencoder(GenerativeModel):
    def __init__(self, space: Space, latents: int = 2, hidden: tuple = (128, 128)):
        super().__init__(space)
        self.latents = latents
        self.encoder = MLP(space.dim, hidden, latents)  # x -> z
        self.decoder = MLP(latents, hidden[::-1], space.dim)  # z -> logits

    def training_step(self, x, y=None):
        yield Step(autoencoder_loss(x.flatten(1), self.encoder, self.decoder))

    def trajectory(self, n, y=None):
        yield self.decode(torch.randn(n, self.latents, device=self.device))  # N(0, I): a guess, for nothing was agreed

    def encode(self, x, y=None):
        return self.encoder(x.flatten(1))

    def decode(self, z, y=None):
        return self.decoder(z).sigmoid().view(-1, *self.space.shape)


autoencoders = {}
for latents in (2, 8):
    torch.manual_seed(0)
    autoencoders[latents] = MyAutoencoder(digits.space, latents).to(device)
    history = fit(autoencoders[latents], digits, steps=1000, lr=2e-3, schedule="cosine")
    with torch.no_grad():
        left = autoencoder_loss(tested, autoencoders[latents].encoder, autoencoders[latents].decoder)
        scale = autoencoders[latents].encode(digits.train).std(0).mean()
    print(
        f"{latents} latents: a test image costs {left:.1f} nats, given its code; codes have a standard deviation of {scale:.0f}"
    )
plane = autoencoders[2]
with torch.no_grad():
    codes = plane.encode(digits.train)
show(
    plots.plot_codes(codes, digits.train_labels, title="codes of the training images"),
    alt="Codes of 1,300 digits in the plane, colored by digit. Zeros, sixes, fours, ones and sevens have sectors of their own, which spread from a crowded middle; threes and nines share the widest. "
    "Between the sectors, and beyond them, there are empty places.",
)

# %% [markdown]
# Compare the map of section 6: a curved map can pull digits apart that a linear one piles up. And yet PCA was no detour, for **a linear autoencoder is PCA**. Without hidden layers, and with squared error, the best that the decoder can do is to span the first
# principal directions (Baldi & Hornik, 1989; Bourlard & Kamp, 1988). Gradient descent finds them too:

# %%
torch.manual_seed(0)
centered = (scans - scans.mean(0)).float().to(device)
linear = Autoencoder(Space.real(64), latents=8, hidden=()).to(device)
fit(linear, centered, steps=1500, batch_size=512, lr=2e-2, schedule="cosine")
with torch.no_grad():
    mine = torch.linalg.qr(linear.decoder[-1].weight.cpu().double()).Q  # an orthonormal basis of what it can draw
    error = float(linear.reconstruction_error(centered).mean())
directions = eight[0] / eight[0].norm(dim=0)  # the first eight eigenvectors
cosines = torch.linalg.svdvals(mine.T @ directions).clamp(max=1)
angle = float(torch.rad2deg(torch.acos(cosines.min())))
pca_error = float(
    (scans - scans.mean(0)).mm(torch.eye(64).double() - directions @ directions.T).square().sum(-1).mean()
)
print(f"largest angle between the two subspaces: {angle:.3f}°")
print(f"squared error an image: {error:.4f} (linear autoencoder), {pca_error:.4f} (PCA)")

# %% [markdown]
# Same subspace, same error, and no probability anywhere: no $\sigma^2$, no prior, no $p(x)$. What that means for a generator is what we look at now.

# %%
predict(
    "Draw random codes and decode them: for the autoencoder with 8 latents, z ~ N(0, I). What comes out?",
    choices=(
        "Digits, as good as the reconstructions",
        "Digits, somewhat blurred",
        "Hardly a digit",
        "Always the same digit",
    ),
    answer=2,
    why="Training asked for one thing: that the codes of training images be decoded well. Where those codes lie was left open, and they lie several times farther out than N(0, I) reaches; "
    "of all other places the decoder has never heard.",
)

# %%
trainset = digits.train.flatten(1)


def nearest(images):
    """Pixels in which each image, rounded to ink and paper, differs from the nearest training image: (n,)."""
    ink = images.flatten(1).round()
    return (ink @ (1 - trainset).T + (1 - ink) @ trainset.T).amin(-1)


@torch.no_grad()
def random_codes(model, n=2000):
    """Random codes of an autoencoder by three recipes, each (n, latents)."""
    codes = model.encode(digits.train)
    scale = codes.std(0)  # in its units, one prior suits every direction
    *_, (weights, means, covariances) = em(codes / scale, 20, 60, 0, lambda x, r: steady_m_step(x, r, spread=0.3))
    parts = torch.distributions.MultivariateNormal(means, covariances)
    mixture = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(weights), parts)
    gaussian = torch.distributions.MultivariateNormal(codes.mean(0), torch.cov(codes.T))
    return {
        "N(0, I)": torch.randn(n, model.latents, device=device),
        "one Gaussian, fitted": gaussian.sample((n,)),
        "your mixture of 20, fitted": mixture.sample((n,)) * scale,
    }


rows = []
for latents, model in autoencoders.items():
    torch.manual_seed(0)
    vae = VAE(digits.space, latents, hidden=(128, 128)).to(device)  # lesson 04, for comparison
    fit(vae, digits, steps=1000, lr=2e-3, schedule="cosine")
    with torch.no_grad():
        decoded = {"codes of test images": model.decode(model.encode(digits.test))}
        decoded |= {name: model.decode(z) for name, z in random_codes(model).items()}
        decoded["N(0, I), variational"] = vae.decode(vae.prior(2000))
    usual = nearest(decoded["codes of test images"]).quantile(0.95)  # as far as 95% of the reconstructions stay
    rows += [(latents, name, f"{(nearest(group) > usual).float().mean():.1%}") for name, group in decoded.items()]
show(
    plots.plot_images({name: group[:12] for name, group in decoded.items()}),
    alt="Five rows of images decoded from eight latents. From codes of test images: digits. From N(0, I): grey fog. From one Gaussian fitted to the codes: digits and torn strokes. "
    "From the mixture, and from the variational autoencoder: mostly digits.",
)
Table(
    ("latents", "where the code comes from", "decoded images unlike any training image"),
    rows,
    "Unlike: in more pixels than 95% of the reconstructed test images (ties count as like)",
)

# %% [markdown]
# An autoencoder has **holes**: places that no training code is near, where the decoder draws whatever it likes. With eight latents $\mathcal N(0, I)$ misses the codes altogether; with two it falls into their crowded middle. One Gaussian fitted to them covers codes and holes alike. Your mixture, from sections 2 and 4, keeps to where codes are, and makes of an
# autoencoder something like a generator. (Ghosh et al., 2020, do this on purpose.) By this count it does about as well as a variational autoencoder, whose codes are at home in $\mathcal N(0, I)$ from the start. But it comes afterwards: nothing made the codes easy to model, what goes
# through the bottleneck was never charged for, and there is still no $p(x)$ to judge by. In lesson 04 one bound trains encoder, decoder and the distribution of the codes together.
#
# **Explore** the plane of your two-dimensional autoencoder: the points are codes of test images. (1) Walk from the zeros to the sixes, and on into places without points. Where do you leave the digits behind? (2) Go far out along one sector: what happens to its digit? (3) Find the place in the middle
# where the smallest step changes the digit.

# %%
explorers.LatentPad(plane, digits.test, digits.test_labels, extent=float(codes.abs().max().ceil()))

# %% [markdown]
# Between two codes lies a path, and it may cross a hole. **Explore.** (The arc turns from one code to the other, and keeps the distance from the center that both have.) (1) Which strip holds more real digits, the straight line in $z$ or the fade between pixels? (2) Find two digits whose path crosses a third. (3) Find a path through a hole.

# %%
explorers.InterpolationStrip(autoencoders[8], digits, first=2, second=7)

# %% [markdown]
# ## 9. What scale brings
#
# The same two ideas on MNIST, 59,000 images to learn from, 28×28 and binarized anew in every batch: a mixture of 500 products of Bernoullis, and a convolutional autoencoder with two latents. They were trained by
# `python -m dgmcourse train mixture-mnist` and `… autoencoder-mnist`, and ship with the course; nothing is downloaded. Beside them stand lesson 04's variational autoencoders.

# %%
rows = []
for name in ("mixture-mnist", "autoencoder-mnist", "vae-mnist-2d", "vae-mnist"):
    card = zoo.card(name)
    for what, number in card["numbers"].items():
        training = f"{card['training_seconds'] / 60:.0f} min, {card['hardware']}"
        rows.append((card["about"].split(",")[0], what, f"{number['kind']} {number['value']:.2f}".strip(), training))
for figure in zoo.card("mixture-mnist")["published"]:
    rows.append((figure["model"], figure["quantity"], f"= {figure['value']:.2f}", figure["source"]))
Table(
    ("model", "what", "test nats an image", "training, or source"),
    rows,
    "MNIST, all 10,000 test images, dynamically binarized unless the source says otherwise",
)

# %% [markdown]
# Read the kinds before the numbers. The mixture's is an exact $\log p(x)$; "integrated" is one too, summed over a fine grid of two latents. *ELBO* and *L_5000* are lower bounds, the second a tighter one, from 5,000 guesses an image (lesson 04). The autoencoder's is no $\log p(x)$ at all: it is what the image costs *once the code is known*, and nobody has paid for the code. It can be compared with the cost of the mean image, and with nothing else here.
# The 2015 figures are on a fixed binarization, so they say roughly where such a mixture lies, not which is better. And five hundred prototypes are ahead of the variational autoencoder with two latents, but far behind the one with forty.

# %%
large = zoo.load("mixture-mnist").to(device)
bottleneck = zoo.load("autoencoder-mnist").to(device)
landscape = zoo.load("vae-mnist-2d").to(device)
torch.manual_seed(0)
with torch.no_grad():
    faces = {
        "prototypes": large.probabilities[torch.multinomial(large.weights, 12)],
        "mixture, pixels drawn": large.sample(12),
        "autoencoder, random codes": next(bottleneck.trajectory(12)),
        "VAE, random codes": landscape.decode(landscape.prior(12)),
    }
show(
    plots.plot_images(faces, scale=0.5),
    alt="Rows of twelve images. Prototypes: soft digits. Samples of the mixture: their pixels drawn one by one, ragged like iron filings. Random codes of the autoencoder: digits, some blurred, some in shreds. "
    "Random codes of the variational autoencoder: digits, a few blends.",
)

# %% [markdown]
# Only in the second row are pixels drawn; the others show probabilities of ink, which always look smoother.
#
# **Explore** the plane of the large autoencoder. It is scaled so that the codes of its data have a standard deviation of 1 in every direction: a Gaussian fitted to them covers what you see. (1) Find the hole: a region where the decoder draws shreds. How far from the center does it begin? (2) Cross from
# a 0 to a 7. Which digits lie between, and is there a place where the image jumps? (3) Compare with the page at the head of lesson 04, made by networks of the same kind, with a bound in place of a bare reconstruction.

# %%
explorers.LatentPad(
    bottleneck,
    axes=bottleneck.code_factor.T.cpu(),
    origin=bottleneck.code_mean.cpu(),
    extent=3.0,
    background="images",
    size=260,
)

# %% [markdown]
# ## 10. How far from the truth?

# %%
streaks = mean_log_prob(test, pi, mu, sigma)
Table(
    ("model", "data", "value", "truth or strongest reference", "gap"),
    [
        (
            f"three Gaussians, {name}",
            "streaks, 5,000 fresh points",
            f"= {mean_log_prob(test, *theta):.4f}",
            f"= {streaks:.4f} (the density that made them)",
            f"{streaks - mean_log_prob(test, *theta):.4f}",
        )
        for name, theta in {"best of 20 starts": best, "worst": worst}.items()
    ]
    + [
        ("ELBO + KL, your function", "streaks, 300 iterations", "–", "log p(x), summed out", f"≤ {largest:.0e}"),
        (
            "PPCA, 8 latents, mended EM",
            "grey digits, all",
            f"= {mended[-1]:.4f}",
            f"= {goal:.4f} (closed form)",
            f"{goal - mended[-1]:.0e}",
        ),
        (
            "linear autoencoder, 8 latents",
            "grey digits, all",
            f"squared error {error:.4f}",
            f"{pca_error:.4f} (PCA)",
            f"{error - pca_error:.0e}; angle {angle:.3f}°",
        ),
        (
            f"{chosen} products of Bernoullis",
            "binary digits, test",
            f"= {bernoulli:.2f}",
            f"= {independent.value:.2f} (independent pixels)",
            "truth unknown",
        ),
        ("autoencoders", "binary digits", "no log p(x)", "–", "–"),
    ],
    "Nats for each example, unless it says otherwise; = exact",
)

# %% [markdown]
# Every $\log p(x)$ that you computed in this lesson was exact, because every hidden variable could be summed or integrated out. From now on that is a luxury.
#
# ## 11. The same five questions
#
# Asked of every family in this course.
#
# | | mixtures | probabilistic PCA | autoencoders |
# |---|---|---|---|
# | What does it assume? | One hidden choice; given it, a simple density. | A few Gaussian numbers, mapped linearly; round noise. | That a few numbers suffice to rebuild $x$. |
# | How does it learn? | EM: close the bound's gap, then raise the bound. | In closed form (or by EM). | By gradient descent on the reconstruction. |
# | How does it sample? | In one step: choose, then draw. | In one step: draw $z$, map, add noise. | It does not; with a density fitted to its codes, after a fashion. |
# | Can it score? | Yes, exactly. | Yes, exactly. | No. |
# | What is in its latent space? | Names of groups: $p(h\mid x)$. | Principal directions, with an uncertainty. | A curved map of the data, with holes. |
#
# **Strengths**: exact likelihoods, fits that can be read, uncertainty about what is hidden; of autoencoders, codes that keep what matters. **Limitations**: a mixture needs a component for every combination of causes; a linear map knows no strokes; an autoencoder is no distribution. Likelihoods of mixtures have many tops,
# some of them infinitely high. **Applications**: clustering, segmentation, speech, anomaly detection, compression, denoising, and as the ends of larger models: latent diffusion (lesson 08b) begins with an autoencoder.
#
# And their rows on the map of families, as in lesson 01 found out by asking each class of models.

# %%
evaluation.family_map(GaussianMixture, BernoulliMixture, PPCA, Autoencoder)

# %% [markdown]
# ## 12. You can now…
#
# - sum a hidden variable out without losing the number on the way;
# - learn by guessing it, and prove that each round helps;
# - write a lower bound for any guess, and say what is missing from it;
# - tell a healthy mixture from one that has fallen onto a point;
# - say what separates a code from a latent variable.
#
# **To go on with.** (1) Make the E-step hard: $q = 1$ for the best component, 0 for the others. Is the ELBO still a bound? What does its gap say now, and which well-known algorithm have you written? (2) Halfway between a mixture and PPCA lies a mixture *of* PPCAs. What are its hidden variables, and which of your functions can stay?
# (3) Add noise to the input of `MyAutoencoder`, and ask for the clean image. What becomes of the holes?
#
# **Further reading**
#
# - Dempster, Laird & Rubin, [Maximum Likelihood from Incomplete Data via the EM Algorithm](https://doi.org/10.1111/j.2517-6161.1977.tb01600.x), 1977: the paper that gave EM its name, with a dozen uses of it.
# - Neal & Hinton, [A View of the EM Algorithm that Justifies Incremental, Sparse, and Other Variants](https://www.cs.toronto.edu/~hinton/absps/em.htm), 1998: EM as climbing one bound with two hands; the step from here to lesson 04.
# - Tipping & Bishop, [Probabilistic Principal Component Analysis](https://doi.org/10.1111/1467-9868.00196), 1999: the closed form of section 6, and the EM of section 7.
# - Mattei & Frellsen, [Leveraging the Exact Likelihood of Deep Latent Variable Models](https://arxiv.org/abs/1802.04826), 2018: section 4's infinite likelihood, met again in deep models.
# - Bourlard & Kamp, [Auto-association by Multilayer Perceptrons and Singular Value Decomposition](https://doi.org/10.1007/BF00332918), 1988, and Baldi & Hornik, [Neural Networks and Principal Component Analysis](https://doi.org/10.1016/0893-6080(89)90014-2), 1989: why a linear autoencoder is PCA.
# - Hinton & Salakhutdinov, [Reducing the Dimensionality of Data with Neural Networks](https://doi.org/10.1126/science.1127647), 2006: deep autoencoders, and how far they go beyond PCA.
# - Ghosh et al., [From Variational to Deterministic Autoencoders](https://arxiv.org/abs/1903.12436), 2020: a density fitted to the codes afterwards, taken seriously.
# - Germain et al., [MADE](https://arxiv.org/abs/1502.03509), 2015: where the published mixtures of section 9 are found.

# %%
progress()
