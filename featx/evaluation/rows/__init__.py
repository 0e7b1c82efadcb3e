"""Rows of a table that one held-out part makes: what earlier runs left, what is missing, and those of saved models.

`held_out` compares evaluations with the best of them; `found` finds what earlier runs left; `of_model` finds or makes
the evaluation of a model. Proved by `tests/workflows/test_compare.py` and `tests/workflows/test_report.py`.
"""
