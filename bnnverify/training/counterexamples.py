"""What the verifier says of a model: how many images nothing within a radius can change, and which inputs do.

*Verified accuracy* at a radius is the fraction of images that are classified correctly and for which the verifier
proves that no input within the radius has another class. The images for which it finds one are of use as well: shown
to the training with the class that they should have, they are the hardest examples that exist
(:class:`CounterexampleFeed`). Cost: one question an image and radius, each with its own time limit; answers repeat from
run to run where no limit is reached.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bnnverify.errors import ReplayError
from bnnverify.inference import predict
from bnnverify.network import Network
from bnnverify.queries.results import RobustnessResult, Verdict
from bnnverify.queries.robustness import robustness
from bnnverify.regions import HammingBall, PixelBox, Region
from bnnverify.training.attacks import Attack
from bnnverify.training.export import fold_model
from bnnverify.training.images import Images
from bnnverify.training.model import BinaryModel
from bnnverify.training.recipe import Verification

ATTACK_BATCH = 500


@dataclass(frozen=True)
class RadiusReport:
    """What is known of the first ``n_images`` test images at one radius.

    Of the correct ones, ``n_verified`` keep their class in the whole region, ``n_violated`` do not, by a counterexample
    that was executed, and ``n_undecided`` ran out of time. ``n_attacked`` are correct after the gradient attack, which
    bounds ``n_verified`` from above only.
    """

    norm: str
    radius: int
    n_images: int
    n_correct: int
    n_attacked: int
    n_verified: int
    n_violated: int
    n_undecided: int

    @property
    def verified_accuracy(self) -> float:
        return self.n_verified / self.n_images

    @property
    def attacked_accuracy(self) -> float:
        return self.n_attacked / self.n_images

    def to_dict(self) -> dict[str, Any]:
        accuracies = {"attacked_accuracy": self.attacked_accuracy, "verified_accuracy": self.verified_accuracy}
        return {**asdict(self), **accuracies}


def region_around(pixels: NDArray[Any], norm: str, radius: int, max_value: int = 255) -> Region:
    """Flips of bits for ``hamming``, grey levels of every pixel for ``linf``."""
    flat = pixels.reshape(-1)
    return HammingBall(flat, radius) if norm == "hamming" else PixelBox(flat, Fraction(radius, max_value))


def report_radius(
    network: Network,
    model: BinaryModel,
    attack: Attack,
    images: Images,
    asked: Verification,
    radius: int,
    *,
    watch: Callable[[int], None] | None = None,
) -> RadiusReport:
    """Attack and verify every image at one radius.

    Args:
        network: what ``model`` was exported as.
        attack: of this radius.
        watch: is told of the number of every image that is due.

    Raises:
        ReplayError: if the attack changes the class of an image that was verified, which is a bug of ours.
    """
    pixels, labels = images.pixels.numpy().astype(np.int64), images.labels.numpy()
    correct = predict(network, pixels) == labels
    survived = correct & (predict(network, _attacked(model, attack, images)) == labels)
    verdicts: dict[int, Verdict] = {}
    for k in np.flatnonzero(correct).tolist():
        if watch is not None:
            watch(k)
        verdicts[k] = _ask(network, pixels[k], asked, radius).verdict
    verified = [k for k, verdict in verdicts.items() if verdict is Verdict.HOLDS]
    if not np.all(survived[verified]):
        raise ReplayError(f"an attack of radius {radius} ({asked.norm}) changed the class of a verified image")
    n_violated = sum(verdict is Verdict.VIOLATED for verdict in verdicts.values())
    return RadiusReport(
        norm=asked.norm,
        radius=radius,
        n_images=len(images),
        n_correct=len(verdicts),
        n_attacked=int(survived.sum()),
        n_verified=len(verified),
        n_violated=n_violated,
        n_undecided=len(verdicts) - len(verified) - n_violated,
    )


def _attacked(model: BinaryModel, attack: Attack, images: Images) -> NDArray[np.int64]:
    """All images after the attack, as whole grey levels."""
    generator = torch.Generator().manual_seed(0)
    parts = [images[start : start + ATTACK_BATCH] for start in range(0, len(images), ATTACK_BATCH)]
    moved = [attack(model, part.pixels, part.labels, generator) for part in parts]
    return torch.cat(moved).numpy().astype(np.int64)


def _ask(network: Network, pixels: NDArray[Any], asked: Verification, radius: int) -> RobustnessResult:
    return robustness(network, region_around(pixels, asked.norm, radius), timeout=asked.timeout)


@dataclass(frozen=True)
class CounterexampleFeed:
    """Finds counterexamples among the training images after an epoch, going on where the last epoch stopped.

    Args:
        n_images: asked about in one epoch.
        asked: norm, radii and time limit; the greatest radius is taken.
    """

    n_images: int
    norm: str
    radius: int
    timeout: float

    @classmethod
    def of(cls, asked: Verification) -> CounterexampleFeed:
        return cls(asked.feed, asked.norm, max(asked.radii), asked.timeout)

    def __call__(self, model: BinaryModel, images: Images, epoch: int) -> Images:
        """Counterexamples with the classes that they should have; possibly none."""
        network = fold_model(model).network
        chosen = images[torch.arange(self.n_images * epoch, self.n_images * (epoch + 1)) % len(images)]
        pixels, labels = chosen.pixels.cpu().numpy().astype(np.int64), chosen.labels.cpu().numpy()
        correct = np.flatnonzero(predict(network, pixels) == labels)
        found = [(self._counterexample(network, pixels[k]), k) for k in correct]
        kept = [(witness, int(labels[k])) for witness, k in found if witness is not None]
        shape = tuple(images.pixels.shape[1:])
        return Images.of(
            np.array([witness for witness, _ in kept]).reshape(len(kept), *shape),
            np.array([label for _, label in kept], dtype=np.int64),
            shape,
        )

    def _counterexample(self, network: Network, pixels: NDArray[Any]) -> NDArray[Any] | None:
        region = region_around(pixels, self.norm, self.radius)
        answer = robustness(network, region, timeout=self.timeout)
        return None if answer.witness is None else np.asarray(answer.witness.input)
