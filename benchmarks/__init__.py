"""Measurements to repeat: ``python -m benchmarks.<name>`` from the repository root prints a table.

All of them compare on one thread, which numpy's BLAS must be told before numpy is imported.
"""

import os

for library in ("OMP", "OPENBLAS", "MKL", "BLIS", "NUMEXPR"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")
