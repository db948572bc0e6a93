"""How a question ends: the six words that limits, queries and the JSON contract share."""

import enum


class Verdict(enum.Enum):
    """How a question ended; the value is the word of the JSON contract."""

    HOLDS = "holds"
    VIOLATED = "violated"
    UNKNOWN = "unknown"
    TIMEOUT = "timeout"
    MEMOUT = "memout"
    ANSWERED = "answered"
