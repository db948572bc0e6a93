"""Saved diagrams load identically; damaged and forged files end in one sentence."""

import re
import zipfile
from contextlib import suppress

import numpy as np
import pytest

from bnnverify.diagram.archive import SCHEMA, encode, load_diagram, save_diagram
from bnnverify.diagram.flat import FlatDiagram
from bnnverify.errors import ModelFormatError, UsageError
from bnnverify.formats.archive import write_arrays
from tests.diagrams import diagram_of_tables
from tests.worlds import parity, random_worlds, true_everywhere


def same(a, b):
    return a.n_levels == b.n_levels and all(
        np.array_equal(getattr(a, name), getattr(b, name)) for name in ("level", "low", "high", "roots")
    )


def test_a_saved_diagram_loads_identically(tmp_path):
    special = [parity(300), true_everywhere(0), parity(3).with_roots([])]
    for diagram in [*special, *(diagram for diagram, _ in random_worlds(61, 20, 8))]:
        save_diagram(diagram, tmp_path / "d.npz")
        assert same(load_diagram(tmp_path / "d.npz"), diagram)


def test_equal_diagrams_give_equal_files(tmp_path):
    for name in ("a.npz", "b.npz"):
        save_diagram(parity(20), tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.fixture
def arrays():
    """Of the diagram of "both" and "exactly one" of two variables: nodes 2..4, the last two at level 0."""
    return encode(diagram_of_tables([[0, 0, 0, 1], [0, 1, 1, 0]], 2))


def assert_refused(path, message):
    with pytest.raises(ModelFormatError, match=re.escape(message)) as caught:
        load_diagram(path)
    text = str(caught.value)
    assert text.startswith(f"{path.name}: ")
    assert "\n" not in text
    assert len(text) < 300


def entry(name, position, value):
    """A change that sets one entry of an array."""

    def change(arrays):
        values = arrays[name].astype(np.int64)
        values[position] = value
        return {name: values}

    return change


FORGED = {
    "a child that does not exist": (entry("high", 2, 99), "a child is no node"),
    "a negative child": (entry("low", 3, -2), "a child is no node"),
    "a node that is its own child": (entry("high", -1, -1), "a child is no node"),
    "a cycle": (lambda a: entry("high", 2, a["low"].size - 1)(a), "a child is not deeper than its parent"),
    "equal children": (lambda a: entry("low", 2, a["high"][2])(a), "equal children"),
    "terminals with children": (entry("low", 1, 0), "a child is no node"),
    "a level past the terminals'": (entry("level", 2, 7), "the terminals at level 2"),
    "levels out of order": (lambda a: {"level": a["level"][[0, 1, *range(len(a["level"]) - 1, 1, -1)]]}, "increase"),
    "a root that does not exist": (entry("roots", 0, 1000), "a root is no node"),
    "arrays of different lengths": (lambda a: {"low": a["low"][:-1]}, "three arrays of one length"),
    "no nodes": (lambda a: {name: a[name][:0] for name in ("level", "low", "high")}, "at least 2"),
    "floats": (lambda a: {"low": a["low"].astype(float)}, "low: float64 of shape"),
    "truth values": (lambda a: {"roots": a["roots"] > 0}, "roots: bool of shape"),
    "two dimensions": (lambda a: {"high": a["high"][None]}, "expected integers in one dimension"),
    "a child past 32 bits, which a cast would wrap to 1": (entry("high", 2, (1 << 32) + 1), "expected less than 2^31"),
    "a child past 63 bits": (
        lambda a: {"high": np.full(a["high"].size, (1 << 64) - 1, dtype=np.uint64)},
        "expected less than 2^31",
    ),
    "other terminals": (lambda a: {"n_levels": np.array(5)}, "the terminals at level 5"),
    "levels by the billion": (lambda a: {"n_levels": np.array(1 << 40)}, "n_levels"),
    "a negative number of levels": (lambda a: {"n_levels": np.array(-1)}, "n_levels"),
    "a list of numbers of levels": (lambda a: {"n_levels": np.array([2])}, "expected one integer"),
    "another schema": (lambda a: {"schema": np.array(b"bnnverify-network/1")}, f"the schema is not {SCHEMA!r}"),
    "a surplus array": (lambda a: {"extra": np.zeros(1)}, "holds extra, high, level"),
}


@pytest.mark.parametrize("kind", FORGED)
def test_forged_arrays_are_refused(kind, arrays, tmp_path):
    change, message = FORGED[kind]
    write_arrays(tmp_path / "forged.npz", arrays | change(arrays))
    assert_refused(tmp_path / "forged.npz", message)


def test_a_missing_array_is_refused(arrays, tmp_path):
    del arrays["high"]
    write_arrays(tmp_path / "forged.npz", arrays)
    assert_refused(tmp_path / "forged.npz", "expected high, level, low")


def test_equal_nodes_are_refused(tmp_path):
    twice = FlatDiagram([2, 2, 1, 1, 0], [0, 1, 0, 0, 2], [0, 1, 1, 1, 3], [4], 2)
    save_diagram(twice, tmp_path / "forged.npz")
    assert_refused(tmp_path / "forged.npz", "node 3 equals another one")


def test_equal_children_at_different_levels_are_different_nodes(tmp_path):
    save_diagram(FlatDiagram([2, 2, 1, 0], [0, 1, 0, 0], [0, 1, 1, 1], [2, 3], 2), tmp_path / "d.npz")
    assert load_diagram(tmp_path / "d.npz").n_nodes == 4


@pytest.mark.parametrize("kept", [0, 1, 30, 200, -1])
def test_a_truncated_file_is_refused(kept, tmp_path):
    path = tmp_path / "cut.npz"
    save_diagram(parity(20), path)
    path.write_bytes(path.read_bytes()[:kept])
    assert_refused(path, "damaged or truncated")


def test_damaged_bytes_never_load_as_another_diagram(tmp_path):
    path, diagram = tmp_path / "damaged.npz", parity(20)
    save_diagram(diagram, path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for position in rng.integers(0, len(whole), 200):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(damaged))
        with suppress(ModelFormatError):
            assert same(load_diagram(path), diagram)


def test_pickled_objects_are_refused(arrays, tmp_path):
    path = tmp_path / "forged.npz"
    np.savez(path, **(arrays | {"low": np.array([{}], dtype=object)}))
    assert_refused(path, "low: holds Python objects")


def test_text_and_missing_files_are_refused(tmp_path):
    (tmp_path / "text.npz").write_text("digraph {}")
    assert_refused(tmp_path / "text.npz", "damaged or truncated")
    assert_refused(tmp_path / "absent.npz", "No such file")


def test_a_header_of_terabytes_is_refused(arrays, tmp_path):
    path = tmp_path / "forged.npz"
    write_arrays(path, arrays)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    shape = f"({arrays['low'].size},), ".encode()
    members["low.npy"] = members["low.npy"].replace(shape, b"(9" + b"9" * (len(shape) - 6) + b",), ")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    assert_refused(path, "low: the header claims int8")


def test_other_endings_and_folders_that_do_not_exist_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"saved as \.npz"):
        save_diagram(parity(2), tmp_path / "d.dot")
    with pytest.raises(UsageError, match="cannot be written"):
        save_diagram(parity(2), tmp_path / "absent" / "d.npz")
