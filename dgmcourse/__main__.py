"""`python -m dgmcourse COMMAND`: every command of the course. Each imports what it needs, so that `doctor` always runs."""

import os
import sys
from pathlib import Path
from typing import Annotated

if sys.version_info < (3, 10):  # noqa: UP036 (a checkout runs under any Python)
    sys.exit(f"Error: the course needs Python 3.10 or newer; {sys.executable} is {sys.version.split()[0]}. "
             "Name a newer one: make lab PYTHON=/path/to/python3")  # fmt: skip
try:
    import typer
except ImportError as error:
    sys.exit(f"Error: the course is not installed in {sys.executable} ({error}). Type `make lab` in its folder, or "
             "install it there: python -m pip install -r requirements.txt")  # fmt: skip

__all__ = ["app", "main"]

app = typer.Typer(
    help="An interactive course on deep generative models.",
    epilog="Something does not work? python -m dgmcourse doctor",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps")]


@app.command()
def start(
    folder: Annotated[Path, typer.Argument(help="Your own folder.")] = Path("work"),
    fresh: Annotated[
        list[str] | None, typer.Option(help="Put the newest version of this lesson beside yours.", metavar="LESSON")
    ] = None,
) -> None:
    """Copy the lessons that are not there yet into your own folder. Nothing there is ever overwritten."""
    from .start import start

    typer.echo(start(folder, fresh=fresh or ()))


@app.command()
def doctor() -> None:
    """Say what is wrong with this installation, if anything, and how to mend it. Exit code 1 if something is."""
    from .doctor import doctor

    sick = False
    for check in doctor():
        typer.echo(check)
        sick |= not check.ok
    if sick:
        raise typer.Exit(1)


@app.command()
def notebooks(
    lessons: Annotated[list[str] | None, typer.Argument(help="04_vaes, or 04; all by default.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Execute even what has not changed.")] = False,
) -> None:
    """Build the notebooks from solutions/*.py; execute those whose code has changed."""
    from .notebooks import build

    typer.echo(build(lessons or None, force=force))


@app.command()
def assignment(
    lesson: Annotated[str, typer.Argument(help="04_vaes, or 04.")],
    folder: Annotated[Path, typer.Argument(help="The nbgrader course, new or existing.")],
    force: Annotated[bool, typer.Option("--force", help="Replace an assignment that you have edited.")] = False,
) -> None:
    """Make a lesson an assignment of an nbgrader course."""
    from .classroom import assignment

    typer.echo(assignment(lesson, folder, force=force))


@app.command()
def recipes() -> None:
    """List the recipes: budget, published figure, result."""
    from .recipes import table

    typer.echo(table())


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="As `recipes` lists them.")],
    device: Device = "auto",
    precision: Annotated[str | None, typer.Option(help="no, fp16 or bf16; the recipe's own by default.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run; runs/RECIPE by default.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
) -> None:
    """Run a recipe: train, judge, save. The same command goes on with a run that was interrupted.

    On several GPUs: torchrun --nproc-per-node N -m dgmcourse train RECIPE
    """
    from .recipes import train

    card = train(recipe, device=device, precision=precision, steps=steps, out=out, threads=threads)
    if card is not None:  # in all but the first of several processes there is none
        typer.echo(card)


@app.command()
def evaluate(
    folder: Annotated[Path, typer.Argument(help="Written by `train`.")],
    device: Device = "auto",
) -> None:
    """Judge a trained model again."""
    from .recipes import evaluate

    typer.echo(evaluate(folder, device=device))


@app.command()
def results(
    measure: Annotated[
        bool, typer.Option("--measure", help="First compare samples of models without such numbers with real images.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Measure those with numbers again.")] = False,
    out: Annotated[Path | None, typer.Option(help="Where to write; RESULTS.md of the checkout by default.")] = None,
) -> None:
    """Write RESULTS.md from the cards of the zoo."""
    from .results import FILE, write

    if measure or again:
        from .recipes.yardstick import measure as measure_all

        for name in measure_all(again):
            typer.echo(f"measured {name}")
    typer.echo(write(out or FILE))


@app.command()
def arena(
    budget: Annotated[float, typer.Option(min=0, help="Seconds of training for each entrant and seed.")] = 60,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each entrant.")] = 3,
    jobs: Annotated[int | None, typer.Option(min=1, help="Matches at a time; one for each core by default.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Only this entrant; may be given more than once.", metavar="NAME")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("runs/arena"),
    keep: Annotated[bool, typer.Option("--keep", help="Make the result the one that the course shows.")] = False,
) -> None:
    """Let every family learn the same digits for the same seconds, and judge all of them. Goes on if interrupted."""
    from .arena import can_ship, run, ship

    if keep:
        can_ship(only)
    result = run(out, budget=budget, seeds=seeds, jobs=jobs, entrants=only)
    if keep:
        ship(result)
    typer.echo(result)


def main() -> None:
    """Run one command. An error is one sentence on stderr and exit code 1; DGMCOURSE_DEBUG=1 shows where it arose."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a console without ✓ shows ? instead of failing
    try:
        app(prog_name="dgmcourse" if Path(sys.argv[0]).stem == "dgmcourse" else "python -m dgmcourse")
    except Exception as error:
        if os.environ.get("DGMCOURSE_DEBUG"):
            raise
        typer.echo(f"Error: {_sentence(error)}", err=True)
        sys.exit(1)


def _sentence(error: Exception) -> str:
    """What went wrong, in words for the person at the keyboard."""
    if isinstance(error, ImportError) and error.name:  # raised by Python, not by the course
        return f"{error}. To see how to mend the installation: python -m dgmcourse doctor"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    if isinstance(error, (ValueError, OSError, ImportError)) or type(error).__module__.startswith("dgmcourse"):
        return str(error) or type(error).__name__
    return f"{type(error).__name__}: {error} (not foreseen; DGMCOURSE_DEBUG=1 shows where)"


if __name__ == "__main__":
    main()
