"""A report as one HTML page that opens offline: what came out, why it can be trusted, and the pictures behind it.

`material` holds what a page is made of; `verdict`, `sections_of_figures` and `sections_of_images` describe its parts as
plain values, which `featx report --json` prints and `templates/` show; `figure` draws charts by matplotlib, which
`charts_of_rows` and `charts_of_one` describe; `pictures` makes small pictures, `neighbours` finds training images like a
mistake, and `page` puts all of it together. Read them in this order.

Nothing is trained here, and nothing is asked of the network: the page forbids it to itself. Names of files and classes
come from anybody, and are shown as text.

Proved by `tests/reports/html`, in a browser where one is installed.
"""
