"""Reports: results in words and tables for people, and as CSV; nothing is computed here.

`table` writes the rows of `compare`, as many columns as the terminal is wide enough for, and says results in sentences;
`table_notes` writes what stands below it, and `table_nested` what nested cross-validation adds to that;
`classes` writes one classifier in detail (classes, confusions, mistakes, predictions); `layers` writes the layer table.
`shown_rows` is a list of rows that shows itself as a table, in a terminal and in a notebook; `comparison` makes one of
results. What is written comes from `featx.evaluation` and `featx.bases`.

Proved by `tests/reports`, and through the command line by `tests/workflows/test_compare.py`.
"""
