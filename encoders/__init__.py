"""Cardinality constraints to BDD, to CNF, to pseudo-Boolean: arrives with the decision diagrams.

This package knows nothing of networks and imports nothing of ``bnnverify``.
"""
