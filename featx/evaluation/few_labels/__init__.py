"""Few labels: the accuracy of every layer and classifier with 1, 2, 5, ... labelled images of each class.

Training images are drawn several times, each draw is trained on by the usual protocol, and judged on the usual held-out
part. Read `draws` (which images are labelled), `training` (from labels to a classifier), `curves` (all draws of all
rows, and what earlier runs left of them), `notes` (what is said of it) and `figures` (the records, and the interval).

Proved by `tests/evaluation/few_labels` and `tests/workflows/test_few_labels.py`.
"""
