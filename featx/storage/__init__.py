"""Where a cache lies: a folder of this machine, or a bucket of an object store.

Everything that reads or writes a cache asks `storage_of(path)` (`interface.py`), which gives one of two implementations
of one interface: `local.py` for paths of this machine, `objects.py` for objects, through obstore (`featx[cloud]`).
`paths.py` tells the two kinds of paths apart; an `ObjectPath` cannot be opened as a file, so what forgets to ask fails
at once. `client.py` makes clients and words what goes wrong; `copies.py` keeps parts and headers that were read on the
local disk. `reading.py` lists and reads objects that are not of a cache, such as images. `threads.py` makes requests
side by side, `bad_names.py` lists folders whose names obstore refuses.

On an object store every file is one object, written by one request: it is there whole or not at all, so there is
nothing to lock, to rename or to clean up. tests/storage/test_contract.py holds both to the same promises.

This package owns obstore, and imports it where a bucket is first asked.
"""
