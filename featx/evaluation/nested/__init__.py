"""Nested cross-validation: every image judged once by a model that never saw it, all choices made anew inside.

An outer fold is the same data set with another held-out part, so each fold is evaluated, cached and recalled like any
other comparison. Read `folds` (which images are judged when), `evaluations` (all folds of all rows), `pooling` (from
the folds of a row to its figures), `procedure` (what becomes of "let featx choose"), `interval` (how sure that is),
`report` (the whole), `notes` (what is said of it) and `figures` (the records).

Sources: Varma and Simon, "Bias in error estimation when using cross-validation for model selection" (2006); Cawley and
Talbot, "On over-fitting in model selection and subsequent selection bias in performance evaluation" (2010).

Proved by `tests/evaluation/nested` (folds, pooling, coverage of the interval) and `tests/workflows/test_nested.py`;
`benchmarks/nested.py` measures bias and coverage at length.
"""
