"""What a clone of the repository promises: dependencies, commands, links, and files of a size that can be read."""

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest brings it along

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
BINARY = {".png", ".safetensors", ".gz", ".ico", ".woff2"}
NOT_OURS = ("setuptools", "pip")  # they install the others
GPU_ONLY = ("nvidia-", "cuda-", "triton", "pytorch-triton")  # torch pins them itself


def dependencies() -> list[Requirement]:
    """All that pyproject.toml lists, extras included."""
    lines = [*PROJECT["dependencies"], *(line for lines in EXTRAS.values() for line in lines)]
    return [one for one in map(Requirement, lines) if one.name != PROJECT["name"]]


def pins() -> dict[str, Requirement]:
    """The lines of constraints.txt by name."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]
    assert len({canonicalize_name(pin.name) for pin in found}) == len(found), "a package is pinned twice"
    return {canonicalize_name(pin.name): pin for pin in found}


def pinned_version(pin: Requirement) -> Version:
    (only,) = pin.specifier
    assert only.operator == "==", f"{pin} is not a pin"
    return Version(only.version)


def tracked() -> list[Path]:
    """The files of the repository; without git, those that a checkout would hold."""
    listed = subprocess.run(["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"], cwd=ROOT, capture_output=True)
    if listed.returncode == 0:
        paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    else:
        ours = ("*.*", "Makefile", "LICENSE", ".ci/*", ".devcontainer/*", "dgmcourse/**/*", "lessons/*", "solutions/*",
                "tests/**/*", "benchmarks/*", "docs/*")  # fmt: skip
        paths = [path for pattern in ours for path in ROOT.glob(pattern) if "__pycache__" not in path.parts]
    return [path for path in paths if path.is_file()]


def text_files() -> list[Path]:
    return [path for path in tracked() if path.suffix not in BINARY]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_dependencies_have_lower_bounds_alone():
    for one in dependencies():
        assert [bound.operator for bound in one.specifier] == [">="], f"{one}: pyproject.toml holds lower bounds alone"


def test_every_dependency_is_pinned_to_a_version_that_its_bound_allows():
    for one in dependencies():
        pin = pins()[canonicalize_name(one.name)]
        assert one.specifier.contains(pinned_version(pin)), f"constraints.txt has {pin}, pyproject.toml {one}"


def test_pins_are_plain_versions_without_a_build_or_an_address():
    for pin in pins().values():
        assert pin.url is None
        assert pinned_version(pin).local is None, f"{pin}: a build of one machine"


def test_everything_that_the_dependencies_bring_along_is_pinned_too():
    needed, todo = set(), [(one.name, extra) for one in dependencies() for extra in ("", *one.extras)]
    while todo:
        name, extra = todo.pop()
        key = canonicalize_name(name)
        if (key, extra) not in needed and not key.startswith(GPU_ONLY) and key not in NOT_OURS:
            needed.add((key, extra))
            for one in map(Requirement, importlib.metadata.requires(name) or []):
                if one.marker is None or one.marker.evaluate({"extra": extra}):
                    todo += [(one.name, inner) for inner in ("", *one.extras)]
    assert {key for key, _ in needed} - set(pins()) == set()


def test_a_pin_that_an_older_python_cannot_have_does_not_apply_to_it():
    """The oldest Python that pyproject.toml allows must not be held to a version that excludes it."""
    oldest = re.fullmatch(r">=(\d+\.\d+)", PROJECT["requires-python"])[1]
    for name, pin in pins().items():
        try:
            metadata = importlib.metadata.metadata(name)
        except importlib.metadata.PackageNotFoundError:  # this environment is not the pinned one, or of another system
            continue
        needs = Requirement(f"python {re.sub(r'[()]', '', metadata['Requires-Python'] or '')}").specifier
        environment = {"python_version": oldest, "python_full_version": f"{oldest}.0"}
        applies = pin.marker is None or pin.marker.evaluate(environment)
        if Version(metadata["Version"]) == pinned_version(pin) and not needs.contains(f"{oldest}.0"):
            assert not applies, f"{pin} needs Python {needs}: give it a marker"


def test_other_ways_to_install_lead_to_the_same_list():
    assert read("requirements.txt") == "-c constraints.txt\n-e .[test]\n"
    environment = read("environment.yml")
    listed = re.findall(r"^\s*- ([^\n:]+)$", environment, flags=re.MULTILINE)
    assert [re.split("[=<>]", line)[0] for line in listed] == ["conda-forge", "python", "pip", "-r requirements.txt"]
    assert "dgmcourse[author,classroom]" in EXTRAS["test"], "the tests drive what authors and instructors use"


def make(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """What make would do; a make around this one, with its options, is left out of it."""
    cleaned = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return subprocess.run(["make", *arguments], cwd=ROOT, env=cleaned | environment, capture_output=True, text=True)


@pytest.mark.parametrize("target", ["lab", "test", "check", "notebooks", "clean", "install"])
def test_make_knows_the_target(target):
    done = make("--dry-run", "--always-make", target)
    assert done.returncode == 0, done.stderr
    if target == "clean":
        removed = " ".join(line for line in done.stdout.splitlines() if line.startswith("rm "))
        assert ".venv" in removed
        assert not re.search(r"\b(work|runs)\b", done.stdout), "what is the learner's is never removed"
    else:
        assert "-m pip install --disable-pip-version-check -r requirements.txt" in done.stdout


def test_make_test_runs_the_code_and_every_notebook_in_one_run():
    """One run has one closing line, which tells the whole truth."""
    shown = make("--dry-run", "test").stdout
    assert shown.count("-m pytest") == 1
    assert shown.rstrip().endswith("--nbval-cell-timeout 300 --nbval-current-env tests solutions lessons")


@pytest.mark.parametrize("given", ["no-such-python", "false"])
def test_a_missing_or_old_python_is_answered_with_what_to_do(tmp_path, given):
    done = make("-f", str(ROOT / "Makefile"), "-C", str(tmp_path), ".venv/bin/python", f"PYTHON={given}")
    assert done.returncode != 0
    assert f"No Python 3.10 or newer found (tried: {given})" in done.stderr
    assert "PYTHON=/path/to/python3" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_python_that_cannot_make_environments_leaves_none_half_made(tmp_path):
    broken = tmp_path / "python3"
    broken.write_text('#!/bin/sh\nif [ "$1" = -m ]; then mkdir -p .venv/bin; exit 1; fi\n')
    broken.chmod(0o755)
    done = make("-f", str(ROOT / "Makefile"), "-C", str(tmp_path), ".venv/bin/python", f"PYTHON={broken}")
    assert done.returncode != 0
    assert "sudo apt install python3-venv" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_make_without_a_target_says_what_there_is():
    shown = make().stdout
    for target in ("make lab", "make test", "make check", "make notebooks", "make clean"):
        assert target in shown


def test_ci_runs_make_test_strictly_and_is_executable():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "set -euo pipefail" in read(".ci/run")
    last = read(".ci/run").splitlines()[-1]
    assert last.startswith("make --no-print-directory test ")
    assert subprocess.run(["bash", "-n", str(script)]).returncode == 0


def test_no_file_names_a_machine_or_a_package_registry():
    """Paths of whoever built the notebooks, and hosts that a mirror would replace."""
    folders = {str(place) for place in (ROOT, Path.home(), Path(sys.prefix)) if len(place.parts) > 1}
    hosts = (
        "pypi" + ".org",
        "python" + "hosted.org",
        "download.py" + "torch.org",
        "ana" + "conda.org",
        "index" + "-url",
    )
    unwanted = re.compile("|".join(rf"{re.escape(word)}\b" for word in (*folders, *hosts)))
    found = {
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in text_files()
        for match in unwanted.finditer(path.read_text(encoding="utf-8"))
    }
    assert found == set()


def markdown_links(text: str) -> list[tuple[str, str]]:
    """Every [text](target) and ![alternative](target) outside of blocks of code."""
    return re.findall(r"\[([^\]]*)\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def anchors(text: str) -> set[str]:
    """The names that a page gives its headings."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_links_and_pictures_lead_somewhere(page):
    text = read(page)
    links = markdown_links(text)
    assert links
    for words, target in links:
        if target.startswith("#"):
            assert target[1:] in anchors(text), f"{page} has no heading {target}"
        elif not target.startswith("https://"):
            assert (ROOT / target).is_file(), f"{page} points to {target}, which is not there"
        assert words.strip(), f"{target} needs words, or a picture's description"


def test_the_readmes_pictures_have_descriptions():
    pictures = re.findall(r"!\[([^\]]+)\]\(([^)]+)\)", read("README.md"))
    assert pictures
    assert all(len(description.split()) >= 5 for description, _ in pictures)


def test_the_readme_tells_of_the_arena_what_the_kept_result_says():
    from dgmcourse.arena import readme

    assert readme() in read("README.md"), "after `python -m dgmcourse arena --keep`, put dgmcourse.arena.readme() there"


def test_what_the_readme_tells_to_type_exists():
    commands = set(re.findall(r"(?:python|-m) -?m? ?dgmcourse (\w+)", read("README.md")))
    from dgmcourse.__main__ import app

    known = {command.callback.__name__ for command in app.registered_commands}
    assert commands
    assert commands <= known
    targets = set(re.findall(r"make (lab|test|clean|check|notebooks|install)\b", read("README.md")))
    assert {"lab", "test"} <= targets


def test_every_built_lesson_stands_in_the_readmes_table():
    for source in sorted((ROOT / "solutions").glob("[0-9]*.py")):
        number = source.stem.split("_")[0]
        (row,) = re.findall(rf"^\| \*\*{number} [^|]+\*\* \|.*$", read("README.md"), flags=re.MULTILINE)
        assert "planned" not in row, f"lesson {number} is there: its row needs its measured numbers"


def test_everything_that_the_package_reads_is_installed_with_it():
    """A file that is no module reaches a wheel only where pyproject.toml names it."""
    patterns = tomllib.loads(read("pyproject.toml"))["tool"]["setuptools"]["package-data"]["dgmcourse"]
    named = {path for pattern in patterns for path in (ROOT / "dgmcourse").glob(pattern)}
    others = [path for path in tracked() if ROOT / "dgmcourse" in path.parents and path.suffix != ".py"]
    assert [str(path.relative_to(ROOT)) for path in others if path not in named] == []


def test_python_files_can_be_read_in_one_sitting():
    long = {
        str(path.relative_to(ROOT)): lines
        for path in tracked()
        if path.suffix == ".py" and path.parent != ROOT / "solutions"
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 450
    }
    assert long == {}, "more than 450 lines: two rooms in one?"
