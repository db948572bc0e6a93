"""``train``: from a recipe and its data to a network that can be verified, or three networks to compare.

Epochs are printed as they end; a line below them, on a terminal, says how far the next one is and how long all of them
will take. A killed training goes on with ``--resume`` and writes the same file.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnnverify.cli.options import add_options
from bnnverify.cli.progress import StatusLine
from bnnverify.errors import UsageError

if TYPE_CHECKING:
    from bnnverify.training.material import Material
    from bnnverify.training.recipe import Recipe, Verification
    from bnnverify.training.run import Epoch, Step
    from bnnverify.training.session import Session, Trained

ABOUT = "train a network by a recipe, export it, check the export neuron by neuron"
SMOKE_TEST_IMAGES = 200


def add_commands(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("train", help=ABOUT, description=ABOUT.capitalize(), allow_abbrev=False)
    parser.add_argument("recipe", nargs="?", metavar="RECIPE", help="a name that --list prints, or a .toml file")
    for flag, what in (
        ("--list", "list the recipes that ship with the package"),
        ("--compare", "train the recipe as float, deterministic and stochastic network, and measure each"),
        ("--smoke", "the same in everything but size: seconds of training"),
        ("--quirks", "with the quirks of the original code that the recipe lists"),
        ("--report", "attacked and verified accuracy, by the recipe's table `verify`"),
        ("--resume", "go on from the checkpoint beside the output, if there is one"),
    ):
        parser.add_argument(flag, help=what, action="store_true")
    parser.add_argument("--out", type=Path, metavar="MODEL.npz", help="where to write the network")
    for flag, what in (
        ("--epochs", "train so many epochs instead of the recipe's"),
        ("--images", "train on the first so many images alone"),
        ("--threads", "threads of torch (default: its own choice); results repeat for one number of threads"),
    ):
        parser.add_argument(flag, type=_count, metavar="N", help=what)
    parser.add_argument("--seed", type=_natural, metavar="N", help="of everything random (default: the recipe's)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to train (default: cpu)")
    parser.add_argument("--log", type=Path, metavar="FILE", help="write every epoch to a .csv or .jsonl file")
    parser.add_argument("--tensorboard", type=Path, metavar="DIR", help="write TensorBoard's files to a folder")
    add_options(parser, ("data", "plot", "json"))
    parser.set_defaults(run=run)


def _at_least(least: int, text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number of at least {least}")
    return int(text)


def _count(text: str) -> int:
    return _at_least(1, text)


def _natural(text: str) -> int:
    return _at_least(0, text)


def run(arguments: argparse.Namespace) -> int:
    """List, compare or train; exit code 0."""
    if arguments.list:
        return _list(arguments)
    if arguments.recipe is None:
        raise UsageError("train needs a RECIPE; `bnnverify train --list` names those that ship with the package")
    _refuse_early(arguments)
    recipe = _recipe(arguments)
    return _compare(arguments, recipe) if arguments.compare else _train(arguments, recipe)


def _list(arguments: argparse.Namespace) -> int:
    from bnnverify.cli import streams
    from bnnverify.reports.json import SCHEMA, dumps
    from bnnverify.reports.tables import table
    from bnnverify.training.recipe import read_recipe, recipe_names

    recipes = [read_recipe(name) for name in recipe_names()]
    if arguments.json:
        rows = [{"schema": SCHEMA, "command": "train", "recipe": recipe.to_dict()} for recipe in recipes]
        streams.answer("\n".join(map(dumps, rows)))
        return 0
    cells = [[recipe.name, recipe.title, str(recipe.training.epochs), recipe.published or "-"] for recipe in recipes]
    streams.answer(table(["recipe", "network", "epochs", "published"], cells, "llrl"))
    return 0


def _refuse_early(arguments: argparse.Namespace) -> None:
    """Everything that can be refused before the work starts.

    Raises:
        UsageError: with what is missing.
    """
    from bnnverify.cli.kernels import import_numba
    from bnnverify.cli.plotting import require_plot

    if find_spec("torch") is None:
        raise UsageError("train needs torch, which is not installed: pip install 'bnnverify[train]'")
    import_numba()
    from bnnverify.training.logs import require_log, require_tensorboard

    if arguments.plot is not None:
        require_plot(arguments.plot)
    if arguments.log is not None:
        require_log(arguments.log)
    if arguments.tensorboard is not None:
        require_tensorboard()
    _refuse_out(arguments)


def _refuse_out(arguments: argparse.Namespace) -> None:
    unused = [name for name in ("out", "resume", "report", "quirks", "log", "tensorboard") if getattr(arguments, name)]
    if arguments.compare:
        if unused:
            raise UsageError(f"--compare keeps no network of a single run, so --{unused[0]} has no meaning with it")
        return
    if arguments.out is None:
        raise UsageError("train needs --out MODEL.npz, the file to write")
    if arguments.out.suffix.lower() != ".npz":
        raise UsageError(f"--out {arguments.out}: networks are saved as .npz; give a name that ends so")
    if not arguments.out.parent.is_dir():
        raise UsageError(f"--out {arguments.out}: the folder {arguments.out.parent} does not exist")


def _recipe(arguments: argparse.Namespace) -> Recipe:
    """The recipe of the command line with what its options change."""
    import torch

    from bnnverify.training.recipe import read_recipe

    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    recipe = read_recipe(arguments.recipe)
    if arguments.quirks:
        recipe = recipe.with_quirks()
    if arguments.smoke:
        recipe = recipe.smoke()
    changes = {"training": {"epochs": arguments.epochs, "seed": arguments.seed}, "data": {"images": arguments.images}}
    given = {
        table: {key: value for key, value in entries.items() if value is not None} for table, entries in changes.items()
    }
    return recipe.changed(given)


def _train(arguments: argparse.Namespace, recipe: Recipe) -> int:
    from bnnverify.cli import streams
    from bnnverify.reports.json import dumps
    from bnnverify.reports.trained import layer_table, verified_table
    from bnnverify.training.describe import describe
    from bnnverify.training.material import load_material
    from bnnverify.training.session import Session

    asked = recipe.verify
    if arguments.report and (asked is None or not recipe.network.is_binary):
        raise UsageError(f"{recipe.name}: --report needs a binarized network and a table `verify` in its recipe")
    material = load_material(recipe.data, arguments.data, n_test=SMOKE_TEST_IMAGES if arguments.smoke else None)
    session = Session(recipe, material, arguments.out, device=arguments.device)
    if arguments.resume and not session.resume():
        streams.warn(f"there is no checkpoint {session.checkpoint}, so the training starts anew")
    facts = describe(session.run.model, material.shape).to_dict()
    load = time.perf_counter() - arguments.started
    if not arguments.json:
        streams.answer(f"{recipe.name}: {recipe.title}\n\n{layer_table(facts)}\n")
    trained = _trained(arguments, session)
    row = _row(arguments, trained, material, load)
    if arguments.plot is not None:
        _save_curve(arguments.plot, row)
    if not arguments.json:
        streams.answer(_text(arguments, trained))
    rows = _report(trained, material, asked) if arguments.report and asked else []
    if arguments.json:
        streams.answer(dumps({**row, "summary": facts, "report": rows}))
    elif rows:
        streams.answer(f"\n{verified_table(rows)}")
    return 0


def _report(trained: Trained, material: Material, asked: Verification) -> list[dict[str, Any]]:
    """The rows of a report, with a line that says how far it is."""
    from bnnverify.training.session import report

    with StatusLine() as line:

        def watch(radius: int, n_done: int) -> None:
            line.draw(f"verifying: radius {radius}, image {n_done}/{asked.images}")

        return [found.to_dict() for found in report(trained, material, asked, watch=watch)]


def _trained(arguments: argparse.Namespace, session: Session) -> Trained:
    """Train with everything that watches."""
    from bnnverify.cli import streams
    from bnnverify.reports.trained import epoch_line
    from bnnverify.training.logs import open_log, open_tensorboard

    n_epochs, history = session.recipe.training.epochs, session.run.history
    watchers = []
    if arguments.log is not None:
        watchers.append(open_log(arguments.log, history))
    if arguments.tensorboard is not None:
        watchers.append(open_tensorboard(arguments.tensorboard, history))
    with TrainingProgress(n_epochs, len(history)) as progress:

        def on_epoch(epoch: Epoch) -> None:
            for watcher in watchers:
                watcher(epoch)
            progress.wipe()
            if not arguments.json:
                streams.answer(epoch_line(asdict(epoch), n_epochs))

        return session.train(watch=progress.show, on_epoch=on_epoch)


class TrainingProgress(StatusLine):
    """How far the epoch is and how long all epochs will take if they go on alike."""

    def __init__(self, n_epochs: int, n_done: int) -> None:
        super().__init__()
        self._n_epochs, self._n_done = n_epochs, n_done
        self._start = time.monotonic()

    def show(self, step: Step) -> None:
        """After each step."""
        from bnnverify.reports.tables import duration

        done = (step.n_epochs - self._n_done) * step.steps_per_epoch + step.n_steps
        total = (self._n_epochs - self._n_done) * step.steps_per_epoch
        left = (time.monotonic() - self._start) * (total - done) / done
        place = f"epoch {step.n_epochs + 1}/{self._n_epochs}, step {step.n_steps}/{step.steps_per_epoch}"
        self.draw(f"{place}, loss {step.loss:.4f}, {duration(left)} left")


def _row(arguments: argparse.Namespace, trained: Trained, material: Material, load: float) -> dict[str, Any]:
    """The JSON object of a training."""
    from bnnverify.reports.json import SCHEMA, closing

    network = trained.network
    total = time.perf_counter() - arguments.started
    return {
        "schema": SCHEMA,
        "command": "train",
        "recipe": trained.recipe.to_dict(),
        "model": None if network is None else {"name": network.name, "sha256": network.fingerprint},
        "path": str(arguments.out),
        "bytes": arguments.out.stat().st_size,
        "verdict": "answered",
        "test_accuracy": trained.test_accuracy,
        "test_images": trained.n_test,
        "best_epoch": trained.best.number,
        "validation_accuracy": trained.best.validation_accuracy,
        "neurons_checked_on": 0 if network is None else len(material.test_labels),
        "curve": [asdict(epoch) for epoch in trained.history],
        **closing(load, trained.seconds, total),
    }


def _text(arguments: argparse.Namespace, trained: Trained) -> str:
    """What the training came to."""
    from bnnverify.reports.tables import duration, grouped

    best, network, n_test = trained.best, trained.network, grouped(trained.n_test)
    size = grouped(arguments.out.stat().st_size)
    if network is None:
        saved = f"an ordinary network, saved as the {size} bytes of {arguments.out}: plain arrays, nothing to verify"
    else:
        saved = f"saved as the {size} bytes of {arguments.out}, sha256 {network.fingerprint}; all neurons and classes "
        saved += f"agree between torch and the bit engine on all {n_test} test images"
    found = f"epoch {best.number} was best, with {best.validation_accuracy:.2%} of the validation images; "
    found += f"test accuracy {trained.test_accuracy:.2%} of {n_test}; {duration(trained.seconds)}"
    return "\n".join(["", found, saved])


def _save_curve(path: Path, row: dict[str, Any]) -> None:
    from matplotlib.figure import Figure

    from bnnverify.reports.figures import save_figure
    from bnnverify.reports.trained import plot_curve

    figure = Figure(layout="constrained")
    plot_curve(row["curve"], figure.subplots())
    figure.suptitle(row["recipe"]["title"], fontsize="medium")
    save_figure(figure, path)


def _compare(arguments: argparse.Namespace, recipe: Recipe) -> int:
    from bnnverify.cli import streams
    from bnnverify.reports.json import SCHEMA, closing, dumps
    from bnnverify.reports.trained import comparison_table, epoch_line
    from bnnverify.training.comparison import compare
    from bnnverify.training.describe import ENERGY_SOURCE

    load = time.perf_counter() - arguments.started
    with StatusLine() as line:

        def on_epoch(name: str, epoch: Epoch) -> None:
            line.draw(f"{name}: {epoch_line(asdict(epoch), recipe.training.epochs)}")

        variants = compare(
            recipe,
            arguments.data,
            n_test=SMOKE_TEST_IMAGES if arguments.smoke else None,
            threads=arguments.threads,
            device=arguments.device,
            on_epoch=on_epoch,
        )
        rows = [variant.to_dict() for variant in variants]
    if arguments.plot is not None:
        _save_comparison(arguments.plot, rows, recipe.title)
    if not arguments.json:
        notes = f"Sums are the multiply-accumulates of one inference; energy by {ENERGY_SOURCE}."
        streams.answer(f"{recipe.name}: {recipe.title}\n\n{comparison_table(rows)}\n\n{notes}")
        return 0
    total = time.perf_counter() - arguments.started
    head = {"schema": SCHEMA, "command": "train", "recipe": recipe.to_dict(), "verdict": "answered"}
    end = {"energy_source": ENERGY_SOURCE, **closing(load, total - load, total)}
    streams.answer(dumps({**head, "variants": rows, **end}))
    return 0


def _save_comparison(path: Path, rows: list[dict[str, Any]], title: str) -> None:
    from matplotlib.figure import Figure

    from bnnverify.reports.figures import save_figure
    from bnnverify.reports.trained import plot_comparison

    figure = Figure(layout="constrained")
    plot_comparison(rows, figure)
    figure.suptitle(title, fontsize="medium")
    save_figure(figure, path)
