"""Files of weights, read as data: what they state is checked before a number is read, and nothing in them is called.

In order: `weights_file` (an open file), `stored_tensor` (a tensor as a file describes it), `pickle_data` (a pickle as
the data that it is), `zip_members` (what an archive holds), then the formats: `torch_file`, `torch_legacy` and
`safetensors_file`. What a checkpoint's entries mean is for `featx/bases/checkpoint.py` and `tensor_names.py`.

Proved by `tests/bases/weight_files/` and, against foreign files, by `tests/hostile/test_weights.py`.
"""
