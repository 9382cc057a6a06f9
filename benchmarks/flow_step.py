"""What a flow costs: a training step and sampling, against zuko and nflows with as many parameters.

    pip install --target /tmp/flow-libraries --no-deps zuko nflows
    OMP_NUM_THREADS=1 PYTHONPATH=/tmp/flow-libraries python benchmarks/flow_step.py

Two flows over six numbers, batch 512, two hidden layers of 128: five masked affine layers (MAF), and six couplings of
rational-quadratic splines. The three run in turns within one process, so that whatever else the machine does hits all;
medians are reported, and their ratio to the faster of the other two. Weights are carried over where the parameters mean
the same: zuko's MAF and nflows' splines then score the same points.
"""

import functools
import statistics
import time
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from dgmcourse import AutoregressiveFlow, Space, SplineFlow
from dgmcourse.models.flows.coupling import halves
from dgmcourse.models.flows.elementwise import SLOPE_OFFSET, SMALLEST
from dgmcourse.networks import MLP

DIM, BATCH, HIDDEN, BINS, BOUND, MASKED, COUPLINGS = 6, 512, (128, 128), 8, 5.0, 5, 6
ROUNDS, STEPS = 40, 5
ZUKO_LOG_SLOPE = 6.907755278982137  # |ln 1e-3|: zuko clips its log-scales as the course does, at this bound


def zuko_maf():
    import zuko

    flow = zuko.flows.MAF(DIM, transforms=MASKED, hidden_features=HIDDEN)
    return flow, lambda x: flow().log_prob(x), lambda n: flow().sample((n,))


def nflows_maf():
    from nflows.distributions import StandardNormal
    from nflows.flows import Flow
    from nflows.transforms import CompositeTransform, MaskedAffineAutoregressiveTransform, ReversePermutation

    make = functools.partial(
        MaskedAffineAutoregressiveTransform, DIM, HIDDEN[0], num_blocks=1, use_residual_blocks=False
    )
    layers = [layer for _ in range(MASKED) for layer in (make(), ReversePermutation(DIM))]
    flow = Flow(CompositeTransform(layers), StandardNormal([DIM]))
    return flow, flow.log_prob, flow.sample


def zuko_spline():
    import zuko

    univariate = functools.partial(zuko.transforms.MonotonicRQSTransform, bound=BOUND)
    shapes = [(BINS,), (BINS,), (BINS - 1,)]
    layers = [
        zuko.flows.coupling.GeneralCouplingTransform(
            DIM, mask=halves(DIM, i), univariate=univariate, shapes=shapes, hidden_features=HIDDEN
        )
        for i in range(COUPLINGS)
    ]
    base = zuko.lazy.UnconditionalDistribution(
        zuko.distributions.DiagNormal, torch.zeros(DIM), torch.ones(DIM), buffer=True
    )
    flow = zuko.lazy.Flow(layers, base)
    return flow, lambda x: flow().log_prob(x), lambda n: flow().sample((n,))


class Network(MLP):
    """The course's MLP, called as nflows calls its own."""

    def forward(self, x, context=None):
        return super().forward(x)


def nflows_spline():
    from nflows.distributions import StandardNormal
    from nflows.flows import Flow
    from nflows.transforms import CompositeTransform, PiecewiseRationalQuadraticCouplingTransform

    layers = [
        PiecewiseRationalQuadraticCouplingTransform(
            [0 if keep else 1 for keep in halves(DIM, i)],
            lambda inputs, outputs: Network(inputs, HIDDEN, outputs, "relu"),
            num_bins=BINS, tails="linear", tail_bound=BOUND,
            min_bin_width=SMALLEST, min_bin_height=SMALLEST, min_derivative=SMALLEST,
        )
        for i in range(COUPLINGS)
    ]  # fmt: skip
    flow = Flow(CompositeTransform(layers), StandardNormal([DIM]))
    return flow, flow.log_prob, flow.sample


def ours(flow):
    return flow, lambda x: flow.log_prob(x).value, flow.sample


def ours_maf():
    return ours(AutoregressiveFlow(Space.real(DIM), MASKED, HIDDEN, bound=ZUKO_LOG_SLOPE, activation="relu"))


def ours_spline():
    return ours(SplineFlow(Space.real(DIM), COUPLINGS, BINS, BOUND, HIDDEN, activation="relu"))


@torch.no_grad()
def carry_maf(theirs: nn.Module, mine: AutoregressiveFlow) -> None:
    """zuko's weights and masks; hidden units have the degrees that its masks give them."""
    for transform, layer in zip(theirs.transform.transforms, mine.layers, strict=True):
        linears = [part for part in transform.hyper if hasattr(part, "mask")]
        places, degrees = torch.tensor(transform.order.tolist()), [torch.tensor(transform.order.tolist())]
        seen = torch.eye(DIM)
        for linear, own in zip(linears, layer.network.layers, strict=True):
            own.weight.copy_(linear.weight)
            own.bias.copy_(linear.bias)
            seen = linear.mask.float() @ seen  # paths from the inputs
            degrees.append(torch.where(seen > 0, places, -1).amax(1))
        layer.network._connect_by(degrees[:-1])
        assert all((own.mask == linear.mask).all() for own, linear in zip(layer.network.layers, linears, strict=True))


@torch.no_grad()
def carry_spline(theirs: nn.Module, mine: SplineFlow) -> None:
    """nflows' weights; its slopes have no offset that makes raw zeros mean 1, so the biases take it."""
    for transform, layer in zip(theirs._transform._transforms, mine.layers, strict=True):
        layer.network.load_state_dict(transform.transform_net.state_dict())
        layer.network[-1].bias.view(-1, 3 * BINS - 1)[:, 2 * BINS :] -= SLOPE_OFFSET


@torch.no_grad()
def agreement(carry: Callable, theirs, mine) -> tuple[float, float]:
    """Largest difference of the log-densities, and of samples' way back to noise, in float64, after carrying over."""
    for parameter in theirs[0].parameters():
        parameter.copy_(torch.randn_like(parameter) * 0.08)
    carry(theirs[0], mine[0])
    x = 2 * torch.randn(2000, DIM, dtype=torch.float64)
    theirs[0].double(), mine[0].double()
    difference = float((theirs[1](x) - mine[1](x)).abs().max())
    back = float((mine[0].decode(mine[0].encode(x)) - x).abs().max())
    return difference, back


def timed(function: Callable[[], None], repeats: int) -> float:
    """Milliseconds of one call."""
    started = time.perf_counter()
    for _ in range(repeats):
        function()
    return 1000 * (time.perf_counter() - started) / repeats


def measure(makers: dict[str, Callable], data: Tensor) -> dict[str, dict[str, float]]:
    """Medians of a training step and of sampling a batch, in turns."""
    training, sampling = {}, {}
    for name, make in makers.items():
        torch.manual_seed(0)
        flow, log_prob, sample = make()
        optimizer = torch.optim.Adam(flow.parameters(), lr=1e-4, fused=True)

        def step(log_prob=log_prob, optimizer=optimizer):
            loss = -log_prob(data).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        def draw(sample=sample):
            with torch.no_grad():
                sample(BATCH)

        training[name], sampling[name] = step, draw
        print(f"  {name}: {sum(p.numel() for p in flow.parameters()):,} parameters")
    found = {"training step": {name: [] for name in makers}, "sampling 512": {name: [] for name in makers}}
    for _ in range(ROUNDS + 2):
        for what, calls in (("training step", training), ("sampling 512", sampling)):
            for name, call in calls.items():
                found[what][name].append(timed(call, STEPS))
    return {what: {n: statistics.median(t[2:]) for n, t in times.items()} for what, times in found.items()}


def main() -> None:
    warnings.filterwarnings("ignore", message="Inputs to the softmax")
    torch.manual_seed(0)
    data = torch.randn(BATCH, DIM) @ torch.randn(DIM, DIM) / DIM**0.5
    cases = {
        "MAF 5×128²": ({"course": ours_maf, "zuko": zuko_maf, "nflows": nflows_maf}, "zuko", carry_maf),
        "spline coupling 6×128²": (
            {"course": ours_spline, "zuko": zuko_spline, "nflows": nflows_spline}, "nflows", carry_spline
        ),
    }  # fmt: skip
    for case, (makers, other, carry) in cases.items():
        print(case)
        for what, times in measure(makers, data).items():
            listed = ", ".join(f"{name} {value:.2f}" for name, value in times.items())
            ratio = times["course"] / min(value for name, value in times.items() if name != "course")
            print(f"  {what}: {listed} ms; {ratio:.2f} × the faster of the others")
        difference, back = agreement(carry, makers[other](), makers["course"]())
        print(f"  log-densities with {other}'s weights: at most {difference:.1e} nats apart; and back {back:.1e}")
    print(f"{ROUNDS} rounds of {STEPS}, {torch.get_num_threads()} thread")


if __name__ == "__main__":
    main()
