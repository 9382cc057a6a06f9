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
# # Variational autoencoders
#
# In this lesson you build a machine that turns a few random numbers into a handwritten digit, and that says how
# likely any image is: as a bound, which you then tighten until little is left to gain.

# %%
from dgmcourse.lesson import plots, show, zoo

landscape = zoo.load("vae-mnist-2d")
show(
    plots.plot_latent_grid(landscape, side=14),
    alt="Handwritten digits decoded from a square grid of two latent numbers. Neighbors look alike, and one digit turns smoothly "
    "into the next: ones at the top left, sixes at the top right, zeros at the bottom right, sevens, nines and fours at the bottom left.",
)

# %% [markdown]
# Every digit in this picture was decoded from two numbers: its place on the page. Nobody told the model what a seven is,
# or that sevens and nines are neighbors. It was shown 59,000 images, and this is the page it drew up.
#
# **Time** 90 minutes · **You need** PyTorch, and the idea of a latent variable (lesson 02; what matters of it is repeated
# here) · **You will be able to**
#
# - derive the evidence lower bound, and write it in six lines;
# - say why the reparameterization trick makes training possible, with a measured number;
# - tighten the bound by importance weighting, and say how far from the truth it is;
# - use a latent space: interpolate, condition on a class, find strange images;
# - recognize posterior collapse by looking at each latent, and repair it.

# %%
from dgmcourse.lesson import MLP, F, GenerativeModel, Kind, LogProb, Space, Step, Table, begin, check, data, evaluation, exercise, explorers, fit, hint, math, plots, predict, progress, show, torch, zoo  # fmt: skip
from dgmcourse.models import VAE

device = begin(seed=0)

# %% [markdown]
# Stuck in an exercise? `hint("vae/kl")` gives one more step at each call. A blank or wrong answer never stops you: the
# cells below then use the course's own version, and say so. Each section uses what the ones before it made: if a cell says that a name is
# not defined, choose *Run → Run All Above Selected Cell*.
#
# ## 1. The question
#
# Our images are 8×8 scans of handwritten digits, ink or paper: $x \in \{0, 1\}^{64}$, with 1 for ink. There are 1,300 to learn from,
# 200 to choose models by (*valid*), and 297 that we only look at to judge (*test*). Likelihoods are natural logarithms throughout, so their unit
# is the *nat*: a fair coin costs ln 2 = 0.69 of it.

# %%
digits = data.digits(levels=2).to(device)
show(
    plots.plot_images(digits.train[:24], columns=12),
    alt="Two rows of twelve handwritten digits, eight by eight black and white pixels each.",
)
digits

# %% [markdown]
# A **latent variable model** says how such an image comes about: first a few hidden numbers $z$ are drawn from
# $p(z) = \mathcal N(0, I)$, which decide what is written and how; then every pixel is drawn, given $z$:
#
# $$p_\theta(x) = \int p_\theta(x \mid z)\, p(z)\, dz .$$
#
# The **decoder** $p_\theta(x\mid z)$ is a network with weights $\theta$ that maps $z$ to 64 probabilities. To learn $\theta$
# we want $\log p_\theta(x)$ of the training images to be large, and that integral is in the way: with many latents it cannot
# be computed. In lesson 02, EM got round it through the **posterior** $p_\theta(z\mid x) = p_\theta(x, z) / p_\theta(x)$, which
# for a mixture is a small table. For a network it is not: the integral is its denominator.
#
# A variational autoencoder replaces the posterior by a guess. A second network, the **encoder** $q_\phi(z\mid x)$ with weights
# $\phi$, looks at $x$ and answers with a Gaussian: a mean and a variance for each latent. One network guesses for all
# images; this is called *amortized* inference. How good can a guess be? By the definition of the posterior, $\log p_\theta(x) = \log p_\theta(x, z) - \log p_\theta(z\mid x)$,
# whatever $z$ is. Add and subtract $\log q(z\mid x)$:
#
# $$\log p_\theta(x) = \log\frac{p_\theta(x, z)}{q(z\mid x)} + \log\frac{q(z\mid x)}{p_\theta(z\mid x)} ,$$
#
# and average both sides over $z \sim q$. The left side does not depend on $z$ and stays as it is; the second term on the right becomes a KL divergence:
#
# $$\log p_\theta(x) \;=\; \underbrace{\mathbb E_{q}\!\left[\log \frac{p_\theta(x, z)}{q(z\mid x)}\right]}_{\text{ELBO}}
# \;+\; \underbrace{\mathrm{KL}\big(q(z\mid x)\,\|\,p_\theta(z\mid x)\big)}_{\ge 0}.$$
#
# The first term contains nothing that we cannot estimate from draws of $q$; it is the **evidence lower bound**. The gap is exactly how wrong the guess is.
#
# With a single latent the integral is easy, by summing over a fine grid. So here is the truth, beside the guess.

# %%
torch.manual_seed(0)
one_latent = VAE(digits.space, latents=1, hidden=(64,)).to(device)
fit(one_latent, digits, steps=600, lr=3e-3)

five = digits.test[:5]
grid = evaluation.grid_posterior(one_latent, five)
show(
    plots.plot_posterior_on_grid(grid.z, grid.posterior, grid.guess, five),
    alt="For five digits, the exact posterior over one latent, computed on a grid, and the encoder's Gaussian over it. "
    "They agree roughly: the Gaussian sits a little beside the exact posterior, which is not symmetric.",
)

# %%
prior = torch.distributions.Normal(0.0, 1.0)
q = one_latent.posterior(five).base_dist  # the encoder's Gaussian
log_likelihood = grid.log_joint - prior.log_prob(grid.z)  # log p(x|z), (image, node)
reconstruction = (grid.guess * log_likelihood).sum(-1) * grid.spacing  # E_q[log p(x|z)]
elbo_on_grid = reconstruction - torch.distributions.kl_divergence(q, prior).sum(-1)
log_ratio = grid.guess.clamp_min(1e-30).log() - grid.posterior.clamp_min(1e-30).log()
gap_on_grid = (grid.guess * log_ratio).sum(-1) * grid.spacing  # KL(q ‖ p(z|x))
Table(
    ("image", "ELBO", "KL(q ‖ p(z|x))", "their sum", "log p(x) on the grid"),
    [
        (
            i,
            f"{elbo_on_grid[i]:.4f}",
            f"{gap_on_grid[i]:.4f}",
            f"{elbo_on_grid[i] + gap_on_grid[i]:.4f}",
            f"{grid.log_prob[i]:.4f}",
        )
        for i in range(5)
    ],
    "The identity above, in nats, for a model with one latent",
)

# %% [markdown]
# The last two columns agree: what the guess loses is exactly its KL from the true posterior. A larger ELBO therefore means a larger $\log p_\theta(x)$, or a better guess, or both.
#
# ## 2. A gradient through a random draw
#
# The ELBO is an average over draws $z \sim q_\phi(z\mid x)$. To climb it we need its gradient with respect to $\phi$, the very
# weights that the draw depends on. There are two ways:
#
# - **Score function**: $\nabla_\phi\, \mathbb E_q[f(z)] = \mathbb E_q[f(z)\, \nabla_\phi \log q_\phi(z)]$. It needs only values of $f$.
# - **Reparameterization**: draw noise $\varepsilon \sim \mathcal N(0, I)$ first, and let $z = \mu + \sigma \varepsilon$. Now the randomness
#   does not depend on $\phi$, and the gradient flows through $z$ into $\mu$ and $\sigma$.
#
# Both are right on average. They are not equally noisy.

# %%
predict(
    "Take f(z) = −½‖z − 1‖² and q = N(0, I), and estimate the gradient with respect to the mean from a single draw. How do the variances "
    "of the two estimators compare, per latent, as the number of latents grows from 1 to 64?",
    choices=(
        "They stay about equal",
        "The score function is some ten times noisier, whatever the number of latents",
        "The score function gets noisier with every latent, reparameterization does not",
        "Both get noisier at the same rate",
    ),
    answer=2,
    why="The score function multiplies one number, f(z), to which all latents add, into every entry of the gradient. Reparameterized, entry i of "
    "the gradient knows of latent i alone.",
)

# %% [markdown]
# ### Exercise 1 · Reparameterize · ●○○ · 5 minutes
#
# The encoder gives, for every image, the mean $\mu$ and the **log-variance** $\ln \sigma^2$ of each latent (a log, because a network's
# output may be negative and a variance may not). Turn noise into a draw of $q$.


# %%
@exercise("vae/reparameterize")
def reparameterize(mean, log_var, noise):
    """z = μ + σ·ε, a draw of N(μ, σ²) made from noise ε ~ N(0, I).

    mean, log_var, noise: (batch, latents); log_var is ln σ². Returns z: (batch, latents).
    """
    ### BEGIN SOLUTION
    return mean + (0.5 * log_var).exp() * noise
    ### END SOLUTION


# %%
check(reparameterize)

# %% [markdown]
# Now the measurement, with your function. We draw 4,000 single-sample gradients of $\mathbb E_q[f(z)]$ with respect to $\mu$, each way.

# %%
torch.manual_seed(0)
sizes, noisy, calmer, calm = (1, 2, 4, 8, 16, 32, 64), [], [], []
for latents in sizes:
    mean = torch.zeros(4000, latents, device=device, requires_grad=True)
    z = reparameterize(mean, torch.zeros_like(mean), torch.randn_like(mean))
    f = -0.5 * (z - 1).square().sum(-1)
    (through_z,) = torch.autograd.grad(f.sum(), mean)
    slope = z.detach() - mean.detach()  # ∇ log q(z), as σ = 1
    value = f.detach()[:, None]
    calm.append(float(through_z.var(0).mean()))
    noisy.append(float((value * slope).var(0).mean()))
    calmer.append(float(((value - value.mean()) * slope).var(0).mean()))
show(
    plots.plot_curves(
        {
            "score function": (sizes, noisy),
            "score function, mean of f subtracted": (sizes, calmer),
            "reparameterization": (sizes, calm),
        },
        "latents",
        "variance of one entry",
        log="xy",
    ),
    alt=f"Variance of a single-draw gradient against the number of latents, both axes logarithmic. The score function's rises from "
    f"about {noisy[0]:.0f} to about {noisy[-1]:,.0f}, and with the mean of f subtracted to about {calmer[-1]:.0f}; reparameterization's stays at about {calm[-1]:.0f}.",
)

# %% [markdown]
# At 64 latents the plain score function needs several thousand draws to be as good as one reparameterized draw. Subtracting the mean of $f$, a *baseline*,
# costs nothing and helps a lot, and still leaves a factor of about a hundred, which grows with every latent. That is why this trick, one line long, made these models practical in 2014.
#
# ## 3. The bound, term by term
#
# Split the logarithm in the ELBO, $\log \frac{p(x, z)}{q(z\mid x)} = \log p(x\mid z) - \log\frac{q(z\mid x)}{p(z)}$, and average:
#
# $$\mathrm{ELBO} \;=\; \underbrace{\mathbb E_{q}[\log p_\theta(x\mid z)]}_{-\text{distortion}} \;-\; \underbrace{\mathrm{KL}\big(q_\phi(z\mid x)\,\|\,p(z)\big)}_{\text{rate}} .$$
#
# The first term asks that $z$ says enough about $x$ to draw it again. The second charges for what $z$ says, in nats. For Gaussians it has
# a closed form, latent by latent:
#
# $$\mathrm{KL}\big(\mathcal N(\mu, \sigma^2)\,\|\,\mathcal N(0, 1)\big) = \tfrac12\big(\mu^2 + \sigma^2 - 1 - \ln\sigma^2\big).$$
#
# ### Exercise 2 · KL to N(0, I) · ●○○ · 8 minutes
#
# Write it for a batch. Latents are independent, so their KLs add up; one number an image is left.


# %%
@exercise("vae/kl")
def kl_to_standard_normal(mean, log_var):
    """KL(N(mean, exp(log_var)) ‖ N(0, I)), in nats: (batch, latents), (batch, latents) -> (batch,)."""
    ### BEGIN SOLUTION
    return 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1)
    ### END SOLUTION


# %%
check(kl_to_standard_normal)

# %% [markdown]
# ### Exercise 3 · The evidence lower bound · ●●○ · 10 minutes
#
# The decoder gives a **logit** for each pixel: $p(x_i = 1\mid z) = \operatorname{sigmoid}(\text{logit}_i)$. So $\log p(x\mid z)$ is a sum over the pixels of
# $x_i \ln p_i + (1-x_i)\ln(1-p_i)$ with $p_i = p(x_i = 1\mid z)$, which is minus `F.binary_cross_entropy_with_logits(logits, x, reduction="none")`. The weight
# $\beta$ of the KL is 1 in the bound; we shall turn it later.


# %%
@exercise("vae/elbo")
def elbo(x, logits, mean, log_var, beta=1.0):
    """log p(x|z) − β KL(q(z|x) ‖ p(z)) of each image, in nats.

    x, logits: (batch, pixels); mean, log_var: (batch, latents). Returns (batch,).
    """
    ### BEGIN SOLUTION
    log_likelihood = -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    return log_likelihood - beta * kl_to_standard_normal(mean, log_var)
    ### END SOLUTION


# %%
check(elbo)

# %% [markdown]
# That is the whole method. The next cell puts your three functions to work: an encoder, a decoder, and between them your draw. Every model
# of this course is a `GenerativeModel`: it says how it learns by *yielding* a loss, and how it samples by *yielding* what it draws; `fit` is
# the one training loop for all of them. (`schedule="cosine"` lowers the step size to zero, `ema=0.99` averages the weights along the way, and `keep_best` keeps those
# that scored best on the validation images.)


# %%
class MyVAE(GenerativeModel):
    def __init__(self, space: Space, latents: int = 8, hidden: tuple = (256, 256), activation: str = "silu"):
        super().__init__(space)
        self.latents = latents
        self.encoder = MLP(space.dim, hidden, 2 * latents, activation)  # x -> μ and ln σ²
        self.decoder = MLP(latents, hidden[::-1], space.dim, activation)  # z -> logits

    def mean_and_log_var(self, x):
        return self.encoder(2 * x.flatten(1) - 1).chunk(2, dim=-1)  # (batch, latents) twice

    def bound(self, x, beta=1.0):
        mean, log_var = self.mean_and_log_var(x)
        z = reparameterize(mean, log_var, torch.randn_like(mean))
        return elbo(x.flatten(1), self.decoder(z), mean, log_var, beta)

    def training_step(self, x, y=None):
        yield Step(-self.bound(x).mean())

    def log_prob(self, x, y=None):
        return LogProb(self.bound(x), Kind.LOWER_BOUND)

    def trajectory(self, n, y=None):
        probabilities = self.decode(torch.randn(n, self.latents, device=self.device))
        yield probabilities  # first the decoder's opinion,
        yield torch.bernoulli(probabilities)  # then a draw of every pixel

    def encode(self, x, y=None):
        return self.mean_and_log_var(x)[0]  # the most likely code

    def decode(self, z, y=None):
        return self.decoder(z).sigmoid().view(-1, *self.space.shape)


torch.manual_seed(0)
mine = MyVAE(digits.space).to(device)
history = fit(mine, digits, steps=1500, schedule="cosine", ema=0.99, keep_best=True)
history.plot(
    alt="Training loss and validation score against steps. Both fall steeply and level off, the validation score near 18 nats, the training loss a little lower."
)

# %%
torch.manual_seed(1)
with torch.no_grad():
    opinion, drawn = mine.trajectory(12)
show(
    plots.plot_images({"test images": digits.test[:12], "p(x = 1 | z)": opinion, "samples": drawn}),
    alt="Three rows of twelve: real test digits, the decoder's pixel probabilities for random z, which look like digits, "
    "and samples drawn from them, which look like digits with a few stray pixels.",
)

# %% [markdown]
# The middle row is what papers usually show; the model itself, which has to commit to black or white at each pixel, draws the bottom row.
#
# How good is it? The simplest model of these images takes each pixel for itself: $p(x) = \prod_i p_i^{x_i} (1-p_i)^{1-x_i}$ with
# $p_i$ the share of training images with ink at pixel $i$. Its likelihood is exact, so it is a fair mark to beat.

# %%
share = digits.train.mean(0).clamp(1 / 1302, 1 - 1 / 1302)
independent = float((digits.test * share.log() + (1 - digits.test) * (1 - share).log()).sum((1, 2, 3)).mean())
my_elbo = evaluation.average_log_prob(mine, digits.test, repeats=20)
print(f"independent pixels: = {independent:.2f} nats an image\nyour VAE:           {my_elbo}")

# %% [markdown]
# More than seven nats an image: your model finds a test image over a thousand times as likely. (The ± is the standard error of the mean over the 297 test images.) And this is only
# what it can *prove*: the `≥` says lower bound. By how much is it too modest?
#
# ## 4. Tightening the bound
#
# The ELBO averages the log of the weight $w = p(x, z)/q(z\mid x)$. Average $k$ weights *first*, and take the log afterwards
# (Burda, Grosse & Salakhutdinov, 2016):
#
# $$L_k = \mathbb E\left[\log \frac1k \sum_{i=1}^k w_i\right], \qquad z_1, \dots, z_k \sim q(z\mid x).$$

# %%
predict(
    "What happens to L_k as k grows from 1 to 500?",
    choices=(
        "It stays the ELBO; only its noise shrinks",
        "It rises towards log p(x), and never passes it on average",
        "It rises without limit",
        "It falls, because more samples mean more chances to be wrong",
    ),
    answer=1,
    why="The mean of k weights has the expectation p(x), whatever k. The log is concave, so the log of a noisy mean is too low on average "
    "(Jensen); with more samples the mean is less noisy, and less is lost.",
)

# %% [markdown]
# ### Exercise 4 · The importance-weighted bound · ●●○ · 8 minutes
#
# You are given $\log w$ for $k$ draws of each image. Weights of images are numbers such as $e^{-200}$, which float32 rounds to zero; stay in
# logs.


# %%
@exercise("vae/importance")
def importance_weighted_bound(log_weights):
    """log (1/k) Σᵢ wᵢ of each image, in nats: log_weights (k, batch) -> (batch,)."""
    ### BEGIN SOLUTION
    return log_weights.logsumexp(0) - math.log(len(log_weights))
    ### END SOLUTION


# %%
check(importance_weighted_bound)

# %% [markdown]
# Your function, on two models: the one with a single latent, whose exact $\log p(x)$ we have, and yours with eight.


# %%
@torch.no_grad()
def log_weights(model, x, k):
    """log p(x|z) + log p(z) − log q(z|x) for k draws of each image: (k, batch)."""
    mean, log_var = model.mean_and_log_var(x)
    noise = torch.randn(k, *mean.shape, device=x.device)
    z = reparameterize(mean.expand_as(noise), log_var.expand_as(noise), noise)  # (k, batch, latents)
    log_prior = -0.5 * (z.square() + math.log(2 * math.pi)).sum(-1)
    log_q = -0.5 * (noise.square() + log_var + math.log(2 * math.pi)).sum(-1)
    pixels = x.flatten(1).expand(k, -1, -1)
    log_likelihood = -F.binary_cross_entropy_with_logits(model.decoder(z), pixels, reduction="none").sum(-1)
    return log_likelihood + log_prior - log_q


@torch.no_grad()
def bounds_by_k(model, counts, total=5000):
    """The mean bound for each k: 5,000 draws of every test image, taken k at a time, and all groups averaged."""
    drawn = torch.cat([log_weights(model, digits.test, 500) for _ in range(total // 500)])  # (5000, images)
    grouped = {k: drawn.view(total // k, k, -1).transpose(0, 1).flatten(1) for k in counts}  # (k, groups · images)
    return [float(importance_weighted_bound(weights).mean()) for weights in grouped.values()]


counts = (1, 2, 5, 10, 20, 50, 100, 500, 5000)
torch.manual_seed(0)
mine_by_k, single_by_k = bounds_by_k(mine, counts), bounds_by_k(one_latent, counts)
single_exact = float(evaluation.integrated_log_prob(one_latent, digits.test, nodes=2000).value.mean())
show(
    plots.plot_bounds(counts, {"1 latent": single_by_k, "your VAE, 8 latents": mine_by_k}, {"1 latent": single_exact}),
    alt=f"The bound against the number of samples k, from 1 to 5000, for two models. With one latent it reaches the exact value {single_exact:.2f} nats "
    f"within some fifty samples. With eight it rises from {mine_by_k[0]:.2f} to {mine_by_k[-1]:.2f} and levels off.",
)
print(f"your VAE: L₁ = {mine_by_k[0]:.3f}, L₅₀₀ = {mine_by_k[-2]:.3f}, L₅₀₀₀ = {mine_by_k[-1]:.3f} nats")

# %% [markdown]
# With one latent the bound arrives at the truth and stops there. With eight it gains more than half a nat, and flattens: ten times the samples, from 500 to 5,000, add next to nothing, so
# little can be left. Note what did *not* change: the model. Only our knowledge of it did. Comparing one model's ELBO with another's $L_{5000}$ compares yardsticks, not models.
#
# ## 5. A VAE whose truth is known: PCA
#
# Make both networks linear and the pixels Gaussian, $p(x\mid z) = \mathcal N(Wz + b, \sigma^2 I)$. Then the integral has a closed form,
# $p(x) = \mathcal N(b, WW^\top + \sigma^2 I)$, and the largest likelihood it can reach is known since 1999: it is that of **probabilistic PCA**
# (Tipping & Bishop; lesson 02). The exact posterior is Gaussian too. Our encoder's Gaussian is diagonal, so it can be perfect only where $W^\top W$ is diagonal; the bound itself turns $W$
# there (Lucas et al., 2019). Does gradient ascent on a noisy bound find all that?

# %%
from sklearn.decomposition import PCA

grey = data.digits(levels=17).to(device)
scans = torch.cat([grey.train, grey.valid, grey.test]).flatten(1)  # all 1,797, grey levels 0 … 1
rows = []
for latents in (2, 8):
    torch.manual_seed(0)
    linear = VAE(Space.real(64), latents, hidden=()).to(device)
    fit(linear, scans, steps=2500, batch_size=256, lr=1e-2, schedule="cosine")
    layer = linear.decoder[-1]
    with torch.no_grad():
        exact = evaluation.linear_gaussian_log_prob(
            scans, layer.weight, layer.bias, linear.log_scale.exp()
        ).value.mean()
        bound = torch.stack([linear.elbo(scans).mean() for _ in range(20)]).mean()
    best = PCA(latents).fit(scans.cpu().numpy()).score(scans.cpu().numpy())
    rows.append(
        (
            latents,
            f"= {best:.3f}",
            f"= {exact:.3f}",
            f"{best - float(exact):.4f}",
            f"≥ {bound:.3f}",
            f"{float(exact - bound):.3f}",
        )
    )
Table(
    ("latents", "PPCA, closed form", "log p(x) of the linear VAE", "gap to PPCA", "its ELBO", "gap of the bound"),
    rows,
    "All 1,797 grey digits, mean nats an image (a density: positive is possible)",
)

# %% [markdown]
# It does: within a few hundredths of a nat of the best there is, and the bound is almost tight. So neither a noisy gradient nor a lower bound need stand between a VAE and the truth. In
# larger ones two things do: posteriors that no diagonal Gaussian fits, and optima that are not found. Section 9 shows the second.
#
# ## 6. The price of a code: β
#
# Rate and distortion pull against each other. Give the KL a weight $\beta$ (Higgins et al., 2017), and you choose the exchange rate: how many nats of
# reconstruction must a nat of code buy? We train one model for each β.

# %%
betas, points, dialed = (0.1, 0.3, 1.0, 3.0), {}, {}
for beta in betas:
    torch.manual_seed(0)
    dialed[beta] = VAE(digits.space, latents=8, hidden=(128,), beta=beta).to(device)
    fit(dialed[beta], digits, steps=700)
    with torch.no_grad():
        rate, distortion = dialed[beta].rate_and_distortion(digits.test)
    points[beta] = (float(rate.sum(-1).mean()), float(distortion.mean()))
show(
    plots.plot_rate_distortion(points),
    alt="Distortion against rate for four values of beta. From β = 3 to β = 0.1 the rate rises from about 1 to about 19 nats while the "
    "distortion falls from about 22 to about 9. The sum of the two, minus the ELBO, is smallest at β = 1.",
)

# %% [markdown]
# Along a dotted line the sum of the two, $-\mathrm{ELBO}$, is the same. Of the four models the one with β = 1 reaches the lowest, as it should: β = 1 trains the bound itself. Below 1 the code says much, reconstructions are sharp, and random codes decode badly, because the codes in use lie
# far from the prior. Above 1 the code says little, and everything looks like an average.
#
# **Explore.** Turn the dial. (1) At which β do the reconstructions lose their details? (2) At which do the decoded random codes look best? (3) Why is that
# not the same place?

# %%
explorers.ModelDial(
    dialed,
    digits.test[:10],
    numbers={beta: {"rate, nats": r, "distortion, nats": d} for beta, (r, d) in points.items()},
)

# %% [markdown]
# ## 7. Living in latent space
#
# A code is a place, and places have a between. If the space is any good, half-way from one image to another lies an image.
#
# ### Exercise 5 · Interpolate · ●○○ · 5 minutes


# %%
@exercise("vae/interpolate")
def interpolate(z_a, z_b, steps):
    """`steps` points on the straight line from z_a to z_b, both ends included: (latents,), (latents,) -> (steps, latents)."""
    ### BEGIN SOLUTION
    fractions = torch.linspace(0, 1, steps, device=z_a.device)[:, None]
    return (1 - fractions) * z_a + fractions * z_b
    ### END SOLUTION


# %%
check(interpolate)

# %%
first, second = digits.test[digits.test_labels == 0][0], digits.test[digits.test_labels == 4][0]
with torch.no_grad():
    codes = mine.encode(torch.stack([first, second]))
    along = mine.decode(interpolate(codes[0], codes[1], 11))
faded = interpolate(first.flatten(), second.flatten(), 11).view(11, 1, 8, 8)
show(
    plots.plot_images({"through z": along, "through pixels": faded}),
    alt="Two rows of eleven images from a zero to a four. Through the latent space each image in between is a plausible stroke drawing; through "
    "pixels it is one digit fading out while the other fades in.",
)

# %% [markdown]
# The ends of the upper row are not the two images but their reconstructions: what the code kept of them.
#
# **Explore.** (1) Find two digits whose path passes through a third. (2) Compare the straight line in $z$ with the arc, which turns from one direction to the other and keeps the length of the
# code between. (3) Take two examples of the same digit: what changes along the way?

# %%
explorers.InterpolationStrip(mine, digits, first=2, second=7)

# %% [markdown]
# ### Asking for a class
#
# Tell encoder and decoder the label $y$, and the bound becomes one of $\log p(x\mid y)$; nothing else changes. The code no longer needs to say *which*
# digit it is, so it is left to say *how* it is written. Each column below is one $z$, each row one label.

# %%
torch.manual_seed(0)
styled = VAE(digits.space, latents=8, hidden=(256, 256), classes=10).to(device)
fit(styled, digits, steps=1500, schedule="cosine", ema=0.99)
torch.manual_seed(4)
z = styled.prior(12)
with torch.no_grad():
    table_of_styles = {str(label): styled.decode(z, torch.full((12,), label, device=device)) for label in range(10)}
show(
    plots.plot_images(table_of_styles, scale=0.45),
    alt="Ten rows, one for each digit from 0 to 9, and twelve columns, one for each latent code. Down a column the digits share a style: some columns "
    "are bold, some thin.",
)

# %% [markdown]
# **Explore.** One slider a latent, beside each what it does when it is moved alone. (1) Which latents tilt the digit, which make it wider? (2) Keep the sliders and change
# the class: does the style stay? (3) Encode a test image, then move one slider to its ends.

# %%
explorers.LatentSliders(styled, digits.test, digits.test_labels)

# %% [markdown]
# ## 8. Noticing strange images
#
# A model that says how likely an image is can say when one is unlikely: $-\mathrm{ELBO}$ as an **anomaly score**. The usual measure of such a score is the **AUROC**:
# the share of all pairs (anomalous image, normal image) in which the anomalous one has the larger score; a tie counts one half. 1 is perfect, ½ is guessing.
#
# ### Exercise 6 · Anomaly score · ●●○ · 10 minutes


# %%
@exercise("vae/anomaly")
def auroc(normal, anomalous):
    """Share of pairs in which the anomalous score is larger, ties counting ½: (n,), (m,) -> scalar tensor."""
    ### BEGIN SOLUTION
    wins = (anomalous[:, None] > normal).float() + 0.5 * (anomalous[:, None] == normal).float()
    return wins.mean()
    ### END SOLUTION


# %%
check(auroc)

# %%
torch.manual_seed(0)
average = torch.stack([digits.train[digits.train_labels == label].mean(0).round() for label in range(10)])
printed = data.glyphs(side=12, characters="ABCEFGHKMNPRTXY", n=(300, 1, 1), vary=("font",)).train.to(device)
letters = (printed[..., 2:10, 2:10] > 0.3).float()  # the middle 8×8 pixels
others = digits.test[torch.randperm(len(digits.test), device=device)]
strange = {
    "letters": letters,
    "digits upside down": digits.test.flip(-2),
    "upper half of one digit, lower half of another": torch.cat([digits.test[..., :4, :], others[..., 4:, :]], dim=-2),
    "digits, pixels shuffled": digits.test.flatten(1)[:, torch.randperm(64, device=device)].view_as(digits.test),
    "the ten average digits": average,
}


@torch.no_grad()
def anomaly_score(x, draws=20):
    """−ELBO, averaged over a few draws of z: (batch, 1, 8, 8) -> (batch,), nats."""
    return torch.stack([-mine.bound(x) for _ in range(draws)]).mean(0)


def pixel_score(x):
    """The same from independent pixels."""
    return -(x * share.log() + (1 - x) * (1 - share).log()).sum((1, 2, 3))


normal, plain = anomaly_score(digits.test), pixel_score(digits.test)
show(
    plots.plot_images({name: images[:10] for name, images in strange.items()}, scale=0.45),
    alt="Ten examples each of five kinds of strange images: letters, digits upside down, the upper half of one digit upon the lower half of another, "
    "digits with shuffled pixels, and for each class the image in which every pixel takes its majority value.",
)
Table(
    ("strange images", "AUROC, your VAE", "AUROC, independent pixels"),
    [
        (name, f"{auroc(normal, anomaly_score(images)):.3f}", f"{auroc(plain, pixel_score(images)):.3f}")
        for name, images in strange.items()
    ],
    "How well test digits are told from strange images",
)

# %% [markdown]
# Look at the third row. Every pixel of such an image is as likely to be ink as in a real digit, so independent pixels can only guess; your model knows which pixels go together. (It does not reach 1, and should not:
# some halves fit. Nor with upside-down digits: a 0, a 3 or an 8 on its head is a digit.)
#
# The last row is a warning. An *average digit*, every pixel set to what most images of its class have there, is the dullest of digits, and both models find it **more** likely than nine out of ten
# real ones. High likelihood means "cheap to describe", not "normal": a real digit pays for each of its wobbles, an average one has none. Large models of photographs even prefer simpler photographs of another kind
# to those that they were trained on (Nalisnick et al., 2019). Lesson 09 comes back to this.
#
# ## 9. Failure lab: posterior collapse
#
# Here is your class again with three narrow layers of tanh units on either side, sixteen latents, and plain Adam. It is a reasonable network. Watch what it does.


# %%
def rate_of_each_latent(model):
    """KL(q(zⱼ|x) ‖ p(zⱼ)) of each latent j, averaged over the test images: (latents,), nats."""
    with torch.no_grad():
        mean, log_var = model.mean_and_log_var(digits.test)
    return 0.5 * (mean.square() + log_var.exp() - 1 - log_var).mean(0)


narrow = {"latents": 16, "hidden": (64, 64, 64), "activation": "tanh"}
torch.manual_seed(0)
collapsed = MyVAE(digits.space, **narrow).to(device)
collapsed_history = fit(collapsed, digits, steps=1400)
collapsed_elbo = evaluation.average_log_prob(collapsed, digits.test, repeats=5)
print(
    f"loss at first {collapsed_history.losses['model'][0]:.1f}, at last {collapsed_history.losses['model'][-1]:.1f} nats"
)
print(
    f"your VAE from before: {my_elbo}\nthis one:             {collapsed_elbo}\nindependent pixels:   = {independent:.2f} nats"
)
print("KL of each latent:", [round(rate, 3) for rate in rate_of_each_latent(collapsed).tolist()])

# %% [markdown]
# The loss fell, nothing crashed, and the model is exactly as good as one that ignores $z$ altogether. **Diagnosis**: look at the KL of each latent. Where it is zero,
# $q(z_j\mid x)$ is the prior for every image: that latent says nothing. Here that is all of them.
#
# **Cause**: at the start the decoder cannot read the code, so the code brings no gain, while its KL already costs. The quickest way down is to switch it off; and once it is off, the decoder sees only noise there
# and learns to overlook it. It is a plateau, not a prison: train on with `fit(collapsed, digits, steps=2600)` and look again. But nobody
# waits who does not know what to look for.
#
# ### Exercise 7 · Warm up the KL · ●○○ · 5 minutes
#
# **Repair**: let the code be free at first. Raise the KL's weight in a straight line from 0 to β over the first `warmup` steps, and keep it there (Bowman et al., 2016;
# Sønderby et al., 2016).


# %%
@exercise("vae/warmup")
def kl_weight(step, warmup, beta=1.0):
    """Weight of the KL term at `step` (0, 1, 2, …): rises linearly from 0 to β at step `warmup`, then stays. A float."""
    ### BEGIN SOLUTION
    return beta * min(1.0, step / warmup)
    ### END SOLUTION


# %%
check(kl_weight)


# %%
class WarmedVAE(MyVAE):
    """Your VAE with your schedule: β comes from `kl_weight`."""

    step = 0

    def training_step(self, x, y=None):
        yield Step(-self.bound(x, beta=kl_weight(self.step, warmup=1300)).mean())
        self.step += 1  # when `fit` comes back, the update is done


torch.manual_seed(0)
warmed = WarmedVAE(digits.space, **narrow).to(device)
fit(warmed, digits, steps=1400)
torch.manual_seed(0)
freed = VAE(digits.space, free_bits=0.25, **narrow).to(device)
fit(freed, digits, steps=1400)
show(
    plots.plot_rates(
        {
            name: rate_of_each_latent(model)
            for name, model in {"full KL from the start": collapsed, "KL warmed up": warmed, "free bits": freed}.items()
        }
    ),
    alt="KL of each of sixteen latents, sorted, for three models. With the full KL from the start none is in use; with the KL warmed up one is, with almost two nats; "
    "with free bits all are, with a quarter of a nat each.",
)
for name, model in {"full KL from the start": collapsed, "KL warmed up": warmed, "free bits": freed}.items():
    print(f"{name}: {evaluation.average_log_prob(model, digits.test, repeats=5)}")

# %% [markdown]
# With warm-up the model escapes: one latent carries almost two nats, and the bound gains more than three. The third model tries another repair, **free bits** (Kingma et al., 2016): a latent is charged only for what it says beyond
# an allowance, here a quarter of a nat (`VAE(…, free_bits=0.25)`). All sixteen then talk, each up to its allowance, and the bound gains about as much.
#
# Both are still four nats behind your first model, which has wider layers and SiLU units and never fell into this trap: repaired, not cured. Count the latents in use before you trust a VAE; and not every zero is a
# failure: a latent that would not earn its price *should* be off.
#
# ### Bug hunt · ●●● · 10 minutes
#
# A colleague wrote this model. It trains, and its loss is far below the 18 nats of section 3.


# %%
class ColleaguesVAE(MyVAE):
    def training_step(self, x, y=None):
        x = x.flatten(1)
        mean, log_var = self.mean_and_log_var(x)
        logits = self.decoder(reparameterize(mean, log_var, torch.randn_like(mean)))
        reconstruction = F.binary_cross_entropy_with_logits(logits, x)
        kl = 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1)
        yield Step((reconstruction + kl).mean())


def twelve_of(model):
    torch.manual_seed(1)
    with torch.no_grad():
        return dict(zip(("p(x = 1 | z)", "samples"), model.trajectory(12), strict=True))


torch.manual_seed(0)
foggy = ColleaguesVAE(digits.space, hidden=(128,)).to(device)
print(f"last loss: {fit(foggy, digits, steps=500).losses['model'][-1]:.2f}")
show(
    plots.plot_images(twelve_of(foggy)),
    alt="Decoded random codes of the colleague's model: twelve times the same grey fog. Its samples are specks without form.",
)

# %% [markdown]
# Twelve codes, twelve times the same fog. There is **one** bug in the loss. Find it and mend it in place. (What should 64 coin flips cost, in nats?)


# %%
@exercise("vae/bug")
def vae_loss(x, logits, mean, log_var):
    """−ELBO averaged over the batch, in nats: x, logits (batch, pixels); mean, log_var (batch, latents) -> scalar."""
    ### BEGIN SOLUTION
    reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    ### BEGIN BUG
    # reconstruction = F.binary_cross_entropy_with_logits(logits, x)
    ### END SOLUTION
    kl = 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1)
    return (reconstruction + kl).mean()


# %%
check(vae_loss)


# %%
class MendedVAE(MyVAE):
    def training_step(self, x, y=None):
        mean, log_var = self.mean_and_log_var(x)
        logits = self.decoder(reparameterize(mean, log_var, torch.randn_like(mean)))
        yield Step(vae_loss(x.flatten(1), logits, mean, log_var))


torch.manual_seed(0)
mended = MendedVAE(digits.space, hidden=(128,)).to(device)
print(f"last loss: {fit(mended, digits, steps=500).losses['model'][-1]:.2f}")
show(
    plots.plot_images(twelve_of(mended)),
    alt="Decoded random codes of the mended model and samples from it: digits, if somewhat rough ones.",
)

# %% [markdown]
# ## 10. What scale brings
#
# The same class, larger, on the 70,000 images of MNIST (28×28, binarized anew in every batch). These models were trained by `python -m dgmcourse train vae-mnist` and
# `… vae-mnist-2d`, and ship with the course; nothing is downloaded.

# %%
rows = []
for name in ("vae-mnist-2d", "vae-mnist"):
    card = zoo.card(name)
    for what, number in card["numbers"].items():
        training = f"{card['training_seconds'] / 60:.0f} min, {card['hardware']}"
        rows.append((card["about"], what, f"{number['kind']} {number['value']:.2f}", training))
for figure in zoo.card("vae-mnist")["published"]:
    rows.append((figure["model"], figure["quantity"], f"≥ {figure['value']:.2f}", figure["source"]))
Table(
    ("model", "what", "test nats an image", "training, or source"),
    rows,
    "Dynamically binarized MNIST, all 10,000 test images",
)

# %% [markdown]
# Compare like with like: ELBO with ELBO, $L_{5000}$ with $L_{5000}$. From two latents to forty the model gains fifty nats: two numbers are enough for a map, not for a likeness. The larger VAE, wider
# than that of 2016 and trained with today's tools, is two nats ahead of it. And nearly four nats lie between the ELBO and $L_{5000}$ of one and the same model: what its encoder's Gaussians cannot express, training never sees.

# %%
large = zoo.load("vae-mnist").to(device)
torch.manual_seed(2)
with torch.no_grad():
    imagined = large.decode(large.prior(24))
show(
    plots.plot_images(imagined, columns=12, scale=0.6),
    alt="Twenty-four digits decoded from random codes by the model with forty latents. Most are convincing handwriting; a few are blends of two digits.",
)

# %% [markdown]
# **Explore** the page from the top of this lesson: drag the point (or use the arrow keys), and watch what is decoded. (1) Walk from a 1 to a 0: which digits do you pass? (2) Go to the rim, three standard
# deviations out: does the decoder still draw digits where almost no codes lie? (3) Find the place where 4, 7 and 9 meet.

# %%
explorers.LatentPad(landscape, background="images")

# %% [markdown]
# ## 11. How far from the truth?

# %%
Table(
    ("model", "data", "value, nats", "truth or strongest reference", "gap"),
    [
        ("independent pixels", "digits, test", f"= {independent:.2f}", "–", "–"),
        (
            "VAE, 1 latent: ELBO",
            "digits, test",
            f"≥ {single_by_k[0]:.2f}",
            f"= {single_exact:.2f} (integral on a grid)",
            f"{single_exact - single_by_k[0]:.2f}",
        ),
        (
            "VAE, 1 latent: L₅₀₀₀",
            "digits, test",
            f"≥ {single_by_k[-1]:.2f}",
            f"= {single_exact:.2f} (integral on a grid)",
            f"{single_exact - single_by_k[-1]:.2f}",
        ),
        (
            "linear VAE, 8 latents",
            "grey digits, all",
            f"= {exact:.2f}",
            f"= {best:.2f} (PPCA, closed form)",
            f"{best - float(exact):.2f}",
        ),
        (
            "your VAE, 8 latents: ELBO",
            "digits, test",
            f"≥ {my_elbo.value:.2f}",
            f"≥ {mine_by_k[-1]:.2f} (its own L₅₀₀₀)",
            f"≥ {mine_by_k[-1] - my_elbo.value:.2f}",
        ),
    ],
    "Nats an image; = exact, ≥ lower bound",
)

# %% [markdown]
# Where the truth is known, the gap is small and we know why it is there. Where it is not, the bound is all we have: a better model with a looser bound may look worse.
#
# ## 12. The same five questions
#
# Asked of every family in this course.
#
# | | variational autoencoders |
# |---|---|
# | What does it assume? | A few Gaussian numbers decide everything that pixels share; given them, pixels are independent. |
# | How does it learn? | It raises a lower bound of the likelihood, by a gradient through a random draw; encoder and decoder at once. |
# | How does it sample? | In one step: draw $z$, decode. |
# | Can it score? | Yes, by a lower bound, which importance weighting tightens. |
# | What is in its latent space? | A smooth map of the data, with an encoder into it: the strongest side of the family. |
#
# **Strengths**: stable training, fast sampling, a bound one can trust, a usable representation. **Limitations**: pixels independent given $z$ make samples blurred or speckled; a Gaussian guess leaves a gap; latents may
# go unused. **Applications**: compression, anomaly detection, molecules and proteins searched in latent space, and the first stage of latent diffusion (lesson 08b).

# %%
evaluation.family_map(dialed[1.0], styled)

# %% [markdown]
# ## 13. You can now…
#
# - write down the ELBO, and say what its gap is;
# - turn a random draw into something that gradients pass through;
# - say what a `≥` before a number hides, and shrink it;
# - walk, steer and judge by a latent space;
# - tell a collapsed posterior from a busy one, and repair it.
#
# **To go on with.** (1) Your first model has eight latents. Does $L_{500}$ get better with 16, or 4? (2) Train with `VAE(…, samples=20)`, which climbs $L_{20}$ itself. What becomes of its ELBO, and why does it get worse?
# (3) The prior is $\mathcal N(0, I)$. Collect the codes of all training images: are they distributed like that? What would a better prior change?
#
# **Further reading**
#
# - Kingma & Welling, [Auto-Encoding Variational Bayes](https://arxiv.org/abs/1312.6114), 2014: the paper; appendix B has the KL of exercise 2.
# - Rezende, Mohamed & Wierstra, [Stochastic Backpropagation](https://arxiv.org/abs/1401.4082), 2014: the same idea, found independently.
# - Burda, Grosse & Salakhutdinov, [Importance Weighted Autoencoders](https://arxiv.org/abs/1509.00519), 2016: section 4, and the numbers that section 10 answers to.
# - Higgins et al., [β-VAE](https://openreview.net/forum?id=Sy2fzU9gl), 2017, and Alemi et al., [Fixing a Broken ELBO](https://arxiv.org/abs/1711.00464), 2018: two readings of β.
# - Bowman et al., [Generating Sentences from a Continuous Space](https://arxiv.org/abs/1511.06349), 2016: posterior collapse met, and warmed away.
# - Lucas et al., [Don't Blame the ELBO!](https://arxiv.org/abs/1911.02469), 2019: the linear VAE of section 5, and what really causes collapse.
# - Sønderby et al., [Ladder Variational Autoencoders](https://arxiv.org/abs/1602.02282), 2016, and Kingma et al., [Improved Variational Inference with Inverse Autoregressive Flow](https://arxiv.org/abs/1606.04934), 2016: warm-up and free bits.
# - Tipping & Bishop, [Probabilistic Principal Component Analysis](https://doi.org/10.1111/1467-9868.00196), 1999: the truth of section 5.
# - Nalisnick et al., [Do Deep Generative Models Know What They Don't Know?](https://arxiv.org/abs/1810.09136), 2019: the warning of section 8, at scale.

# %%
progress()
