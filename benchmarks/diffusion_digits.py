"""Conditional diffusion on the 8×8 digits within seconds: are samples what they were asked to be, and are they new?

Two judges are trained on the real training images: a calibrated support vector machine, and the course's convolutional
classifier. For 1,000 samples, without guidance and with: how many show the digit asked for, how many are recognized
with a confidence above 0.9, and how far they are from the nearest training image, both relative to real test images.

OMP_NUM_THREADS=1 python benchmarks/diffusion_digits.py [STEPS …]
"""

import sys
import time

import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.svm import SVC
from torch import Tensor

from dgmcourse import Diffusion, fit
from dgmcourse.data import digits
from dgmcourse.evaluation.classifier import train_classifier
from dgmcourse.evaluation.nearest import nearest_distance

MODEL = {"schedule": "cosine", "prediction": "v", "channels": (24, 48), "sampler": "dpm-solver++", "steps": 20}
TRAINING = {"batch_size": 64, "lr": 3e-3, "schedule": "cosine", "warmup": 50, "ema": 0.99}


def judges(data) -> dict:
    """Images (n, 1, 8, 8) -> probabilities of the labels (n, 10), by name."""
    machine = CalibratedClassifierCV(SVC(C=10), ensemble=False).fit(data.train.flatten(1).numpy(), data.train_labels)
    network = train_classifier(data, steps=500, seed=1)
    return {
        "SVM": lambda x: torch.from_numpy(machine.predict_proba(x.flatten(1).numpy())),
        "network": lambda x: network(x).softmax(-1).detach(),
    }


def line(judge, x: Tensor, y: Tensor, real: Tensor) -> str:
    """What one judge says of samples."""
    chances, of_real = judge(x), judge(real)
    right = (chances.argmax(1) == y).double().mean()
    sure, sure_of_real = ((p.amax(1) > 0.9).double().mean() for p in (chances, of_real))
    return f"{right:.1%} as asked for, {sure:.1%} surely recognized, {sure / sure_of_real:.2f} of the real ones' share"


def run(steps: int, data, known: dict, seed: int = 0) -> None:
    torch.manual_seed(seed)
    model = Diffusion(data.space, classes=data.classes, **MODEL)
    started = time.process_time()
    fit(model, data, steps=steps, **TRAINING, seed=seed, progress=False)
    seconds = time.process_time() - started
    print(f"{steps} steps, {sum(p.numel() for p in model.parameters()):,} parameters: {seconds:.1f} s", flush=True)
    asked, usual = torch.arange(10).repeat(100), float(nearest_distance(data.test, data.train).mean())
    for guidance in (0.0, 1.0):
        torch.manual_seed(seed)
        started = time.process_time()
        *_, x = model.trajectory(1000, asked, guidance=guidance)
        seconds, far = time.process_time() - started, float(nearest_distance(x, data.train).mean()) / usual
        print(f"  guidance {guidance:.0f}, {seconds:.1f} s: {far:.3f} of the test images' distance to training images")
        for name, judge in known.items():
            print(f"    {name}: {line(judge, x, asked, data.test)}", flush=True)


def main() -> None:
    data = digits(levels=17)
    known = judges(data)
    for name, judge in known.items():
        print(f"{name} on real test images: {line(judge, data.test, data.test_labels, data.test)}", flush=True)
    for steps in map(int, sys.argv[1:] or ("400", "1000")):
        run(steps, data, known)


if __name__ == "__main__":
    main()
