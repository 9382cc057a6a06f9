"""Every bijection: its inverse, its log-determinant against autograd, far inputs."""

import pytest
import torch
from torch import nn

from dgmcourse.models.flows import (
    ActNorm,
    Additive,
    AffineCoupling,
    Bijection,
    Coupling,
    Inverse,
    Logit,
    Masked,
    MaskedAffine,
    MaskedSpline,
    Permutation,
    Rescale,
    Reverse,
    Scale,
    SplineCoupling,
)

KEPT, PLACES = (True, False, False, True, False), (2, 0, 4, 1, 3)
MAKERS = {
    "Permutation": lambda: Permutation(PLACES),
    "Reverse": lambda: Reverse(5),
    "Rescale": lambda: Rescale(0.5, -3.0),
    "Scale": lambda: Scale(5),
    "ActNorm": lambda: ActNorm(5),
    "Additive coupling": lambda: Coupling(KEPT, Additive(), (16,)),
    "AffineCoupling": lambda: AffineCoupling(KEPT, (16, 16)),
    "AffineCoupling, condition": lambda: AffineCoupling(KEPT, (16,), context=3),
    "SplineCoupling": lambda: SplineCoupling(KEPT, (16, 16), bound=6.0),
    "SplineCoupling, condition": lambda: SplineCoupling(KEPT, (16,), context=3, bins=5),
    "Masked additive": lambda: Masked(PLACES, Additive(), (16,)),
    "MaskedAffine": lambda: MaskedAffine(PLACES, (16, 16)),
    "MaskedAffine, condition": lambda: MaskedAffine(PLACES, (16,), context=3),
    "MaskedAffine, linear": lambda: MaskedAffine(PLACES, ()),
    "MaskedSpline": lambda: MaskedSpline(PLACES, (32, 32), bound=6.0),
    "MaskedSpline, condition": lambda: MaskedSpline(PLACES, (16,), context=3, bins=5),
    "Inverse of MaskedAffine": lambda: Inverse(MaskedAffine(PLACES, (16,))),
    "Inverse of SplineCoupling": lambda: Inverse(SplineCoupling(KEPT, (16,), bound=6.0)),
}
every_bijection = pytest.mark.parametrize("name", MAKERS)


def made(name: str, dtype: torch.dtype = torch.float64) -> tuple[Bijection, torch.Tensor | None]:
    """The bijection with weights that are not those of the identity, and a condition for 64 examples, if it takes one.

    In float32 the weights are smaller: z is known to about 1e-6, and so is x to 1e-6 over the least slope. With weights
    of 0.25 splines have slopes below 1e-3, through which no float32 finds the way back within 1e-4.
    """
    torch.manual_seed(0)
    bijection = MAKERS[name]().eval()
    for parameter in bijection.parameters():
        nn.init.normal_(parameter, std=0.25 if dtype is torch.float64 else 0.15)
    y = torch.nn.functional.one_hot(torch.arange(64) % 3, 3).to(dtype) if "condition" in name else None
    return bijection.to(dtype), y


def within_ten(dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.rand(64, 5, generator=torch.Generator().manual_seed(1)).mul(20).sub(10).to(dtype)


@every_bijection
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-9)], ids=["32", "64"])
@torch.no_grad()
def test_each_direction_undoes_the_other(name, dtype, tolerance):
    (bijection, y), x = made(name, dtype), within_ten(dtype)
    z, log_det = bijection(x, y)
    back, log_det_back = bijection.inverse(z, y)
    assert (z - x).abs().max() > 0.1
    assert (back - x).abs().max() <= tolerance
    assert (log_det + log_det_back).abs().max() <= tolerance
    assert log_det.shape == (64,)
    again, _ = bijection(bijection.inverse(x, y)[0], y)
    assert (again - x).abs().max() <= tolerance


@every_bijection
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_the_log_determinant_is_that_of_autograds_jacobian(name, direction):
    (bijection, y), x = made(name), within_ten()
    run = getattr(bijection, direction)
    found = run(x, y)[1]
    for i in range(12):
        condition = None if y is None else y[i : i + 1]
        jacobian = torch.autograd.functional.jacobian(lambda x, c=condition: run(x, c)[0][0], x[i : i + 1])[:, 0]
        assert found[i].item() == pytest.approx(torch.linalg.slogdet(jacobian).logabsdet.item(), abs=1e-9)


@every_bijection
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_far_inputs_stay_finite_and_so_do_gradients(name, direction):
    bijection, y = made(name, torch.float32)
    far = torch.tensor([1e6, -1e6, 6.0, -6.0, 0.0, 3.0, -3.0, 1e-30])
    x = torch.cartesian_prod(far, far)[:, [0, 1, 0, 1, 1]].requires_grad_()
    out, log_det = getattr(bijection, direction)(x, y)
    assert torch.isfinite(out).all()
    assert torch.isfinite(log_det).all()
    (out / 1e6).sum().add(log_det.sum()).backward()
    assert torch.isfinite(x.grad).all()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in bijection.parameters())


@pytest.mark.parametrize("name", [name for name in MAKERS if list(MAKERS[name]().parameters())])
def test_gradients_reach_every_parameter(name):
    (bijection, y), x = made(name), within_ten()
    z, log_det = bijection(x, y)
    (z.square().sum() - log_det.sum()).backward()
    for key, parameter in bijection.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
        assert parameter.grad.any(), key


@pytest.mark.parametrize("name", [name for name in MAKERS if "condition" in name])
def test_the_condition_matters_to_every_entry_that_moves(name):
    (bijection, y), x = made(name), within_ten() / 5
    moved = (bijection(x, y)[0] != bijection(x, y.roll(1, 0))[0]).any(0)
    assert moved.tolist() == ([True] * 5 if "Masked" in name else [not keep for keep in KEPT])


@pytest.mark.parametrize("name", [name for name in MAKERS if "oupling" in name or "asked" in name])
def test_layers_begin_as_the_identity(name):
    bijection, y = MAKERS[name](), made(name, torch.float32)[1]
    z, log_det = bijection(within_ten(torch.float32), y)
    torch.testing.assert_close(z, within_ten(torch.float32), rtol=0, atol=1e-5)
    torch.testing.assert_close(log_det, torch.zeros(64), rtol=0, atol=1e-5)


@pytest.mark.parametrize("ordering", [range(5), range(4, -1, -1), PLACES])
def test_a_masked_layers_jacobian_is_triangular_in_its_order(ordering):
    torch.manual_seed(0)
    layer = MaskedSpline(ordering, (32,), bound=11.0).double()
    nn.init.normal_(layer.network.layers[-1].weight, std=0.3)
    jacobian = torch.autograd.functional.jacobian(lambda x: layer(x)[0][0], within_ten()[:1])[:, 0]
    order = layer.network.order
    jacobian = jacobian[order][:, order]  # rows and columns as they are visited
    assert not jacobian.triu(1).any()
    assert (jacobian.diagonal() > 0).all()


def test_logit_maps_the_unit_interval_to_the_line_and_back():
    x = torch.linspace(0, 1, 1001, dtype=torch.float64)[:, None]
    for margin in (1e-6, 0.05):
        logit = Logit(margin)
        z, log_det = logit(x)
        back, log_det_back = logit.inverse(z)
        torch.testing.assert_close(back, x, rtol=0, atol=1e-9)
        torch.testing.assert_close(log_det, -log_det_back)
        p = margin + (1 - 2 * margin) * x
        torch.testing.assert_close(log_det, ((1 - 2 * margin) / (p * (1 - p))).log().squeeze(1))
        assert all(torch.isfinite(part).all() for part in logit.inverse(torch.tensor([[1e6], [-1e6]])))


@pytest.mark.parametrize("shape", [(500, 3), (50, 3, 4, 4)])
def test_activation_normalization_starts_at_the_first_batch_it_is_trained_on(shape):
    torch.manual_seed(0)
    first = 5 + 3 * torch.randn(shape)
    layer = ActNorm(3)
    layer.eval()(first)
    assert not layer.initialized
    z, log_det = layer.train()(first)
    each = z.transpose(0, 1).flatten(1)
    torch.testing.assert_close(each.mean(1), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(each.std(1, correction=0), torch.ones(3), rtol=0, atol=1e-4)
    pixels = first[0, 0].numel()
    torch.testing.assert_close(log_det, (pixels * layer.log_scale.sum()).expand(len(first)))
    kept = layer.shift.clone()
    layer(torch.randn(shape))
    assert (layer.shift == kept).all()
    torch.testing.assert_close(layer.inverse(z)[0], first, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Permutation((0, 0, 1)), "permutation of 0 … 2"),
        (lambda: Rescale(0.0, 0.0), "scale of 0"),
        (lambda: Logit(0.5), "margin in"),
        (lambda: AffineCoupling((True, True)), "keeps some entries and moves some"),
        (lambda: AffineCoupling((True, False), bound=0.0), "must be positive"),
        (lambda: SplineCoupling((True, False), bins=1), "bins, got 1"),
        (lambda: MaskedSpline((0, 1), bound=-1.0), "bound must be positive"),
        (lambda: MaskedAffine((1, 2)), "permutation"),
    ],
)
def test_what_cannot_be_built_is_refused_in_words(make, message):
    with pytest.raises(ValueError, match=message):
        make()
