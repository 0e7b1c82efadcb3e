"""What the user points at, as rows: paths, labels, splits, and the digest of every image file.

Read `listing` first (the rows of a data set, how their files are read, and what can be wrong with them), then `sources`
(how DATA becomes a listing: one file a kind), `groups` (which rows belong together), `given_images` (images that a
caller names or holds in memory), `digest_cache` (which spares reading unchanged files) and `loader` (which reads,
digests and decodes in threads, and hands batches to whatever computes; `slices` and `rows` are its parts). Where many
threads feed a device, each has a process that does so: `remote_loading` is the side of the thread, `loading_process`
the process and memory that is shared with it, and `loading_worker` what it runs.

Nothing here knows of a base or of the store: a row is identified by the sha256 of its file's bytes alone.

Proof: tests/data/test_listing.py, tests/data/sources/ (every kind of DATA and every mistake in one),
test_given_images.py, test_digest_cache.py (what is read again, and what is not), test_loader.py (order, failures,
memory) and test_remote_loading.py (the same rows from processes, whatever ends).
"""
