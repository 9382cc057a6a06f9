"""Mistakes that raise, or give NaN or infinities, are recognised as the mistakes that they are."""

import dataclasses
import subprocess
import sys

import demo
import pytest
import torch
from demo import verdict

from dgmcourse.exercises import Mistake, all_exercises, verify

APART = Mistake(lambda m, v: m.square() - v.sum(-1), "Sum both.", also=(lambda m, v: v.sum(-1) - m.square(),))
ROOTED = Mistake(lambda m, v: (0.5 * (m.square() + v.sqrt() - v)).sum(-1), "A root of a negative number is NaN.")
SWAPPED = Mistake(lambda m, v: m.square() @ v, "Neither.")


def verdict_with(answer, *mistakes):
    return verdict(answer, mistakes=(*demo.KL.mistakes, *mistakes))


@pytest.mark.parametrize("answer", [lambda m, v: m**2 - v.sum(1), lambda a, b: b.sum(dim=1) - a * a])
def test_the_same_error_is_the_same_mistake(answer):
    result = verdict_with(answer, SWAPPED, APART)
    assert (result.status, result.message) == ("wrong", "Sum both.")


def raises(error):
    def answer(*inputs):
        raise error

    return answer


@pytest.mark.parametrize(
    ("error", "known"),
    [
        (ValueError("no"), True),
        (ValueError("No"), False),
        (RuntimeError("no"), False),
        (UnicodeError("no"), False),
    ],
)
def test_type_and_text_must_both_agree(error, known):
    result = verdict_with(raises(error), Mistake(raises(ValueError("no")), "Known."))
    assert (result.message == "Known.") is known
    assert known or type(error).__name__ in result.message


def test_an_error_on_a_later_draw_is_compared_there():
    rows = [demo.mean_and_log_var(torch.Generator().manual_seed(seed))[0] for seed in range(3)]

    def late(mean, log_var):
        if torch.equal(mean.detach(), rows[2]):
            raise ValueError("late")
        return demo.kl(mean, log_var)

    assert verdict_with(late, Mistake(late, "Only the third.")).message == "Only the third."
    assert "ValueError: late" in verdict_with(late, Mistake(raises(ValueError("early")), "All.")).message


def test_a_blank_and_lost_time_are_no_known_mistakes():
    def unfinished(mean, log_var):
        raise NotImplementedError

    def endless(mean, log_var):
        while True:
            pass

    assert verdict_with(unfinished, Mistake(unfinished, "Blank?")).status == "blank"
    result = verdict(endless, mistakes=[Mistake(endless, "Endless.")], time_limit=0.05)
    assert "It was stopped after" in result.message


def test_the_first_mistake_of_a_bug_hunt_may_raise():
    broken = Mistake(raises(ValueError("shipped")), "Still there.")
    hunt = dataclasses.replace(demo.BUG_HUNT, mistakes=(broken, *demo.BUG_HUNT.mistakes[1:]))
    result = verdict(lambda v, w, b, c: raises(ValueError("shipped"))(v, w), hunt)
    assert (result.status, result.message) == ("blank", "Still there.")


def test_nan_in_the_same_places_is_the_same_mistake():
    def same(mean, log_var):
        return (mean * mean / 2 + torch.sqrt(log_var) / 2 - log_var / 2).sum(1)

    assert verdict_with(same, ROOTED).message == ROOTED.message
    elsewhere = verdict_with(lambda m, v: torch.where(m[:, 0] > 0, torch.nan, same(m, v)), ROOTED)
    assert elsewhere.status == "wrong"
    assert "not finite" in elsewhere.message
    overflow = Mistake(lambda m, v: demo.kl(m, v) - (m[:, 0] > 0) / torch.zeros(()), "Minus infinity or NaN.")
    assert verdict_with(lambda m, v: (m[:, 0] > 0) / -torch.zeros(1) + demo.kl(m, v), overflow).message == (
        overflow.message
    )


def test_verify_tries_every_way_of_a_mistake():
    odd = Mistake(demo.kl_averaged, demo.KL.mistakes[1].message, also=(lambda m, v: demo.kl(m, v),))
    with pytest.raises(AssertionError, match=r"way 2 of it\) is met with ✅"):
        verify(dataclasses.replace(demo.KL, mistakes=(demo.KL.mistakes[0], odd, demo.KL.mistakes[2])))


ORDER = ["reparameterize", "kl", "elbo", "importance", "interpolate", "anomaly", "warmup", "bug"]


@pytest.mark.parametrize("first", ["vae_training", "vae_latents", "vae"])
def test_lesson_04_is_listed_in_its_own_order_whatever_is_imported_first(first):
    code = (
        f"import dgmcourse.exercises.{first}; from dgmcourse.exercises import find, all_exercises; find('vae/bug'); "
        "print(*(one.name for one in all_exercises() if one.lesson == '04_vaes'))"
    )
    listed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert listed == [f"vae/{name}" for name in ORDER]


def test_every_way_to_be_wrong_is_told_once():
    for exercise in all_exercises():
        functions = [way for mistake in exercise.mistakes for way in mistake.functions]
        assert len(set(functions)) == len(functions), exercise
