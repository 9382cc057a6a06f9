"""The exercise of lesson 02 on autoencoders: what a code of few numbers fails to say."""

import torch
from torch import nn
from torch.nn import functional as F

from . import Exercise, Mistake
from .latent_mixture import LESSON


def autoencoder_loss(x, encoder, decoder):
    logits = decoder(encoder(x))
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1).mean()


def _draw_networks(generator, batch=5, pixels=12, latents=2):
    """Binary images, and networks of which the decoder is very sure of one pixel, wrongly for some images."""
    x = (torch.rand(batch, pixels, generator=generator) < 0.4).float()
    x[:2, 0] = torch.tensor([0.0, 1.0])
    encoder = nn.Sequential(nn.Linear(pixels, 4), nn.Tanh(), nn.Linear(4, latents))
    decoder = nn.Sequential(nn.Linear(latents, 4), nn.Tanh(), nn.Linear(4, pixels))
    with torch.no_grad():
        for parameter in (*encoder.parameters(), *decoder.parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
        decoder[-1].bias[0] = 150.0
    return x, encoder, decoder


CUT_OFF = (
    "The value is right, but the code is cut off from the gradient (detach, no_grad or .data), so the encoder never learns "
    "what to say."
)


def _reaches_the_encoder(answer, inputs):
    """The property that the loss has a gradient with respect to the encoder's weights."""
    x, encoder, decoder = inputs
    loss = answer(x, encoder, decoder)
    if not loss.requires_grad:
        return CUT_OFF
    gradients = torch.autograd.grad(loss, list(encoder.parameters()), allow_unused=True)
    return CUT_OFF if any(gradient is None for gradient in gradients) else None


def _cross_entropy(x, logits):
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none")


def _of(error):
    """The loss with another error of the logits, averaged over the batch."""
    return lambda x, encoder, decoder: error(x, decoder(encoder(x))).mean()


def _by_hand(x, logits):
    p = logits.sigmoid()
    return -(x * p.log() + (1 - x) * (1 - p).log()).sum(-1)


def _clamped(smallest):
    def error(x, logits):
        p = logits.sigmoid().clamp(smallest, 1 - smallest)
        return -(x * p.log() + (1 - x) * (1 - p).log()).sum(-1)

    return error


AUTOENCODER_LOSS = Exercise(
    "latent/autoencoder_loss",
    autoencoder_loss,
    _draw_networks,
    lesson=LESSON,
    title="the loss of an autoencoder",
    minutes=6,
    difficulty=1,
    properties=(_reaches_the_encoder,),
    hints=(
        "There and back: logits = decoder(encoder(x)). Then compare them with x itself: there are no labels, the target is "
        "the input.",
        "binary_cross_entropy_with_logits(logits, x, reduction='none') is −log p(x_i | code) for every pixel. Add up the "
        "pixels, average over the batch.",
        "F.binary_cross_entropy_with_logits(decoder(encoder(x)), x, reduction='none').sum(-1).mean()",
    ),
    mistakes=(
        Mistake(
            lambda x, encoder, decoder: F.binary_cross_entropy_with_logits(decoder(encoder(x)), x),
            "By default binary_cross_entropy_with_logits averages over the pixels too: pass reduction='none', sum over the "
            "pixels, and average over the batch alone. An image is then paid for in nats.",
            also=(_of(lambda x, logits: _cross_entropy(x, logits).mean(-1)),),
        ),
        Mistake(
            lambda x, encoder, decoder: _cross_entropy(x, decoder(encoder(x))).sum(),
            "You added up the batch as well; average over the images: .sum(-1).mean().",
        ),
        Mistake(
            lambda x, encoder, decoder: _cross_entropy(x, decoder(encoder(x))).sum(-1),
            "This is one number an image; a loss is one number: average over the batch, .mean().",
        ),
        Mistake(
            lambda x, encoder, decoder: _cross_entropy(x, decoder(encoder(x))),
            "This is one number a pixel: sum over the pixels, .sum(-1), then average over the batch, .mean().",
        ),
        Mistake(
            lambda x, encoder, decoder: _cross_entropy(x, decoder(encoder(x))).sum(0).mean(),
            "You added up over the batch, axis 0, and averaged over the pixels: it is the other way round, .sum(-1).mean().",
        ),
        Mistake(
            lambda x, encoder, decoder: _cross_entropy(x, decoder(encoder(x).detach())).sum(-1).mean(),
            CUT_OFF,
            also=(lambda x, encoder, decoder: autoencoder_loss(x, encoder, decoder).detach(),),
        ),
        Mistake(
            lambda x, encoder, decoder: _cross_entropy(x, decoder(x)).sum(-1).mean(),
            "You gave x to the decoder; it wants a code: decoder(encoder(x)).",
            also=(lambda x, encoder, decoder: _cross_entropy(x, encoder(decoder(x))).sum(-1).mean(),),
        ),
        Mistake(
            lambda x, encoder, decoder: _cross_entropy(x, encoder(x)).sum(-1).mean(),
            "You compared the code with the image; decode it first: decoder(encoder(x)).",
        ),
        Mistake(
            _of(lambda x, logits: _cross_entropy(x, logits.sigmoid()).sum(-1)),
            "The sigmoid was applied twice: binary_cross_entropy_with_logits applies it itself, so give it the logits.",
        ),
        Mistake(
            _of(lambda x, logits: _cross_entropy(logits, x).sum(-1)),
            "The arguments are swapped: binary_cross_entropy_with_logits takes the logits first, then x.",
            also=(lambda x, encoder, decoder: F.binary_cross_entropy_with_logits(x, decoder(encoder(x))),),
        ),
        Mistake(
            _of(lambda x, logits: F.binary_cross_entropy(logits, x, reduction="none").sum(-1)),
            "binary_cross_entropy wants probabilities between 0 and 1; the decoder gives logits: use "
            "binary_cross_entropy_with_logits.",
        ),
        Mistake(
            lambda x, encoder, decoder: F.cross_entropy(decoder(encoder(x)), x),
            "cross_entropy is for one label out of several; here every pixel is a choice of its own: "
            "binary_cross_entropy_with_logits.",
        ),
        Mistake(
            _of(_by_hand),
            "This is right for small logits; for large ones the sigmoid rounds to 0 or 1, and the log is −∞. "
            "binary_cross_entropy_with_logits never takes that log: use it.",
        ),
        Mistake(
            _of(lambda x, logits: F.binary_cross_entropy(logits.sigmoid(), x, reduction="none").sum(-1)),
            "This is right for small logits; for large ones the sigmoid rounds to 0 or 1, and the log is cut off. "
            "binary_cross_entropy_with_logits takes the logits themselves: use it.",
            also=tuple(_of(_clamped(smallest)) for smallest in (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)),
        ),
        Mistake(
            _of(lambda x, logits: (x - logits.sigmoid()).square().sum(-1)),
            "A squared error is for Gaussian pixels; these are binary, so count nats: binary_cross_entropy_with_logits.",
            also=(
                lambda x, encoder, decoder: F.mse_loss(decoder(encoder(x)), x),
                lambda x, encoder, decoder: F.mse_loss(decoder(encoder(x)).sigmoid(), x),
                _of(lambda x, logits: (x - logits).square().sum(-1)),
            ),
        ),
        Mistake(
            lambda x, encoder, decoder: -autoencoder_loss(x, encoder, decoder),
            "The sign is turned round: this is log p(x|code), and a loss is minus that.",
        ),
    ),
    alternatives=(
        lambda x, encoder, decoder: (
            F.binary_cross_entropy_with_logits(decoder(encoder(x)), x, reduction="sum") / len(x)
        ),
        lambda x, encoder, decoder: (
            -torch.distributions.Bernoulli(logits=decoder(encoder(x))).log_prob(x).sum(-1).mean()
        ),
        _of(lambda x, logits: (F.softplus(logits) - x * logits).sum(-1)),
        lambda x, encoder, decoder: x.shape[-1] * F.binary_cross_entropy_with_logits(decoder(encoder(x)), x),
    ),
)
