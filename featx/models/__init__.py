"""The file that predicts: a fitted classifier, and everything that is needed to feed it.

Read `array_classifier` first (a classifier as plain arrays, and how its scores become probabilities), then `model`
(the classifier joined to the features it takes; saving and loading it), then `container` and `schema` (what must hold
of a file before a number of it is used). `strangeness` says how unlike all classes a picture is, `prediction_sets`
which classes to name so that the true one is among them, and `neighbours` lets training pictures vote.
`base_of_model` loads the frozen base that a model takes features of, `pass_size` says how much of it is computed at a
time, and `labelling` runs both over a listing; these three need torch.

A model file is a safetensors container with JSON beside the arrays. It may come from anywhere: nothing in it is
executed, and nothing is believed unchecked. Reading one imports numpy, msgspec and safetensors, but neither scipy nor
scikit-learn, joblib or torch, so that a program that only predicts starts quickly.

Proof: tests/models/test_model.py (round trips bit for bit, hostile files, what is imported),
tests/models/test_schema.py (what the facts may say) and tests/models/test_array_classifier.py.
"""
