"""One file an engine; :mod:`bnnverify.engines.portfolio` chooses among them."""
