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
# # Autoregressive models
#
# In this lesson you build models that read an image pixel by pixel, a text letter by letter, a time series value by value, always asking *what comes next?*,
# and that therefore know exactly how likely any image, text or series is.

# %%
from dgmcourse.lesson import data, plots, show, torch

scan = data.digits(levels=2).test[3]
known = torch.arange(64).view(1, 8, 8) < torch.arange(4, 65, 12)[:, None, None, None]
show(
    plots.plot_images(torch.where(known, scan, torch.tensor(0.35)), scale=1.0),
    alt="One handwritten digit six times, more and more of it uncovered in reading order from the top left; what is still covered is grey. "
    "In the last picture four fifths are known, and it is plain how the digit goes on.",
)

# %% [markdown]
# Cover the rest of a digit with your hand, and guess the next pixel. At first you can only guess; half-way down you know which digit it is; near the end you hardly need to look. Whoever
# can do that at all 64 pixels can draw digits, finish half a digit, and say how likely any image is. That is the whole idea.
#
# **Time** 110 minutes · **You need** PyTorch, and what a log-likelihood is (lesson 01) · **You will be able to**
#
# - write any distribution as a chain of conditionals, in any order, and score it exactly;
# - make a dense network, a convolution and an attention look only at what came before, by a mask;
# - find a leak in such a mask, which no loss curve shows;
# - say how near a model of text comes to the least possible number of bits;
# - sample boldly or carefully (temperature, nucleus), and fast (a cache).

# %%
from itertools import permutations

from dgmcourse.data.time_series import ARProcess
from dgmcourse.lesson import MLP, F, GenerativeModel, Kind, LogProb, Space, Step, Table, begin, check, data, evaluation, exercise, explorers, fit, hint, math, nn, plots, predict, progress, show, torch, zoo  # fmt: skip
from dgmcourse.models import AR, CausalConvolutions, PixelCNN, Transformer

device = begin(seed=0)

# %% [markdown]
# Stuck in an exercise? `hint("autoregressive/chain")` gives one more step at each call. A blank or wrong answer never stops you: the
# cells below then use the course's own version, and say so. Each section uses what the ones before it made: if a cell says that a name is
# not defined, choose *Run → Run All Above Selected Cell*.
#
# ## 1. The chain rule
#
# Let $x = (x_1, \dots, x_D)$ be any $D$ numbers: pixels, letters, values. By the definition of conditional probability,
#
# $$p(x) \;=\; p(x_1)\; p(x_2\mid x_1)\; p(x_3\mid x_1, x_2) \cdots \;=\; \prod_{t=1}^{D} p(x_t \mid x_{<t}),$$
#
# where $x_{<t}$ are the entries before $x_t$, and the first factor has none. Nothing is assumed and nothing is lost: this holds for *every* distribution, and for the entries in *every* order. Here is one over three binary pixels, drawn at
# random. We compute the probability of $x = (1, 0, 1)$ by the chain, in all six orders.

# %%
torch.manual_seed(0)
joint = torch.rand(2, 2, 2, dtype=torch.float64)
joint = joint / joint.sum()  # any table of eight probabilities
pixels = (1, 0, 1)


def marginal(chosen):
    """The probability that the chosen entries (by number) are those of `pixels`."""
    part = joint
    for i in range(3):
        part = part.select(i, pixels[i]).unsqueeze(i) if i in chosen else part.sum(i, keepdim=True)
    return float(part)


rows = []
for order in permutations(range(3)):
    factors = [marginal(order[: t + 1]) / marginal(order[:t]) for t in range(3)]
    name = " → ".join(f"x{i + 1}" for i in order)
    rows.append((name, *(f"{factor:.4f}" for factor in factors), f"{math.prod(factors):.6f}"))
Table(
    ("order", "first", "second, given the first", "third, given both", "product"),
    rows,
    f"p(1, 0, 1) by the chain rule; in the table it is {float(joint[pixels]):.6f}",
)

# %% [markdown]
# The factors differ, the product does not. So we may choose the order; images are mostly read like a page, row by row.
#
# What is gained? A table for 64 binary pixels would have $2^{64}$ entries. A conditional $p(x_t\mid x_{<t})$ is only a *classifier*: from what came before, predict which value comes next. We know how to build classifiers. An **autoregressive model** is a chain of $D$ of them, usually
# one network for all.
#
# For each entry the network gives a score, or **logit**, to each of the values that the entry can take, its **levels**; a softmax over these makes probabilities.
#
# ### Exercise 1 · Log-likelihood by the chain rule · ●○○ · 8 minutes
#
# The logits of entry $t$ were made from the entries before it (that this is so will be our business later). Add up $\ln p(x_t\mid x_{<t})$. Some networks are very sure of themselves, and very wrong: stay in logs.


# %%
@exercise("autoregressive/chain")
def log_likelihood(x, logits):
    """ln p(x) = Σ_t ln p(x_t | x_<t) of each example, in nats.

    x: (batch, dim), int64, which level each entry has; logits: (batch, dim, levels). Returns (batch,).
    """
    ### BEGIN SOLUTION
    log_p = logits.log_softmax(-1)
    return log_p.gather(-1, x[..., None])[..., 0].sum(-1)
    ### END SOLUTION


# %%
check(log_likelihood)

# %% [markdown]
# We try it where the truth is known: a **Markov source**, text in which a letter depends on the two letters before it, by a table. (It is a language with eight letters, and nobody speaks it.)

# %%
letters = data.text("markov", 32, order=2).to(device)
source = letters.truth
for line in letters.test[:3]:
    print(letters.decode_text(line))
few = letters.test[:5]
true_logits = torch.stack([torch.stack([source.next_distribution(line[:t].cpu()).log() for t in range(32)]) for line in few])  # fmt: skip
by_chain, known_exactly = log_likelihood(few.cpu(), true_logits), source.log_prob(few.cpu())
print(f"your function and the source's own ln p(x) differ by at most {float((by_chain - known_exactly).abs().max()):.1g} nats")  # fmt: skip

# %% [markdown]
# ## 2. The oldest of them: time series
#
# Statisticians have worked like this for a century. In a linear **autoregression of order 2**, AR(2), every value is predicted from the two before it, with two coefficients $\varphi_1, \varphi_2$, up to noise of standard deviation $\sigma$ (Yule, 1927):
#
# $$x_t = \varphi_1 x_{t-1} + \varphi_2 x_{t-2} + \sigma\varepsilon_t, \qquad \varepsilon_t\sim\mathcal N(0, 1),$$
#
# so each conditional is a Gaussian, $p(x_t\mid x_{<t}) = \mathcal N(\varphi_1 x_{t-1} + \varphi_2 x_{t-2},\, \sigma^2)$. Below are series from such a process, and series from one that is not linear: it switches
# between a calm regime and a wild one, as a hidden two-state chain decides. Of both the exact likelihood is known: the hidden states are summed out, as in lesson 02.

# %%
linear, regimes = data.series("ar2").to(device), data.series("regimes").to(device)
show(
    plots.plot_series({"AR(2)": linear.train[:3], "two regimes": regimes.train[:3]}),
    alt="Two panels of three time series each. The AR(2) series swing regularly with a period of about nine. Those with two regimes drift "
    "slowly for a while, then jump wildly to and fro, then drift again.",
)

# %% [markdown]
# ### Exercise 2 · AR(2) by maximum likelihood · ●●○ · 12 minutes
#
# Given the first two values, $\ln p(x_3, \dots, x_T\mid x_1, x_2) = -\sum_{t\ge 3} \big[\tfrac1{2\sigma^2}(x_t - \varphi_1 x_{t-1} - \varphi_2x_{t-2})^2 + \ln\sigma + \tfrac12\ln 2\pi\big]$. Here $T$ is the length; with several series, add up over all of them. For any $\sigma$ the sum is largest where that of the squares is smallest: *least squares*
# (`torch.linalg.lstsq(A, b).solution` finds the column $\varphi$ for which $A\varphi$ is nearest to the column $b$: one row for each equation). Then set the derivative with respect to $\sigma$ to zero: $\sigma^2$ is the mean square of what is left.


# %%
@exercise("autoregressive/ar2")
def fit_ar2(x):
    """φ = (φ₁, φ₂) and σ that make x[:, 2:] likeliest, given the two values before each.

    x: (series, length), series of mean zero, independent of each other. Returns φ, (2,), and σ, a scalar tensor.
    """
    ### BEGIN SOLUTION
    past = torch.stack([x[:, 1:-1], x[:, :-2]], dim=-1).flatten(0, 1)  # (equations, 2), the latest first
    now = x[:, 2:].flatten()
    phi = torch.linalg.lstsq(past, now[:, None]).solution[:, 0]
    return phi, (now - past @ phi).square().mean().sqrt()
    ### END SOLUTION


# %%
check(fit_ar2)

# %% [markdown]
# Now fit it to both kinds of series. On the second we also let more of the past in (eight values, still linear), and then we replace the straight line by a network: **causal convolutions**
# (WaveNet, made for speech; van den Oord, Dieleman et al., 2016). Each layer looks at its own place and one place further back, at a distance of 1, 2, 4, 8: doubling the distance lets 4 layers see $2^4 = 16$ values. From these it gives the parameters of a
# mixture of two Gaussians for the next value.

# %%
rows, gaps = [], {}


def gap_per_value(name, series, log_prob):
    """How much less likely test series are than under the truth, nats per value."""
    loss = (series.truth.log_prob(series.test) - log_prob) / 64
    score, truth = (float(values.mean()) / 64 for values in (log_prob, series.truth.log_prob(series.test)))
    gaps[name] = (score, truth, float(loss.mean()))
    rows.append((series.name, name, f"{float(loss.mean()):.4f} ± {float(loss.std()) / len(loss) ** 0.5:.4f}"))


for series in (linear, regimes):
    phi, sigma = fit_ar2(series.train)
    print(f"{series.name}: φ₁ = {phi[0]:.3f}, φ₂ = {phi[1]:.3f}, σ = {sigma:.3f}")
    mine_is = ARProcess(phi.tolist(), float(sigma), 64)  # its exact log-likelihood, first two values included
    gap_per_value(f"your AR(2), {series.name}", series, mine_is.log_prob(series.test))
gap_per_value("AR(8)", regimes, AR(regimes.space, 8).estimate(regimes.train).log_prob(regimes.test).value.detach())
torch.manual_seed(0)
wavenet = CausalConvolutions(regimes.space, channels=24, layers=4, components=2).to(device)
fit(wavenet, regimes, steps=200, batch_size=64, lr=8e-3, schedule="cosine", warmup=20, clip=1.0)
with torch.no_grad():
    gap_per_value("causal convolutions", regimes, wavenet.log_prob(regimes.test).value)
Table(("series", "model", "gap to the exact likelihood, nats per value"), rows, "Exact log-likelihoods of 2,000 test series, below the truth's")  # fmt: skip

# %% [markdown]
# The truth of the first series is $\varphi = (1.4, -0.85)$, $\sigma = 1$: your two lines of algebra find it, and are as good as perfect. With two regimes, more past does not help a straight line. *How much* the next value varies depends on the regime, and a linear model has one $\sigma$ for all times. A network that gives a $\sigma$
# (here even two) at every step closes nearly all of the gap.
#
# ## 3. One network for 64 classifiers: MADE
#
# Back to images, 8×8 binary pixels (1 is ink), with lesson 01's yardstick of independent pixels. We could train 64 networks, one a pixel. Or *one* ordinary network with 64 inputs and 64 logits, if only logit $i$ did not depend on
# pixel $i$ or any later pixel. A network depends on what there is a path to. So cut paths, by a **mask**: multiply some of the weights by zero (MADE; Germain et al., 2015).
#
# Give every pixel its **place** in the order, $0, 1, \dots, D-1$, and every hidden unit a **degree** $m$ between $0$ and $D-2$. Two rules:
#
# - a hidden unit of degree $m$ sees the pixels at places $\le m$;
# - the logit of the pixel at place $t$ sees the hidden units of degrees $m < t$.
#
# Then whatever reaches the logit at place $t$ comes from places $\le m < t$. The logit at place 0 sees nothing, and is a bias alone, as $p(x_1)$ should be; a unit of degree $D-1$ would be seen by no logit.
#
# ### Exercise 3 · MADE's masks · ●●○ · 10 minutes


# %%
@exercise("autoregressive/masks")
def made_masks(places, degrees):
    """Masks of ones and zeros for the two weight matrices of a network with one hidden layer.

    places: (dim,), int64, the place of each entry in the order; degrees: (hidden,), int64.
    Returns the mask into the hidden units, (hidden, dim), and the one into the logits, (dim, hidden), as floats.
    """
    ### BEGIN SOLUTION
    into_hidden = (degrees[:, None] >= places).float()
    into_logits = (places[:, None] > degrees).float()
    return into_hidden, into_logits
    ### END SOLUTION


# %%
check(made_masks)

# %%
places, degrees = torch.tensor([2, 0, 4, 1, 5, 3]), torch.arange(10) % 5
into_hidden, into_logits = made_masks(places, degrees)
paths = into_logits @ into_hidden  # (logit, entry): how many paths lead there
by_place = paths[places.argsort()][:, places.argsort()]
show(
    plots.plot_masks(
        {
            "into hidden": (into_hidden, "hidden unit", "entry"),
            "into logits": (into_logits, "logit", "hidden unit"),
            "paths": (paths, "logit", "entry"),
            "paths, by place": (by_place, "logit", "entry"),
        }
    ),
    alt="Four small matrices of dark and white cells: the mask into ten hidden units, the mask into six logits, their product, which looks "
    "disorderly, and the product with rows and columns sorted by place, which is strictly below the diagonal.",
)

# %% [markdown]
# The right-hand picture is the proof: sorted by place, there are paths strictly below the diagonal, and nowhere else.
#
# Here is the model, made of your two functions. As every model of this course it is a `GenerativeModel`, which learns by *yielding* a loss, and samples by *yielding* what it has drawn so far. `fit` is the one training
# loop for all of them; `schedule="cosine"` lowers the step size to zero, `ema=0.99` averages the weights along the way, and `keep_best` keeps those that scored best on the validation images. (In section 2, `warmup=20` began with
# small steps, and `clip=1.0` shortened gradients that were longer than 1.)
#
# Look at the difference between the two: scoring takes **one** pass through the network for all 64 conditionals; sampling takes 64, as each pixel needs those before it.


# %%
class MyMADE(GenerativeModel):
    def __init__(self, space: Space, hidden: int = 1000, dropout: float = 0.5):
        super().__init__(space)
        self.first, self.second = nn.Linear(space.dim, hidden), nn.Linear(hidden, space.dim)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("places", torch.arange(space.dim))  # reading order
        self.register_buffer("degrees", torch.arange(hidden) % (space.dim - 1))
        for name, mask in zip(("into_hidden", "into_logits"), made_masks(self.places, self.degrees), strict=True):
            self.register_buffer(name, mask)

    def logits_of(self, x):
        """The logit of ink at every pixel: (batch, dim) -> (batch, dim)."""
        h = F.linear(2 * x - 1, self.into_hidden * self.first.weight, self.first.bias).relu()
        return F.linear(self.dropout(h), self.into_logits * self.second.weight, self.second.bias)

    def log_prob(self, x, y=None):
        ink = self.logits_of(x.flatten(1))
        scores = torch.stack([torch.zeros_like(ink), ink], dim=-1)  # (batch, dim, 2): paper has the score 0
        return LogProb(log_likelihood(x.flatten(1).long(), scores), Kind.EXACT)

    def training_step(self, x, y=None):
        yield Step(-self.log_prob(x).value.mean())

    def trajectory(self, n, y=None):
        x = torch.zeros(n, self.space.dim, device=self.device)
        for i in range(self.space.dim):
            x = x.clone()
            x[:, i] = torch.bernoulli(self.logits_of(x)[:, i].sigmoid())
            yield x.view(n, *self.space.shape)


digits = data.digits(levels=2).to(device)
torch.manual_seed(0)
mine = MyMADE(digits.space).to(device)
history = fit(mine, digits, steps=1000, batch_size=100, lr=2e-3, schedule="cosine", ema=0.99, keep_best=True)
history.plot(
    alt="Training loss and validation score against steps. Both fall steeply at first and then slowly; the validation score ends below 18 nats."
)

# %%
share = digits.train.mean(0).clamp(1 / 1302, 1 - 1 / 1302)
independent = float((digits.test * share.log() + (1 - digits.test) * (1 - share).log()).sum((1, 2, 3)).mean())
my_score = evaluation.average_log_prob(mine, digits.test)
print(f"independent pixels: = {independent:.2f} nats an image\nyour MADE:          {my_score}")
torch.manual_seed(1)
with torch.no_grad():
    drawn = mine.sample(12)
show(
    plots.plot_images({"test images": digits.test[:12], "samples": drawn}),
    alt="Two rows of twelve: real test digits, and samples of the model, most of which can be read as digits.",
)

# %% [markdown]
# The `=` says: exact. No bound, no estimate, no unknown constant. That can be checked where all images can be listed: $p(x)$ must sum to 1 over them. Here is your class, untrained and with large
# weights, on all $2^9$ images of 3×3 pixels, and on all $2^{16}$ of 4×4.


# %%
@torch.no_grad()
def total_probability(model):
    """Σ p(x) over all images of the model's space."""
    dim = model.space.dim
    states = (torch.arange(2**dim, device=device)[:, None] >> torch.arange(dim, device=device)) & 1  # (2^dim, dim)
    return float(model.log_prob(states.float().view(-1, *model.space.shape)).value.double().exp().sum())


for side in (3, 4):
    torch.manual_seed(side)
    tiny = MyMADE(Space.binary(1, side, side), hidden=50).to(device).eval()
    for parameter in tiny.parameters():
        parameter.data *= 3
    print(f"{side}×{side}: Σ p(x) over {2**tiny.space.dim:,} images = {total_probability(tiny):.6f}")

# %% [markdown]
# ## 4. Failure lab: the leaking mask
#
# A mask is easy to get wrong by one character. Here is your class with `>=` in place of `>` in the second rule: the logit at place $t$ also sees hidden units of degree $t$.

# %%
predict(
    "So each pixel has a path to its own logit. Training goes on as before. What will we see?",
    choices=(
        "The loss does not fall: the network is confused",
        "An error, sooner or later: probabilities no longer fit together",
        "The loss falls much lower than before, and the samples are better too",
        "The loss falls much lower than before, and the samples are worse",
    ),
    answer=3,
    why="With the answer in view, 'predicting' it is copying, so the loss falls towards zero. In sampling there is nothing to copy: pixel i holds a zero "
    "when its logit is asked for.",
)


# %%
class LeakingMADE(MyMADE):
    def __init__(self, space: Space, hidden: int = 200, dropout: float = 0.0):
        super().__init__(space, hidden, dropout)
        self.into_logits.copy_((self.places[:, None] >= self.degrees).float())


torch.manual_seed(0)
leaking = LeakingMADE(digits.space).to(device)
fit(leaking, digits, steps=400, batch_size=100, lr=3e-3)
leaking_score = evaluation.average_log_prob(leaking, digits.test)
torch.manual_seed(1)
with torch.no_grad():
    copies = leaking.sample(12)
show(
    plots.plot_images({"yours": drawn, "leaking": copies}),
    alt="Samples of the honest model, which look like digits, above those of the leaking one, which do not.",
)
print(f"your MADE:    {my_score}\nleaking MADE: {leaking_score}")

# %% [markdown]
# No error, no warning, a wonderful likelihood, on test images as well. **Diagnosis**, in three ways:
#
# 1. *Too good to be true.* Compare with something: this model claims to need fewer nats for a whole image than three tosses of a fair coin need ($3\ln 2 = 2.08$).
# 2. *Probabilities that do not sum to 1.* Possible only for tiny images: below, on 3×3.
# 3. *Ask the network.* Change what it must not know, and see whether the answer changes. This works for any model, of any size, trained or not.
#
# ### Exercise 4 · A detector of leaks · ●●○ · 10 minutes
#
# Write the third. `order` lists the pixels in the order in which they are visited, so the logit of pixel $i$ = `order[t]` may depend on the pixels `order[:t]`, and on nothing else. Turn all others over
# (0 to 1, 1 to 0), and measure how much the logit of pixel $i$ changes.


# %%
@exercise("autoregressive/leak")
def largest_leak(logits_of, x, order):
    """The largest change of a logit when its own pixel and all later ones are turned over: 0 if the model is honest.

    logits_of: a function, (batch, dim) -> (batch, dim); x: (batch, dim) of zeros and ones; order: (dim,), int64.
    For each place t, with i = order[t]: turn over the pixels order[t:] of all x, and look at logit i. Returns a number.
    """
    ### BEGIN SOLUTION
    honest, worst = logits_of(x), 0.0
    for t, i in enumerate(order.tolist()):
        changed = x.clone()
        changed[:, order[t:]] = 1 - x[:, order[t:]]
        worst = max(worst, float((logits_of(changed) - honest)[:, i].abs().max()))
    return worst
    ### END SOLUTION


# %%
check(largest_leak)


# %%
class RepairedMADE(LeakingMADE):
    """The same, with your masks put back."""

    def __init__(self, space: Space, hidden: int = 200, dropout: float = 0.0):
        super().__init__(space, hidden, dropout)
        self.into_logits.copy_(made_masks(self.places, self.degrees)[1])


torch.manual_seed(0)
repaired = RepairedMADE(digits.space).to(device)
fit(repaired, digits, steps=400, batch_size=100, lr=3e-3)
corner, reading = digits.train[..., 2:5, 2:5], torch.arange(64, device=device)  # 3×3 pixels of each digit
rows = []
for name, model in {"leaking": leaking, "repaired": repaired}.items():
    torch.manual_seed(0)
    tiny = type(model)(Space.binary(1, 3, 3)).to(device)
    fit(tiny, corner, steps=150, lr=1e-2)
    with torch.no_grad():
        leak = largest_leak(model.logits_of, digits.test[:50].flatten(1), reading)
    score = evaluation.average_log_prob(model, digits.test)
    rows.append((name, f"= {score.value:.2f}" if leak == 0 else f"({score.value:.2f})", f"{leak:.4f}", f"{total_probability(tiny):.4f}"))  # fmt: skip
Table(
    ("masks", "'ln p(x)' of test digits, nats", "largest leak", "Σ p(x) over all 3×3 images"),
    rows,
    "The same network with two masks; in brackets: no likelihood at all",
)

# %% [markdown]
# The detector says zero, *exactly*, or it says that something is wrong: no tolerance is needed, as a weight that is multiplied by zero changes nothing at all. Keep it: the next two models must pass it.
#
# ### Bug hunt · ●●○ · 8 minutes
#
# The chain rule holds in any order. A colleague has extended your class: it visits the pixels in an order drawn at random, and inherits everything else. The likelihood is fine.


# %%
class AnyOrderMADE(MyMADE):
    def __init__(self, space: Space, hidden: int = 1000, dropout: float = 0.5, seed: int = 0):
        super().__init__(space, hidden, dropout)
        order = torch.randperm(space.dim, generator=torch.Generator().manual_seed(seed))
        self.register_buffer("order", order)  # the pixels in the order in which they are visited
        self.places.copy_(order.argsort())  # the place of each
        for mask, new in zip((self.into_hidden, self.into_logits), made_masks(self.places, self.degrees), strict=True):
            mask.copy_(new)


torch.manual_seed(0)
shuffled = AnyOrderMADE(digits.space).to(device)
fit(shuffled, digits, steps=400, batch_size=100, lr=2e-3, schedule="cosine", ema=0.99)
shuffled_score = evaluation.average_log_prob(shuffled, digits.test)
with torch.no_grad():
    leak = largest_leak(shuffled.logits_of, digits.test[:50].flatten(1), shuffled.order)
    torch.manual_seed(1)
    odd = shuffled.sample(12)
print(f"random order: {shuffled_score}; largest leak {leak}")
show(
    plots.plot_images(odd),
    alt="Twelve samples of the colleague's model: blots and crumbs that are hardly digits.",
)

# %% [markdown]
# A good likelihood, no leak, and samples that the model itself would find very unlikely. There is **one** bug, in how it draws. Below is the `trajectory` that it inherited, as a function, with
# the random numbers handed in. Find the bug and mend it in place.


# %%
@exercise("autoregressive/bug")
def draw_images(logits_of, order, noise):
    """Samples of a model that visits the pixels in `order`; pixel i is ink where noise[:, i] < p(ink).

    logits_of: (batch, dim) -> (batch, dim); order: (dim,), the pixels in the order of the model; noise: (batch, dim), uniform.
    """
    x = torch.zeros_like(noise)
    ### BEGIN SOLUTION
    for i in order.tolist():
        p = logits_of(x)[:, i].sigmoid()
        x[:, i] = (noise[:, i] < p).float()
    ### BEGIN BUG
    # for i in range(len(order)):
    #     p = logits_of(x)[:, i].sigmoid()
    #     x[:, i] = (noise[:, i] < p).float()
    ### END SOLUTION
    return x


# %%
check(draw_images)

# %%
torch.manual_seed(1)
with torch.no_grad():
    mended = draw_images(shuffled.logits_of, shuffled.order, torch.rand(200, 64, device=device)).view(-1, 1, 8, 8)
    own_opinion = [float(shuffled.log_prob(x).value.mean()) for x in (shuffled.sample(200), mended)]
show(
    plots.plot_images(mended[:12]),
    alt="Twelve samples drawn in the order of the model: most can be read as digits.",
)
print(f"the model's own ln p of 200 samples, mean: {own_opinion[0]:.1f} before, {own_opinion[1]:.1f} nats after the repair")  # fmt: skip

# %% [markdown]
# ## 5. Images are not lists: PixelCNN
#
# MADE has a weight of its own for every pair of pixel and unit; it must learn what a stroke is at every place anew. A convolution uses the same small **kernel** everywhere. To make it autoregressive, mask the kernel (PixelCNN; van den Oord, Kalchbrenner & Kavukcuoglu, 2016): of the
# pixels around, it may see those before it in reading order, the rows above and what is on the left.
#
# What about the middle of the kernel, the pixel itself? There are two masks. **A**, for the first layer: the middle is zero, since it is the very pixel to be predicted. **B**, for all others: the middle is one. What the first layer has computed there has not seen the pixel, so the second may use it.
#
# ### Exercise 5 · PixelCNN's masks · ●○○ · 6 minutes


# %%
@exercise("autoregressive/pixel_mask")
def pixel_mask(kind, side):
    """The mask of a convolution's kernel: ones where it may look, zeros elsewhere. kind "A" or "B", side odd -> (side, side)."""
    ### BEGIN SOLUTION
    mask = torch.zeros(side, side)
    middle = side // 2
    mask[:middle] = 1
    mask[middle, : middle + (kind == "B")] = 1
    return mask
    ### END SOLUTION


# %%
check(pixel_mask)

# %% [markdown]
# Stack five such layers, an A and four Bs, and ask which pixels the prediction in the middle of an 11×11 image depends on: differentiate it with respect to the image.


# %%
def dependence(logit_map):
    """Which pixels of an 11×11 image the output at row 7, column 5 depends on: (11, 11)."""
    image = torch.rand(1, 1, 11, 11, requires_grad=True)
    logit_map(image)[0, 0, 7, 5].backward()
    return image.grad[0, 0]


def my_layers(image):
    for kind in "ABBBB":
        image = F.conv2d(image, pixel_mask(kind, 3)[None, None], padding=1)
    return image


torch.manual_seed(0)
two_stacks = PixelCNN(Space.binary(1, 11, 11), channels=8, layers=4, first=3)  # gated
show(
    plots.plot_receptive_fields(
        {
            "your masks, 5 layers": dependence(my_layers),
            "two stacks, 5 layers": dependence(lambda x: two_stacks.logits(x)[..., 1].view(1, 1, 11, 11)),
        },
        (7, 5),
    ),
    alt="Two 11 by 11 images with the pixel to be predicted in black. On the left a wedge of seen pixels opens upwards and to the left; a triangle of pixels "
    "on the right above is marked as before it but not seen. On the right all pixels of the five rows above within five columns are seen, and no triangle is left out.",
)

# %% [markdown]
# Blue is seen, orange with a cross comes before the pixel but is *not* seen, grey comes after. The orange triangle on the right is PixelCNN's **blind spot**: to look up by one row, a kernel can go right by at most one column, so no path ever reaches it, however many layers there are. (Orange on the left and at the top is merely
# out of reach: more layers get there.) The repair (van den Oord, Kalchbrenner, Vinyals et al., 2016) uses two stacks. A *vertical* one sees all rows above, left and right, and never its own row, so nothing can leak; a *horizontal* one sees the left part of its own row, and listens to the vertical one. The same paper gave the layers
# **gates**, $\tanh(a)\odot\operatorname{sigmoid}(b)$, by which one half of the features decides how much of the other passes. The package's `PixelCNN` has both.

# %%
torch.manual_seed(0)
pixelcnn = PixelCNN(digits.space, 16, layers=2, kernel=5, dropout=0.2).to(device)
fit(pixelcnn, digits, steps=500, batch_size=25, lr=4e-3, schedule="cosine", ema=0.99, keep_best=True)


def binary_logits(model):
    """A model of the package as `largest_leak` wants it."""
    return lambda x: model.logits(x.view(-1, *model.space.shape)).diff(dim=-1)[..., 0]


pixelcnn_score = evaluation.average_log_prob(pixelcnn, digits.test)
with torch.no_grad():
    leaks = [largest_leak(logits, digits.test[:20].flatten(1), reading) for logits in (mine.logits_of, binary_logits(pixelcnn))]  # fmt: skip
sizes = {name: sum(p.numel() for p in model.parameters()) for name, model in {"mine": mine, "pixelcnn": pixelcnn}.items()}  # fmt: skip
Table(
    ("model", "ln p(x), test digits, nats", "weights", "largest leak"),
    [
        ("your MADE", my_score, f"{sizes['mine']:,}", f"{leaks[0]}"),
        ("PixelCNN", pixelcnn_score, f"{sizes['pixelcnn']:,}", f"{leaks[1]}"),
    ],
    "On 8×8 digits",
)  # fmt: skip

# %% [markdown]
# On images so small, sharing weights across places gains little: in these few seconds the PixelCNN stays behind your MADE, with a sixth of the weights. With more channels, larger batches and three times the steps it gets ahead, below
# 16.9 nats an image, where a MADE with more steps ends at 16.96 (`benchmarks/autoregressive_digits.py`). Section 9 has larger images.
#
# A model that draws pixel after pixel can also *finish* an image: keep the pixels that are given, and draw the others.
#
# **Explore.** The upper half of a test digit is given (tinted orange), the lower is drawn eight times. Move the slider, or press play. (1) At which pixel do two of the completions first become different digits? (2) Press *Run again*: does another digit turn up? (3) Give the *lower* half instead,
# `given=(digits.test[8:9], ~upper)`, and look at what is drawn above it. Why does it fit so badly?

# %%
upper = (torch.arange(8, device=device) < 4)[:, None].expand(1, 8, 8)
explorers.TrajectoryPlayer(pixelcnn, n=8, given=(digits.test[8:9], upper))

# %% [markdown]
# (To (3): each pixel is drawn given those *before* it. What is given further down has no influence on what is drawn above; a model that reads from above cannot plan for an end that is already there.)
#
# ## 6. Text, and how good a model can be
#
# For pixels nobody knows the best possible likelihood. For our Markov source everybody can: on average no model can spend fewer bits a letter than the source's **entropy rate** $H$,
#
# $$H = -\sum_{c} \pi(c) \sum_v T(v\mid c)\, \log_2 T(v\mid c),$$
#
# where $T(v\mid c)$ is the probability of letter $v$ after the two letters $c$, and $\pi(c)$ how often these occur (Shannon, 1948). A bit is $\ln 2$ nats: one fair yes or no.
#
# The network of choice for text is the **Transformer** (Vaswani et al., 2017). Every place of the text holds a vector. In **attention**, each place $t$ sends out a query $q_t$, and each place offers a key $k_s$ and a value $v_s$ (all three linear maps of its vector). Where query and key point the same way, place $t$ takes
# much of the value:
#
# $$\text{out}_t = \sum_{s \le t} w_{ts}\, v_s, \qquad w_{ts} = \operatorname{softmax}_s\!\Big(\frac{q_t\cdot k_s}{\sqrt{\text{size}}}\Big),$$
#
# with "size" the length of a query, and the softmax over all $s\le t$. Here the mask is in the sum, $s\le t$: no place looks at a later one. Before the softmax, give all later places the score $-\infty$.
#
# ### Exercise 6 · Causal attention · ●●● · 12 minutes


# %%
@exercise("autoregressive/attention")
def causal_attention(queries, keys, values):
    """Each place's mean of the values at its own and all earlier places, weighted by a softmax of the scaled scores.

    queries, keys: (batch, time, size); values: (batch, time, channels). Returns (batch, time, channels).
    """
    ### BEGIN SOLUTION
    time, size = queries.shape[-2:]
    scores = queries @ keys.transpose(-1, -2) / math.sqrt(size)  # (batch, time, time), a row for each query
    later = torch.ones(time, time, dtype=torch.bool, device=queries.device).triu(1)
    return scores.masked_fill(later, -torch.inf).softmax(-1) @ values
    ### END SOLUTION


# %%
check(causal_attention)

# %% [markdown]
# The rest is plumbing: attention and a small dense network, each added to what was there, twice. (A `LayerNorm` before each brings every vector to mean 0 and variance 1.) The vector at place $t$ begins as the letter *before* it (a start sign at the first place), plus a vector that says which place this is. So place $t$ may look at itself, and still knows only $x_{<t}$.


# %%
class MyTransformer(GenerativeModel):
    def __init__(self, space: Space, width: int = 32, heads: int = 2, layers: int = 2):
        super().__init__(space)
        self.heads = heads
        self.embedding = nn.Embedding(space.levels + 1, width)  # a vector for each letter, and for the start
        self.positions = nn.Parameter(torch.randn(space.dim, width) / width**0.5)
        self.asks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 3 * width)) for _ in range(layers)
        )
        self.mixes = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.thinks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
            for _ in range(layers)
        )
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, space.levels))
        nn.init.normal_(self.embedding.weight, std=width**-0.5)

    def attend(self, asked):
        """Several attentions side by side, each on its part: (batch, time, 3 · width) -> (batch, time, width)."""
        parts = asked.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (3, batch, heads, time, size)
        found = causal_attention(*parts.flatten(1, 2))  # (batch · heads, time, size)
        return found.unflatten(0, (len(asked), self.heads)).transpose(1, 2).flatten(2)

    def logits(self, x):
        h = self.embedding(F.pad(x[:, :-1], (1, 0), value=self.space.levels)) + self.positions
        for ask, mix, think in zip(self.asks, self.mixes, self.thinks, strict=True):
            h = h + mix(self.attend(ask(h)))
            h = h + think(h)
        return self.head(h)  # (batch, time, levels)

    def log_prob(self, x, y=None):
        return LogProb(log_likelihood(x, self.logits(x)), Kind.EXACT)

    def training_step(self, x, y=None):
        yield Step(-self.log_prob(x).value.mean())

    def trajectory(self, n, y=None):
        x = torch.zeros(n, self.space.dim, dtype=torch.int64, device=self.device)
        for t in range(self.space.dim):
            x = x.clone()
            x[:, t] = torch.multinomial(self.logits(x)[:, t].softmax(-1), 1)[:, 0]
            yield x


torch.manual_seed(0)
reader = MyTransformer(letters.space).to(device)
fit(reader, letters, steps=350, batch_size=64, lr=8e-3, schedule="cosine", warmup=40, clip=1.0)


# %%
def counted(order):
    """Letter after letter by counting in the training text which letter follows each `order` letters: bits, (test, time − 2)."""
    table = torch.ones(8**order, 8, device=device)  # one of everything, so that nothing is impossible
    weights = 8 ** torch.arange(order, device=device)

    def after(x):
        contexts = x[:, :-1].unfold(1, order, 1) @ weights if order else torch.zeros_like(x[:, 1:])
        return contexts[:, -30:].flatten(), x[:, 2:].flatten()

    table.index_put_(after(letters.train), torch.ones((), device=device), accumulate=True)
    return -(table / table.sum(1, keepdim=True))[after(letters.test)].log2().view(-1, 30)


with torch.no_grad():
    by_place = -reader.logits(letters.test).log_softmax(-1).gather(-1, letters.test[..., None])[..., 0] / math.log(2)
floor = -source.log_conditionals(letters.test.cpu()).to(device) / math.log(2)  # bits, (test, 32)
rate = source.entropy_rate
rows = [(f"counts of {order + 1} letters", f"{float(counted(order).mean()):.4f}", f"{float((counted(order) - floor[:, 2:]).mean()):.4f}") for order in (0, 1, 2)]  # fmt: skip
text_gap = float((by_place - floor)[:, 2:].mean())
rows.append(("your Transformer", f"{float(by_place[:, 2:].mean()):.4f}", f"{text_gap:.4f}"))
rows.append(("the source itself", f"{float(floor[:, 2:].mean()):.4f}", "0"))
Table(
    ("model", "bits a letter", "above the source"),
    rows,
    f"Test text, from the third letter on. Entropy rate: {rate:.4f} bits a letter",
)

# %%
places_in_text = range(1, 33)
show(
    plots.plot_curves(
        {
            "your Transformer": (places_in_text, by_place.mean(0).tolist()),
            "the source, same test text": (places_in_text, floor.mean(0).tolist()),
            "entropy rate": ((1, 32), (rate, rate)),
        },
        "place in the text",
        "bits a letter",
    ),
    alt="Bits per letter against the place in the text, for the Transformer and the source; the curves lie on each other. The first letters cost more, "
    "since less is known; from the third on both stay near the entropy rate.",
)

# %% [markdown]
# Your Transformer was not told how far the source looks back, as the counts of 3 letters were. It found out, and nearly touches the floor. What the source itself spends on the test text differs a little from $H$, since the text is finite; the last column compares on the same letters, and is far less noisy.
#
# ### The same samples, many times faster
#
# To draw letter $t$, `MyTransformer` computes everything about the letters before it again, although nothing about them has changed: a key or value of place $s$ depends on places $\le s$ alone. So keep them: the **KV cache** holds the keys and values of all places so far, and each new
# letter costs one query. The package's `Transformer` does that. We compare it with itself, without the cache, on 4 samples of 512 tokens (of the slow passes one in 64 is run, and counted 64 times).

# %%
from time import perf_counter

torch.manual_seed(0)
long = Transformer(Space.tokens(512, 8), width=64, heads=4, layers=2).to(device).eval()
nn.init.normal_(long.head.weight)
began = perf_counter()
written = long.sample(4)
with_cache = perf_counter() - began
cached, without_cache, differ = long.scorer(4), 0.0, 0.0
with torch.no_grad():
    for t in range(63, 512, 64):
        began = perf_counter()
        anew = long.logits(written)[:, t]  # all 512 places again, of which one is needed
        without_cache += 64 * (perf_counter() - began)
        differ = max(differ, float((anew - cached(written, t)).abs().max()))
print(f"with the cache {with_cache:.1f} s, without {without_cache:.0f} s: {without_cache / with_cache:.0f} times as long; "
      f"logits differ by {differ:.0e} at most")  # fmt: skip

# %% [markdown]
# ## 7. Real prose, and how boldly to write it
#
# Now a text whose entropy nobody knows: the prose of this course's own lessons, letter by letter, capitals and all. A small Transformer reads it for a few seconds.

# %%
prose = data.text("course", 48).to(device)
torch.manual_seed(0)
writer = Transformer(prose.space, width=64, heads=4, layers=2).to(device)
fit(writer, prose, steps=260, batch_size=32, lr=6e-3, schedule="cosine", warmup=30, clip=1.0)
prose_bits = -evaluation.average_log_prob(writer, prose.test).value / 48 / math.log(2)
frequency = torch.bincount(prose.train.flatten(), minlength=prose.space.levels) + 1
single = float(-(frequency / frequency.sum()).log2()[prose.test].mean())
print(f"{prose.space.levels} characters, all equally likely: {math.log2(prose.space.levels):.2f} bits a character\n"
      f"by how often each occurs:            {single:.2f}\nthe Transformer, on unseen prose:     {prose_bits:.2f}")  # fmt: skip
torch.manual_seed(0)
for line in writer.sample(3):
    print("   ", repr(prose.decode_text(line)))

# %% [markdown]
# It has learned roughly what words look like, and little else. Samples are often made *more careful* than the model is. Two dials:
#
# - **Temperature** $\tau$: divide the logits by $\tau$ before the softmax, $p_\tau(v) \propto p(v)^{1/\tau}$. Below 1 the likely gets likelier; towards 0 only the likeliest is left; above 1 all become more alike.
# - **Nucleus**, or top-$p$ (Holtzman et al., 2020): of the tokens sorted by probability, keep the fewest that together hold *at least* the share $p$; drop the long tail of unlikely ones; normalize. (Top-$k$ keeps the $k$ likeliest instead.)
#
# ### Exercise 7 · Temperature and nucleus · ●●○ · 12 minutes


# %%
@exercise("autoregressive/sampling")
def chosen_from(logits, temperature, top_p):
    """The probabilities that the next token is drawn from: first the temperature, then the nucleus, which holds ≥ top_p.

    logits: (levels,). Returns (levels,) probabilities that sum to 1; 0 for what is cut.
    """
    ### BEGIN SOLUTION
    p = (logits / temperature).softmax(-1)
    ranked, which = p.sort(descending=True)
    before = ranked.cumsum(0) - ranked  # what the likelier ones hold together
    kept = torch.zeros_like(p)
    kept[which] = ranked.masked_fill(before >= top_p, 0.0)
    return kept / kept.sum()
    ### END SOLUTION


# %%
check(chosen_from)

# %%
start = "The mod"
with torch.no_grad():
    expected = writer.next_distribution(prose.encode_text(start).to(device)).log()
top = expected.topk(9).indices.sort().values
settings = {"τ = 1": (1.0, 1.0), "τ = 0.5": (0.5, 1.0), "τ = 2": (2.0, 1.0), "top-p = 0.8": (1.0, 0.8)}
show(
    plots.plot_choices(
        [prose.alphabet[i].translate({32: "␣", 10: "↵"}) for i in top.tolist()],
        {name: chosen_from(expected, *dials)[top] for name, dials in settings.items()},
    ),
    alt="Four bar charts of the same nine characters that may follow. At temperature 0.5 the likeliest gains, at 2 all are more alike; with top-p 0.8 "
    "the unlikely ones are cut and marked with a cross.",
)
print(f"what may come after {start!r}: the nine likeliest characters")

# %%
predict(
    "We draw 200 texts at τ = 1 and 200 at τ = 0.5, and let the model (at τ = 1) score them, in bits a character. Unseen real prose costs it "
    f"{prose_bits:.2f} bits. What do the samples cost?",
    choices=(
        "Those at τ = 1 least: they are the model's own",
        "Those at τ = 0.5 least, far less than real prose",
        "All three about the same",
        "Real prose least: it is what the model was trained on",
    ),
    answer=1,
    why="Low temperature draws what the model finds likely, so the model finds it likely. At τ = 1 samples cost about what real prose does, if the model is good. But text worth reading is not the likeliest text: it says what "
    "could not be guessed. Likelihood alone does not measure quality.",
)

# %%
rows = []
for name, dials in {"τ = 1": {}, "τ = 0.5": {"temperature": 0.5}, "top-p = 0.8": {"top_p": 0.8}}.items():
    torch.manual_seed(0)
    *_, texts = writer.trajectory(200, **dials)
    with torch.no_grad():
        cost = -float(writer.log_prob(texts).value.mean()) / 48 / math.log(2)
    different = len({prose.decode_text(line)[i : i + 8] for line in texts for i in range(41)}) / (200 * 41)
    rows.append((name, f"{cost:.2f}", f"{different:.0%}", prose.decode_text(texts[3]).strip().replace("\n", " ↵ ")))
Table(("drawn at", "bits a character, by the model", "different 8-character pieces", "a sample"), rows, f"Unseen real prose: {prose_bits:.2f} bits a character")  # fmt: skip

# %% [markdown]
# What is drawn at τ = 0.5 is likelier than real prose, and repeats itself more. And note: every setting but τ = 1 samples from *another* distribution than the one whose likelihood we report.
#
# **Explore.** (1) Type the beginning of a word of this lesson: after how many letters is the model sure? Watch the colors: strong orange is a surprise. (2) Turn the temperature to 0, and press *Sample 40* a few times: into which loop does it fall? (3) At temperature 2 the text goes to pieces. Lower top-p until it can be read
# again: how many characters are then left to choose from?

# %%
explorers.NextToken(writer, prose, prompt="The mod")

# %% [markdown]
# ## 8. Failure lab: what lies further back than a model sees
#
# Here is a language of our own. Every text opens with one of two brackets; then come four random letters, a comma, four more, a full stop, and the closing bracket *of the same kind*.


# %%
signs = "([)]abcd,."


def bracketed(n):
    opening, letters_of = torch.randint(2, (n, 1)), torch.randint(4, 8, (n, 2, 4))
    comma, stop = (torch.full((n, 1), sign) for sign in (8, 9))
    return torch.cat([opening, letters_of[:, 0], comma, letters_of[:, 1], stop, opening + 2], dim=1).to(device)


torch.manual_seed(0)
learn, judge = bracketed(4000), bracketed(1000)
for line in judge[:3].tolist():
    print("".join(signs[token] for token in line))

# %% [markdown]
# The truth is plain: 1 bit for the opening bracket, 2 bits for each of the eight letters, nothing for comma, full stop and closing bracket. We train causal convolutions of three layers on it, whose **receptive field**, all that a prediction depends on, is $2^3 = 8$ characters. That always tells it where in the text it is, by the comma or by the opening bracket. But seen from the closing bracket, the opening one stands 11 characters back.

# %%
predict(
    "How many bits does the closing bracket cost this model after long training, and what do its samples look like?",
    choices=(
        "0 bits: it learns to carry the bracket along, layer by layer",
        "1 bit: it writes a closing bracket, of the right kind every second time",
        "2 bits or more: it does not even know that a bracket comes",
        "It keeps falling slowly, with more training",
    ),
    answer=1,
    why="The full stop tells it that a bracket comes. Which one is decided by what it cannot see, so that half a chance is the best it can do, and no "
    "training, data or width will change it.",
)

# %%
rows, bracket_bits = [], {}
for layers in (3, 4):
    torch.manual_seed(0)
    model = CausalConvolutions(Space.tokens(12, 10), channels=24, layers=layers).to(device)
    fit(model, learn, steps=300, batch_size=64, lr=8e-3, schedule="cosine")
    with torch.no_grad():
        bits = -model.log_conditionals(judge).mean(0) / math.log(2)
        written = model.sample(500)
    right = float((written[:, -1] == written[:, 0] + 2).float().mean())
    bracket_bits[model.receptive_field] = float(bits[-1])
    rows.append((layers, model.receptive_field, f"{float(bits[1:5].mean() + bits[6:10].mean()) / 2:.3f}", f"{float(bits[5] + bits[10]):.3f}", f"{bits[-1]:.3f}", f"{right:.0%}"))  # fmt: skip
Table(("layers", "sees back", "bits a letter (truth 2)", "comma and full stop (truth 0)", "closing bracket (truth 0)", "samples that close rightly"), rows, "Causal convolutions on bracketed text, bits")  # fmt: skip

# %% [markdown]
# Almost every number of the first model is perfect, and its samples are wrong every second time. **Diagnosis**: look at the loss place by place, not at its sum (one bit in the eighteen of a whole text is easily overlooked), and compare how far back the data reach with how far the model sees. **Repair**: one more layer doubles the view. Attention sees everything at once, at a price
# that grows with the square of the length. However far a model sees, something in a long text lies further back.
#
# ## 9. What scale brings
#
# The same families on MNIST, 28×28 binary pixels: 784 conditionals instead of 64.

# %%
rows = [
    ("MADE, 2 hidden layers, 32 masks", "= -86.64", "Germain et al. 2015, binarized once"),
    ("PixelCNN", "= -81.30", "van den Oord, Kalchbrenner & Kavukcuoglu 2016, binarized once"),
]
for name in ("made-mnist", "pixelcnn-mnist"):
    if name in zoo.names():
        card = zoo.card(name)
        for number in card["numbers"].values():
            training = f"this course: {card['training_seconds'] / 60:.0f} min, {card['hardware']}, binarized anew in every batch"
            rows.append((card["about"], f"{number['kind']} {number['value']:.2f}", training))
Table(
    ("model", "ln p(x), test, nats an image", "source"),
    rows,
    "Binary MNIST: compare with care, for data binarized once and anew in every batch are not the same",
)

# %%
large = zoo.load("pixelcnn-mnist").to(device)
torch.manual_seed(0)
images = large.sample(10)
show(
    plots.plot_images(images, columns=5, scale=1.3),
    alt="Ten digits of 28 by 28 pixels, in two rows, that the course's PixelCNN has drawn pixel by pixel: clean strokes of even width, most of them convincing digits, some none.",
)

# %% [markdown]
# **Explore.** The upper half of the first sample is given; the same model finishes it six times. (1) Play it: where do the completions part? (2) Take another sample, `images[3:4]`, say. Is there one whose upper half leaves no doubt? (3) Add `temperature=0.5`: do the six agree more often, and are their strokes different?

# %%
top_half = (torch.arange(28, device=device) < 14)[:, None].expand(1, 28, 28)
explorers.TrajectoryPlayer(large, n=6, given=(images[:1], top_half))

# %% [markdown]
# The same recipe, scaled up in data, width and depth, and applied to text, has become the large language models: the chain rule, a causal mask, a cross-entropy, a cache, a temperature.
#
# ## 10. How far from the truth?

# %%
Table(
    ("model", "data", "value", "truth or strongest reference", "gap"),
    [
        *((name, "series, nats a value", f"= {score:.4f}", f"= {truth:.4f} (the process itself)", f"{gap:.4f}") for name, (score, truth, gap) in gaps.items()),
        ("your Transformer", "Markov text, bits a letter", f"= {float(by_place[:, 2:].mean()):.4f}", f"= {float(floor[:, 2:].mean()):.4f} (the source itself)", f"{text_gap:.4f}"),
        *((f"causal convolutions, {back} back", "closing bracket, bits", f"= {bits:.3f}", "= 0", f"{bits:.3f}") for back, bits in bracket_bits.items()),
        *((name, "digits, nats an image", f"= {score:.2f}", "≈ −16.94 (RBM, 256 hidden, lesson 03)", f"{-16.94 - score:.2f}") for name, score in {"independent pixels": independent, "your MADE": my_score.value, "PixelCNN": pixelcnn_score.value}.items()),
        ("VAE, 8 latents, L₅₀₀₀ (lesson 04)", "digits, nats an image", "≥ −17.19", "≈ −16.94 (RBM, 256 hidden, lesson 03)", "≤ 0.25"),
    ],
    "= exact, ≥ lower bound, ≈ estimate; all on test data",
)  # fmt: skip

# %% [markdown]
# This family has no gap between what it is and what we know of it: every number of its own carries an `=`. What is missing to the truth is missing in the model: too little past, too small a network, too few images.
#
# ## 11. The same five questions
#
# Asked of every family in this course.
#
# | | autoregressive models |
# |---|---|
# | What does it assume? | Nothing about the distribution; an order of the entries, and that the network finds each conditional. |
# | How does it learn? | By maximum likelihood, exactly: all conditionals in one pass, each a classification. |
# | How does it sample? | Entry by entry, one pass each (a cache makes the passes cheap, not fewer). |
# | Can it score? | Yes, exactly. |
# | What is in its latent space? | There is none. |
#
# **Strengths**: exact likelihood, stable training, any kind of data that can be put in a line, completion for free. **Limitations**: sampling is sequential; an order must be chosen, and only what comes first can be given; no latent representation; a local error can lead astray all that follows.
# **Applications**: language models, speech and music, lossless compression (a good predictor is a good code), forecasting, molecules written as text (lesson 07b).

# %%
evaluation.family_map(mine, pixelcnn, writer)

# %% [markdown]
# ## 12. You can now…
#
# - split any distribution into conditionals, and score it exactly;
# - mask a dense network, a convolution, an attention;
# - prove that a model does not look ahead, and find out when it does;
# - measure text in bits, against a floor;
# - turn temperature and nucleus, and know what that does to the likelihood.
#
# **To go on with.** (1) Train `AnyOrderMADE` with five different seeds of the order. Is reading order better than a random one, and by how much? (2) Average the *probabilities* of these five models: does the mixture beat each of them? (`MADE(…, orderings=8)` trains such a mixture with shared weights.) (3) Give `data.text("markov", 32, order=3, alphabet="abcd")` to your Transformer. How many
# training texts does it need until counting letters no longer beats it?
#
# **Further reading**
#
# - Shannon, [A Mathematical Theory of Communication](https://doi.org/10.1002/j.1538-7305.1948.tb01338.x), 1948: entropy rates, and the first samples of text from a Markov source, drawn by hand from a book.
# - Yule, [On a Method of Investigating Periodicities in Disturbed Series](https://doi.org/10.1098/rsta.1927.0007), 1927: AR(2), invented for sunspots.
# - Germain et al., [MADE](https://arxiv.org/abs/1502.03509), 2015: section 3.
# - van den Oord, Kalchbrenner & Kavukcuoglu, [Pixel Recurrent Neural Networks](https://arxiv.org/abs/1601.06759), 2016: masks A and B; and van den Oord et al., [Conditional Image Generation with PixelCNN Decoders](https://arxiv.org/abs/1606.05328), 2016: blind spot and gates.
# - van den Oord et al., [WaveNet](https://arxiv.org/abs/1609.03499), 2016: causal convolutions that doubled their reach until they could speak.
# - Vaswani et al., [Attention Is All You Need](https://arxiv.org/abs/1706.03762), 2017: the Transformer.
# - Holtzman et al., [The Curious Case of Neural Text Degeneration](https://arxiv.org/abs/1904.09751), 2020: why the likeliest text is dull, and the nucleus.

# %%
progress()
