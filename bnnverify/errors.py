"""The few errors that a user can meet, each also the built-in that a caller would catch.

A message says what was wrong, what was found and what to do, in one sentence. A limit that was
reached is a verdict, not an error; a bug is whatever other exception escapes.
"""


class BnnverifyError(Exception):
    """Base of all errors that this package raises on purpose."""


class ModelFormatError(BnnverifyError, ValueError):
    """A model file is not what its format promises."""


class InputFormatError(BnnverifyError, ValueError):
    """An instance or a data set cannot be read, or does not fit the network."""


class UsageError(BnnverifyError, ValueError):
    """An argument is outside what the query accepts."""


class UnsupportedError(BnnverifyError, NotImplementedError):
    """The question is sensible, but the chosen engine cannot answer it."""


class ReplayError(BnnverifyError, AssertionError):
    """A witness did not replay on the bitwise engine: a bug of ours, never an answer."""
