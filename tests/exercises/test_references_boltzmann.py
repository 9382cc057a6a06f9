"""The references of lesson 03's exercises are the package's models, and the mathematics that the lesson derives."""

import math

import torch

from dgmcourse.core import Space
from dgmcourse.exercises.boltzmann_bug import BUG
from dgmcourse.exercises.boltzmann_energy import ENERGY, FREE_ENERGY
from dgmcourse.exercises.boltzmann_learning import CD
from dgmcourse.exercises.boltzmann_partition import AIS, LOG_PARTITION
from dgmcourse.exercises.boltzmann_units import HIDDEN, SWEEP
from dgmcourse.models import RBM, BoltzmannMachine


def states(units):
    return torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * units)


def machine():
    """An RBM of the package in float64, and its parameters as the exercises take them."""
    torch.manual_seed(0)
    rbm = RBM(Space.binary(1, 2, 3), hidden=4).double()
    with torch.no_grad():
        for parameter in rbm.parameters():
            parameter.copy_(torch.randn(parameter.shape).double())
    return rbm, (rbm.weight.detach(), rbm.visible_bias.detach(), rbm.hidden_bias.detach())


def test_an_energy_of_the_whole_machine_is_that_of_the_package():
    torch.manual_seed(0)
    model = BoltzmannMachine(Space.binary(6))
    with torch.no_grad():
        model.bias.normal_()
        model.weight.normal_()
        s = states(6)
        torch.testing.assert_close(ENERGY.reference(s, model.couplings, model.bias), model.energy(s))


def test_free_energy_units_and_partition_are_those_of_the_package():
    rbm, parameters = machine()
    x = states(6).double()
    with torch.no_grad():
        torch.testing.assert_close(FREE_ENERGY.reference(x, *parameters), rbm.free_energy(x.view(-1, 1, 2, 3)))
        torch.testing.assert_close(HIDDEN.reference(x, parameters[0], parameters[2]),
                                   rbm.hidden_given_visible(x.view(-1, 1, 2, 3)))  # fmt: skip
        torch.testing.assert_close(LOG_PARTITION.reference(states(4).double(), *parameters), rbm.log_partition().value)


def test_the_gradient_by_hand_is_that_of_the_package_s_training_step():
    rbm, parameters = machine()
    x = states(6).double()[::7].view(-1, 1, 2, 3)
    torch.manual_seed(1)
    negatives = rbm._negatives(x.flatten(1))
    torch.manual_seed(1)
    next(rbm.training_step(x)).loss.backward()
    by_hand = CD.reference(x.flatten(1), negatives, *parameters)
    for mine, theirs in zip(by_hand, (rbm.weight, rbm.visible_bias, rbm.hidden_bias), strict=True):
        torch.testing.assert_close(mine, -theirs.grad, atol=1e-12, rtol=0)


def test_with_the_model_s_own_distribution_as_negatives_it_is_the_gradient_of_log_p():
    _, parameters = machine()
    x, every = states(6).double()[[3, 17, 40]], states(6).double()
    free_energies = FREE_ENERGY.reference(every, *parameters)
    share = (-free_energies).softmax(0)
    leaves = [part.clone().requires_grad_() for part in parameters]
    log_p = -FREE_ENERGY.reference(x, *leaves) - LOG_PARTITION.reference(states(4).double(), *leaves)
    truth = torch.autograd.grad(log_p.mean(), leaves)
    copies = (share * 200_000).round().long()  # every state as often as the model has it
    by_hand = CD.reference(x, every.repeat_interleave(copies, 0), *parameters)
    for mine, theirs in zip(by_hand, truth, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-3, rtol=0)


def test_a_sweep_leaves_the_model_s_distribution_as_it_is():
    """As a matrix: the transition probabilities of a sweep, counted, times the exact distribution."""
    _, parameters = machine()
    weight, b, c = (part.float() for part in parameters)
    every = states(6)
    share = (-FREE_ENERGY.reference(every, weight, b, c)).softmax(0)
    torch.manual_seed(0)
    start = every[torch.multinomial(share, 200_000, replacement=True)]
    after = SWEEP.reference(start, weight, b, c)
    code = (after @ (2.0 ** torch.arange(5, -1, -1))).long()
    counted = torch.bincount(code, minlength=64) / len(code)
    error = (share * (1 - share) / len(code)).sqrt()
    assert ((counted - share).abs() < 5 * error + 1e-6).all()


def test_the_mean_weight_of_annealing_is_the_ratio_of_the_normalizers():
    """A few rough temperatures, many chains: unbiased, however coarse the ladder."""
    _, parameters = machine()
    weight, b, c = (part.float() for part in parameters)
    log_z = LOG_PARTITION.reference(states(4), weight, b, c)

    def log_f(x, beta):
        return -FREE_ENERGY.reference(x, beta * weight, beta * b, beta * c)

    def move(x, beta):
        return SWEEP.reference(x, beta * weight, beta * b, beta * c)

    torch.manual_seed(0)
    start = (torch.rand(100_000, 6) < 0.5).float()
    log_weights = AIS.reference(log_f, move, start, [0.0, 0.3, 0.7, 1.0]).double()
    ratio = (log_weights + 10 * math.log(2) - log_z).exp()
    assert abs(float(ratio.mean()) - 1) < 5 * float(ratio.std()) / math.sqrt(len(ratio))


def test_the_shipped_bug_is_one_of_the_gradient_alone():
    arguments = BUG.inputs(torch.Generator().manual_seed(0))
    shipped, mended = BUG.mistakes[0].function(*arguments), BUG.reference(*arguments)
    assert float(shipped.detach()) == float(mended.detach())
    wrong, right = (torch.autograd.grad(loss, arguments[2:]) for loss in (shipped, mended))
    differ = [not torch.allclose(a, b, atol=1e-3) for a, b in zip(wrong, right, strict=True)]
    assert differ == [True, True, False]  # c reaches the negatives through a coin alone, which has no gradient


def test_the_ladder_of_annealing_is_climbed_up_and_down_among_the_inputs():
    """The lesson anneals in both directions, so an answer that sorts its temperatures must not pass."""
    ladders = [AIS.inputs(torch.Generator().manual_seed(seed))[3] for seed in range(AIS.draws)]
    assert {ladder[0] < ladder[-1] for ladder in ladders} == {True, False}
