"""Seconds and memory of an epoch of training 784-4096x3-10, against plain torch: ``python -m benchmarks.training``.

Both contenders train the network of the recipe `theano_mnist` (dropout, BatchNorm of the scores, Adam, squared hinge,
batches of 100) on the same images of noise, which cost what digits cost. The plain one is what one writes first:
float32 latent weights, ``sign``, float32 matrix products, torch's Adam as it comes, and a clamp. Each runs in processes
of its own, in turns, a few steps each after a warm-up; an epoch is the median step times the steps of 60,000 images.
Memory is the process's peak above what it held with torch loaded and the images made.

What makes the difference, by profile: a product of signs in int8 takes a quarter of float32's time; the fused Adam
reads and writes every number once; the clipped weights need no straight-through mask; signs are int8, a quarter of the
memory; and nothing of a layer's size is allocated anew in a step, which would cost page faults. The products of the
gradient stay float32, so they are the largest part of what is left.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

BATCH, IMAGES, WARM_UP = 100, 60_000, 2
CONTENDERS = ("bnnverify", "plain torch")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="seconds and memory of an epoch, against plain torch")
    parser.add_argument("--width", type=int, default=4096)
    parser.add_argument("--steps", type=int, default=10, help="timed in each process")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each contender, in turns")
    parser.add_argument("--measure", choices=CONTENDERS, help="measure one contender in this process, as JSON")
    asked = parser.parse_args(arguments)
    if asked.measure:
        print(json.dumps(_measured(asked.measure, asked.width, asked.steps)))
        return
    compare(asked.width, asked.steps, asked.rounds)


def compare(width: int, steps: int, rounds: int) -> None:
    """Measure both contenders in turns and print seconds, memory and their ratios."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    for _ in range(rounds):
        for name in CONTENDERS:
            found[name].append(_in_a_process(name, width, steps))
    print(f"784-{width}x3-10, batch {BATCH}, {IMAGES:,} images an epoch, {rounds} x {steps} steps of each")
    medians = {name: {key: median(row[key] for row in rows) for key in rows[0]} for name, rows in found.items()}
    for name, row in medians.items():
        epoch = row["step_s"] * IMAGES / BATCH
        print(f"  {name:12} {1000 * row['step_s']:7.1f} ms a step, {epoch:6.1f} s an epoch, {row['peak_mib']:6.0f} MiB")
    ours, plain = (medians[name] for name in CONTENDERS)
    rounds_faster = [b["step_s"] / a["step_s"] for a, b in zip(*found.values(), strict=True)]
    print(
        f"  faster by {plain['step_s'] / ours['step_s']:.2f} (rounds: {', '.join(f'{r:.2f}' for r in rounds_faster)})"
    )
    print(f"  memory of ours over plain: {ours['peak_mib'] / plain['peak_mib']:.2f}")


def _in_a_process(name: str, width: int, steps: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.training", "--measure", name]
    command += ["--width", str(width), "--steps", str(steps)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(answer.stdout)
    return found


def _measured(name: str, width: int, steps: int) -> dict[str, float]:
    import torch

    pixels = torch.randint(0, 256, ((WARM_UP + steps) * BATCH, 1, 28, 28)).float()
    labels = torch.randint(0, 10, (len(pixels),))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step = (_ours if name == "bnnverify" else _plain)(width)
    seconds = []
    for part, classes in zip(pixels.split(BATCH), labels.split(BATCH), strict=True):
        start = time.perf_counter()
        step(part, classes)
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"step_s": median(seconds[WARM_UP:]), "peak_mib": peak / 1024}


def _ours(width: int) -> Callable[[Any, Any], object]:
    from dataclasses import replace

    import torch

    from bnnverify.training.build import build_optimizers, build_settings, seeded_model
    from bnnverify.training.images import Images
    from bnnverify.training.recipe import Layer, read_recipe
    from bnnverify.training.run import Run

    recipe = read_recipe("theano_mnist")
    recipe = replace(recipe, network=replace(recipe.network, layers=(Layer(dense=width),) * 3))
    model = seeded_model(recipe, (1, 28, 28), torch.device("cpu"))
    none = Images(torch.zeros(1, 1, 28, 28), torch.zeros(1, dtype=torch.long))
    run = Run(model, none, none, build_settings(recipe), build_optimizers(recipe, model))
    model.train()
    return lambda pixels, labels: run.step(Images(pixels, labels))


def _plain(width: int) -> Callable[[Any, Any], object]:
    import torch
    from torch import nn
    from torch.nn import functional

    class Sign(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, values: Any) -> Any:
            ctx.save_for_backward(values)
            return torch.sign(values)

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            (values,) = ctx.saved_tensors
            return gradients[0] * (values.abs() <= 1)

    class Dense(nn.Module):
        def __init__(self, n_inputs: int, n_outputs: int) -> None:
            super().__init__()
            self.latent = nn.Parameter(torch.empty(n_outputs, n_inputs).uniform_(-1, 1))

        def forward(self, values: Any) -> Any:
            return functional.linear(values, Sign.apply(self.latent))  # type: ignore[no-untyped-call]

    class Signs(nn.Module):
        def forward(self, values: Any) -> Any:
            return Sign.apply(values)  # type: ignore[no-untyped-call]

    layers: list[nn.Module] = [nn.Flatten(), nn.Dropout(0.2)]
    for n_inputs in (784, width, width):
        layers += [Dense(n_inputs, width), nn.BatchNorm1d(width, eps=1e-4), Signs(), nn.Dropout(0.5)]
    model = nn.Sequential(*layers, Dense(width, 10), nn.BatchNorm1d(10, eps=1e-4))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    latent = [layer.latent for layer in model if isinstance(layer, Dense)]

    def step(pixels: Any, labels: Any) -> float:
        targets = 2 * functional.one_hot(labels, 10).float() - 1
        loss = torch.relu(1 - targets * model(pixels / 127.5 - 1)).square().mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with torch.no_grad():
            for values in latent:
                values.clamp_(-1, 1)
        return float(loss.detach())

    return step


if __name__ == "__main__":
    main()
