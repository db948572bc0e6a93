"""Telling formats apart by content, and what is no network at all."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from bnnverify.errors import ModelFormatError
from bnnverify.formats import load, load_with_notes, save
from tests.formats_support import assert_refused, every_network, peer_models
from tests.paths import needs_peers

NO_NETWORKS = {
    "empty.npz": (b"", "an empty file"),
    "notes.txt": (b"hello, this is no network", "not a network: expected an .npz"),
    "inputs.npy": (b"\x93NUMPY\x01\x00v\x00{}", "a single array (.npy), expected a network"),
    "model.pkl": (b"\x80\x04K\x01.", "a pickle, which could run code"),
    "half.npz": (b"PK\x03\x04", "damaged or truncated zip archive"),
    "image.png": (b"\x89PNG\r\n\x1a\n", "not a network"),
}


@pytest.mark.parametrize("name", NO_NETWORKS)
def test_a_file_that_is_no_network_is_refused_by_what_it_is(name, tmp_path):
    content, message = NO_NETWORKS[name]
    (tmp_path / name).write_bytes(content)
    assert_refused(tmp_path / name, message)


def test_an_archive_of_other_arrays_is_refused_naming_them(tmp_path):
    np.savez(tmp_path / "data.npz", images=np.zeros(3), labels=np.zeros(3))
    assert_refused(tmp_path / "data.npz", "an archive of images, labels: expected a bnnverify schema")


def test_a_missing_path_is_refused(tmp_path):
    assert_refused(tmp_path / "nothing.npz", "no such file or folder")


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    assert_refused(tmp_path / "pipe.npz", "neither a file nor a folder")


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind the superuser")
def test_an_unreadable_file_is_refused(tmp_path):
    save(every_network()["dense"], tmp_path / "model.npz")
    (tmp_path / "model.npz").chmod(0)
    assert_refused(tmp_path / "model.npz", "cannot be read (Permission denied)")


def test_a_read_error_is_one_sentence(tmp_path, monkeypatch):
    save(every_network()["dense"], tmp_path / "model.npz")

    def broken_disk(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("bnnverify.formats.loading.detect", broken_disk)
    assert_refused(tmp_path / "model.npz", "cannot be read (Input/output error)")


@needs_peers
def test_the_content_decides_and_not_the_name(tmp_path):
    for path in (path for path in peer_models() if path.is_file()):
        shutil.copy(path, tmp_path / "model.data")
        assert load(tmp_path / "model.data").fingerprint == load(path).fingerprint


@needs_peers
def test_a_saved_network_needs_no_notes(tmp_path):
    path = peer_models()[-1]
    network, notes = load_with_notes(path)
    save(network, tmp_path / "copy.npz")
    assert notes
    assert load_with_notes(tmp_path / "copy.npz")[1] == ()


def test_paths_may_be_texts(tmp_path):
    network = every_network()["dense"]
    save(network, str(tmp_path / "model.npz"))
    assert load(str(tmp_path / "model.npz")).fingerprint == network.fingerprint


def test_errors_are_the_builtin_that_a_caller_would_catch(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        load(tmp_path / "nothing")
    assert issubclass(ModelFormatError, ValueError)


def test_reading_the_own_format_imports_neither_torch_nor_matplotlib_nor_scipy(tmp_path):
    save(every_network()["conv"], tmp_path / "model.npz")
    program = (
        "import sys, bnnverify as bv; bv.load(sys.argv[1]); "
        "print(sorted({'torch', 'matplotlib', 'scipy', 'numba'} & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "model.npz")], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"
