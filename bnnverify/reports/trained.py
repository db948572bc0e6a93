"""Training as text and pictures: epochs, layers, what was verified, and float against binarized networks.

Functions take the JSON rows of training, so that stored ones print as well as fresh ones; none prints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bnnverify.reports.plots import BLUE, ORANGE, axes_or_new
from bnnverify.reports.tables import duration, grouped, table

Row = Mapping[str, Any]


def epoch_line(epoch: Row, n_epochs: int) -> str:
    """One epoch in one line."""
    parts = [f"loss {epoch['loss']:.4f}", f"validation accuracy {epoch['validation_accuracy']:.2%}"]
    parts.append(f"flips {epoch['flip_ratio']:.2%}")
    if epoch["zero_weights"]:
        parts.append(f"zero weights {epoch['zero_weights']:.1%}")
    if epoch["n_fed"]:
        parts.append(f"{epoch['n_fed']} counterexamples")
    return f"epoch {epoch['number']}/{n_epochs}: {', '.join(parts)}, {duration(epoch['seconds'])}"


def layer_table(facts: Row) -> str:
    """A model's layers with their totals."""
    header = ["layer", "kind", "reads", "outputs", "weights", "bits", "others", "accumulations"]
    rows = [
        [
            layer["name"],
            layer["kind"],
            layer["reads"],
            "x".join(map(str, layer["output_shape"])),
            grouped(layer["n_weights"]),
            str(layer["bits"]),
            grouped(layer["n_other"]),
            grouped(layer["n_accumulated"]),
        ]
        for layer in facts["layers"]
    ]
    totals = ["total", "", "", "", grouped(facts["n_weights"]), "", "", grouped(facts["n_accumulated"])]
    return table(header, [*rows, totals], "llllrrrr")


def verified_table(rows: Sequence[Row]) -> str:
    """Clean, attacked and verified accuracy at every radius."""
    header = ["norm", "radius", "images", "clean", "attacked", "verified", "violated", "undecided"]
    cells = [
        [
            row["norm"],
            str(row["radius"]),
            str(row["n_images"]),
            f"{row['n_correct'] / row['n_images']:.1%}",
            f"{row['attacked_accuracy']:.1%}",
            f"{row['verified_accuracy']:.1%}",
            str(row["n_violated"]),
            str(row["n_undecided"]),
        ]
        for row in rows
    ]
    return table(header, cells, "lrrrrrrr")


def comparison_table(rows: Sequence[Row]) -> str:
    """What was measured of each variant, one a line."""
    header = ["variant", "accuracy", "wall", "processor", "peak MiB", "bytes", "inferences/s", "sums", "arith. uJ"]
    cells = [
        [
            row["name"],
            f"{row['test_accuracy']:.2%}",
            duration(row["seconds"]),
            duration(row["cpu_seconds"]),
            f"{row['peak_mib']:.0f}",
            grouped(row["n_bytes"]),
            grouped(round(row["inferences_per_second"])),
            grouped(row["n_accumulated"]),
            f"{row['arithmetic_uj']:.3g}",
            f"{row['memory_uj']:.3g}",
        ]
        for row in rows
    ]
    return table([*header, "memory uJ"], cells, "lrrrrrrrrr")


def plot_curve(curve: Sequence[Row], ax: Any = None) -> Any:
    """Draw validation accuracy and loss against epochs.

    Args:
        curve: rows of epochs.
        ax: matplotlib Axes of the accuracy; the loss gets the other side.
    """
    ax = axes_or_new(ax)
    numbers = [epoch["number"] for epoch in curve]
    shown = ax.plot(
        numbers, [100 * epoch["validation_accuracy"] for epoch in curve], "o-", color=BLUE, label="validation accuracy"
    )
    other = ax.twinx()
    shown += other.plot(numbers, [epoch["loss"] for epoch in curve], "s--", color=ORANGE, label="loss")
    ax.set_xlabel("epoch")
    ax.set_ylabel("validation accuracy (%)")
    other.set_ylabel("loss")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend(handles=shown, loc="center right", frameon=False)
    return ax


PANELS = (
    ("test_accuracy", "test accuracy (%)", 100.0, False),
    ("cpu_seconds", "processor time of training (s)", 1.0, False),
    ("peak_mib", "peak memory (MiB)", 1.0, False),
    ("n_bytes", "bytes of the model", 1.0, True),
    ("inferences_per_second", "inferences a second", 1.0, True),
    ("arithmetic_uj", "arithmetic of an inference (uJ)", 1.0, True),
)


def plot_comparison(rows: Sequence[Row], figure: Any) -> None:
    """Draw the variants side by side, one panel for each quantity: bars, or dots on a logarithmic axis.

    Args:
        figure: matplotlib Figure to draw on.
    """
    figure.set_size_inches(10.0, 6.0)
    names = [row["name"] for row in rows]
    for ax, (key, title, factor, logarithmic) in zip(figure.subplots(2, 3).flat, PANELS, strict=True):
        values = [factor * row[key] for row in rows]
        colours = [ORANGE if "float" in name else BLUE for name in names]
        if logarithmic:
            ax.scatter(range(len(rows)), values, color=colours)
            ax.set_yscale("log")
        else:
            ax.bar(range(len(rows)), values, color=colours)
        ax.set_xticks(range(len(rows)), names, fontsize="small")
        ax.set_title(title, fontsize="medium")
        for place, value in enumerate(values):
            shown = f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
            ax.annotate(
                shown, (place, value), (0, 3), textcoords="offset points", ha="center", va="bottom", fontsize="small"
            )
        ax.margins(x=0.2, y=0.15)
