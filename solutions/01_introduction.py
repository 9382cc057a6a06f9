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
# # What is a generative model?
#
# You can train a network to say what a picture shows. In this course you will train models that know what pictures are like: well enough to draw
# new ones, and to say how likely a given one is.

# %%
from dgmcourse.lesson import plots, show, torch, zoo

mixture, vae = zoo.load("mixture-mnist"), zoo.load("vae-mnist")
torch.manual_seed(0)
with torch.no_grad():
    each_alone = mixture.decode(mixture.weights[None])  # how often each pixel has ink
    drawn = {
        "each pixel\nfor itself": torch.bernoulli(each_alone.expand(10, -1, -1, -1)),
        "a mixture\n(lesson 02)": mixture.sample(10),
        "an autoencoder\n(lesson 04)": vae.sample(10),
    }
show(
    plots.plot_images(drawn, scale=0.8),
    alt="Three rows of ten samples. Where each pixel is drawn for itself there is a cloud of dots. The mixture draws digits that can be read, but are "
    "frayed. The variational autoencoder draws most of its digits in cleaner strokes.",
)

# %% [markdown]
# Three models have seen the same 59,000 handwritten digits, and each was then asked for more. No image in these rows was ever written by a hand. By the end of this lesson you will have
# built the first model, know what the second and third do better, by how much, and who says so.
#
# **Time** 100 minutes · **You need** PyTorch, as far as training a classifier, and what a Gaussian is · **You will be able to**
#
# - say what it means to learn a density $p(x)$, and go from densities to samples and back;
# - fit by maximum likelihood, and say in nats how far from the truth a model is;
# - predict what a model does when it cannot fit: forward and reverse KL divergence;
# - turn a generative model into a classifier, and know when that is a good idea;
# - catch a model that has learned its data by heart.

# %%
from dgmcourse.lesson import MLP, F, GenerativeModel, Kind, LogProb, Space, Step, Table, begin, check, data, evaluation, exercise, explorers, fit, hint, math, nn, plots, predict, progress, show, torch, zoo  # fmt: skip
from dgmcourse.models import VAE, BernoulliMixture, ClassConditionalGaussian, Gaussian, IndependentPixels, KernelDensity

device = begin(seed=0)

# %% [markdown]
# Stuck in an exercise? `hint("intro/bernoulli")` gives one more step at each call. A blank or wrong answer never stops you: the
# cells below then use the course's own version, and say so. Each section uses what the ones before it made: if a cell says that a name is
# not defined, choose *Run → Run All Above Selected Cell*.
#
# ## 1. What a classifier does not know
#
# We begin where you are at home: with a classifier. Its data lie in the plane, $x = (x_1, x_2)$, and have one of two labels, $y = 0$ or $1$. We made them up, so unlike in
# real life we know exactly where they come from: one class is a Gaussian, the other two of them. The density (or, for data that can be counted, the probability) that a model gives an $x$ is its *likelihood*; we always
# give its natural logarithm, in *nats*. (So log and ln mean the same here.)

# %%
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal


def groups(weights, means, covariance):
    """A density on the plane: some Gaussians of one covariance, chosen with these weights."""
    gaussians = MultivariateNormal(torch.tensor(means), torch.tensor(covariance))
    return MixtureSameFamily(Categorical(torch.tensor(weights)), gaussians)


def draw(classes, n):
    """n/2 examples of each class: x (n, 2) and y (n,)."""
    x = torch.cat([density.sample((n // 2,)) for density in classes])
    return x, torch.arange(2).repeat_interleave(n // 2)


def log_p(classes, x):
    """log p(x) of the truth, both classes being equally frequent: (batch, 2) -> (batch,)."""
    return torch.logaddexp(classes[0].log_prob(x), classes[1].log_prob(x)) - math.log(2)


round_ = [[0.8, 0.0], [0.0, 0.8]]
two_groups = groups([1.0], [[-2.0, -0.5]], round_), groups([0.7, 0.3], [[0.0, -0.5], [4.0, 1.5]], round_)
torch.manual_seed(0)
(x_train, y_train), (x_valid, y_valid), (x_test, y_test) = (draw(two_groups, n) for n in (400, 100, 1000))
points = data.Dataset("two groups", Space.real(2), x_train, x_valid, x_test, y_train, y_valid, y_test, classes=2)

# %% [markdown]
# And this is the training loop that you know. It is written out here once; every model of the course is trained by it, or by `fit`, which is the same with
# more conveniences, as we shall see.


# %%
def train(loss, parameters, examples, epochs, batch_size=100, lr=1e-2):
    """Lower loss(x, y) by changing the parameters, batch after batch."""
    optimizer = torch.optim.Adam(parameters, lr=lr)
    for epoch in range(epochs):
        for x, y in examples.batches(batch_size, seed=epoch):  # all examples once, each time in another order
            optimizer.zero_grad()  # forget the last gradient
            loss(x, y).backward()  # find a new one
            optimizer.step()  # and go a step downhill


torch.manual_seed(0)
classifier = nn.Linear(2, 2)  # logistic regression: one logit for each class
train(lambda x, y: F.cross_entropy(classifier(x), y), classifier.parameters(), points, epochs=100)


@torch.no_grad()
def classified(x):
    """The classifier's p(y = 1 | x)."""
    return classifier(x).softmax(-1)[:, 1]


def known(x):
    """The true p(y = 1 | x)."""
    return (two_groups[1].log_prob(x) - log_p(two_groups, x)).exp() / 2


show(
    plots.plot_class_maps({"what the classifier says": classified, "the truth": known}, x_train[::4], y_train[::4]),
    alt="The plane with the examples of both classes. The classifier cuts it in two by a straight line, and is sure everywhere but near that line, also in the corners, where no example lies. "
    "The truth is much the same.",
)
corner, middle = torch.tensor([[4.5, -4.5]]), torch.tensor([[0.0, -0.5]])
Table(
    ("x", "the classifier's p(y = 1 | x)", "the true one", "the true log p(x), nats"),
    [
        (name, f"{float(classified(x)):.4f}", f"{float(known(x)):.4f}", f"{float(log_p(two_groups, x)):.1f}")
        for name, x in {"(0, −0.5), amid class 1": middle, "(4.5, −4.5), a corner": corner}.items()
    ],
)

# %% [markdown]
# The classifier does its job: it learned $p(y\mid x)$, *given* an $x$, which label? But look at the lower right corner of either picture. The classifier is surer there than amid the examples of class 1, though nothing has ever been
# seen there, nor ever will be. (It is no mistake: *if* a point lay there, its label would hardly be in doubt, as the truth says too. Whether one can is what $p(y\mid x)$ cannot say.) So a classifier cannot notice what is strange; nor could it draw an $x$, if you asked it for one of class 1.
#
# Both need the other half of the story, the density $p(x)$:
#
# $$\underbrace{p(x, y)}_{\text{everything}} \;=\; \underbrace{p(y\mid x)}_{\text{discriminative}}\; \underbrace{p(x)}_{\text{what this course is about}} .$$
#
# A model of $p(y\mid x)$ is called **discriminative**; a model of $p(x)$, or of $p(x, y)$, or of $p(x\mid y)$, is called **generative**. It has three jobs:
#
# - **density**: say how likely an $x$ is;
# - **sampling**: draw a new $x$;
# - **representation**: find what an $x$ is made of, in fewer and more telling numbers than its pixels.
#
# No family of models is best at all three, which is why this course has ten lessons.
#
# ## 2. Samples and densities
#
# A density on the plane is a landscape: a volume of 1, piled up where $x$ is likely. Its samples are dots that fall more densely where the landscape is higher. Here are both for a toy
# of this course, the *moons*, whose density is known exactly.

# %%
moons = data.toy("moons")
show(
    plots.plot_densities({"samples": None, "the density": moons.truth.log_prob}, {"samples": moons.train[:600]}),
    alt="Left: six hundred dots form two interleaved half moons. Right: the density that they were drawn from, shaded, with contours that enclose half and 95 percent of the probability.",
)

# %% [markdown]
# **To learn $p(x)$ is to be given the left picture, and to find the right one.** The way back, from the right picture to the left, is sampling. Let us take that first.
#
# Cut the plane into small cells, and write the probability of each into a table. Then sampling is choosing a row of the table. Lay the probabilities end to end: together they fill the line from 0 to 1, and each row
# owns a piece as long as its probability. Throw a number $u$, uniform between 0 and 1, onto that line; the row whose piece it hits is the sample. The ends of the pieces are the *cumulative distribution function*
# (CDF), and looking up $u$ among them is to invert it.

# %%
show(
    plots.plot_inverse_cdf(torch.tensor([0.1, 0.3, 0.05, 0.35, 0.2]), torch.tensor([0.25, 0.62, 0.93]), "abcde"),
    alt="Left: a table of five outcomes, a to e, as bars. Right: its running sum as stairs. Three values of u on the vertical axis are followed sideways to the stairs and down: "
    "0.25 meets the step of b, 0.62 that of d, 0.93 that of e.",
)

# %% [markdown]
# ### Exercise 1 · Sampling by the inverse CDF · ●○○ · 8 minutes
#
# Row $k$ (counted from 0) owns the piece from $p_0 + \dots + p_{k-1}$, included, to $p_0 + \dots + p_k$, excluded. So the row that $u$ draws is the number of pieces that end at or below $u$.
# (`.cumsum(0)` gives the ends. `torch.searchsorted(ends, u, right=True)` counts fast; comparing every `u[:, None]` with every end and adding up does it as well.)


# %%
@exercise("intro/inverse_cdf")
def sample_by_inverse_cdf(probabilities, u):
    """The outcomes drawn by u: probabilities (outcomes,), summing to 1; u (n,) in [0, 1). Returns indices (n,), int64."""
    ### BEGIN SOLUTION
    return torch.searchsorted(probabilities.cumsum(0), u, right=True)
    ### END SOLUTION


# %%
check(sample_by_inverse_cdf)

# %% [markdown]
# With it we draw from the moons, cut into 200 × 200 cells.

# %%
side, cell = 200, 11 / 200
middles = (torch.arange(side, dtype=torch.float64) + 0.5) * cell - 5.5
table = moons.truth.log_prob(torch.cartesian_prod(middles, middles)).exp() * cell**2  # one row a cell: (40000,)
torch.manual_seed(0)
row = sample_by_inverse_cdf(table / table.sum(), torch.rand(600, dtype=torch.float64))
inside = (torch.rand(600, 2) - 0.5) * cell  # somewhere in the cell
from_table = torch.stack([middles[row // side], middles[row % side]], dim=1) + inside
print(f"{len(table):,} rows, which sum to {float(table.sum()):.4f}")
both = {"samples from the table": from_table, "samples of the toy itself": moons.train[:600]}
show(
    plots.plot_densities(dict.fromkeys(both), both),
    alt="Two pictures of six hundred dots in the form of two half moons: those drawn from the table of cells, and those drawn by the toy itself. They cannot be told apart.",
)

# %% [markdown]
# With a table everything is solved: to score an $x$, look up its row; to sample, throw $u$; to *learn* the table, count how many examples fall into each cell. So why is there anything left to do?
#
# ## 3. The table that does not fit
#
# Our real data are 8×8 scans of handwritten digits, ink or paper: $x \in \{0, 1\}^{64}$, with 1 for ink. There are 1,300 to learn from, 200 to choose models by (*valid*), and 297 that we only look at to judge
# (*test*). (To get a feeling for the unit: the throw of a fair coin costs $-\ln\frac12 = 0.69$ nats.)

# %%
digits = data.digits(levels=2).to(device)
show(
    plots.plot_images(digits.train[:24], columns=12),
    alt="Two rows of twelve handwritten digits, eight by eight black and white pixels each.",
)
digits

# %% [markdown]
# Let us learn the table by counting, first of the middle 2×2 pixels alone, then of larger and larger cuttings.


# %%
def cuttings(x, side):
    """The middle side×side pixels of each image, as a tuple: a row of the table."""
    first = (8 - side) // 2
    return list(map(tuple, x[..., first : first + side, first : first + side].flatten(1).int().tolist()))


rows = []
for side in (2, 3, 4, 5, 6, 8):
    seen, asked = set(cuttings(digits.train, side)), cuttings(digits.test, side)
    new = sum(image not in seen for image in asked) / len(asked)
    rows.append((f"{side}×{side}", f"{2.0 ** (side * side):,.0f}", f"{len(seen):,}", f"{new:.1%}"))
Table(
    ("cutting", "rows of the table", "of them seen in training", "test images never seen"),
    rows,
    "Learning by counting, from 1,300 examples",
)

# %% [markdown]
# At 2×2 the table is perfect. At 8×8 it has 2⁶⁴ rows; we have seen next to none of them, and to 19 of 20 new images the table gives the probability 0. No amount of data that anyone will ever have mends that. Only an **assumption** does: a rule that
# says how rows that were seen bear on rows that were not. A model *is* such an assumption, a short way to write down a long table. Every lesson of this course is about one.
#
# The simplest: each pixel is a coin of its own, thrown without regard to the others. Then 64 numbers are enough,
#
# $$p(x) = \prod_{i=1}^{64} p_i^{x_i} (1-p_i)^{1-x_i}, \qquad \ln p(x) = \sum_{i=1}^{64} \big( x_i \ln p_i + (1-x_i)\ln(1-p_i) \big).$$
#
# ### Exercise 2 · Log-likelihood of independent pixels · ●○○ · 8 minutes


# %%
@exercise("intro/bernoulli")
def bernoulli_log_likelihood(x, p):
    """log p(x) of each image, in nats: x (batch, pixels), 0 or 1; p (pixels,), the probability of ink. Returns (batch,)."""
    ### BEGIN SOLUTION
    return (x * p.log() + (1 - x) * (1 - p).log()).sum(-1)
    ### END SOLUTION


# %%
check(bernoulli_log_likelihood)

# %% [markdown]
# Which $p_i$? The share of training images with ink at pixel $i$; we shall see in a moment why. With one correction: in the corners no training image has ink, and a $p_i$ of 0 would make any image that has some
# impossible, $\ln 0 = -\infty$. So we pretend to have seen one image more that is all ink, and one that is all paper. (These are called *pseudo-counts*.)

# %%
x_digits, x_unseen = digits.train.flatten(1), digits.test.flatten(1)
share = (x_digits.sum(0) + 1) / (len(x_digits) + 2)
independent = float(bernoulli_log_likelihood(x_unseen, share).mean())
coins = 64 * math.log(0.5)  # 64 fair coins: every image equally likely
print(f"log p(x) of a test image, on average: {independent:.2f} nats; of 64 fair coins: {coins:.2f} nats")

# %%
predict(
    "What will samples of this model look like?",
    choices=(
        "Digits, with some noise",
        "All alike: the average digit",
        "Fog: ink where digits often have ink, but no strokes",
        "Pure noise, the same everywhere",
    ),
    answer=2,
    why="Every pixel is drawn with the right frequency, and without a look at its neighbors. A stroke is an agreement among neighbors.",
)

# %%
torch.manual_seed(0)
fog = (torch.rand(12, 64, device=device) < share).float()  # a coin is the shortest table: ink owns the piece [0, p)
show(
    plots.plot_images({"test images": digits.test[:12], "samples": fog.view(-1, 1, 8, 8)}),
    alt="Twelve test digits, and below them twelve samples of independent pixels: specks, denser in the middle, without any strokes.",
)

# %% [markdown]
# ### A unit for all images
#
# A model of larger images has more to explain, so it loses more nats. To compare across sizes, one gives the cost of one *dimension*, in bits. (Why bits? An ideal compressor that knows $p$ writes $x$ in
# about $-\log_2 p(x)$ of them; that is Shannon's theorem. A better density is a better zip.) An image of shape (channels, height, width) has as many dimensions as numbers.
#
# ### Exercise 3 · Bits per dimension · ●○○ · 5 minutes
#
# Turn log-likelihoods in nats into costs in bits per dimension. One bit is $\ln 2$ nats.


# %%
@exercise("intro/bits_per_dim")
def bits_per_dim(log_prob, shape):
    """−log₂ p(x) per dimension: log_prob (batch,), nats; shape, that of one image, e.g. (3, 32, 32). Returns (batch,)."""
    ### BEGIN SOLUTION
    return -log_prob / (math.prod(shape) * math.log(2))
    ### END SOLUTION


# %%
check(bits_per_dim)

# %%
costs = bits_per_dim(torch.tensor([coins, independent]), digits.space.shape)
print(f"64 fair coins: {float(costs[0]):.3f} bits per dimension; independent pixels: {float(costs[1]):.3f}")

# %% [markdown]
# ### The same loop, another loss
#
# Why was counting right? Because those $p_i$ make the training images as likely as this model can: they maximize $\frac1n \sum_n \log p_\theta(x_n)$, the **log-likelihood**, over the parameters θ. You could find that by
# setting a derivative to zero. Or by your training loop, from section 1, unchanged. The loss of a classifier was $-\log p(y\mid x)$. The loss of a generative model is $-\log p(x)$:

# %%
logits = torch.zeros(64, device=device, requires_grad=True)  # p = sigmoid(logit) is ½ at the start


def minus_log_p(x, y):
    return -bernoulli_log_likelihood(x.flatten(1), logits.sigmoid()).mean()


train(minus_log_p, [logits], digits, epochs=20, lr=0.05)
learned = logits.detach().sigmoid()
by_loop = float(bernoulli_log_likelihood(x_unseen, learned).mean())
print(f"probabilities of ink: within {float((learned - share).abs().max()):.4f} of those found by counting")
print(f"log p(x) of a test image: {by_loop:.2f} nats, by counting {independent:.2f}")

# %% [markdown]
# (A little worse, as it has not quite arrived: it began at ½, and where no training image has ink it stands at 0.013 after 20 epochs, where counting says 0.0008. Train longer, and the difference goes.) That is all there is to training a generative model whose density can be written down. Half of the families in this course differ only in what stands in place of
# `bernoulli_log_likelihood`.
#
# In the course every model is a `GenerativeModel`, with three methods. `log_prob` scores. `trajectory` yields the states on the way to a sample; here that is only the sample. `training_step` yields its loss: the loop makes its update, then comes
# back and asks for more. (Here there is no more. A GAN, in lesson 05, yields the critic's loss, then the generator's.) `fit` is the loop, for all of them.


# %%
class Pixels(GenerativeModel):
    def __init__(self, space: Space):
        super().__init__(space)
        self.logits = nn.Parameter(torch.zeros(space.dim))

    def log_prob(self, x, y=None):
        return LogProb(bernoulli_log_likelihood(x.flatten(1), self.logits.sigmoid()), Kind.EXACT)

    def training_step(self, x, y=None):
        yield Step(-self.log_prob(x).value.mean())

    def trajectory(self, n, y=None):
        ink = torch.rand(n, self.space.dim, device=self.device) < self.logits.sigmoid()
        yield ink.float().view(n, *self.space.shape)


pixels = Pixels(digits.space).to(device)
fit(pixels, digits, steps=20 * 13, batch_size=100, lr=0.05)  # 20 epochs of 13 batches
difference = float((pixels.logits - logits).detach().abs().max())
print(f"largest difference between a logit of `fit` and one of the loop above: {difference:.1e}")
print(f"log p(x) of a test image: {evaluation.average_log_prob(pixels, digits.test)}")

# %% [markdown]
# The same batches in the same order, the same steps, the same numbers. From here on we use `fit`, which also draws curves, keeps the best weights, and runs on GPUs. The `=` before the number says that it is exact. (You will meet
# `≥`, a lower bound, `≈`, an estimate, and `+C`, up to a constant that nobody knows. The ± is the standard error of the mean over the 297 test images.)
#
# ## 4. Maximum likelihood
#
# On the plane, where we know the truth, we can see what maximum likelihood does. Our assumption now: the density is **Gaussian**, with a mean $\mu$ and a covariance matrix $\Sigma$,
#
# $$\ln q(x) = -\tfrac12 (x-\mu)^\top \Sigma^{-1} (x-\mu) - \tfrac12 \ln\det\Sigma - \tfrac{d}{2} \ln 2\pi ,$$
#
# in $d$ dimensions. Its log-likelihood has one maximum, and setting its derivatives to zero gives it in closed form: the mean and the covariance of the data themselves,
#
# $$\mu = \frac1n \sum_n x_n, \qquad \Sigma = \frac1n \sum_n (x_n - \mu)(x_n - \mu)^\top .$$
#
# (With $1/n$. The $1/(n-1)$ that you may remember makes Σ right on average; it is not where the likelihood is largest.)
#
# ### Exercise 4 · The Gaussian of largest likelihood · ●●○ · 8 minutes


# %%
@exercise("intro/gaussian_mle")
def gaussian_mle(x):
    """Mean and covariance that maximize the likelihood: x (n, dim). Returns (mean, covariance): (dim,), (dim, dim)."""
    ### BEGIN SOLUTION
    mean = x.mean(0)
    centered = x - mean
    return mean, centered.T @ centered / len(x)
    ### END SOLUTION


# %%
check(gaussian_mle)

# %%
gaussian = MultivariateNormal(*gaussian_mle(moons.train))
show(
    plots.plot_densities({"the truth": moons.truth.log_prob, "the best Gaussian": gaussian.log_prob}, moons.test[:400]),
    alt="Left: the contours of the true density follow the two moons. Right: those of the most likely Gaussian are two ellipses that cover both moons, and the empty space between them.",
)
true_nats = float(moons.truth.log_prob(moons.test).mean())
gaussian_nats = float(gaussian.log_prob(moons.test).mean())
gap = true_nats - gaussian_nats
print(
    f"log p(x) of new samples: the truth {true_nats:.3f}, the Gaussian {gaussian_nats:.3f}, gap {gap:.3f} nats a point"
)

# %% [markdown]
# It is the best Gaussian there is; it is the *assumption* that is wrong. More data or a better optimizer would not help, and the gap, nine tenths of a nat a point, says by how much. What kind of number is that gap?
#
# ## 5. What is lost: the KL divergence
#
# Let $p$ be the truth and $q$ the model. On endless new data, the gap is the average of $\log p(x) - \log q(x)$ over $x \sim p$. That is the **Kullback–Leibler divergence** of $q$ from $p$:
#
# $$\mathrm{KL}(p\,\|\,q) = \mathbb E_{x\sim p}\left[\log\frac{p(x)}{q(x)}\right] = \underbrace{\mathbb E_p[\log p(x)]}_{-\text{entropy of } p} - \underbrace{\mathbb E_p[\log q(x)]}_{\text{log-likelihood of } q} \;\ge\; 0 ,$$
#
# and it is 0 only for $q = p$. (Why never negative? $-\mathbb E_p[\log \frac{q}{p}] \ge -\log \mathbb E_p[\frac{q}{p}] = -\log 1 = 0$, since the log is concave: Jensen's inequality.) The entropy of $p$ does not depend on the model. So
#
# **the model of largest likelihood is the model of smallest KL from the truth.**
#
# We never see $p$; but we need not, its samples are enough. That is why maximum likelihood rules this course. Here is the KL of our Gaussian by summing over the cells of section 2, beside the gap that the test points gave:

# %%
cells = torch.cartesian_prod(middles, middles)
log_truth, log_gaussian = moons.truth.log_prob(cells), gaussian.log_prob(cells.float())
kl_on_grid = float((table * (log_truth - log_gaussian)).sum())
print(f"KL(moons ‖ Gaussian), on the grid: {kl_on_grid:.3f} nats; gap on {len(moons.test):,} test points: {gap:.3f}")

# %% [markdown]
# Between two Gaussians on the line, the average can be taken by hand. All that it needs is $\mathbb E_p[(x-\mu_q)^2] = \sigma_p^2 + (\mu_p - \mu_q)^2$:
#
# $$\mathrm{KL}\big(\mathcal N(\mu_p, \sigma_p^2)\,\|\,\mathcal N(\mu_q, \sigma_q^2)\big) = \ln\frac{\sigma_q}{\sigma_p} + \frac{\sigma_p^2 + (\mu_p-\mu_q)^2}{2\sigma_q^2} - \frac12 .$$
#
# ### Exercise 5 · KL between Gaussians · ●○○ · 8 minutes
#
# Here σ is the standard deviation, and σ² the variance.


# %%
@exercise("intro/gaussian_kl")
def gaussian_kl(mean_p, std_p, mean_q, std_q):
    """KL(N(mean_p, std_p²) ‖ N(mean_q, std_q²)), in nats, of each pair: four tensors of one shape -> that shape."""
    ### BEGIN SOLUTION
    return (std_q / std_p).log() + (std_p.square() + (mean_p - mean_q).square()) / (2 * std_q.square()) - 0.5
    ### END SOLUTION


# %%
check(gaussian_kl)

# %% [markdown]
# `data.LineMixture` is a mixture of Gaussians on the line whose divergences are integrated numerically, to many digits. With a single component each it tells whether your formula is right.

# %%
rows = []
for p, q in (((0.0, 1.0), (0.0, 3.0)), ((0.0, 3.0), (0.0, 1.0)), ((0.0, 1.0), (2.0, 1.0)), ((1.0, 0.5), (-1.0, 2.0))):
    mine = float(gaussian_kl(*(torch.tensor(value, dtype=torch.float64) for value in (*p, *q))))
    integral = data.LineMixture(p[:1], p[1:]).kl(data.LineMixture(q[:1], q[1:]))
    rows.append((f"N({p[0]:g}, {p[1]:g}²)", f"N({q[0]:g}, {q[1]:g}²)", f"{mine:.6f}", f"{integral:.6f}"))
Table(("p", "q", "KL(p ‖ q), your formula", "by quadrature"), rows, "In nats")

# %% [markdown]
# Compare the first two rows: the KL is no distance, its two directions differ. A wide $q$ for a narrow $p$ is cheap, a narrow $q$ for a wide $p$ is dear: it finds itself surprised by what $p$ draws far out.
#
# ### Two directions, two characters
#
# The difference is greatest where a model cannot be right. Take a truth of two hills, and one Gaussian to fit it. **Forward** KL(p ‖ q) is what maximum likelihood lowers. **Reverse** KL(q ‖ p) asks the question from the
# model's side: is what *it* draws likely under the truth? (It needs a $p$ that can be evaluated. In lessons 02 and 04 it fits a guess to a posterior that is known up to a constant.)

# %%
predict(
    "One Gaussian q is fitted to two hills, the heavier one on the right (0.6 of the probability). Where will the two directions put it?",
    choices=(
        "Both on the heavier hill",
        "Forward across both hills, reverse on one of them",
        "Forward on one of them, reverse across both",
        "Both across both hills",
    ),
    answer=1,
    why="Forward averages over p: wherever p draws, q must not be near zero, or the log costs dearly. So it covers everything, the valley too. Reverse averages over q: where q "
    "draws, p must not be near zero, and the valley is such a place. A hill that q leaves out costs it little: −ln of the weight of the hill that it keeps.",
)

# %%
hills = data.LineMixture(means=[-3.0, 2.5], stds=[0.6, 0.9], weights=[0.4, 0.6])
line = torch.linspace(-10, 10, 801, dtype=torch.float64)
means, stds = torch.linspace(-6, 6, 121, dtype=torch.float64), torch.linspace(0.3, 5, 95, dtype=torch.float64)
log_hills = hills.log_prob(line)
log_q = torch.distributions.Normal(means[:, None, None], stds[None, :, None]).log_prob(line)  # (mean, std, x)
forward = torch.trapezoid(log_hills.exp() * (log_hills - log_q), line)
reverse = torch.trapezoid(log_q.exp() * (log_q - log_hills), line)
show(
    plots.plot_kl_directions(
        line, log_hills.exp(), means, stds, {"forward: KL(p ‖ q)": forward, "reverse: KL(q ‖ p)": reverse}
    ),
    alt="Left, forward KL: one minimum, a wide Gaussian across both hills and the valley between. Right, reverse KL: two local minima, "
    "one Gaussian on each hill; the one on the heavier hill costs less. Below, the maps of both divergences over mean and standard deviation.",
)
at_mean, at_std = divmod(int(forward.argmin()), len(stds))
print(f"least forward KL: at mean {float(means[at_mean]):.2f} and σ {float(stds[at_std]):.2f}")
print(f"mean and σ of p:  {hills.mean:.2f} and {hills.std:.2f}")
print(f"least reverse KL: {float(reverse.min()):.3f} nats; −ln 0.6, of the heavier hill's weight: {-math.log(0.6):.3f}")

# %% [markdown]
# Forward KL finds the mean and the spread of $p$ itself, as exercise 4 says it must. Reverse KL takes one hill and forgets the other, for the price of a logarithm. Remember these two characters: one *covers everything*, and so puts samples where there is no
# data (fog, blur); the other *picks*, and so leaves data out (dropped modes). You will meet both in every lesson.
#
# **Explore.** The same hills, and a model that you move by hand. (1) With *one Gaussian*, bring the forward KL as low as you can, then press the button that finds the least; do the same for the reverse. (2) With *two Gaussians*, try to beat
# the likelihood that $p$ itself has on the data. Can you, and what does the forward KL say to it? (3) With one of the two Gaussians across both hills, push the other away: which *divergence* soon stops growing, and why?

# %%
explorers.FitByHand(hills, components=1)

# %% [markdown]
# ## 6. Two ways to a classifier
#
# A generative model knows $p(x\mid y)$, what each class looks like, and $p(y)$, how frequent it is. That is enough to classify. By **Bayes' rule**,
#
# $$p(y\mid x) = \frac{p(x\mid y)\, p(y)}{p(x)}, \qquad p(x) = \sum_{y} p(x\mid y)\, p(y) .$$
#
# ### Exercise 6 · A classifier by Bayes' rule · ●●○ · 8 minutes
#
# Do it in logs: likelihoods of images are numbers such as $e^{-200}$, which float32 rounds to zero. `logsumexp` adds up exponentials without ever holding them.


# %%
@exercise("intro/bayes")
def log_posterior(log_likelihood, log_prior):
    """log p(y|x) of every class: log p(x|y), (batch, classes); log p(y), (classes,). Returns (batch, classes)."""
    ### BEGIN SOLUTION
    joint = log_likelihood + log_prior
    return joint - joint.logsumexp(-1, keepdim=True)
    ### END SOLUTION


# %%
check(log_posterior)

# %% [markdown]
# Your functions are now a classifier of digits, known as *naive Bayes*: ten models of independent pixels, one for each digit, and Bayes' rule.

# %%
labels = digits.train_labels
of_class = [x_digits[labels == c] for c in range(10)]
by_class = torch.stack([(x.sum(0) + 1) / (len(x) + 2) for x in of_class])  # p(ink | y), (10, 64)
log_prior = (labels.bincount() / len(labels)).log()


def log_likelihoods(x):
    """log p(x|y) for every digit y: (batch, 64) -> (batch, 10)."""
    return torch.stack([bernoulli_log_likelihood(x, p) for p in by_class], dim=1)


guesses = log_posterior(log_likelihoods(x_unseen), log_prior).argmax(1)
ten_models = float((log_likelihoods(x_unseen) + log_prior).logsumexp(1).mean())
print(f"wrong on {float((guesses != digits.test_labels).float().mean()):.1%} of the test images")
print(f"log p(x) of a test image: {ten_models:.2f} nats; one model for all digits: {independent:.2f}")
torch.manual_seed(0)
on_demand = (torch.rand(10, 64, device=device) < by_class).float()
rows = {"p(ink | y)": by_class.view(-1, 1, 8, 8), "samples": on_demand.view(-1, 1, 8, 8)}
show(
    plots.plot_images(rows, above="0123456789"),
    alt="For each digit from 0 to 9, above, the probability of ink at each pixel, a soft image of that digit; below, a sample, in which the digit can be guessed among specks.",
)

# %% [markdown]
# No discriminative classifier could draw the lower row. And the ten models together describe the images better than the one, by five nats: the label is the first hidden cause that we have given a model. (In lesson 02 it will find its own.)
#
# ### Which way errs less?
#
# Let a generative and a discriminative classifier each place a straight border. **Generative**: two Gaussians with *one* covariance matrix, fitted by exercise 4; Bayes' rule then gives a border that is a straight line. **Discriminative**: logistic regression, which fits that line directly, and asks nothing of $p(x)$.
# The first maximizes the likelihood of all that it is given, $\sum \log p(x, y)$; the second only $\sum \log p(y\mid x)$. We try them in two worlds: one where the classes *are* such Gaussians, and that of section 1, where one class has two groups. Both are known, so
# the error of a straight border can be computed exactly, and so can the least error that any classifier could have.

# %%
predict(
    "Where will the generative classifier err less than logistic regression?",
    choices=(
        "With few examples, if its assumption holds",
        "Everywhere: it uses more of the data",
        "Nowhere: one should solve the problem asked",
        "Where its assumption fails: it is more flexible",
    ),
    answer=0,
    why="With many examples it makes no difference there. An assumption that holds is worth examples that one does not have. One that fails costs, however many examples there are. Ng & Jordan told this story in 2001, for naive Bayes.",
)


# %%
def generative(x, y, classes=2, covariance="shared", ridge=0.01):
    """Gaussians and Bayes' rule. (The ridge keeps few examples from making Σ singular.) Returns log p(y|x), a function of x."""
    model = ClassConditionalGaussian(Space.real(x.shape[1]), classes, covariance).estimate(x, y, ridge=ridge)
    return torch.no_grad()(model.log_posterior)


tilted = [[1.0, 0.6], [0.6, 1.0]]
worlds = {
    "the assumption holds": (groups([1.0], [[-1.0, 0.0]], tilted), groups([1.0], [[1.0, 0.0]], tilted)),
    "it fails: class 1 has two groups": two_groups,
}
ways = {"generative": generative, "discriminative": evaluation.logistic_regression}
sizes, repeats = (8, 12, 16, 32, 64, 128, 256), 40
plane, least, panels = torch.cartesian_prod(*[torch.linspace(-8, 8, 321)] * 2), {}, {}
for name, classes in worlds.items():

    def examples(n, repeat, classes=classes):
        torch.manual_seed(1000 * repeat + n)
        return draw(classes, n)

    def error(classifier, classes=classes):
        return evaluation.error_of_border(classifier, classes)

    panels[name] = evaluation.learning_curves(ways, examples, error, sizes, repeats)
    least[name] = float(torch.minimum(*(density.log_prob(plane).exp() for density in classes)).sum() / 2 * 0.05**2)
show(
    plots.plot_error_curves(panels, "examples with labels", levels=least),
    alt=f"Error against the number of labeled examples in two worlds; mean of {repeats} draws, with bands of two standard errors. "
    + " ".join(
        f"Where {name}: at {sizes[2]} examples the generative classifier errs on {curves['generative'][1][2]:.1%}, the discriminative on {curves['discriminative'][1][2]:.1%}; "
        f"at {sizes[-1]} on {curves['generative'][1][-1]:.1%} and {curves['discriminative'][1][-1]:.1%}; the least possible error is {least[name]:.1%}."
        for name, curves in panels.items()
    ),
)

# %% [markdown]
# In the first world both end at the least possible error, and the generative classifier is there sooner. In the second it stays above it for ever: a far group of class 1 drags its mean and widens its covariance, and the border with them; logistic regression does not look there, and
# arrives.
#
# Now real digits, with their grey levels. Three contestants: Gaussians with one covariance for all digits, or one for each, and logistic regression.

# %%
scans = data.digits(levels=17)
grey_train, grey_test = scans.train.flatten(1), scans.test.flatten(1)
contestants = {
    "Gaussians, one covariance": lambda x, y: generative(x, y, classes=10, ridge=0.03),
    "Gaussians, one for each digit": lambda x, y: generative(x, y, classes=10, covariance="full", ridge=0.03),
    "logistic regression": lambda x, y: evaluation.logistic_regression(x, y, penalty=1.0),
}


def equally_many(n, repeat):
    """n training images, n/10 of each digit."""
    torch.manual_seed(repeat)
    of_digit = [(scans.train_labels == c).nonzero()[:, 0] for c in range(10)]
    chosen = torch.cat([rows[torch.randperm(100)[: n // 10]] for rows in of_digit])
    return grey_train[chosen], scans.train_labels[chosen]


def share_wrong(classifier):
    return float((classifier(grey_test).argmax(1) != scans.test_labels).float().mean())


curves = evaluation.learning_curves(contestants, equally_many, share_wrong, (20, 40, 80, 160, 320, 640), repeats=10)
show(
    plots.plot_error_curves({"digits, grey levels": curves}, "images with labels", "error on test images", log=True),
    alt="Error on test digits against the number of labeled images, both axes logarithmic; mean of ten draws, with bands of two standard errors. "
    + "; ".join(f"{name}: {mean[0]:.0%} at 20 labels, {mean[-1]:.1%} at 640" for name, (_, mean, _) in curves.items()),
)

# %% [markdown]
# With two images of each digit all three are alike. With more, the Gaussians with one covariance, whose borders are as straight as those of logistic regression, fall behind: the world is not as they assume. But Gaussians with a covariance *for each
# digit*, 2,080 numbers in each, err least by far. So the question is not "generative or discriminative" but: whose assumptions are nearer to the truth? A digit does vary in its own ways, and a Gaussian says in which. (Others, too, found that Ng & Jordan's two
# regimes cannot be relied on: Xue & Titterington, 2008. And no contestant here is free of assumptions: the ridge and the penalty are two.)
#
# ### Noticing strange images
#
# Section 1 said that a classifier cannot notice what is strange. Is that so? A network that classifies digits may at least be *less sure* of a letter. As measure we take the **AUROC**: the share of all pairs (strange image, test digit) in which the strange one has the
# higher score; 1 is perfect, ½ is guessing. The classifier's score is $-\max_y p(y\mid x)$, the generative model's $-\log p(x)$.

# %%
from sklearn.metrics import roc_auc_score

scans = scans.to(device)
torch.manual_seed(0)
network = MLP(64, (128,), 10, "relu").to(device)
train(lambda x, y: F.cross_entropy(network(x.flatten(1)), y), network.parameters(), scans, epochs=60, lr=3e-3)
gaussians = ClassConditionalGaussian(scans.space, classes=10).to(device)
gaussians.estimate(scans.train, scans.train_labels, ridge=0.03)


@torch.no_grad()
def unsure(x):
    return -network(x.flatten(1)).softmax(-1).amax(1).cpu()


@torch.no_grad()
def unlikely(x):
    return -gaussians.log_prob(x).value.cpu()


def auroc(score, strange):
    scores = torch.cat([score(scans.test), score(strange)])
    return roc_auc_score(torch.arange(len(scores)) >= len(scans.test), scores)


def in_levels(x):
    """Rounded to the 17 grey levels."""
    return ((x * 16).round() / 16).to(device)


printed = data.glyphs(side=12, characters="ABCEFGHKMNPRTXY", n=(300, 1, 1), vary=("font",)).train
averages = torch.stack([scans.train[scans.train_labels == c].mean(0) for c in range(10)])
strange = {
    "letters": in_levels(printed[..., 2:10, 2:10]),
    "digits upside down": scans.test.flip(-2),
    "digits, pixels shuffled": scans.test.flatten(1)[:, torch.randperm(64, device=device)].view_as(scans.test),
    "digits, ink for paper": 1 - scans.test,
    "the ten average digits": in_levels(averages),
}
wrong = float((network(scans.test.flatten(1)).argmax(1) != scans.test_labels).float().mean())
print(f"of test digits, the network errs on {wrong:.1%}, and is {float(-unsure(scans.test).mean()):.0%} sure")
show(
    plots.plot_images({name: images[:10] for name, images in strange.items()}, scale=0.45),
    alt="Ten examples each of five kinds of strange images: printed letters, digits upside down, digits with shuffled pixels, digits in white on black, and the average of each class.",
)
Table(
    ("strange images", "the network is sure", "AUROC, classifier", "AUROC, p(x) of Gaussians"),
    [
        (name, f"{float(-unsure(images).mean()):.0%}", f"{auroc(unsure, images):.3f}", f"{auroc(unlikely, images):.3f}")
        for name, images in strange.items()
    ],
    "How well test digits are told from strange images",
)

# %% [markdown]
# The classifier is less sure of the first four kinds than of digits, but often sure enough: show it a digit in white on black, and it names one without hesitation. The density sees at once that no digit is like that. (Far enough away from its data, a network of ReLU
# units like this one is even bound to be sure: Hein et al., 2019.)
#
# But look at the last row, and remember it in lessons 04 and 09. Pixel by pixel an average digit is as dull as can be, and to the Gaussians it is likelier than almost every real one. A high density means "cheap to describe", not "normal".
#
# ## 7. Every baseline in one table
#
# What can be had without deep learning? So far we have one model **with few parameters**, independent pixels, and its tenfold version with labels. Add a Gaussian, and a mixture of pixels that finds its own classes (lesson 02). At the other end stand models **without any**: they remember the data. A *kernel
# density* puts a little probability around each of the $n$ training images. For binary images, each pixel of a remembered image is kept or, with probability $h$ (the **bandwidth**), flipped:
#
# $$p(x) = \frac1n \sum_{j=1}^n K(x\mid x_j), \qquad K(x\mid x_j) = h^{\text{pixels that differ}}\, (1-h)^{\text{pixels that agree}} .$$
#
# And one deep model, from lesson 04. It needs the training loop; the others need a formula, or (the mixture) a few rounds of one.


# %%
def learn_mixture(components):
    model = BernoulliMixture(digits.space, components, pseudo_count=0.3).to(device).initialize(digits.train)
    for _ in model.em(digits.train, iterations=100, tolerance=1e-3):
        pass
    return model


torch.manual_seed(0)
deep = VAE(digits.space, latents=8, hidden=(256, 256)).to(device)
fit(deep, digits, steps=1000, schedule="cosine", ema=0.99, keep_best=True)
mixtures = [learn_mixture(components) for components in (10, 20, 40, 80, 160)]
memory = KernelDensity(digits.space, points=1300, bandwidth=0.05).to(device)
models = {
    "independent pixels": IndependentPixels(digits.space).to(device).estimate(digits.train),
    "Gaussian": Gaussian(digits.space).to(device).estimate(digits.train),
    "kernel density, h = 0.05": memory.remember(digits.train),
    "mixture of pixels": max(mixtures, key=lambda model: evaluation.average_log_prob(model, digits.valid).value),
    "variational autoencoder": deep,
}
scores = {name: evaluation.average_log_prob(model, digits.test, repeats=10) for name, model in models.items()}


def in_bits(nats, shape):
    return f"{float(bits_per_dim(torch.tensor([nats]), shape)):.3f}"


def row(name, score, numbers):
    value = f"{score.kind} {score.value:.2f} ± {score.standard_error:.2f}"
    return name, value, in_bits(score.value, digits.space.shape), f"{numbers:,}"


held = {name: sum(part.numel() for part in model.parameters()) for name, model in models.items()}
held |= {"independent pixels": 64, "kernel density, h = 0.05": x_digits.numel()}
rows = [row(name, scores[name], held[name]) for name in models]
tenfold = evaluation.Estimate.of(LogProb((log_likelihoods(x_unseen) + log_prior).logsumexp(1), Kind.EXACT))
rows.insert(2, row("ten classes of independent pixels", tenfold, 10 * 64 + 10))
Table(("model", "log p(x) of test images, nats", "bits per dimension", "numbers it holds"), rows, "Binary digits, 8×8")

# %%
torch.manual_seed(0)
samples = {name: model.sample(12) for name, model in models.items()}
show(
    plots.plot_images({"test images": digits.test[:12], **samples}, scale=0.5),
    alt="Rows of twelve images. Test images; fog from independent pixels; blotches from the Gaussian; near copies of digits, with a few stray specks, from the kernel density; digits, some frayed, from the mixture "
    "and from the variational autoencoder.",
)

# %% [markdown]
# Read the table from above.
#
# - The **Gaussian** knows how every pair of pixels goes together, with 4,160 numbers (Σ is symmetric, so hardly more than half of them count). As far as its bound tells, it is beaten by independent pixels: it puts most of its probability on greys that no image has. A wrong assumption costs more than a crude one. (Its `≥`: a density of real numbers only gives a bound for
#   values that are whole; lesson 06 says how.)
# - **Classes** gain most for their size, whether labels name them or the mixture finds them. A digit is first of all *one of several things*.
# - The **kernel density** does well by memory alone: it holds all 1,300 images, and its only way to improve is to hold more.
# - On these small images the mixture, learned in a fraction of a second, keeps up with the deep model, which can only prove a bound. Then why go on? Hold that thought until section 10.
#
# ## 8. Failure lab: learning by heart
#
# A colleague has turned the bandwidth of the kernel density down, from 0.05 to 0.0001, and reports:

# %%
by_heart = KernelDensity(digits.space, points=1300, bandwidth=1e-4).to(device).remember(digits.train)
print(f"log p(x) of the images: {evaluation.average_log_prob(by_heart, digits.train)}")
torch.manual_seed(1)
perfect = by_heart.sample(12)
show(
    plots.plot_images({"samples": perfect}, scale=0.5),
    alt="Twelve samples of the colleague's kernel density: flawless digits, without a stray speck.",
)

# %% [markdown]
# Ten nats better than anything in our table, and flawless samples. Congratulations?

# %%
predict(
    "The number is right, and the samples are what they seem. What has happened?",
    choices=(
        "A small bandwidth is better for such small images",
        "The images were those of training: the model recognizes each, and knows no others",
        "The probabilities no longer sum to 1",
        "Luck: another draw would look worse",
    ),
    answer=1,
    why="As h goes to 0 the model becomes the list of its training images, each with probability 1/1300: −ln 1300 = −7.17 nats, and a bit better where one is there twice. Any other image gets almost nothing.",
)


# %%
def pixels_that_differ(a, b):
    """Of each image from each other one: (n, 64), (m, 64) -> (n, m)."""
    return a @ (1 - b).T + (1 - a) @ b.T


def log_kernel(a, b, h):
    """log K of each a around each b: (n, 64), (m, 64) -> (n, m)."""
    differ = pixels_that_differ(a, b)
    return differ * math.log(h) + (64 - differ) * math.log(1 - h)


bandwidths = [10 ** (exponent / 4) for exponent in range(-20, -1)]
n = len(x_digits)
on_train = [float((log_kernel(x_digits, x_digits, h).logsumexp(1) - math.log(n)).mean()) for h in bandwidths]
on_test = [float((log_kernel(x_unseen, x_digits, h).logsumexp(1) - math.log(n)).mean()) for h in bandwidths]
curves = {"training images": (bandwidths, on_train), "test images": (bandwidths, on_test)}
level = {"each training image with probability 1/1300": -math.log(n)}
show(
    plots.plot_curves(curves, "bandwidth h", "log p(x), nats", log="x", level=level),
    alt=f"Log-likelihood against the bandwidth. On the training images it rises to {on_train[0]:.1f} nats as the bandwidth falls. On test images it is largest, {max(on_test):.1f}, near "
    f"{bandwidths[on_test.index(max(on_test))]:.2f}, and falls to {on_test[0]:.0f} nats.",
)


asked = {
    "test images": digits.test,
    "samples, h = 0.05": memory.sample(300),
    "samples, h = 0.0001": by_heart.sample(300),
}
for name, images in asked.items():
    nearest = pixels_that_differ(images.flatten(1), x_digits).amin(1).mean()
    print(f"{name}: {float(nearest):.2f} pixels from the nearest training image, on average")

# %% [markdown]
# For real-valued data, such as the moons, it is worse still. There the kernel is a Gaussian of standard deviation $h$, and its peak has no upper limit:

# %%
few = moons.train[:500]
spikes = KernelDensity(moons.space, points=len(few)).remember(few)
rows = []
for h in (1.0, 0.2, 0.01, 0.0001, 0.000001):
    spikes.bandwidth = h
    seen, unseen = (evaluation.average_log_prob(spikes, x).value for x in (few, moons.test))
    rows.append((f"{h:g}", f"{seen:.2f}", f"{unseen:,.2f}", f"{true_nats:.2f}"))
Table(("bandwidth", "log p(x), remembered points", "new points", "the truth, on new points"), rows, "Moons, in nats")

# %% [markdown]
# **Diagnosis.** On the digits the two curves part, and the training likelihood never says that something is wrong; on the moons it even grows without limit. And the *looks* of the samples say nothing either: they are flawless because they are
# copies. **Looking at samples cannot tell a perfect model from a memory.** What can: images that the model has not seen, and the distance from a sample to the nearest training image.
#
# Must one then give up images to validate? Not here. Let each training image be judged by all the *others*: that is **leaving one out**. For a network it would mean as many trainings as images; for a kernel density it is one line.
#
# ### Exercise 7 · Leave one out · ●●○ · 10 minutes
#
# You are given the matrix of all $\log K(x_i\mid x_j)$; row $i$ belongs to the image that is judged. Average the kernels (not their logs) over all $j \ne i$. (In a `logsumexp`, what must not count has the log
# $-\infty$: `-math.inf`. And leave the matrix that you are given as it is: change a `.clone()`.)


# %%
@exercise("intro/leave_one_out")
def leave_one_out(log_kernel):
    """log 1/(n−1) Σ_{j≠i} K(x_i | x_j) of each example i, in nats: log K(x_i | x_j), (n, n) -> (n,)."""
    ### BEGIN SOLUTION
    others = log_kernel.clone().fill_diagonal_(-math.inf)
    return others.logsumexp(-1) - math.log(len(log_kernel) - 1)
    ### END SOLUTION


# %%
check(leave_one_out)

# %% [markdown]
# **Repair**: choose the bandwidth that scores best when each image is left out. No test image is touched.

# %%
left_out = [float(leave_one_out(log_kernel(x_digits, x_digits, h)).mean()) for h in bandwidths]
best = left_out.index(max(left_out))
curves["training images, each left out"] = (bandwidths, left_out)
show(
    plots.plot_curves(curves, "bandwidth h", "log p(x), nats", log="x"),
    alt="The same two curves, and a third: training images judged with themselves left out. It lies on the curve of the test images.",
)
print(f"chosen by leaving one out: h = {bandwidths[best]:.3f}, which gives test images {on_test[best]:.2f} nats")
print(f"the best of all bandwidths on test images: {max(on_test):.2f} nats")

# %% [markdown]
# The curve of the images left out falls on that of the test images, and its maximum is where it should be. The rule holds for every model of this course, however large: *judge it on what it has not seen, and look for the nearest training image of what it draws.*
#
# ### Bug hunt · ●●● · 10 minutes
#
# Another colleague has written the ten classes of independent pixels again, and reports more than two nats more than we found in section 7, on *test* images this time:


# %%
def colleagues_log_prob(x, probabilities, prior):
    log_odds = probabilities.logit()  # ln p − ln(1 − p): what a pixel with ink adds; (classes, pixels)
    log_paper = torch.log1p(-probabilities).sum(-1)  # log p(x|y) of an image without any ink; (classes,)
    log_joint = log_paper + x @ log_odds.T + prior  # (batch, classes)
    top = log_joint.amax(-1, keepdim=True)  # taken out, lest all exponentials round to 0
    return top[:, 0] + (log_joint - top).exp().sum(-1).log()


frequency = labels.bincount() / len(labels)
theirs = float(colleagues_log_prob(x_unseen, by_class, frequency).mean())
print(f"the colleague's log p(x) of test images: {theirs:.2f} nats; ours: {ten_models:.2f}")

# %% [markdown]
# No image was seen before, the model is the same, and yet. When a likelihood is too good to be true, ask whether it is a likelihood: *do the probabilities of all images add up to 1?* For 64 pixels nobody can add them up. For the middle 3×3, there are 512:

# %%
middle_pixels = torch.arange(64, device=device).view(8, 8)[2:5, 2:5].flatten()
every_image = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], device=device)] * 9)
total = float(colleagues_log_prob(every_image, by_class[:, middle_pixels], frequency).exp().sum())
print(f"the probabilities of all {len(every_image)} images of 3×3 pixels add up to {total:.2f}")

# %% [markdown]
# There is **one** bug. Find it and mend it in place. (The same sum tells you which parts are sound.)


# %%
@exercise("intro/bug")
def log_prob_of_classes(x, probabilities, prior):
    """log Σ_y p(y) p(x|y), nats: x (batch, pixels); probabilities of ink (classes, pixels); p(y), (classes,) -> (batch,)."""
    log_odds = probabilities.logit()  # ln p − ln(1 − p): what a pixel with ink adds; (classes, pixels)
    log_paper = torch.log1p(-probabilities).sum(-1)  # log p(x|y) of an image without any ink; (classes,)
    ### BEGIN SOLUTION
    log_joint = log_paper + x @ log_odds.T + prior.log()  # (batch, classes)
    ### BEGIN BUG
    # log_joint = log_paper + x @ log_odds.T + prior  # (batch, classes)
    ### END SOLUTION
    top = log_joint.amax(-1, keepdim=True)  # taken out, lest all exponentials round to 0
    return top[:, 0] + (log_joint - top).exp().sum(-1).log()


# %%
check(log_prob_of_classes)

# %%
total = float(log_prob_of_classes(every_image, by_class[:, middle_pixels], frequency).exp().sum())
mended = float(log_prob_of_classes(x_unseen, by_class, frequency).mean())
print(f"the probabilities now add up to {total:.4f}; log p(x) of test images: {mended:.2f} nats")

# %% [markdown]
# ## 9. Three jobs, many answers
#
# Here is what the deep model of section 7 does, after one training, without labels.

# %%
torch.manual_seed(2)
new = deep.sample(10)
pair = [digits.test[digits.test_labels == label][0] for label in (0, 4)]
with torch.no_grad():
    codes = deep.encode(torch.stack(pair))
    between = deep.decode(torch.lerp(codes[0], codes[1], torch.linspace(0, 1, 10, device=device)[:, None]))
scrambled = digits.test.flatten(1)[:, torch.randperm(64, device=device)].view_as(digits.test)
scored = {"digits": digits.test, "digits upside down": digits.test.flip(-2), "digits, pixels shuffled": scrambled}
for name, images in scored.items():
    print(f"density: log p(x) of {name} {evaluation.average_log_prob(deep, images, repeats=10)}")
show(
    plots.plot_images({"sampling": new, "representation:\nfrom a 0 to a 4": between}, scale=0.5),
    alt="Two rows of ten images. Sampling: new digits, some frayed. Representation: decoded on the straight line from the code of a 0 to that of a 4, the 0 turns into a 4 by way of a 6.",
)

# %% [markdown]
# The third job is the least obvious. The model describes each image by eight numbers instead of 64 pixels; half-way between two descriptions lies a description of something in between. Nobody asked for that. It is what remains when a model has to say much with little.
#
# The families that you will meet differ in which job they do best, and in what they give up for it:
#
# | lesson | the answer, in a sentence | what it gives up |
# |---|---|---|
# | 02 Latent variables | First a hidden cause is drawn, then $x$; sum the cause out. | Causes must be simple enough to sum or integrate. |
# | 03 Boltzmann machines | Give each $x$ an energy; what has little of it is likely. | The sum over all $x$ that makes it a probability; samples need long chains. |
# | 04 Variational autoencoders | A network draws $x$ from a code, another guesses the code. | The likelihood, but for a bound; sharp samples. |
# | 05 Adversarial networks | One network forges, the other detects. | Any likelihood; steady training; often some of the data. |
# | 06 Normalizing flows | Bend a Gaussian into the data, and keep account of volume. | Freedom in the network; a code smaller than $x$. |
# | 07 Autoregressive models | One number after the other, each given all before it. | Fast sampling; a latent space. |
# | 08 Diffusion | Learn to undo a little noise; begin with nothing but noise. | Sampling in one step. |
# | 09 Energy-based models | Any network is an energy. | As in 03: the sum, and quick samples. |
#
# and lesson 10 makes them compete. What each model class can do, the package finds out by asking it. The names need mean nothing to you yet; read the columns: on which data a family works; what its score is worth (with the signs of section 3); through how many states a sample
# comes about (1 is a single step; 2 if a choice, a code or an unrounded $x$ comes first); what an $x$ is described by, if at all, as in the lower row above; which parts are trained in turn; and whether it can be told what to draw, by a label for instance.

# %%
evaluation.family_map()

# %% [markdown]
# ## 10. What scale brings
#
# Back to the thought from section 7: why go deep, if a mixture keeps up? Because 8×8 is small. Here are the same two families on MNIST, 28×28 pixels and 59,000 images to learn from; both ship with the course, and the first picture of this lesson compared them with a third, independent
# pixels. In the table, *products of Bernoullis* are independent pixels, too; *ELBO* and *L_5000* are a loose and a tighter lower bound on $\log p(x)$, and *IWAE* is training by a tighter one (lesson 04); *one stochastic layer* means one code for each image; *dynamic binarization* draws the ink anew each time, with the pixel's
# grey level as its probability.

# %%
mnist = (1, 28, 28)
alone = -zoo.card("autoencoder-mnist")["numbers"]["cross-entropy of the mean image"]["value"]
rows = [("independent pixels", "log p(x)", f"= {alone:.2f}", in_bits(alone, mnist), f"{math.prod(mnist)}")]
for name in ("mixture-mnist", "vae-mnist"):
    card = zoo.card(name)
    for what, number in card["numbers"].items():
        nats = f"{number['kind']} {number['value']:.2f}"
        rows.append((card["about"], what, nats, in_bits(number["value"], mnist), f"{card['parameters']:,}"))
    for known in card["published"]:
        nats = f"{known['value']:.2f}"
        rows.append((known["model"], known["quantity"], nats, in_bits(known["value"], mnist), known["source"]))
Table(
    ("model", "what", "test nats an image", "bits per dimension", "numbers it holds, or source"),
    rows,
    "Binarized MNIST, all 10,000 test images (dynamic binarization, where nothing else is said)",
)

# %% [markdown]
# With eight hundred pixels, five hundred kinds of digits are not enough: what varies in handwriting, slant and width and weight and the length of each stroke, varies *together*, and a list of kinds would need one for each combination. The deep model composes them, and gains at least 39 nats an
# image, by the tighter bound. So this is what the three rows of the picture at the top are worth: from −206 to −125 to at least −85. (Published figures with fixed binarization, where every pixel was thresholded or drawn once for all, answer a slightly different question; do not rank them against the others.)
#
# ## 11. How far from the truth?

# %%
strongest, holds, fails = scores["mixture of pixels"].value, *worlds
truth = f"= {true_nats:.3f} (the density itself)"
on_grid = f"= {kl_on_grid:.3f} (KL on a grid)"
rows = [
    ("Gaussian, exercise 4", "moons, nats", f"= {gaussian_nats:.3f}", truth, f"{gap:.3f}"),
    ("that gap, from test points", "moons, nats", f"≈ {gap:.3f}", on_grid, f"{abs(gap - kl_on_grid):.3f}"),
    ("fit, 20 epochs", "digits, logits", "–", "= your own loop", f"{difference:.0e}"),
]
for world, what in ((holds, "one group each, error"), (fails, "two groups, error")):
    best_error = f"= {least[world]:.4f} (least possible)"
    for way, (_, mean, _) in panels[world].items():
        name, value = f"{way} classifier, {sizes[-1]} examples", float(mean[-1])
        rows.append((name, what, f"= {value:.4f}", best_error, f"{value - least[world]:.4f}"))
for name in ("independent pixels", "kernel density, h = 0.05", "variational autoencoder"):
    score, reference = scores[name], f"= {strongest:.2f} (the mixture, our best)"
    rows.append((name, "digits, nats", f"{score.kind} {score.value:.2f}", reference, f"{strongest - score.value:.2f}"))
Table(("what", "on", "value", "truth or strongest reference", "gap"), rows, "= exact, ≥ lower bound, ≈ estimate")

# %% [markdown]
# On the plane every gap is known, and has one of two causes: a wrong assumption, which no data mend, or too few examples. On digits nobody knows $p(x)$, and the last rows have only our strongest model to be compared with (a bound, like the last one, may hide a better model). That is how it is with all
# real data; so a course needs toys, too.
#
# ## 12. The same five questions
#
# Asked of every family in this course; here of the baselines.
#
# | | pixels, Gaussians, kernels |
# |---|---|
# | What does it assume? | That pixels do not look at each other; that all is one ellipse, or one for each class; that new images are old ones with specks. |
# | How does it learn? | By maximum likelihood in closed form (means, shares, covariances); a kernel density by remembering. |
# | How does it sample? | In one step: pixel by pixel; $\mu + Lz$ with $LL^\top = \Sigma$ and Gaussian $z$; an old image and some specks. |
# | Can it score? | Exactly. A Gaussian gives a bound where $x$ is discrete. |
# | What is in its latent space? | Nothing, or a label. |
#
# **Strengths**: exact, instant, hard to get wrong, and a mark that any deep model has to beat. **Limitations**: the assumptions are crude, and a kernel density needs exponentially many examples as dimensions grow. **Applications**: baselines, naive Bayes on text, anomaly detection on tables of measurements, and as parts
# of larger models: the pixels of a variational autoencoder are independent, given its code.
#
# ## 13. You can now…
#
# - turn a density into samples, and know why learning the way back needs assumptions;
# - fit by maximum likelihood, by formula or by loop, and read nats, bits per dimension and the sign before a number;
# - say what forward and reverse KL do to a model that cannot be right;
# - build a classifier from densities, and say when it pays;
# - tell knowledge from memory, and a likelihood from something that only looks like one.
#
# **To go on with.** (1) In the first world of section 6 the generative classifier wins with few examples. Make its assumption fail a little, and a little more: where do the curves cross? (2) The Gaussians of section 6 found letters strange with an AUROC of 1. Find images that are strange to you, but not to them.
# (3) The kernel density counts pixels that differ. Two images of the same digit, one of them shifted by a pixel, are far apart for it. What would a better kernel compare? (You have invented the next nine lessons.)
#
# **Further reading**
#
# - Bishop, [Pattern Recognition and Machine Learning](https://www.microsoft.com/en-us/research/publication/pattern-recognition-machine-learning/), 2006: chapters 1, 2 and 4 are this lesson at leisure; kernel densities are in section 2.5.
# - MacKay, [Information Theory, Inference, and Learning Algorithms](https://www.inference.org.uk/mackay/itila/), 2003: why a density is a compressor, in the most readable book on the subject.
# - Ng & Jordan, [On Discriminative vs. Generative Classifiers](https://papers.nips.cc/paper_files/paper/2001/hash/7b7a53e239400a13bd6be6c91c4f6c4e-Abstract.html), 2001: the two regimes of section 6; and Xue & Titterington, [Comment](https://doi.org/10.1007/s11063-008-9088-7), 2008: why one cannot rely on them.
# - Minka, [Divergence Measures and Message Passing](https://www.microsoft.com/en-us/research/publication/divergence-measures-and-message-passing/), 2005: forward and reverse KL, and all that lies between.
# - Theis, van den Oord & Bethge, [A Note on the Evaluation of Generative Models](https://arxiv.org/abs/1511.01844), 2016: likelihood and the look of samples can have little to do with each other.
# - Hein, Andriushchenko & Bitterwolf, [Why ReLU Networks Yield High-Confidence Predictions Far Away from the Training Data](https://arxiv.org/abs/1812.05720), 2019: section 1's corner, proved for networks.

# %%
progress()
