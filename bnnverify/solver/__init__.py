"""A SAT solver that reasons about reified cardinality constraints as they stand."""
