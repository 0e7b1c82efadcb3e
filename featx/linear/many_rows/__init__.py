"""Linear classifiers on many rows: passes over blocks of rows at matrix speed, on all cores.

What is minimised is what `featx.linear` minimises; what differs is how. Rows are taken in blocks that stay in a core's
cache: product, loss, and product with what is left follow one another there, one block a thread. Sums over blocks are
made in their order, so results do not depend on the number of threads. Newton's steps are found by conjugate gradients
in float32; the model that is kept is checked, and corrected, by gradients in float64 of the rows as they were given.

Read the files in this order: `blocks` (a pass: objective, gradient, product with the Hessian), `thinning` (the rows
that such a product needs), `preconditioner`, `newton` (the optimiser), `path` (values of C on the folds of
cross-validation), `cost` (when this way is taken, and what it takes).

Proof: `tests/linear/many_rows/` compares with the solvers for few rows, C by C and to the last digits that are
promised. `benchmarks/many_rows.py` measures the speed.
"""
