"""Autoencoders against PCA, and what they promise about reconstructions and codes."""

import pytest
import torch
from members import seeded
from scipy.linalg import subspace_angles
from torch.distributions import Bernoulli

from dgmcourse.core import Latent, Space
from dgmcourse.data import digits
from dgmcourse.models import PPCA, Autoencoder
from dgmcourse.training import fit


@pytest.fixture(scope="module")
def scans():
    """All 1,797 digits, their ink from 0 to 1: (1797, 64)."""
    data = digits(17)
    return torch.cat([data.train, data.valid, data.test]).flatten(1)


@pytest.fixture(scope="module")
def trained():
    """An autoencoder of binary digits with two latents."""
    data = digits()
    torch.manual_seed(0)
    model = Autoencoder(data.space, 2, hidden=(64, 64))
    fit(model, data, steps=600, lr=3e-3, schedule="cosine", progress=False)
    return model, data


def degrees(model, vectors):
    """The largest principal angle between what the decoder spans and the columns of `vectors`."""
    angles = subspace_angles(model.decoder[0].weight.detach().double().numpy(), vectors.double().numpy())
    return torch.rad2deg(torch.tensor(angles)).max().item()


@pytest.mark.parametrize(("latents", "steps"), [(2, 2000), (4, 2000)])
def test_a_linear_autoencoder_spans_the_subspace_of_pca(scans, latents, steps):
    torch.manual_seed(0)
    model = Autoencoder(Space.real(64), latents, hidden=())
    fit(model, scans, steps=steps, batch_size=256, lr=0.05, schedule="cosine", progress=False)
    values, vectors = torch.linalg.eigh(torch.cov(scans.double().T, correction=0))
    assert degrees(model, vectors[:, -latents:]) <= 1
    assert degrees(model, PPCA(Space.real(64), latents).estimate(scans).weight.detach()) <= 1
    error = model.reconstruction_error(scans).mean().item()
    assert error == pytest.approx(float(values[:-latents].sum()), rel=1e-3)  # the variance that PCA leaves over


@pytest.mark.slow
def test_eight_latents_too(scans):
    torch.manual_seed(0)
    model = Autoencoder(Space.real(64), 8, hidden=())
    fit(model, scans, steps=4000, batch_size=256, lr=0.05, schedule="cosine", progress=False)
    assert degrees(model, PPCA(Space.real(64), 8).estimate(scans).weight.detach()) <= 1


def test_bending_the_subspace_rebuilds_better_than_pca():
    data = digits(17)
    torch.manual_seed(0)
    model = Autoencoder(data.space, 2, hidden=(64, 64))
    fit(model, data, steps=800, lr=3e-3, schedule="cosine", progress=False)
    x = data.train.flatten(1)
    mean = x.mean(0)
    vectors = torch.linalg.eigh(torch.cov(x.T)).eigenvectors[:, -2:]
    rest = data.test.flatten(1) - mean
    left_over = (rest - rest @ vectors @ vectors.T).square().sum(-1).mean()
    assert model.reconstruction_error(data.test).mean() < 0.85 * left_over


@pytest.mark.parametrize("space", [Space.binary(1, 8, 8), Space.grey(1, 8, 8, levels=17), Space.real(1, 8, 8)], ids=str)
@pytest.mark.parametrize("channels", [None, (4, 8)])
def test_the_error_is_that_of_the_decoded_code(space, channels):
    torch.manual_seed(0)
    model = Autoencoder(space, 3, hidden=(16,), channels=channels)
    x = space.quantize(torch.rand(6, 1, 8, 8, generator=seeded()))
    with torch.no_grad():
        rebuilt = model.decode(model.encode(x))
        assert rebuilt.shape == x.shape
        if space.kind == "binary":
            expected = -Bernoulli(rebuilt).log_prob(x).sum((1, 2, 3))  # nats
        else:
            expected = (x - rebuilt).square().sum((1, 2, 3))
        torch.testing.assert_close(model.reconstruction_error(x), expected, rtol=1e-4, atol=1e-4)
        assert model.log_prob(x) is None
        # every image is rebuilt by itself
        torch.testing.assert_close(model.encode(x[2:3]), model.encode(x)[2:3], rtol=1e-5, atol=1e-6)
    (step,) = model.training_step(x)
    assert step.loss.item() == pytest.approx(expected.mean().item(), rel=1e-4)
    assert isinstance(model, Latent)


def test_a_bottleneck_of_two_keeps_most_of_a_digit(trained):
    model, data = trained
    x = data.train.mean(0)
    of_the_mean = -Bernoulli(x.clamp(0.01, 0.99)).log_prob(data.test).sum((1, 2, 3)).mean()
    assert model.reconstruction_error(data.test).mean() < 0.8 * of_the_mean
    assert model.decode(torch.zeros(1, 2)).min() >= 0
    assert model.decode(torch.zeros(1, 2)).max() <= 1


def test_codes_are_drawn_with_the_mean_and_covariance_of_those_measured(trained, tmp_path):
    model, data = trained
    before = model.code_mean.data_ptr(), model.code_factor.data_ptr()
    assert model.measure_codes(data.train) is model
    assert before == (model.code_mean.data_ptr(), model.code_factor.data_ptr())  # in place: shared with other processes
    with torch.no_grad():
        codes = model.encode(data.train)
    torch.testing.assert_close(model.code_mean, codes.mean(0))
    covariance = model.code_factor @ model.code_factor.T
    torch.testing.assert_close(covariance, torch.cov(codes.T, correction=0), rtol=1e-4, atol=1e-4)
    model.save_pretrained(tmp_path)
    loaded = Autoencoder.from_pretrained(tmp_path)
    torch.manual_seed(1)
    draws = loaded.sample(4000)
    data.space.check(draws, values=True)
    # decoded draws look more like digits than decoded N(0, I) does: about as much ink, pixel by pixel
    fresh = Autoencoder(data.space, 2, hidden=(64, 64))
    fresh.load_state_dict({**model.state_dict(), "code_mean": torch.zeros(2), "code_factor": torch.eye(2)})
    away = [(samples.mean(0) - data.train.mean(0)).abs().mean() for samples in (draws, fresh.sample(4000))]
    assert away[0] < 0.1
    assert away[0] < away[1]


def test_grey_samples_are_the_nearest_levels():
    torch.manual_seed(0)
    model = Autoencoder(Space.grey(1, 8, 8, levels=5), 2, hidden=(16,))
    decoded, sample = model.trajectory(20)
    assert ((decoded.clamp(0, 1) - sample).abs() <= 0.125 + 1e-6).all()
    model.space.check(sample, values=True)


def test_what_makes_no_sense_is_refused_in_words():
    with pytest.raises(ValueError, match="binary, grey or real"):
        Autoencoder(Space.tokens(4, 3))
    with pytest.raises(ValueError, match="latents ≥ 1, got 0"):
        Autoencoder(Space.real(2), 0)
    with pytest.raises(ValueError, match="names no level"):
        Autoencoder(Space.binary(1, 8, 8), channels=())
    with pytest.raises(ValueError, match=r"\(channels, height, width\), got real\(64\)"):
        Autoencoder(Space.real(64), channels=(4,))
    with pytest.raises(ValueError, match=r"z must have shape \(batch, 2\), got \(4, 3\)"):
        Autoencoder(Space.real(5)).decode(torch.zeros(4, 3))
    with pytest.raises(ValueError, match="at least two examples, got 1"):
        Autoencoder(Space.real(5)).measure_codes(torch.zeros(1, 5))
