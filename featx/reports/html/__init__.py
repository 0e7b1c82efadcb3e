"""A report as one HTML page that opens offline: what came out, why it can be trusted, and the pictures behind it.

Read `material` (what a page is made of), then `verdict`, `sections_of_figures` and `sections_of_images`, which describe
its parts as plain values: `featx report --json` prints them, and `templates/` show them. `figure` draws by matplotlib
what `charts_of_rows` and `charts_of_one` describe; `pictures` makes small pictures, `neighbours` finds training images
like a mistake, and `page` puts all of it together.

Nothing is trained here, and nothing is asked of the network: the page forbids it to itself. Names of files and classes
come from anybody, and are shown as text.

Proved by `tests/reports/html`, in a browser where one is installed.
"""
