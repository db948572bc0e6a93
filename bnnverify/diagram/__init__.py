"""Flat decision diagrams, and one module for every question that a pass over them answers."""
