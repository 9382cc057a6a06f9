"""What a learning step of a 784×500 RBM costs, batch 100, persistent chains: `fit` against scikit-learn's BernoulliRBM.

    OMP_NUM_THREADS=1 python benchmarks/rbm_step.py

Both do the same: one Gibbs sweep of 100 persistent chains and one step of plain gradient descent, in float32.
`BernoulliRBM.partial_fit` turns its input into float64 and computes in that; so the step inside it (`_fit`, which is all
that its `fit` calls for each batch) is timed on float32 arrays too. All run in turns within one process, so that
whatever else the machine does hits all; the ratio of medians is reported.
"""

import statistics
import time
from collections.abc import Callable

import numpy
import torch
from sklearn.neural_network import BernoulliRBM

from dgmcourse import RBM, Space, fit

STEPS, ROUNDS, BATCH, HIDDEN, LR = 40, 15, 100, 500, 0.05


def scikit_learn(x: torch.Tensor) -> tuple[Callable[[], None], Callable[[], None]]:
    """One step each: partial_fit as it is, and its inside in float32."""
    batches = [part.numpy() for part in x.flatten(1).split(BATCH)]
    machines = [BernoulliRBM(HIDDEN, learning_rate=LR, batch_size=BATCH, n_iter=1, random_state=0) for _ in range(2)]
    for machine in machines:
        machine.fit(batches[0])  # float32 weights and chains
    whole, inner = machines
    state, noise = {"step": 0}, numpy.random.RandomState(0)

    def partial_fit() -> None:
        state["step"] += 1
        whole.partial_fit(batches[state["step"] % len(batches)])

    def float32_step() -> None:
        state["step"] += 1
        inner._fit(batches[state["step"] % len(batches)], noise)

    assert inner.components_.dtype == "float32"
    return partial_fit, float32_step


def course(x: torch.Tensor, adam: bool = False, precision: str = "no") -> float:
    """Milliseconds a step of `fit`, whose set-up is not counted, as it is paid once a run."""
    torch.manual_seed(0)
    model, times = RBM(Space.binary(1, 28, 28), HIDDEN, chains=BATCH), []
    sgd = None if adam else lambda group, parameters: torch.optim.SGD(parameters, lr=LR, fused=True)
    watch = lambda step, model: times.append(time.process_time())  # noqa: E731
    fit(model, x, steps=STEPS + 1, batch_size=BATCH, optimizer=sgd, precision=precision, watch=watch, progress=False)
    return 1000 * (times[-1] - times[0]) / STEPS


def timed(step: Callable[[], None]) -> float:
    started = time.process_time()
    for _ in range(STEPS):
        step()
    return 1000 * (time.process_time() - started) / STEPS


def main() -> None:
    x = (torch.rand(10_000, 1, 28, 28) < 0.2).float()
    partial_fit, float32_step = scikit_learn(x)
    times = {name: [] for name in ("partial_fit", "its step in float32", "fit", "fit, Adam", "fit, bf16")}
    for _ in range(ROUNDS + 1):
        times["partial_fit"].append(timed(partial_fit))
        times["its step in float32"].append(timed(float32_step))
        times["fit"].append(course(x))
        times["fit, Adam"].append(course(x, adam=True))
        times["fit, bf16"].append(course(x, precision="bf16"))
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}  # the first round warms up
    for name, value in medians.items():
        print(f"{name:20} {value:6.2f} ms a step")
    for theirs in ("partial_fit", "its step in float32"):
        ratio = statistics.median(b / a for a, b in zip(times[theirs][1:], times["fit"][1:], strict=True))
        print(f"fit / {theirs}: ratio of medians {medians['fit'] / medians[theirs]:.3f}, median of ratios {ratio:.3f}")
    print(f"({ROUNDS} rounds of {STEPS} steps, {torch.get_num_threads()} thread)")


if __name__ == "__main__":
    main()
