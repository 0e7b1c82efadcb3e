"""Selection: which of many layers, poolings and views are worth their cost, judged on training rows only.

Read `grams` (inner products of a block of columns, which add up to those of any set of blocks), `kernel_ridge` (what a
set is worth, cross-validated in closed form from one eigendecomposition), `sampling` and `forward` (the greedy search
over sets, on a sample of the rows): together a shortlist, in a fraction of a second a set. `trials` then measures what
is on it by the protocol of evaluation, several times over, and says what one candidate gains on another and how
certain that is.

Nothing here reads a held-out part or imports torch. Proved by `tests/selection`: Gram matrices against those of the
concatenated columns, closed forms against fits of every fold, trials against the search that `fit` makes.
"""
