"""Which of the next values may be drawn, and how boldly: temperature, top-k and nucleus sampling."""

import torch
from torch import Tensor

__all__ = ["filtered"]


def filtered(logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None) -> Tensor:
    """The log-probabilities that are drawn from, in nats: (…, levels) -> (…, levels), −∞ for what is left out.

        p_T(v) ∝ exp(logits_v / T), then only the k likeliest values, then of those the nucleus:
        the fewest likeliest values whose probabilities sum to at least top_p; what remains is normalized again

    Every distribution but p₁ is another one than the model's: `log_prob` does not score these samples.

    Fan, Lewis & Dauphin, "Hierarchical neural story generation", 2018, https://arxiv.org/abs/1805.04833 (top-k)
    Holtzman et al., "The curious case of neural text degeneration", 2020, https://arxiv.org/abs/1904.09751 (nucleus)

    Args:
        logits: (…, levels), scores up to a constant.
        temperature: T ≥ 0; below 1 bolder, above 1 more even; at 0 the likeliest value has probability 1.
        top_k: how many values may be drawn; None for all. Of equal ones the first.
        top_p: share of the probability that the nucleus must hold, in (0, 1]; None or 1 for all.

    Raises:
        ValueError: a negative temperature, top_k < 1, or top_p outside (0, 1].
    """
    if not temperature >= 0:
        raise ValueError(f"temperature must be ≥ 0, got {temperature}; 1 leaves the model's probabilities as they are")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must be ≥ 1, got {top_k}; leave it None to allow every value")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p must lie in (0, 1], got {top_p}; leave it None to allow every value")
    if temperature == 0:
        logits, top_k = logits - logits.amax(-1, keepdim=True), 1
    else:
        logits = (logits - logits.amax(-1, keepdim=True)) / temperature  # at most 0, so that no temperature overflows
    log_p = logits.log_softmax(-1)
    if top_k is None and top_p is None:
        return log_p
    ranked, values = log_p.sort(dim=-1, descending=True, stable=True)
    if top_k is not None:
        ranked[..., top_k:] = -torch.inf
        ranked = ranked.log_softmax(-1)
    if top_p is not None and top_p < 1:
        before = ranked.exp().cumsum(-1) - ranked.exp()  # what the likelier values hold together
        ranked = ranked.masked_fill(before >= top_p, -torch.inf)
        ranked = ranked.log_softmax(-1)
    return torch.empty_like(log_p).scatter_(-1, values, ranked)
