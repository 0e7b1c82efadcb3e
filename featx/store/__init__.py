"""The feature store: what a base has computed of images, in immutable HDF5 parts below one folder, the cache.

It promises that committed rows survive any crash (tests/contract/test_crash.py), that a damaged byte never becomes a
feature (test_part.py, test_verify.py), that readers, writers and mergers need no lock (test_compact.py), that any order
of operations gives what a dictionary would (test_stateful.py), and that full disks and folders that cannot be written
are one clear error (tests/contract/test_faults.py).

Read in this order: `store.py` (what everybody uses), `paths.py` (folders), `part.py`, `header.py` and `hdf5_layout.py`
(one file), `digest_index.py` and `reader.py` (rows of many parts), `writer.py` (rows into parts), `base_json.py` and
`key_summary.py` (what is there), `verify.py`, `clean.py`, `compact.py` (looking after it), `hdf5_export.py`.

This package owns h5py: no other one imports it.
"""
