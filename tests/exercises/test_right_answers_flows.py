"""Lesson 06's exercises accept right answers however they are written, and stand in the lesson's order."""

import math

import pytest
import torch
from torch.distributions import Independent, Normal

from dgmcourse import CouplingFlow, Space
from dgmcourse.exercises import all_exercises
from dgmcourse.exercises.engine.judging import judge
from dgmcourse.models.flows import AffineCoupling, MaskedAffine

EXERCISES = {one.name: one for one in all_exercises() if one.lesson == "06_normalizing_flows"}
REFERENCE = {name.split("/")[1]: one.reference for name, one in EXERCISES.items()}
LN_2PI = math.log(2 * math.pi)


def density_by_loop(z, slope):
    return torch.stack([-a * a / 2 - LN_2PI / 2 + torch.log(abs(b)) for a, b in zip(z, slope, strict=True)])


def jacobian_by_gradients(f, x):
    """Row i of every Jacobian is the gradient of the i-th output, summed over the batch."""
    x = x.detach().requires_grad_()
    z = f(x)
    rows = [torch.autograd.grad(z[:, i].sum(), x, retain_graph=True)[0] for i in range(z.shape[1])]
    return torch.linalg.slogdet(torch.stack(rows, dim=1))[1]


def jacobian_of_the_batch(f, x):
    whole = torch.autograd.functional.jacobian(lambda x: f(x).sum(0), x)  # (dim, batch, dim)
    return whole.permute(1, 0, 2).slogdet().logabsdet


def jacobian_by_triangles(f, x):
    jacobians = torch.func.vmap(torch.func.jacfwd(lambda row: f(row.unsqueeze(0)).squeeze(0)))(x)
    return torch.linalg.qr(jacobians).R.diagonal(dim1=-2, dim2=-1).abs().log().sum(-1)


def couple_by_loop(x, network):
    half = x.size(1) // 2
    z, log_dets = [], []
    for row in x:
        s, t = network(row[None, :half])
        z.append(torch.cat([row[:half], row[half:] * torch.exp(s[0]) + t[0]]))
        log_dets.append(s[0].sum())
    return torch.stack(z), torch.stack(log_dets)


def couple_by_padding(x, network):
    s, t = network(x[:, : x.shape[1] // 2])
    s, t = (torch.cat([torch.zeros_like(part), part], dim=1) for part in (s, t))
    return [x * s.exp() + t, torch.einsum("bi->b", s)]


def uncouple_in_place(z, network):
    a, b = torch.tensor_split(z, 2, dim=1)
    s, t = network(a)
    x = torch.empty_like(z)
    x[:, :3], x[:, 3:] = a, (b - t).div(s.exp())
    return x


def uncouple_by_padding(z, network):
    s, t = network(z[:, :3])
    s, t = (torch.cat([torch.zeros_like(part), part], dim=1) for part in (s, t))
    return (z - t) * torch.exp(-s)


def masked_by_distribution(x, network):
    s, t = network(x)
    return Independent(Normal(-t * (-s).exp(), (-s).exp()), 1).log_prob(x)


def masked_by_loop(x, network):
    s, t = network(x)
    total = 0
    for i in range(x.shape[1]):
        z = x[:, i] * s[:, i].exp() + t[:, i]
        total = total + Normal(0.0, 1.0).log_prob(z) + s[:, i]
    return total


def bits_by_image(x, noise, log_density, levels):
    bits = []
    for image, shake in zip(x, noise, strict=True):
        k = (image * (levels - 1)).round()
        log_p = log_density(((k + shake) / levels)[None])[0] - len(image) * math.log(levels)
        bits.append(-log_p / math.log(2) / len(image))
    return torch.stack(bits)


def bits_by_space(x, noise, log_density, levels):
    space = Space.grey(x.shape[1], levels=levels)
    u = (x * (levels - 1) + noise) / levels
    return space.bits_per_dim(log_density(u) + space.log_cell_volume)


def bug_by_distribution(x, mean, std, flow):
    z, log_det = flow((x - mean) / std)
    return Independent(Normal(0.0, 1.0).expand(z.shape), 1).log_prob(z) + log_det - torch.log(std).sum()


RIGHT = {
    "density": [
        density_by_loop,
        lambda z, slope: Normal(0.0, 1.0).log_prob(z) + slope.abs().log(),
        lambda z, slope: -0.5 * z**2 - 0.5 * math.log(2 * math.pi) + torch.log(slope.abs()),
        lambda z, slope: 0.5 * (slope.square().log() - z.square() - LN_2PI),
        lambda z, slope: torch.log(torch.exp(-z * z / 2) / math.sqrt(2 * math.pi) * slope.abs()),
    ],
    "jacobian": [
        jacobian_by_gradients,
        jacobian_of_the_batch,
        jacobian_by_triangles,
        lambda f, x: torch.linalg.slogdet(torch.func.vmap(torch.func.jacfwd(lambda r: f(r[None])[0]))(x)).logabsdet,
        lambda f, x: torch.cat(
            [torch.autograd.functional.jacobian(f, r[None]).view(1, 3, 3).slogdet()[1] for r in x]
        ),
    ],
    "coupling": [
        couple_by_loop,
        couple_by_padding,
        lambda x, net: (
            torch.hstack([x[:, :3], x[:, 3:] * torch.exp(net(x[:, :3])[0]) + net(x[:, :3])[1]]),
            net(x[:, :3])[0].sum(dim=1),
        ),
        lambda x, net: (
            torch.cat((x[..., :3], net(x[..., :3])[1] + net(x[..., :3])[0].exp() * x[..., 3:]), -1),
            torch.log(net(x[..., :3])[0].exp().prod(-1)),
        ),
    ],
    "inverse": [
        uncouple_in_place,
        uncouple_by_padding,
        lambda z, net: torch.cat([z[:, :3], (z[:, 3:] - net(z[:, :3])[1]) / net(z[:, :3])[0].exp()], dim=1),
        lambda z, net: torch.hstack([z[:, :3], torch.exp(-net(z[:, :3])[0]) * (z[:, 3:] - net(z[:, :3])[1])]),
    ],
    "masked": [
        masked_by_distribution,
        masked_by_loop,
        lambda x, net: (Normal(0.0, 1.0).log_prob(x * net(x)[0].exp() + net(x)[1]) + net(x)[0]).sum(1),
        lambda x, net: (
            net(x)[0].sum(-1) - 0.5 * (x * net(x)[0].exp() + net(x)[1]).pow(2).sum(-1) - x.shape[1] / 2 * LN_2PI
        ),
    ],
    "bits": [
        bits_by_image,
        bits_by_space,
        lambda x, noise, f, levels: (
            -(f(x * (levels - 1) / levels + noise / levels) - 6 * math.log(levels)) / 6 / math.log(2)
        ),
        lambda x, noise, f, levels: math.log2(levels) - f((x * (levels - 1) + noise) / levels) * math.log2(math.e) / 6,
    ],
    "bounded": [
        lambda raw, bound: bound * (raw / bound).tanh(),
        lambda raw, bound: torch.tanh(raw / bound) * bound,
        lambda raw, bound: 2 * bound * (torch.sigmoid(2 * raw / bound) - 0.5),
        lambda raw, bound: bound * torch.nn.functional.tanh(raw.div(bound)),
    ],
    "bug": [
        bug_by_distribution,
        lambda x, mean, std, flow: (
            -0.5 * (flow((x - mean) / std)[0].square() + LN_2PI).sum(-1)
            + flow((x - mean) / std)[1]
            + torch.log(1 / std).sum()
        ),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("name", "index"), [(name, index) for name in RIGHT for index in range(len(RIGHT[name]))])
def test_a_right_answer_written_differently_passes(name, index):
    assert judge(EXERCISES[f"flows/{name}"], RIGHT[name][index]).message == ""


def test_the_exercises_stand_in_the_lessons_order():
    assert list(EXERCISES) == [f"flows/{name}" for name in RIGHT]


def moved(network):
    """Give a network's last layer, which begins at zero, weights."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)


def test_the_coupling_references_are_the_packages_layer():
    layer = AffineCoupling([True, True, False, False], hidden=(8,)).double()
    moved(layer)
    x = torch.randn(20, 4, dtype=torch.float64)

    def network(a):
        shift, free = layer.network(a).unflatten(-1, (-1, 2)).unbind(-1)
        return free / (1 + free.abs() / 3), shift

    z, log_det = layer(x)
    mine, my_log_det = REFERENCE["coupling"](x, network)
    torch.testing.assert_close(mine, z)
    torch.testing.assert_close(my_log_det, log_det)
    torch.testing.assert_close(REFERENCE["inverse"](z, network), x)
    torch.testing.assert_close(REFERENCE["jacobian"](lambda x: layer(x)[0], x), log_det)


def test_the_masked_reference_is_the_density_of_the_packages_layer():
    layer = MaskedAffine([0, 1, 2], hidden=(16,)).double()
    moved(layer)
    x = torch.randn(20, 3, dtype=torch.float64)

    def network(x):
        shift, free = layer.network(x).unbind(-1)
        return free / (1 + free.abs() / 3), shift

    z, log_det = layer(x)
    expected = Normal(0.0, 1.0).log_prob(z).sum(-1) + log_det
    torch.testing.assert_close(REFERENCE["masked"](x, network), expected)


def test_the_bits_reference_is_what_a_flow_of_the_package_says():
    torch.manual_seed(0)
    flow = CouplingFlow(Space.grey(1, 2, 3, levels=5), layers=2, hidden=(8,))
    x = torch.randint(5, (7, 1, 2, 3)) / 4
    torch.manual_seed(1)
    expected = flow.space.bits_per_dim(flow.log_prob(x).value)
    torch.manual_seed(1)
    noise = torch.rand(7, 1, 2, 3).flatten(1)
    density = REFERENCE["bits"](x.flatten(1), noise, lambda u: flow.log_density(u.view(-1, 1, 2, 3)), 5)
    torch.testing.assert_close(density, expected)


def test_the_mended_density_integrates_to_one_and_the_shipped_one_does_not():
    std = torch.tensor([0.5, 3.0], dtype=torch.float64)
    mean = torch.tensor([1.0, -1.0], dtype=torch.float64)
    side = torch.linspace(-8, 8, 401, dtype=torch.float64)
    x = mean + torch.cartesian_prod(side, side) * std
    area = float((side[1] - side[0]) ** 2 * std.prod())

    def nothing(x):
        return x, x.new_zeros(len(x))

    shipped = EXERCISES["flows/bug"].mistakes[0].function
    assert float(REFERENCE["bug"](x, mean, std, nothing).exp().sum() * area) == pytest.approx(1, abs=1e-6)
    assert float(shipped(x, mean, std, nothing).exp().sum() * area) == pytest.approx(float(std.prod()), abs=1e-6)
