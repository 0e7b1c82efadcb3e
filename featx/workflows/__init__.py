"""The verbs: one file for each command, which takes a request and returns a report. Nothing here prints.

Read `extract`, `compare` and `fit` first, then `predict`, `finetune`, `advise` and `export`; `experiment_file` turns a
TOML file into requests. Workflows never import one another: what two of them share belongs in a package below.

Proof: `tests/workflows`, one file for each; `tests/test_imports.py` keeps them apart.
"""
