"""What a proof that is not accepted raises."""

from bnnverify.errors import BnnverifyError


class ProofError(BnnverifyError, ValueError):
    """A proof is malformed, is of another network or question, or has a step that does not follow."""
