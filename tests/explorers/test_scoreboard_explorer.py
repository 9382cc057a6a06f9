"""ScoreboardExplorer without a browser: what is certain, what is open and why, and where everything stands."""

import math

import numpy as np
import pytest
import torch
from small_boards import five_models, images, nats, number, report
from traitlets import TraitError

from dgmcourse.core import Kind
from dgmcourse.evaluation import Scoreboard
from dgmcourse.evaluation.report import QUANTITIES
from dgmcourse.explorers import ScoreboardExplorer
from dgmcourse.explorers.contest import Contest
from dgmcourse.explorers.drawing import SCALE, font, log_ticks
from dgmcourse.explorers.score_plane import ScorePlane, _crossed, mark_of


@pytest.fixture(scope="module")
def contest():
    return Contest(five_models())


@pytest.fixture
def explorer():
    return ScoreboardExplorer(five_models(), images("exact", "GAN"))


def pair(one, other, quantity: str = "log p(x)") -> Contest:
    """Two models with a number each; a list of numbers means several runs."""
    runs = {name: n if isinstance(n, list) else [n] for name, n in (("one", one), ("other", other))}
    reports = {name: [report(name, **{quantity: n}) for n in ns] for name, ns in runs.items()}
    return Contest(Scoreboard(reports, {}))


# --- what is certain -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "better"),
    [
        (nats(-17), nats(-18), "one"),
        (nats(-18, 0.3), nats(-17, 0.3), ""),  # −17.4 at best against −17.6 at worst
        (nats(-18, 0.2), nats(-17, 0.2), "other"),
        (nats(-17, kind=Kind.LOWER_BOUND), nats(-18), "one"),  # a bound above an exact number proves itself better
        (nats(-18, kind=Kind.LOWER_BOUND), nats(-17), ""),  # below it, it proves nothing
        (nats(-17, kind=Kind.LOWER_BOUND), nats(-30, kind=Kind.LOWER_BOUND), ""),
        (nats(1000, kind=Kind.UNNORMALIZED), nats(-18), ""),
    ],
)
def test_better_is_whose_worst_beats_the_others_best(one, other, better):
    verdict = pair(one, other).verdict("log p(x)", "one", "other")
    assert verdict.better == better
    assert verdict.certain == bool(better)
    swapped = pair(one, other).verdict("log p(x)", "other", "one")
    assert (swapped.better, swapped.certain) == (better, verdict.certain)


def test_of_every_pair_the_verdict_agrees_with_the_places(contest):
    for quantity in contest.rankable:
        held = contest.held[quantity]
        for one in contest.models:
            beaten = sum(
                contest.verdict(quantity, one, other).better == one for other in contest.models if other != one
            )
            above = sum(
                contest.verdict(quantity, one, other).better == other for other in contest.models if other != one
            )
            if one in held:
                assert held[one] == (1 + above, len(held) - beaten)
            else:
                assert (beaten, above) == (0, 0)


def test_where_less_is_better_the_smaller_number_wins():
    verdict = pair(number(3, 0.1), number(1, 0.1), "KL").verdict("KL", "one", "other")
    assert (verdict.better, verdict.certain) == ("other", True)
    assert verdict.why == "1.000 ± 0.100 against 3.000 ± 0.100"


def test_a_better_number_without_a_known_error_is_no_certainty():
    assert pair(number(1.0), number(3.0), "Fréchet").verdict("Fréchet", "one", "other")[1:3] == ("one", False)
    runs = pair([number(1.0), number(1.2)], [number(3.0), number(2.9)], "Fréchet")  # several runs tell the error
    assert runs.verdict("Fréchet", "one", "other")[1:3] == ("one", True)
    crossed = pair([number(1.0), number(3.1)], [number(3.0), number(2.9)], "Fréchet")
    assert crossed.verdict("Fréchet", "one", "other").better == ""


@pytest.mark.parametrize(
    ("first", "second", "quantity", "words"),
    [
        ("exact", "bounded", "log p(x)", "≥ −19.00 ± 0.10: bounded's is only a bound, the truth may be higher"),
        ("exact", "energy", "log p(x)", "energy: known only up to a constant that nobody knows (+C)"),
        ("exact", "GAN", "log p(x)", "GAN samples, but cannot score"),
        ("exact", "broken", "Fréchet", "broken: failed: the loss is not finite"),
        ("exact", "bounded", "probe", "0.900 ± 0.010 and 0.890 ± 0.010: within the errors"),
        ("GAN", "worse", "probe", "GAN: not measured"),
    ],
)
def test_why_nothing_is_decided_is_said(contest, first, second, quantity, words):
    verdict = contest.verdict(quantity, first, second)
    assert (verdict.better, verdict.certain) == ("", False)
    assert words in verdict.why


def test_other_gaps_are_named_too():
    both = pair(nats(-18, kind=Kind.LOWER_BOUND), nats(-19, kind=Kind.LOWER_BOUND))
    assert "both are only bounds" in both.verdict("log p(x)", "one", "other").why
    assert "the same number" in pair(number(0.0), number(0.0), "copied").verdict("copied", "one", "other").why
    close = pair(number(0.651), number(0.652), "density").verdict("density", "one", "other")
    assert close.why == "0.6520 against 0.6510"
    strange = {"samples": "3 of 9 samples are not finite"}
    halves = [report("half", frechet=number(1.0)), report("half", log_p=nats(-1))]
    found = Contest(Scoreboard({"nan": [report("nan", strange, log_p=nats(math.nan))], "half": halves}, {}))
    assert found.missing("nan", "Fréchet") == "3 of 9 samples are not finite"
    assert found.missing("nan", "log p(x)") == "its number is not finite"
    assert found.missing("half", "Fréchet") == "measured in 1 of 2 runs only"


def test_the_sentence_says_all_of_it(contest):
    assert contest.sentence("exact", "worse") == (
        "exact is certainly better than worse in log p(x) and probe. A better number, but no known error, has been "
        "reached by exact in Fréchet and ms/sample."
    )
    both = contest.sentence("bounded", "worse")
    assert both.endswith("has been reached by bounded in Fréchet and by worse in ms/sample.")
    assert contest.sentence("bounded", "worse").startswith(
        "bounded is certainly better than worse in log p(x) and probe."
    )
    assert contest.sentence("GAN", "broken") == (
        "Neither is certainly better in anything. Not decided: log p(x), Fréchet, probe and ms/sample."
    )
    assert "choose another" in contest.sentence("GAN", "GAN")


def test_the_ranking_has_places_intervals_and_reasons(contest):
    lines = contest.ranking("log p(x)")
    assert [line.model for line in lines] == ["exact", "bounded", "worse", "GAN", "energy", "broken"]
    assert [line.places for line in lines] == ["1–2", "1–2", "3", "–", "–", "–"]
    assert [line.between for line in lines[:3]] == ["−18.20 … −17.80", "−19.20 … ∞", "−25.20 … −24.80"]
    assert lines[4].number == "+C 1000.00 ± 0.10"
    assert lines[4].between == ""
    assert lines[5].note == "failed: the loss is not finite"
    assert {(line.between, line.note) for line in contest.ranking("Fréchet")[:5]} == {("", "no error known")}
    assert [line.places for line in contest.ranking("Fréchet")] == ["1", "2", "3", "4", "5", "–"]
    assert contest.ranking("ms/sample")[0].number == "0.001"  # two decimals would show 0.00
    assert {line.places for line in pair(nats(-1, 1.0), nats(-1.5, 1.0)).ranking("log p(x)")} == {"any"}


# --- where everything stands ---------------------------------------------------------------------------------------------


def test_dots_stand_where_the_numbers_are_and_others_at_the_side(contest):
    plane = ScorePlane(contest, "log p(x)", "probe")
    left, top, right, bottom = plane._plane.box
    assert plane.aside == ["GAN", "energy", "broken"]
    assert all(plane.places[model][0] > right for model in plane.aside)
    for model, x, y in (("exact", -18, 0.9), ("bounded", -19, 0.89), ("worse", -25, 0.5)):
        assert plane.places[model] == pytest.approx(plane._plane.at(x, y))
        assert left < plane.places[model][0] < right
        assert top < plane.places[model][1] < bottom


def test_an_open_side_is_an_arrow_and_a_closed_one_a_line_of_two_errors(contest):
    plane = ScorePlane(contest, "log p(x)", "probe")
    sides = {(axis, direction): (end, is_open) for axis, direction, end, is_open in plane._sides("bounded", 30.0)}
    x, y = plane.places["bounded"]
    assert sides[0, 1] == (x + 30.0, True)
    assert sides[0, -1] == (pytest.approx(plane._plane.at(-19.2, 0.89)[0]), False)
    assert sides[1, -1] == (pytest.approx(plane._plane.at(-19, 0.91)[1]), False)
    assert sides[1, 1] == (pytest.approx(plane._plane.at(-19, 0.87)[1]), False)
    assert plane._sides("bounded", math.inf)[1][2] == pytest.approx(plane._plane.box[2] - SCALE)  # to the edge
    colored = (np.asarray(plane.drawn("bounded", "worse"))[round(y), round(x) + 14 :] == [0x00, 0x72, 0xB2]).all(1)
    assert colored.sum() > 40


def test_numbers_of_many_sizes_stand_on_a_logarithmic_axis(contest):
    plane = ScorePlane(contest, "ms/sample", "Fréchet")
    assert plane._plane.at(-3, 1)[0] == pytest.approx(plane.places["exact"][0])  # 0.001 ms
    assert plane._plane.at(math.log10(3.0), 1)[0] == pytest.approx(plane.places["bounded"][0])
    assert plane.aside == ["broken"]
    assert ScorePlane(contest, "Fréchet", "probe")._axes[0].log is False


def test_logarithmic_ticks_are_round_numbers_where_they_belong():
    assert log_ticks(-3.1, 1.1, 5) == [(float(k), f"{10.0**k:g}") for k in range(-3, 2)]
    found = log_ticks(0, 1, 5)
    assert [words for _, words in found] == ["1", "2", "5", "10"]
    assert [10**at for at, _ in found] == pytest.approx([1, 2, 5, 10])


def test_the_better_half_has_the_picture_for_itself(contest, explorer):
    plane = ScorePlane(contest, "Fréchet", "ms/sample", better_half=True)
    assert (plane.unplaced, plane.outside) == (["broken"], ["energy", "worse"])
    left, _, right, _ = plane._plane.box
    assert all((left < plane.places[model][0] < right) == (model not in plane.aside) for model in contest.models)
    assert plane._plane.x_range[1] < 55
    assert ScorePlane(contest, "log p(x)", "probe", better_half=True).outside == ["worse"]  # never fewer than two stay
    explorer.rank = "Fréchet"
    wide = explorer._pad.png
    explorer.half.value = True
    assert explorer._pad.png != wide
    assert "not placed: GAN, energy, broken; outside: worse" in explorer.alt
    explorer.first = "worse"
    assert explorer.error == ""


def test_no_two_models_have_the_same_mark():
    assert len({mark_of(i) for i in range(100)}) == 100


def test_every_model_can_be_reached_by_arrow_keys(contest):
    for quantities in (("log p(x)", "probe"), ("Fréchet", "ms/sample")):
        plane = ScorePlane(contest, *quantities)
        for across, up in ((1, 0), (0, 1)):
            model, seen = plane.beside("exact", -50 * across, -50 * up), []
            while model not in seen:
                seen.append(model)
                model = plane.beside(model, across, up)
            assert set(seen) == set(contest.models)
    assert plane.beside("exact", 1, 0) == "GAN"  # 30 is next to 20


def test_many_models_without_a_place_are_summed_up_and_can_still_be_chosen():
    reports = {f"model {i}": [report("m", frechet=number(1.0 + i), log_p=nats(-1.0 - i))] for i in range(3)}
    reports |= {f"bare {i}": [report("m", frechet=number(2.0))] for i in range(30)}
    plane = ScorePlane(Contest(Scoreboard(reports, {})), "log p(x)", "Fréchet")
    assert len(plane.places) == 33
    assert all(0 < y < plane.size[1] for _, y in plane.places.values())
    assert all(0 < x < plane.size[0] for x, _ in plane.places.values())


# --- the explorer --------------------------------------------------------------------------------------------------------


def test_the_first_two_of_the_first_quantity_are_compared_to_begin_with(explorer):
    assert (explorer.rank, explorer.against) == ("log p(x)", "Fréchet")
    assert (explorer.first, explorer.second) == ("exact", "bounded")
    assert [v.quantity for v in explorer.verdicts] == explorer.contest.rankable
    assert QUANTITIES["log p(x)"].about[1:] in explorer._meanings["rank"].value
    assert "Less is better." in explorer._meanings["against"].value


def test_choices_and_traits_move_each_other_and_everything_shown(explorer):
    shown = [explorer._pad.png, explorer._verdicts.value, explorer._table.value, explorer._row.png]
    explorer.choices["second"].value = "GAN"
    assert explorer.second == "GAN"
    now = [explorer._pad.png, explorer._verdicts.value, explorer._table.value, explorer._row.png]
    assert all(a != b for a, b in zip(shown, now, strict=True))
    explorer.rank = "Fréchet"
    assert explorer.choices["rank"].value == "Fréchet"
    assert [line.model for line in explorer.lines][:2] == ["exact", "GAN"]
    explorer.against = "probe"
    assert "not placed: GAN, energy, broken" in explorer.alt
    assert "B: GAN, place 2: Fréchet 30.00" in explorer.alt
    assert explorer.error == ""
    for name in ("rank", "against", "first", "second"):
        with pytest.raises(TraitError, match=f"{name} must be one of .*, got 'beauty'"):
            setattr(explorer, name, "beauty")


def test_a_quantity_that_is_set_against_itself_changes_places_with_the_other(explorer):
    explorer.rank = "Fréchet"
    assert (explorer.rank, explorer.against) == ("Fréchet", "log p(x)")
    assert [explorer.choices[name].value for name in ("rank", "against")] == ["Fréchet", "log p(x)"]
    assert "log p(x) against Fréchet" in explorer.alt
    explorer.choices["against"].value = "Fréchet"
    assert (explorer.rank, explorer.against) == ("log p(x)", "Fréchet")
    assert "Fréchet against log p(x)" in explorer.alt
    assert [line.model for line in explorer.lines][:2] == ["exact", "bounded"]
    assert explorer.error == ""


def test_rings_are_dragged_stepped_and_clicked_to_models(explorer):
    def part(model):
        x, y = explorer.plane.places[model]
        return x / explorer.plane.size[0] + 0.01, 1 - y / explorer.plane.size[1] - 0.01

    explorer._respond("move", 1, *part("worse"))
    assert (explorer.first, explorer.second) == ("exact", "worse")
    explorer._respond("click", 0, *part("energy"))
    assert explorer.first == "energy"
    explorer._respond("step", 1, 1, 0)
    assert explorer.second == "bounded"  # from −25 to the right comes −19
    explorer._respond("step", 1, 0, -50)
    assert explorer.second == "exact"  # the lowest Fréchet distance
    explorer._respond("press", 0, 0, 0)
    assert (explorer.first, explorer.second) == ("energy", "exact")
    handles = explorer._pad.handles
    assert [handle["mark"] for handle in handles] == ["A", "B"]
    assert handles[0]["text"].startswith("energy, no place: log p(x) known only up to a constant")
    for model, handle in (("energy", handles[0]), ("exact", handles[1])):
        x, y = explorer.plane.places[model]
        assert (handle["x"], 1 - handle["y"]) == pytest.approx((x / explorer.plane.size[0], y / explorer.plane.size[1]))
    explorer._respond("move", 2, 0.5, 0.5)
    assert "there is no ring 2" in explorer.error
    explorer._respond("move", 1, math.nan, 0.5)
    assert "finite numbers" in explorer.error
    explorer._respond("move", 1, *part("GAN"))
    assert explorer.error == ""


def test_the_table_marks_both_models_and_escapes_names():
    board = Scoreboard({"<b>": [report("x", log_p=nats(-1))], "b": [report("x", log_p=nats(-2))]}, {})
    explorer = ScoreboardExplorer(board)
    assert explorer.rank == explorer.against == "log p(x)"
    assert '<b>A</b></td><th scope="row"><svg' in explorer._table.value
    assert "&lt;b&gt;" in explorer._table.value
    assert "<li>log p(x): = −1.00 ± 0.10 against = −2.00 ± 0.10</li>" in explorer._verdicts.value
    explorer.first = "b"
    assert explorer.verdicts == []
    assert "choose another" in explorer._verdicts.value


def test_samples_stand_beside_each_other_where_they_are_given(explorer):
    explorer.first, explorer.second = "exact", "GAN"
    assert explorer._row.alt == "Samples of A, exact and of B, GAN."
    explorer.second = "worse"
    assert explorer._row.alt == "Samples of A, exact."
    bare = ScoreboardExplorer(five_models())
    assert bare._row.png == b""
    assert bare._row.layout.display == "none"


def test_quantities_without_a_better_side_may_be_looked_at_but_not_ranked_by():
    reports = {k: [report(k, frechet=number(i + 1.0), z=number(i - 4.0, 1.0))] for i, k in enumerate("abc")}
    explorer = ScoreboardExplorer(Scoreboard(reports, {}), against="copying z")
    assert "Neither is better." in explorer._meanings["against"].value
    assert [v.quantity for v in explorer.verdicts] == ["Fréchet"]
    explorer.against = "Fréchet"  # copying z cannot take the place of what is ranked by
    assert (explorer.rank, explorer.against, explorer.error) == ("Fréchet", "Fréchet", "")
    with pytest.raises(TraitError, match="rank must be one of Fréchet, got 'copying z'"):
        explorer.rank = "copying z"


def test_without_a_browser_a_small_picture_with_words_stands_there(explorer):
    data, _ = explorer._repr_mimebundle_()
    assert data["text/html"].startswith("<img alt=")
    assert len(data["text/html"]) < 60_000
    assert "exact is certainly better" not in explorer.alt  # than a bound below it
    assert "bounded&#x27;s" not in explorer.alt
    assert "Not decided: log p(x) and probe." in explorer.alt


def test_what_is_no_scoreboard_is_refused_in_words():
    with pytest.raises(TypeError, match=r"a dgmcourse.evaluation.Scoreboard is needed, .* got dict"):
        ScoreboardExplorer({})
    with pytest.raises(ValueError, match="two or more models and a quantity"):
        ScoreboardExplorer(Scoreboard({"one": [report("one", log_p=nats(-1))]}, {}))
    with pytest.raises(ValueError, match="two or more models and a quantity"):
        ScoreboardExplorer(Scoreboard({"one": [], "two": []}, {"one": "no", "two": "no"}))
    with pytest.raises(ValueError, match="samples are given for 'other', which is none of exact"):
        ScoreboardExplorer(five_models(), images("other"))
    with pytest.raises(ValueError, match="no samples of exact"):
        ScoreboardExplorer(five_models(), {"exact": torch.zeros(0, 1, 4, 4)})
    with pytest.raises(ValueError, match="images must have shape"):
        ScoreboardExplorer(five_models(), {"exact": torch.zeros(5, 2)})
    with pytest.raises(TraitError, match="first must be one of"):
        ScoreboardExplorer(five_models(), first="beauty")


def test_names_in_a_crowd_do_not_cover_each_other():
    reports = {
        f"model number {i}": [report("m", frechet=number(30 + i / 4), log_p=nats(-17 - i / 20))] for i in range(9)
    }
    reports["far away"] = [report("m", frechet=number(300.0), log_p=nats(-30.0))]
    plane = ScorePlane(Contest(Scoreboard(reports, {})), "Fréchet", "log p(x)")
    boxes = np.array([
        (x, y - 10, x + font(9).getlength(name), y + 10) for name, (x, y) in plane._names.items()
    ])  # fmt: skip
    assert len(boxes) == 10
    for i, one in enumerate(boxes):
        shared = np.clip(np.minimum(boxes[:i, 2:], one[2:]) - np.maximum(boxes[:i, :2], one[:2]), 0, None).prod(1)
        assert (shared < 0.1 * (one[2:] - one[:2]).prod()).all()


def test_a_line_from_a_name_to_its_dot_is_charged_for_the_dots_that_it_crosses():
    boxes = np.array([[10.0, -1.0, 20.0, 1.0], [-20.0, -1.0, -10.0, 1.0]])  # to the right of the dot, and to the left
    others = np.array([[5.0, 0.5], [7.0, -0.5], [5.0, 9.0]])
    np.testing.assert_array_equal(_crossed(boxes, np.zeros(2), others, 2.0), [2, 0])
