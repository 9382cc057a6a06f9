"""The arena: everybody has a row, what was played is not played again, and what failed says so."""

import functools
import json
import subprocess
import sys
import time
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

import psutil
import pytest
import torch

from dgmcourse import models
from dgmcourse.arena import (
    DIGITS,
    TOY_ENTRANTS,
    Arena,
    Match,
    Result,
    budget,
    entrants,
    match,
    matches,
    play,
    play_all,
    results,
    run,
    shipping,
)
from dgmcourse.core import Kind
from dgmcourse.data import digits
from dgmcourse.training import TrainingDiverged

QUICK = Match("digits", "independent pixels", 0, 0.2)


def test_every_entrant_learns_the_same_digits():
    data = digits(levels=2)
    names = [entrant.name for entrant in DIGITS]
    assert len(set(names)) == len(names) >= 15
    for entrant in DIGITS:
        seen = data if entrant.prepare is None else entrant.prepare(data)
        assert torch.equal(seen.train, data.train)
        seen.space.check(seen.train, values=True)
        assert entrant.make(seen).space == seen.space


def test_all_matches_are_planned_and_unknown_entrants_refused():
    found = matches(60, 3, toys=("moons",))
    assert len(found) == 3 * len(DIGITS) + len(TOY_ENTRANTS)
    assert {m.seconds for m in found if m.ground == "moons"} == {10}
    assert [m.entrant for m in matches(60, 2, ["RBM"])] == ["RBM", "RBM"]
    with pytest.raises(ValueError, match="no entrant RMB; there are: independent pixels"):
        matches(60, 1, ["RMB", "RBM"])
    with pytest.raises(ValueError, match="no toy moon in the arena; there are: eight_gaussians, moons"):
        matches(60, 1, toys=["moon"])


def test_the_fingerprint_sees_a_step_size_inside_an_optimizer(monkeypatch):
    """And is the same in another process, where functions lie elsewhere."""

    def fingerprint(**changes):
        known = {e.name: e for e in DIGITS}
        changed = replace(known["independent pixels"], training={"lr": 1.0, **changes})
        monkeypatch.setattr(match, "DIGITS", (changed,))
        return match.settings_of(QUICK)

    slow, fast = (entrants.gradient_descent(lr) for lr in (0.05, 0.2))
    assert fingerprint(optimizer=slow) != fingerprint(optimizer=fast)
    assert fingerprint(optimizer=slow) == fingerprint(optimizer=entrants.gradient_descent(0.05))
    assert fingerprint(a=functools.partial(max, 1)) != fingerprint(a=functools.partial(max, 2))
    assert "0x" not in match._told(functools.partial(entrants.gradient_descent(0.1), lr=max, key=slow))
    assert fingerprint(lr=0.5) != fingerprint(lr=0.25)


def test_senseless_arguments_and_folders_are_refused_before_anything_is_played(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "play_all", lambda *_: pytest.fail("played"))
    for arguments, words in (
        ({"budget": 0}, "budget > 0 seconds"),
        ({"budget": float("nan")}, "budget > 0 seconds"),
        ({"seeds": 0}, "seeds ≥ 1"),
        ({"jobs": -1}, "jobs ≥ 1"),
        ({"entrants": ["nobody"]}, "no entrant nobody"),
    ):
        with pytest.raises(ValueError, match=words):
            run(tmp_path / "new", **arguments)
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        run(tmp_path / "file")
    monkeypatch.setattr(results.Path, "touch", lambda self: (_ for _ in ()).throw(PermissionError(f"no {self.parent}")))
    with pytest.raises(PermissionError, match="new"):
        run(tmp_path / "new")


def test_a_process_that_was_ended_from_outside_says_how_to_go_on(tmp_path, monkeypatch):
    class Broken:
        def __init__(self, *_, **__): ...

        def submit(self, *_):
            future = Future()
            future.set_exception(BrokenProcessPool("abruptly"))
            return future

        def shutdown(self, **_): ...

    monkeypatch.setattr(match, "ProcessPoolExecutor", Broken)
    with pytest.raises(RuntimeError, match=r"want of memory; the same command goes on from .* --jobs 1"):
        play_all([QUICK, replace(QUICK, seed=1)], tmp_path, jobs=2, progress=False)


def test_measuring_the_pace_leaves_the_model_as_it_was():
    model = models.IndependentPixels(digits(levels=2).space)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    steps = budget.steps_within(model, digits(levels=2), 0.1, lr=0.1, keep_best=True)
    assert steps >= 1
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.fixture
def costs(monkeypatch):
    """A time of its own, in which `fit` takes 10 ms to begin, 1 ms a step, and 20 ms a look at the validation split."""
    now = [0.0]

    def fit(model, data, steps, keep_best=False, **_):
        now[0] += 0.01 + 0.001 * steps + keep_best * 0.02 * min(steps, budget._LOOKS)

    monkeypatch.setattr(budget, "fit", fit)
    monkeypatch.setattr(budget, "clock", lambda device: lambda: now[0])


def test_as_many_steps_are_taken_as_fit_into_the_time_with_their_looks(costs):
    model, data = models.IndependentPixels(digits(levels=2).space), digits(levels=2)
    assert budget.steps_within(model, data, 10.0) == pytest.approx(9990, abs=5)
    assert budget.steps_within(model, data, 10.0, keep_best=True) == pytest.approx(9990 - 800, abs=5)
    for arguments in ({}, {"keep_best": True}):
        steps, seconds = budget.fit_within(model, data, 10.0, **arguments)
        assert seconds == pytest.approx(10.0, abs=0.02)
        assert budget.fit_within(model, data, 10.0, most=300, **arguments)[0] == 300
        assert budget.fit_within(model, data, 10.0, most=30_000, **arguments)[0] == steps
    assert budget.steps_within(model, data, 0.001) == 1


def test_iterations_end_with_the_time(monkeypatch):
    now = iter(range(100))
    monkeypatch.setattr(budget.time, "process_time", lambda: next(now))
    done, _ = budget.em_within(range(100), 4.5, iter(range(100)).__next__, patience=50)
    assert done == 4


def test_three_stages_share_the_time_of_a_deep_belief_network(monkeypatch):
    given = []
    monkeypatch.setattr(entrants, "fit_within", lambda m, d, seconds, most, **_: given.append(seconds) or (7, 0.5))
    assert entrants.layer_by_layer(models.DBN(digits(levels=2).space, (4, 4)), None, 60.0, 0) == (21, 1.5)
    assert given == [20.0] * 3


def test_iterations_end_once_the_score_has_stopped_rising():
    scores = iter([1.0, 2.0, 3.0, 2.5, 2.0, 1.0, 0.0])
    done, _ = budget.em_within(range(100), 60.0, lambda: next(scores), patience=3)
    assert done == 5


def test_a_kernel_density_takes_the_width_that_explains_new_images_best():
    data = digits(levels=2)
    model, steps, _ = next(e for e in DIGITS if e.name == "kernel density").trained(data, 1.0, 0)
    model.requires_grad_(False)
    best = float(model.log_prob(data.valid).value.mean())
    for width in (model.bandwidth / 1.5, model.bandwidth * 1.5):
        model.bandwidth = width
        assert float(model.log_prob(data.valid).value.mean()) < best
    assert steps == 0


def test_mixtures_keep_the_iteration_that_was_best_on_validation():
    data = digits(levels=2)
    torch.manual_seed(0)
    model = models.BernoulliMixture(data.space, 60)
    steps, _ = entrants.expectation_maximization(model, data, 60.0, 0)
    model.requires_grad_(False)
    kept = float(model.log_prob(data.valid).value.mean())
    for _ in model.em(data.train, 20):
        pass
    assert steps >= 20
    assert float(model.log_prob(data.valid).value.mean()) <= kept + 1e-4


@pytest.fixture
def played(tmp_path):
    return play(QUICK), tmp_path


def test_a_result_is_judged_and_comes_back_from_its_files(played):
    result, folder = played
    assert not result.failed
    assert result.report.numbers["log p(x)"].kind is Kind.EXACT
    assert (
        -64 * 0.694 < result.report.numbers["log p(x)"].value < -25
    )  # between coins and the best; a busy machine takes few steps
    assert 1 <= result.steps <= 600
    result.write(folder)
    again = Result.read(folder, QUICK)
    assert torch.equal(again.samples, result.samples)
    assert again.report.to_json() == result.report.to_json()
    assert replace(again, report=None, samples=None, seconds=0) == replace(result, report=None, samples=None, seconds=0)


def test_a_damaged_result_counts_as_none(played):
    result, folder = played
    assert Result.read(folder, QUICK) is None
    result.write(folder)
    file = folder / f"{QUICK.path}.json"
    whole = file.read_text()
    report = json.loads(whole)["report"]
    changes = ({"report": None}, {"report": 3}, {"report": {**report, "numbers": []}}, {"match": {}}, {"surplus": 1})
    for damaged in (whole[:100], "", "null", "[1]", *(json.dumps({**json.loads(whole), **one}) for one in changes)):
        file.write_text(damaged)
        assert Result.read(folder, QUICK) is None, damaged[:200]
    file.write_text(whole)
    assert Result.read(folder, QUICK) is not None
    assert Result.read(folder, replace(QUICK, seconds=9)) is None
    pictures = folder / f"{QUICK.path}.safetensors"
    pictures.write_bytes(pictures.read_bytes()[:50])
    assert Result.read(folder, QUICK) is None


def test_what_was_played_is_not_played_again_unless_its_settings_have_changed(tmp_path, monkeypatch):
    calls = []

    def counted(one):
        calls.append(one)
        return replace(Result(one, None, "not a real one"), settings=match.settings_of(one))

    monkeypatch.setattr(match, "play", counted)
    other = replace(QUICK, seed=1)
    play_all([QUICK, other], tmp_path, jobs=1, progress=False)
    assert calls == [QUICK, other]
    play_all([QUICK, other], tmp_path, jobs=1, progress=False)
    assert len(calls) == 2
    (tmp_path / f"{other.path}.json").unlink()
    play_all([QUICK, other], tmp_path, jobs=1, progress=False)
    assert calls[2:] == [other]
    play_all([replace(QUICK, seconds=0.4)], tmp_path, jobs=1, progress=False)
    assert len(calls) == 4


def test_an_interrupted_arena_keeps_what_is_done_and_says_how_to_go_on(tmp_path, monkeypatch):
    def interrupted(one):
        if one.seed == 1:
            raise KeyboardInterrupt
        return Result(one, None, "not a real one", settings=match.settings_of(one))

    monkeypatch.setattr(match, "play", interrupted)
    todo = [replace(QUICK, seed=seed) for seed in range(3)]
    with pytest.raises(KeyboardInterrupt, match="the same command goes on from"):
        play_all(todo, tmp_path, jobs=1, progress=False)
    assert [Result.read(tmp_path, one) is not None for one in todo] == [True, False, False]


def test_a_failure_is_a_result_and_has_its_row(monkeypatch):
    def diverges(model, data, seconds, seed):
        raise TrainingDiverged("the loss of group 'model' was nan at step 3")

    broken = entrants.Entrant("broken", lambda d: models.IndependentPixels(d.space), learn=diverges)
    monkeypatch.setattr(match, "DIGITS", (*DIGITS, broken))
    result = play(Match("digits", "broken", 0, 0.2))
    assert result.report is None
    assert "nan at step 3" in result.failed
    table = repr(Arena([result, play(QUICK)]).scoreboard.table())
    assert "broken" in table
    assert "failed: 1 of 1 seeds: TrainingDiverged: the loss of group 'model' was nan" in table


def test_an_entrant_that_cannot_even_be_made_has_its_row_and_the_files_are_written(tmp_path, monkeypatch):
    impossible = entrants.Entrant("impossible", lambda d: models.VAE(d.space, latents=-1))
    monkeypatch.setattr(match, "DIGITS", (impossible,))
    found = play_all([Match("digits", "impossible", 0, 0.2)], tmp_path, jobs=1, progress=False)
    assert found[0].failed
    Arena(found).write(tmp_path)
    assert "| impossible | – | failed: 1 of 1 seeds" in (tmp_path / "arena.md").read_text()
    assert (tmp_path / "arena-pareto.png").is_file()


@pytest.mark.slow
def test_several_processes_play_as_one(tmp_path):
    """The same steps from the same seed give the same model, wherever they are made."""
    todo = [Match("digits", name, 0, 0.2) for name in ("kernel density", "independent pixels")]
    apart = play_all(todo, tmp_path, jobs=2, progress=False)
    here = play(todo[0])
    for one, other in ((apart[0], here),):
        assert one.report.numbers["log p(x)"] == other.report.numbers["log p(x)"]
        assert torch.equal(one.samples, other.samples)
    assert json.loads((tmp_path / f"{todo[1].path}.json").read_text())["about"]["torch"] == torch.__version__


@pytest.mark.slow
def test_workers_end_with_a_killed_parent(tmp_path):
    """Else they would train on for nobody, on two cores."""
    code = (
        "from dgmcourse.arena import matches, play_all\n"
        "from pathlib import Path\n"
        "if __name__ == '__main__':\n"
        f"    play_all(matches(600, 1, ['GAN', 'Glow']), Path({str(tmp_path)!r}), jobs=2, progress=False)\n"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE)
    workers = []
    while len(workers) < 2:
        assert parent.poll() is None
        workers = [p for p in psutil.Process(parent.pid).children() if "spawn_main" in " ".join(p.cmdline())]
        time.sleep(0.1)
    time.sleep(5)  # until they have started to work
    parent.kill()
    parent.communicate(timeout=60)
    assert not psutil.wait_procs(workers, timeout=60)[1]


def test_the_files_hold_both_tables_and_the_pictures(tmp_path):
    todo = [QUICK, Match("digits", "kernel density", 0, 0.2), Match("moons", "Gaussian", 0, 0.1)]
    Arena([play(one) for one in todo]).write(tmp_path)
    text = (tmp_path / "arena.md").read_text()
    assert "| independent pixels |" in text
    assert "| Gaussian | =" in text
    for name in ("arena-samples.png", "arena-pareto.png", "arena-toys.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "arena.csv").read_text().startswith("model,run,quantity")


def test_only_the_whole_arena_of_a_checkout_is_kept_and_this_is_said_first(tmp_path, monkeypatch):
    from dgmcourse.__main__ import arena as command

    monkeypatch.setattr("dgmcourse.arena.run", lambda *_, **__: pytest.fail("played"))
    with pytest.raises(ValueError, match="not that of RBM alone: leave --only or --keep out"):
        command(budget=1, seeds=1, jobs=1, only=["RBM"], out=tmp_path, keep=True)
    with pytest.raises(ValueError, match="installed, not checked out"):
        shipping.can_ship(docs=tmp_path / "docs")
    shipping.can_ship([], docs=tmp_path)


def test_an_entrant_whose_first_seed_failed_is_shown_by_the_second(tmp_path, monkeypatch):
    second = play(replace(QUICK, seed=1))
    shipping.ship(Arena([Result(QUICK, None, failed="nan at step 3"), second]), tmp_path / "shipped", tmp_path)
    monkeypatch.setattr(shipping, "HOME", tmp_path / "shipped")
    shipping.shipped_samples.cache_clear()
    try:
        assert torch.equal(shipping.shipped_samples()["independent pixels"], second.samples[:24])
    finally:
        shipping.shipped_samples.cache_clear()


def test_a_kept_result_is_what_the_course_shows(tmp_path, monkeypatch):
    todo = [QUICK, Match("digits", "kernel density", 0, 0.2), Match("moons", "Gaussian", 0, 0.1)]
    arena = Arena([play(one) for one in todo])
    shipping.ship(arena, tmp_path / "shipped", tmp_path)
    monkeypatch.setattr(shipping, "HOME", tmp_path / "shipped")
    shipping._known.cache_clear()
    shipping.shipped_samples.cache_clear()
    try:
        board = shipping.shipped()
        assert list(board.reports) == ["kernel density", "independent pixels"]  # the best samples first
        assert board.entries("log p(x)") == arena.scoreboard.entries("log p(x)")
        images = shipping.shipped_samples()["kernel density"]
        assert torch.equal(images, arena.results[1].samples[:24])
        assert shipping.shipped_toys().rows[0][0] == "Gaussian"
        assert shipping.shipped_floor() == pytest.approx(arena.floor)
        assert "| kernel density | 0 |" in shipping.readme()
    finally:
        shipping._known.cache_clear()
        shipping.shipped_samples.cache_clear()
    assert "# The arena" in (tmp_path / "arena.md").read_text()
    assert (tmp_path / "arena-toys.png").is_file()
    assert not (tmp_path / "arena.csv").exists()
