"""Proofs that a region holds no input of a wanted class, and the checker that accepts or rejects them."""
