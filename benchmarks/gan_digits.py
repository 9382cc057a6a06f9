"""Convolutional GANs on the 8×8 digits within seconds, with labels and without, judged by a support vector machine.

The judge is trained on the real training images; of 1,000 samples it says which digits they show. Three seeds.

OMP_NUM_THREADS=1 python benchmarks/gan_digits.py
"""

import time

import torch
from sklearn.svm import SVC

from dgmcourse import GAN, fit
from dgmcourse.data import digits
from dgmcourse.models.gan import two_time_scales

TRAINING = {"steps": 1000, "batch_size": 64, "optimizer": two_time_scales(2e-3, betas=(0.5, 0.99)), "schedule": "cosine",
            "ema": 0.99}  # fmt: skip


def run(seed: int, judge: SVC, classes: int | None) -> str:
    """One line about one seed."""
    data = digits(levels=17)
    torch.manual_seed(seed)
    model = GAN(data.space, latents=16, hidden=(128,), channels=(16,), classes=classes, penalty="zero-centered",
                penalty_weight=0.1)  # fmt: skip
    started = time.process_time()
    fit(model, data, **TRAINING, seed=seed, progress=False)
    seconds = time.process_time() - started
    torch.manual_seed(seed)
    asked = torch.arange(10).repeat(100) if classes else None
    seen = torch.from_numpy(judge.predict(model.sample(1000, asked).flatten(1).numpy()))
    shares = torch.bincount(seen, minlength=10) / 1000
    right = f", {(seen == asked).double().mean():.1%} the digit asked for" if classes else ""
    return f"{shares.min():.1%} to {shares.max():.1%} of each digit{right}; {seconds:.1f} s"


def main() -> None:
    data = digits(levels=17)
    judge = SVC(C=10).fit(data.train.flatten(1).numpy(), data.train_labels.numpy())
    print(f"the judge on real test images: {judge.score(data.test.flatten(1).numpy(), data.test_labels.numpy()):.1%}")
    for classes in (None, 10):
        for seed in range(3):
            print(f"{'with' if classes else 'without'} labels, seed {seed}: {run(seed, judge, classes)}", flush=True)


if __name__ == "__main__":
    main()
