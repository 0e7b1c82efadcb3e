"""X and y: the cached features of a data set, with its labels, groups and split, as classifiers take them.

Read `catalog` first: which base and which layer sets the cache holds for the images of a data set, by what
`cached_layers` lists; `missing` words what it lacks, with the request that computes it. `dataset` joins the images with
labels, groups and the held-out part; `groups` says which pictures belong together; `splits` makes that part and the
folds, `group_splits` where groups have several pictures; `matrix` reads X, whole or a block at a time; `scaling`
concatenates layers at unit length.

What others leave in a shared cache never changes what is chosen here, and nothing here imports torch. Proved by
`tests/features` (what is chosen, what is warned of, no group on both sides of a split), `tests/workflows/test_fit.py`
and `tests/workflows/test_compare.py`.
"""
