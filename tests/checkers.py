"""Independent checkers: explanations and implicants by brute force over all subsets and all inputs.

They share no code with what they check, read tables of 2**n values (the first variable the slowest), and are
themselves tested to reject.
"""

from itertools import chain, combinations, product


def subsets(items):
    """All subsets, smallest first."""
    items = list(items)
    return chain.from_iterable(combinations(items, size) for size in range(len(items) + 1))


def bad_changes(tables, bad, x, groups):
    """For every bad input that differs from ``x`` within the groups only: the set of groups in which it differs."""
    n, found = len(x), set()
    for number, bits in enumerate(product((0, 1), repeat=n)):
        if not any(tables[root][number] for root in bad):
            continue
        differ = {i for i in range(n) if bits[i] != x[i]}
        if differ <= {i for group in groups for i in group}:
            found.add(frozenset(f for f, group in enumerate(groups) if differ & set(group)))
    return found


def minimal(sets):
    return {s for s in sets if not any(t < s for t in sets)}


def all_contrastive(tables, bad, x, groups):
    return minimal(bad_changes(tables, bad, x, groups))


def all_sufficient(tables, bad, x, groups):
    """Minimal sets that meet the changes of every bad input."""
    changes = bad_changes(tables, bad, x, groups)
    kept = {frozenset(s) for s in subsets(range(len(groups))) if all(set(s) & c for c in changes)}
    return minimal(kept)


def is_implicant(table, n, literals):
    """Whether every input that satisfies the literals (pairs of a variable and 0 or 1) is true."""
    fixed = dict(literals)
    inputs = product(*[(fixed[i],) if i in fixed else (0, 1) for i in range(n)])
    return all(table[int("0" + "".join(map(str, bits)), 2)] for bits in inputs)


def is_prime(table, n, literals):
    """Whether the literals are an implicant of which none can be left out."""
    if not is_implicant(table, n, literals):
        return False
    return not any(is_implicant(table, n, literals - {literal}) for literal in literals)


def primes_by_consensus(table, n):
    """All prime implicants: start from the true inputs, merge what differs in one variable (Quine-McCluskey)."""
    inputs = product((0, 1), repeat=n)
    level = {frozenset(enumerate(bits)) for bits, value in zip(inputs, table, strict=True) if value}
    primes = set()
    while level:
        merged, used = set(), set()
        for literals in level:
            for variable, value in literals:
                partner = literals - {(variable, value)} | {(variable, 1 - value)}
                if partner in level:
                    merged.add(literals - {(variable, value)})
                    used.add(literals)
        primes |= level - used
        level = merged
    return primes


def fault_of_primes(listed, table, n):
    """What is wrong with a list that should hold every prime implicant once, or nothing."""
    listed = [frozenset(literals) for literals in listed]
    if len(set(listed)) < len(listed):
        return "listed twice"
    for literals in listed:
        if not is_implicant(table, n, literals):
            return f"no implicant: {sorted(literals)}"
        if not is_prime(table, n, literals):
            return f"not prime: {sorted(literals)}"
    missing = primes_by_consensus(table, n) - set(listed)
    return f"missing: {sorted(map(sorted, missing))}" if missing else ""
