"""Where nbgrader's own steps are not enough for a lesson of the course.

The `nbgrader_config.py` of a course folder names these; nothing else imports them, because they need nbgrader.
"""

from nbformat.v4 import new_markdown_cell
from nbgrader.converters import Autograde, GenerateAssignment
from nbgrader.preprocessors import ClearSolutions, OverwriteCells
from nbgrader.utils import is_solution

from .notebook_cells import BEGIN, with_blanks

__all__ = ["ReleaseLesson", "RestoreChecks", "release_steps", "restore_steps"]


class ReleaseLesson(ClearSolutions):
    """Solution regions become what `lessons/` shows: the blank, or the code with the bug of a bug hunt."""

    def preprocess_cell(self, cell, resources, cell_index):
        """Blank one cell; cells without a region are left to nbgrader (an instructor may have added some)."""
        if cell.cell_type != "code" or not is_solution(cell) or BEGIN not in cell.source:
            return super().preprocess_cell(cell, resources, cell_index)
        cell.source = with_blanks(cell.source)
        return cell, resources


class RestoreChecks(OverwriteCells):
    """Check cells are as released again, also in a notebook that holds copies of cells.

    nbgrader takes a copied cell, or one from another assignment, out of grading by removing its `grade_id`; but then
    putting a deleted check back (`add_missing_cells`) fails on the rest of its metadata, so that goes too.
    """

    def preprocess_cell(self, cell, resources, cell_index):
        """Restore one cell."""
        cell, resources = super().preprocess_cell(cell, resources, cell_index)
        if "grade_id" not in cell.metadata.get("nbgrader", {"grade_id": None}):
            del cell.metadata["nbgrader"]
        return cell, resources

    def missing_cell_transform(self, *arguments, **keywords):
        """The cell that comes back, with the id that nbformat asks for."""
        cell = super().missing_cell_transform(*arguments, **keywords)
        cell["id"] = new_markdown_cell().id
        return cell


def release_steps() -> list[type]:
    """The steps of `nbgrader generate_assignment`, `ReleaseLesson` in the place of `ClearSolutions`."""
    return [ReleaseLesson if step is ClearSolutions else step for step in GenerateAssignment().preprocessors]


def restore_steps() -> list[type]:
    """The first steps of `nbgrader autograde`, `RestoreChecks` in the place of `OverwriteCells`."""
    return [RestoreChecks if step is OverwriteCells else step for step in Autograde().sanitize_preprocessors]
