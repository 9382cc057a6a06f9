"""How well scores tell strange images: against scikit-learn, closed forms, and images that are strange in known ways."""

import math

import pytest
import torch
from sklearn.metrics import roc_auc_score

from dgmcourse.data import bars_and_stripes, digits
from dgmcourse.evaluation import auroc, outlier_aurocs, strange_images


def test_auroc_agrees_with_scikit_learn_and_with_all_pairs_where_scores_tie():
    torch.manual_seed(0)
    normal, strange = torch.randn(60).mul(3).round(), torch.randn(40).add(0.5).mul(3).round()
    found = auroc(normal, strange)
    labels = [0] * 60 + [1] * 40
    assert found == pytest.approx(roc_auc_score(labels, torch.cat([normal, strange])))
    pairs = (strange[:, None] > normal).double() + 0.5 * (strange[:, None] == normal).double()
    assert found == pytest.approx(float(pairs.mean()))
    assert auroc(strange, normal) == pytest.approx(1 - found)


def test_auroc_of_two_gaussians_is_the_probability_that_one_exceeds_the_other():
    """N(d, 1) exceeds N(0, 1) with probability Φ(d / √2)."""
    p = (torch.arange(2000, dtype=torch.float64) + 0.5) / 2000
    scores = torch.special.ndtri(p)
    truth = 0.5 * (1 + math.erf(1.5 / 2))
    assert auroc(scores, scores + 1.5) == pytest.approx(truth, abs=1e-3)


def test_scores_that_cannot_be_ranked_are_refused_in_words():
    scores = torch.zeros(3)
    with pytest.raises(ValueError, match="1 of 3 scores of strange examples are NaN"):
        auroc(scores, torch.tensor([0.0, float("nan"), 1.0]))
    with pytest.raises(ValueError, match="normal must hold one score for each"):
        auroc(torch.zeros(0), scores)
    with pytest.raises(ValueError, match="strange must hold one score for each"):
        auroc(scores, torch.zeros(3, 1))
    assert auroc(scores, torch.full((3,), math.inf)) == 1.0


@pytest.mark.parametrize("levels", [2, 17])
def test_strange_images_are_of_the_space_and_as_strange_as_they_say(levels):
    data = digits(levels)
    found = strange_images(data)
    assert list(found) == ["letters", "upside down", "mirrored", "noisy", "averages"]
    for images in found.values():
        data.space.check(images, values=True)
    torch.testing.assert_close(found["upside down"].flip(-2), data.test)
    torch.testing.assert_close(found["mirrored"].flip(-1), data.test)
    assert len(found["letters"]) == 300
    assert (found["letters"].flatten(1).sum(1) > 6).all()  # ink enough for strokes
    changed = float((found["noisy"] != data.test).float().mean())
    assert 0.09 < changed < 0.11 if levels == 2 else changed > 0.5
    assert not torch.equal(found["noisy"], strange_images(data, seed=1)["noisy"])
    assert torch.equal(found["noisy"], strange_images(data)["noisy"])


def test_strange_images_need_square_images():
    with pytest.raises(ValueError, match="at least 8×8"):
        strange_images(bars_and_stripes(3))


def test_a_score_is_judged_on_each_kind():
    """Ink: the score of an image that is turned over is its own; noise adds ink to the paper."""
    data = digits(17)
    ink = lambda x: x.flatten(1).sum(1)  # noqa: E731
    found = outlier_aurocs(ink, data.test, strange_images(data))
    assert found["upside down"] == found["mirrored"] == 0.5
    assert found["noisy"] > 0.6
    assert set(found) == set(strange_images(data))
