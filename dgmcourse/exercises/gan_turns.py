"""The bug hunt of lesson 05: two players' turns, of which one moves nobody."""

import torch
from torch.nn import functional as F

from . import Exercise, Mistake
from .gan_objectives import LESSON


def two_turns(generator, critic, x, noise):
    samples = generator(noise)
    real, fake = critic(x), critic(samples.detach())
    yield F.softplus(-real).mean() + F.softplus(fake).mean()
    yield F.softplus(-critic(samples)).mean()


def _shipped_bug(generator, critic, x, noise):
    samples = generator(noise).detach()
    real, fake = critic(x), critic(samples)
    yield F.softplus(-real).mean() + F.softplus(fake).mean()
    yield F.softplus(-critic(samples)).mean()


def _draw_players(generator):
    """Data, noise, and the weights of both players."""
    x, noise = torch.randn(6, 2, generator=generator) + 1, torch.randn(6, 3, generator=generator)
    of_generator, of_critic = torch.randn(3, 2, generator=generator), torch.randn(2, generator=generator)
    return x, noise, of_generator, of_critic


def _played(answer, x, noise, of_generator, of_critic, rate=0.5):
    """One step as `fit` does it: after each yield a step downhill of the weights whose turn it is."""
    of_generator, of_critic = of_generator.clone().requires_grad_(), of_critic.clone().requires_grad_()
    turns = answer(lambda z: (z @ of_generator).tanh(), lambda points: points @ of_critic, x, noise)
    losses = []
    for loss, weights in zip(turns, (of_critic, of_generator), strict=False):
        weights.grad = None
        loss.backward()
        losses.append(loss.detach())
        if weights.grad is not None:
            with torch.no_grad():
                weights -= rate * weights.grad
    names = ("the critic's loss", "the generator's loss")
    moved = {"the critic's weights": of_critic.detach(), "the generator's weights": of_generator.detach()}
    return dict(zip(names, losses, strict=False)) | moved


def _by_loss(critic_loss, generator_loss):
    """Both turns of a game with other losses: (real, fake) -> scalar, fake -> scalar."""

    def turns(generator, critic, x, noise):
        samples = generator(noise)
        yield critic_loss(critic(x), critic(samples.detach()))
        yield generator_loss(critic(samples))

    return turns


def _discriminates(real, fake):
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def _scores_again(generator, critic, x, noise):
    samples = generator(noise)
    real, fake = critic(x), critic(samples)
    yield _discriminates(real, fake)
    yield F.softplus(-fake).mean()


def _scores_reused(generator, critic, x, noise):
    samples = generator(noise)
    real, fake = critic(x), critic(samples.detach())
    yield _discriminates(real, fake)
    yield F.softplus(-fake).mean()


def _asked_too_early(generator, critic, x, noise):
    samples = generator(noise)
    real, fake = critic(x), critic(samples.detach())
    passed = F.softplus(-critic(samples)).mean()
    yield _discriminates(real, fake)
    yield passed


def _no_yield(generator, critic, x, noise):
    samples = generator(noise)
    return _discriminates(critic(x), critic(samples.detach())), F.softplus(-critic(samples)).mean()


def _attached_in_both(generator, critic, x, noise):
    samples = generator(noise)
    yield _discriminates(critic(x), critic(samples))
    yield F.softplus(-critic(samples)).mean()


def _detached_score(generator, critic, x, noise):
    samples = generator(noise)
    yield _discriminates(critic(x), critic(samples).detach())
    yield F.softplus(-critic(samples)).mean()


def _detached_later(generator, critic, x, noise):
    samples = generator(noise)
    yield _discriminates(critic(x), critic(samples.detach()))
    yield F.softplus(-critic(samples.detach())).mean()


def _other_noise(generator, critic, x, noise):
    with torch.no_grad():
        samples = generator(noise)
    yield _discriminates(critic(x), critic(samples))
    yield F.softplus(-critic(generator(torch.randn_like(noise)))).mean()


def _made_anew(generator, critic, x, noise):
    with torch.no_grad():
        samples = generator(noise)
    yield _discriminates(critic(x), critic(samples))
    yield F.softplus(-critic(generator(noise))).mean()


def _from_a_copy(generator, critic, x, noise):
    samples = generator(noise)
    fake = critic(samples.detach().clone())
    yield -(F.logsigmoid(critic(x)) + F.logsigmoid(-fake)).mean()
    yield -F.logsigmoid(critic(samples)).mean()


def _one_turn(generator, critic, x, noise):
    samples = generator(noise)
    yield _discriminates(critic(x), critic(samples.detach()))


BUG = Exercise(
    "gan/bug",
    two_turns,
    _draw_players,
    lesson=LESSON,
    title="bug hunt: a game that one player sits out",
    minutes=10,
    difficulty=2,
    bug_hunt=True,
    call=_played,
    hints=(
        "Print the norm of the gradient of each player's weights after each turn. Whose is missing?",
        "x.detach() cuts x off from how it came about: no gradient passes. Whose turn needs the cut, and whose must not have it?",
        "Detach for the critic alone: samples = generator(noise), then critic(samples.detach()) in the first turn and "
        "critic(samples) in the second.",
    ),
    mistakes=(
        Mistake(
            _shipped_bug,
            "The bug is still there. Follow the gradient of the second loss backward: through the critic, to the samples, and "
            "then?",
            also=(_detached_later,),
        ),
        Mistake(
            _attached_in_both,
            "Going back through the first loss uses up its graph, and the second loss wants to go the same way again. Cut the "
            "samples off for the critic's turn, critic(samples.detach()), and ask the critic anew in the generator's: "
            "critic(samples).",
            also=(_scores_reused, _scores_again),
        ),
        Mistake(
            _asked_too_early,
            "You asked the critic for the generator's score before its own step, and by the time of the second turn its weights "
            "have changed. What stands behind the first `yield` meets the wiser critic: ask it there, and do not return both at "
            "once.",
            also=(_no_yield,),
        ),
        Mistake(
            _detached_score,
            "Now the critic cannot learn from the samples: detach what goes *into* it, critic(samples.detach()), not what comes "
            "out.",
        ),
        Mistake(
            _by_loss(_discriminates, lambda fake: F.softplus(fake).mean()),
            "You mended the gradient, and turned the sign of the generator's score: it wants to be taken for data, softplus(−score).",
        ),
        Mistake(
            _by_loss(
                lambda real, fake: F.softplus(real).mean() + F.softplus(-fake).mean(),
                lambda fake: F.softplus(-fake).mean(),
            ),
            "The critic's signs were right: softplus(−score) is −ln D, for data, and softplus(score) is −ln(1 − D), for samples.",
        ),
        Mistake(
            _by_loss(_discriminates, lambda fake: -F.softplus(fake).mean()),
            "You mended the gradient, and exchanged the generator's loss for the saturating one; it was right as it stood.",
        ),
        Mistake(
            _one_turn,
            "The second turn is gone: there are two players.",
        ),
        Mistake(
            _other_noise,
            "As good in training. But here the noise is given, so that answers can be compared: generator(noise).",
        ),
    ),
    alternatives=(_made_anew, _from_a_copy),
)
