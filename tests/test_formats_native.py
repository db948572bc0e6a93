"""The own format: round trips, bytes on disk, and files that were damaged or forged."""

import io
import os
import zipfile

import numpy as np
import pytest

from bnnverify.errors import ModelFormatError, UsageError
from bnnverify.formats import load, load_float, load_with_notes, save
from bnnverify.formats.archive import read_arrays
from bnnverify.formats.native import decode, encode
from bnnverify.summary import summarize
from tests.formats_support import assert_refused, every_network, peer_models
from tests.paths import needs_peers

NETWORKS = every_network()
BYTES_PER_ARRAY = 300
BYTES_PER_FILE = 400


@pytest.fixture
def arrays():
    return encode(NETWORKS["ternary"])


def write(path, arrays, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, array in arrays.items():
            stream = io.BytesIO()
            np.save(stream, array)
            archive.writestr(f"{name}.npy", stream.getvalue())
    return path


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_saved_network_loads_identically(kind, tmp_path):
    network = NETWORKS[kind]
    save(network, tmp_path / "saved.npz")
    loaded, notes = load_with_notes(tmp_path / "saved.npz")
    assert loaded.fingerprint == network.fingerprint
    assert loaded.shapes == network.shapes
    assert loaded.name == "saved"
    assert notes == ()


@pytest.mark.parametrize("kind", NETWORKS)
def test_equal_networks_give_equal_files(kind, tmp_path):
    first, second = tmp_path / "a.npz", tmp_path / "b.npz"
    save(NETWORKS[kind], first)
    save(load(first), second)
    assert first.read_bytes() == second.read_bytes()


def assert_size_as_summarized(network, path):
    """Payload equals the summary to the byte; the container adds a bounded header an array."""
    arrays = encode(network)
    payload = sum(array.nbytes for name, array in arrays.items() if name not in ("schema", "structure"))
    assert payload == summarize(network).n_bytes
    overhead = path.stat().st_size - payload - arrays["structure"].nbytes
    assert 0 < overhead < BYTES_PER_FILE + BYTES_PER_ARRAY * len(arrays)


@pytest.mark.parametrize("kind", NETWORKS)
def test_bytes_on_disk_equal_the_summary_up_to_headers(kind, tmp_path):
    save(NETWORKS[kind], tmp_path / "saved.npz")
    assert_size_as_summarized(NETWORKS[kind], tmp_path / "saved.npz")


@needs_peers
@pytest.mark.parametrize("path", peer_models(), ids=lambda path: path.stem)
def test_a_peers_network_saves_small_and_reloads_with_the_same_fingerprint(path, tmp_path):
    network = load(path)
    save(network, tmp_path / "saved.npz")
    assert load(tmp_path / "saved.npz").fingerprint == network.fingerprint
    assert_size_as_summarized(network, tmp_path / "saved.npz")


def test_a_compressed_file_loads_too(arrays, tmp_path):
    path = write(tmp_path / "packed.npz", arrays, compression=zipfile.ZIP_DEFLATED)
    assert load(path).fingerprint == NETWORKS["ternary"].fingerprint


def test_the_name_must_end_in_npz(tmp_path):
    with pytest.raises(UsageError, match=r"saved as \.npz"):
        save(NETWORKS["dense"], tmp_path / "model.pt")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["nowhere/model.npz", "file/model.npz", "folder.npz"])
def test_a_path_that_cannot_be_written_is_one_sentence_and_leaves_nothing(place, tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(UsageError, match="cannot be written"):
        save(NETWORKS["dense"], tmp_path / place)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.npz"]


def test_a_failed_write_keeps_the_file_that_was_there(tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    save(NETWORKS["dense"], path)
    before = path.read_bytes()

    def full_disk(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(UsageError, match="No space left"):
        save(NETWORKS["conv"], path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.npz"]


def test_folded_integers_have_no_floats_to_check_parity_with(tmp_path):
    save(NETWORKS["dense"], tmp_path / "model.npz")
    with pytest.raises(ModelFormatError, match="folded integers only"):
        load_float(tmp_path / "model.npz")


def replaced(name, value):
    return lambda arrays: arrays | {name: np.asarray(value)}


def without(name):
    return lambda arrays: {key: array for key, array in arrays.items() if key != name}


def restructured(old, new):
    def change(arrays):
        text = bytes(arrays["structure"].item())
        assert old in text
        return arrays | {"structure": np.array(text.replace(old, new))}

    return change


FORGERIES = {
    "another schema": (replaced("schema", b"bnnverify-network/9"), "schema 'bnnverify-network/9', expected"),
    "a schema that is no text": (replaced("schema", 7), "schema: missing or not a string"),
    "no structure": (without("structure"), "structure: missing"),
    "a structure that is no JSON": (replaced("structure", b"{"), "structure: not JSON"),
    "a structure that is a list": (replaced("structure", b"[]"), "structure: a JSON list"),
    "deeply nested JSON": (replaced("structure", b"[" * 200_000), "structure: not JSON"),
    "no weights": (without("block1.weights"), "block1.weights: missing"),
    "no thresholds": (without("block2.thresholds"), "block2.thresholds: missing"),
    "a surplus array": (
        replaced("block9.weights", [1]),
        "block9.weights: an array that the structure does not mention",
    ),
    "NaN in the bias": (replaced("output.bias", [0.0, np.nan, 1.0]), "output bias: expected finite numbers"),
    "a bias of the wrong length": (replaced("output.bias", [0.0]), "output bias: shape (1,), expected (3,)"),
    "a bias of integers": (replaced("output.bias", [0, 1, 2]), "output.bias: type int64, expected floats"),
    "thresholds of the wrong length": (replaced("block1.thresholds", [1, 2]), "block1: thresholds: shape (2,)"),
    "fractional thresholds": (replaced("block1.thresholds", np.full(9, 0.5)), "block1: thresholds: expected integers"),
    "weights of the wrong type": (replaced("block1.weights", np.zeros((2, 15))), "block1.weights: float64"),
    "too few weights": (
        replaced("block1.weights", np.zeros((2, 14), np.uint8)),
        "block1.weights: uint8 of shape (2, 14)",
    ),
    "an unknown block": (restructured(b'"dense"', b'"magic"'), "block1 is of kind 'magic'"),
    "an unknown input": (restructured(b'"bits", "shape"', b'"bots", "shape"'), "expected 'max_value'"),
    "a shape that claims terabytes": (restructured(b"[9, 13]", b"[999999, 999999]"), "block1.weights: uint8 of shape"),
    "a negative shape": (restructured(b"[9, 13]", b"[-9, -13]"), "structure: shape [-9, -13]"),
    "shapes that do not chain": (restructured(b"[13]", b"[12]"), "13 inputs, expected 12"),
    "a shape of texts": (restructured(b"[13]", b'["13"]'), "structure: shape ['13']"),
    "four planes": (restructured(b'"bits": 2', b'"bits": 4'), "for 4 bits a weight"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_file_is_refused_in_one_sentence(forgery, arrays, tmp_path):
    change, message = FORGERIES[forgery]
    assert_refused(write(tmp_path / "model.npz", change(arrays)), message)


def test_a_pickled_array_is_refused_and_not_run(arrays, tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    path = write(tmp_path / "model.npz", arrays | {"block1.weights": np.array([Trap()], dtype=object)})
    assert_refused(path, "block1.weights: holds Python objects")
    assert not (tmp_path / "ran").exists()


def member(header: str, data: bytes = b"") -> bytes:
    body = header.encode() + b"\n"
    return b"\x93NUMPY\x02\x00" + len(body).to_bytes(4, "little") + body + data


HOSTILE_MEMBERS = {
    "a header that claims terabytes": (
        member("{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776,)}"),
        "the header claims float64 of shape (1099511627776,), but 0 bytes follow",
    ),
    "a negative shape": (member("{'descr': '|u1', 'fortran_order': False, 'shape': (-1,)}"), "the header claims uint8"),
    "an endless header": (member("{" + " " * 50_000), "not a readable array"),
    "a header length beyond the file": (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}", "not a readable array"),
    "nested brackets": (member("(" * 9_000), "not a readable array"),
    "an unclosed text": (member("{'descr': '"), "not a readable array"),
    "an unknown version": (b"\x93NUMPY\x09\x00", "npy version (9, 0)"),
    "no magic": (b"hello", "not a readable array"),
    "nothing": (b"", "not a readable array"),
    "a type that is no type": (
        member("{'descr': 'nonsense', 'fortran_order': False, 'shape': (1,)}"),
        "not a readable array",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE_MEMBERS)
def test_a_hostile_array_is_refused_before_it_is_allocated(kind, arrays, tmp_path):
    content, message = HOSTILE_MEMBERS[kind]
    path = write(tmp_path / "model.npz", without("output.bias")(arrays))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("output.bias.npy", content)
    assert_refused(path, f"output.bias: {message}")


def test_a_decompression_bomb_is_refused_by_its_size(arrays, tmp_path, monkeypatch):
    monkeypatch.setattr("bnnverify.formats.archive.MAX_BYTES", 1 << 20)
    path = write(tmp_path / "model.npz", arrays)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.npy", bytes(2 << 20))
    assert path.stat().st_size < 20_000
    assert_refused(path, "bytes in all, expected at most 10000 and 1048576")


@pytest.mark.parametrize("kept", [5, 60, 400, -30, -1])
def test_a_truncated_file_is_refused(kept, tmp_path):
    save(NETWORKS["conv"], tmp_path / "model.npz")
    content = (tmp_path / "model.npz").read_bytes()
    (tmp_path / "model.npz").write_bytes(content[:kept])
    assert_refused(tmp_path / "model.npz", "damaged or truncated zip archive")


def test_random_damage_never_escapes_as_another_exception(tmp_path):
    rng = np.random.default_rng(5)
    path = tmp_path / "model.npz"
    save(NETWORKS["ternary"], path)
    whole = path.read_bytes()
    refusals = []
    for _ in range(400):
        content = bytearray(whole)
        for position in rng.integers(4, len(whole), size=int(rng.integers(1, 6))):
            content[position] = int(rng.integers(256))
        path.write_bytes(bytes(content))
        try:
            assert load(path).fingerprint == NETWORKS["ternary"].fingerprint
        except ModelFormatError as error:
            refusals.append(str(error))
    assert len(refusals) > 300
    assert not any("\n" in text for text in refusals)


def test_arrays_that_fit_decode_whatever_their_byte_order_or_memory_order(arrays, tmp_path):
    thresholds = arrays["block1.thresholds"].astype(">i4")
    weights = np.asfortranarray(arrays["block1.weights"])
    write(tmp_path / "model.npz", arrays | {"block1.thresholds": thresholds, "block1.weights": weights})
    assert decode(read_arrays(tmp_path / "model.npz"), "x").fingerprint == NETWORKS["ternary"].fingerprint
