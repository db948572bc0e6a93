"""Cardinality constraints and where they go: decision diagrams, CNF, pseudo-Boolean text.

This package knows nothing of networks and imports nothing of :mod:`bnnverify`. Literals are DIMACS integers. A
constraint is a plain value (:class:`encoders.cardinality.Cardinality`, or :class:`encoders.linear.Linear` with small
coefficients); :mod:`encoders.obdd` makes it a diagram, :mod:`encoders.encode` clauses, :mod:`encoders.opb` text.
"""
