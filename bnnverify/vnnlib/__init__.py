"""VNN-LIB properties, versions 1.0 and 2.0: read, decided over real or integer inputs, with replayed witnesses."""
