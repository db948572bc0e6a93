"""Measurements to repeat: ``python -m benchmarks.<name>`` from the repository root prints a table."""
