"""Every reader refuses what is broken with one sentence that names the file: a table of broken files."""

import gzip
import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bnnverify.data.arrays import read_npy, read_npz
from bnnverify.data.cifar import RECORD, read_batches, read_jpegs, read_pixels
from bnnverify.data.idx import read_idx, read_idx_pair
from bnnverify.data.images import read_image
from bnnverify.data.instances import load_instances
from bnnverify.data.svhn import read_mat
from bnnverify.errors import InputFormatError


class Boom:
    """A pickle of this writes a file when it is loaded."""

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.write_text, (Path("boom"), "code ran"))


def refuse(path: Path, content: bytes | None, read: Callable[[Path], object], expected: str) -> None:
    """``read`` raises one sentence that names the file and says ``expected``; no code in it runs."""
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputFormatError) as caught:
        read(path)
    message = str(caught.value)
    assert expected in message
    assert path.name in message
    assert "\n" not in message
    assert not Path("boom").exists()


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def idx(shape: tuple[int, ...], payload: bytes, kind: int = 8) -> bytes:
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, kind, len(shape), *shape) + payload


ZIPPED = gzip.compress(idx((2, 28, 28), bytes(2 * 784)), mtime=0)

BAD_IDX = {
    "empty": (b"", "expected an idx header"),
    "not_idx": (b"hello, world", "expected an idx header"),
    "a_pickle": (pickle.dumps(Boom()), "expected an idx header"),
    "floats": (idx((2, 3, 4), bytes(96), kind=13), "idx type 13"),
    "labels_for_images": (idx((24,), bytes(24)), "1 dimensions"),
    "cut_header": (idx((2, 3, 4), b"")[:9], "ends inside its header"),
    "cut_data": (idx((2, 3, 4), bytes(23)), "23 bytes of data, expected 24"),
    "too_much_data": (idx((2, 3, 4), bytes(25)), "more bytes of data, expected 24"),
    "huge_header": (idx((2**32 - 1,) * 3, bytes(9)), "header says shape"),
    "no_images": (idx((0, 28, 28), b""), "header says shape"),
    "cut_gzip": (ZIPPED[:-9], "cannot be read as an idx file"),
    "damaged_gzip": (ZIPPED[:12] + b"\xff\xff" + ZIPPED[14:], "cannot be read as an idx file"),
    "wrong_gzip_checksum": (ZIPPED[:-8] + bytes(8), "cannot be read as an idx file"),
}


@pytest.mark.parametrize("case", BAD_IDX)
def test_a_broken_idx_file_is_refused(tmp_path: Path, case: str) -> None:
    content, expected = BAD_IDX[case]
    refuse(tmp_path / "train-images", content, lambda path: read_idx(path, 3), expected)


def test_a_missing_idx_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    refuse(tmp_path / "absent", None, lambda path: read_idx(path, 3), "No such file")
    (tmp_path / "folder").mkdir()
    refuse(tmp_path / "folder", None, lambda path: read_idx(path, 3), "directory")


@pytest.mark.parametrize(
    ("images", "labels", "expected"),
    [
        (idx((2, 28, 28), bytes(1568)), idx((3,), bytes(3)), "labels of shape (3,)"),
        (idx((2, 28, 28), bytes(1568)), idx((2,), b"\x00\x0a"), "label 10"),
        (idx((2, 4, 4), bytes(32)), idx((2,), bytes(2)), "expected (28, 28)"),
    ],
)
def test_idx_files_that_do_not_fit_each_other_are_refused(
    tmp_path: Path, images: bytes, labels: bytes, expected: str
) -> None:
    pair = tmp_path / "mnist-images", tmp_path / "mnist-labels"
    for path, content in zip(pair, (images, labels), strict=True):
        path.write_bytes(content)
    with pytest.raises(InputFormatError, match="mnist") as caught:
        read_idx_pair(pair, "mnist:test")
    assert expected in str(caught.value)


def npy(array: np.ndarray, *, pickled: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=pickled)
    return buffer.getvalue()


def npy_claiming(shape: str, payload: bytes = bytes(16)) -> bytes:
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + payload


GOOD = npy(np.ones((2, 3), dtype=np.uint8))

BAD_NPY = {
    "empty": (b"", "cannot be read as an .npy array"),
    "not_npy": (b"0 1 0 1\n", "cannot be read as an .npy array"),
    "a_pickle": (pickle.dumps(Boom()), "cannot be read as an .npy array"),
    "objects": (npy(np.array([Boom()], dtype=object), pickled=True), "cannot be read as an .npy array"),
    "cut_header": (GOOD[:40], "cannot be read as an .npy array"),
    "cut_data": (GOOD[:-1], "cannot be read as an .npy array"),
    "too_much_data": (GOOD + b"\0", "1 bytes follow the array"),
    "huge_header": (npy_claiming("(1000000000000,)"), "cannot be read as an .npy array"),
    "overflowing_header": (npy_claiming("(4294967296, 4294967296, 4)"), "cannot be read as an .npy array"),
    "negative_shape": (npy_claiming("(-4, -4)"), "cannot be read as an .npy array"),
    "code_as_shape": (npy_claiming("__import__('os')"), "cannot be read as an .npy array"),
    "nan": (npy(np.array([[0.0, np.nan]])), "NaN or infinity"),
    "infinity": (npy(np.array([[0.0, np.inf]])), "NaN or infinity"),
    "text": (npy(np.array([["0", "1"]])), "expected numbers"),
    "complex": (npy(np.array([[1j]])), "expected numbers"),
    "records": (npy(np.zeros((2, 2), dtype=[("a", "u1")])), "expected numbers"),
    "no_instances": (npy(np.zeros((0, 784))), "expected one or more instances"),
    "no_inputs": (npy(np.zeros((3, 0))), "expected one or more instances"),
}


@pytest.mark.parametrize("case", BAD_NPY)
def test_a_broken_npy_file_is_refused(tmp_path: Path, case: str) -> None:
    content, expected = BAD_NPY[case]
    refuse(tmp_path / "x.npy", content, load_instances, expected)


def test_a_missing_npy_file_is_refused(tmp_path: Path) -> None:
    refuse(tmp_path / "x.npy", None, load_instances, "no such file")
    refuse(tmp_path / "x.npy", None, read_npy, "No such file")


def npz(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return buffer.getvalue()


PIXELS = npy(np.zeros((4, 9), dtype=np.uint8))

BAD_NPZ = {
    "empty": (b"", "zip archive"),
    "not_a_zip": (b"PK but not really", "zip archive"),
    "cut": (npz({"images": PIXELS})[:-30], "zip archive"),
    "no_arrays": (npz({}), "without arrays"),
    "a_pickle": (npz({"images": pickle.dumps(Boom())}), "images"),
    "objects": (npz({"images": npy(np.array([Boom()], dtype=object), pickled=True)}), "Python objects"),
    "huge_header": (npz({"images": npy_claiming("(1000000000000, 9)")}), "images"),
    "cut_member": (npz({"images": PIXELS[:-1]}), "images"),
    "nan": (npz({"images": npy(np.full((1, 9), np.nan))}), "NaN or infinity"),
    "ambiguous": (npz({"a": PIXELS, "b": PIXELS}), "found the arrays a, b"),
    "labels_alone": (npz({"labels": npy(np.arange(4))}), "found the arrays labels"),
    "too_few_labels": (npz({"images": PIXELS, "labels": npy(np.arange(3))}), "labels of shape (3,)"),
    "float_labels": (npz({"images": PIXELS, "labels": npy(np.arange(4.0))}), "expected integers"),
    "square_labels": (npz({"images": PIXELS, "labels": npy(np.eye(4, dtype=int))}), "labels of shape (4, 4)"),
}


@pytest.mark.parametrize("case", BAD_NPZ)
def test_a_broken_npz_file_is_refused(tmp_path: Path, case: str) -> None:
    content, expected = BAD_NPZ[case]
    refuse(tmp_path / "x.npz", content, load_instances, expected)


BAD_TEXT = {
    "empty": (b"", "no instance"),
    "blank_lines": (b"\n  \n\n", "no instance"),
    "a_pickle": (pickle.dumps(Boom()), "no plain text"),
    "utf16": ("0 1\n".encode("utf-16"), "no plain text"),
    "words": (b"0 1 zero\n", "zero"),
    "nan": (b"0 1 nan\n", "nan"),
    "grey_levels": (b"0 1 255\n", "255"),
    "fractions": (b"0 1 0.5\n", "0.5"),
    "both_conventions": (b"0 1 -1\n", "both 0 and -1"),
    "both_conventions_in_two_lines": (b"0 1 1\n-1 1 1\n", "both 0 and -1"),
    "ragged": (b"0 1 1\n\n0 1\n", "line 3 has 2 numbers, expected 3"),
    "huge_number": (b"1e999 1 1\n", "inf"),
    "code": (b"__import__('os') 1\n", "__import__"),
}


@pytest.mark.parametrize("case", BAD_TEXT)
def test_a_broken_text_file_is_refused(tmp_path: Path, case: str) -> None:
    content, expected = BAD_TEXT[case]
    refuse(tmp_path / "x.txt", content, load_instances, expected)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    for name in ("x.npy", "x.npz", "x.txt", "x.png"):
        (tmp_path / name).write_bytes(b"0 1")
        (tmp_path / name).chmod(0)
        refuse(tmp_path / name, None, load_instances, "")


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.txt", "x.png"])
def test_a_folder_named_as_a_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    refuse(tmp_path / name, None, load_instances, "no such file")


def test_a_file_of_unknown_kind_is_refused(tmp_path: Path) -> None:
    refuse(tmp_path / "x.pkl", pickle.dumps(Boom()), load_instances, "unknown kind of file '.pkl'")


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


DIGIT = encoded(Image.new("L", (28, 28), 7))

BAD_IMAGES = {
    "empty": (b"", "cannot be decoded as an image"),
    "not_an_image": (b"hello, world", "cannot be decoded as an image"),
    "a_pickle": (pickle.dumps(Boom()), "cannot be decoded as an image"),
    "cut": (DIGIT[: len(DIGIT) // 2], "cannot be decoded as an image"),
    "cut_in_header": (DIGIT[:20], "cannot be decoded as an image"),
    "damaged": (DIGIT[:45] + b"\xff" * 8 + DIGIT[53:], "cannot be decoded as an image"),
    "cut_jpeg": (encoded(Image.effect_noise((28, 28), 50), "JPEG")[:-60], "cannot be decoded as an image"),
    "huge_header": (DIGIT[:16] + struct.pack(">II", 2**31 - 1, 2**31 - 1) + DIGIT[24:], "image"),
    "large_header": (encoded(Image.new("1", (5000, 5000))), "5000 x 5000 pixels"),
    "transparent": (encoded(Image.new("RGBA", (28, 28))), "mode RGBA"),
    "transparent_grey": (encoded(Image.new("LA", (28, 28))), "mode LA"),
    "transparent_colour": (encoded(Image.new("P", (28, 28)), transparency=0), "transparency"),
    "sixteen_bit": (encoded(Image.new("I;16", (28, 28))), "mode I;16"),
    "floats": (encoded(Image.new("F", (28, 28)), "TIFF"), "mode F"),
}


@pytest.mark.parametrize("case", BAD_IMAGES)
def test_a_broken_image_is_refused(tmp_path: Path, case: str) -> None:
    content, expected = BAD_IMAGES[case]
    refuse(tmp_path / "x.png", content, read_image, expected)


RECORDS = bytes(2 * RECORD)

BAD_BATCHES = {
    "empty": (b"", "0 bytes, expected"),
    "cut": (RECORDS[:-1], "6145 bytes, expected"),
    "too_large": (bytes(10_001 * RECORD), "expected 1 to 10000"),
    "one_byte_over": (bytes(10_000 * RECORD + 1), "expected 1 to 10000"),
    "label_10": (b"\x0a" + RECORDS[1:], "labels 0..10"),
    "label_255": (RECORDS[:RECORD] + b"\xff" + RECORDS[RECORD + 1 :], "labels 0..255"),
    "a_pickle": (pickle.dumps(Boom()), "a pickle"),
    "a_pickle_of_fitting_size": (pickle.dumps(Boom()).ljust(RECORD, b"\0"), "a pickle"),
    "text": (b"hello", "5 bytes, expected"),
    "cifar100": (bytes(2 * 3074), "6148 bytes, expected"),
    "absent": (None, "No such file"),
}


@pytest.mark.parametrize("case", BAD_BATCHES)
def test_a_broken_cifar_batch_is_refused(tmp_path: Path, case: str) -> None:
    content, expected = BAD_BATCHES[case]
    refuse(tmp_path / "data_batch_1.bin", content, lambda path: read_batches([path], "cifar10:train"), expected)


COLOUR = npy(np.zeros((2, 32, 32, 3), dtype=np.uint8))
TWO = npy(np.array([3, 8], dtype=np.uint8))

BAD_PIXELS = {
    "empty": (b"", "zip archive"),
    "no_images": (npz({"labels": TWO}), "no array 'images', found labels"),
    "no_labels": (npz({"images": COLOUR}), "no array 'labels', found images"),
    "floats": (npz({"images": npy(np.zeros((2, 32, 32, 3))), "labels": TWO}), "images are float64"),
    "channels_first": (npz({"images": npy(np.zeros((2, 3, 32, 32), "u1")), "labels": TWO}), "shape (2, 3, 32, 32)"),
    "flat": (npz({"images": npy(np.zeros((2, 3072), "u1")), "labels": TWO}), "shape (2, 3072)"),
    "label_10": (npz({"images": COLOUR, "labels": npy(np.array([3, 10]))}), "labels 3..10"),
    "negative_label": (npz({"images": COLOUR, "labels": npy(np.array([3, -1]))}), "labels -1..3"),
    "too_few_labels": (npz({"images": COLOUR, "labels": npy(np.array([3]))}), "one for each of 2 images"),
    "nan_labels": (npz({"images": COLOUR, "labels": npy(np.array([3, np.nan]))}), "expected integers"),
    "no_image_at_all": (
        npz({"images": npy(np.zeros((0, 32, 32, 3), "u1")), "labels": npy(np.zeros(0, int))}),
        "no images",
    ),
    "a_pickle": (npz({"images": pickle.dumps(Boom()), "labels": TWO}), "images"),
}


@pytest.mark.parametrize("case", BAD_PIXELS)
def test_a_broken_cifar_archive_is_refused(tmp_path: Path, case: str) -> None:
    content, expected = BAD_PIXELS[case]
    read = lambda path: read_pixels([path], f"cifar10 of {path.name}")  # noqa: E731
    refuse(tmp_path / "train_first4000.npz", content, read, expected)


PHOTO = np.frombuffer(encoded(Image.effect_noise((32, 32), 50).convert("RGB"), "JPEG"), dtype=np.uint8)


def jpegs(
    data: np.ndarray = PHOTO, offsets: object = (0, PHOTO.size), labels: object = (3,), dtype: str = "i8"
) -> bytes:
    return npz({"data": npy(data), "offsets": npy(np.array(offsets, dtype=dtype)), "labels": npy(np.array(labels))})


BAD_JPEGS = {
    "no_data": (npz({"labels": TWO}), "no array 'data', found labels"),
    "offsets_past_the_end": (jpegs(offsets=(0, PHOTO.size + 1)), "offsets do not rise"),
    "offsets_not_from_zero": (jpegs(offsets=(1, PHOTO.size)), "offsets do not rise"),
    "offsets_falling": (jpegs(offsets=(0, 500, 400, PHOTO.size), labels=(1, 2, 3)), "offsets do not rise"),
    "float_offsets": (jpegs(dtype="f8"), "offsets do not rise"),
    "one_offset": (jpegs(offsets=(0,), labels=()), "offsets do not rise"),
    "two_labels": (jpegs(labels=(3, 4)), "2 labels, expected 1"),
    "label_10": (jpegs(labels=(10,)), "labels 10..10"),
    "cut_image": (jpegs(PHOTO[:300], offsets=(0, 300)), "image 0"),
    "no_image": (jpegs(np.zeros(300, "u1"), offsets=(0, 300)), "image 0"),
    "grey_image": (jpegs(np.frombuffer(DIGIT, "u1"), offsets=(0, len(DIGIT))), "expected (3, 32, 32)"),
    "float_data": (jpegs(PHOTO.astype(float)), "data is float64"),
}


@pytest.mark.parametrize("case", BAD_JPEGS)
def test_a_broken_archive_of_jpegs_is_refused(tmp_path: Path, case: str) -> None:
    content, expected = BAD_JPEGS[case]
    refuse(tmp_path / "train_jpeg.npz", content, lambda path: read_jpegs([path], "cifar10:train-jpeg"), expected)


def mat(**arrays: object) -> bytes:
    from scipy.io import savemat

    buffer = io.BytesIO()
    savemat(buffer, arrays, do_compression=True)
    return buffer.getvalue()


HOUSES = np.zeros((32, 32, 3, 2), dtype=np.uint8)
DIGITS = np.array([[1], [10]], dtype=np.uint8)
GOOD_MAT = mat(X=HOUSES, y=DIGITS)

BAD_MATS = {
    "empty": (b"", "cannot be read as a Matlab 5 file"),
    "text": (b"hello, world" * 20, "cannot be read as a Matlab 5 file"),
    "a_pickle": (pickle.dumps(Boom()), "cannot be read as a Matlab 5 file"),
    "cut": (GOOD_MAT[:-20], "cannot be read as a Matlab 5 file"),
    "cut_header": (GOOD_MAT[:100], "cannot be read as a Matlab 5 file"),
    "hdf5": (b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(100), "cannot be read as a Matlab 5 file"),
    "huge_element": (GOOD_MAT[:132] + struct.pack("<I", 2**32 - 16) + GOOD_MAT[136:], "cannot be read"),
    "no_labels": (mat(X=HOUSES), "no arrays X and y"),
    "no_images": (mat(y=DIGITS), "no arrays X and y"),
    "images_first": (mat(X=HOUSES.transpose(3, 0, 1, 2), y=DIGITS), "shape (2, 32, 32, 3)"),
    "floats": (mat(X=HOUSES.astype(float), y=DIGITS), "X is float64"),
    "label_11": (mat(X=HOUSES, y=DIGITS + 1), "not 1..10"),
    "label_nan": (mat(X=HOUSES, y=np.array([[1.0], [np.nan]])), "not 1..10"),
    "labels_in_a_row": (mat(X=HOUSES, y=DIGITS.T), "expected numbers (N, 1)"),
    "labels_as_text": (mat(X=HOUSES, y=np.array(["1", "2"])), "expected numbers (N, 1)"),
    "too_few_labels": (mat(X=HOUSES, y=DIGITS[:1]), "one for each of 2 images"),
    "a_structure": (mat(X={"a": 1}, y=DIGITS), "X is"),
    "absent": (None, "No such file"),
}


@pytest.mark.parametrize("case", BAD_MATS)
def test_a_broken_svhn_file_is_refused(tmp_path: Path, case: str) -> None:
    content, expected = BAD_MATS[case]
    read = lambda path: read_mat([path], f"svhn of {path.name}")  # noqa: E731
    refuse(tmp_path / "test_32x32.mat", content, read, expected)


def test_no_flipped_or_missing_byte_escapes_as_anything_but_a_sentence(tmp_path: Path) -> None:
    """Random damage to good files of every kind: they load, or are refused; nothing else is raised."""
    good = {
        "x.npy": (GOOD, read_npy),
        "x.npz": (npz({"images": PIXELS, "labels": TWO}), read_npz),
        "x.idx": (ZIPPED, lambda path: read_idx(path, 3)),
        "x.png": (DIGIT, read_image),
        "x.mat": (GOOD_MAT, lambda path: read_mat([path], "svhn:test")),
    }
    rng = np.random.default_rng(0)
    refused = dict.fromkeys(good, 0)
    for name, (content, read) in good.items():
        for _ in range(200):
            damaged = bytearray(content)
            damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
            (tmp_path / name).write_bytes(
                damaged[: rng.integers(1, len(damaged) + 1)] if rng.random() < 0.3 else damaged
            )
            try:
                read(tmp_path / name)
            except InputFormatError:
                refused[name] += 1
    assert min(refused.values()) > 50, refused
