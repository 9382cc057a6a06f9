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
# # Evaluation: which model is better, and who says so?
#
# In this lesson you write the numbers by which generative models are judged, put the judges themselves on trial, and then let all families of the course meet on the same digits.

# %%
from dgmcourse.lesson import Table, data, evaluation, plots, show, torch

grey = data.digits(levels=17)
held = torch.cat([grey.valid, grey.test]), torch.cat([grey.valid_labels, grey.test_labels])
sources = evaluation.Sources(grey.valid, grey.valid_labels, grey.train, grey.train_labels)
suspects = {"model A": "averages of two", "model B": "training set memorized", "model C": "nothing (control)"}
drawn = {name: evaluation.inject(fault, sources, 160, torch.Generator().manual_seed(1)) for name, fault in suspects.items()}  # fmt: skip
readings = {name: evaluation.readings(one, (grey.test, grey.test_labels), grey.train) for name, one in drawn.items()}
show(
    plots.plot_images({name: one[0][:14] for name, one in drawn.items()}),
    alt="Three rows of fourteen handwritten digits of 8×8 pixels. All are good; those of the first row are a little softer.",
)
Table(
    ("samples of", "Fréchet distance ↓", "precision ↑", "density ↑", "classifier, sure and varied ↑"),
    [
        (name, *(f"{r[key]:.{digits}f}" for key, digits in (("Fréchet", 1), ("precision", 2), ("density", 2), ("inception-style", 2))))
        for name, r in readings.items()
    ],
)  # fmt: skip

# %% [markdown]
# Three models, and four numbers for each that were invented to tell good models from bad ones. Which would you take? Row C are *new real digits*: there can be no better model. Row B are *training images*: that model has learned nothing but to copy. In row A each image is the *average* of two digits of one class. Three of the four numbers do not put C first, and none of them would have told you that B copies.
#
# A number is an answer; this lesson is about the questions.
#
# **Time** 110 minutes · **You need** lesson 01 (the three jobs, likelihood) and lesson 04 (encoder, evidence lower bound); the arena draws on all families · **You will be able to**
#
# - say of any log-likelihood what it is worth, and estimate one with a warning lamp;
# - write Fréchet and kernel distances, precision and recall, two-sample tests and a test for copies, and check each where nothing is wrong;
# - read a table of faults: which number sees which, which is blind, and which is *fooled*;
# - mend a comparison that the number of samples decides;
# - judge a scoreboard that ranks only what is known.

# %%
from dgmcourse import models
from dgmcourse.lesson import GenerativeModel, Kind, LogProb, begin, check, exercise, explorers, fit, hint, math, predict, progress, zoo  # fmt: skip

device = begin(seed=0)
digits = data.digits(levels=2)  # 8×8 pixels, black or white: 1300 to learn from, 200 to choose by, 297 to judge by


def judged_features(x):
    """What the course's classifier of digits sees in images: (n, 1, 8, 8) -> (n, 64)."""
    return evaluation.course_features(x).double()


# %% [markdown]
# Stuck in an exercise? `hint("evaluation/importance")` gives one more step at each call. A blank or wrong answer never stops you: the
# cells below then use the course's own version, and say so. Each section uses what the ones before it made: if a cell says that a name is
# not defined, choose *Run → Run All Above Selected Cell*. (All in this lesson is small and runs on the CPU.)
#
# ## 1. Three jobs, and what a number is worth
#
# Lesson 01 gave generative models three jobs. Each has its own numbers, and a model can be excellent in one and hopeless in another:
#
# | job | question | numbers of this lesson |
# |---|---|---|
# | density | how likely are new data? | $\ln p(x)$: exact, bounded, estimated |
# | samples | do they look like data, all of the data, and not like the training set? | Fréchet and kernel distances, precision and recall, two-sample tests, copies |
# | representation | does the latent space know what matters? | probes |
#
# First the density. The families differ in what they can say about $\ln p(x)$, and the course has marked it from the first lesson on: = **exact** (autoregressive models, flows, mixtures), ≥ **a lower bound** (the evidence lower bound of a VAE or a diffusion model), ≈ **an estimate** (annealed importance sampling for a Boltzmann machine, best forward *and* in reverse, so that the truth lies between), +C **up to a constant** (an energy), or nothing (a GAN).
# A bound may be loose, an estimate may be off: "−17.9, ≥" and "−17.5, =" do not tell which model is better.
#
# A bound can be made tighter, if one pays. Take $k$ codes $z_1 \dots z_k$ from a *proposal* $q(z\mid x)$; lesson 04's encoder is one. Each has the weight $w_i = p(x, z_i) / q(z_i\mid x)$, and the weights' mean is right on average:
#
# $$\mathbb E\Big[\frac1k\sum_i w_i\Big] = p(x), \qquad \ln\frac1k\sum_i w_i \;=:\; L_k, \qquad \mathbb E[L_k] \le \ln p(x).$$
#
# (Lesson 04 wrote $L_k$ for its encoder. New are other proposals, and the following.) How far may one trust it? If one weight outweighs all others, then $L_k$ rests on one sample. The **effective number** of samples is $(\sum_i w_i)^2 / \sum_i w_i^2$: it is $k$ if all weights are equal, and 1 if only one counts. Divided by $k$ it is a share, a warning lamp.
#
# ### Exercise 1 · A likelihood with a warning lamp · ●●○ · 10 minutes
#
# The logarithms of $p(x, z_i)$ and $q(z_i \mid x)$ come as tables with a row for each sample and a column for each image. They are numbers like −500: `exp` of them is 0 to a computer.


# %%
@exercise("evaluation/importance")
def importance_weighted(log_joint, log_q):
    """Two results: L_k in nats, (batch,), and the effective share of samples, (batch,), from two (samples, batch)."""
    ### BEGIN SOLUTION
    log_w = log_joint - log_q
    log_p = log_w.logsumexp(0) - math.log(len(log_w))
    share = 1 / log_w.softmax(0).square().sum(0) / len(log_w)
    return log_p, share
    ### END SOLUTION


# %%
check(importance_weighted)

# %% [markdown]
# A VAE with *two* latents is a fine place to try this, since an integral over a plane can be summed on a grid: its $\ln p(x)$ is exact to many digits. We take two proposals, the encoder $q(z \mid x)$, and the prior $p(z)$, which does not look at $x$ at all.

# %%
torch.manual_seed(0)
vae = models.VAE(digits.space, latents=2, hidden=(128, 128))
fit(vae, digits, steps=600, lr=2e-3, schedule="cosine", ema=0.99, keep_best=True)
some = digits.test[:100]
exact = float(evaluation.integrated_log_prob(vae, some, extent=7.0, nodes=300).value.mean())


@torch.no_grad()
def weighted_with(proposal, k):
    """Mean L_k over the images, and the mean effective share, with codes from a proposal: a distribution over (batch, 2)."""
    z = proposal.sample((k,))  # (k, batch, 2)
    log_prior = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)
    log_likelihood = vae.likelihood(z.flatten(0, 1)).log_prob(some.repeat(k, 1, 1, 1)).view(k, len(some))
    log_p, share = importance_weighted(log_prior + log_likelihood, proposal.log_prob(z))
    return float(log_p.mean()), float(share.mean())


encoder = vae.posterior(some)
blind = torch.distributions.Independent(torch.distributions.Normal(torch.zeros(len(some), 2), 1.0), 1)
numbers = (1, 4, 16, 64, 256, 1024)
torch.manual_seed(0)
weighed = {name: [weighted_with(q, k) for k in numbers] for name, q in (("encoder", encoder), ("prior", blind))}
show(
    plots.plot_curves({name: (numbers, [log_p for log_p, _ in found]) for name, found in weighed.items()}, "samples k", "mean of L_k, nats", level={"exact, by the grid": exact}, log="x"),
    alt="L_k against the number of samples on a logarithmic axis. With the encoder it lies just below the exact value from the first sample on; with the prior it begins far below and climbs towards it.",
)  # fmt: skip
elbo, tight = weighed["encoder"][0][0], weighed["encoder"][-1][0]
Table(
    ("proposal", *(f"k = {k}" for k in numbers)),
    [(f"{name}: effective share", *(f"{share:.1%}" for _, share in found)) for name, found in weighed.items()],
    f"exact: {exact:.2f} nats; encoder: L_1 = {elbo:.2f} (the evidence lower bound), L_1024 = {tight:.2f}",
)

# %% [markdown]
# With the encoder the bound is tight, and a large share of the samples counts. With the prior only a few per cent do: what is plotted still rises, and where it will stop one cannot see from the curve alone. A number without its kind, its $k$ and its lamp is half a number. (Look at the table, too, at $k = 1$: one sample always has the effective share 1. The lamp needs many.)
#
# ## 2. Likelihood and samples are different things
#
# Surely a model with a good likelihood makes good samples? Here is a good model, a MADE (lesson 07), and two mischief-makers:
#
# - **99 % coins**: draw from MADE with probability 0.01, else flip 64 fair coins. A mixture, so its likelihood is exact: $\ln p(x) = \ln\big(0.01\,p_{\text{MADE}}(x) + 0.99 \cdot 2^{-64}\big)$.
# - **the copyist**: draw a training image, and flip each pixel with probability 0.001 (lesson 01's kernel density, with a tiny bandwidth).

# %%
predict(
    "99 of 100 samples of the first mischief-maker are white noise. How many nats does its likelihood lose against MADE's?",
    choices=(
        "At most 4.6 nats",
        "About 25 nats, so that it is no better than independent pixels",
        "99 % of them",
        "All: the likelihood becomes that of coins, 64 ln 2 = 44.4 nats",
    ),
    answer=0,
    why="ln(0.01 p + something positive) ≥ ln p + ln 0.01, and ln 100 = 4.6. For images with thousands of pixels, where models differ by hundreds of nats, it is hardly noticed (Theis, van den Oord & Bethge, 2016).",
)


# %%
class MostlyCoins(GenerativeModel):
    """A share of a model's samples among fair coins."""

    def __init__(self, model, share: float):
        super().__init__(model.space)
        self.model, self.share = model, share

    def training_step(self, x, y=None):
        raise NotImplementedError("nothing is learned here")

    def trajectory(self, n, y=None):
        coins = (torch.rand(n, *self.space.shape) < 0.5).float()
        kept = torch.rand(n) < self.share
        yield torch.where(kept.view(-1, 1, 1, 1), self.model.sample(n), coins)

    def log_prob(self, x, y=None):
        of_model = self.model.log_prob(x).value + math.log(self.share)
        of_coins = torch.full_like(of_model, math.log(1 - self.share) - self.space.dim * math.log(2))
        return LogProb(torch.logaddexp(of_model, of_coins), Kind.EXACT)


torch.manual_seed(0)
made = models.MADE(digits.space, (500,), dropout=0.5)
fit(made, digits, steps=400, batch_size=100, lr=3e-3, schedule="cosine", ema=0.99, keep_best=True)
pixels = models.IndependentPixels(digits.space)
fit(pixels, digits, steps=300, batch_size=100, lr=3e-2)
copyist = models.KernelDensity(digits.space, len(digits.train), bandwidth=1e-3).remember(digits.train)
rivals = {"MADE": made, "99 % coins": MostlyCoins(made, 0.01), "the copyist": copyist, "independent pixels": pixels}
torch.manual_seed(0)
with torch.no_grad():
    samples = {name: model.sample(1000) for name, model in rivals.items()}
log_probs = {name: evaluation.average_log_prob(model, digits.test) for name, model in rivals.items()}
on_training = {name: evaluation.average_log_prob(model, digits.train) for name, model in rivals.items()}
show(
    plots.plot_images({name: x[:14] for name, x in samples.items()}, scale=0.42),
    alt="Four rows of black and white samples: MADE's are mostly digits; 99 % coins are noise; the copyist's are perfect digits; independent pixels are shapeless.",
)
Table(
    ("model", "ln p(x), test images", "the same, training images", "Fréchet distance of samples ↓"),
    [
        (name, str(log_probs[name]), f"= {on_training[name].value:.2f} nats", f"{evaluation.frechet_distance(judged_features(digits.test), judged_features(x)):.0f}")
        for name, x in samples.items()
    ],
)  # fmt: skip

# %% [markdown]
# Put the four in order by the second column, then by the last, and compare. The coins lose 4.6 nats, and are still two nats ahead of independent pixels, and six ahead of the copyist; nobody would call their samples digits. The copyist's samples are the best of all, as real images always are, and its likelihood is the worst: each new digit is a surprise to it. Neither number is wrong. They answer different questions.
#
# The middle column is the oldest trap: judged by its *training* images the copyist wins by ten nats. Whatever you measure, measure it on data that the model has never seen; and if you chose among models by a number, then measure the winner on data that the choice has not seen either. (That is what the 200 images "to choose by" are for.)
#
# What has the copyist learned, though? Samples have to be compared with *data*, not looked at one by one. The rest of this lesson, up to the table of faults, is about ways to compare two sets of points.
#
# ## 3. The Fréchet distance
#
# Pixels are a poor place to compare images: move a digit by one pixel, and it is far away. So images are first described by the *features* of a classifier, the inputs of its last layer. For photographs one takes the network Inception-v3, and the number below is the famous FID. Ours is a small classifier of digits, with 64 features, which ships with the course; its distances compare with no published one, and we call them distances **in course features**.
#
# Then both sets are described by a mean $\mu$ and a covariance $\Sigma$ each, as if they were Gaussian, and the squared **Fréchet distance** between two Gaussians has a closed form (Dowson & Landau, 1982; Heusel et al., 2017):
#
# $$d^2 = \|\mu_a - \mu_b\|^2 + \operatorname{tr}\Big(\Sigma_a + \Sigma_b - 2\,\big(\Sigma_a^{1/2}\,\Sigma_b\,\Sigma_a^{1/2}\big)^{1/2}\Big).$$
#
# In one dimension it is $(\mu_a - \mu_b)^2 + (\sigma_a - \sigma_b)^2$. The root of a matrix is the matrix whose square it is: for a covariance, take the roots of its eigenvalues.


# %%
def root(matrix):
    """The symmetric root of a covariance: root(S) @ root(S) = S."""
    values, vectors = torch.linalg.eigh(matrix)
    return vectors * values.clamp_min(0).sqrt() @ vectors.mT


# %% [markdown]
# ### Exercise 2 · The Fréchet distance · ●●○ · 10 minutes
#
# Covariances divide by $n - 1$, as `.cov()` does. It expects one variable in each *row*.


# %%
@exercise("evaluation/frechet")
def frechet(a, b):
    """The squared Fréchet distance, a scalar: points (n, d) and (m, d), each set described by its mean and covariance."""
    ### BEGIN SOLUTION
    cov_a, cov_b = a.T.cov(), b.T.cov()
    overlap = root(root(cov_a) @ cov_b @ root(cov_a))
    return (a.mean(0) - b.mean(0)).square().sum() + (cov_a + cov_b - 2 * overlap).trace()
    ### END SOLUTION


# %%
check(frechet)

# %%
plane = torch.randn(200_000, 2, generator=torch.Generator().manual_seed(0)).double()
moved = 2 * plane.flip(0) + torch.tensor([3.0, 0.0])
print(f"N(0, I) and N((3, 0), 2² I), 200,000 points each: {float(frechet(plane, moved)):.3f}; by the formula: 3² + 2·(2 − 1)² = 11")  # fmt: skip
real = judged_features(digits.test)
in_features = {"training images": judged_features(digits.train)} | {name: judged_features(x) for name, x in samples.items()}  # fmt: skip
Table(
    ("compared with 297 test images", "your Fréchet distance", "the package's"),
    [(name, f"{float(frechet(real, x)):.2f}", f"{evaluation.frechet_distance(real, x):.2f}") for name, x in in_features.items()],
)  # fmt: skip

# %% [markdown]
# Training images and test images are of one kind: *their* distance should be 0, and is not. Section 4 says why. Such a **floor** belongs beside every table of distances.
#
# ### Bug hunt · ●●○ · 8 minutes
#
# A colleague has no classifier at hand, and compares pixels. Some pixels vary more than others, so the colleague *standardizes* first: subtracts the mean and divides by the standard deviation (at least 0.05, since some pixels are always white). The same is to serve for every model that ever comes, so that their distances can be compared. They look reasonable. Then come images in negative, white on black.


# %%
def colleagues_prepared(real, fake):
    def standardized(x):
        return (x - x.mean(0)) / x.std(0).clamp_min(0.05)

    return standardized(real), standardized(fake)


ink = grey.test.flatten(1).double()
fresh = grey.valid.flatten(1).double()
oddities = {
    "new digits": fresh,
    "the same, half as dark": 0.5 * fresh,
    "the test images in negative": 1 - ink,
    "noise": torch.rand(200, 64, generator=torch.Generator().manual_seed(0)).double(),
}


def pixel_table(prepared, whose):
    """Fréchet distances of the oddities after a preparation."""
    rows = [(name, f"{evaluation.frechet_distance(*prepared(ink, x)):.2f}") for name, x in oddities.items()]
    return Table(("compared with test images", f"Fréchet distance, {whose} scale"), rows)


pixel_table(colleagues_prepared, "the colleague's")

# %% [markdown]
# Negatives are perfect, pale digits as good as new ones. There is **one** bug. Mend it.


# %%
@exercise("evaluation/bug")
def prepared(real, fake):
    """Both sets with every pixel on a common scale: (n, d), (m, d) -> (n, d), (m, d)."""
    ### BEGIN SOLUTION
    mean, std = real.mean(0), real.std(0).clamp_min(0.05)
    return (real - mean) / std, (fake - mean) / std
    ### BEGIN BUG
    # def standardized(x):
    #     return (x - x.mean(0)) / x.std(0).clamp_min(0.05)
    #
    # return standardized(real), standardized(fake)
    ### END SOLUTION


# %%
check(prepared)

# %%
pixel_table(prepared, "your")

# %% [markdown]
# Whatever is done to the images before they are compared is part of the measurement: scaling, cropping, resizing, saving as JPEG. Parmar et al. (2022) found that the FID varies widely with the routine that resizes, and that it may even *improve* when generated images are compressed, if the training images were.
#
# ## 4. Failure lab: a distance that can be gamed
#
# Why was the distance between training and test images not 0? To see it clearly, take data whose truth is known: a Gaussian in 64 dimensions, with the mean and covariance of the features of all 1797 digits. Draw *both* sets from it, so that the true distance is exactly 0.

# %%
predict(
    "Two sets from the same 64-dimensional Gaussian, n points each. What will the Fréchet distance do as n goes from 100 to 1000?",
    choices=(
        "Scatter around 0, less and less",
        "Stay above 0, and fall like 1/n",
        "Stay above 0, and fall like 1/√n",
        "Stay at exactly 0: the Gaussians are the same",
    ),
    answer=1,
    why="A squared distance cannot be below 0, so errors of the estimated means and covariances cannot cancel out: they all count as distance. Squared errors of estimates fall like 1/n.",
)

# %%
everything = judged_features(torch.cat([grey.train, held[0]]))
mean, cov = everything.mean(0), everything.T.cov()
triangle = torch.linalg.cholesky(cov)
generator = torch.Generator().manual_seed(0)


def draw(n, shift=0.0):
    """n points of the Gaussian, moved by a number in every direction: (n, 64)."""
    return mean + shift + torch.randn(n, 64, generator=generator, dtype=torch.float64) @ triangle.T


sizes = (100, 130, 200, 300, 500, 1000)
measured = [sum(float(frechet(draw(n), draw(n))) for _ in range(5)) / 5 for n in sizes]
theory = [evaluation.expected_frechet_bias(cov, n, n) for n in sizes]
show(
    plots.plot_curves({"measured, mean of 5": (sizes, measured), "theory": (sizes, theory)}, "points in each set", "Fréchet distance", level={"truth": 0.0}),
    alt="The Fréchet distance of two samples of one Gaussian against their size: about 70 at 100 points, falling like one over n to 6 at 1000 points; theory's curve lies on it. The truth is 0.",
)  # fmt: skip
fewer = evaluation.frechet_distance(draw(200)[:, :8], draw(200)[:, :8])
print(f"in the first 8 features alone, with 200 points: {fewer:.1f}, against {measured[2]:.1f} in all 64")

# %% [markdown]
# **Diagnosis**: the bias is about $c / n$, and $c$ grows with the number of features. So the distance can be gamed without touching the model: *draw more samples*. Two models, whose true distances we know:
#
# - **Ann's** is perfect: it draws from the truth. She shows 500 samples.
# - **Bob's** is off: its mean is moved, at a true squared distance of 4. He shows 5000 samples.
#
# Twelve rounds, each with new samples. Who wins?

# %%
shift = (4 / 64) ** 0.5  # in each of 64 directions
truth_of = {"Ann": 0.0, "Bob": evaluation.gaussian_frechet_distance(mean, cov, mean + shift, cov)}
rounds = [{"real": draw(5000), "Ann": draw(500), "Bob": draw(5000, shift)} for _ in range(12)]


def verdicts(distances):
    """Mean and standard deviation over the rounds, Ann's and Bob's, and how often Ann wins, from (rounds, 2)."""
    mean, std = distances.mean(0).tolist(), distances.std(0).tolist()
    return (*(f"{m:.1f} ± {s:.1f}" for m, s in zip(mean, std, strict=True)), f"{int((distances[:, 0] < distances[:, 1]).sum())} of {len(distances)}")  # fmt: skip


naive = torch.tensor([[frechet(one["real"], one[name]) for name in ("Ann", "Bob")] for one in rounds])
Table(("Fréchet distance", "Ann", "Bob", "Ann wins"), [("truth", "= 0.0", f"= {truth_of['Bob']:.1f}", "always"), ("all samples", *verdicts(naive))])  # fmt: skip

# %% [markdown]
# Bob wins, and should not. The first half of the **repair**: compare only numbers that were measured with equally many samples. The second half (Chong & Forsyth, 2020): measure the distance at several sizes $n$; it lies near a straight line in $1/n$; extend the line to $1/n = 0$.
#
# ### Exercise 3 · Infinitely many samples · ●○○ · 6 minutes
#
# Fit a line by least squares, *value + slope · t* with $t = 1/n$, and return the value. (The slope of least squares is the covariance of t and the values, divided by the variance of t, both with the same divisor; the line goes through both means. Nothing keeps the end of the line from falling below 0, and nothing should: see below.)


# %%
@exercise("evaluation/extrapolate")
def extrapolated(sizes, values):
    """The distance of infinitely many samples, a scalar: sizes n and distances, (k,) each."""
    ### BEGIN SOLUTION
    t = 1 / sizes
    slope = ((t - t.mean()) * (values - values.mean())).sum() / (t - t.mean()).square().sum()
    return values.mean() - slope * t.mean()
    ### END SOLUTION


# %%
check(extrapolated)


# %%
def at_size(real, fake, n, repeats=8):
    """The mean Fréchet distance of n random points of each set."""
    found = [
        frechet(*(s[torch.randperm(len(s), generator=generator)[:n]] for s in (real, fake))) for _ in range(repeats)
    ]
    return float(sum(found)) / repeats


fair_sizes = torch.tensor([150, 200, 300, 500])
curves = torch.tensor([[[at_size(one["real"], one[name], n) for n in fair_sizes.tolist()] for name in ("Ann", "Bob")] for one in rounds]).double()  # fmt: skip
limits = torch.tensor([[float(extrapolated(fair_sizes.double(), curve)) for curve in pair] for pair in curves])
places = [*(1 / fair_sizes).tolist(), 0.0]
show(
    plots.plot_curves(
        {name: (places, [*curves[:, i].mean(0).tolist(), float(limits[:, i].mean())]) for i, name in enumerate(("Ann", "Bob"))},
        "1/n  (at 0: your extrapolation)",
        "mean Fréchet distance",
    ),
    alt="Fréchet distances of Ann's and Bob's samples against one over n: two nearly straight, rising lines, Ann's below Bob's. Extended to 1/n = 0, Ann's ends near 0, Bob's near 4.",
)  # fmt: skip
Table(
    ("Fréchet distance", "Ann", "Bob", "Ann wins"),
    [
        ("truth", "= 0.0", f"= {truth_of['Bob']:.1f}", "always"),
        ("all samples", *verdicts(naive)),
        ("500 samples of each", *verdicts(curves[:, :, -1])),
        ("extrapolated", *verdicts(limits)),
    ],
    "mean ± standard deviation of 12 rounds",
)

# %% [markdown]
# With equally many samples the order is right. Extrapolated, the *values* are right as well, on average, and the order nearly always; in a single round they scatter, as 500 points are few for 64 dimensions, and may fall below 0. (`evaluation.unbiased_frechet_distance` does this for you.) For ranking, use equal numbers; for a number that others can compare, extrapolate. And a third way out is a distance that has no bias in the first place.
#
# ## 5. The kernel's view: no bias, some negatives
#
# Let $k(x, y)$ say how alike two points are, e.g. $k(x, y) = \exp(-\|x - y\|^2 / 2\sigma^2)$ with a *bandwidth* σ. If two sets come from one distribution, points are as alike *between* the sets as *within* them. The squared **maximum mean discrepancy** is what is missing (Gretton et al., 2012):
#
# $$\text{MMD}^2 = \mathbb E\,k(x, x') + \mathbb E\,k(y, y') - 2\,\mathbb E\,k(x, y), \qquad x, x' \sim p, \quad y, y' \sim q.$$
#
# With this kernel it is 0 *only* if $p = q$. The means over pairs are estimated from the points; and there is one trap. A point is always exactly like itself.
#
# ### Exercise 4 · MMD without bias · ●●○ · 8 minutes
#
# Within a set, average over pairs of *different* points: $n(n-1)$ of them. `torch.cdist(x, y)` is the table of all distances, one row for each x.


# %%
@exercise("evaluation/mmd")
def unbiased_mmd(a, b, bandwidth):
    """The unbiased estimate of MMD², a scalar: points (n, d) and (m, d), a Gaussian kernel with standard deviation `bandwidth`."""

    ### BEGIN SOLUTION
    def kernel(x, y):
        return (-torch.cdist(x, y).square() / (2 * bandwidth**2)).exp()

    def within(x):
        return (kernel(x, x).sum() - len(x)) / (len(x) * (len(x) - 1))

    return within(a) + within(b) - 2 * kernel(a, b).mean()
    ### END SOLUTION


# %%
check(unbiased_mmd)

# %% [markdown]
# Real digits against real digits, in pixels, 100 times for each size: once without bias, once with each point compared with itself as well. For σ take the *median heuristic*, the median distance between points.

# %%
all_pixels = torch.cat([grey.train, held[0]]).flatten(1).double()
sigma = evaluation.median_bandwidth(all_pixels[:500], all_pixels[500:1000])
counts, kernel_curves, below = (10, 20, 50, 100), {"without bias": [], "with bias": []}, {}
for n in counts:
    pairs = [all_pixels[torch.randperm(len(all_pixels), generator=generator)[: 2 * n]].chunk(2) for _ in range(100)]
    honest = torch.tensor([float(unbiased_mmd(a, b, sigma)) for a, b in pairs])
    kernel_curves["without bias"].append(float(honest.mean()))
    kernel_curves["with bias"].append(sum(evaluation.mmd(a, b, sigma, unbiased=False) for a, b in pairs) / len(pairs))
    below[n] = f"{float((honest < 0).float().mean()):.0%}"
show(
    plots.plot_curves({name: (counts, values) for name, values in kernel_curves.items()}, "points in each set", "mean MMD² of 100 pairs of sets", level={"truth": 0.0}),
    alt="Mean squared MMD of real digits against real digits: without bias 0 at every size; with bias about 0.08 at 10 points, falling towards 0.",
)  # fmt: skip
print("values below 0, without bias:", below)

# %% [markdown]
# On average the unbiased estimate is 0 at any size, and so it has to be *below* 0 about half of the time, or more often: a few large values are balanced by many small ones. A paper that never shows a negative value has clipped it. With the cubic kernel $(x\cdot y/d + 1)^3$ on $d$ features this is the **kernel distance** (the *kernel inception distance* of Bińkowski et al., 2018, if the features are Inception's): `evaluation.kernel_distance`, with a standard error.
#
# The price of having no bias is chance: whether 0.002 is much, one must ask in comparison with honest sets. We will, in section 9.
#
# ## 6. Precision and recall
#
# A single distance does not say *what* is wrong. Are the samples bad, or are some of the data missing? Two numbers tell more (Kynkäänniemi et al., 2019). Put a ball around each real point, as large as the distance to its $k$-th nearest neighbor among the real points (not counting itself). Together the balls mark where data are.
#
# - **Precision**: the share of *samples* that lie within at least one ball around a *real* point.
# - **Recall**: the other way round, the share of *real* points that lie within at least one ball around a *sample*.
#
# ### Exercise 5 · Precision and recall · ●●○ · 10 minutes
#
# In the table `torch.cdist(x, x)`, `.kthvalue(j, dim=1).values` is the j-th smallest entry of each row. The smallest is 0: the point itself.


# %%
@exercise("evaluation/precision_recall")
def precision_recall(real, fake, neighbors):
    """Precision and recall, two scalars: points (n, d) and (m, d); a ball reaches to the `neighbors`-th neighbor in its own set."""

    ### BEGIN SOLUTION
    def radii(x):
        return torch.cdist(x, x).kthvalue(neighbors + 1, dim=1).values

    distances = torch.cdist(real, fake)  # (real, fake)
    precision = (distances < radii(real)[:, None]).any(0).float().mean()
    recall = (distances < radii(fake)).any(1).float().mean()
    return precision, recall
    ### END SOLUTION


# %%
check(precision_recall)

# %%
torch.manual_seed(1)
lopsided = digits.train[digits.train_labels < 5]
coins = (torch.rand(1000, 1, 8, 8) < 0.5).float()
portraits = in_features | {"training images, only 0 to 4": judged_features(lopsided), "fair coins": judged_features(coins)}  # fmt: skip
rows = []
for name, x in portraits.items():
    precision, recall = precision_recall(real, x, 5)
    scores = evaluation.manifold_scores(real, x, 5)
    rows.append((name, f"{float(precision):.2f}", f"{float(recall):.2f}", f"{scores.density:.2f}", f"{scores.coverage:.2f}"))  # fmt: skip
Table(("compared with 297 test images, 5 neighbors", "precision", "recall", "density", "coverage"), rows)

# %% [markdown]
# The half with only the digits 0 to 4 keeps its precision and loses recall, as it should. But now look at the last row. *Fair coins* have a higher precision than MADE: nearly all of them are said to lie among digits! A second metric that can be gamed. Who lets them in?

# %%
radii = evaluation.neighbor_radii(real, 5)
inside = torch.cdist(real, judged_features(coins)) < radii[:, None]  # (real, coins)
hosts = inside.float().mean(1)
order = radii.argsort(descending=True)
show(
    plots.plot_images({"the largest balls": digits.test[order[:12]], "the smallest": digits.test[order[-12:]]}, scale=0.5),
    alt="Two rows of test images. Those with the largest balls are odd digits, broken or hard to read; those with the smallest are sixes, nearly all alike.",
)  # fmt: skip
smaller = inside[radii <= radii.median()].any(0).float().mean()
print(f"radii: median {float(radii.median()):.1f}, largest {float(radii.max()):.1f}")
print(f"of the coins, {float(hosts.max()):.0%} lie in the ball of one single test image, {float(inside[order[:10]].any(0).float().mean()):.0%} in the ten largest balls,")  # fmt: skip
print(f"and {float(smaller):.0%} in those balls that are not larger than the median")

# %% [markdown]
# **Diagnosis**: an odd digit is far from the others, so its ball is huge, and a handful of huge balls cover most of what the classifier can say about anything, coins included. (The features do their share. This classifier was trained on digits alone; of what is no digit it says something in between.) **Repair**: count *how many* balls a sample lies in, and ask each real ball whether it is visited at all (Naeem et al., 2020):
#
# $$\text{density} = \frac1{k\,m}\sum_{j=1}^{m} \big|\{i : \text{sample } j \text{ lies in the ball of real point } i\}\big|, \qquad \text{coverage} = \text{share of real balls that hold a sample}.$$
#
# Here $k$ is the number of neighbors, and $m$ that of samples. For two sets of one distribution density is 1 on average, and coverage near 1. Both are in the table: coins have about half of the density, and a third of the coverage. Not a beautiful verdict yet for pure noise; keep it in mind.
#
# ## 7. A classifier as a test
#
# Could both sets come from one distribution? If so, no classifier can tell them apart better than by chance (Lopez-Paz & Oquab, 2017). So train one, on half of the points, and see how often it is right about the *other* half, $t$ points in all. By chance the share of right guesses has mean ½ and variance $\frac14/t$; so
#
# $$z = \frac{\text{accuracy} - \frac12}{\sqrt{\frac14 / t}}$$
#
# is nearly standard normal if both are the same, and $z > 2.33$ happens in one of a hundred cases. Only that side counts: $z < 0$ says that the classifier was wrong more often than right, and has found nothing.
#
# ### Exercise 6 · A two-sample test · ●●○ · 10 minutes
#
# `train(points, labels)` returns a function `guess(points) -> labels`. Learn from the first half of a (label 0.0) and of b (label 1.0), and judge by the second halves. Both sets are of the same even size.


# %%
@exercise("evaluation/two_sample")
def two_sample(a, b, train):
    """The accuracy on unseen points and its z, two scalars: a, b (n, d); train((n, d), labels (n,)) -> guess."""
    ### BEGIN SOLUTION
    half = len(a) // 2
    labels = torch.cat([torch.zeros(half), torch.ones(half)])
    guess = train(torch.cat([a[:half], b[:half]]), labels)
    right = torch.cat([guess(a[half:]) == 0, guess(b[half:]) == 1]).float()
    return right.mean(), (right.mean() - 0.5) / (0.25 / len(right)) ** 0.5
    ### END SOLUTION


# %%
check(two_sample)


# %%
def logistic(points, labels):
    """Logistic regression: it can tell sets whose means differ."""
    log_posterior = evaluation.logistic_regression(points, labels.long(), penalty=1.0)
    return lambda x: log_posterior(x).argmax(-1).float()


def nearest(points, labels):
    """The label of the nearest point: it can tell any two sets, given enough points."""
    return lambda x: labels[torch.cdist(x, points).argmin(1)]


def shuffled(x):
    return x[torch.randperm(len(x), generator=generator)]


noisy = (grey.test + 0.15 * torch.randn(grey.test.shape, generator=generator)).clamp(0, 1)
held_pixels = held[0].flatten(1).double()
halves = [shuffled(held_pixels)[:496].chunk(2) for _ in range(100)]
null = torch.tensor([float(two_sample(one, other, nearest)[1]) for one, other in halves])
false_alarms = int((null > 2.33).sum())
print(f"real against real, 100 times, nearest neighbor: {false_alarms} alarms at z > 2.33; z is {float(null.mean()):+.2f} ± {float(null.std()):.2f}")  # fmt: skip
rows = []
for n in (40, 80, 160, 200):
    pairs = [(shuffled(grey.valid.flatten(1).double())[:n], shuffled(noisy.flatten(1).double())[:n]) for _ in range(10)]
    for name, train in (("nearest neighbor", nearest), ("logistic", logistic)):
        outcomes = torch.tensor([two_sample(a, b, train) for a, b in pairs])
        accuracy, z = outcomes.mean(0).tolist()
        rows.append((f"{n}, {name}", f"{accuracy:.2f}", f"{z:+.1f}", f"{int((outcomes[:, 1] > 2.33).sum())} of 10"))
Table(("points in each set, classifier", "accuracy", "z", "alarms"), rows, "new digits against noisy digits (σ = 0.15), in pixels, mean of 10")  # fmt: skip

# %% [markdown]
# Two warnings lie in this table. First, the *judge* matters: logistic regression sees the noise clearly (clipping it at white makes the background grey on average), the nearest neighbor not at all, with any of these numbers. A noisy image is far from everything, other noisy images included, so the nearest neighbor of *either* kind is mostly a clean one. That one classifier finds nothing proves nothing.
#
# Second, $z$ is not the size of the fault. It grows with the number of points: an accuracy of 0.52, hardly better than coins, is $z = 4$ when $t = 10\,000$ points are judged. A test says how *sure* a difference is; with enough samples every model fails every test. (The package's `classifier_two_sample_test` has an exact p-value; `permutation_test` makes a test of *any* number, by dealing the points to the two sets at random, again and again.)
#
# ## 8. Copies
#
# So far training images would pass every test with honors: they *are* real. To catch the copyist we need a third set. Measure how far each sample is from its *nearest training example*; and as a scale, how far *fresh* real examples are. If samples are nearer than fresh examples, they are copies (Meehan et al., 2020). With $n$ samples and $m$ fresh examples,
#
# $$U = \text{number of pairs in which the sample is farther} + \tfrac12 \cdot \text{number of ties}, \qquad z = \frac{U - nm/2}{\sqrt{nm(n + m + 1)/12}}.$$
#
# This is Mann and Whitney's test. Where nothing is copied, $z$ is nearly standard normal. Far below 0: copies. Far *above* 0: the samples are farther from the training set than real images are, noise for instance.
#
# ### Exercise 7 · A test for copies · ●●○ · 10 minutes


# %%
@exercise("evaluation/copying")
def copying_z(samples, train, test):
    """z, a scalar: samples (n, d), the training examples (l, d), fresh examples (m, d)."""
    ### BEGIN SOLUTION
    near, fresh = (torch.cdist(x, train).amin(1) for x in (samples, test))
    difference = near[:, None] - fresh  # (n, m)
    u = (difference > 0).sum() + 0.5 * (difference == 0).sum()
    n, m = difference.shape
    return (u - n * m / 2) / (n * m * (n + m + 1) / 12) ** 0.5
    ### END SOLUTION


# %%
check(copying_z)

# %%
train_pixels, fresh_pixels = grey.train.flatten(1), grey.test.flatten(1)
copying_rows = []
for share in (0.0, 0.1, 0.2, 0.5, 1.0):
    for noise in (0.0, 0.03):
        found_z = []
        for _ in range(40):
            one, other = shuffled(held[0].flatten(1))[:400].chunk(2)  # samples of an honest model; fresh examples
            copies = shuffled(train_pixels)[: int(200 * share)]
            copies = (copies + noise * torch.randn(copies.shape, generator=generator)).clamp(0, 1)
            found_z.append(float(copying_z(torch.cat([copies, one[len(copies) :]]), train_pixels, other)))
        alarms = sum(z < -2.33 for z in found_z) / len(found_z)
        copying_rows.append((f"{share:.0%}", f"{noise:g}", f"{sum(found_z) / len(found_z):+.1f}", f"{alarms:.0%}"))
Table(("copied", "noise on the copies", "mean z", "alarms (z < −2.33)"), copying_rows, "200 samples, of which a share are training images, 40 times")  # fmt: skip

# %%
Table(
    ("model", "your z, in pixels", "verdict"),
    [
        (name, f"{z:+.1f}", "copies" if z < -2.33 else "farther than fresh images" if z > 2.33 else "as fresh images")
        for name, z in ((name, float(copying_z(x.flatten(1), digits.train.flatten(1), digits.test.flatten(1)))) for name, x in samples.items())
    ],
    "the four models of section 2, 1000 samples each",
)  # fmt: skip

# %% [markdown]
# A tenth of copies among honest samples often hides from this test, a fifth hardly ever does, half never did; a little noise does not help the copyist. And among the four models the copyist is found at last. (A warning from large models: what makes only the most usual images lies near the training set, too, without having copied any. Stein et al., 2023, found no test that tells the two apart.)
#
# ## 9. The judges on trial
#
# Now all together. We need models whose faults are *known*, one at a time. So we take honest samples, real digits that neither model nor judge has ever seen, and spoil them on purpose:
#
# 1. **a class is missing**: no image of one digit (mode collapse, lesson 05);
# 2. **classes out of balance**: five digits make up four fifths of the set;
# 3. **training set memorized**: training images in place of new ones;
# 4. **blur**: half image, half its blurred self;
# 5. **averages of two**: the mean of two images of the same class. Every model that minimizes squared errors tends to this, and lessons 01, 04 and 09 found such images *more* likely than real ones: it is the fault that flatters;
# 6. **noise**: σ = 0.15 on every pixel;
# 7. **too few samples**: a fifth of them. That is no fault of the model at all, but of the person who measures.
#
# And a control, to which nothing is done. Thirteen judges: your distances, precision and its kin, tests and copies; an *inception-style score* (is the classifier sure of each image, and are its labels varied?); the *Parzen likelihood* of older papers (put a Gaussian on every sample, and take the likelihood of real images); and, for the third job, a *probe*: train a classifier on the samples and their labels, and test it on real images.
#
# Each cell is measured with 24 seeds, each of which deals the 497 held-out images anew into 199 real ones to compare with and a pool for "samples", 160 a set. The number in the cell is an **effect size**:
#
# $$\text{effect} = \frac{\text{mean with the fault} - \text{mean without}}{\text{standard deviation without}}, \quad\text{with the sign so that } + \text{ means "worse"}.$$
#
# Within ±1 (grey numbers) a single measurement tells next to nothing. Beyond +3 (dark orange) the fault is seen reliably. Below −1 (violet) the judge is *fooled*: it prefers the faulty set to an honest one.

# %%
everyone = evaluation.Sources(*held, grey.train, grey.train_labels)
spoilt = {fault: evaluation.inject(fault, everyone, 160, torch.Generator().manual_seed(3))[0] for fault in evaluation.FAULTS}  # fmt: skip
show(
    plots.plot_images({fault: x[:14] for fault, x in spoilt.items()}, scale=0.4),
    alt="Eight rows of digits, one for each fault and one for the control. By eye, only blur, noise, and to a lesser degree averages can be told from the control.",
)

# %%
predict(
    "The training set, memorized. How many of the thirteen judges will see it (effect above 3)?",
    choices=(
        "All of them: it is the worst fault of all",
        "About half: those that look at diversity",
        "One",
        "None",
    ),
    answer=2,
    why="Training images are real images, so whatever compares samples with real images is content. Only the test for copies looks at the training set at all.",
)

# %%
trial = evaluation.fault_table(grey, seeds=24)
show(
    plots.plot_effects(trial.faults, trial.metrics, trial.effects),
    alt="A table of eight faults against thirteen metrics. Fréchet distance, recall, coverage, and the inception-style score see missing or unbalanced classes; only copying z sees the memorized set; MMD and recall see blur and averages, which density and precision prefer; the Parzen likelihood prefers blur; too few samples upset the Fréchet distance, coverage, the inception-style score, the Parzen likelihood and the probe, not the unbiased ones; the control row is zero.",
)
print(f"chance alone, after 24 seeds: ± {trial.chance:.2f}")

# %%
seen = {name: [metric for metric, effect in zip(trial.metrics, line, strict=True) if effect > 3] for name, line in zip(trial.faults, trial.effects.tolist(), strict=True)}  # fmt: skip
fooled = {name: [metric for metric, effect in zip(trial.metrics, line, strict=True) if effect < -1] for name, line in zip(trial.faults, trial.effects.tolist(), strict=True)}  # fmt: skip
Table(("fault", "seen reliably by", "preferred to honest sets by"), [(name, ", ".join(seen[name]) or "–", ", ".join(fooled[name]) or "–") for name in trial.faults])  # fmt: skip

# %% [markdown]
# Take your time with this picture; it is the heart of the lesson. Read the rows:
#
# - The **control** is 0 everywhere, up to chance. Without that row one could believe none of the others.
# - **Memorized**: one judge in thirteen.
# - **Averages** please: density and precision prefer them, as samples in the middle of a class lie in many balls; so does the Parzen likelihood. The Fréchet distance does not notice. Recall does, since the edges of the classes are deserted, and so do the pixels' own kernels: the classifier's features *forgive* softness.
# - **Too few samples** is seen by all judges with a bias, who call a perfect model bad. The unbiased ones (kernel, MMD, two-sample tests) do not mind. Recall even prefers them: fewer samples have farther neighbors, so larger balls.
#
# Read the columns: **precision** alone sees nothing that we did to the images. (Every single image is still near some digit.) The **inception-style score** never looks at real images; it sees that classes are missing, and next to nothing of blur, noise, averages, copies. The **two-sample tests**, with 80 samples of each kind to learn from, see blur and little else. The **Parzen likelihood** prefers blur to truth; Theis et al. (2016) showed the same, and since then nobody should use it. **Copying z** is violet for noise and blur, and rightly so: it answers its own question, and noise is no copy.
#
# No row is orange all along, and no column. *There is no best metric*, only questions; a report needs one number for each: a distance with equal numbers of samples, recall or coverage beside precision or density, a test for copies, and the likelihood where there is one. The faults here are of one strength each, on one data set, in one classifier's features; other strengths give other numbers. (Change `blur` or the bandwidth in `evaluation/faults.py`, and look again.)
#
# ## 10. The third job: representation
#
# Is the latent space good for anything? Freeze it, and train a simple classifier on the codes: a **probe**. A *linear* probe (logistic regression) asks whether the labels lie on different sides of flat borders, a *nearest-neighbor* probe whether they lie together.

# %%
torch.manual_seed(0)
wide = models.VAE(digits.space, latents=8, hidden=(128, 128))
fit(wide, digits, steps=600, lr=2e-3, schedule="cosine", ema=0.99, keep_best=True)
at_random = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
codes = {
    "VAE, 2 latents": lambda x: vae.encode(x),
    "VAE, 8 latents": lambda x: wide.encode(x),
    "8 random directions": lambda x: x.flatten(1) @ at_random,
    "64 pixels": lambda x: x.flatten(1),
    "course features (learned *with* labels)": evaluation.course_features,
}
rows = []
with torch.no_grad():
    for name, code in codes.items():
        arguments = code(digits.train), digits.train_labels, code(digits.test), digits.test_labels
        rows.append((name, *(f"{p.value:.1%} ± {p.standard_error:.1%}" for p in (evaluation.linear_probe(*arguments), evaluation.knn_probe(*arguments)))))  # fmt: skip
Table(
    ("representation of binary digits", "linear probe", "nearest-neighbor probe"),
    rows,
    "share of 297 test labels; ± standard error",
)

# %% [markdown]
# Eight latents, learned without a single label, hold most of what the pixels say about labels; eight random directions much less, and two latents have lost about a third of the labels. Pixels show that the two probes may disagree: neighbors follow borders that are not flat. A probe, too, answers only what it is asked: labels. Where the *factors* of data are known (size, slant, font …), `mutual_information_gap`, `sap_score` and `dci` ask whether each latent means one thing.
#
# ## 11. What scale brings
#
# The models of MNIST that ship with the course were all measured by one yardstick, 5000 samples each, in the features of a classifier of MNIST. Their cards hold the numbers (`RESULTS.md` shows all, with published figures beside).

# %%
order = ("recognized", "Fréchet", "precision", "recall", "coverage", "copying z")
likelihoods = {}
for name in zoo.models():
    numbers = [entry for key, entry in zoo.card(name)["numbers"].items() if entry["kind"] and "y)" not in key]
    if numbers:
        best = max(numbers, key=lambda entry: entry["value"])
        others = [
            f"{entry['value']:.1f} … "
            for entry in numbers
            if entry["kind"] == best["kind"] == "≈" and entry is not best
        ]
        likelihoods[name] = f"{best['kind']} {''.join(others)}{best['value']:.1f}"
rows = []
for name in (*(n for n in zoo.names() if n not in zoo.models()), *zoo.models()):
    for images, entry in zoo.card(name).get("yardstick", {}).get("rows", {}).items():
        kind, what = images.split(": ")
        title = f"{kind}: {'real, ' + what if name not in zoo.models() else name.replace('-mnist', '')}"
        rows.append((title, likelihoods.get(name, "–"), *(f"{entry[key]['value']:.{0 if key == 'copying z' else 1 if key == 'Fréchet' else 2}f}" for key in order)))  # fmt: skip
Table(("images: model", "ln p(x), nats", *order), sorted(rows, key=lambda row: (row[0].split(":")[0], "real" not in row[0], row[0])), "MNIST, 28×28; likelihoods compare only among models of binary images, or among models of grey ones")  # fmt: skip

# %% [markdown]
# Look at two rows of binary images: `pixelcnn` has by far the better likelihood, `mixture` (500 products of Bernoullis) is more than forty nats behind; and its samples are no farther from real ones, and *more* of them are recognized. Here is section 2 again, without any mischief. The mixture's samples are prototypes with some noise: high precision, low recall. PixelCNN's are now and then scribbles, but every way of writing is among them. And look at the training images: by distance, precision and recall they are as good as new ones. Only the last column knows.
#
# ## 12. The arena
#
# All families meet: the same 1300 binary digits, the same seconds of training on one thread, the settings that their lessons arrived at, several seeds, one judge. It was played with `python -m dgmcourse arena` (you can play it again: it takes a while), and its result ships with the course. In brackets stands the place, or the *range* of places that is possible: a lower bound may be beaten by nobody or by everybody, and what is known up to a constant holds no place at all. Where nothing is in brackets, any place is possible, or none is held, or there was one run alone and nobody knows the number's error.

# %%
from dgmcourse.arena import Match, play, shipped, shipped_floor, shipped_samples

board = shipped()
columns = [name for name in ("log p(x)", "Fréchet", "recall", "coverage", "recognized", "copied", "probe", "ms/sample") if name in board.quantities]  # fmt: skip
show(
    plots.plot_images(
        {"real": digits.test[:16]}
        | {name: shipped_samples()[name][:16] for name in board.reports if name in shipped_samples()},
        scale=0.38,
    ),
    alt="Rows of samples, real digits first, then one row for each model of the arena, which differ in how sharp and how varied they are, from hardly distinguishable from real ones above to noise below.",
)
board.sorted_by("Fréchet").table(columns)

# %% [markdown]
# **Explore** this board. (1) Rank by Fréchet distance, then by log p(x): who changes places? (2) Make A the VAE and B MADE, and rank by log p(x): which is better? Read *why* it is decided, or not. (3) Look for two models of which one is certainly better in every quantity. Is there such a pair among the best five? (Tick *only the better half in the picture* to make room.)

# %%
explorers.ScoreboardExplorer(board, shipped_samples(), rank="Fréchet", against="log p(x)")

# %%
qualities, times, scores = (board.entries(name) for name in ("Fréchet", "ms/sample", "log p(x)"))
contenders = []
for name, entry in qualities.items():
    score = scores.get(name)
    known = None if score is None or score.kind is Kind.UNNORMALIZED else score.value
    contenders.append(plots.Contender(name, max(times[name].value, 1e-3), entry.value, known, str(score.kind) if score else ""))  # fmt: skip
show(
    plots.plot_pareto(contenders, shipped_floor(), "Fréchet distance in course features"),
    alt="Two pictures of all models of the arena: Fréchet distance against milliseconds a sample, and against minus the log-likelihood. A dotted line joins those that no other beats in both, a dashed line marks the distance of real images.",
)

# %%
firsts = {name: [model for model, (first, _) in board.places(name).items() if first == 1] for name in columns}
Table(
    ("quantity", "first, or possibly first"),
    [(name, ", ".join(leaders) if len(leaders) <= 9 else f"{len(leaders)} models") for name, leaders in firsts.items()],
)

# %% [markdown]
# No model is first in every row, and that is the result. In the pictures a dotted line joins those that nobody beats in *both* numbers, the **Pareto front**; it is short. On small black-and-white images, 1300 of them, two of the oldest families hold it: the restricted Boltzmann machine, whom nobody certainly beats in likelihood, Fréchet distance or probe; and a mixture of Bernoullis, which draws a sample in a small fraction of the time. Flows lose nats to dequantization (lesson 06), how many of them in truth and how many to the bound we cannot say. Many places are still open, with three seeds.
#
# So choose by what you need: likelihood, quality, speed; and by what is not in the pictures: a latent space, labels, an honest *no* to strange inputs. And this is *this* game, with little time and few data: in section 11, with images twelve times as large, PixelCNN and the VAE have passed the Boltzmann machine in likelihood, and the mixture has fallen some forty nats behind.
#
# Play three matches yourself, each with one or two seconds of training. And send in the two mischief-makers of section 2, whom you know. Which of the columns unmask them?

# %%
live = {name: play(Match("digits", name, 0, 1.5)).report for name in ("independent pixels", "mixture of Bernoullis", "MADE")}  # fmt: skip
live |= {name: evaluation.evaluate(rivals[name], digits, name=name) for name in ("99 % coins", "the copyist")}
evaluation.scoreboard(live, caption="your own match: binary 8×8 digits, 1.5 s of training each, one seed").table(
    columns
)

# %% [markdown]
# The copyist leads in samples, and the column *copied* says how; the coins' likelihood is respectable, and every other column laughs. (Whoever ranks by one number can be beaten by someone who read section 2.)
#
# ## 13. How far from the truth?

# %%
bias_at_200 = theory[sizes.index(200)]
Table(
    ("what", "value", "truth or strongest reference", "gap"),
    [
        ("VAE, 2 latents: L_1024 with the encoder, nats", f"≥ {tight:.3f}", f"= {exact:.3f} (grid)", f"{exact - tight:.3f}"),
        ("the same: evidence lower bound, nats", f"≥ {elbo:.3f}", f"= {exact:.3f} (grid)", f"{exact - elbo:.3f}"),
        ("99 % coins: loss of likelihood, nats", f"= {log_probs['MADE'].value - log_probs['99 % coins'].value:.3f}", f"≤ ln 100 = {math.log(100):.3f}", "–"),
        ("Fréchet distance of one Gaussian, 200 points", f"≈ {measured[2]:.1f}", f"≈ {bias_at_200:.1f} (theory); = 0", f"{measured[2]:.1f}"),
        *(
            (f"{name}'s distance, extrapolated", f"≈ {float(x.mean()):.1f} ± {float(x.std()) / len(x) ** 0.5:.1f}", f"= {truth_of[name]:.1f}", f"{abs(float(x.mean()) - truth_of[name]):.1f}")
            for name, x in zip(("Ann", "Bob"), limits.T, strict=True)
        ),
        ("MMD² of real digits, 100 points, no bias", f"≈ {kernel_curves['without bias'][-1]:+.4f}", "= 0", f"{abs(kernel_curves['without bias'][-1]):.4f}"),
        ("two-sample test: false alarms in 100", f"≈ {false_alarms}", "= 1 on average", f"{abs(false_alarms - 1)}"),
        ("control row of the trial: largest effect", f"≈ {float(trial.effects[-1].abs().max()):.2f}", f"= 0 (chance ± {trial.chance:.2f})", f"{float(trial.effects[-1].abs().max()):.2f}"),
    ],
    "= exact, ≥ lower bound, ≈ estimate",
)  # fmt: skip

# %% [markdown]
# ## 14. The same five questions
#
# Asked of every family in this course; here, for once, of its judges.
#
# | | likelihood | distances in features | precision, recall and kin | two-sample tests | test for copies | probes |
# |---|---|---|---|---|---|---|
# | What does it assume? | a density that can be computed | that the features see what matters | the same, and neighbors | exchangeable points | a fresh set, drawn as the training set was | labels that matter |
# | What does it need? | test data | as many samples everywhere | the same | enough points | all three sets | labels |
# | What does it see? | whether data are possible | means and covariances, or all that the kernel sees | what is wrong: quality or diversity | any difference, if large enough | copies | what a simple classifier can read |
# | What is it blind to? | bad samples among good ones | copies; what features forgive | copies; shares of classes | how large a difference is | everything else | everything else |
# | How is it gamed? | mixing noise in; training data in the test | more samples, other resizing | one outlier; averages | few points | a little distance | a classifier in disguise |
#
# **Strengths** of judging by numbers: it is cheap, repeatable, and sees what eyes do not, such as a missing class. **Limitations**: each number has a blind side, and whatever is optimized long enough stops to measure. **Applications**: choosing checkpoints and models, noticing regressions, deciding whether synthetic data may be used or whether they give training data away.
#
# And the map of all families, each asked what it can do:

# %%
evaluation.family_map()

# %% [markdown]
# ## 15. You can now…
#
# - put its kind, its number of samples and an effective share beside a likelihood;
# - write a Fréchet distance, extrapolate it, and say what its floor is;
# - estimate MMD² without bias, and welcome values below 0;
# - read precision and recall together, and ask about the largest balls;
# - test whether two sets differ, and whether samples are copies, with known false alarms;
# - choose metrics by the faults that you fear.
#
# **To go on with.** (1) Invent an eighth fault, e.g. images moved by one pixel, and add it to `evaluation.FAULTS`: which judge sees it? (2) Take the features of an *untrained* classifier, `evaluation.fault_table(grey, classifier=evaluation.DigitClassifier(grey.space, features=64).eval())`. Which columns change? (3) Train a model *against* a metric, for instance a generator that lowers the kernel distance in course features. What do its samples look like, and which other judge notices?
#
# **Further reading**
#
# - Theis, van den Oord & Bethge, [A note on the evaluation of generative models](https://arxiv.org/abs/1511.01844), 2016: sections 2 and 9 at their source; read it first.
# - Burda, Grosse & Salakhutdinov, [Importance Weighted Autoencoders](https://arxiv.org/abs/1509.00519), 2016: $L_k$. Wu et al., [On the Quantitative Analysis of Decoder-Based Generative Models](https://arxiv.org/abs/1611.04273), 2017: likelihoods of models that have none, by annealing, with the error known.
# - Heusel et al., [GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium](https://arxiv.org/abs/1706.08500), 2017: the FID. Chong & Forsyth, [Effectively Unbiased FID and Inception Score and where to find them](https://arxiv.org/abs/1911.07023), 2020: its bias, and the line in $1/n$. Parmar et al., [On Aliased Resizing and Surprising Subtleties in GAN Evaluation](https://arxiv.org/abs/2104.11222), 2022: preparation is part of the measurement.
# - Gretton et al., [A Kernel Two-Sample Test](https://jmlr.org/papers/v13/gretton12a.html), 2012, and Bińkowski et al., [Demystifying MMD GANs](https://arxiv.org/abs/1801.01401), 2018: section 5.
# - Salimans et al., [Improved Techniques for Training GANs](https://arxiv.org/abs/1606.03498), 2016: the inception score. Barratt & Sharma, [A Note on the Inception Score](https://arxiv.org/abs/1801.01973), 2018: why not.
# - Kynkäänniemi et al., [Improved Precision and Recall Metric for Assessing Generative Models](https://arxiv.org/abs/1904.06991), 2019; Naeem et al., [Reliable Fidelity and Diversity Metrics for Generative Models](https://arxiv.org/abs/2002.09797), 2020: section 6.
# - Lopez-Paz & Oquab, [Revisiting Classifier Two-Sample Tests](https://arxiv.org/abs/1610.06545), 2017; Meehan, Chaudhuri & Dasgupta, [A Non-Parametric Test to Detect Data-Copying in Generative Models](https://arxiv.org/abs/2004.05675), 2020: sections 7 and 8.
# - Alain & Bengio, [Understanding intermediate layers using linear classifier probes](https://arxiv.org/abs/1610.01644), 2016: section 10.
# - Stein et al., [Exposing flaws of generative model evaluation metrics and their unfair treatment of diffusion models](https://arxiv.org/abs/2306.04675), 2023: photographs, seventeen metrics and human judges, with whom no metric agreed strongly.

# %%
progress()
