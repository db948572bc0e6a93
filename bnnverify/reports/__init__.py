"""How answers are shown: JSON rows, plain tables, prose, pictures in characters."""
