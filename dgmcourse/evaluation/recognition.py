"""What a classifier makes of samples: the score that was used before distances of features were."""

import torch
from torch import Tensor

__all__ = ["inception_style_score"]


def inception_style_score(probabilities: Tensor) -> float:
    """How sure a classifier is of each sample, and how evenly samples are spread over the classes:

        exp E_x KL(p(y|x) ‖ p(y)),   p(y) = E_x p(y|x)

    1 if every sample looks alike to the classifier; at most the number of classes, if it is sure of each sample and every
    class is as frequent. With Inception-v3 it is the "inception score"; in the course, its own classifier judges.

    Its flaws: it never looks at real data. A model that makes one perfect image of each class gets the best score, and so
    does one whose samples are noise that the classifier is sure of; what happens within a class is not seen; real classes
    of uneven frequency are punished; it is biased for small samples. Put it beside other scores, never alone.

    Salimans et al., "Improved Techniques for Training GANs", 2016, https://arxiv.org/abs/1606.03498; flaws: Barratt &
    Sharma, "A Note on the Inception Score", 2018, https://arxiv.org/abs/1801.01973

    Args:
        probabilities: p(y|x), (n, classes), each row of which adds up to 1, e.g. `classifier(x).softmax(-1)`.

    Returns:
        a number between 1 and the number of classes.

    Raises:
        ValueError: rows that are no distributions.
    """
    if probabilities.ndim != 2 or not probabilities.numel():
        raise ValueError(f"probabilities must be (n, classes), n ≥ 1, got {tuple(probabilities.shape)}")
    p = probabilities.detach().cpu().double()
    if not (p >= 0).all() or not torch.allclose(p.sum(1), torch.ones(len(p)).double(), atol=1e-4):
        raise ValueError(
            "each row must hold probabilities, 0 or more, that add up to 1; for logits, take logits.softmax(-1)"
        )
    p = p / p.sum(1, keepdim=True)
    marginal = p.mean(0)
    return float((torch.xlogy(p, p).sum(1).mean() - torch.xlogy(marginal, marginal).sum()).exp())
