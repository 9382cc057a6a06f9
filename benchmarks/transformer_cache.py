"""What the cache of keys and values is worth: seconds to sample 8 images of 784 pixels from a Transformer.

    OMP_NUM_THREADS=1 python benchmarks/transformer_cache.py [--every 49]

Without the cache every new pixel takes a pass over the whole image, as every autoregressive model does that has not learned
better (`Autoregressive.scorer`). A thriftier way passes over the pixels before the new one alone, which is half the work.
Of these passes one in `--every` is timed, and counted so many times; `--every 1` times them all. Seconds are the processor's.
"""

import argparse
import time

import torch

from dgmcourse import Space, Transformer
from dgmcourse.models.autoregressive import Autoregressive

PIXELS, SAMPLES = 784, 8


def with_cache(model: Transformer) -> tuple[torch.Tensor, float]:
    """Samples (8, 1, 28, 28) by `sample`, and the seconds."""
    torch.manual_seed(0)
    started = time.process_time()
    x = model.sample(SAMPLES)
    return x, time.process_time() - started


@torch.no_grad()
def without_cache(model: Transformer, x: torch.Tensor, every: int) -> tuple[float, float, float]:
    """Seconds of passes over whole images, and over their beginnings; the largest difference from the cached scores."""
    flat, whole, thrifty, difference = x.flatten(1), 0.0, 0.0, 0.0
    cached, anew = model.scorer(SAMPLES), Autoregressive.scorer(model, SAMPLES)
    for t in range(0, PIXELS, every):
        times, count = [time.process_time()], min(every, PIXELS - t)
        scores = anew(flat, t)
        times.append(time.process_time())
        model.next_logits(flat[:, :t].long(), model.cache(SAMPLES))  # an empty cache: all at once
        times.append(time.process_time())
        whole, thrifty = whole + count * (times[1] - times[0]), thrifty + count * (times[2] - times[1])
        difference = max(difference, float((scores - cached(flat, t)).abs().max()))
    return whole, thrifty, difference


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=49)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for width, layers in ((64, 3), (128, 4)):
        torch.manual_seed(0)
        model = Transformer(Space.binary(1, 28, 28), width=width, heads=4, layers=layers).eval()
        torch.nn.init.normal_(model.head.weight)
        model.sample(1)
        x, cached = with_cache(model)
        whole, thrifty, difference = without_cache(model, x, arguments.every)
        print(f"width {width}, {layers} layers: {cached:.2f} s with the cache; {whole:.1f} s without, {whole / cached:.0f} times as "
              f"long; {thrifty:.1f} s by passes over beginnings, {thrifty / cached:.0f} times. Logits differ by {difference:.0e} "
              "at most", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
