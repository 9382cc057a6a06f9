"""Run by test_distributed.py under torchrun: every distributed model in every process; each writes what it ended with."""

import os
import sys
from pathlib import Path

import torch
from cases import CASES
from safetensors.torch import save_file

from dgmcourse.core import Space, Step
from dgmcourse.models import VAE
from dgmcourse.training import fit


class Deterministic(VAE):
    """A VAE without noise, whose training does not depend on how the batch is shared out."""

    def training_step(self, x, y=None):
        assert len(x) == 20 // int(os.environ.get("WORLD_SIZE", 1))  # each process has its share, and no more
        q = self.posterior(x)
        yield Step(-self.likelihood(q.mean).log_prob(x).mean())


def flat(model) -> torch.Tensor:
    return torch.cat([value.detach().flatten().double() for value in model.parameters()])


def main(folder: Path, precisions: list[str]) -> None:
    rank, found = int(os.environ.get("RANK", 0)), {}
    for precision in precisions:
        for case in CASES:
            if case.distributed:
                x, y = case.batch(64)
                model, key = case.model(), f"{case.name} {precision}"

                def watch(step, model, key=key):
                    found[f"{key}, step {step}"] = flat(
                        model
                    )  # before the final broadcast, which would hide a difference

                history = fit(model, x if y is None else (x, y), steps=6, batch_size=32, ema=0.9, precision=precision,
                              watch=watch, checkpoint=folder / "checkpoints" / key, progress=False)  # fmt: skip
                found[key] = flat(model)
                assert len(history.losses) == len(model.parameter_groups())
    torch.manual_seed(0)
    model = Deterministic(Space.real(2), 1, hidden=(8,))
    x = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    fit(model, x, steps=40, batch_size=20, clip=1.0, schedule="cosine", progress=False)
    found["deterministic"] = flat(model)
    save_file(found, folder / f"rank-{rank}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
