"""How good a Transformer gets on the 8×8 digits: nats of the binary ones, bits per dimension of those with 17 levels.

    OMP_NUM_THREADS=1 python benchmarks/transformer_digits.py [--seeds 3]

The weights kept are those that were best on the validation split. Seconds are the processor's.
"""

import argparse
import statistics
import time

import torch

from dgmcourse import Transformer, fit
from dgmcourse.data import digits
from dgmcourse.evaluation import average_log_prob


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for levels in (2, 17):
        data, found = digits(levels), []
        for seed in range(arguments.seeds):
            torch.manual_seed(seed)
            model = Transformer(data.space, width=32, heads=4, layers=2, dropout=0.1)
            started = time.process_time()
            fit(model, data, steps=1200, batch_size=50, lr=8e-3, schedule="cosine", warmup=40, clip=1.0, keep_best=True,
                seed=seed, progress=False)  # fmt: skip
            seconds = time.process_time() - started
            valid, test = (-average_log_prob(model, x).value for x in (data.valid, data.test))
            bits = float(data.space.bits_per_dim(torch.tensor(-test)))
            found.append(test)
            print(f"{levels} levels, seed {seed}: valid {valid:.2f}, test {test:.2f} nats, {bits:.3f} bits per dimension, "
                  f"trained in {seconds:.1f} s", flush=True)  # fmt: skip
        print(f"{levels} levels: median {statistics.median(found):.2f} nats")


if __name__ == "__main__":
    main()
