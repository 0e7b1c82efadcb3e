"""What archives state of their members, read before any of them is unpacked: weights and data sets come as zip files.

`zip_directory.py` reads the directory of a zip file. What may be read of a member, and how much of it, is a matter of
those who read members: `data/sources/archives` and `bases/weight_files`.

Proved by `tests/archives`, and by the tests of both readers, which change single bytes of directories.
"""
