"""Images at addresses of the web: rows of tables that name them, and such tables that lie at an address themselves.

Read `web_files` first (what a server says of a picture, and how it is read), then `web_table` (DATA that is an
address). A server lists nothing, so it is asked for length and tag of each picture by a request of its own; where it
gives a tag, digests are remembered as those of objects are. `buckets.bucket_files` joins the rows of a table that names
objects and addresses.

Proof: tests/data/sources/web/.
"""
