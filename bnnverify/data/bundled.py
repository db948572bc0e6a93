"""The trained network and the real images that ship with the package, so that a first run is offline.

``examples/train_mnist.py`` made both from the published MNIST files.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path

from bnnverify.data.instances import Instances, load_instances
from bnnverify.errors import UsageError
from bnnverify.network import Network

BUNDLED_NETWORK = "mnist_784_100_50_10"
BUNDLED_IMAGES = "mnist_test20"


def bundled_names() -> tuple[str, ...]:
    """Names of the bundled networks, as MODEL accepts them."""
    return (BUNDLED_NETWORK,)


def bundled_network(name: str = BUNDLED_NETWORK) -> Network:
    """A bundled network; by default 784-100-50-10, right on 9,604 of the 10,000 MNIST test images.

    Raises:
        UsageError: if there is no bundled network of that name.

    >>> bundled_network().n_inputs
    784
    """
    from bnnverify.formats import load

    if name not in bundled_names():
        raise UsageError(f"no bundled network {name!r}, expected one of {', '.join(bundled_names())}")
    with _example(name) as path:
        return load(path)


def bundled_images() -> Instances:
    """Twenty MNIST test images ``(20, 28, 28)`` uint8 with their labels: the first two of each class.

    They keep the order of the test set; the first twelve are its images 0 to 11.

    >>> bundled_images().labels[:5].tolist()
    [7, 2, 1, 0, 4]
    """
    with _example(BUNDLED_IMAGES) as path:
        found = load_instances(path)
    return Instances(found.values, found.labels, BUNDLED_IMAGES)


@contextmanager
def _example(name: str) -> Iterator[Path]:
    with as_file(files("bnnverify") / "examples" / f"{name}.npz") as path:
        yield path
