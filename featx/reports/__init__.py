"""Reports: results in words and tables for people, and as CSV; nothing is computed here.

`table` writes the rows of `compare`, as many columns as the terminal is wide enough for, and says results in sentences;
`classes` writes one classifier in detail (classes, confusions, mistakes, predictions). What is written comes from
`featx.evaluation`. Proved by `tests/reports`, and through the command line by `tests/workflows/test_compare.py`.
"""
