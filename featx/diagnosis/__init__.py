"""What is and is not in order on this machine: `featx doctor`.

Read `finding` first (one line of the answer, and how paths and names of people are kept out of it), then `packages`,
`devices`, `engines` (what runs a base, each tried on a picture in a process of its own: `engine_trial`), `weights` and
`cache` with `file_system`. Nothing here needs a network, and nothing is written but a few bytes in the cache, which are
removed again.

Proof: tests/diagnosis/ and tests/workflows/test_doctor.py (a broken cache, missing and wrong packages, a folder that
cannot be written).
"""
