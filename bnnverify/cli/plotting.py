"""``--plot``: find out before the work whether a picture can be written, and write it after."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnnverify.cli.streams import warn
from bnnverify.errors import UsageError

if TYPE_CHECKING:
    from bnnverify.cli.question import Question


def require_plot(path: Path) -> None:
    """Refuse a format that is not known, a folder that does not exist, and a missing matplotlib.

    Raises:
        UsageError: with what was expected.
    """
    from bnnverify.reports.figures import SUFFIXES

    if path.suffix not in SUFFIXES:
        raise UsageError(f"--plot {path}: expected a name that ends in {', '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        raise UsageError(f"--plot {path}: the folder {path.parent} does not exist")
    if find_spec("matplotlib") is None:
        raise UsageError("--plot needs matplotlib, which is not installed: pip install 'bnnverify[plot]'")


def save_plot(path: Path, question: Question, row: Mapping[str, Any]) -> None:
    """Draw a row, or say that there is nothing to draw; in a batch the row's index becomes part of the name."""
    from bnnverify.reports.figures import figure_of, save_figure

    index = None if row["input"] is None else row["input"]["index"]
    if question.batch:
        path = path.with_name(f"{path.stem}-{index}{path.suffix}")
    figure = figure_of(question.subject(0 if index is None else index), row)
    if figure is None:
        warn(f"there is nothing to draw, so {path} was not written")
        return
    save_figure(figure, path)
