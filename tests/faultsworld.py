"""A campaign long enough to be killed, and the table it leaves; ``python -m tests.faultsworld FILE JOBS`` runs it."""

import sqlite3
import sys
from contextlib import closing
from itertools import pairwise

import numpy as np

from bnnverify.faults import Symmetric, run
from bnnverify.network import Block, Network, Output

TRIALS = 60
RATES = (0.002, 0.03)


def world():
    rng = np.random.default_rng(9)
    sizes = (200, 600, 600)
    blocks = [
        Block(rng.choice([-1, 1], (b, a)).astype(np.int8), np.zeros(b, dtype=np.int64)) for a, b in pairwise(sizes)
    ]
    network = Network(tuple(blocks), Output(rng.choice([-1, 1], (10, 600)).astype(np.int8)), name="long")
    X = rng.choice(np.array([-1, 1], dtype=np.int8), (3000, 200))
    return network, (X, rng.integers(0, 10, 3000))


def campaign(out, jobs, trials=TRIALS, **options):
    network, data = world()
    return run(network, data, [Symmetric(p) for p in RATES], trials=trials, seed=4, jobs=jobs, out=out, **options)


def table(path):
    """Everything the file holds, in the order of its keys."""
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        return [connection.execute(f"SELECT * FROM {name}").fetchall() for name in ("points", "trials")]


def n_rows(path):
    try:
        return len(table(path)[1])
    except sqlite3.OperationalError:
        return 0


if __name__ == "__main__":
    campaign(sys.argv[1], int(sys.argv[2]))
