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
# # Generative adversarial networks
#
# In this lesson you teach a network to draw by letting a second network find fault with its drawings. There will be no likelihood anywhere, and
# you will find out what that costs.

# %%
from dgmcourse.lesson import data, plots, show

ring = data.toy("eight_gaussians")
show(
    plots.plot_densities({"given: samples of data": None, "wanted: more of them": None, "never computed: p(x)": ring.truth.log_prob},
                         {"given: samples of data": ring.train[:500], "wanted: more of them": ring.test[:500]}),
    alt="Three squares. Left: five hundred dots in eight round groups on a circle. Middle: five hundred other dots in the same eight groups. Right: the density of both, eight hills on a circle.",
)  # fmt: skip

# %% [markdown]
# All models so far learned the picture on the right, or a bound of it, and drew the middle one from it. A generative adversarial network goes from the left picture to the middle one and never
# meets the third: it turns noise into samples, in one step, and asks a critic whether they look like data.
#
# **Time** 100 minutes · **You need** PyTorch, and what a KL divergence is (lesson 01) · **You will be able to**
#
# - say what the best discriminator knows, and what the game is worth, in nats;
# - write a training step in which two players take turns;
# - measure why a perfect opponent teaches nothing, and choose the loss that still learns;
# - estimate a Wasserstein distance with a critic, and hold its slope at one;
# - diagnose mode collapse by counting, and repair it.

# %%
from dgmcourse.lesson import MLP, F, GenerativeModel, Space, Step, Table, begin, check, evaluation, exercise, explorers, fit, hint, math, predict, progress, torch, zoo  # fmt: skip
from dgmcourse.models import GAN
from dgmcourse.models.gan import two_time_scales
from dgmcourse.networks import he_initialized, spectrally_normalized

device = begin(seed=0)

# %% [markdown]
# Stuck in an exercise? `hint("gan/optimal")` gives one more step at each call. A blank or wrong answer never stops you: the
# cells below then use the course's own version, and say so. Each section uses what the ones before it made: if a cell says that a name is
# not defined, choose *Run → Run All Above Selected Cell*.
#
# ## 1. What a classifier knows about two densities
#
# Take two densities on the line, $p$ and $q$. Somebody throws a coin, draws $x$ from $p$ or from $q$, and shows it to you. How sure can you be that it came from $p$? Bayes' rule with
# two equally likely sides says
#
# $$D^*(x) = \frac{p(x)}{p(x) + q(x)} .$$
#
# No classifier of the two, however large, can know more: this is what there is to know. Call $p$ *data* and $q$ *a model's samples*, and such a classifier is a **discriminator**: $D(x)$ is the probability that $x$ is data.
#
# ### Exercise 1 · The best discriminator · ●○○ · 6 minutes
#
# You are given the logarithms of both densities, which is all that one ever has: the density of an image may be $e^{-300}$, and a float knows no such number. Never leave the logs.


# %%
@exercise("gan/optimal")
def optimal_discriminator(log_p, log_q):
    """D*(x) = p(x) / (p(x) + q(x)) from ln p(x) and ln q(x): (batch,), (batch,) -> (batch,), between 0 and 1."""
    ### BEGIN SOLUTION
    return torch.sigmoid(log_p - log_q)
    ### END SOLUTION


# %%
check(optimal_discriminator)

# %% [markdown]
# The difference that stands in the sigmoid, $\ln p(x) - \ln q(x)$, is the **logit** of $D^*$. So whoever knows the best discriminator knows the *ratio* of the two densities, everywhere, without knowing either of
# them. That is what makes it worth learning.
#
# To learn it we need a loss. Let a network give a **score** for each $x$, and let $D(x) = \operatorname{sigmoid}(\text{score})$. The log-probability it gives to the truth, once for each side, is
#
# $$V(D) = \mathbb E_{x \sim p}[\ln D(x)] + \mathbb E_{x \sim q}[\ln(1 - D(x))] .$$
#
# The discriminator *climbs* $V$. It is minus the cross-entropy that you know from classification, with data labeled 1 and samples 0. And because $1 - \operatorname{sigmoid}(a) = \operatorname{sigmoid}(-a)$,
# both logs can be taken of a score without rounding anything to zero: `F.logsigmoid(score)` and `F.logsigmoid(-score)`.
#
# ### Exercise 2 · The discriminator's loss · ●○○ · 8 minutes


# %%
@exercise("gan/discriminator_loss")
def discriminator_loss(real, fake):
    """−V, in nats, a scalar. real, fake: the scores (logits) of a batch of data and one of samples, (batch,) each."""
    ### BEGIN SOLUTION
    return -F.logsigmoid(real).mean() - F.logsigmoid(-fake).mean()
    ### END SOLUTION


# %%
check(discriminator_loss)

# %% [markdown]
# Now a network of two layers learns to tell two densities apart from samples alone, by your loss; and your $D^*$ says how well it did.

# %%
p = data.LineMixture(means=[-1.0, 2.5], stds=[0.5, 0.8])  # "data"
q = data.LineMixture(means=[0.5], stds=[1.2])  # "samples"


def adam(network, steps, lr=5e-3, betas=(0.9, 0.999)):
    """Adam whose step size falls to zero: call the result with a loss to make a step."""
    optimizer = torch.optim.Adam(network.parameters(), lr=lr, betas=betas)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)

    def step(loss):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()

    return step


torch.manual_seed(0)
network = he_initialized(MLP(1, (64, 64), 1))
step = adam(network, steps=500)
for _ in range(500):
    real, fake = network(p.sample(1000)[:, None])[:, 0], network(q.sample(1000)[:, None])[:, 0]
    step(discriminator_loss(real, fake))


@torch.no_grad()
def score(x):
    return network(x.float()[:, None])[:, 0].double()


def best(x):
    return optimal_discriminator(p.log_prob(x), q.log_prob(x))


show(
    plots.plot_discriminators(
        {"p, the data": p.log_prob, "q, the samples": q.log_prob},
        {"D*, exact": best, "D, learned": lambda x: score(x).sigmoid()},
        -4,
        6,
    ),
    alt="Above: the densities p, with two humps at −1 and 2.5, and q, with one hump at 0.5. Below: the exact best discriminator, high where p exceeds q and low between its humps, and the learned one, which follows it closely "
    "and parts from it only far out, where neither density has samples.",
)

# %% [markdown]
# Far out, where nothing was ever drawn, the network guesses. Everywhere else it has found the ratio of two densities that it was never shown. What is the game worth, when it is played so well? Put $D^*$ into $V$, and with the
# average $m = \tfrac12(p+q)$ of the two densities, so that $\ln D^* = \ln\frac{p}{2m} = \ln\frac pm - \ln 2$ and $\ln(1 - D^*) = \ln\frac qm - \ln 2$, you get
#
# $$V(D^*) = -\ln 4 + 2\,\mathrm{JS}(p, q), \qquad \mathrm{JS}(p, q) = \tfrac12 \mathrm{KL}(p \,\|\, m) + \tfrac12 \mathrm{KL}(q \,\|\, m) .$$
#
# This is the **Jensen–Shannon divergence**: zero if the densities are the same, $\ln 2$ if they do not overlap at all. So the best value lies between $-\ln 4$ (nothing can be told apart: $D^* = \tfrac12$) and 0. On the
# line all of it can be computed by quadrature.

# %%
middle = data.LineMixture(
    torch.cat([p.means, q.means]), torch.cat([p.stds, q.stds]), torch.cat([p.weights, q.weights]) / 2
)
js = (p.kl(middle) + q.kl(middle)) / 2
worth = -math.log(4) + 2 * js
by_best = float(
    p.expectation(lambda x: best(x).log())
    + q.expectation(lambda x: optimal_discriminator(q.log_prob(x), p.log_prob(x)).log())  # p and q exchanged: 1 − D*
)
learned = float(p.expectation(lambda x: F.logsigmoid(score(x))) + q.expectation(lambda x: F.logsigmoid(-score(x))))
off = float(middle.expectation(lambda x: (score(x).sigmoid() - best(x)).abs()))
Table(
    ("what", "nats"),
    [
        ("−ln 4 + 2 JS(p, q)", f"= {worth:.5f}"),
        ("V of your D*", f"= {by_best:.5f}"),
        ("V of the learned D", f"= {learned:.5f}"),
    ],
    f"What the game is worth, by quadrature. Mean |D − D*|: {off:.4f}",
)

# %% [markdown]
# The learned value is a little *below* the best one. That is always so, since $D^*$ is the best there is: a discriminator gives a lower bound of the divergence.
#
# ## 2. The game
#
# Now comes the second player. A **generator** is a network $G$ that turns noise $z \sim \mathcal N(0, I)$ into a sample $x = G(z)$; the density of its samples is now $q$. It wants to be told apart from the data as badly as possible (Goodfellow et al., 2014):
#
# $$\min_G \max_D\; V(D, G) = \mathbb E_{\text{data}}[\ln D(x)] + \mathbb E_{z}[\ln(1 - D(G(z)))] .$$
#
# Against a perfect discriminator the generator minimizes a Jensen–Shannon divergence. Only, it gets no density to do so, just one thing: the gradient of $D$ at its own samples, which says in which direction each of them
# would look more like data. $D$ itself depends on the generator, and must keep up. Hence the game: the two take turns.
#
# The data do not depend on $G$, so its loss is the second term, $\mathbb E_z[\ln(1-D)]$, the **saturating** loss; why it is called so you will see in section 4. The same paper proposes another one, with the same aim: instead of *lowering* the chance of being caught,
# *raise* the chance of passing. That is the **non-saturating** loss, $-\mathbb E_z[\ln D]$.
#
# ### Exercise 3 · Two losses for the generator · ●○○ · 8 minutes


# %%
@exercise("gan/generator_losses")
def generator_losses(fake):
    """The saturating loss E[ln(1 − D)] and the non-saturating one −E[ln D]: scores of samples (batch,) -> a pair of scalars."""
    ### BEGIN SOLUTION
    return F.logsigmoid(-fake).mean(), -F.logsigmoid(fake).mean()
    ### END SOLUTION


# %%
check(generator_losses)

# %% [markdown]
# ### Two players, one loop
#
# How do two players fit into `fit`, which is one loop that lowers one loss? A `training_step` is a *generator function* (in Python's sense of the word): it can `yield`, and wait. `fit` asks for a loss, and the function runs to its first `yield`. There it
# stops while `fit` goes a step downhill, changing only the parameters of the group that the `Step` names. Then `fit` asks for the next loss, and the function resumes behind that `yield`, in a world where the critic is one step wiser.
# (**Critic** is what the code calls the network that gives scores; the discriminator $D$ is the sigmoid of its score.)
#
# Watch the `.detach()`: it cuts the samples off from how they were made. In the critic's turn the generator is scenery; in its own turn the gradient must run through the critic into the samples, and on into $G$.


# %%
class MyGAN(GenerativeModel):
    def __init__(self, space: Space, latents: int = 2, hidden: tuple = (128, 128), activation: str = "silu"):
        super().__init__(space)
        self.latents = latents
        self.generator = he_initialized(MLP(latents, hidden, space.dim, activation))  # z -> x
        self.critic = he_initialized(MLP(space.dim, hidden, 1, activation))  # x -> score

    def parameter_groups(self):  # who learns in whose turn
        return {"critic": list(self.critic.parameters()), "generator": list(self.generator.parameters())}

    def generate(self, n):
        return self.generator(torch.randn(n, self.latents, device=self.device))

    def score(self, x):
        return self.critic(x)[:, 0]

    def training_step(self, x, y=None):
        samples = self.generate(len(x))
        yield Step(discriminator_loss(self.score(x), self.score(samples.detach())), "critic")
        # here `fit` has moved the critic, and comes back
        yield Step(generator_losses(self.score(samples))[1], "generator")

    def trajectory(self, n, y=None):
        yield self.generate(n)  # one state: there is no way to a sample, only a leap


torch.manual_seed(0)
mine = MyGAN(ring.space).to(device)
history = fit(mine, ring, steps=1500, schedule="cosine", ema=0.99, optimizer=two_time_scales(2e-3, betas=(0.5, 0.99)))
show(
    plots.plot_players({"your GAN": history}, {"critic": math.log(4), "generator": math.log(2)}),
    alt="The losses of critic and generator against 1,500 steps. Neither falls in the long run: after a short fight both settle, the critic's loss a little below ln 4, the generator's a little above ln 2, "
    "marked by dotted lines.",
)

# %% [markdown]
# Not a curve that one would be proud of, had it come from a classifier. But nobody's loss should fall for ever here: each player's success is the other's loss. If $G$ is perfect, $D = \tfrac12$ everywhere, and the losses rest at $\ln 4 = 1.39$ and $\ln 2 = 0.69$ (dotted); here the critic still tells a few samples from data. **The losses of a GAN do not say how good it is**; someone has to look at the samples.
#
# (`two_time_scales` is Adam with less momentum than usual, $\beta_1 = 0.5$; momentum carries a player past where the other one has moved to. And `ema=0.99` averages the weights along the way: two players who circle round each other have their resting point in the middle. `he_initialized` draws the first weights so that
# signals keep their size from layer to layer (He et al., 2015): in a game of few steps there is no time to make up for a weak start.)

# %%
torch.manual_seed(1)
samples = mine.sample(4000)


def probability(model):
    """D(x) of a model, as a function for pictures."""
    return lambda x: model.score(x.to(device)).detach().sigmoid().cpu()


show(
    plots.plot_critic_fields(
        {"the data": (None, None), "your GAN": (probability(mine), samples[:500])}, ring.train[:500]
    ),
    alt="Two squares. Left: the data, eight groups on a circle. Right: the samples of your GAN lie on the same eight groups, with a few strays between them. Shaded is the discriminator's opinion: "
    "inside the ring it suspects samples, behind some groups it expects more data.",
)

# %% [markdown]
# It looks good. How good? We know the truth, so let us ask three questions: does every group, or **mode**, get its share? How many samples lie within three standard deviations (here 1.5) of a mode? And what does the true density say of the samples?
#
# ### Exercise 4 · The share of every mode · ●○○ · 6 minutes


# %%
@exercise("gan/modes")
def mode_shares(samples, centers, radius):
    """Which share of the samples lies within `radius` of each center: (n, 2), (modes, 2), a number -> (modes,)."""
    ### BEGIN SOLUTION
    return (torch.cdist(samples, centers) <= radius).float().mean(0)
    ### END SOLUTION


# %%
check(mode_shares)

# %%
centers = ring.truth.centers.float().to(device)


def judged(name, samples):
    """A row: modes with over 1 % of the samples, smallest and largest share, share near any mode, log p under the truth."""
    shares = mode_shares(samples, centers, radius=1.5)
    log_p = ring.truth.log_prob(samples).mean()
    return (name, f"{int((shares > 0.01).sum())} of 8", f"{shares.min():.1%} – {shares.max():.1%}", f"{shares.sum():.1%}", f"{log_p:.2f}")  # fmt: skip


header = (
    "samples of",
    "modes covered",
    "smallest – largest share",
    "within 3σ of a mode",
    "mean log p under the truth, nats",
)
results = {"the truth": judged("the truth", ring.test[:4000].to(device)), "your GAN": judged("your GAN", samples)}
Table(header, list(results.values()), "4,000 samples of each")

# %% [markdown]
# Beware of the last column. It asks the *truth* how likely the samples are, and never the model how likely the data are: a generator that puts every sample on the top of one hill would get the best mark of all. That is the wrong direction of KL, and the only one we can have: a GAN
# has no $\log q(x)$ to ask. (The course says so honestly: `mine.log_prob(x)` is `None`.)
#
# ## 3. Play it yourself
#
# **Explore.** Orange is where the critic says *data*, blue where it says *sample*; dots are data, crosses samples, and the arrows the generator's gradients. (1) From the start, train the critic alone for fifty steps, then the generator alone for fifty: where do all the samples go? (2) Play both for some hundred steps, and watch the
# arrows: do they point at the data, or at where the critic *errs*? (3) Give the critic a step size 1/16 of the generator's, then 16 times as large. Which of the two is worse?

# %%
torch.manual_seed(0)
explorers.GanGame(GAN(ring.space, latents=2, hidden=(64, 64), activation="silu"), ring)

# %% [markdown]
# ## 4. Failure lab: a perfect opponent
#
# In a game one improves against good players. Is that so here?

# %%
predict(
    "A new generator draws a small blob amid the ring, far from all data. We train the discriminator alone, longer and longer, and each time look at the gradient that it gives to the generator under the saturating loss ln(1 − D). What happens to it?",
    choices=(
        "It grows: a better judge points more clearly",
        "It stays about the same",
        "It shrinks towards zero",
        "It turns round and points away from the data",
    ),
    answer=2,
    why="Sure of its case, D is near 0 on every sample, and ln(1 − D) is near ln 1 = 0, and flat: its derivative with respect to the score is −D.",
)

# %%
torch.manual_seed(0)
blob, judge = MLP(2, (128, 128), 2).to(device), he_initialized(MLP(2, (128, 128), 1)).to(device)
step, looks, sizes, caught = adam(judge, steps=1001, lr=1e-3), (1, 3, 10, 30, 100, 300, 1000), {"saturating": [], "non-saturating": []}, []  # fmt: skip
for t in range(looks[-1] + 1):
    fake_points = blob(torch.randn(256, 2, device=device))
    if t in looks:
        scores = judge(fake_points)[:, 0]
        caught.append(float(scores.detach().sigmoid().mean()))
        for name, loss in zip(sizes, generator_losses(scores), strict=True):
            slopes = torch.autograd.grad(loss, list(blob.parameters()), retain_graph=True)
            sizes[name].append(float(torch.cat([slope.flatten() for slope in slopes]).norm()))
    x = ring.train[torch.randint(8000, (256,))].to(device)
    step(discriminator_loss(judge(x)[:, 0], judge(fake_points.detach())[:, 0]))
show(
    plots.plot_curves(
        {name: (looks, values) for name, values in sizes.items()},
        "steps of the discriminator alone",
        "size of the generator's gradient",
        log="xy",
    ),
    alt=f"The size of the generator's gradient against the number of steps that the discriminator was trained, both axes logarithmic. The saturating loss's falls to {sizes['saturating'][-1]:.1g} after a thousand steps; "
    f"the non-saturating loss's ends at {sizes['non-saturating'][-1]:.1g}.",
)
print(f"D on samples, after 1 step: {caught[0]:.2f}, after 1,000: {caught[-1]:.6f}")

# %% [markdown]
# At first both gradients grow together: a discriminator that knows nothing yet has no slope to pass on. Then they part.
#
# **Diagnosis**: the discriminator is right about every sample, and the saturating loss has nothing more to say. Its derivative with respect to a score is $-D$, so the surer the opponent, the less is learned; worst at the beginning, when samples are easiest to tell. For the
# non-saturating loss the derivative is $-(1-D)$: largest where $D$ is sure that it sees a sample. (Larger is not better for ever: that gradient is also noisier, as Arjovsky & Bottou showed in 2017.)
#
# **Repair**: take the other of your two losses. Below each of them plays on from here, against this very discriminator, for 500 steps.


# %%
class Late(MyGAN):
    """Your GAN, but the discriminator has a head start: that of a moment ago. `which`: 0 saturating, 1 non-saturating."""

    def __init__(self, space: Space, which: int):
        super().__init__(space)
        self.which = which
        self.generator.load_state_dict(blob.state_dict())
        self.critic.load_state_dict(judge.state_dict())

    def training_step(self, x, y=None):
        samples = self.generate(len(x))
        yield Step(discriminator_loss(self.score(x), self.score(samples.detach())), "critic")
        yield Step(generator_losses(self.score(samples))[self.which], "generator")


def plain_descent(group, parameters):
    """Gradient descent for the generator, Adam for the critic."""
    return torch.optim.SGD(parameters, lr=3e-3) if group == "generator" else torch.optim.Adam(parameters, lr=1e-3)


panels = {}
for which, name in enumerate(sizes):
    late = Late(ring.space, which).to(device)
    fit(late, ring, steps=500, optimizer=plain_descent)
    torch.manual_seed(1)
    drawn = late.sample(4000)
    results[name] = judged(f"head start, {name}", drawn)
    panels[name] = (probability(late), drawn[:500])
show(
    plots.plot_critic_fields(panels, ring.train[:500]),
    alt="Two squares after five hundred steps of the game against a discriminator with a head start. With the saturating loss the samples are still where they began, in a blob in the middle. "
    "With the non-saturating loss they have come out of it, to one side of the ring.",
)
Table(header, [results[name] for name in ("the truth", *sizes)], "500 steps against a discriminator with a head start")

# %% [markdown]
# The first generator has not stirred: no gradient, no step. The second has found its way out to the data, from the same start, against the same opponent. This is why the non-saturating loss is the usual one, although it is no longer the minimax game that the theory is about. (Where it landed is another matter: count the modes.
# To see the gradients themselves, both generators went by plain gradient descent. Adam divides each gradient by its usual size, however small that is: the steps are then long, but do they lead anywhere? Write `torch.optim.Adam` for `torch.optim.SGD` in
# `plain_descent`, and look where the first generator goes.)
#
# ## 5. A distance with a slope
#
# The trouble lies deeper than one loss. Two densities that do not overlap have $\mathrm{JS} = \ln 2$, whether they are a hair's breadth apart or a mile: the divergence cannot say that one is getting warmer. Arjovsky, Chintala & Bottou (2017) replace it. Think of $q$ as a heap of earth and $p$ as the
# shape that it should have. The **Wasserstein distance** $W_1(p, q)$ is the least work, mass times distance, that turns one into the other. On the line the best plan is easy: sort both heaps, and carry the first grain to the first place, the second to the second, and so on.

# %%
gaps, together = [0.25 * k for k in range(33)], {"JS, nats": [], "W₁": []}
torch.manual_seed(0)
left = torch.randn(20_000).sort().values
for gap in gaps:
    a, b = data.LineMixture([0.0], [1.0]), data.LineMixture([gap], [1.0])
    half = data.LineMixture([0.0, gap], [1.0, 1.0])
    together["JS, nats"].append((a.kl(half) + b.kl(half)) / 2)
    together["W₁"].append(float(((torch.randn(20_000) + gap).sort().values - left).abs().mean()))  # sort, and pair up
show(
    plots.plot_curves({name: (gaps[::4], values[::4]) for name, values in together.items()}, "μ", "how far apart", level={"ln 2": math.log(2)}),
    alt="Two measures of how far N(μ, 1) is from N(0, 1), against μ from 0 to 8. The Jensen-Shannon divergence rises to ln 2 at about μ = 4 and is flat from there on. The Wasserstein distance is a straight line: it equals μ.",
)  # fmt: skip
print(f"μ = 8: W₁ by sorting 20,000 samples = {together['W₁'][-1]:.3f}, and the truth is |μ| = 8")

# %% [markdown]
# Moving a Gaussian by $\mu$ costs exactly $|\mu|$: every grain goes that way. In more dimensions nobody can sort, but there is another road to the same number (Kantorovich & Rubinstein, 1958):
#
# $$W_1(p, q) = \max_{f:\ \|\nabla f\| \le 1}\; \mathbb E_{x \sim p}[f(x)] - \mathbb E_{x\sim q}[f(x)] .$$
#
# Among all functions that nowhere rise faster than their input moves (they are called *1-Lipschitz*), find the one that lies highest on $p$ and lowest on $q$. And finding a function that tells two sets of samples apart is what we have a network for. Here it is a critic and no discriminator: its scores are not logits of anything.
#
# ### Exercise 5 · The critic's loss · ●○○ · 4 minutes


# %%
@exercise("gan/critic_loss")
def critic_loss(real, fake):
    """What the critic lowers so that E_data[f] − E_samples[f] rises: scores (batch,), (batch,) -> scalar."""
    ### BEGIN SOLUTION
    return fake.mean() - real.mean()
    ### END SOLUTION


# %%
check(critic_loss)

# %% [markdown]
# Without the condition on the slope the critic would make itself steeper and steeper, and the difference arbitrarily large. Three ways to hold it back:
#
# - **clip** every weight to ±c after each step (Arjovsky et al., 2017). Crude: the steepest slope that is left is *some* number, not 1.
# - **spectral normalization**: divide each weight matrix by its largest singular value, so that no layer stretches any vector (Miyato et al., 2018). Then the slope is at most 1.
# - **gradient penalty** (Gulrajani et al., 2017): the best $f$ has slope exactly 1 almost everywhere on the ways that the earth takes. So ask for that, at random points between an example $x$ and a sample $G(z)$, with $u$ uniform between 0 and 1:
#
# $$\mathbb E\Big[\big(\|\nabla f(\hat x)\| - 1\big)^2\Big], \qquad \hat x = (1-u)\, x + u\, G(z) .$$
#
# ### Exercise 6 · The gradient penalty · ●●● · 12 minutes
#
# The gradient of a network with respect to its *input* comes from `torch.autograd.grad(outputs, inputs)`, which wants a scalar output, an input with `.requires_grad_()`, and returns a tuple. With `create_graph=True` the result can itself be differentiated, which the critic's weights need to learn from it.


# %%
@exercise("gan/penalty")
def gradient_penalty(critic, real, fake, u):
    """The mean of (‖∇ critic‖ − 1)² at (1 − u)·real + u·fake, a scalar.

    critic: (batch, dim) -> scores (batch,); real, fake: (batch, dim); u: (batch, 1).
    """
    ### BEGIN SOLUTION
    between = ((1 - u) * real + u * fake).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (slope.norm(dim=1) - 1).square().mean()
    ### END SOLUTION


# %%
check(gradient_penalty)

# %% [markdown]
# The test: $p$ is $\mathcal N(0, I)$ on the plane, moved by $(\sqrt 2, \sqrt 2)$, and $q$ is not moved. So $W_1 = 2$, and the best critic is a slanted plane of slope 1. Four critics are trained for 400 steps each; a penalty is added to the loss with a weight, here a large one, 30.

# %%
moved, distances = torch.full((2,), math.sqrt(2.0), device=device), {}
boxes = {"clip to ±0.01": 0.01, "clip to ±0.1": 0.1}
for name in (*boxes, "spectral norm", "gradient penalty"):
    torch.manual_seed(0)
    network = he_initialized(MLP(2, (64, 64), 1, "leaky_relu")).to(device)
    if name == "spectral norm":
        network = spectrally_normalized(network)
    step = adam(network, steps=400, betas=(0.5, 0.99))
    for _ in range(400):
        x, sample = torch.randn(2, 500, 2, device=device)
        x = x + moved
        loss = critic_loss(network(x)[:, 0], network(sample)[:, 0])
        if name == "gradient penalty":
            u = torch.rand(500, 1, device=device)
            loss = loss + 30 * gradient_penalty(lambda points, f=network: f(points)[:, 0], x, sample, u)
        step(loss)
        if name in boxes:
            for weight in network.parameters():
                weight.data.clamp_(-boxes[name], boxes[name])
    network.eval()
    x, sample = torch.randn(2, 20_000, 2, device=device)
    x = (x + moved).requires_grad_()
    (slope,) = torch.autograd.grad(network(x).sum(), x)
    found = float(-critic_loss(network(x)[:, 0], network(sample)[:, 0]).detach())
    length = slope.norm(dim=1)
    distances[name] = (found, f"{length.mean():.3f}", f"{length.max():.3f}")
Table(
    ("critic held back by", "E_data[f] − E_samples[f]", "truth", "mean slope on the data", "largest"),
    [(name, f"{found:.3f}", "2", mean, largest) for name, (found, mean, largest) in distances.items()],
    "A Wasserstein distance by four critics",
)

# %% [markdown]
# Clipping gives some multiple of the distance, with nobody knowing which; it needs to be found anew for each network. The other two measure it, to within a percent. (The penalty is only a wish, so here and there the slope is more than 1. Spectral normalization is a promise, kept by every layer; for networks with more layers the product of such promises may
# be far from tight.)
#
# Now put your two functions into the game. The critic may get more turns than the generator, for a good critic no longer hurts: its slope is 1, wherever the samples are.


# %%
class MyWassersteinGAN(MyGAN):
    critic_turns, penalty_weight = 3, 1.0

    def training_step(self, x, y=None):
        for _ in range(self.critic_turns):
            samples = self.generate(len(x)).detach()
            u = torch.rand(len(x), 1, device=x.device)
            penalty = gradient_penalty(self.score, x, samples, u)
            loss = critic_loss(self.score(x), self.score(samples))
            yield Step(loss + self.penalty_weight * penalty, "critic", logs={"distance": -loss.detach()})
        yield Step(-self.score(self.generate(len(x))).mean(), "generator")


# %% [markdown]
# Before we train it, let us see what it will be needed for.
#
# ## 6. Failure lab: mode collapse

# %%
predict(
    "We train your GAN of section 2 again, but the generator's step is now ten times as large as the discriminator's (and both have Adam's usual momentum). What will its samples do?",
    choices=(
        "Cover the ring as before, only more noisily",
        "Spread over the whole plane",
        "Gather in a few places, which change as training goes on",
        "Stay where they began",
    ),
    answer=2,
    why="Against a discriminator that stands still, the best answer is to put every sample where D is largest: at one point. The discriminator then learns to distrust that point, and the generator moves on.",
)

# %%
moments = {}


def watcher(name):
    """For `fit(watch=…)`: note the share of every mode, every twenty steps."""
    steps, shares = moments.setdefault(name, ([], []))

    def watch(step, model):
        if step % 20 == 0:
            steps.append(step)
            shares.append(mode_shares(model.sample(500), centers, radius=1.5).cpu())

    return watch


hasty = two_time_scales(generator=5e-3, critic=5e-4, betas=(0.9, 0.999))
for seed in range(3):
    torch.manual_seed(seed)
    collapsed, name = MyGAN(ring.space).to(device), f"hasty generator, seed {seed}"
    fit(collapsed, ring, steps=400, optimizer=hasty, seed=seed, watch=watcher(name))
    torch.manual_seed(1)
    results[name] = judged(name, collapsed.sample(4000))
show(
    plots.plot_mode_shares({name: (steps, torch.stack(shares)) for name, (steps, shares) in moments.items()}),
    alt="Three panels, one for each seed: the share of the samples at each of eight modes against 400 steps. At any time all but a few modes are white, that is, empty; the dark places wander from mode to mode, and at some moments nearly everything is white.",
)
Table(header, [results[name] for name in ("the truth", *moments)], "Your GAN with a hasty generator, 400 steps")

# %% [markdown]
# **Diagnosis**: no loss says so, but counting modes does. Most modes have nothing, and look along a row: a mode is taken, left, and taken again. Where a column is all pale, the crowd is on its way between two.
#
# **Cause**: the generator is asked for samples that look like data, one by one. Nobody asks whether, *together*, they are as varied. In $\min_G \max_D$ the discriminator would punish it at once: too many samples here, so $D^*$ is low here. But if $G$ moves faster than $D$, the game is $\max_D \min_G$, and the best answer to a fixed $D$ is a single point.
#
# **Repair**: which number in that cell would you change? Try it before you read on; the cell takes seconds.
#
# Below are two repairs. The first takes the haste back: the same two losses, equal steps that shrink to zero, little momentum, and a longer average; and networks of tanh units, for such a unit steps from one level to another and is flat beyond, much like the map that we ask for, from noise to eight
# places. The second is your `MyWassersteinGAN`: a critic with more turns, and a slope that leads to data from everywhere, made of straight pieces (leaky ReLU).

# %%
repairs = {  # model, activation, steps, average, optimizer
    "equal steps": (MyGAN, "tanh", 1500, 0.998, two_time_scales(2e-3, betas=(0.5, 0.99))),
    "Wasserstein": (MyWassersteinGAN, "leaky_relu", 1000, 0.99, two_time_scales(2e-3, betas=(0.0, 0.9))),
}
fields, histories, final = {"hasty generator": (None, collapsed.sample(500))}, {}, {}
for name, (kind, activation, steps, ema, optimizer) in repairs.items():
    torch.manual_seed(0)
    model = kind(ring.space, activation=activation).to(device)
    histories[name] = fit(model, ring, steps=steps, schedule="cosine", ema=ema, optimizer=optimizer, watch=watcher(name))  # fmt: skip
    torch.manual_seed(1)
    final[name] = model.sample(4000)
    results[name] = judged(f"repaired: {name}", final[name])
    opinion = probability(model) if kind is MyGAN else lambda x, f=model: f.score(x.to(device)).detach().cpu()
    fields[name] = (opinion, final[name][:500])
show(
    plots.plot_mode_shares({name: (moments[name][0], torch.stack(moments[name][1])) for name in repairs}),
    alt="Two panels: the share of the samples at each of eight modes against the steps of the two repaired games. With equal steps single modes come and go in the first four hundred, then all rows have about the same shade. With the Wasserstein critic they fill slowly and together, and no mode is ever alone.",
)
show(
    plots.plot_critic_fields(fields, ring.train[:500], limits=None),
    alt="Three squares. Left: with the hasty generator nearly all samples lie in one streak between two groups. Middle and right: with equal steps, and as a Wasserstein GAN, they lie on all eight groups, most of them along a short arc through each. The critics are shaded, each on its own scale: the Wasserstein one is a landscape with eight hills.",
)
Table(
    header,
    [results[name] for name in ("the truth", *list(moments)[2:3], "your GAN", *repairs)],
    "Collapsed, and repaired",
)

# %% [markdown]
# All eight modes, with nearly even shares, twice. It was the haste: your GAN of section 2, which had none, covers all eight as well, only less evenly and with more strays between (put `"silu"` for `"tanh"` in the cell above to see what the tanh units did). The Wasserstein distance was not needed for it. That agrees with a large
# comparison of losses at equal effort of tuning, in which none of the tested ones did reliably better than the non-saturating one (Lucic et al., 2018). (One seed proves little. `python benchmarks/gan_eight_gaussians.py` plays collapse and repair with five each.)
#
# But look closely at the picture: the data fill a disk at each mode, the samples crowd along an arc through it. No column of our table sees that; the truth's log p even likes it, and gives the first repair a better mark than the data. A measure finds what it was made to find; in section 10 we measure the spread as well.
#
# What the Wasserstein critic has for itself is its loss. Its difference says how far there is to go, once it has found its slope; neither loss of section 2 said so:

# %%
distance = torch.tensor(histories["Wasserstein"].logs["distance"]).view(-1, 30).mean(1)  # three turns a step
show(
    plots.plot_curves({"critic's E_data[f] − E_samples[f]": (range(10, 1001, 10), distance.tolist())}, "step", "distance"),
    alt="The critic's difference against 1,000 steps of the Wasserstein GAN. In the first two hundred, while the critic finds its slope, it falls and rises again to about 2; from there it sinks steadily to about 0.1.",
)  # fmt: skip

# %% [markdown]
# ## 7. Digits
#
# On the plane dense layers were enough. For images both players are convolutional (Radford, Metz & Chintala, 2016): the generator turns $z$ into a small image with many channels and doubles its sides, the critic does the reverse. Our scans have 17 grey levels; a pixel that is only 0 or 1 would not do, for
# then $D$ has no slope along which a sample could be improved. Both players see real numbers between 0 and 1, and `sample` rounds to the nearest level.
#
# We also want to say *which* digit to draw (Mirza & Osindero, 2014). The generator gets the label $y$ beside its noise, as a row of ten numbers with a single 1. And the critic has to be told, too; else the generator could draw sevens for every label, as long as they are good sevens. A neat way (Miyato & Koyama, 2018) is to let its last layer
# give $1 + 10$ scores: $s(x)$, is it a digit at all? And $s_0(x), \dots, s_9(x)$: is it a good example of this digit? What counts is
#
# $$\text{score}(x, y) = s(x) + s_y(x) .$$
#
# ### Exercise 7 · A critic that minds the label · ●●○ · 8 minutes


# %%
@exercise("gan/labels")
def labeled_score(scores, y):
    """s(x) + s_y(x): scores (batch, 1 + classes), s(x) in column 0; labels y (batch,), from 0. Returns (batch,)."""
    ### BEGIN SOLUTION
    return scores[:, 0] + scores[torch.arange(len(y)), y + 1]
    ### END SOLUTION


# %%
check(labeled_score)

# %% [markdown]
# The course's `GAN` has the rest: both networks, the objectives of this lesson and their penalties. We give it your score. The penalty is the "zero-centered" one of Mescheder, Geiger & Nowozin (2018), $\tfrac12\,\mathbb E_\text{data}\|\nabla D\|^2$ on logits, which asks the discriminator to be flat at the data, and lets the game come to rest there.

# %%
grey = data.digits(levels=17).to(device)


class LabeledGAN(GAN):
    def critic(self, x, y=None):
        return labeled_score(self.players["critic"](2 * x - 1), y)  # pixels in [−1, 1] -> (batch, 11) -> (batch,)


torch.manual_seed(0)
pen = LabeledGAN(grey.space, latents=16, penalty="zero-centered", penalty_weight=0.1, hidden=(64,), channels=(16, 32), classes=10).to(device)  # fmt: skip
fit(
    pen, grey, steps=800, batch_size=64, schedule="cosine", ema=0.99, optimizer=two_time_scales(2e-3, betas=(0.0, 0.99))
)
torch.manual_seed(2)
asked = torch.arange(10, device=device).repeat_interleave(100)
drawn = pen.sample(1000, asked)
show(
    plots.plot_images({str(label): drawn[100 * label : 100 * label + 12] for label in range(10)}, scale=0.45),
    alt="Ten rows, one for each digit from 0 to 9, of twelve samples each. Nearly all are what their row asks for, in different hands.",
)

# %% [markdown]
# No truth is known here. So let someone judge who has never seen a generated digit: a support vector machine (from scikit-learn), trained on the real ones. It asks: is each sample what it was asked to be? And because a generator could learn its examples by heart, we also measure how far each sample is from the nearest training image, beside the same
# distance for real digits that were never trained on.

# %%
from sklearn.svm import SVC

referee = SVC(C=10).fit(grey.train.flatten(1).cpu(), grey.train_labels.cpu())
verdict = torch.from_numpy(referee.predict(drawn.flatten(1).cpu()))
real_right = referee.score(grey.test.flatten(1).cpu(), grey.test_labels.cpu())
right = float((verdict == asked.cpu()).float().mean())
found = torch.bincount(verdict, minlength=10) / len(verdict)


def nearest(images):
    """Distance to the closest training image: (n,)."""
    return torch.cdist(images.flatten(1), grey.train.flatten(1)).min(1).values


Table(
    ("", "recognized as labeled", "rarest – most frequent verdict", "median distance to the nearest training image", "smallest"),
    [
        ("1,000 samples", f"{right:.1%}", f"{found.min():.1%} – {found.max():.1%}", f"{nearest(drawn).median():.2f}", f"{nearest(drawn).min():.2f}"),
        ("297 test digits", f"{real_right:.1%}", "–", f"{nearest(grey.test).median():.2f}", f"{nearest(grey.test).min():.2f}"),
    ],
)  # fmt: skip

# %% [markdown]
# The samples are recognized nearly as well as real digits, and are no nearer to the training images than other people's digits are: nothing was copied. But be careful what this proves. The referee looks at one image at a time, so it would be just as content with a hundred copies of one good seven. For variety one needs other measures (lesson 10).
#
# **Explore.** Walk through the latent space on a closed path. (1) Does a sample ever jump, or do all changes flow? (2) Change the label and keep the place: what stays? (3) Keep a few that you like, and walk through these.

# %%
explorers.LatentWalk(pen)

# %% [markdown]
# ## 8. Bug hunt
#
# A colleague wrote this GAN. `fit` does not complain.


# %%
class ColleaguesGAN(MyGAN):
    def training_step(self, x, y=None):
        samples = self.generate(len(x)).detach()
        real, fake = self.score(x), self.score(samples)
        yield Step(F.softplus(-real).mean() + F.softplus(fake).mean(), "critic")
        yield Step(F.softplus(-self.score(samples)).mean(), "generator")


def try_out(kind):
    """Train for 200 steps; how far the samples moved, and the last losses."""
    torch.manual_seed(0)
    model = kind(ring.space).to(device)
    noise = torch.randn(1000, 2, device=device)
    before = model.generator(noise).detach()
    losses = fit(model, ring, steps=200, optimizer=two_time_scales(2e-3)).losses
    way = (model.generator(noise).detach() - before).norm(dim=1).mean()
    last = {name: f"{sum(values[-20:]) / 20:.2f}" for name, values in losses.items()}
    print(f"{kind.__name__}: samples moved by {way:.2f} on average; last losses {last}")


try_out(MyGAN)
try_out(ColleaguesGAN)

# %% [markdown]
# (`softplus(−a)` is $-\ln\operatorname{sigmoid}(a)$, so these are the losses that you know: $-\ln D$ and $-\ln(1-D)$.) The discriminator wins ever more clearly, and the other player does not move at all. There is **one** bug. Find it and mend it in place; the two turns are written as a function of both players, and `fit` takes a step at each `yield`.


# %%
@exercise("gan/bug")
def two_turns(generator, critic, x, noise):
    """Yield the critic's loss, then the generator's (non-saturating), for data x (batch, dim) and noise (batch, latents)."""
    ### BEGIN SOLUTION
    samples = generator(noise)
    real, fake = critic(x), critic(samples.detach())
    ### BEGIN BUG
    # samples = generator(noise).detach()
    # real, fake = critic(x), critic(samples)
    ### END SOLUTION
    yield F.softplus(-real).mean() + F.softplus(fake).mean()
    yield F.softplus(-critic(samples)).mean()


# %%
check(two_turns)


# %%
class MendedGAN(MyGAN):
    def training_step(self, x, y=None):
        turns = two_turns(self.generator, self.score, x, torch.randn(len(x), self.latents, device=x.device))
        yield Step(next(turns), "critic")
        yield Step(next(turns), "generator")


try_out(MendedGAN)

# %% [markdown]
# A loss without a gradient is not an error: the step is simply of length zero. When a network does not learn, ask first whether any gradient reaches it.
#
# ## 9. What scale brings
#
# The same class with larger networks, on MNIST's 59,000 training images of 28×28 pixels. It was trained by `python -m dgmcourse train gan-mnist`, and ships with the course; nothing is downloaded. A separately trained classifier was the referee, asked in two directions (Shmelkov, Schmid & Alahari, [2018](https://arxiv.org/abs/1807.09499)):
# *GAN-test*, trained on real digits, says how many samples it recognizes as the label that was asked for; *GAN-train* is trained on samples alone, and has to recognize real digits. Samples that are all alike pass the first test, and fail the second.

# %%
card = zoo.card("gan-mnist")
Table(
    ("what", "share of 10,000 recognized ± standard error"),
    [(what, f"≈ {n['value']:.2f} % ± {n['standard_error']:.2f}") for what, n in card["numbers"].items()],
    f"{card['about']}; trained for {card['training_seconds'] / 60:.0f} minutes on {card['hardware']}",
)

# %%
scribe = zoo.load("gan-mnist").to(device)
torch.manual_seed(3)
with torch.no_grad():
    styles = scribe.prior(12)  # the same twelve codes in every row
    written = {str(label): scribe.generate(styles, torch.full((12,), label, device=device)) for label in range(10)}
show(
    plots.plot_images(written, scale=0.5),
    alt="Ten rows of digits from 0 to 9, twelve columns, one for each latent code. Most look like handwriting; down a column they share something of their style.",
)

# %% [markdown]
# Down a column the code is the same and only the label changes: what stays is the style. Compare the strokes with those decoded in lesson 04. Which are sharper, and why would a critic see to that? **Explore** it: the same three things to try.

# %%
explorers.LatentWalk(scribe, label=3)

# %% [markdown]
# ## 10. How far from the truth?

# %%
within = 1 - math.exp(-4.5)  # of a Gaussian on the plane, this share lies within 3σ
wide = evaluation.mode_coverage(ring.test, ring.truth).spread.mean()  # root mean square, along one axis, of these
rows = []
for name, drawn_points in {
    "your GAN": samples,
    "repaired: equal steps": final["equal steps"],
    "repaired: Wasserstein": final["Wasserstein"],
}.items():
    shares = mode_shares(drawn_points, centers, radius=1.5)
    close, rarest = float(shares.sum()), float(shares.min())
    spread = evaluation.mode_coverage(drawn_points, ring.truth).spread.nanmean()
    rows.append((f"{name}: samples within 3σ", f"≈ {close:.1%}", f"= {within:.1%}", f"{within - close:+.1%}"))
    rows.append((f"{name}: its rarest mode", f"≈ {rarest:.1%}", f"= {within / 8:.1%}", f"{within / 8 - rarest:+.1%}"))
    rows.append(
        (
            f"{name}: spread about the modes",
            f"≈ {spread:.2f} σ",
            f"≈ {wide:.2f} σ (test points)",
            f"{wide - spread:+.2f} σ",
        )
    )
Table(
    ("what", "value", "truth or strongest reference", "gap"),
    [
        ("V of the learned discriminator, line", f"≥ {learned:.4f}", f"= {worth:.4f} (−ln 4 + 2 JS, quadrature)", f"{worth - learned:.4f}"),
        *((f"W₁ by a critic with {name}", f"≈ {distances[name][0]:.3f}", "= 2 (|μ|)", f"{abs(distances[name][0] - 2):.3f}") for name in ("spectral norm", "gradient penalty")),
        *rows,
        ("digits: samples recognized as labeled", f"≈ {right:.1%}", f"≈ {real_right:.1%} (real test digits)", f"{real_right - right:.1%}"),
    ],
    "= exact, ≥ lower bound, ≈ estimate",
)  # fmt: skip

# %% [markdown]
# Look at what is missing: not one likelihood. What we know about a GAN we know from its samples, by asking someone else, and each referee sees what it was made to see. On the plane the truth could be asked. There the best repair beats the data in samples within 3σ, which is no merit: its spread is too small, so it keeps to the middle of the modes.
# And some samples will always lie in no man's land: a continuous $G$ cannot tear its noise into eight pieces, and must draw *something* on the way from one to the next.
#
# ## 11. The same five questions
#
# Asked of every family in this course.
#
# | | generative adversarial networks |
# |---|---|
# | What does it assume? | That data are noise, bent by a smooth function; of the density, nothing. |
# | How does it learn? | In a game against a critic, which estimates how samples differ from data, and in which direction. |
# | How does it sample? | In one step: draw $z$, apply $G$. |
# | Can it score? | No. The critic knows a ratio of densities, and only while the game is on. |
# | What is in its latent space? | A smooth map of the data, without a way back: there is no encoder. |
#
# **Strengths**: sharp samples, in one step; any differentiable $G$ will do; the critic is a loss that nobody had to write down. **Limitations**: no likelihood; training is a game, and may circle, stall or collapse; what is missing from the samples goes unnoticed unless somebody counts. **Applications**: images at high resolution, superresolution, translation
# from one kind of image to another, fast samplers distilled from slow ones, and, without any generator, density ratios: the idea of section 1 returns in lesson 09.

# %%
evaluation.family_map(mine, pen)

# %% [markdown]
# (*No encoder*: you have just walked through these 16 numbers, but there is no way to ask which of them belong to a given image. `MyGAN` says *none*, as it has no `decode(z)` by which the map could find its noise.)
#
# A critic can judge more than noise made into digits. In lesson 05b two generators and two critics translate between two styles of letters without a single pair to learn from (CycleGAN), and a critic takes the blur from a variational autoencoder.
#
# ## 12. You can now…
#
# - get a ratio of densities out of a classifier;
# - write a game as a training step with two turns, and know what is resumed when;
# - say why a loss saturates, and what a Wasserstein critic has instead;
# - count modes, and not trust a loss curve, or your eyes;
# - ask for a class, and check that you got it.
#
# **To go on with.** (1) Give the repaired GAN a grid of 25 Gaussians (`data.toy("grid")`). How many modes does it cover, and what would you change first? (2) Sample with smaller noise, $z$ times 0.7. What do you gain, what do you lose, and which of our measures notice? (3) A discriminator trained on
# *finite* data could learn these by heart: then $D$ is 1 exactly at the training images. What would the generator learn from it? Try 50 training digits.
#
# **Further reading**
#
# - Goodfellow et al., [Generative Adversarial Nets](https://arxiv.org/abs/1406.2661), 2014: the game, $D^*$ and the JS divergence on four readable pages.
# - Mirza & Osindero, [Conditional Generative Adversarial Nets](https://arxiv.org/abs/1411.1784), 2014: labels for both players.
# - Radford, Metz & Chintala, [Unsupervised Representation Learning with Deep Convolutional GANs](https://arxiv.org/abs/1511.06434), 2016: the first recipe that worked for images, and walks through latent space.
# - Salimans et al., [Improved Techniques for Training GANs](https://arxiv.org/abs/1606.03498), 2016: mode collapse described, and tricks against it.
# - Arjovsky & Bottou, [Towards Principled Methods for Training GANs](https://arxiv.org/abs/1701.04862), 2017: section 4, with proofs.
# - Arjovsky, Chintala & Bottou, [Wasserstein GAN](https://arxiv.org/abs/1701.07875), 2017, and Gulrajani et al., [Improved Training of Wasserstein GANs](https://arxiv.org/abs/1704.00028), 2017: section 5; first clipped, then penalized.
# - Miyato et al., [Spectral Normalization for GANs](https://arxiv.org/abs/1802.05957), 2018, and Miyato & Koyama, [cGANs with Projection Discriminator](https://arxiv.org/abs/1802.05637), 2018: the promise of section 5, the score of exercise 7.
# - Lucic et al., [Are GANs Created Equal? A Large-Scale Study](https://arxiv.org/abs/1711.10337), 2018: many kinds of GAN, tuned with equal effort.
# - Mescheder, Geiger & Nowozin, [Which Training Methods for GANs Do Actually Converge?](https://arxiv.org/abs/1801.04406), 2018: the smallest game that circles for ever, and the penalty that brings it to rest.

# %%
progress()
