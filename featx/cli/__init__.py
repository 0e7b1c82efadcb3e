"""The command line: one small file a command, which fills a request, calls a workflow and prints what came of it.

Library code is imported inside the command that needs it, so that `featx --help` answers at once. Data goes to stdout,
progress and logs to stderr. Exit codes: 0 done, 1 rows that failed or a user's error, 2 bad usage, 130 interrupted.

Read `main.py` (the group, the exit codes, the wording of errors), then `options.py` (options that several commands
share) and `progress.py` (the bar), then any command: `extract.py` is typical. `cache.py` gathers the subcommands of
`featx cache`.

`tests/cli/test_cli.py` proves help, exit codes and the JSON that scripts rely on; `tests/test_imports.py` proves that
light commands import nothing heavy.
"""
