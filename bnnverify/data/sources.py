"""The table of data sets that have a name: where their files lie, what reads them, where to get them.

A split lists recipes in order of preference; a recipe is a set of files that must lie in one folder
and the function that reads them. Folders are those of the usual layouts below a data folder, and
the data folder itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bnnverify.data import adult, german
from bnnverify.data.cifar import read_batches, read_jpegs, read_pixels
from bnnverify.data.dataset import Dataset
from bnnverify.data.idx import read_idx_pair
from bnnverify.data.svhn import read_mat


class Recipe(NamedTuple):
    """Files that must lie in one folder, and what reads them."""

    files: tuple[str, ...]
    read: Callable[[Sequence[Path], str], Dataset]


class Download(NamedTuple):
    """A published file: address, size in bytes, md5; ``members`` are unpacked from a tar archive."""

    url: str
    n_bytes: int
    md5: str
    members: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]


@dataclass(frozen=True)
class Source:
    """One data set: its splits, layouts and published files. The first folder is where a download goes."""

    name: str
    title: str
    licence: str
    folders: tuple[str, ...]
    splits: Mapping[str, tuple[Recipe, ...]]
    downloads: tuple[Download, ...]


_IDX_SPLITS = {
    "train": (Recipe(("train-images-idx3-ubyte", "train-labels-idx1-ubyte"), read_idx_pair),),
    "test": (Recipe(("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"), read_idx_pair),),
}
_CIFAR_TRAIN = tuple(f"data_batch_{k}.bin" for k in range(1, 6))
_CIFAR_SPLITS = {
    "train": (Recipe(_CIFAR_TRAIN, read_batches), Recipe(("train_first4000.npz",), read_pixels)),
    "test": (Recipe(("test_batch.bin",), read_batches), Recipe(("test_first100.npz",), read_pixels)),
    "train-jpeg": (Recipe(("train_jpeg.npz",), read_jpegs),),
    "test-jpeg": (Recipe(("test_jpeg.npz",), read_jpegs),),
}
_SVHN_SPLITS = {split: (Recipe((f"{split}_32x32.mat",), read_mat),) for split in ("train", "test", "extra")}

_ADULT_SPLITS = {
    "train": (Recipe(adult.FILES, adult.read_train),),
    "test": (Recipe(adult.FILES, adult.read_test),),
}
_GERMAN_SPLITS = {
    "train": (Recipe(german.FILES, german.read_train),),
    "test": (Recipe(german.FILES, german.read_test),),
}

_UCI_URL = "https://archive.ics.uci.edu/ml/machine-learning-databases/"
_MNIST_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_FASHION_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
_SVHN_URL = "http://ufldl.stanford.edu/housenumbers/"

SOURCES = {
    source.name: source
    for source in (
        Source(
            "mnist",
            "MNIST: handwritten digits, 28x28 grey",
            "none stated; copies are commonly passed on as CC BY-SA 3.0",
            ("MNIST/raw", "MNIST", "mnist/raw", "mnist"),
            _IDX_SPLITS,
            (
                Download(f"{_MNIST_URL}train-images-idx3-ubyte.gz", 9912422, "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
                Download(f"{_MNIST_URL}train-labels-idx1-ubyte.gz", 28881, "d53e105ee54ea40749a09fcbcd1e9432"),
                Download(f"{_MNIST_URL}t10k-images-idx3-ubyte.gz", 1648877, "9fb629c4189551a2d022fa330f9573f3"),
                Download(f"{_MNIST_URL}t10k-labels-idx1-ubyte.gz", 4542, "ec29112dd5afa0611ce80d1b7f02629c"),
            ),
        ),
        Source(
            "fashion",
            "Fashion-MNIST: clothing articles, 28x28 grey",
            "MIT, Zalando SE",
            ("FashionMNIST/raw", "FashionMNIST", "fashion/raw", "fashion", "fashion-mnist"),
            _IDX_SPLITS,
            (
                Download(f"{_FASHION_URL}train-images-idx3-ubyte.gz", 26421880, "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
                Download(f"{_FASHION_URL}train-labels-idx1-ubyte.gz", 29515, "25c81989df183df01b3e8a0aad5dffbe"),
                Download(f"{_FASHION_URL}t10k-images-idx3-ubyte.gz", 4422102, "bef4ecab320f06d8554ea6380940ec79"),
                Download(f"{_FASHION_URL}t10k-labels-idx1-ubyte.gz", 5148, "bb300cfdad3c16e7a12a480ee83cd310"),
            ),
        ),
        Source(
            "cifar10",
            "CIFAR-10: natural images, 32x32 colour",
            "none stated; cite Krizhevsky, 2009",
            ("cifar-10-batches-bin", "cifar10/cifar-10-batches-bin", "cifar10", "CIFAR10"),
            _CIFAR_SPLITS,
            (
                Download(
                    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                    170052171,
                    "c32a1d4ab5d03f1284b67883e8d87530",
                    (*_CIFAR_TRAIN, "test_batch.bin"),
                ),
            ),
        ),
        Source(
            "svhn",
            "SVHN: street view house numbers, cropped digits, 32x32 colour",
            "non-commercial use only",
            ("SVHN", "svhn"),
            _SVHN_SPLITS,
            (
                Download(f"{_SVHN_URL}train_32x32.mat", 182040794, "e26dedcc434d2e4c54c9b2d4a06d8373"),
                Download(f"{_SVHN_URL}test_32x32.mat", 64275384, "eb5a983be6a315427106f1b164d9cef3"),
            ),
        ),
        Source(
            "adult",
            "UCI Adult: census rows in 54 bits, income above 50,000 dollars",
            "CC BY 4.0, UCI (Becker and Kohavi, 1996)",
            ("adult", "Adult"),
            _ADULT_SPLITS,
            (
                Download(f"{_UCI_URL}adult/adult.data", 3974305, "5d7c39d7b8804f071cdd1f2a7c460872"),
                Download(f"{_UCI_URL}adult/adult.test", 2003153, "35238206dfdf7f1fe215bbb874adecdc"),
            ),
        ),
        Source(
            "german",
            "UCI German credit: applicants in 53 bits, good or bad risk",
            "CC BY 4.0, UCI (Hofmann, 1994)",
            ("german", "German"),
            _GERMAN_SPLITS,
            (Download(f"{_UCI_URL}statlog/german/german.data", 79793, "6b94c2e35480e671545e52a808a8a549"),),
        ),
    )
}
