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
# # Diffusion
#
# In this lesson you destroy data with noise, little by little, learn to guess that noise, and walk the way back: from pure noise to points, and to digits that you name.

# %%
from dgmcourse.lesson import data, plots, show, torch
from dgmcourse.samplers import ddim, exact_noise, time_grid
from dgmcourse.schedules import Linear

truth = data.toy_density("eight_gaussians").noised(1 / 3, 0.0)  # shrunk by 3, so that its standard deviation is about 1
path = Linear()
best = exact_noise(truth, path)
torch.manual_seed(0)
start, times = torch.randn(500, 2), time_grid(path, 100)
clouds = [start, *ddim(best, path, start, times)]
panels = {}
for k in (0, 75, 85, 93, 100):
    t = times[k]
    alpha, sigma = float(path.alpha(t)), float(path.sigma(t))
    arrows = None if k == 100 else lambda x, t=t: -path.sigma(t).float() * best(x, t)
    panels[f"t = {t:.2f}"] = (truth.noised(alpha, sigma).log_prob, arrows, clouds[k])
show(
    plots.plot_scores(panels),
    alt="Five panels. At t = 1 a round cloud of dots on a round, pale density, with arrows that all point to the middle. As t falls the density becomes a ring, "
    "then eight hills; the arrows point to the ring, then to the hills, and the dots gather on them.",
)

# %% [markdown]
# A cloud of noise, on the left, is to become data, on the right. The arrows say where to go at every moment. They are all that has to be learned, and the question that teaches them is a modest one: *here is something noisy; what noise is in it?*
#
# **Time** 110 minutes · **You need** PyTorch, and what a log-likelihood is (lesson 01) · **You will be able to**
#
# - noise data to any degree in one line, and train a network to say the noise;
# - turn such a prediction into the data, and into the score, and hold it to the exact one;
# - walk back from noise at random (DDPM) or along a curve (DDIM), and say what a step costs and what it errs;
# - bound the likelihood, and say what the bound's gap is;
# - steer by a label, and say which distribution that does *not* sample.

# %%
from itertools import pairwise

from sklearn.svm import SVC

from dgmcourse.data.toys import Mixture
from dgmcourse.lesson import GenerativeModel, Space, Step, Table, begin, check, evaluation, exercise, explorers, fit, hint, math, predict, progress, zoo  # fmt: skip
from dgmcourse.models import Diffusion, FlowMatching
from dgmcourse.models.diffusion.likelihood import flow_log_prob, likelihood_times
from dgmcourse.networks.timed import TimedMLP
from dgmcourse.samplers import dpm_solver_pp_2m, heun_probability_flow
from dgmcourse.schedules import ContinuousVP, Cosine, StraightLine

device = begin(seed=0)

# %% [markdown]
# Stuck in an exercise? `hint("diffusion/noising")` gives one more step at each call. A blank or wrong answer never stops you: the
# cells below then use the course's own version, and say so. Each section uses what the ones before it made: if a cell says that a name is
# not defined, choose *Run → Run All Above Selected Cell*.
#
# ## 1. Noise, little by little
#
# Let time $t$ run from 0, the data, to 1, noise. At every $t$ we mix
#
# $$x_t = \alpha_t\cdot\text{data} + \sigma_t\cdot\text{noise}, \qquad \text{noise}\sim\mathcal N(0, I).$$
#
# $\alpha_t$ falls from 1 to about 0: what is left of the data. $\sigma_t$ rises from 0 to about 1. How fast, the **schedule** says; here $\alpha_t^2 + \sigma_t^2 = 1$, so that data of variance one keep it. (The paper of DDPM, Ho et al., 2020, writes $\sqrt{\bar\alpha_t}$ for our $\alpha_t$.) Nothing in this is learned.
#
# In the cells, `path` is the schedule of the picture above, DDPM's, and `truth` its data: eight Gaussians, a density known exactly, shrunk so that its variance is about one.
#
# ### Exercise 1 · Noising · ●○○ · 5 minutes
#
# Each example of a batch has its own time, so `alpha` and `sigma` have the shape (batch,), while data may be points, (batch, dim), or images, (batch, channels, height, width). `alpha.view(-1, *[1] * (data.ndim - 1))` gives `alpha` as many axes as data has.


# %%
@exercise("diffusion/noising")
def noised(data, noise, alpha, sigma):
    """x_t = α · data + σ · noise. data, noise: (batch, …), any number of axes; alpha, sigma: (batch,). Returns (batch, …)."""
    ### BEGIN SOLUTION
    ones = [1] * (data.ndim - 1)
    return alpha.view(-1, *ones) * data + sigma.view(-1, *ones) * noise
    ### END SOLUTION


# %%
check(noised)

# %% [markdown]
# Here is a digit on its way, by two schedules: DDPM's (*linear*; Ho et al., 2020) and a gentler one (*cosine*; Nichol & Dhariwal, 2021). On the path, pixels run from −1 to 1.

# %%
digits = data.digits(levels=17).to(device)
moments_at = torch.tensor([0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0], device=device)
torch.manual_seed(1)
scan, grain = (2 * digits.test[4] - 1).expand(10, 1, 8, 8), torch.randn(1, 1, 8, 8, device=device).expand(10, 1, 8, 8)
rows = {}
for name, schedule in {"linear": Linear(), "cosine": Cosine()}.items():
    rows[name] = (noised(scan, grain, schedule.alpha(moments_at), schedule.sigma(moments_at)) + 1) / 2
show(
    plots.plot_images(rows, scale=0.75, above=[f"t = {t:g}" for t in moments_at.tolist()]),
    alt="Two rows of one digit that disappears in noise. By the linear schedule hardly anything can be seen of it at t = 0.5; by the cosine schedule it can be guessed until 0.6 or so.",
)

# %% [markdown]
# One may also go in many small steps. From a time $s$ to a later $t$: $x_t = a\,x_s + \sqrt b\cdot\text{noise}$ with $a = \alpha_t/\alpha_s$ and $b = \sigma_t^2 - a^2\sigma_s^2$; that adds just what is missing, since the noise that was there has shrunk by $a$. DDPM took 1000 such steps. Is it the same as your one jump?

# %%
torch.manual_seed(0)
x = torch.full((20_000,), 1.5, dtype=torch.float64)
for s, t in pairwise(torch.linspace(0, 0.3, 301, dtype=torch.float64)):
    a = path.alpha(t) / path.alpha(s)
    x = a * x + (path.sigma(t) ** 2 - a**2 * path.sigma(s) ** 2).sqrt() * torch.randn_like(x)
t = torch.tensor(0.3, dtype=torch.float64)
Table(
    ("x at t = 0.3, from data = 1.5", "mean", "standard deviation"),
    [
        ("300 small steps, 20,000 times", f"{x.mean():.3f}", f"{x.std():.3f}"),
        ("one jump: 1.5 α and σ", f"{1.5 * path.alpha(t):.3f}", f"{path.sigma(t):.3f}"),
    ],
)

# %% [markdown]
# The way is known in closed form at every moment, and so we may train at a random moment, without ever simulating the way. That is half of why diffusion is simple.
#
# **Explore** the path of the eight Gaussians. (1) Move $t$ slowly: at which $t$ have the eight hills become one ring, and when is the ring gone? (2) Take the cosine schedule instead: what moves to where? (3) Look at the arrows, the exact score, near $t = 0$ and near $t = 1$: where are they long, and how many different ways do they point?

# %%
explorers.Noising(data.toy_density("eight_gaussians"), "linear", t=0.25, scale=3.0)

# %% [markdown]
# ## 2. What noise is in it?
#
# A network $\varepsilon_\theta(x_t, t)$, with weights $\theta$, sees $x_t$ and $t$ and says the noise. Its loss is the mean squared error, over data, noise and times (Ho et al., 2020, call it the *simple* loss):
#
# $$L(\theta) = \mathbb E\,\tfrac1d\big\|\varepsilon_\theta(x_t, t) - \text{noise}\big\|^2, \qquad d \text{ numbers in } x.$$
#
# ### Exercise 2 · The loss · ●○○ · 6 minutes


# %%
@exercise("diffusion/loss")
def noise_loss(predict, data, noise, t, schedule):
    """The mean squared error of the predicted noise, over all entries: a scalar that can be differentiated.

    predict(x, t) returns (batch, …); data, noise: (batch, …); t: (batch,); schedule.alpha(t), schedule.sigma(t): (batch,).
    """
    ### BEGIN SOLUTION
    x = noised(data, noise, schedule.alpha(t), schedule.sigma(t))
    return (predict(x, t) - noise).square().mean()
    ### END SOLUTION


# %%
check(noise_loss)

# %% [markdown]
# What is the best possible answer? Many pairs of data and noise lead to the same $x_t$. Of a squared error the best answer is the mean over all of them, $\varepsilon^*(x, t) = \mathbb E[\text{noise}\mid x_t = x]$. And that mean has a second face. The density of $x_t$ is an average of Gaussians around $\alpha_t\cdot\text{data}$, and the gradient of a Gaussian is itself times $-(x - \alpha_t\cdot\text{data})/\sigma_t^2 = -\text{noise}/\sigma_t$:
#
# $$p_t(x) = \mathbb E_{\text{data}}\,\mathcal N(x;\, \alpha_t\cdot\text{data},\, \sigma_t^2 I) \quad\Rightarrow\quad \nabla \ln p_t(x) = \frac{\nabla p_t(x)}{p_t(x)} = -\frac{\mathbb E[\text{noise}\mid x_t = x]}{\sigma_t} .$$
#
# $\nabla\ln p_t$ is called the **score**: the direction in which the density grows fastest. *Whoever can say the noise knows the score*, and knows it of the density at every degree of noise (Vincent, 2011).
#
# ### Exercise 3 · Noise, data and score · ●○○ · 6 minutes
#
# Three names of one thing. Given a prediction of the noise, what data does it mean, and what score?


# %%
@exercise("diffusion/score")
def data_and_score(noise, x, alpha, sigma):
    """From the noise predicted in x_t = x: the data predicted, and the score ∇ ln p_t(x).

    noise, x: (batch, …); alpha, sigma: of the time t, scalar tensors. Returns two tensors, (batch, …) each.
    """
    ### BEGIN SOLUTION
    return (x - sigma * noise) / alpha, -noise / sigma
    ### END SOLUTION


# %%
check(data_and_score)

# %% [markdown]
# The eight Gaussians stay a mixture of Gaussians under noise, so their $p_t$, its score, and with it the best prediction $\varepsilon^*$ are known exactly: in the cells, $\varepsilon^*$ is `best`, and the first picture's arrows were its. We hold the claim above to two judges: autograd on $\ln p_t$, and plain averaging of the noise of those among a million noisy points that fell near one place.


# %%
def moments(schedule, t):
    """α and σ at one time, scalar tensors."""
    return schedule.alpha(t), schedule.sigma(t)


t = torch.tensor(0.2)
alpha, sigma = moments(path, t)
torch.manual_seed(0)
clean, grain = truth.sample(1_000_000), torch.randn(1_000_000, 2)
noisy = noised(clean, grain, alpha.expand(1_000_000), sigma.expand(1_000_000))
rows = []
for place in ((1.0, 0.3), (0.5, -0.5), (0.0, 1.6)):
    point = torch.tensor([place], requires_grad=True)
    (by_autograd,) = torch.autograd.grad(truth.noised(float(alpha), float(sigma)).log_prob(point).sum(), point)
    near = (noisy - point.detach()).norm(dim=1) < 0.1
    _, by_average = data_and_score(grain[near].mean(0, keepdim=True), point.detach(), alpha, sigma)
    rows.append((str(place), *(f"({one[0, 0]:+.2f}, {one[0, 1]:+.2f})" for one in (by_autograd, by_average)), int(near.sum())))  # fmt: skip
Table(("x", "score by autograd", "−mean noise / σ", "points averaged"), rows, "t = 0.2")

# %%
predict(
    "Suppose that a network has learned perfectly: it says E[noise | x_t]. On the eight Gaussians, what is its loss near t = 0, and near t = 1?",
    choices=(
        "0 near t = 0, where hardly any noise is in the way, and 1 near t = 1",
        "1 near t = 0, and 0 near t = 1",
        "0 everywhere: it is perfect",
        "The same everywhere, about one half",
    ),
    answer=1,
    why="Near t = 1, x is nearly all noise: read it off. Near t = 0 the noise is far smaller than the data vary by themselves, and of such a small change "
    "nothing can be told from x: the best answer is about 0, and its error is the noise's own variance, 1.",
)

# %% [markdown]
# ## 3. A network learns it
#
# Your loss makes a model. `TimedMLP` is a dense network that also sees $t$, as sines and cosines of many frequencies; `fit` is the training loop of all lessons (`ema=0.98` averages the weights along the way). How samples are drawn, you will write in the next section.

# %%
splits = (truth.sample(n, torch.Generator().manual_seed(n)) for n in (20_000, 2000, 8000))
ring = data.Dataset("eight Gaussians, shrunk", Space.real(2), *splits, truth=truth).to(device)


class MyDiffusion(GenerativeModel):
    """A network that says the noise, trained by your loss, and sampled by your steps of section 4."""

    def __init__(self, space: Space, hidden: tuple[int, ...] = (128, 128, 128)):
        super().__init__(space)
        self.schedule, self.network = Linear(), TimedMLP(space.dim, hidden)

    def predict(self, x, t):
        return self.network(10 * x, t.to(x).expand(len(x)))  # magnified: what is fine in x is wide for the network

    def training_step(self, x, y=None):
        t = torch.rand(len(x), device=x.device).square()  # more often early, where there is most to learn
        yield Step(noise_loss(self.predict, x, torch.randn_like(x), t, self.schedule))

    def trajectory(self, n, y=None):
        x = torch.randn(n, self.space.dim, device=self.device)
        yield from ancestral(self.predict, self.schedule, x, time_grid(self.schedule, 100))


torch.manual_seed(0)
mine = MyDiffusion(ring.space).to(device)
history = fit(mine, ring, steps=1500, batch_size=256, lr=3e-3, schedule="cosine", ema=0.98)
history.plot(
    alt="Training loss against steps: within fifty steps it falls below 0.5, and then stays between 0.4 and 0.5, wandering, and falling a little."
)

# %% [markdown]
# The loss stops far above zero. Is that bad? Only the exact answer tells.


# %%
@torch.no_grad()
def learned(x, t):
    """What your network says, for x on any device: (n, 2), a scalar t -> (n, 2), where x was."""
    return mine.predict(x.to(device), t.to(device)).to(x)


some, at = ring.test[:4000].cpu(), torch.tensor([0.01, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0])
losses, errors = {"the least possible": [], "yours": []}, []
torch.manual_seed(0)
for t in at:
    grain = torch.randn_like(some)
    for name, said in {"the least possible": best, "yours": learned}.items():
        losses[name].append(float(noise_loss(lambda x, t, said=said: said(x, t[0]), some, grain, t.expand(4000), path)))
    x_t = path.noised(some, grain, t)
    errors.append(float((learned(x_t, t) - best(x_t, t)).square().mean() / best(x_t, t).square().mean()))
show(
    plots.plot_curves({name: (at.tolist(), values) for name, values in losses.items()}, "time t", "loss at this time"),
    alt="Loss against time: the least possible loss is near 1 at t = 0, about 0.6 from 0.05 to 0.2, and falls to 0 from there to t = 0.6. That of the network lies on the same curve, or a little above it at early times.",
)
score_error = sum(errors) / len(errors)
print(f"relative squared error of the score, averaged over the times: {score_error:.3f}")

# %% [markdown]
# For later times the loss *is* the least possible one, and for early ones it is not far above: most of it is noise that nobody could have guessed. **The loss of a diffusion model says little by itself**: the relative error of the score, printed above, says how much is left to learn where it matters. Here are both fields of arrows, each arrow drawn as the step $\sigma_t^2\nabla\ln p_t$ that leads from $x$ to the mean of what it may have been, $\alpha_t\,\mathbb E[\text{data}\mid x_t]$.

# %%
panels = {}
for t in (torch.tensor(0.05), torch.tensor(0.15)):
    alpha, sigma = moments(path, t)
    for name, said in {"exact": best, "learned": learned}.items():
        step = lambda x, t=t, said=said: -path.sigma(t) * said(x, t)  # noqa: E731
        panels[f"{name}, t = {t:.2f}"] = (truth.noised(float(alpha), float(sigma)).log_prob, step, None)
show(
    plots.plot_scores(panels, size=2.5),
    alt="Four panels of arrows over densities, exact and learned at t = 0.05 and 0.15. At 0.05 arrows point to the nearest of eight hills, at 0.15 to a ring. The learned arrows nearly agree with the exact ones.",
)

# %% [markdown]
# ## 4. Back again, at random: DDPM
#
# To walk back from $x_t$ to an earlier $x_s$ we need $p(x_s\mid x_t)$. If we knew the data, that would be easy: $x_s$ given the data is $\mathcal N(\alpha_s\,\text{data}, \sigma_s^2 I)$, and $x_t$ is $a\,x_s$ plus noise of variance $b$ (section 1). Bayes' rule for two Gaussians weights both by their precision, and gives a Gaussian again:
#
# $$q(x_s\mid x_t, \text{data}) = \mathcal N\Big(\frac{a\,\sigma_s^2}{\sigma_t^2}\,x_t + \frac{\alpha_s\, b}{\sigma_t^2}\,\text{data},\;\; \frac{b\,\sigma_s^2}{\sigma_t^2} I\Big), \qquad a = \frac{\alpha_t}{\alpha_s},\quad b = \sigma_t^2 - a^2\sigma_s^2 .$$
#
# We do not know the data. But the network has a guess: put that in their place. This is the **DDPM** step, and a chain of them from $t = 1$ to $0$ is *ancestral sampling*.
#
# ### Exercise 4 · A DDPM step · ●●○ · 10 minutes


# %%
@exercise("diffusion/ddpm")
def ddpm_step(x, data, fresh, alpha_t, sigma_t, alpha_s, sigma_s):
    """A draw of q(x_s | x_t = x, data), s < t: its mean plus its standard deviation times `fresh`. (batch, …) -> (batch, …).

    fresh: noise ~ N(0, I). The α and σ are scalar tensors; σ_s = 0 in the last step.
    """
    ### BEGIN SOLUTION
    a = alpha_t / alpha_s
    b = sigma_t**2 - a**2 * sigma_s**2
    mean = (a * sigma_s**2 * x + alpha_s * b * data) / sigma_t**2
    return mean + b.sqrt() * sigma_s / sigma_t * fresh
    ### END SOLUTION


# %%
check(ddpm_step)

# %% [markdown]
# Together they make a sampler. As it only needs a function that says the noise, it runs with the exact one as well, and so we can tell the sampler's faults from the network's.


# %%
@torch.no_grad()
def ancestral(predict, schedule, x, times):
    """DDPM from x at times[0]: yields every state."""
    for t, s in pairwise(times):
        now, then = moments(schedule, t), moments(schedule, s)
        guess, _ = data_and_score(predict(x, t), x, *now)
        x = ddpm_step(x, guess, torch.randn_like(x), *now, *then)
        yield x


def last(states):
    """The last state of a walk."""
    *_, x = states
    return x


def astray(x):
    """Which points lie beyond 3σ of every center: (n, 2) -> (n,), true or false."""
    return torch.cdist(x, truth.centers.to(x)).amin(1) > 3 * truth.std


def strays(x):
    """The share of points that lie beyond 3σ of every center."""
    return float(astray(x).float().mean())


def nats(x):
    """The mean of −ln p(x) of samples under the exact density; the entropy, if they are the data's."""
    return -float(truth.log_prob(x).mean())


plenty = truth.sample(1_000_000, torch.Generator().manual_seed(8))
true_strays = strays(
    plenty
)  # about 1 %: a normal point of the plane has e^(−9/2) beyond 3σ, and here some of these fall to a neighbor
torch.manual_seed(3)
begin_at = torch.randn(4000, 2)
samples = {
    "data": ring.test[:4000].cpu(),
    "DDPM, 100 steps, exact noise": last(ancestral(best, path, begin_at, time_grid(path, 100))),
    "DDPM, 100 steps, your network": last(ancestral(learned, path, begin_at, time_grid(path, 100))),
}


def sample_table():
    def part(x):
        """How much of the mean of −ln p(x) the strays bring."""
        return f"{-float((truth.log_prob(x) * astray(x)).mean()):.3f}"

    return Table(
        ("samples", "−ln p(x), mean", "beyond 3σ of every center", "their part of the mean"),
        [("the truth", f"{truth.entropy:.3f}", f"{true_strays:.2%}", part(plenty))]
        + [(name, f"{nats(x):.3f}", f"{strays(x):.2%}", part(x)) for name, x in samples.items()],
        "4,000 samples of each under the exact density, nats; too low is wrong as well: they crowd together",
    )


sample_table()

# %%
t = torch.tensor(0.05)
torch.manual_seed(0)
x_t = path.noised(ring.test.cpu(), torch.randn(8000, 2), t)
wrong = (learned(x_t, t) - best(x_t, t)).square().mean(1)
turns = torch.atan2(x_t[:, 1], x_t[:, 0]) / (math.pi / 4)  # a whole number in the direction of a center
between = (turns - turns.round()).abs() > 0.35
print(f"mean squared error of your network at t = 0.05: {wrong[~between].mean():.3f}, and {wrong[between].mean():.3f} half-way between two hills")  # fmt: skip

# %% [markdown]
# Even with exact predictions 100 steps of DDPM are not perfect: the points sit a little too near to their centers. The step puts *one* guess in place of the unknown data and so forgets that they vary; the smaller the steps, the less that matters.
#
# What your network adds to that is its own error. Half-way between two hills the exact answer turns sharply from one to the other. A network is smooth, and after a few seconds of training it turns softly: there its error is several times as large. So some points stop between the hills, the strays, which bring about half of what your network adds to the mean; and the others spread a little more. (Train for 500 steps, or for 5000, and watch the strays.)
#
# **Beware of the mean alone.** The mean of your network's samples may lie nearer to the truth than that of the exact noise! Two errors of opposite sign cancel: the sampler crowds the points together, the network scatters them. Hence the exact noise in the same sampler beside it, and the strays.
#
# ## 5. Without randomness: DDIM and the probability flow
#
# Is the fresh noise needed at all? The prediction gives us both data and noise. We can simply mix *these two* anew, in the proportions of time $s$ (**DDIM**, Song, Meng & Ermon, 2021):
#
# $$x_s = \alpha_s\cdot\text{predicted data} + \sigma_s\cdot\text{predicted noise}.$$
#
# ### Exercise 5 · A DDIM step · ●○○ · 5 minutes


# %%
@exercise("diffusion/ddim")
def ddim_step(x, noise, alpha_t, sigma_t, alpha_s, sigma_s):
    """x_s from x_t = x and the noise predicted in it, nothing random: (batch, …), (batch, …) -> (batch, …). The α, σ are scalars."""
    ### BEGIN SOLUTION
    data = (x - sigma_t * noise) / alpha_t
    return alpha_s * data + sigma_s * noise
    ### END SOLUTION


# %%
check(ddim_step)

# %% [markdown]
# Divide by $\alpha_s$, and the step reads $\frac{x_s}{\alpha_s} = \frac{x_t}{\alpha_t} + \big(\frac{\sigma_s}{\alpha_s} - \frac{\sigma_t}{\alpha_t}\big)\cdot\text{noise}$: a new value is the old one plus a step times a slope. That is **Euler's method** for a differential equation,
#
# $$\frac{d\,(x/\alpha)}{d\,(\sigma/\alpha)} = \varepsilon^*(x, t),$$
#
# the **probability flow**. Its curves carry the density $p_1$, noise, exactly into $p_0$, data, as infinitely many small DDIM steps would (Song et al., 2021).

# %%
predict(
    "We draw 200 starting points. From each we walk twice, in 100 and in 200 steps, with DDIM, and twice with DDPM. How far apart are the two ends?",
    choices=(
        "With both methods they nearly coincide",
        "With DDIM they nearly coincide; with DDPM they are about as far apart as any two samples",
        "With DDPM they nearly coincide; with DDIM they are far apart",
        "With both they are far apart",
    ),
    answer=1,
    why="DDIM follows one curve, and 100 steps approximate it about as well as 200: the start decides the end. DDPM adds so much fresh noise on the way that the start is forgotten.",
)


# %%
@torch.no_grad()
def deterministic(predict, schedule, x, times):
    """DDIM from x at times[0]: yields every state."""
    for t, s in pairwise(times):
        x = ddim_step(x, predict(x, t), *moments(schedule, t), *moments(schedule, s))
        yield x


walks = {"DDPM": ancestral, "DDIM": deterministic}
ways, rows = {}, []
for name, walk in walks.items():
    torch.manual_seed(0)
    short, long = (torch.stack([begin_at[:200], *walk(best, path, begin_at[:200], time_grid(path, n))]) for n in (100, 200))  # fmt: skip
    ways[name] = short[:, 4:8]
    rows.append((name, f"{(short[-1] - long[-1]).norm(dim=1).median():.3f}"))
any_two = (samples["data"][:2000] - samples["data"][2000:4000]).norm(dim=1).median()
show(
    plots.plot_paths(ways, truth.log_prob),  # hollow: where they begin; filled: where they end
    alt="Four ways from noise to data by each method. Those of DDPM are jagged and wander about; those of DDIM are smooth, short curves that lead to a nearby hill.",
)
Table(("method", "median distance of the two ends"), [*rows, ("any two samples", f"{any_two:.3f}")])

# %%
for name, said in {"exact noise": best, "your network": learned}.items():
    samples[f"DDIM, 100 steps, {name}"] = last(deterministic(said, path, begin_at, time_grid(path, 100)))
sample_table()

# %% [markdown]
# So the flow makes diffusion a model with a latent code after all: the noise at the start, of as many dimensions as $x$, by a smooth and invertible map. It *is* a normalizing flow (lesson 06), with infinitely many, infinitely thin layers.
#
# ## 6. How many steps?
#
# Each step asks the network once, and that is all it costs. An **order** says how the error falls: halve the steps' length, and the error of a method of order $k$ falls to $2^{-k}$. Euler, that is DDIM, has order 1. Two of order 2:
#
# - **Heun**: make the step, ask again at its end, and redo it with the mean of both slopes: two evaluations a step.
# - **DPM-Solver++(2M)** (Lu et al., 2022): one evaluation a step; how the predicted data change is extrapolated from the step before.
#
# With the exact noise all of the error is the solver's. We compare with the end of a walk of very many steps, from the same starts. (`ContinuousVP` is the linear schedule without its 1000 small kinks; times are even in $\lambda = \ln(\alpha^2/\sigma^2)$, the logarithm of the signal-to-noise ratio, and end at $t = 0.01$.)

# %%
smooth = ContinuousVP()
exact = exact_noise(truth, smooth)
few = begin_at[:200].double()


def grid(steps):
    return time_grid(smooth, steps + 1, "log-snr", last=0.01)[:-1]


converged = last(dpm_solver_pp_2m(exact, smooth, few, grid(800)))
solvers = {"DDIM": (deterministic, 1), "Heun": (heun_probability_flow, 2), "DPM-Solver++(2M)": (dpm_solver_pp_2m, 1)}
counts, curves, orders = (8, 12, 16, 32, 64, 128, 256), {}, {}
for name, (solver, asks) in solvers.items():
    apart = [(last(solver(exact, smooth, few, grid(n // asks))) - converged).norm(dim=1).median() for n in counts]
    curves[name] = (counts, [float(one) for one in apart])
    orders[name] = math.log2(float(apart[-3] / apart[-1])) / 2
show(
    plots.plot_curves(curves, "evaluations of the network", "median error of x", log="xy"),
    alt="Error against evaluations, both logarithmic. DDIM falls along a line of slope −1; Heun and DPM-Solver++ fall twice as steeply. DPM-Solver++ is lowest throughout; Heun is the worst below twenty evaluations.",
)
Table(("method", "order in theory", "measured, from 64 to 256 evaluations"), [(name, 1 if name == "DDIM" else 2, f"{order:.2f}") for name, order in orders.items()])  # fmt: skip

# %% [markdown]
# A higher order wins where many steps are taken. With few, Heun loses: at the same cost its steps are twice as long. DPM-Solver++ gets the second order without asking twice.
#
# ## 7. How likely is x?
#
# **A bound.** Seen as a latent variable model, $x_1 \to \dots \to x_0$, diffusion has an evidence lower bound like that of lesson 04, whose "encoder" is the known noising. For infinitely many steps it becomes, with $\lambda$ as above, and $x_{\text{first}}$ the data at the first moment, with hardly any noise yet (here $t = 0.01$; Kingma et al., 2021),
#
# $$\ln p(x) \;\ge\; \underbrace{\mathbb E\ln p(x\mid x_{\text{first}})}_{\text{the last bit of noise}} \;-\; \underbrace{\tfrac12\int \mathbb E\,\|\text{noise} - \varepsilon_\theta(x_t, t)\|^2\, d\lambda}_{\text{the loss, weighted}} \;-\; \underbrace{\mathrm{KL}(q(x_1\mid x)\,\|\,\mathcal N(0, I))}_{\text{what is left of } x \text{ at } t = 1} .$$
#
# **By the flow.** The probability flow has an exact density: along it, $\ln p$ changes by the divergence of the velocity (lesson 06's log-determinant, layer by infinitely thin layer). A solver adds that up: an estimate, good to its accuracy.


# %%
@torch.no_grad()
def integrated(difference, x, first=0.01, draws=80):
    """½ ∫ E‖difference(x_t, t, noise)‖² dλ from t = 1 to t = first, by random times evenly spread over λ: (batch,), nats."""
    high, low = path.log_snr(torch.tensor([first, 1.0])).tolist()
    places = (torch.arange(draws) + torch.rand(draws)) / draws
    total = torch.zeros(len(x))
    for t in path.time_of_log_snr(low + (high - low) * places):
        noise = torch.randn_like(x)
        total += difference(path.noised(x, noise, t), t, noise).square().sum(1)
    return 0.5 * (high - low) / draws * total


@torch.no_grad()
def bound(predict, x, first=0.01):
    """A lower bound of ln p(x), by one draw of all that is random: (batch,), nats."""
    t = torch.tensor(first)
    alpha, sigma = moments(path, t)
    x_first = alpha * x + sigma * torch.randn_like(x)
    guess, _ = data_and_score(predict(x_first, t), x_first, alpha, sigma)
    of_last_bit = torch.distributions.Normal(guess, sigma / alpha).log_prob(x).sum(1)
    alpha, sigma = moments(path, torch.tensor(1.0))
    at_noise = 0.5 * (alpha**2 * x.square() + sigma**2 - 1 - 2 * sigma.log()).sum(1)
    return of_last_bit - integrated(lambda x_t, t, noise: predict(x_t, t) - noise, x, first) - at_noise


def by_flow(predict, x, steps=40):
    """ln p(x) under the probability flow: (batch,), nats."""
    velocity = lambda x, t: path.convert(predict(x, t), x, t, "noise", "velocity")  # noqa: E731
    return flow_log_prob(velocity, x, likelihood_times(path, steps), path)


points = ring.test[:2000].cpu()
known = truth.log_prob(points)
bounds, flows = {}, {}
for name, said in {"exact noise": best, "your network": learned}.items():
    torch.manual_seed(0)
    bounds[name] = bound(said, points)
    said = mine.predict if name == "your network" else best  # with gradients
    flows[name] = by_flow(said, points[:500].to(device) if name == "your network" else points[:500]).cpu()
excess = integrated(lambda x_t, t, noise: learned(x_t, t) - best(x_t, t), points)
t = torch.tensor(0.01)
x_first = path.noised(points, torch.randn_like(points), t)
of_last_bit = 0.5 * (learned(x_first, t) - best(x_first, t)).square().sum(1)


def gap(values):
    """Mean of ln p(x) minus the values, with its standard error, in nats."""
    apart = known[: len(values)] - values
    return f"{apart.mean():.3f} ± {apart.std() / len(apart) ** 0.5:.3f}"


Table(
    ("ln p(x), mean over test points", "nats", "below the truth"),
    [
        ("the exact density", f"= {known.mean():.3f}", "0"),
        *((f"bound, {name}", f"≥ {values.mean():.3f}", gap(values)) for name, values in bounds.items()),
        *((f"probability flow, {name} (500 points)", f"≈ {values.mean():.3f}", gap(values)) for name, values in flows.items()),
    ],
    "= exact, ≥ lower bound, ≈ estimate",
)  # fmt: skip

# %%
both = bounds["exact noise"] - bounds["your network"]
print(f"the network's bound lies {both.mean():.3f} ± {both.std() / len(both) ** 0.5:.3f} nats below that of the exact noise;\n½ ∫ E‖network − exact noise‖² dλ, and the last bit: {excess.mean():.3f} + {of_last_bit.mean():.3f} = {(excess + of_last_bit).mean():.3f} nats")  # fmt: skip

# %% [markdown]
# With exact predictions the bound is tight: time-reversed noising *is* the model. So the whole gap of a network is its squared error against the exact prediction, summed over all times by $\tfrac12 d\lambda$ (and once more, by ½, at the first, for the last bit). Many recipes weight the loss otherwise, for the sake of looks, and give up likelihood for it. And note that bound and flow belong to two different models: the random walk's and the smooth curves'.
#
# ## 8. Guidance
#
# To draw a digit that you *name*, show the network its label $y$: $\varepsilon_\theta(x_t, t, y)$, and in a tenth of the training examples hide it ($y$ = None), so that the same network also knows $\varepsilon_\theta(x_t, t)$. **Classifier-free guidance** (Ho & Salimans, 2022) overdoes the difference of the two, by a weight $w \ge 0$:
#
# $$\hat\varepsilon = (1 + w)\,\varepsilon_\theta(x_t, t, y) - w\,\varepsilon_\theta(x_t, t).$$
#
# (Many libraries call $1 + w$ the *guidance scale*: 1 is none.)
#
# ### Exercise 6 · Classifier-free guidance · ●○○ · 5 minutes


# %%
@exercise("diffusion/guidance")
def guided_noise(predict, x, t, y, weight):
    """The guided prediction, (batch, …); predict(x, t, y) says the noise given the label, predict(x, t, None) without it."""
    ### BEGIN SOLUTION
    return (1 + weight) * predict(x, t, y) - weight * predict(x, t, None)
    ### END SOLUTION


# %%
check(guided_noise)

# %% [markdown]
# Which distribution does that draw from? By Bayes' rule $\ln p(x\mid y) - \ln p(x) = \ln p(y\mid x) + \text{const}$, so at one time the guided score is that of $p_t(x\mid y)\,p_t(y\mid x)^w$. It is tempting to conclude that the samples follow
#
# $$p^{(w)}(x) \;\propto\; p(x\mid y)\; p(y\mid x)^{w} \;\propto\; p(x)\;p(y\mid x)^{1 + w},$$
#
# the data of class $y$, with those preferred that look like it. We test that where all is known: two classes on the line, $p(x\mid y) = \mathcal N(\mp1, 0.8^2)$, equally likely. Their scores are exact at every $t$, and $p^{(w)}$ is normalized on a grid.

# %%
predict(
    "We guide towards the right-hand class with w = 3, with exact scores and many steps. The samples, compared with p⁽ʷ⁾, …",
    choices=(
        "follow it exactly",
        "lie farther to the right, and closer together",
        "lie farther to the left, towards the other class",
        "are spread more widely",
    ),
    answer=1,
    why="The guided scores at different times do not belong to one density made noisy. Adding noise to p⁽ʷ⁾ would blur it; the guided field instead sharpens at every degree of noise, and each time pushes away from the other class once more.",
)


# %%
means, width = torch.tensor([-1.0, 1.0]), 0.8


def two_classes(x, t, y):
    """The exact noise in x_t, (n,), given the class y (0 or 1) or, if y is None, neither."""
    alpha, sigma = (float(one) for one in moments(path, t))
    variance = (alpha * width) ** 2 + sigma**2
    scores = (alpha * means - x[:, None]) / variance  # of each class, (n, 2)
    if y is None:
        share = (-(x[:, None] - alpha * means).square() / (2 * variance)).softmax(1)
        return -sigma * (share * scores).sum(1)
    return -sigma * scores[:, y]


line = torch.linspace(-6, 10, 8001, dtype=torch.float64)


def sharpened(w):
    """ln of p(x | y = 1) p(y = 1 | x)^w, normalized on the grid: a function of x."""

    def unnormalized(x):
        return -(x - 1).square() / (2 * width**2) + w * torch.nn.functional.logsigmoid(2 * x / width**2)

    log_total = unnormalized(line).logsumexp(0) + math.log(float(line[1] - line[0]))
    return lambda x: unnormalized(x) - log_total


panels, rows = {}, []
torch.manual_seed(0)
noise = torch.randn(8000)
for w in (0.0, 1.0, 3.0):
    said = lambda x, t, w=w: guided_noise(two_classes, x, t, 1, w)  # noqa: E731
    drawn = last(deterministic(said, path, noise, time_grid(path, 150)))
    target = sharpened(w)
    panels[f"w = {w:g}"] = (drawn, {"p⁽ʷ⁾": target, "p(x | y)": sharpened(0.0)})
    p = target(line).exp() * (line[1] - line[0])
    mean = float((p * line).sum())
    spread = float((p * (line - mean).square()).sum().sqrt())
    rows.append((f"{w:g}", f"{mean:.3f}", f"{drawn.mean():.3f}", f"{spread:.3f}", f"{drawn.std():.3f}"))
show(
    plots.plot_guided(panels, -2.5, 4.5),
    alt="Three histograms of guided samples on the line. At w = 0 they lie on p(x | y). At w = 1 and 3 they lie to the right of the sharpened density, and are narrower.",
)
Table(("w", "mean of p⁽ʷ⁾", "mean of the samples", "deviation of p⁽ʷ⁾", "deviation of the samples"), rows)

# %% [markdown]
# So guidance is a dial for pictures that look like their label, not a sampler of any distribution that one could write down simply; samples lose variety, and with it likelihood.
#
# ## 9. Digits
#
# For images the network is a **U-Net** (Ronneberger et al., 2015): convolutions that halve the image, let distant places talk, and build it up again, each level also seeing what it was on the way down; time and label scale and shift its channels. The package's `Diffusion` is your class with such a network and hidden labels. It is asked for $v = \alpha\cdot\text{noise} - \sigma\cdot\text{data}$, a mixture that is as easy to say at both ends (Salimans & Ho, 2022), and turns it into noise for us.

# %%
torch.manual_seed(0)
unet = Diffusion(digits.space, "cosine", "v", channels=(24, 48), classes=10).to(device)
fit(unet, digits, steps=550, batch_size=64, lr=3e-3, schedule="cosine", warmup=50, ema=0.99)
print(f"{sum(w.numel() for w in unet.parameters()):,} weights, {len(digits.train):,} training images")

# %% [markdown]
# Now your functions draw with it: labels, guidance, DDIM.


# %%
@torch.no_grad()
def draw(y, weight=0.0, steps=20, seed=0):
    """Digits with the labels y, (n, 1, 8, 8), by your guidance and your DDIM steps."""
    torch.manual_seed(seed)
    x = torch.randn(len(y), 1, 8, 8, device=device)
    said = (
        (lambda x, t: guided_noise(unet.predict, x, t, y, weight)) if weight else (lambda x, t: unet.predict(x, t, y))
    )
    return unet.member(last(deterministic(said, unet.schedule, x, time_grid(unet.schedule, steps))))


asked = torch.arange(200, device=device) % 10
drawn = {w: draw(asked, w) for w in (0.0, 1.0, 4.0)}
show(
    plots.plot_images({"real": torch.stack([digits.test[digits.test_labels == i][0] for i in range(10)])} | {f"w = {w:g}": x[:10] for w, x in drawn.items()}),
    alt="Rows of the digits 0 to 9: real ones, and drawn ones with guidance 0, 1 and 4. Nearly all drawn digits can be recognized as what was asked for; with guidance 4 their strokes are darker and more alike.",
)  # fmt: skip

# %%
flat = digits.train.flatten(1).cpu()
judge = SVC(C=10).fit(flat.numpy(), digits.train_labels.cpu().numpy())


def judged(x, y):
    """The share recognized as their label, the mean distance to the nearest training image, and to the next of the same label."""
    x, y = x.flatten(1).cpu(), y.cpu()
    right = float((torch.as_tensor(judge.predict(x.numpy())) == y).float().mean())
    apart = torch.cdist(x, x) + 1e9 * (y[:, None] != y) + 1e9 * torch.eye(len(x))
    return right, float(torch.cdist(x, flat).amin(1).mean()), float(apart.amin(1).mean())


real = torch.cat([(digits.test_labels == i).nonzero()[:20, 0] for i in range(10)])  # as many of each as are drawn
quality = {"real test images": judged(digits.test[real], digits.test_labels[real])}
quality |= {f"guidance {w:g}": judged(x, asked) for w, x in drawn.items()}
Table(
    ("images", "recognized as their label", "distance to the nearest training image", "to the next of the same label"),
    [(name, f"{right:.1%}", f"{to_train:.2f}", f"{among:.2f}") for name, (right, to_train, among) in quality.items()],
    "200 digits in each row, 20 of each label; a support vector machine trained on real digits recognizes; distances are Euclidean",
)

# %% [markdown]
# Guidance raises the share that is recognized, and the digits get more alike.
#
# **Explore** how they come about. (1) Play, and stop where you can first tell which digit it will be: how much noise is left? (2) Turn guidance to 5, from the same noise: what changes first, the shape or the thickness of strokes? (3) Choose 3 steps, then 5, then 10: under the table lies the run before, from the same noise, and `change` says how far apart the two are. From where on do more steps hardly matter? (The dial η puts fresh noise into DDIM's steps: 0 is yours, 1 as much as DDPM's.)

# %%
explorers.DenoisingPlayer(unet, n=20, sampler="ddim", steps=20)

# %% [markdown]
# One thing is odd. The loss asks for $\mathbb E[\text{noise}\mid x_t]$, and the "data" are 1,300 images. For *these*, the best possible answer is known as well: average over the training images, weighted by how likely each is to have become $x_t$. No network needed.

# %%
predict(
    "We draw digits by DDIM with this best possible answer. Its training loss is lower than that of any network. What do the samples look like?",
    choices=(
        "The best digits of all, and all new",
        "They are training images, copied exactly",
        "Blurred averages of training images",
        "Noise",
    ),
    answer=1,
    why="If the training images were all there is, then data at the end of the walk would have to be one of them. That a network draws new digits is owed to what it cannot do: it is smooth, and its training was short.",
)


# %%
def memory(x, t):
    """E[noise | x_t] if the training images are all the data there are: (n, 1, 8, 8) -> (n, 1, 8, 8)."""
    alpha, sigma = (float(one) for one in moments(unet.schedule, t))
    images = 2 * flat.to(x) - 1
    weights = (-torch.cdist(x.flatten(1), alpha * images).square() / (2 * sigma**2)).softmax(1)
    return (x - alpha * (weights @ images).view_as(x)) / sigma


torch.manual_seed(0)
copies = unet.member(last(deterministic(memory, unet.schedule, torch.randn(200, 1, 8, 8, device=device), time_grid(unet.schedule, 20))))  # fmt: skip
to_copies = torch.cdist(copies.flatten(1).cpu(), flat).amin(1)
print(f"mean distance to the nearest training image: {float(to_copies.mean()):.3f} (the network's samples: {quality['guidance 0'][1]:.2f}, test images: {quality['real test images'][1]:.2f})")  # fmt: skip

# %% [markdown]
# Keep this in mind when a large model, trained for long on few images, returns one of them (Carlini et al., 2023). The distance to the training images is a number to report.
#
# ## 10. Flow matching: the same thing from the other end
#
# Take the plainest path of all, the straight line: $\alpha_t = 1 - t$, $\sigma_t = t$. Along it each point moves with the velocity $dx_t/dt = \text{noise} - \text{data}$. **Flow matching** (Lipman et al., 2023; Liu et al., 2023) trains a network to say that velocity, and follows it from $t = 1$ to $0$ by Euler's method. No scores, no posteriors. Is it another method?
#
# Three facts, each checked below. *Sampling*: your DDIM step on this path **is** Euler's step of flow matching. *Training*: a velocity's squared error is that of the noise divided by $(1 - t)^2$: the same loss, with other weights. *The path*: $x_t$ on the straight line, divided by $\sqrt{\alpha_t^2 + \sigma_t^2}$, is an $x$ of your own path at the time with the same ratio $\alpha/\sigma$. So the network that you trained in section 3 knows the straight path's velocity already.

# %%
line_path = StraightLine()


def on_the_line(x, t):
    """Your network's noise in a point of the straight path: look at it as a point of the path it was trained on."""
    alpha, sigma = moments(line_path, t)
    return learned(x * torch.rsqrt(alpha**2 + sigma**2).to(x), path.time_of_log_snr(line_path.log_snr(t)))


torch.manual_seed(0)
t, s, x, grain = torch.tensor(0.7), torch.tensor(0.6), begin_at[:1000], torch.randn(1000, 2)
said = on_the_line(x, t)
velocity = line_path.convert(said, x, t, "noise", "velocity")
by_ddim = ddim_step(x, said, *moments(line_path, t), *moments(line_path, s))
x_t = line_path.noised(points[:1000], grain, t)
of_noise = (on_the_line(x_t, t) - grain).square().mean()
of_velocity = (
    (line_path.convert(on_the_line(x_t, t), x_t, t, "noise", "velocity") - (grain - points[:1000])).square().mean()
)
print(f"DDIM step against Euler step: largest difference {float((by_ddim - (x + (s - t) * velocity)).abs().max()):.0e}")
print(f"loss of the velocity {of_velocity:.4f}, loss of the noise / (1 − t)² {of_noise / (1 - t) ** 2:.4f}")
torch.manual_seed(0)
matched = FlowMatching(ring.space).to(device)
fit(matched, ring, steps=300, batch_size=256, lr=2e-3, schedule="cosine", ema=0.99)
rows, straight = [], exact_noise(truth, line_path)
for n in (5, 10, 50):
    even = torch.linspace(1 - 1e-3, 0, n + 1, dtype=torch.float64)
    ends = {
        "DDPM's path": last(deterministic(best, path, begin_at, time_grid(path, n))),
        "the straight path": last(deterministic(straight, line_path, begin_at, even)),
        "flow matching": last(matched.trajectory(4000, solver="euler", steps=n)).cpu(),
    }
    rows.append((n, *(f"{strays(x):.1%}" for x in ends.values())))
Table(
    (
        "steps",
        "DDPM's path, exact noise",
        "straight path, exact noise",
        "straight path, a network trained by flow matching",
    ),
    rows,
    f"DDIM steps even in t, which are Euler's on the straight path: samples beyond 3σ of every center; of the data {true_strays:.1%}",
)

# %% [markdown]
# One idea, two vocabularies. What differs in practice is how well the network was trained (the last column levels off at its network's error, after 300 training steps), what it is asked for (from predicted noise the data follow by dividing by $\alpha_t$, which near $t = 1$ magnifies every error; a velocity or $v$ is harmless there), which times training dwells on, and where the sampler's steps fall: the subject of the next section.
#
# ## 11. Failure lab: a bad schedule, and too few steps
#
# **A schedule that stops too early.** Somebody finds that 0.02 is a lot of noise, and takes a tenth of it in each of DDPM's 1000 steps. Training goes well, the loss is fine. The data are the eight Gaussians once more, moved aside by 1.5. Samples, with *exact* predictions and 100 steps:

# %%
aside = Mixture("eight Gaussians, aside", truth.centers + torch.tensor([1.5, 0.0]), truth.std)
shown, rows = {}, []
for name, schedule in {"DDPM's schedule": path, "a tenth of the noise": Linear(last=0.002)}.items():
    found = last(deterministic(exact_noise(aside, schedule), schedule, begin_at, time_grid(schedule, 100)))
    end = torch.tensor(1.0)
    noisiest = schedule.noised(aside.sample(4000), torch.randn(4000, 2), end)
    shown[name] = found[:1500]
    rows.append((name, f"{schedule.alpha(end):.3f}", f"{noisiest[:, 0].mean():.2f}", f"{begin_at[:, 0].mean():.2f}", f"{(found[:, 0] > 1.5).float().mean():.1%}"))  # fmt: skip
show(
    plots.plot_densities(dict.fromkeys(shown, aside.log_prob), shown, extent=3.6),
    alt="Samples over the density of eight hills around (1.5, 0). With DDPM's schedule all eight hills get their share. With a tenth of the noise the hills on the left are crowded, and those on the right nearly empty.",
)
Table(("schedule", "α at t = 1", "mean of x₁'s first entry, data noised", "the same where sampling begins", "samples right of 1.5 (truth 50 %)"), rows)  # fmt: skip

# %% [markdown]
# Every sample looks fine; they are the wrong ones, far too often from the left. **Diagnosis**: print $\alpha_1$. At $t = 1$ more than half of the data is still there, and with it the data's mean; the sampler begins at pure noise, around 0, where hardly any training example ever was. **Repair**: noise until $\alpha_1 \approx 0$. (Widely used image models had this fault: they could not draw very dark or very bright images; Lin et al., 2024.)
#
# **Too few steps.** Now DDPM's schedule again, and only six steps.


# %%
def in_six(walk, times):
    return last(walk(best, path, begin_at, times))


hasty = {"DDIM, even in t": in_six(deterministic, time_grid(path, 6))}
lambdas = [float(path.log_snr(t)) for t in time_grid(path, 6)[:-1]]
print("ln(α²/σ²) at the six times:", ", ".join(f"{value:.1f}" for value in lambdas), f"→ ∞; strays: {strays(hasty['DDIM, even in t']):.1%}")  # fmt: skip

# %% [markdown]
# **Diagnosis**: look at $\lambda = \ln(\alpha^2/\sigma^2)$ where the steps fall. Half of the evaluations are spent below −4, where $x$ is noise and hardly anything is decided; and the last leap goes from about 1 all the way to clean data.
#
# ### Exercise 7 · Where to place the steps · ●●○ · 8 minutes
#
# **Repair**: make the steps even in $\lambda$, from $t = 1$ to a `last` time close to 0, and then one step to 0. `schedule.log_snr(t)` gives $\lambda$, `schedule.time_of_log_snr(λ)` its inverse; both take tensors (`last` is a number: `torch.tensor(last)`).


# %%
@exercise("diffusion/spacing")
def even_in_log_snr(schedule, steps, last):
    """Times that fall from 1 to `last` so that λ rises evenly, `steps` of them, and then 0: (steps + 1,)."""
    ### BEGIN SOLUTION
    ends = schedule.log_snr(torch.tensor([1.0, last]))
    times = schedule.time_of_log_snr(torch.linspace(float(ends[0]), float(ends[1]), steps))
    return torch.cat([times, torch.zeros(1)])
    ### END SOLUTION


# %%
check(even_in_log_snr)

# %%
placed = even_in_log_snr(path, 6, 0.05)
hasty["DDIM, even in λ"] = in_six(deterministic, placed)
hasty["DPM-Solver++, even in λ"] = last(dpm_solver_pp_2m(best, path, begin_at, placed))
gentle = Cosine()
hasty["DDIM, cosine schedule"] = last(deterministic(exact_noise(truth, gentle), gentle, begin_at, time_grid(gentle, 6)))
show(
    plots.plot_densities({name: truth.log_prob for name in hasty}, {name: x[:1500] for name, x in hasty.items()}, extent=2.6, size=2.6),
    alt="Samples in six steps over the density: even in t, many lie between the hills; even in lambda, fewer; with DPM-Solver++, and with the cosine schedule, few.",
)  # fmt: skip
Table(("six steps, exact noise", "beyond 3σ of every center"), [*((name, f"{strays(x):.1%}") for name, x in hasty.items()), ("the truth", f"{true_strays:.1%}")])  # fmt: skip

# %% [markdown]
# Better places for the steps, and then a solver of second order, bring most of the strays home, at the same price. The cosine schedule spends its times evenly enough by itself: the same repair, made beforehand. (Its own ends are extreme, so that even steps in $\lambda$ would do it harm; try it.)
#
# ### Bug hunt · ●●○ · 8 minutes
#
# A colleague wrote DDPM's loop anew. In 10 steps the samples are rough, and the colleague wants to train longer.

# %%
ten, extra = time_grid(path, 10), torch.randn(10, 4000, 2)


def colleagues(predict, schedule, x, times, fresh):
    for t, s, more in zip(times, times[1:], fresh, strict=False):
        noise = predict(x, s)
        data = (x - schedule.sigma(t) * noise) / schedule.alpha(t)
        x = ddpm_step(x, data, more, *moments(schedule, t), *moments(schedule, s))
    return x


for name, said in {"your network": learned, "the exact noise": best}.items():
    print(f"{name}: {strays(colleagues(said, path, begin_at, ten, extra)):.1%} of the samples beyond 3σ; your loop: {strays(last(ancestral(said, path, begin_at, ten))):.1%}")  # fmt: skip

# %% [markdown]
# With the exact noise the colleague's loop is much worse than yours: it is the loop, then, and longer training will not mend it. (With a network that errs itself, the two errors mix, and may even hide each other.) This is the use of an exact score. Find the line.


# %%
@exercise("diffusion/bug")
def mended(predict, schedule, x, times, fresh):
    """DDPM from x at times[0] to times[-1], the last state: fresh holds noise for each step, (steps, batch, …)."""
    for t, s, more in zip(times, times[1:], fresh, strict=False):
        ### BEGIN SOLUTION
        noise = predict(x, t)
        ### BEGIN BUG
        # noise = predict(x, s)
        ### END SOLUTION
        data = (x - schedule.sigma(t) * noise) / schedule.alpha(t)
        x = ddpm_step(x, data, more, schedule.alpha(t), schedule.sigma(t), schedule.alpha(s), schedule.sigma(s))
    return x


# %%
check(mended)

# %%
for name, said in {"your network": learned, "the exact noise": best}.items():
    print(
        f"mended, {name}: {strays(mended(said, path, begin_at, ten, extra)):.1%} of the samples beyond 3σ in 10 steps"
    )

# %% [markdown]
# ## 12. What scale brings
#
# MNIST, 28×28 pixels: the model `diffusion-mnist`, which ships with this course, is what you have built, with a larger U-Net on patches of 2×2 pixels, trained for longer on 60,000 images.

# %%
card, numbers = zoo.card("diffusion-mnist"), zoo.card("diffusion-mnist")["numbers"]
large = zoo.load("diffusion-mnist").to(device)
labels, images = torch.arange(10, device=device), {}
for name, how in {
    "DDIM, 3 steps": {"sampler": "ddim", "steps": 3},
    "DDIM, 10 steps": {"sampler": "ddim", "steps": 10},
    "DPM-Solver++, 20 steps": {"steps": 20},
    "the same, w = 1": {"steps": 20, "guidance": 1.0},
}.items():
    torch.manual_seed(0)
    images[name] = last(large.trajectory(10, labels, **how))
show(
    plots.plot_images(images, scale=0.6),
    alt="Four rows of the digits 0 to 9 of 28 by 28 pixels, from the same noise: drawn in three steps, in ten, in twenty with a better solver, and so with guidance.",
)


def measured(name, places):
    """One number of the card, with its standard error."""
    return f"{numbers[name]['value']:.{places}f} ± {numbers[name]['standard_error']:.{places}f}"


named = {"DPM-Solver++, 20 steps, w = 1": "guidance 1", "DPM-Solver++, 20 steps, w = 0": "guidance 0"}
named |= {f"DDIM, {steps} steps, w = 0": f"DDIM, {steps} steps" for steps in (10, 20, 50, 1000)}
rows = [
    (how, measured(f"label accuracy, {name}", 1), measured(f"distance to training images, {name}", 2))
    for how, name in named.items()
]
rows.append(
    ("real test images", measured("the classifier on real test images", 1), measured("distance to training images, test images", 2))
)  # fmt: skip
Table(
    ("images", "recognized as their label, %", "distance to the nearest training image"),
    rows,
    f"diffusion-mnist, trained in {card['training_seconds'] / 60:.0f} minutes on {card['hardware']}; ± standard error; a classifier trained on real digits recognizes",
)

# %%
low = numbers["bound of log p(x|y)"]["value"]
flow = zoo.card("glow-mnist")["numbers"]["bits per dimension, at most"]["value"]
print(f"diffusion-mnist: ln p(x | y) ≥ {low:.0f} nats, at most {-low / 784 / math.log(2):.2f} bits a pixel; the Glow of lesson 06: at most {flow:.2f}")  # fmt: skip

# %% [markdown]
# Ten steps are as good as a thousand here, as far as this judge can tell; guidance makes nearly every digit recognizable. The likelihood is another matter: the flow of lesson 06, trained for nothing else, needs fewer bits, and published flows need 0.99 to 1.06 ([Grathwohl et al., 2019](https://arxiv.org/abs/1810.01367)). One reason stands in section 7: most bits of an image are in its finest noise, and a loss weighted for looks counts that for little. With larger networks come larger pictures: DDPM drew CIFAR-10's with a Fréchet inception distance of 3.17, the best of its time (Ho et al., 2020).

# %% [markdown]
# ## 13. How far from the truth?

# %%
of_samples = {name: nats(x) - truth.entropy for name, x in samples.items() if name != "data"}
real_right, real_apart, _ = quality["real test images"]
right, apart, _ = quality["guidance 0"]
Table(
    ("model", "value", "truth or strongest reference", "gap"),
    [
        ("your network: score, relative squared error", f"{score_error:.4f}", "= 0 (the exact score)", f"{score_error:.4f}"),
        *((f"{name}: −ln p(x), nats", f"≈ {nats(samples[name]):.3f}", f"= {truth.entropy:.3f} (the entropy)", f"{value:+.3f}") for name, value in of_samples.items()),
        ("your network: bound of ln p(x), nats", f"≥ {bounds['your network'].mean():.3f}", f"= {known.mean():.3f} (the same points)", gap(bounds["your network"])),
        ("your network: probability flow, nats", f"≈ {flows['your network'].mean():.3f}", f"= {known[:500].mean():.3f} (the same points)", gap(flows["your network"])),
        *((f"order of {name}", f"≈ {order:.2f}", f"= {1 if name == 'DDIM' else 2}", f"{order - (1 if name == 'DDIM' else 2):+.2f}") for name, order in orders.items()),
        ("digits: recognized as their label", f"≈ {right:.1%}", f"≈ {real_right:.1%} (real test images)", f"{right - real_right:+.1%}"),
        ("digits: distance to training images", f"≈ {apart:.2f}", f"≈ {real_apart:.2f} (real test images)", f"{apart - real_apart:+.2f}"),
    ],
    "= exact, ≥ lower bound, ≈ estimate",
)  # fmt: skip

# %% [markdown]
# On the plane everything is known: the score, the density, the entropy. (A small gap of $-\ln p(x)$ may be two errors that cancel: section 4.) Of the digits we know neither; a judge and a distance are what is left, and lesson 10 asks what they are worth.
#
# ## 14. The same five questions
#
# Asked of every family in this course.
#
# | | diffusion and flow matching |
# |---|---|
# | What does it assume? | That data can be made noisy little by little, and that a network can say the mean noise. |
# | How does it learn? | By least squares on random noise and random times: no adversary, no chain, no inverse. |
# | How does it sample? | In many steps, at random or along a curve, each of them one pass of the network. |
# | Can it score? | A lower bound; or an estimate, by following the flow. |
# | What is in its latent space? | The noise at the start, of the size of $x$; the flow maps it to data and back. Nothing summarized. |
#
# **Strengths**: stable training, all modes covered, quality that can be bought with steps, steering after training. **Limitations**: many passes a sample; no small latent space; continuous data (there are relatives for discrete ones); guidance leaves the distribution that was learned. **Applications**: images, sound and video from text, inpainting and editing, molecules and proteins, weather, motion planning.

# %%
evaluation.family_map(mine, unet, matched)

# %% [markdown]
# ## 15. You can now…
#
# - noise anything to any degree, and train a network on it in three lines;
# - say noise, data and score in each other's words, and hold all to an exact truth;
# - step back at random or along a curve, and choose solver, number and place of the steps;
# - bound a likelihood, and say what the gap consists of;
# - steer by a label, and say what that costs;
# - tell a sampler's fault from a network's.
#
# **To go on with.** (1) Train `MyDiffusion` to say the data instead of the noise. At which times is its score worse, and why? (2) Encode two digits to noise by running your DDIM steps from $t = 0$ to $1$, mix the two, and come back. Which mixture of two noises is again noise of variance one? (3) `unet.trajectory(…, given=(x, mask))` completes half a digit. Compare with the completions of lesson 07: which are more often of the right class?
#
# **Further reading**
#
# - Sohl-Dickstein et al., [Deep Unsupervised Learning using Nonequilibrium Thermodynamics](https://arxiv.org/abs/1503.03585), 2015: where it began.
# - Vincent, [A Connection Between Score Matching and Denoising Autoencoders](https://doi.org/10.1162/NECO_a_00142), 2011: section 2, in another notation.
# - Ho, Jain & Abbeel, [Denoising Diffusion Probabilistic Models](https://arxiv.org/abs/2006.11239), 2020: the loss and the steps of sections 2 to 4.
# - Nichol & Dhariwal, [Improved Denoising Diffusion Probabilistic Models](https://arxiv.org/abs/2102.09672), 2021: the cosine schedule.
# - Song, Meng & Ermon, [Denoising Diffusion Implicit Models](https://arxiv.org/abs/2010.02502), 2021: section 5.
# - Song et al., [Score-Based Generative Modeling through Stochastic Differential Equations](https://arxiv.org/abs/2011.13456), 2021: the probability flow, and the whole picture in continuous time.
# - Kingma et al., [Variational Diffusion Models](https://arxiv.org/abs/2107.00630), 2021: the bound of section 7.
# - Karras et al., [Elucidating the Design Space of Diffusion-Based Generative Models](https://arxiv.org/abs/2206.00364), 2022: what matters in practice, sorted out.
# - Lu et al., [DPM-Solver++](https://arxiv.org/abs/2211.01095), 2022: few steps, with guidance.
# - Salimans & Ho, [Progressive Distillation for Fast Sampling of Diffusion Models](https://arxiv.org/abs/2202.00512), 2022: *v*, and two steps made into one.
# - Ho & Salimans, [Classifier-Free Diffusion Guidance](https://arxiv.org/abs/2207.12598), 2022: section 8.
# - Ronneberger, Fischer & Brox, [U-Net](https://arxiv.org/abs/1505.04597), 2015: the network, made for medical images.
# - Lipman et al., [Flow Matching for Generative Modeling](https://arxiv.org/abs/2210.02747), 2023, and Liu, Gong & Liu, [Flow Straight and Fast](https://arxiv.org/abs/2209.03003), 2023: section 10.
# - Carlini et al., [Extracting Training Data from Diffusion Models](https://arxiv.org/abs/2301.13188), 2023: memory, found in the wild.
# - Lin et al., [Common Diffusion Noise Schedules and Sample Steps are Flawed](https://arxiv.org/abs/2305.08891), 2024: the lab of section 11.

# %%
progress()
