"""Each injected fault does what it says and nothing else, and sets without a fault have no effect."""

import math
from dataclasses import replace

import pytest
import torch

from dgmcourse import data
from dgmcourse.evaluation import faults
from dgmcourse.evaluation.faults import FAULTS, METRICS, FaultTable, Sources, fault_table, inject, parzen_log_prob

DIGITS = data.digits(levels=17)
POOL = Sources(DIGITS.test, DIGITS.test_labels, DIGITS.train, DIGITS.train_labels)
COUNT = 120


def injected(fault, seed=0):
    return inject(fault, POOL, COUNT, torch.Generator().manual_seed(seed))


def rows(x):
    """Images as tuples that can be compared."""
    return [tuple(row) for row in x.flatten(1).tolist()]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_set_holds_images_and_labels_and_depends_on_the_seed_alone(fault):
    x, labels = injected(fault)
    assert x.shape[1:] == DIGITS.space.shape
    assert len(x) == len(labels) == (24 if "few" in fault else COUNT)
    assert float(x.min()) >= 0
    assert float(x.max()) <= 1
    again = injected(fault)
    assert torch.equal(x, again[0])
    assert torch.equal(labels, again[1])
    assert not torch.equal(x, injected(fault, seed=1)[0])


@pytest.mark.parametrize("fault", ["a class is missing", "classes out of balance", "too few samples", faults.CONTROL])
def test_what_is_drawn_from_the_pool_is_drawn_once_with_its_label(fault):
    x, labels = injected(fault)
    truth = dict(zip(rows(POOL.pool), POOL.pool_labels.tolist(), strict=True))
    assert len(set(rows(x))) == len(x)
    assert [truth[row] for row in rows(x)] == labels.tolist()


def test_one_class_is_missing_and_only_one():
    missing = {(set(range(10)) - set(injected("a class is missing", seed)[1].tolist())).pop() for seed in range(8)}
    assert len(missing) > 1  # not always the same
    assert all(len(set(injected("a class is missing", seed)[1].tolist())) == 9 for seed in range(8))


def test_half_of_the_classes_make_up_four_fifths():
    counts = injected("classes out of balance")[1].bincount(minlength=10).sort().values
    assert int(counts[5:].sum()) == 96
    assert int(counts[:5].sum()) == 24


def test_the_memorized_images_are_training_images():
    assert set(rows(injected("training set memorized")[0])) <= set(rows(DIGITS.train))
    assert not set(rows(injected(faults.CONTROL)[0])) & set(rows(DIGITS.train))


def test_blur_keeps_ink_inside_the_border_and_evens_it_out():
    x, y = injected("blur")
    honest, honest_labels = injected(faults.CONTROL)
    assert torch.equal(y, honest_labels)  # the same images, blurred
    assert float(x[..., 1:].sub(x[..., :-1]).abs().mean()) < 0.85 * float(
        honest[..., 1:].sub(honest[..., :-1]).abs().mean()
    )
    dot = torch.zeros(1, 1, 8, 8)
    dot[..., 4, 4] = 1
    source = Sources(dot, torch.zeros(1, dtype=torch.int64), dot, torch.zeros(1, dtype=torch.int64))
    found, _ = faults._blur(source, 1, torch.Generator().manual_seed(0))
    assert float(found.sum()) == pytest.approx(1)
    assert float(found[0, 0, 4, 4]) == pytest.approx(0.5 + 0.5 / 4)
    assert float(found[0, 0, 3, 4]) == pytest.approx(0.5 / 8)


def test_an_average_is_of_two_images_of_its_class():
    x, y = injected("averages of two")
    for image, label in zip(x[:5], y[:5], strict=True):
        of_class = POOL.pool[POOL.pool_labels == label]
        means = 0.5 * (of_class[:, None] + of_class)  # (n, n, *shape)
        assert float((means - image).abs().flatten(2).amax(-1).min()) < 1e-6


def test_noise_has_the_size_that_it_says():
    x, _ = injected("noise")
    honest, _ = injected(faults.CONTROL)
    between = (honest > 0.4) & (honest < 0.6)  # where nothing is clipped
    assert float((x - honest)[between].std()) == pytest.approx(0.15, rel=0.1)


def test_unknown_faults_and_poor_pools_are_refused():
    with pytest.raises(ValueError, match="there is no fault 'rust'; there are: a class is missing"):
        injected("rust")
    with pytest.raises(ValueError, match="the pool has 297 examples of the classes wanted, fewer than 400"):
        inject(faults.CONTROL, POOL, 400, torch.Generator())
    with pytest.raises(ValueError, match="seeds ≥ 2"):
        fault_table(DIGITS, seeds=1)
    with pytest.raises(ValueError, match="with labels of train, test and seeds=2; use digits"):
        fault_table(replace(DIGITS, valid_labels=None), seeds=2)
    with pytest.raises(ValueError, match="with labels of nothing"):
        fault_table(replace(DIGITS, train_labels=None, valid_labels=None, test_labels=None))


def test_samples_are_compared_with_images_that_were_not_in_their_pool(monkeypatch):
    seen = []

    def looked_at(samples, real, train, classifier, seed):
        seen.append((set(rows(samples[0])), set(rows(real[0])), len(real[0])))
        return dict.fromkeys(METRICS, 0.0)

    monkeypatch.setattr(faults, "readings", looked_at)
    fault_table(DIGITS, [faults.CONTROL, "a class is missing"], seeds=2)
    held = len(DIGITS.valid) + len(DIGITS.test)
    assert len(seen) == 6  # an honest set and two others, twice
    for drawn, real, count in seen:
        assert not drawn & real
        assert count == held - 3 * held // 5
    assert seen[0][1] != seen[3][1]  # dealt anew


def test_the_parzen_likelihood_is_the_mixtures_and_knows_one_kernel():
    x, point = torch.tensor([[0.3, -0.1]]), torch.zeros(1, 2)
    expected = torch.distributions.Normal(0.0, 0.2).log_prob(x).sum()
    assert parzen_log_prob(point, x) == pytest.approx(float(expected), rel=1e-5)
    assert parzen_log_prob(torch.tensor([[0.0, 0.0], [100.0, 0.0]]), x) == pytest.approx(
        float(expected) - math.log(2), rel=1e-5
    )


def test_effects_are_gaps_over_standard_deviations_with_worse_above_zero():
    honest = torch.tensor([[1.0, 3.0], [0.5, 0.7], [5.0, 5.0]]).double()
    values = torch.tensor([[[4.0, 4.0], [0.4, 0.4], [5.0, 5.0]]]).double()
    table = FaultTable(["x"], ["Fréchet", "recall", "probe"], values, honest)
    expected = [[2 / math.sqrt(2), 0.2 / (0.2 / math.sqrt(2)), 0.0]]
    torch.testing.assert_close(table.effects, torch.tensor(expected).double())
    assert table.chance == 1.0
    assert "+1.4" in repr(table)


@pytest.mark.slow
def test_the_table_finds_nothing_where_nothing_is_wrong_and_each_fault_by_some_metric():
    table = fault_table(DIGITS, seeds=16)
    effects = dict(zip(table.faults, table.effects, strict=True))
    assert list(table.metrics) == list(METRICS)
    assert float(effects[faults.CONTROL].abs().max()) < 3.5 * table.chance
    for fault, line in effects.items():
        if fault != faults.CONTROL:
            assert float(line.max()) > 3, fault
    of = lambda fault, metric: float(effects[fault][list(METRICS).index(metric)])  # noqa: E731
    memorized = {m: of("training set memorized", m) for m in METRICS}
    assert max(memorized, key=memorized.get) == "copying z"
    assert sorted(memorized.values())[-2] < 2  # no other metric sees it
    assert of("too few samples", "Fréchet") > 3 > abs(of("too few samples", "kernel"))  # biased, and not
    assert of("averages of two", "density") < -2  # fooled
