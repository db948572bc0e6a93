"""What a user asks; engine-independent, answered with frozen results."""
