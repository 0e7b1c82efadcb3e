"""Evaluation: how well a classifier does on cached features, measured so that the number can be believed.

It owns the protocol: hyper-parameters are chosen by cross-validation inside the training part, the winner is refitted
on all of it, and the held-out part is read once. Read `comparison` (what is to be evaluated), `evaluate` (train and
evaluate one layer set), `protocol` (put a result and a model together), `result` (what came of it), then `metrics`,
`table_row`, `notes`, `error_analysis` and `fit_report` (what `fit` returns); `result_cache` keeps results between runs
and `side_by_side` uses all cores.
`nested` judges every image once instead of one held-out part: nested cross-validation.
`few_labels` traces accuracy over the number of labelled images; `records` keeps what is no result of one classifier.
`layer_scores` and `transferability` score layers for advice, without a held-out part.

Nothing here imports torch. Proved by `tests/evaluation` (figures against scipy and scikit-learn, results kept and found
again) and `tests/workflows/test_fit.py`, `test_compare.py` (the protocol from end to end).
"""
