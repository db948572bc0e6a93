"""Many solvers behind one contract: a :class:`encoders.formula.Formula` in, a checked answer out.

:mod:`bnnverify.backends.contract` has the table of solvers and ``solve``; :mod:`bnnverify.backends.race` runs several
and keeps the first answer. Counting, least cost and proofs are questions that few libraries answer, one module each.
"""
