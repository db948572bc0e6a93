"""Plots draw what the answers say; files come whole or not at all, and equal for equal rows."""

import json
import math
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from bnnverify.network import BitInput, Network, Output
from bnnverify.reports.plots import (
    bit_error_bounds,
    plot_bars,
    plot_bit_errors,
    plot_choice,
    plot_criticality,
    plot_pairs,
    plot_profile,
)
from bnnverify.reports.subject import Subject
from bnnverify.theories import Encoding, Feature, FeatureGroups
from tests.cliworld import build_world, rows_of, run

pytest.importorskip("matplotlib")

from matplotlib.figure import Figure

from bnnverify.reports.figures import figure_of, save_figure
from bnnverify.reports.pixelplots import plot_mask, plot_values

PROFILE = ({7: 1}, {7: 4}, {7: 5, 3: 1}, {7: 1, 3: 2, 5: 1}, {3: 1})


@pytest.fixture
def ax():
    return Figure().subplots()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return build_world(tmp_path_factory.mktemp("world"))


def exact_chance(profile, label, n_free, p):
    changed = [sum(n for c, n in row.items() if c != label) for row in profile]
    return sum((n * p**k * (1 - p) ** (n_free - k) for k, n in enumerate(changed)), Fraction(0))


@pytest.mark.parametrize("p", [Fraction(1, 1000), Fraction(1, 4), Fraction(1, 2), Fraction(9, 10)])
def test_the_bit_error_curve_of_a_whole_profile_is_the_exact_sum(p):
    low, high = bit_error_bounds(PROFILE, 7, [float(p)])
    expected = float(exact_chance(PROFILE, 7, 4, p))
    assert low[0] == pytest.approx(expected, rel=1e-11)
    assert high[0] == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("radius", range(1, 5))
def test_the_bounds_of_a_cut_profile_hold_the_curve_and_reach_all_that_is_beyond(radius):
    rates = np.linspace(0.01, 0.99, 40)
    exact = bit_error_bounds(PROFILE, 7, rates)[0]
    low, high = bit_error_bounds(PROFILE[: radius + 1], 7, rates)
    assert (low <= exact + 1e-12).all()
    assert (exact <= high + 1e-12).all()
    beyond = sum(math.comb(4, k) * rates**k * (1 - rates) ** (4 - k) for k in range(radius + 1, 5))
    assert high - low == pytest.approx(np.broadcast_to(beyond, rates.shape), abs=1e-12)


def test_the_bounds_stand_counts_past_the_range_of_floats():
    profile = tuple({0: math.comb(1200, k)} if k % 2 else {1: math.comb(1200, k)} for k in range(1201))
    low, high = bit_error_bounds(profile, 0, [0.5])
    assert low[0] == pytest.approx(0.5, rel=1e-9)
    assert high[0] == pytest.approx(0.5, rel=1e-9)


def test_a_profile_is_drawn_by_logarithms_with_its_safe_radius(ax):
    assert plot_profile(PROFILE, 7, ax) is ax
    tops = [bar.get_y() + bar.get_height() for bar in ax.patches]
    assert tops[:5] == pytest.approx([math.log10(n) for n in (1, 4, 6, 4, 1)])
    assert tops[5:] == pytest.approx([-1, -1, 0, math.log10(3), 0])
    assert "safe radius: 1" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_a_profile_of_a_whole_input_space_is_drawn(ax):
    plot_profile([{0: 1}, {1: 2**1100}], 0, ax)
    assert max(bar.get_height() for bar in ax.patches) == pytest.approx(1100 * math.log10(2) + 1)


@pytest.mark.parametrize(("profile", "n_curves"), [(PROFILE, 1), (PROFILE[:3], 2), (PROFILE[:2], 1)])
def test_a_curve_is_one_line_where_it_is_exact_and_a_band_where_it_is_cut(ax, profile, n_curves):
    plot_bit_errors(profile, 7, ax)
    assert len(ax.lines) == n_curves
    assert len(ax.collections) == (len(profile) < 5)


def test_a_class_that_never_changes_is_said_to(ax):
    plot_bit_errors([{0: 1}, {0: 1}], 0, ax)
    assert "at every rate" in ax.texts[0].get_text()


def test_values_of_0_show_the_image_and_the_others_are_symmetric_about_0(ax):
    plot_values([0, 3, -1, 0], (2, 2), ink=[1, 1, -1, -1], ax=ax)
    heat = ax.images[-1]
    assert heat.get_array().mask.tolist() == [[True, False], [False, True]]
    assert (heat.norm.vmin, heat.norm.vmax) == (-3, 3)


def test_values_that_are_all_0_are_drawn(ax):
    assert plot_values(np.zeros(4), (2, 2), ax=ax).images[-1].norm.vmax == 1


def test_marked_pixels_are_squares_counted_by_their_ink(ax):
    plot_mask([0, 1, 3], (2, 2), ink=[1, -1, 1, 1], ax=ax)
    places = {(patch.get_x(), patch.get_y()) for patch in ax.patches}
    assert places == {(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5)}
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["ink stays: 2", "no ink stays: 1"]


def test_bars_are_ranked_by_size_without_those_of_0(ax):
    plot_bars([0.1, 0.0, -0.5], ["a", "b", "c"], ax=ax)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["c", "a"]
    assert [bar.get_width() for bar in ax.patches] == [-0.5, 0.1]


def test_chosen_features_stand_out_with_their_values(ax):
    plot_choice([1], ["age", "sex"], ["old", "male"], ax=ax)
    assert [text.get_text() for text in ax.texts] == ["old", "male"]
    assert [text.get_weight() for text in ax.texts] == ["normal", "bold"]


def test_of_many_features_only_the_chosen_are_listed(ax):
    plot_choice([7, 30], [str(i) for i in range(40)], ["+"] * 40, ax=ax)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["7", "30"]


def test_pairs_of_classes_are_counted_and_those_that_differ_coloured(ax):
    plot_pairs({(0, 0): 5, (0, 1): 1000, (1, 1): 2**784}, ("a", "b"), ax)
    assert sorted(text.get_text() for text in ax.texts) == ["1.0e236", "1000", "5"]
    assert np.isfinite(ax.images[0].get_array().filled(np.nan)).tolist() == [[False, True], [False, False]]


def test_criticality_leaves_harmless_weights_blank(ax):
    plot_criticality([[0, 10**300], [1, 0]], ax)
    shown = ax.images[0].get_array()
    assert np.ma.getmaskarray(shown).tolist() == [[True, False], [False, True]]
    assert shown.max() == pytest.approx(300)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plot_profile(PROFILE, 7),
        lambda: plot_bit_errors(PROFILE, 7),
        lambda: plot_values([1.0, 0, 0, 0], (2, 2)),
        lambda: plot_mask([1], (2, 2), ink=[1, 1, 0, 0]),
        lambda: plot_bars([1.0], ["a"]),
        lambda: plot_choice([0], ["a"], ["b"]),
        lambda: plot_pairs({(0, 1): 3}, ("a", "b")),
        lambda: plot_criticality([[1]]),
    ],
)
def test_without_axes_a_plot_makes_its_own(draw, monkeypatch):
    from matplotlib import pyplot

    monkeypatch.setattr(pyplot, "show", lambda: pytest.fail("shown"))
    made = draw()
    assert made.figure.axes[0] is made
    pyplot.close(made.figure)


COLOURS = Feature("colour", (0, 1, 2), Encoding.ONE_HOT, ("red", "green", "blue"))
EXPLAINED = {"command": "explain", "input": {"class": 0}, "features": [0], "values": None, "sets": None}


def tabular(features=(COLOURS,)):
    network = Network((), Output(np.ones((2, 5))), BitInput((5,)), "colours")
    instance = np.array([-1, 1, -1, 1, 1], dtype=np.int8)
    return Subject(
        "explain", network, source="x.npy", index=0, instance=instance, features=FeatureGroups(5, tuple(features))
    )


def texts_of(figure):
    ax = figure.axes[0]
    return [text.get_text() for text in (*ax.texts, *ax.get_yticklabels())]


def test_an_explanation_by_named_features_is_a_list_with_the_values_of_the_instance():
    figure = figure_of(tabular(), {**EXPLAINED, "explanation": "axp"})
    assert texts_of(figure) == ["green", "+", "+", "colour", "bit 3", "bit 4"]


def test_values_of_named_features_are_bars():
    figure = figure_of(tabular(), {**EXPLAINED, "explanation": "shapley", "values": [0.5, 0.0, -0.25]})
    assert texts_of(figure) == ["colour", "bit 4"]


def test_listed_sets_are_drawn_as_shares():
    row = {**EXPLAINED, "explanation": "all-axp", "features": None, "sets": [[0], [0, 2]], "total": "2"}
    figure = figure_of(tabular(), row)
    assert [bar.get_width() for bar in figure.axes[0].patches] == [1.0, 0.5]


def test_essential_inputs_are_bits_and_not_features():
    figure = figure_of(tabular(), {**EXPLAINED, "explanation": "essential", "features": [4]})
    assert texts_of(figure)[-5:] == [f"bit {i}" for i in range(5)]


def test_where_nothing_was_found_there_is_nothing_to_draw():
    assert figure_of(tabular(), {**EXPLAINED, "explanation": "cxp", "features": None}) is None
    assert figure_of(tabular(), {"command": "profile", "profile": []}) is None
    assert figure_of(tabular(), {"command": "compare", "pairs": []}) is None


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_equal_rows_give_equal_files_of_the_format_that_was_named(tmp_path, suffix):
    row = {"command": "profile", "input": {"class": 7}, "profile": [{"7": "1"}, {"7": "3", "3": "1"}]}
    paths = [tmp_path / f"{name}.{suffix}" for name in ("a", "b")]
    for path in paths:
        save_figure(figure_of(tabular(), row), path)
    contents = [path.read_bytes() for path in paths]
    assert contents[0] == contents[1]
    assert contents[0].startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[suffix])
    assert len(list(tmp_path.iterdir())) == 2


def test_a_file_that_breaks_off_leaves_nothing_behind(tmp_path):
    class Torn:
        def savefig(self, path, **settings):
            path.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save_figure(Torn(), tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def profiled(world, *more):
    return ["profile", world.path("pixels.npz"), "--input", world.path("images.npz"), "--eps", "2", *more]


def test_a_profile_is_plotted_and_its_answer_printed_as_ever(world, capsys, tmp_path):
    plain = json.loads(run(capsys, *profiled(world, "--json"))[1])
    code, out, err = run(capsys, *profiled(world, "--json", "--plot", str(tmp_path / "p.svg")))
    assert (code, err) == (0, "")
    assert json.loads(out)["profile"] == plain["profile"]
    assert [path.name for path in tmp_path.iterdir()] == ["p.svg"]


def test_plots_of_a_batch_are_numbered_and_drawn_from_stored_rows_too(world, capsys, tmp_path):
    stored = ("--index", "0:3", "--json", "--out", str(tmp_path / "rows.jsonl"))
    rows = rows_of(run(capsys, *profiled(world, *stored))[1])
    again = rows_of(run(capsys, *profiled(world, *stored, "--plot", str(tmp_path / "p.png")))[1])
    assert again == rows
    assert {path.name for path in tmp_path.iterdir()} == {"rows.jsonl", "p-0.png", "p-1.png", "p-2.png"}


@pytest.mark.parametrize("name", ["p.gif", "p", "nowhere/p.png"])
def test_a_plot_that_cannot_be_written_is_refused_before_the_work(world, capsys, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *profiled(world, "--plot", name))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"--plot {name}" in err
    assert list(tmp_path.iterdir()) == []


def test_a_missing_matplotlib_is_one_sentence(world, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("bnnverify.cli.plotting.find_spec", lambda name: None)
    code, out, err = run(capsys, *profiled(world, "--plot", str(tmp_path / "p.png")))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "matplotlib" in err


def test_without_plot_no_command_imports_matplotlib(world, tmp_path):
    commands = [
        profiled(world),
        ["explain", world.path("pixels.npz"), "--input", world.path("images.npz"), "--free", "0-5"],
        ["compare", world.path("bits.npz"), "--flip", "out:0:0", "--input", world.path("bits.npy"), "--free", "0-5"],
    ]
    program = f"import sys; from bnnverify.cli.main import main; [main(argv) for argv in {commands!r}]; "
    check = "print([name for name in ('matplotlib', 'torch') if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program + check], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "[]"
