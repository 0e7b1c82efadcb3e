"""Stage two: splits, classifiers, scores and the search for hyper-parameters (the owner of scikit-learn)."""
