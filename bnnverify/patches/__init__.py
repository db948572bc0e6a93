"""Dual bounds for networks that begin with a convolution: proofs that a box holds no input of a wanted class."""
