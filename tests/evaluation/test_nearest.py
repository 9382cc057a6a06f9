"""The distance to the nearest example, against the definition."""

import pytest
import torch

from dgmcourse.evaluation.nearest import nearest_distance


def test_it_is_the_smallest_of_all_distances_in_batches_of_any_size():
    torch.manual_seed(0)
    x, examples = torch.rand(7, 1, 3, 3), torch.rand(5, 1, 3, 3)
    right = torch.stack([torch.stack([(a - b).square().sum().sqrt() for b in examples]).min() for a in x])
    for batch_size in (2, 7, 100):
        torch.testing.assert_close(nearest_distance(x, examples, batch_size), right)


def test_a_copy_is_no_distance_away():
    examples = torch.rand(4, 1, 3, 3)
    torch.testing.assert_close(nearest_distance(examples[2:3], examples), torch.zeros(1), rtol=0, atol=1e-3)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="must be alike but for their numbers"):
        nearest_distance(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ValueError, match="there must be an example"):
        nearest_distance(torch.zeros(2, 3), torch.zeros(0, 3))
