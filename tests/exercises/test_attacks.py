"""Whatever a learner's function does, the check says what is wrong, and the kernel is as it was."""

import functools
import gc
import warnings

import demo
import numpy as np
import pytest
import torch
from demo import verdict

from dgmcourse.exercises.engine.judging import judge


def summed(mean, log_var):
    return 0.5 * (mean.square() + log_var.exp() - 1 - log_var)


def fails_inside_torch(mean, log_var):
    return mean @ log_var


def fails_in_a_helper(mean, log_var):
    return helper(mean)


def helper(mean):
    raise KeyError("no such thing")


def recursive(mean, log_var):
    return recursive(mean, log_var)


def exits(mean, log_var):
    raise SystemExit(0)


def own_base_exception(mean, log_var):
    class Odd(BaseException):
        def __str__(self):
            raise ValueError("even my message fails")

    raise Odd


def half_way_blank(mean, log_var):
    part = summed(mean, log_var)
    raise NotImplementedError(part)


def torch_lacks_it(mean, log_var):
    return torch.empty(3, device="meta").item()


def not_implemented_deeper(mean, log_var):
    return unfinished_helper()


def unfinished_helper():
    raise NotImplementedError("a helper of my own")


async def asynchronous(mean, log_var):
    return demo.kl(mean, log_var)


def yields(mean, log_var):
    yield demo.kl(mean, log_var)


def prints(mean, log_var):
    print(demo.kl(mean, log_var))


def changes_input(mean, log_var):
    mean *= 1.5
    return demo.kl(mean / 1.5, log_var)


def changes_input_back_to_front(mean, log_var):
    result = demo.kl(mean, log_var)
    log_var.data.zero_()
    return result


WRONG = {
    "nothing": (lambda mean, log_var: None, "nothing (None), expected a tensor of shape (5,). Is a `return` missing?"),
    "prints": (prints, "It prints its answer but does not return it"),
    "numpy": (lambda m, v: demo.kl(m, v).detach().numpy(), "is a NumPy array, expected a tensor of shape (5,)."),
    "float": (lambda m, v: demo.kl(m, v).sum().item(), "is a float, expected a tensor"),
    "list": (lambda m, v: list(demo.kl(m, v)), "is a list of 5, expected a tensor of shape (5,). Return one tensor"),
    "tuple": (lambda m, v: (demo.kl(m, v), m), "is a tuple of 2, expected a tensor"),
    "dict": (lambda m, v: {"kl": demo.kl(m, v)}, "is a dict, expected a tensor"),
    "itself": (lambda m, v: demo.kl, "is a function, expected a tensor"),
    "yields": (yields, "because the function uses `yield`; use `return`"),
    "async": (asynchronous, "begins with `async def`"),
    "unsummed": (summed, "has shape (5, 3), expected (5,). Your dimension 1, of size 3, should be gone"),
    "total": (lambda m, v: summed(m, v).sum(), "has shape (), expected (5,). A dimension of size 5 is gone"),
    "wrong dim": (lambda m, v: summed(m, v).sum(0), "has shape (3,), expected (5,)"),
    "keepdim": (
        lambda m, v: summed(m, v).sum(1, keepdim=True),
        "has shape (5, 1), expected (5,). A dimension of size 1",
    ),
    "double": (
        lambda m, v: demo.kl(m, v).double(),
        "dtype torch.float64, expected torch.float32. The values are right",
    ),
    "half": (lambda m, v: demo.kl(m, v).bfloat16(), "has dtype torch.bfloat16, expected torch.float32."),
    "device": (lambda m, v: demo.kl(m, v).to("meta"), "is on device meta, expected cpu"),
    "huge": (lambda m, v: torch.zeros(1).expand(10**13), "has shape (10000000000000,), expected (5,)"),
    "sparse": (lambda m, v: demo.kl(m, v).to_sparse(), "layout"),
    "nan": (lambda m, v: demo.kl(m, v) * float("nan"), "not finite: nan at [0] where"),
    "infinite": (lambda m, v: demo.kl(m, v).exp().exp().exp().exp() * 1e30, "is not finite: inf"),
    "detached": (
        lambda m, v: demo.kl(m, v).detach(),
        "not differentiable with respect to the inputs. The values are right",
    ),
    "rebuilt": (lambda m, v: torch.tensor(demo.kl(m, v).tolist()), "not differentiable"),
    "wrong gradient": (lambda m, v: demo.kl(m.detach(), v), "the gradient with respect to `m` is not"),
    "sign": (lambda m, v: -demo.kl(m, v), "The sign is wrong everywhere."),
    "double value": (lambda m, v: summed(m, v).sum(1) * 2, "It is 2 times the expected value everywhere: a factor 1/2"),
    "bits": (lambda m, v: demo.kl(m, v) / torch.tensor(2.0).log(), "bits where nats are expected"),
    "offset": (lambda m, v: demo.kl(m, v) + 1.5, "off by the same +1.5 everywhere"),
    "constant": (lambda m, v: demo.kl(m, v) + 1.5 * torch.tensor(2 * torch.pi).log(), "which is 3 times ½ log 2π"),
    "exponential": (lambda m, v: demo.kl(m, v).exp(), "It is the exponential of the expected value everywhere"),
    "zero": (lambda m, v: 0 * demo.kl(m, v), "Every entry is 0."),
    "order": (lambda m, v: demo.kl(m, v).flip(0), "The right values are there, but in another order."),
    "noisy": (lambda m, v: demo.kl(m, v) + torch.rand(5), "Two calls with the same inputs give different answers"),
    "changes input": (changes_input, "your function changes its input `mean` in place"),
    "changes data": (changes_input_back_to_front, "your function changes its input `log_var` in place"),
    "one parameter": (lambda mean: mean, "It takes (mean), but it is called with 2 arguments: (mean, log_var)."),
    "three parameters": (lambda mean, log_var, more: mean, "it is called with 2 arguments: (mean, log_var)"),
    "keywords only": (lambda *, mean, log_var: mean, "It takes (*, mean, log_var), but it is called with 2"),
    "raises": (fails_inside_torch, ", `return mean @ log_var`, with RuntimeError: mat1 and mat2"),
    "raises in helper": (fails_in_a_helper, "`raise KeyError(\"no such thing\")`, with KeyError: 'no such thing'."),
    "recursion": (recursive, "It calls itself without end on line"),
    "exit": (exits, "It calls exit() on line"),
    "odd exception": (own_base_exception, "It stops with Odd."),
    "not blank": (not_implemented_deeper, "with NotImplementedError: a helper of my own"),
    "torch lacks it": (torch_lacks_it, "It stops on line"),
    "memory": (lambda m, v: torch.empty(10**15), "It asks for more memory than there is"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_answer_is_named_in_words(case):
    answer, words = WRONG[case]
    result = verdict(answer)
    assert result.status == "wrong"
    assert words in result.message
    assert result.message.endswith((".", "?", "!"))


def kl_by_double(mean, log_var):
    mean, log_var = mean.double(), log_var.double()
    return demo.kl(mean, log_var).float()


def kl_by_loop(mu, logvar):
    rows = [
        sum(0.5 * (m * m + torch.exp(v) - 1 - v) for m, v in zip(*row, strict=True))
        for row in zip(mu, logvar, strict=True)
    ]
    return torch.stack(rows)


def kl_by_distributions(mean, log_var):
    q = torch.distributions.Normal(mean, (0.5 * log_var).exp())
    return torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum(dim=1)


def kl_in_place_on_own_tensors(mean, log_var):
    terms = mean.square()
    terms += log_var.exp()
    terms -= 1 + log_var
    return terms.sum(-1).mul_(0.5)


def kl_with_extra(mean, log_var, beta=1.0):
    print("shape", mean.shape)
    return beta * demo.kl(mean, log_var)


class Kl:
    def __call__(self, mean, log_var):
        return demo.kl(mean, log_var)

    def method(self, mean, log_var):
        return demo.kl(mean, log_var)

    @staticmethod
    def static(mean, log_var):
        return demo.kl(mean, log_var)


RIGHT = {
    "double inside": kl_by_double,
    "loop": kl_by_loop,
    "distributions": kl_by_distributions,
    "einsum": lambda m, v: 0.5 * torch.einsum("bl->b", m**2 + v.exp() - v) - m.shape[1] / 2,
    "in place": kl_in_place_on_own_tensors,
    "partial": functools.partial(demo.kl),
    "partial of more": functools.partial(kl_with_extra, beta=1.0),
    "callable object": Kl(),
    "method": Kl().method,
    "static": Kl.static,
    "any arguments": lambda *arguments: demo.kl(*arguments),
    "default argument": kl_with_extra,
    "parameter": lambda m, v: demo.kl(m, v).as_subclass(torch.Tensor),
    "mapped": torch.vmap(lambda m, v: demo.kl(m, v)),
}


@pytest.mark.parametrize("case", RIGHT)
def test_a_right_answer_written_differently_passes(case):
    assert verdict(RIGHT[case]).message == ""


class BlankMethod:
    def method(self, mean, log_var):
        raise NotImplementedError


@pytest.mark.parametrize("blank", [half_way_blank, BlankMethod().method, torch.no_grad()(half_way_blank)])
def test_a_blank_is_raised_by_the_learners_own_code(blank):
    assert verdict(blank).status == "blank"


def test_a_warning_that_explains_is_shown_with_a_wrong_answer_alone():
    def warned(mean, log_var):
        warnings.warn("sizes are broadcast", stacklevel=1)
        return mean

    assert "It also warns: sizes are broadcast" in verdict(warned).message


def test_a_coincidence_does_not_pass():
    mean, log_var = demo.mean_and_log_var(torch.Generator().manual_seed(0))
    remembered = demo.kl(mean, log_var)
    assert not verdict(lambda mean, log_var: remembered + 0 * demo.kl(mean, log_var))


STRUCTURED = demo.Exercise(
    "demo/structured",
    reference=lambda x: {"loss": x.sum(), "parts": (x, 3, 0.5, True)},
    inputs=lambda generator: torch.randn(4, generator=generator),
)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda x: {"loss": x.sum(), "parts": [x, 3.0, torch.tensor(0.5), np.bool_(True)]}, ""),
        (lambda x: {"loss": x.sum()}, "lacks 'parts'"),
        (lambda x: {"loss": x.sum(), "parts": (x,), "more": 1}, "has an unexpected 'more'"),
        (lambda x: {"loss": x.sum(), "parts": (x, 3)}, "Part ['parts'] of your answer has 2 parts, expected 4."),
        (lambda x: {"loss": x.sum(), "parts": (x, 4, 0.5, True)}, "Part ['parts'][1] of your answer is 4, expected 3."),
        (
            lambda x: {"loss": x.sum(), "parts": (x, 3, 0.25, True)},
            "Part ['parts'][2] of your answer is 0.25, expected 0.5.",
        ),
        (
            lambda x: {"loss": x.sum(), "parts": (x, 3, 0.5, False)},
            "Part ['parts'][3] of your answer is 0, expected 1.",
        ),
        (lambda x: {"loss": x.sum(), "parts": (x, 10**400, 0.5, True)}, "is not the expected 3"),
        (lambda x: {"loss": x.mean(), "parts": (x, 3, 0.5, True)}, "1/4, as if a mean stood over a dimension of 4"),
        (
            lambda x: {"loss": "x", "parts": (x, 3, 0.5, True)},
            "Part ['loss'] of your answer is a string, expected a tensor",
        ),
    ],
)
def test_structured_answers(answer, words):
    result = judge(STRUCTURED, answer)
    assert bool(result) is (words == "")
    assert words in result.message


def test_integers_are_exact_and_infinities_may_be_right():
    counting = demo.Exercise("demo/count", reference=lambda n: 10**6 + n, inputs=lambda generator: 3)
    assert not judge(counting, lambda n: 10**6 + n + 1)
    masking = demo.Exercise(
        "demo/mask",
        reference=lambda scores: scores.masked_fill(torch.ones(3, 3).triu(1).bool(), float("-inf")),
        inputs=lambda generator: torch.randn(3, 3, generator=generator),
        differentiable=True,
    )
    assert judge(masking, lambda scores: torch.where(torch.ones(3, 3).tril() == 0, float("-inf"), scores))
    assert "is 0 at [0, 1], expected -inf" in judge(masking, torch.tril).message


def test_small_numbers_are_compared_by_their_own_size():
    small = demo.Exercise(
        "demo/small", reference=lambda x: x * 1e-8, inputs=lambda generator: torch.rand(4, generator=generator)
    )
    assert judge(small, lambda x: x / 1e8)
    assert not judge(small, torch.zeros_like)


def test_an_answer_that_starts_tasks_leaves_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not verdict(asynchronous)
        gc.collect()
