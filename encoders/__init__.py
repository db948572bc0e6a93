"""Cardinality constraints and their decision diagrams, through interchangeable packages.

This package knows nothing of networks and imports nothing of ``bnnverify``.
"""
