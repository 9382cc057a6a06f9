"""The inception-style score against its definition and its known extremes."""

import pytest
import torch

from dgmcourse.evaluation import inception_style_score


def test_it_is_the_exponential_of_the_mean_divergence():
    p = torch.rand(50, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    p = p / p.sum(1, keepdim=True)
    right = torch.stack([(row * (row / p.mean(0)).log()).sum() for row in p]).mean().exp()
    assert inception_style_score(p) == pytest.approx(float(right), rel=1e-12)
    assert inception_style_score(p.float()) == pytest.approx(float(right), rel=1e-6)


def test_its_extremes():
    sure = torch.eye(10).repeat(3, 1)
    assert inception_style_score(sure) == pytest.approx(10)
    assert inception_style_score(torch.full((20, 10), 0.1)) == pytest.approx(1)
    assert inception_style_score(sure[:1].repeat(9, 1)) == pytest.approx(1)
    assert inception_style_score(torch.eye(10)[[0, 1]]) == pytest.approx(2), "a model that knows two digits"


def test_its_flaw_ten_images_alone_get_the_best_score():
    assert inception_style_score(torch.eye(10)) == pytest.approx(10)


def test_what_is_no_distribution_is_refused():
    for bad in (torch.randn(5, 3), torch.full((5, 3), 0.5)):
        with pytest.raises(ValueError, match=r"logits.softmax\(-1\)"):
            inception_style_score(bad)
    with pytest.raises(ValueError, match=r"\(n, classes\), n ≥ 1, got \(3,\)"):
        inception_style_score(torch.ones(3) / 3)
