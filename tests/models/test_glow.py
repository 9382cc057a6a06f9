"""Glow and its layers: inverses, Jacobians against autograd, parts of images, the first batch, densities that integrate to one."""

import math

import pytest
import torch

from dgmcourse.core import Kind, Space
from dgmcourse.models.flows import ActNorm, Glow, ImageCoupling, InvertibleConvolution, Part, Squeeze
from dgmcourse.training import fit


def stirred(module, size=0.3):
    """The same module with random weights where it starts from zeros, and its first batch behind it."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(size * torch.randn(parameter.shape, generator=generator).to(parameter))
    for layer in module.modules():
        if isinstance(layer, ActNorm):
            layer.initialized.fill_(True)
    return module


PLACES = torch.tensor([[[0, 2], [8, 10]], [[1, 3], [9, 11]]])
LAYERS = {
    "ActNorm": (lambda: ActNorm(3), (3, 4, 4)),
    "ActNorm of vectors": (lambda: ActNorm(6), (6,)),
    "InvertibleConvolution": (lambda: InvertibleConvolution(6), (6, 3, 2)),
    "InvertibleConvolution of vectors": (lambda: InvertibleConvolution(5), (5,)),
    "Squeeze": (Squeeze, (2, 4, 6)),
    "Squeeze of rows": (lambda: Squeeze(2, 1), (1, 4, 3)),
    "ImageCoupling": (lambda: ImageCoupling(3, 8), (3, 4, 4)),
    "ImageCoupling, conditional": (lambda: ImageCoupling(4, 8, conditions=2), (4, 2, 3)),
    "Part": (lambda: Part([ActNorm(2), ImageCoupling(2, 8)], PLACES), (1, 4, 4)),
}
every_layer = pytest.mark.parametrize("name", LAYERS)


def layer_and_batch(name, dtype, n=5):
    torch.manual_seed(0)
    make, shape = LAYERS[name]
    x = (20 * torch.rand(n, *shape) - 10).to(dtype)
    return stirred(make()).to(dtype).eval(), x, torch.eye(2, dtype=dtype)[torch.arange(n) % 2]


@every_layer
@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-4), (torch.float64, 1e-9)])
def test_the_inverse_undoes_and_log_determinants_cancel(name, dtype, error):
    layer, x, y = layer_and_batch(name, dtype)
    z, there = layer(x, y)
    back, again = layer.inverse(z, y)
    assert there.shape == again.shape == (len(x),)
    torch.testing.assert_close(back, x, rtol=0, atol=error)
    torch.testing.assert_close(there, -again, rtol=0, atol=error)
    noise = 20 * torch.rand_like(z) - 10
    torch.testing.assert_close(layer(layer.inverse(noise, y)[0], y)[0], noise, rtol=0, atol=error)


@every_layer
def test_log_determinants_are_those_of_the_jacobian(name):
    layer, x, y = layer_and_batch(name, torch.float64, n=2)
    for i in range(2):
        forward = lambda one, label=y[i : i + 1]: layer(one, label)[0].flatten()  # noqa: E731
        jacobian = torch.autograd.functional.jacobian(forward, x[i : i + 1])
        truth = torch.linalg.slogdet(jacobian.view(x[i].numel(), -1)).logabsdet
        torch.testing.assert_close(layer(x, y)[1][i], truth, rtol=0, atol=1e-8)


@every_layer
@pytest.mark.parametrize("size", [1e-30, 1e10])
def test_extreme_inputs_stay_finite(name, size):
    layer, x, y = layer_and_batch(name, torch.float32)
    z, log_det = layer(size * x, y)
    for one in ((z, log_det), layer.inverse(size * torch.randn_like(z), y)):
        assert all(torch.isfinite(part).all() for part in one)


def test_a_squeezed_image_is_its_four_smaller_images():
    x = torch.arange(16.0).view(1, 1, 4, 4)
    z, _ = Squeeze()(x)
    assert torch.equal(z[0, 0], x[0, 0, ::2, ::2])
    assert torch.equal(z[0, 1], x[0, 0, ::2, 1::2])
    assert torch.equal(z[0, 2], x[0, 0, 1::2, ::2])
    with pytest.raises(ValueError, match="divide by it, got 3 × 4; pad"):
        Squeeze()(torch.zeros(1, 1, 3, 4))


def test_the_convolution_starts_as_a_rotation_and_stays_invertible():
    torch.manual_seed(0)
    layer = InvertibleConvolution(7)
    torch.testing.assert_close(layer.weight() @ layer.weight().T, torch.eye(7), rtol=0, atol=1e-5)
    weight = stirred(layer, size=1.0).weight()
    torch.testing.assert_close(torch.linalg.slogdet(weight).logabsdet, layer.log_s.sum(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("shape", [(64, 3, 4, 4), (512, 3)])
def test_the_first_batch_of_training_is_normalized_and_no_later_one(shape):
    torch.manual_seed(0)
    layer, x = ActNorm(3), 100 + torch.tensor([0.01, 1.0, 50.0]).view(-1, *[1] * (len(shape) - 2)) * torch.randn(shape)
    before = layer.shift
    with torch.no_grad():
        assert torch.equal(layer(x)[0], x)  # a look, not a batch of training
    assert torch.equal(layer.eval()(x)[0], x)
    z, _ = layer.train()(x)
    channels = z.detach().double().transpose(0, 1).flatten(1)
    torch.testing.assert_close(channels.mean(1), torch.zeros(3).double(), rtol=0, atol=1e-3)
    torch.testing.assert_close(channels.std(1, correction=0), torch.ones(3).double(), rtol=0, atol=1e-3)
    assert layer.shift is before  # in place: the optimizer holds it
    again, _ = layer(x + 1)
    assert float((again - z).detach().abs().max()) > 0.01


def test_an_entry_that_does_not_vary_is_only_shifted():
    layer = ActNorm(2)
    x = torch.stack([torch.full((8,), 3.0), torch.arange(8.0)], 1)
    z, log_det = layer(x)
    assert torch.equal(z[:, 0], torch.zeros(8))
    assert float(log_det[0].detach()) == pytest.approx(-math.log(x[:, 1].std(correction=0)), abs=1e-5)


def test_a_look_at_the_validation_split_initializes_nothing():
    torch.manual_seed(0)
    x = 5 + 2 * torch.randn(64, 1, 4, 4)
    model = Glow(Space.real(1, 4, 4), depth=1, channels=4).train()
    with torch.no_grad():
        model.log_prob(x[:2])
    first = model.layers[0].layers[0]
    assert not first.initialized
    fit(model, x, steps=1, batch_size=64, lr=1e-9, progress=False)
    assert first.initialized
    torch.testing.assert_close(first.shift, torch.full((4,), -5.0), rtol=0, atol=0.8)


# --- the whole model ---------------------------------------------------------------------------------------------------


def glow(shape=(1, 4, 4), **arguments):
    torch.manual_seed(0)
    return stirred(Glow(Space.real(*shape), depth=2, channels=8, **arguments), 0.1).double().eval()


@pytest.mark.parametrize("shape", [(1, 2, 2), (1, 4, 4), (1, 3, 4), (2, 6, 2), (3, 4, 4)])
def test_the_whole_flow_is_invertible_and_its_log_determinant_that_of_the_jacobian(shape):
    model = glow(shape)
    x = 6 * torch.rand(2, *shape, dtype=torch.float64) - 3
    z, log_det = model.to_noise(x, None)
    torch.testing.assert_close(model.decode(z), x, rtol=0, atol=1e-9)
    jacobian = torch.autograd.functional.jacobian(lambda one: model.to_noise(one, None)[0].flatten(), x[:1])
    truth = torch.linalg.slogdet(jacobian.view(model.latents, -1)).logabsdet
    torch.testing.assert_close(log_det[0], truth, rtol=0, atol=1e-8)
    single, again = model.float(), x.float()
    torch.testing.assert_close(single.decode(single.encode(again)), again, rtol=0, atol=1e-4)


def test_every_state_on_the_way_is_an_image_and_the_last_is_the_sample():
    model = glow()
    states = list(model.states(torch.randn(3, 16, dtype=torch.float64)))
    assert len(states) == 1 + len(model.layers)
    assert all(state.shape == (3, 1, 4, 4) for state in states)


def test_factored_out_entries_are_left_alone_by_the_coarser_scale():
    """4×4 becomes 4 channels of 2×2, of which 2 go on: from noise to data, the first two steps change 8 entries alone."""
    model = glow()
    start, first, second, *_ = model.states(torch.randn(3, 16, dtype=torch.float64))
    moved = (second != start).flatten(1)
    assert torch.equal(moved, moved[:1].expand_as(moved))
    assert int(moved[0].sum()) == 8
    assert set(moved[0].nonzero().flatten().tolist()) == {0, 1, 2, 3, 8, 9, 10, 11}  # even rows
    assert not torch.equal(first, start)


def test_a_glow_in_two_dimensions_integrates_to_one():
    model = glow((1, 1, 2))
    side = torch.linspace(-20, 20, 801, dtype=torch.float64)
    grid = torch.cartesian_prod(side, side).view(-1, 1, 1, 2)
    with torch.no_grad():
        found = model.log_prob(grid)
    assert found.kind is Kind.EXACT
    assert float(found.value.exp().sum() * (side[1] - side[0]) ** 2) == pytest.approx(1, abs=1e-3)


def test_a_binary_image_of_four_pixels_has_bounds_that_sum_to_one_and_less():
    """Σ P(x) over all 16 images, where log P(x) is the mean of a bound: below one by Jensen's inequality, but not by much."""
    torch.manual_seed(0)
    model = stirred(Glow(Space.binary(1, 2, 2), depth=2, channels=8), 0.1).eval()
    images = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 4).view(16, 1, 2, 2)
    draws = images.repeat(4000, 1, 1, 1)
    with torch.no_grad():
        log_density = (model.log_prob(draws).value).view(4000, 16)
    assert float(log_density.mean(0).exp().sum()) < 1
    cells = log_density.exp()  # without the logarithm inside, the cells share out all of the density within [0, 1]^4
    sampled = model.to_noise(torch.rand(1, 1, 2, 2), None)[0]
    assert sampled.shape == (1, 4)
    inside = _mass_inside(model)
    error = float(cells.sum(1).std() / math.sqrt(4000))
    assert float(cells.mean(0).sum()) == pytest.approx(inside, abs=4 * error + 0.005)


def _mass_inside(model, n=40_000):
    """Share of the model's continuous samples that fall into [0, 1]^dim."""
    with torch.no_grad():
        *_, x = model.states(model.prior(n))
    return float(((x >= 0) & (x <= 1)).flatten(1).all(1).float().mean())


def test_labels_change_the_density_and_the_samples():
    model = glow(classes=2)
    x, y = torch.randn(4, 1, 4, 4, dtype=torch.float64), torch.tensor([0, 1, 0, 1])
    assert (model.log_prob(x, y).value != model.log_prob(x, 1 - y).value).all()
    z = model.encode(x, y)
    torch.testing.assert_close(model.decode(z, y), x, rtol=0, atol=1e-9)
    assert not torch.allclose(model.decode(z, 1 - y), x, atol=1e-3)


def test_it_learns_the_correlation_of_a_gaussian_image():
    """Two pixels of correlation 0.9: the entropy is ln 2πe + ½ ln(1 − 0.81), and Glow's test loss comes close to it."""
    torch.manual_seed(0)
    factor = torch.linalg.cholesky(torch.tensor([[1.0, 0.9], [0.9, 1.0]]))
    x = (torch.randn(6000, 2) @ factor.T).view(-1, 1, 1, 2)
    model = Glow(Space.real(1, 1, 2), depth=2, channels=8)
    fit(model, x[:3000], steps=300, batch_size=256, lr=3e-3, schedule="cosine", progress=False)
    with torch.no_grad():
        loss = -model.log_prob(x[3000:]).value
    truth = math.log(2 * math.pi * math.e) + 0.5 * math.log(1 - 0.81)
    assert float(loss.mean()) == pytest.approx(truth, abs=0.02 + 3 * float(loss.std()) / math.sqrt(3000))


@pytest.mark.parametrize(
    ("space", "arguments", "message"),
    [
        (Space.real(2), {}, "needs images"),
        (Space.tokens(8, 4), {}, "tokens have no volume"),
        (Space.real(1, 7, 9), {}, "7 × 9 allow 0"),
        (Space.grey(1, 28, 28, levels=4), {"scales": 3}, "28 × 28 allow 2, not 3"),
        (Space.real(1, 4, 4), {"depth": 0}, "depth"),
    ],
)
def test_what_it_cannot_do_is_said_in_words(space, arguments, message):
    with pytest.raises(ValueError, match=message):
        Glow(space, **arguments)
