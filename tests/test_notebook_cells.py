"""From a lesson's source to cells: blanks, bugs, ids, metadata, and what is refused."""

import random

import pytest

from dgmcourse.notebook_cells import BLANK, NotebookError, code_hash, make_notebook, with_answers, with_blanks

SOURCE = '''\
# %% [markdown]
# # Title

# %%
from dgmcourse.exercises import check, exercise

# %% [markdown]
# ## Exercise 1 · ●●○ · 10 minutes


# %%
@exercise("tiny/double")
def double(x):
    """Twice x."""
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION


# %%
check(double)

# %% [markdown]
# ## A bug hunt


# %%
@exercise("tiny/average")
def average(values):
    total = 0.0
    ### BEGIN SOLUTION
    for value in values:
        total += value
    ### BEGIN BUG
    # for value in values:
    #     total = value
    #
    ### END SOLUTION
    return total / len(values)


# %% points=2.5 tags=["mine"]
check(average)

# %%
double(2)
# %%
double(2)
'''


def cells(text: str, edit=str) -> dict:
    return {cell.id: cell for cell in make_notebook(text, "00_tiny", edit).cells}


def test_solutions_show_the_answers_without_markers():
    solution = cells(SOURCE, with_answers)
    assert solution["tiny-double"].source == (
        '@exercise("tiny/double")\ndef double(x):\n    """Twice x."""\n    return 2 * x'
    )
    assert "total += value" in solution["tiny-average"].source
    assert "total = value" not in solution["tiny-average"].source


def test_lessons_show_a_blank_at_the_same_indentation():
    assert cells(SOURCE, with_blanks)["tiny-double"].source == (
        f'@exercise("tiny/double")\ndef double(x):\n    """Twice x."""\n    {BLANK}'
    )


def test_a_bug_hunt_shows_the_buggy_code_uncommented():
    source = cells(SOURCE, with_blanks)["tiny-average"].source
    assert source.split("\n") == [
        '@exercise("tiny/average")', "def average(values):", "    total = 0.0", "    for value in values:",
        "        total = value", "", "    return total / len(values)",
    ]  # fmt: skip


def test_one_cell_may_hold_a_blank_and_a_bug():
    source = (
        "def f():\n    ### BEGIN SOLUTION\n    a\n    ### END SOLUTION\n    ### BEGIN SOLUTION\n    b\n"
        "    ### BEGIN BUG\n    # c\n    # d\n    ### END SOLUTION"
    )
    assert with_blanks(source) == f"def f():\n    {BLANK}\n    c\n    d"
    assert with_answers(source) == "def f():\n    a\n    b"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def f():\n    ### BEGIN SOLUTION\n    1", "no '### END SOLUTION'"),
        ("def f():\n    1\n    ### END SOLUTION", "does not belong here"),
        ("def f():\n    ### BEGIN SOLUTION\n    ### BEGIN SOLUTION\n    ### END SOLUTION", "does not belong here"),
        ("def f():\n    ### BEGIN BUG\n    # 1\n    ### END SOLUTION", "does not belong here"),
        ("def f():\n    ## begin solution\n    1", "exactly so"),
        ("### BEGIN SOLUTION\nx = 1\n### END SOLUTION", "inside a function"),
        ("def f(): pass\n### BEGIN SOLUTION\nx = 1\n### END SOLUTION", "inside a function"),
        (
            "def f():\n    ### BEGIN SOLUTION\n    1\n    ### BEGIN BUG\n    2\n    ### END SOLUTION",
            "not commented out",
        ),
        ("def f(:\n    ### BEGIN SOLUTION\n    1\n    ### END SOLUTION", "not Python"),
    ],
)
def test_wrong_markers_are_refused(source, said):
    with pytest.raises(NotebookError, match=said):
        with_blanks(source)


def test_a_bug_hunt_may_stand_outside_a_function():
    source = "### BEGIN SOLUTION\nx = 1\n### BEGIN BUG\n# x = 2\n### END SOLUTION"
    assert with_blanks(source) == "x = 2"


def test_checks_are_locked_and_worth_their_difficulty_or_their_points():
    found = cells(SOURCE)
    assert found["tiny-double"].metadata == {
        "nbgrader": {
            "grade": False, "grade_id": "tiny-double", "locked": False, "schema_version": 3, "solution": True,
            "task": False,
        }
    }  # fmt: skip
    assert found["tiny-double-check"].metadata == {
        "nbgrader": {
            "grade": True, "grade_id": "tiny-double-check", "locked": True, "points": 2, "schema_version": 3,
            "solution": False, "task": False,
        },
        "tags": ["nbval-check-output"],
    }  # fmt: skip
    assert found["tiny-average-check"].metadata["nbgrader"]["points"] == 2.5
    assert found["tiny-average-check"].metadata["tags"] == ["mine", "nbval-check-output"]


def test_a_check_without_a_difficulty_is_worth_one_point():
    found = cells(SOURCE.replace(" points=2.5", "").replace("●●○", "●●●"))
    assert found["tiny-double-check"].metadata["nbgrader"]["points"] == 3
    assert found["tiny-average-check"].metadata["nbgrader"]["points"] == 1  # the ●●● belong to another exercise


def test_nbgrader_accepts_the_metadata():
    from nbgrader.nbgraderformat import MetadataValidator

    for edit in (str, with_answers, with_blanks):
        MetadataValidator().validate_nb(make_notebook(SOURCE, "00_tiny", edit))


def test_ids_are_unique_and_an_edit_changes_only_its_own():
    before = list(cells(SOURCE))
    assert len(before) == 10
    assert list(cells(SOURCE)) == before
    assert [list(cells(SOURCE, edit)) for edit in (with_answers, with_blanks)] == [before, before]
    after = list(cells(SOURCE.replace("# # Title", "# # Another title")))
    assert [one == other for one, other in zip(before, after, strict=True)] == [False] + [True] * 9
    assert list(cells(SOURCE.replace("return 2 * x", "return x + x"))) == before
    inserted = list(cells(SOURCE.replace("# %% [markdown]\n# ## A bug", "# %%\n1 + 1\n\n# %% [markdown]\n# ## A bug")))
    assert [name for name in inserted if name in before] == before


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("check(double)\n", "check(double)\ndouble(3)\n", "alone in its cell"),
        ("check(double)\n", "result = check(double)\n", "alone in its cell"),
        ("check(double)\n", "check(dubble)\n", "defines dubble"),
        ("check(average)\n", "check(double)\n", "checked once"),
        ('"tiny/average"', '"tiny/double"', "written once"),
        ("points=2.5", 'points="many"', "points= must be"),
        ("points=2.5", "points=-1", "points= must be"),
        ("double(2)\n", "double(2\n", "not Python"),
    ],
)
def test_what_cannot_become_a_notebook_is_named_with_its_place(old, new, said):
    text = SOURCE.replace(old, new, 1)
    with pytest.raises(NotebookError, match=said) as caught:
        make_notebook(text, "00_tiny")
    assert str(caught.value).startswith("00_tiny.py, line ")


def test_a_source_without_cells_is_refused():
    with pytest.raises(NotebookError, match="holds no cell"):
        make_notebook("", "00_tiny")


def test_magics_are_no_obstacle():
    found = make_notebook(SOURCE + "\n# %%\n# %matplotlib inline\nimport math\n", "00_tiny", with_blanks)
    assert found.cells[-1].source == "%matplotlib inline\nimport math"


def test_the_code_hash_sees_code_and_not_prose():
    def hashed(text):
        return code_hash(make_notebook(text, "00_tiny", with_answers))

    assert hashed(SOURCE.replace("# # Title", "# # Another title")) == hashed(SOURCE)
    assert hashed(SOURCE.replace("return 2 * x", "return x + x")) != hashed(SOURCE)
    assert hashed(SOURCE.replace("total = value", "total -= value")) == hashed(SOURCE)  # a bug is not in solutions/


def test_any_arrangement_of_regions_keeps_the_plain_lines_and_no_answer():
    rng = random.Random(0)
    for _ in range(200):
        lines = ["def f():"]
        kinds = rng.choices(["plain", "blank", "bug"], k=rng.randint(1, 8))
        for number, kind in enumerate(kinds):
            region = [f"    answer_{number}", *(["    ### BEGIN BUG", f"    # bug_{number}"] if kind == "bug" else [])]
            region = ["    ### BEGIN SOLUTION", *region, "    ### END SOLUTION"]
            lines += [f"    plain_{number}"] if kind == "plain" else region
        blank, full = with_blanks("\n".join(lines)).split("\n"), with_answers("\n".join(lines)).split("\n")
        shown = {"plain": "plain_{}", "blank": BLANK, "bug": "bug_{}"}
        assert blank[1:] == ["    " + shown[kind].format(number) for number, kind in enumerate(kinds)]
        shown = {"plain": "plain_{}", "blank": "answer_{}", "bug": "answer_{}"}
        assert full[1:] == ["    " + shown[kind].format(number) for number, kind in enumerate(kinds)]
