"""How good an RBM gets on the binary 8×8 digits within seconds: 16 hidden units by exact log Z, 256 by annealing; three seeds.

    OMP_NUM_THREADS=1 python benchmarks/rbm_digits.py

Learning rate and weight decay were chosen on the validation split. Seconds are the processor's.
"""

import statistics
import time
from collections.abc import Callable

import torch

from dgmcourse import RBM, fit
from dgmcourse.data import digits
from dgmcourse.evaluation import annealed_average_log_prob, average_log_prob


def trained(seed: int, hidden: int, steps: int, lr: float, weight_decay: float = 0.0) -> tuple[RBM, float]:
    """An RBM with 100 persistent chains, by plain gradient descent whose rate falls to zero; and the seconds."""
    data = digits(levels=2)
    torch.manual_seed(seed)
    model = RBM(data.space, hidden, chains=100, weight_decay=weight_decay)
    sgd: Callable = lambda group, parameters: torch.optim.SGD(parameters, lr=lr, fused=True)  # noqa: E731
    started = time.process_time()
    fit(model, data, steps=steps, batch_size=50, schedule="linear", ema=0.999, optimizer=sgd, seed=seed, progress=False)
    return model, time.process_time() - started


def main() -> None:
    data, exact, estimated = digits(levels=2), [], []
    for seed in range(3):
        model, seconds = trained(seed, 16, steps=12_000, lr=0.1)
        valid, test = (-average_log_prob(model, x).value for x in (data.valid, data.test))
        exact.append(test)
        print(f"seed {seed}, 16 hidden: valid {valid:.2f}, test {test:.2f} nats exactly, trained in {seconds:.1f} s")
    for seed in range(3):
        model, seconds = trained(seed, 256, steps=12_000, lr=0.2, weight_decay=1e-3)
        torch.manual_seed(seed)
        ends = [annealed_average_log_prob(model, data.test, reverse=reverse) for reverse in (False, True)]
        valid = -annealed_average_log_prob(model, data.valid).value
        estimated.append(-ends[0].value)
        print(f"seed {seed}, 256 hidden: valid {valid:.2f}, test {-ends[0].value:.2f} (forward) to {-ends[1].value:.2f} "
              f"(reverse) nats by annealing, trained in {seconds:.1f} s")  # fmt: skip
    print(f"median: 16 hidden {statistics.median(exact):.2f} nats, 256 hidden {statistics.median(estimated):.2f} nats "
          f"({torch.get_num_threads()} thread)")  # fmt: skip


if __name__ == "__main__":
    main()
