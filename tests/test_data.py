"""Data sets and instance files that are as they should be, found where they should be found."""

import gzip
import io
import struct
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bnnverify.data import Dataset, Instances, catalog, default_folders, load_dataset, load_instances
from bnnverify.data.download import download
from bnnverify.data.resolve import resolve_input
from bnnverify.data.sources import SOURCES, Download
from bnnverify.errors import InputFormatError
from tests.paths import DATA, PEERS, needs_data, needs_peers

PER_CLASS = {
    "mnist:train": [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
    "mnist:test": [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
    "fashion:train": [6000] * 10,
    "fashion:test": [1000] * 10,
}


@needs_data
@pytest.mark.parametrize("spec", PER_CLASS)
def test_a_published_split_has_its_published_number_of_images_per_class(spec: str) -> None:
    data = load_dataset(spec, DATA)
    assert np.bincount(data.labels).tolist() == PER_CLASS[spec]
    assert data.images.shape[1:] == (28, 28)
    assert data.name == spec


@needs_data
def test_the_lossy_cifar_images_are_the_lossless_ones_up_to_jpeg() -> None:
    exact, lossy = load_dataset("cifar10:test", DATA), load_dataset("cifar10:test-jpeg", DATA)
    assert np.bincount(lossy.labels).tolist() == [1000] * 10
    assert exact.labels.tolist() == lossy.labels[:100].tolist()
    difference = np.abs(exact.images.astype(int) - lossy.images[:100])
    assert difference.mean() < 7
    assert np.abs(exact.images.astype(int) - lossy.images[1:101]).mean() > 40


def idx(array: NDArray[np.uint8]) -> bytes:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.tobytes()


def write_mnist(folder: Path, *, zipped: bool = True, n: int = 3) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A small test split in idx files, and what is in it."""
    rng = np.random.default_rng(n)
    images = rng.integers(256, size=(n, 28, 28), dtype=np.uint8)
    labels = rng.integers(10, size=n, dtype=np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in (("t10k-images-idx3-ubyte", images), ("t10k-labels-idx1-ubyte", labels)):
        content = gzip.compress(idx(array)) if zipped else idx(array)
        (folder / (f"{name}.gz" if zipped else name)).write_bytes(content)
    return images, labels


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("layout", ["MNIST/raw", "MNIST", "mnist", "."])
def test_idx_files_are_found_in_every_layout_and_read_back(tmp_path: Path, layout: str, zipped: bool) -> None:
    images, labels = write_mnist(tmp_path / layout, zipped=zipped)
    data = load_dataset("mnist:test", tmp_path)
    assert np.array_equal(data.images, images)
    assert data.labels.tolist() == labels.tolist()
    assert data.labels.dtype == np.int64


def test_flat_mnist_files_are_not_taken_for_fashion_mnist(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    published = next(file for file in SOURCES["mnist"].downloads if file.name.startswith("t10k-labels"))
    assert load_dataset("fashion:test", tmp_path)
    (tmp_path / published.name).write_bytes(bytes(published.n_bytes))
    with pytest.raises(InputFormatError, match="fashion:test: not found"):
        load_dataset("fashion:test", tmp_path)


def test_the_environment_variable_comes_before_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    cache = tmp_path / "home" / ".cache" / "bnnverify"
    monkeypatch.setenv("BNNVERIFY_DATA", str(tmp_path / "data"))
    assert default_folders() == (tmp_path / "data", cache)
    write_mnist(cache, n=4)
    assert len(load_dataset("mnist:test")) == 4
    write_mnist(tmp_path / "data", n=5)
    assert len(load_dataset("mnist:test")) == 5
    monkeypatch.delenv("BNNVERIFY_DATA")
    assert default_folders() == (cache,)


def test_cifar_batches_are_preferred_to_a_subset_and_join_in_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    batches = rng.integers(256, size=(5, 4, 3073), dtype=np.uint8)
    batches[:, :, 0] %= 10
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for number, batch in enumerate(batches, start=1):
        (folder / f"data_batch_{number}.bin").write_bytes(batch.tobytes())
    (tmp_path / "cifar10").mkdir()
    np.savez(tmp_path / "cifar10" / "train_first4000.npz", images=np.zeros((1, 32, 32, 3), "u1"), labels=[0])
    data = load_dataset("cifar10:train", tmp_path)
    assert np.array_equal(data.images, batches[:, :, 1:].reshape(20, 3, 32, 32))
    assert data.labels.tolist() == batches[:, :, 0].reshape(-1).tolist()
    (folder / "data_batch_3.bin").unlink()
    assert len(load_dataset("cifar10:train", tmp_path)) == 1


def test_colour_archives_become_channels_first(tmp_path: Path) -> None:
    images = np.arange(2 * 32 * 32 * 3, dtype=np.uint32).astype(np.uint8).reshape(2, 32, 32, 3)
    np.savez(tmp_path / "test_first100.npz", images=images, labels=np.array([3, 8], dtype=np.uint8))
    data = load_dataset("cifar10:test", tmp_path)
    assert data.images[1, 2, 5, 7] == images[1, 5, 7, 2]


def test_pickled_cifar_batches_are_named_and_not_loaded(tmp_path: Path) -> None:
    (tmp_path / "cifar-10-batches-py").mkdir()
    with pytest.raises(InputFormatError, match="holds pickles"):
        load_dataset("cifar10:train", tmp_path)


def test_svhn_calls_the_digit_zero_class_zero_and_puts_channels_first(tmp_path: Path) -> None:
    from scipy.io import savemat

    images = np.random.default_rng(0).integers(256, size=(32, 32, 3, 4), dtype=np.uint8)
    savemat(tmp_path / "test_32x32.mat", {"X": images, "y": np.array([[1], [10], [9], [10]], dtype=np.uint8)})
    data = load_dataset("svhn:test", tmp_path)
    assert data.labels.tolist() == [1, 0, 9, 0]
    assert data.images[3, 2, 5, 7] == images[5, 7, 2, 3]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("mnist:valid", "expected one of mnist:train, mnist:test"),
        ("mnist", "expected one of mnist:train, mnist:test"),
        ("imagenet:test", "expected one of mnist, fashion, cifar10, svhn"),
        ("mnist:test", "run 'bnnverify datasets get mnist'"),
    ],
)
def test_what_is_not_there_is_answered_with_what_could_be(tmp_path: Path, spec: str, expected: str) -> None:
    for find in (load_dataset, resolve_input):
        if spec == "imagenet:test" and find is resolve_input:
            expected = "no data set of that name, expected one of mnist"
        with pytest.raises(InputFormatError) as caught:
            find(spec, tmp_path)
        assert expected in str(caught.value)


def test_the_catalogue_says_where_each_data_set_was_found(tmp_path: Path) -> None:
    write_mnist(tmp_path / "MNIST" / "raw")
    rows = {row.name: row for row in catalog(tmp_path)}
    assert list(rows) == ["mnist", "fashion", "cifar10", "svhn", "adult", "german"]
    assert rows["mnist"].found == tmp_path / "MNIST" / "raw"
    assert [row.found for row in rows.values()][1:] == [None] * 5
    assert rows["mnist"].n_bytes == 9912422 + 28881 + 1648877 + 4542


@needs_data
@pytest.mark.parametrize("name", ["mnist", "fashion", "adult", "german"])
def test_published_files_have_the_size_and_checksum_of_the_catalogue(name: str) -> None:
    folder = next(row.found for row in catalog(DATA) if row.name == name)
    assert folder is not None
    for file in SOURCES[name].downloads:
        content = (folder / file.name).read_bytes()
        assert (len(content), md5(content).hexdigest()) == (file.n_bytes, file.md5)


def test_a_data_set_must_be_whole() -> None:
    images, labels = np.zeros((2, 28, 28), np.uint8), np.zeros(2, np.int64)
    assert len(Dataset(images, labels, "x")) == 2
    for bad in ((images.astype(float), labels), (images, labels[:1]), (images[:0], labels[:0]), (images, labels - 1)):
        with pytest.raises(InputFormatError, match=r"^x: "):
            Dataset(*bad, "x")


BITS = np.array([[1, -1, -1], [-1, 1, 1]], dtype=np.int8)


@pytest.mark.parametrize(
    "text", ["1 0 0\n0 1 1\n", "+1 -1 -1\n-1 1 1", "1,0,0\r\n\r\n0, 1, 1\r\n", "\n1.0 0 0\n0 1 1\n\n"]
)
def test_text_lines_become_bits(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.txt").write_bytes(text.encode())
    found = load_instances(tmp_path / "x.txt")
    assert np.array_equal(found.values, BITS)
    assert found.values.dtype == np.int8
    assert found.labels is None


@needs_peers
@pytest.mark.parametrize("path", sorted(PEERS.glob("bdd4bnn/inputs/*.txt")), ids=lambda path: path.stem)
def test_other_peoples_text_instances_have_the_length_in_their_name(path: Path) -> None:
    found = load_instances(path)
    assert found.values.shape == (1, int(path.stem.rpartition("_")[2]))
    assert found.values.sum() == 2 * path.read_text().count("1") - found.values.size


@pytest.mark.parametrize("shape", [(4,), (3, 4), (3, 2, 2)])
def test_arrays_keep_type_and_shape_but_one_instance_becomes_a_row(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape, order="F")
    np.save(tmp_path / "x.npy", array)
    np.savez(tmp_path / "x.npz", anything=array)
    for name in ("x.npy", "x.npz"):
        found = load_instances(tmp_path / name)
        assert np.array_equal(found.values, np.atleast_2d(array))
        assert found.values.dtype == np.uint16


@pytest.mark.parametrize(
    ("values", "labels"), [("images", "labels"), ("x", "y"), ("X", "label"), ("inputs", "targets")]
)
def test_archives_bring_their_labels(tmp_path: Path, values: str, labels: str) -> None:
    arrays = {values: np.eye(3, dtype=np.uint8), labels: np.array([4, 5, 6], dtype=np.uint8), "indices": np.arange(3)}
    np.savez_compressed(tmp_path / "x.npz", **arrays)
    found = load_instances(tmp_path / "x.npz")
    assert np.array_equal(found.values, np.eye(3))
    assert found.labels is not None
    assert (found.labels.dtype, found.labels.tolist()) == (np.int64, [4, 5, 6])


def test_images_become_grey_levels_channels_first(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(256, size=(5, 7), dtype=np.uint8)
    colour = np.random.default_rng(1).integers(256, size=(5, 7, 3), dtype=np.uint8)
    for suffix in ("png", "bmp", "tif"):
        Image.fromarray(grey).save(tmp_path / f"grey.{suffix}")
        Image.fromarray(colour).save(tmp_path / f"colour.{suffix}")
        assert np.array_equal(load_instances(tmp_path / f"grey.{suffix}").values, grey[np.newaxis, np.newaxis])
        found = load_instances(tmp_path / f"colour.{suffix}").values
        assert np.array_equal(found, colour.transpose(2, 0, 1)[np.newaxis])
    Image.fromarray(grey > 99).save(tmp_path / "black_and_white.png")
    assert np.array_equal(load_instances(tmp_path / "black_and_white.png").values[0, 0], np.where(grey > 99, 255, 0))


@needs_data
@needs_peers
def test_a_peers_image_file_is_the_mnist_image_it_says(tmp_path: Path) -> None:
    found = resolve_input(PEERS / "mnist784" / "mnist_test_7_label9.png")
    split = resolve_input("mnist:test", DATA)
    assert np.array_equal(found.values[0, 0], split.values[7])
    assert split.labels is not None
    assert split.labels[7] == 9


def test_instances_must_fit_their_labels() -> None:
    with pytest.raises(InputFormatError, match="labels of shape"):
        Instances(np.ones((2, 3)), np.zeros(3, np.int64), "x.npz")


@pytest.fixture
def server() -> Iterator[tuple[str, dict[str, bytes]]]:
    """A web server of this process, and the files that it serves; a file named ``cut`` ends early."""
    files: dict[str, bytes] = {}
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, files)) as running:
        Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/", files
        running.shutdown()


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, files: Mapping[str, bytes], *arguments: object) -> None:
        self.files = files
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        content = self.files.get(self.path[1:])
        self.send_response(404 if content is None else 200)
        content = content or b""
        self.send_header("Content-Length", str(len(content) + (100 if self.path == "/cut" else 0)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing: the test's output is the test's."""


def publish(monkeypatch: pytest.MonkeyPatch, *files: Download) -> None:
    """Make these the published files of MNIST."""
    monkeypatch.setitem(SOURCES, "mnist", replace(SOURCES["mnist"], downloads=files))


def published(url: str, content: bytes, members: tuple[str, ...] = ()) -> Download:
    return Download(url, len(content), md5(content).hexdigest(), members)


def test_a_download_is_checked_reported_and_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: tuple[str, dict[str, bytes]]
) -> None:
    address, files = server
    files["a"], files["b"] = bytes(3_000_000), b"labels"
    publish(monkeypatch, published(f"{address}a", files["a"]), published(f"{address}b", files["b"]))
    seen: list[tuple[str, int, int]] = []
    folder = download("mnist", tmp_path, lambda *step: seen.append(step))
    assert folder == tmp_path / "MNIST" / "raw"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
    assert seen[-2:] == [("a", 3_000_000, 3_000_000), ("b", 6, 6)]
    (folder / "b").write_bytes(b"broken")
    files.pop("a")
    download("mnist", tmp_path)
    assert (folder / "b").read_bytes() == b"labels"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a", b"other!", "received 6 bytes with md5"),
        ("a", b"short", "received 5 bytes with md5"),
        ("a", b"longer than published", "received more than 6 bytes"),
        ("cut", b"lab", "received 3 bytes with md5"),
        ("absent", b"labels", "cannot be fetched (Not Found)"),
    ],
)
def test_a_download_that_is_not_as_published_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    server: tuple[str, dict[str, bytes]],
    name: str,
    content: bytes,
    expected: str,
) -> None:
    address, files = server
    if name != "absent":
        files[name] = content
    publish(monkeypatch, published(f"{address}{name}", b"labels"))
    with pytest.raises(InputFormatError) as caught:
        download("mnist", tmp_path)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "MNIST" / "raw").iterdir()) == []


def test_a_download_without_a_network_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(monkeypatch, published("http://127.0.0.1:9/a", b"labels"))
    with pytest.raises(InputFormatError, match=r"^http://127\.0\.0\.1:9/a: cannot be fetched .*; check the network"):
        download("mnist", tmp_path)


def test_a_download_into_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(InputFormatError, match=r"mnist: cannot be written to .*taken"):
        download("mnist", tmp_path / "taken")
    with pytest.raises(InputFormatError, match="expected one of mnist"):
        download("imagenet", tmp_path)


def tar(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def test_an_archive_gives_only_its_named_members_wherever_they_claim_to_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: tuple[str, dict[str, bytes]]
) -> None:
    address, files = server
    files["a.tar.gz"] = tar({"../../escaped": b"no", "batches/readme": b"no", "/etc/one": b"1", "batches/two": b"2"})
    publish(monkeypatch, published(f"{address}a.tar.gz", files["a.tar.gz"], ("one", "two")))
    folder = download("mnist", tmp_path)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"one": b"1", "two": b"2"}
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["one", "two"]
    files.clear()
    assert download("mnist", tmp_path) == folder


@pytest.mark.parametrize(
    ("content", "expected"),
    [(tar({"batches/one": b"1"}), "no member two"), (b"not a tar archive", "cannot be unpacked")],
)
def test_an_archive_without_its_members_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    server: tuple[str, dict[str, bytes]],
    content: bytes,
    expected: str,
) -> None:
    address, files = server
    files["a.tar.gz"] = content
    publish(monkeypatch, published(f"{address}a.tar.gz", content, ("one", "two")))
    with pytest.raises(InputFormatError, match=expected):
        download("mnist", tmp_path)
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("name", ["x" * 5000 + ".npy", "a\0b.npy", "nowhere/x.txt"])
def test_a_name_that_no_file_can_have_is_no_such_file(name: str) -> None:
    with pytest.raises(InputFormatError, match="no such file"):
        resolve_input(name)
