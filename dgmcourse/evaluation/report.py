"""One model's answers to all the questions of the yardstick: `evaluate(model, data)` makes a `Report`."""

import json
import math
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch

from ..core import GenerativeModel, Kind, Latent, Space
from ..data import Dataset
from ..tables import Table
from .classifier import DigitClassifier
from .features import course_classifier, course_features
from .kernels import mmd
from .likelihood import Estimate
from .quality import draw, plain, recognition, sample_quality
from .representation import linear_probe
from .strongest import strongest_log_prob

__all__ = ["QUANTITIES", "Quantity", "Report", "evaluate"]

FEWEST = 6  # points of which each has five neighbors
_AT_ONCE = 2000  # examples that are encoded


class Quantity(NamedTuple):
    """A column of the yardstick.

    Attributes:
        name: what it is called.
        better: "higher" or "lower"; "" where neither is better.
        digits: after the point.
        about: what it says, in a sentence.
    """

    name: str
    better: str
    digits: int
    about: str


QUANTITIES = {
    quantity.name: quantity
    for quantity in (
        Quantity("log p(x)", "higher", 2, "nats per test example, as well as the family lets it be known"),
        Quantity("log p(x|y)", "higher", 2, "nats per test example given its label: another question than log p(x)"),
        Quantity("KL", "lower", 3, "nats from the truth, which is known: KL(truth ‖ model)"),
        Quantity("Fréchet", "lower", 2, "Fréchet distance between samples and test examples in course features"),
        Quantity("kernel", "lower", 1, "kernel distance between samples and test examples in course features"),
        Quantity("MMD²", "lower", 5, "squared maximum mean discrepancy between samples and test examples"),
        Quantity("precision", "higher", 2, "share of samples that lie among real examples"),
        Quantity("recall", "higher", 2, "share of test examples that lie among samples"),
        Quantity("density", "higher", 2, "how many real examples a sample has around it, 1 for real ones"),
        Quantity("coverage", "higher", 2, "share of test examples with a sample in their neighborhood"),
        Quantity("recognized", "higher", 3, "share of samples that the course's classifier is sure about (p > 0.9)"),
        Quantity("as asked", "higher", 3, "share of samples that show the label asked for"),
        Quantity("copied", "lower", 2, "estimated share of samples that are training examples, or nearly so"),
        Quantity("copying z", "", 1, "below −3: samples lie nearer to training examples than fresh examples do"),
        Quantity("probe", "higher", 3, "share of test labels that a linear classifier reads off the latent space"),
        Quantity("ms/sample", "lower", 2, "milliseconds of computing for each of 1,000 samples drawn at once"),
    )
}


@dataclass(frozen=True)
class Report:
    """What a model is worth, by name of the quantity.

    Attributes:
        model: how the model is called.
        data: how the data are called.
        numbers: quantity -> estimate; only what could be measured.
        notes: what could not, and why.
        dim: number of entries of one discrete example, None for reals: for bits per dimension.
    """

    model: str
    data: str
    numbers: dict[str, Estimate]
    notes: dict[str, str] = field(default_factory=dict)
    dim: int | None = None

    @property
    def bits_per_dim(self) -> str:
        """−log p(x) / (dim ln 2) with its kind: a lower bound of log p(x) bounds the bits from above. "" where unknown."""
        found = self.numbers.get("log p(x)")
        if found is None or self.dim is None or found.kind is Kind.UNNORMALIZED:
            return ""
        sign = {Kind.LOWER_BOUND: "≤", Kind.UPPER_BOUND: "≥"}.get(found.kind, str(found.kind))
        return f"{sign} {-found.value / (self.dim * math.log(2)):.3f} bits/dim"

    def table(self) -> Table:
        """Quantity, number, meaning."""
        rows = []
        for name, number in self.numbers.items():
            rows.append((name, shown(name, number), QUANTITIES[name].about))
            if name == "log p(x)" and self.bits_per_dim:
                rows.append(("", self.bits_per_dim, "the same in bits per dimension"))
        rows += [(name, "–", note) for name, note in self.notes.items()]
        return Table(("quantity", "value", "what it says"), rows, f"{self.model} on {self.data}")

    def __repr__(self):
        return repr(self.table())

    def _repr_html_(self):
        return self.table()._repr_html_()

    def to_json(self) -> str:
        """As text that `from_json` reads: null for NaN, "inf" and "-inf" for infinities, which JSON has no numbers for."""
        numbers = {
            name: {
                **number._asdict(),
                "value": _plain_json(number.value),
                "kind": str(number.kind or ""),
                "standard_error": _plain_json(number.standard_error),
            }
            for name, number in self.numbers.items()
        }
        known = {"model": self.model, "data": self.data, "numbers": numbers, "notes": self.notes, "dim": self.dim}
        return json.dumps(known, indent=2, ensure_ascii=False, allow_nan=False)

    @staticmethod
    def from_json(text: str) -> "Report":
        """The report that `to_json` wrote.

        Raises:
            ValueError: the text is no report.
        """
        try:
            known = json.loads(text)
            numbers = {
                name: Estimate(
                    **{
                        **number,
                        "value": _from_json(number["value"]),
                        "kind": Kind(number["kind"]) if number["kind"] else None,
                        "standard_error": _from_json(number["standard_error"]),
                    }
                )
                for name, number in known["numbers"].items()
            }
            return Report(known["model"], known["data"], numbers, known["notes"], known["dim"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"this is no report ({error}); expected what Report.to_json writes") from None


def _plain_json(value: float) -> float | str | None:
    return value if math.isfinite(value) else None if math.isnan(value) else str(value)


def _from_json(value: float | str | None) -> float:
    return math.nan if value is None else float(value) if isinstance(value, str) else value


def shown(name: str, number: Estimate) -> str:
    """A number as tables show it: "≥ -17.63 ± 0.21"."""
    digits = QUANTITIES[name].digits
    error = f" ± {number.standard_error:.{digits}f}" if math.isfinite(number.standard_error) else ""
    return f"{number.kind or ''} {number.value:.{digits}f}{error}".strip()


def evaluate(
    model: GenerativeModel,
    data: Dataset,
    *,
    samples: int = 2000,
    classifier: DigitClassifier | None = None,
    name: str | None = None,
    seed: int = 0,
) -> Report:
    """Judge a trained model by the test split: likelihood, samples, representation, cost.

    What a family cannot answer is noted, and nothing stands in its place. Images of 8×8 and of 28×28 are compared in the
    features of the course's own classifiers, real vectors as they are, tokens by how many of them differ. A model with
    classes is asked for samples of each label in turn, whatever its likelihood is conditioned on.

    Args:
        model: of any family, trained. It comes back in the mode, training or evaluation, that it was in.
        data: of the model's space; what it was trained on, for the test of copying: samples may not lie nearer to
            `data.train` than `data.valid` does (`data.test` if there is no `data.valid`).
        samples: how many to draw.
        classifier: whose features to compare images in, instead of the course's own.
        name: of the model, for tables.
        seed: of the samples and of all estimates.

    Raises:
        ValueError: model and data live in spaces of different shapes, there are no test examples, or samples < 1.
    """
    if model.space.shape != data.space.shape:
        raise ValueError(f"the model was built for {model.space}, but {data.name} lives in {data.space}")
    if not len(data.test) or samples < 1:
        raise ValueError(f"evaluate needs test examples and samples ≥ 1, got {len(data.test)} and samples={samples}")
    was_training = model.training
    model.eval()
    numbers: dict[str, Estimate] = {}
    notes: dict[str, str] = {}
    try:
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(seed)
            if data.transform is not None:  # as training saw them, in the space of the samples
                data = replace(data, train=data.transform(data.train), transform=None)
            _likelihood(model, data, numbers, notes)
            _samples(model, data, samples, classifier, seed, numbers, notes)
            _representation(model, data, numbers, notes)
    finally:
        model.train(was_training)
    dim = data.space.dim if data.space.discrete else None
    return Report(name or type(model).__name__, data.name, numbers, notes, dim)


def _likelihood(model: GenerativeModel, data: Dataset, numbers: dict, notes: dict) -> None:
    """log p(x), or log p(x|y) of a model that cannot do without labels."""
    refused = []
    for name, y in (("log p(x)", None), ("log p(x|y)", data.test_labels)):
        if y is None and name == "log p(x|y)":
            continue
        try:
            model.space.check(data.test, f"{data.name}.test", values=True)
            found = strongest_log_prob(model, data.test, y)
        except (ValueError, TypeError) as error:  # a condition is missing, or unwelcome
            refused.append(str(error))
            continue
        if found is None:
            notes["log p(x)"] = f"{type(model).__name__} samples, but cannot score"
        else:
            numbers[name] = found
        return
    notes["log p(x)"] = refused[-1 if getattr(model, "classes", None) else 0]  # what was wrong with the proper question


def _samples(
    model: GenerativeModel,
    data: Dataset,
    n: int,
    classifier: DigitClassifier | None,
    seed: int,
    numbers: dict,
    notes: dict,
) -> None:
    """What they cost, how far they are from test examples, and what the classifier says of them."""
    try:
        x, asked, milliseconds = draw(model, n, seed)
    except (ValueError, TypeError) as error:  # of a condition that is no label, say
        notes["samples"] = str(error)
        return
    numbers["ms/sample"] = plain(milliseconds, n, "ms")
    strange = (~torch.isfinite(x).flatten(1).all(1)).sum()
    if strange:
        notes["samples"] = f"{strange} of {n} samples are not finite"
        return
    sets = (x, data.test, data.train, data.valid if len(data.valid) else data.test)
    enough = min(n, len(data.test)) >= FEWEST and len(data.train)
    if not enough:
        notes["samples"] = (
            f"distances need {FEWEST} samples, {FEWEST} test examples and training examples; "
            f"got {n}, {len(data.test)} and {len(data.train)}"
        )
    if len(data.space.shape) < 3:
        if enough:
            fake, test, train, fresh = (_points(part, data.space) for part in sets)
            numbers["MMD²"] = plain(mmd(test, fake), n)
            found = sample_quality(fake, test, train, fresh)
            numbers.update({name: found[name] for name in found if name not in ("Fréchet", "kernel")})
        return
    try:
        judge = classifier or course_classifier(data.space)
    except ValueError as error:
        notes["samples"] = str(error)
        return
    fake = course_features(x, judge)
    chances = judge.head(fake.to(judge.device)).softmax(-1).cpu()  # of each label, (n, classes)
    numbers.update(recognition(chances, asked))
    if enough:
        numbers.update(sample_quality(fake, *(course_features(part, judge) for part in sets[1:])))


def _points(x: torch.Tensor, space: Space) -> torch.Tensor:
    """(n, *shape) -> (n, d): flat; tokens, which have no order, as ones and zeros, so that ‖a − b‖²/2 counts those that differ."""
    if space.kind == "tokens":
        x = torch.nn.functional.one_hot(x, space.levels).float()  # (n, length, vocabulary)
    return x.flatten(1)


def _representation(model: GenerativeModel, data: Dataset, numbers: dict, notes: dict) -> None:
    """What a linear classifier reads off the latent space."""
    if not isinstance(model, Latent) or data.train_labels is None or data.train_labels.dtype != torch.int64:
        return
    try:
        train, test = (
            torch.cat([model.encode(part.to(model.device)).cpu() for part in x.split(_AT_ONCE)])
            for x in (data.train, data.test)
        )
        numbers["probe"] = linear_probe(train, data.train_labels, test, data.test_labels)
    except (ValueError, TypeError) as error:
        notes["probe"] = str(error)
