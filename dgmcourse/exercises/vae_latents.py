"""Exercises of lesson 04 on using a trained model: interpolation in latent space, and anomalies."""

import torch
from torch.nn import functional as F

from . import Exercise, Mistake
from .vae_encoder import LESSON

# --- interpolation ----------------------------------------------------------------------------------------------------


def interpolate(z_a, z_b, steps):
    fractions = torch.linspace(0, 1, steps, device=z_a.device)[:, None]
    return (1 - fractions) * z_a + fractions * z_b


def _spherical(z_a, z_b, steps):
    t = torch.linspace(0, 1, steps)[:, None]
    angle = torch.acos(F.cosine_similarity(z_a, z_b, dim=0).clamp(-1, 1))
    return (torch.sin((1 - t) * angle) * z_a + torch.sin(t * angle) * z_b) / torch.sin(angle)


INTERPOLATE = Exercise(
    "vae/interpolate",
    interpolate,
    lambda generator: (torch.randn(4, generator=generator), torch.randn(4, generator=generator), 5),
    lesson=LESSON,
    title="interpolation in latent space",
    minutes=5,
    difficulty=1,
    hints=(
        "A point a fraction t of the way from z_a to z_b is (1 − t) z_a + t z_b.",
        "torch.linspace(0, 1, steps) gives all fractions, both ends included. Make it a column, [:, None], so that it "
        "multiplies a whole vector in each row.",
        "t = torch.linspace(0, 1, steps, device=z_a.device)[:, None], then (1 - t) * z_a + t * z_b has shape "
        "(steps, latents).",
    ),
    mistakes=(
        Mistake(
            lambda z_a, z_b, steps: torch.arange(steps)[:, None] / steps * (z_b - z_a) + z_a,
            "Your path stops one step short of z_b: the last fraction must be 1, as torch.linspace(0, 1, steps) gives.",
        ),
        Mistake(
            lambda z_a, z_b, steps: interpolate(z_b, z_a, steps),
            "Your path runs backwards: it must begin at z_a.",
        ),
        Mistake(
            lambda z_a, z_b, steps: torch.stack([torch.linspace(0, 1, steps)] * len(z_a), 1) * (z_a + z_b),
            "You scaled z_a + z_b; the path is (1 − t) z_a + t z_b.",
        ),
        Mistake(
            lambda z_a, z_b, steps: torch.linspace(0, 1, steps)[:, None] * (z_b - z_a),
            "You have the way from z_a to z_b, but do not start at z_a: add it.",
        ),
        Mistake(
            lambda z_a, z_b, steps: interpolate(z_a, z_b, steps + 2)[1:-1],
            "Both ends belong to the path: `steps` points, the first z_a, the last z_b.",
        ),
        Mistake(
            lambda z_a, z_b, steps: interpolate(z_a, z_b, steps + 1),
            "That is one point too many: `steps` counts the points, not the gaps between them.",
        ),
        Mistake(
            lambda z_a, z_b, steps: (1 - torch.linspace(0, 1, steps)) * z_a + torch.linspace(0, 1, steps) * z_b,
            "The fractions are a row, and meet the latents entry by entry: make them a column, t[:, None], so that each "
            "multiplies a whole vector.",
            also=(
                lambda z_a, z_b, steps: z_a + z_a * torch.linspace(0, 1, steps),
                lambda z_a, z_b, steps: torch.linspace(0, 1, steps)[None] * z_a,
                lambda z_a, z_b, steps: z_a * torch.linspace(0, 1, steps)[None],
            ),
        ),
        Mistake(
            lambda z_a, z_b, steps: interpolate(z_a, z_b, steps).T,
            "The points are the columns here; let them be the rows: make the fractions a column, t[:, None], "
            "and leave z_a and z_b as they are.",
        ),
        Mistake(
            lambda z_a, z_b, steps: list(interpolate(z_a, z_b, steps)),
            "These are the right points, in a list: join them with torch.stack.",
        ),
        Mistake(
            _spherical,
            "This is the path along an arc; here a straight line is asked for. (InterpolationStrip shows you both.)",
        ),
    ),
    alternatives=(
        lambda z_a, z_b, steps: torch.stack([z_a + (z_b - z_a) * i / (steps - 1) for i in range(steps)]),
        lambda z_a, z_b, steps: torch.lerp(z_a[None], z_b[None], torch.linspace(0, 1, steps).unsqueeze(1)),
    ),
)


# --- the anomaly score ------------------------------------------------------------------------------------------------


def auroc(normal, anomalous):
    wins = (anomalous[:, None] > normal).float() + 0.5 * (anomalous[:, None] == normal).float()
    return wins.mean()


def _draw_scores(generator):
    normal = torch.randn(30, generator=generator).mul(4).round() / 2
    return normal, torch.randn(20, generator=generator).mul(4).add(3).round() / 2


def _entry_by_entry(normal, anomalous):
    n = min(len(normal), len(anomalous))
    return (anomalous[:n] > normal[:n]).float().mean()


AUROC = Exercise(
    "vae/anomaly",
    auroc,
    _draw_scores,
    lesson=LESSON,
    title="how well strange images are told apart",
    minutes=10,
    difficulty=2,
    hints=(
        "Read the definition aloud: over all pairs of one anomalous and one normal image, how often is the anomalous "
        "score the larger? A tie is half a win.",
        "anomalous[:, None] > normal compares all pairs at once: (anomalous, normal), true or false.",
        "((anomalous[:, None] > normal).float() + 0.5 * (anomalous[:, None] == normal).float()).mean()",
    ),
    mistakes=(
        Mistake(
            lambda normal, anomalous: auroc(anomalous, normal),
            "You counted the pairs in which the normal image looks stranger: turn the comparison round.",
            also=(
                lambda normal, anomalous: (normal[:, None] > anomalous).float().mean(),
                lambda normal, anomalous: (normal[:, None] >= anomalous).float().mean(),
            ),
        ),
        Mistake(
            lambda normal, anomalous: (anomalous[:, None] > normal).float().mean(),
            "A tie counts as half a win: add 0.5 where the two scores are equal.",
        ),
        Mistake(
            lambda normal, anomalous: (anomalous[:, None] >= normal).float().mean(),
            "A tie counts as half a win, not a whole one.",
        ),
        Mistake(
            lambda normal, anomalous: (
                (anomalous[:, None] > normal).float() + 0.5 * (anomalous[:, None] == normal).float()
            ).sum(),
            "You counted the pairs won; divide by the number of pairs.",
            also=(lambda normal, anomalous: (anomalous[:, None] > normal).sum().float(),),
        ),
        Mistake(
            lambda normal, anomalous: (anomalous > normal.median()).float().mean(),
            "You compared with one typical normal image; compare with every one of them: all pairs.",
        ),
        Mistake(
            lambda normal, anomalous: (anomalous > normal.mean()).float().mean(),
            "You compared with the mean of the normal scores; compare with every one of them: all pairs.",
        ),
        Mistake(
            lambda normal, anomalous: anomalous > normal,
            "The two lists have different lengths and meet entry by entry: compare all pairs, with anomalous[:, None].",
            also=(lambda normal, anomalous: normal < anomalous,),
        ),
        Mistake(
            lambda normal, anomalous: (anomalous[:, None] > normal).mean(),
            "A mean needs numbers, not true and false: put .float() before .mean().",
        ),
        Mistake(
            _entry_by_entry,
            "You compared the two lists entry by entry; compare every anomalous score with every normal one.",
        ),
    ),
    alternatives=(
        lambda normal, anomalous: (0.5 * torch.sign(anomalous.unsqueeze(0) - normal.unsqueeze(1)) + 0.5).mean(),
        lambda normal, anomalous: torch.heaviside(anomalous[:, None] - normal[None, :], torch.tensor(0.5)).mean(),
    ),
)
