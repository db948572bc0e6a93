"""The trained networks and the real instances that ship with the package, so that a first run is offline.

``examples/bundle_mnist.py`` made the networks of digits and their images from the published MNIST files,
``examples/train_tabular.py`` the networks of people, with their features, from UCI's Adult and German credit
(CC BY 4.0; Becker and Kohavi, 1996; Hofmann, 1994).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path

from bnnverify.data.instances import Instances, load_instances
from bnnverify.errors import UsageError
from bnnverify.network import Network
from bnnverify.theories import FeatureGroups, load_features

BUNDLED_NETWORK = "mnist_784_100_50_10"
BUNDLED_IMAGES = "mnist_test20"

ROBUST_NETWORK = "mnist_784_100_50_10_robust"
DIGITS = (BUNDLED_NETWORK, ROBUST_NETWORK)
INSTANCES_OF = {**dict.fromkeys(DIGITS, BUNDLED_IMAGES), "adult": "adult_test20", "german": "german_test20"}


def bundled_names() -> tuple[str, ...]:
    """Names of the bundled networks, as MODEL accepts them."""
    return tuple(INSTANCES_OF)


def bundled_network(name: str = BUNDLED_NETWORK) -> Network:
    """A bundled network.

    ``mnist_784_100_50_10``, the default, is right on 9,595 of the 10,000 MNIST test images, and its twin that was
    trained to stay right under flipped bits, ``mnist_784_100_50_10_robust``, on 9,566. ``adult``, 54-20-2 bits, is
    right on 13,714 of the 16,281 test rows (12,435 are of the greater class; balanced accuracy 74.88 %), and
    ``german``, 53-12-2 bits, on 226 of the 300 test rows (201 are of the greater class; balanced accuracy 69.80 %).

    Raises:
        UsageError: if there is no bundled network of that name.

    >>> bundled_network().n_inputs
    784
    """
    from bnnverify.formats import load

    with _example(f"{_known(name)}.npz") as path:
        return load(path)


def bundled_features(name: str) -> FeatureGroups:
    """What the input bits of a bundled network mean; of digits, each pixel is a feature by itself.

    Raises:
        UsageError: if there is no bundled network of that name.

    >>> bundled_features("adult").names[:3]
    ('age', 'workclass', 'education')
    """
    if name in DIGITS:
        return FeatureGroups(bundled_network().n_inputs)
    with _example(f"{_known(name)}.json") as path:
        return load_features(path)


def bundled_instances(name: str = BUNDLED_NETWORK) -> Instances:
    """Twenty test instances of a bundled network with their labels, as many of each class, in their order.

    Raises:
        UsageError: if there is no bundled network of that name.

    >>> bundled_instances("adult").values.shape
    (20, 54)
    """
    source = INSTANCES_OF[_known(name)]
    with _example(f"{source}.npz") as path:
        found = load_instances(path)
    return Instances(found.values, found.labels, source)


def bundled_images() -> Instances:
    """Twenty MNIST test images ``(20, 28, 28)`` uint8 with their labels: the first two of each class.

    They keep the order of the test set; the first twelve are its images 0 to 11.

    >>> bundled_images().labels[:5].tolist()
    [7, 2, 1, 0, 4]
    """
    return bundled_instances(BUNDLED_NETWORK)


def _known(name: str) -> str:
    if name not in INSTANCES_OF:
        raise UsageError(f"no bundled network {name!r}, expected one of {', '.join(INSTANCES_OF)}")
    return name


@contextmanager
def _example(name: str) -> Iterator[Path]:
    with as_file(files("bnnverify") / "examples" / name) as path:
        yield path
