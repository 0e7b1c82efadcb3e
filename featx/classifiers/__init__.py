"""The classifiers of `--clf`, the search for their hyper-parameters, and what makes probabilities of their scores.

Read `registry` first: every classifier by name, linear ones with their values of C. `search` chooses C by
cross-validation and refits on all training rows; `search_out_of_core` does so for features larger than memory, one
block of rows at a time. `figures` are what may be chosen by, `choice` says which value wins. `calibration` and
`temperature` turn an SVM's margins into probabilities. `mlp` is the one classifier that is trained here; the linear
ones are solved in `featx.linear`, and `knn` and `majority` need no training. `to_arrays` takes any of them apart into
the plain arrays that a model file holds; `out_of_fold` scores every row by a classifier that never saw it.

Proof: `tests/contract/test_classifiers.py` runs over every entry of the registry, `tests/classifiers` over each module.
"""
