"""Advice: what is measured of a data set before anything is decided, on its training part only.

Read `candidates` (what could be trained on, and the ladder on which a dearer one must beat the cheaper by more than its
standard error), then `cached` (candidates whose features are cached, measured on all training images, or on ten
thousand of them) and `sample` (layers, poolings and views that are not, measured on a few hundred images that are run
through the base, with what extracting them would cost); `tasks` does several measurements at a time, and `pace` keeps
what a pass takes, so that costs are the same in every run.

Only `sample` needs torch, and is imported where a sample is drawn. Proved by `tests/advice` and
`tests/workflows/test_advise.py`.
"""
