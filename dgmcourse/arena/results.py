"""What came of all matches: two tables, three pictures, and the files they are written to."""

import functools
import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ..core import Kind
from ..data import digits, toy_density
from ..evaluation.features import course_features
from ..evaluation.frechet import frechet_distance
from ..evaluation.report import shown
from ..evaluation.scoreboard import Scoreboard
from ..files import replace_file
from ..tables import Table
from .match import Result, matches, play_all
from .toys import NO_DENSITY, TOYS

__all__ = ["Arena", "run"]

COLUMNS = ("log p(x)", "Fréchet", "kernel", "precision", "recall", "density", "coverage", "recognized", "copied",
           "probe", "ms/sample")  # fmt: skip


@dataclass(frozen=True)
class Arena:
    """All results of one setting."""

    results: Sequence[Result]

    def of(self, ground: str) -> dict[str, list[Result]]:
        """Entrant -> its results on this ground, one for each seed."""
        found: dict[str, list[Result]] = {}
        for result in self.results:
            if result.match.ground == ground:
                found.setdefault(result.match.entrant, []).append(result)
        return found

    @functools.cached_property
    def scoreboard(self) -> Scoreboard:
        """On the digits; an entrant that failed from any seed has a row that says so."""
        runs = self.of("digits")
        reports = {name: [r.report for r in rs if r.report is not None] for name, rs in runs.items()}
        failures = {}
        for name, rs in runs.items():
            failed = [r for r in rs if r.failed]
            if failed:
                failures[name] = f"{len(failed)} of {len(rs)} seeds: {failed[0].failed}"
        seconds = max((r.match.seconds for rs in runs.values() for r in rs), default=0)
        seeds = max((len(rs) for rs in runs.values()), default=0)
        spread = f"mean ± standard deviation of {seeds} seeds" if seeds > 1 else "one seed"
        caption = (
            f"binary 8×8 digits, about {seconds:g} s of training each, or less where more teaches nothing, {spread}"
        )
        return Scoreboard(reports, failures, caption)

    @functools.cached_property
    def floor(self) -> float:
        """The Fréchet distance of real images from real images: of all training images from the test images."""
        data = digits(levels=2)
        return frechet_distance(course_features(data.test), course_features(data.train))

    def table(self) -> Table:
        """The scoreboard with the seconds that were used, the best samples first."""
        board = self.scoreboard.sorted_by("Fréchet")
        plain, runs = board.table([name for name in COLUMNS if name in board.quantities]), self.of("digits")
        rows = []
        for name, *cells in plain.rows:
            spent = [r.seconds for r in runs[name] if not r.failed]
            rows.append((name, f"{statistics.fmean(spent):.0f}" if spent else "–", *cells))
        return Table(("model", "seconds", *plain.header[1:]), rows, board.caption)

    def toy_table(self) -> Table:
        """Entrants × densities: KL(truth ‖ model) in nats, where it is defined."""
        grounds = [name for name in TOYS if self.of(name)]
        entrants = dict.fromkeys(r.match.entrant for r in self.results if r.match.ground in grounds)
        rows = [(name, *(self._divergence(name, ground) for ground in grounds)) for name in entrants]
        caption = "KL(truth ‖ model) in nats, by 2,000 test points"
        return Table(("model", *(ground.replace("_", " ") for ground in grounds)), rows, caption)

    def _divergence(self, entrant: str, ground: str) -> str:
        found = self.of(ground).get(entrant)
        if not found:
            return ""
        if found[0].failed:
            return "failed"
        report = found[0].report
        if "KL" in report.numbers:
            return shown("KL", report.numbers["KL"])
        return "no density" if NO_DENSITY in report.notes.get("KL", NO_DENSITY) else "unknown"

    # --- pictures --------------------------------------------------------------------------------------------------

    def samples(self, n: int = 14):
        """The first samples of every entrant, the best by Fréchet distance first, below real images."""
        from ..plots import plot_images

        first = {name: next((r for r in rs if r.samples is not None), None) for name, rs in self.of("digits").items()}
        order = [name for name in self.scoreboard.sorted_by("Fréchet").reports if first[name] is not None]
        rows = {"real": digits(levels=2).test[:n], **{name: first[name].samples[:n] for name in order}}
        return plot_images(rows, scale=0.42)

    def pareto(self):
        """Fréchet distance against sampling time, and against −log p."""
        from ..plots import Contender, plot_pareto

        board = self.scoreboard
        quality, times, scores = (board.entries(name) for name in ("Fréchet", "ms/sample", "log p(x)"))
        found = []
        for name, entry in quality.items():
            if name not in times:
                continue
            score = scores.get(name)
            known = None if score is None or score.kind is Kind.UNNORMALIZED else score.value
            found.append(
                Contender(name, max(times[name].value, 1e-3), entry.value, known, str(score.kind) if score else "")
            )
        return plot_pareto(found, self.floor, "Fréchet distance in course features")

    def clouds(self):
        """Samples of every entrant on every toy, with KL in the corner."""
        from ..plots import plot_clouds

        grounds = [name for name in TOYS if self.of(name)]
        truth = {name: toy_density(name).sample(1000, torch.Generator().manual_seed(0)) for name in grounds}
        rows: dict[str, dict] = {}
        notes = {}
        for ground in grounds:
            for name, (result, *_) in self.of(ground).items():
                rows.setdefault(name, {})
                if result.samples is not None:
                    rows[name][ground] = result.samples
                number = result.report.numbers.get("KL") if result.report else None
                notes[name, ground] = "failed" if result.failed else "" if number is None else f"{number.value:.2f}"
        return plot_clouds(rows, truth, notes)

    # --- files -----------------------------------------------------------------------------------------------------

    def about(self) -> str:
        """Hardware, version and date, in a line."""
        dates = sorted({r.about.get("date", "") for r in self.results})
        torches = sorted({r.about.get("torch", "") for r in self.results})
        hardware = sorted({r.about.get("hardware", "") for r in self.results})
        return f"{', '.join(hardware)} for each model; torch {', '.join(torches)}; {' to '.join(dict.fromkeys((dates[0], dates[-1])))}"

    def write(self, folder: Path, names: Sequence[str] | None = None) -> None:
        """arena.md, arena.csv, arena.json and the pictures, or those named; each file replaced whole."""
        from ..plots.figures import picture

        files: dict[str, bytes] = {}
        parts = []
        if self.of("digits"):
            files["arena.csv"] = self.scoreboard.to_csv().encode()
            files["arena.json"] = self.scoreboard.to_json().encode()
            files["arena-samples.png"] = picture(self.samples())
            files["arena-pareto.png"] = picture(self.pareto())
            looks = "![Samples of every entrant, the best first](arena-samples.png)"
            trades = "![Fréchet distance against sampling time and against −log p(x)](arena-pareto.png)"
            floor = f"Fréchet distance of training images from test images: {self.floor:.2f}."
            places = "In brackets: the place, or the places that are possible; without brackets, any is."
            parts += [self.table().markdown(), f"{places} {floor}", looks, trades]
        if any(self.of(name) for name in TOYS):
            files["arena-toys.png"] = picture(self.clouds())
            clouds = "![Samples in the plane, entrants by densities](arena-toys.png)"
            parts += [self.toy_table().markdown(), clouds]
        files["arena.md"] = "\n\n".join(["# The arena", *parts, f"{self.about()}."]).encode() + b"\n"
        for name, content in files.items():
            if names is None or name in names:
                replace_file(folder / name, content)

    def __repr__(self):
        parts = [repr(self.table())] if self.of("digits") else []
        parts += [repr(self.toy_table())] if any(self.of(name) for name in TOYS) else []
        return "\n\n".join([*parts, self.about()])


def run(
    folder: str | Path = "runs/arena",
    budget: float = 60.0,
    seeds: int = 3,
    jobs: int | None = None,
    entrants: Sequence[str] | None = None,
    toys: Sequence[str] = TOYS,
    progress: bool = True,
) -> Arena:
    """Play all matches that have not been played yet, and write the result.

    Args:
        folder: for results; an interrupted run goes on from there.
        budget: seconds of training for each entrant and seed on the digits; a sixth of it on each toy.
        seeds: how many, on the digits; the toys are played once.
        jobs: how many at a time, each on one thread; by default one for each core.
        entrants: only these, by name.
        toys: only these.
        progress: show a bar.

    Raises:
        ValueError: a budget or a number of seeds or jobs that makes no sense, or an unknown entrant or toy.
        OSError: nothing can be written to the folder; said before anything is played.
    """
    if not budget > 0 or seeds < 1:
        raise ValueError(f"the arena needs budget > 0 seconds and seeds ≥ 1, got {budget} and {seeds}")
    if jobs is not None and jobs < 1:
        raise ValueError(f"the arena needs jobs ≥ 1, or None for one on each core, got {jobs}")
    todo, folder = matches(budget, seeds, entrants, toys), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"write-test.{os.getpid()}.partial").touch()  # rather now than after the first match
    (folder / f"write-test.{os.getpid()}.partial").unlink()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    arena = Arena(play_all(todo, folder, jobs or cores, progress))
    arena.write(folder)
    return arena
