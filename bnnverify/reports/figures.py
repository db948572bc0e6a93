"""One figure for one answer: which plots show it, and the file, written whole or not at all.

A figure is made from the answer's JSON row, so that a stored row can be drawn as well as a fresh answer. Equal
rows give equal files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bnnverify.reports.pictures import image_shape
from bnnverify.reports.pixelplots import plot_mask, plot_values
from bnnverify.reports.plots import plot_bars, plot_bit_errors, plot_choice, plot_pairs, plot_profile
from bnnverify.reports.subject import Subject
from bnnverify.reports.wording import feature_name, feature_noun, feature_value
from bnnverify.wholefile import whole_file

Row = Mapping[str, Any]

SUFFIXES = (".png", ".svg", ".pdf")
UNDATED = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
CONTRASTIVE = ("cxp", "min-cxp")
VALUE_NAMES = {"shapley": "SHAP value", "banzhaf": "Banzhaf value"}


def figure_of(subject: Subject, row: Row) -> Any:
    """The figure of an answer of ``profile``, ``explain`` or ``compare``; None where there is nothing to draw.

    Args:
        subject: what the answer is about.
        row: the answer as a JSON row.
    """
    draw = _DRAWN[row["command"]](subject, row)
    if draw is None:
        return None
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    draw(figure)
    return figure


def save_figure(figure: Any, path: Path) -> None:
    """Write the figure in the format that the name ends in, whole or not at all.

    Raises:
        UsageError: if the file cannot be written; nothing is left behind.
    """
    import matplotlib

    named = f"--plot {path}"
    with whole_file(path, named=named) as partial, matplotlib.rc_context({"svg.hashsalt": "bnnverify"}):
        figure.savefig(partial, format=path.suffix[1:], dpi=150, metadata=UNDATED[path.suffix])


Draw = Callable[[Any], None]


def _profile(subject: Subject, row: Row) -> Draw | None:
    """Counts by distance, and beside them the bit-error curve where the free bits are known."""
    profile = [{int(c): int(n) for c, n in counts.items()} for counts in row["profile"]]
    if not profile:
        return None
    label = row["input"]["class"]

    def draw(figure: Any) -> None:
        figure.set_size_inches(11 if len(profile) > 1 else 5.6, 4.2)
        panels = figure.subplots(1, 2 if len(profile) > 1 else 1, squeeze=False)[0]
        plot_profile(profile, label, panels[0])
        if len(profile) > 1:
            plot_bit_errors(profile, label, panels[1])
        figure.suptitle(f"{_title(subject)}: inputs of another class, and bit errors")

    return draw


def _explained(subject: Subject, row: Row) -> Draw | None:
    kind = row["explanation"]
    if row.get("values") is not None:
        return _valued(subject, row["values"], VALUE_NAMES[kind], f"{_title(subject)}: class {row['input']['class']}")
    if row.get("sets"):
        times = Counter(feature for found in row["sets"] for feature in found)
        shares = [times[feature] / len(row["sets"]) for feature in range(_n_features(subject))]
        name = f"share of {len(row['sets']):,} listed sets that hold it"
        return _valued(subject, shares, name, f"{_title(subject)}: {kind}, {int(row['total']):,} sets")
    if kind == "essential":
        subject = replace(subject, features=None)
    return None if row["features"] is None else _chosen(subject, row["features"], kind)


def _n_features(subject: Subject) -> int:
    return subject.network.n_inputs if subject.features is None else len(subject.features.names)


def _valued(subject: Subject, values: Sequence[float], name: str, title: str) -> Draw:
    """A heat map where the features are pixels, else bars."""
    shape = _image(subject)

    def draw(figure: Any) -> None:
        if shape is not None:
            figure.set_size_inches(6.2, 5.0)
            plot_values(values, shape, ink=subject.bits(), name=name, ax=figure.subplots())
        else:
            figure.set_size_inches(7.4, 1.4 + 0.28 * min(20, max(3, sum(map(bool, values)))))
            named = [feature_name(subject, feature) for feature in range(len(values))]
            plot_bars(values, named, name=name, ax=figure.subplots())
        figure.suptitle(title)

    return draw


def _chosen(subject: Subject, features: Sequence[int], kind: str) -> Draw:
    """A mask over the image, else a list of the features."""
    shape, ink = image_shape(subject.network.input.shape), subject.bits()

    def draw(figure: Any) -> None:
        if shape is not None and ink is not None:
            figure.set_size_inches(5.0, 5.4)
            pixels = subject.bits_of(features)
            plot_mask(pixels, shape, ink=ink, changed=kind in CONTRASTIVE, ax=figure.subplots())
        else:
            every = range(_n_features(subject))
            figure.set_size_inches(7.4, 0.9 + 0.3 * min(20, max(3, len(every))))
            names, texts = ([of(subject, feature) for feature in every] for of in (feature_name, feature_value))
            plot_choice(features, names, texts, ax=figure.subplots())
        figure.suptitle(
            f"{_title(subject)}: {kind}, {len(features)} of {_n_features(subject)} {feature_noun(subject)}s"
        )

    return draw


def _compared(subject: Subject, row: Row) -> Draw | None:
    pairs = {(pair["first"], pair["second"]): int(pair["inputs"]) for pair in row["pairs"]}
    if not pairs:
        return None

    def draw(figure: Any) -> None:
        sides = [len({pair[side] for pair in pairs}) for side in (0, 1)]
        figure.set_size_inches(2.4 + 0.7 * max(4, sides[1]), 1.8 + 0.5 * max(3, sides[0]))
        plot_pairs(pairs, ("the first network", "the second"), figure.subplots())
        figure.suptitle(f"{subject.network.name} and\n{row['other']}", fontsize="medium")

    return draw


_DRAWN: dict[str, Callable[[Subject, Row], Draw | None]] = {
    "profile": _profile,
    "explain": _explained,
    "compare": _compared,
}


def _image(subject: Subject) -> tuple[int, int] | None:
    """Height and width, where each feature is one pixel."""
    return image_shape(subject.network.input.shape) if subject.features is None else None


def _title(subject: Subject) -> str:
    return subject.network.name if subject.source is None else f"{subject.source}, index {subject.index}"
