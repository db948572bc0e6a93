"""Trains binarized networks with torch, and exports them as what the rest of the package verifies.

From the inside out: ``binarizers`` (signs and their straight-through slopes), ``layers`` (latent weights, Linear,
Conv), ``inputs`` (bits, thresholds, levels), ``normalization`` and ``model`` (stages between an input and class scores)
make a network; ``losses``, ``penalties``, ``attacks``, ``augmentation``, the optimizers ``adamax`` and ``bop``,
``rates``, ``schedules`` and ``settings`` say how it learns; ``run`` learns, ``checkpoints`` remember, ``export`` folds
and checks. Around them, ``recipe`` and ``tables`` read what is to be done as data, ``build`` and ``material`` make it
of torch, ``session`` does it from data to file, ``counterexamples`` verifies what came out, ``describe`` counts its
operations and ``comparison`` measures it beside an ordinary network. This is the only room that imports torch when it
is imported, so nothing else imports it at that time; ``recipe`` and ``tables`` do without.
"""
