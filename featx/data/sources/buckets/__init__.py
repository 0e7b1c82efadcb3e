"""Images in buckets of object stores: folders, tar shards, and tables whose rows name objects.

Read `bucket_files` first (how an object is read, and how changes are noticed), then `bucket_folder` (which objects make
a data set) and `bucket_shards` (tar files, read by place). Lists say size and tag of each object, so digests and the
indexes of shards are remembered as those of files are, and nothing is copied to this disk.

Proof: tests/data/sources/buckets/.
"""
