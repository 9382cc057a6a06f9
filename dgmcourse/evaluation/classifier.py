"""A small classifier trained on real images: it judges whether samples are what they were asked to be."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..core import Saved, Space
from ..data import Dataset
from ..networks import ConvEncoder

__all__ = ["DigitClassifier", "train_classifier"]


class DigitClassifier(Saved):
    """A convolutional classifier of small images: (batch, channels, height, width) -> logits (batch, classes).

    The inputs of its last layer, `features(x)`, are a description of x in which images of the same kind lie close.

    Args:
        space: where images live; binary, grey or real, of shape (channels, height, width).
        classes: number of labels.
        features: size of the description.
        channels: channels of the convolutional levels, each of which halves the sides.
        dropout: share of the description that is zeroed in training.
        width: of the dense layer between the convolutions and the description.

    Raises:
        ValueError: the space holds no images.
    """

    def __init__(
        self,
        space: Space,
        classes: int = 10,
        features: int = 192,
        channels: tuple[int, ...] = (32, 64, 128),
        dropout: float = 0.3,
        width: int = 256,
    ):
        super().__init__()
        if len(space.shape) != 3 or space.kind == "tokens":
            raise ValueError(f"DigitClassifier needs images (channels, height, width), got {space}")
        self.space, self.classes = space, classes
        self.encoder = ConvEncoder(space.shape, channels, features, width=width)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(features, classes)

    def features(self, x: Tensor) -> Tensor:
        """The description that the last layer sees: (batch, *shape) -> (batch, features)."""
        self.space.check(x)
        return F.silu(self.encoder(2 * x - 1 if self.space.discrete else x))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(self.features(x)))

    @torch.no_grad()
    def predict(self, x: Tensor, batch_size: int = 1000) -> Tensor:
        """The likeliest label of each image, in evaluation mode: (n, *shape) on any device -> (n,), int64, on the same."""
        was_training, device = self.training, self.head.weight.device
        self.eval()
        labels = [self(part.to(device)).argmax(-1).to(x.device) for part in x.split(batch_size)]
        self.train(was_training)
        return torch.cat(labels)


def train_classifier(
    data: Dataset,
    steps: int = 2500,
    batch_size: int = 128,
    lr: float = 2e-3,
    shift: int | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: bool = False,
    **architecture,
) -> DigitClassifier:
    """Train a `DigitClassifier` on `data.train`; it comes back in evaluation mode. It depends on the seed alone.

    AdamW; the step size rises for a fifth of the steps, then falls to zero, both linearly.

    Args:
        data: labeled images.
        steps, batch_size, lr: how long, how many at a time, and the largest step size.
        shift: each batch is moved by up to so many pixels each way; None for a fourteenth of the side.
        seed: of weights, order and shifts.
        device: where to train.
        progress: show a bar.
        **architecture: further arguments of `DigitClassifier`.

    Raises:
        ValueError: the data have no labels.
    """
    from tqdm.auto import tqdm

    if data.train_labels is None or not data.classes:
        raise ValueError(f"a classifier needs labels, and {data.name} has none; use digits() or mnist()")
    device = torch.device(device)
    shift = data.space.shape[-1] // 14 if shift is None else shift
    with torch.random.fork_rng([device.index or 0] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        model = DigitClassifier(data.space, data.classes, **architecture).to(device).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01, fused=True)
        rise = max(1, steps // 5)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min((step + 1) / rise, (steps - step) / max(1, steps - rise))
        )
        batches = _endless_batches(data, batch_size, seed)
        for _ in tqdm(
            range(steps), leave=False, unit="step", desc="classifier", **({} if progress else {"disable": True})
        ):
            x, y = next(batches)
            loss = F.cross_entropy(model(_moved(x.to(device), shift)), y.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def _endless_batches(data: Dataset, batch_size: int, seed: int):
    epoch = 0
    while True:
        yield from data.batches(min(batch_size, len(data.train)), seed=seed + epoch)
        epoch += 1


def _moved(x: Tensor, most: int) -> Tensor:
    """The images moved by the same random −most … most pixels each way; what comes in from outside is zero."""
    if not most:
        return x
    right, down = (int(s) for s in torch.randint(2 * most + 1, (2,), device="cpu"))
    padded = F.pad(x, [most] * 4)
    return padded[..., down : down + x.shape[-2], right : right + x.shape[-1]]
