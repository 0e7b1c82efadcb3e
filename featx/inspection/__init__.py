"""Looking at data through its features: copies, wrong labels, strangers, poor pictures, shortcuts.

All of it is functions of arrays; `featx.workflows.inspect` gathers them from the cache.

Read `neighbours` (nearest rows, by blocks), `same_pixels` (do two thumbnails show the same) and `near_duplicates` (both
joined, and groups); then `suspect_labels` (confident learning), `strangers`, `picture_facts` (what one decoding tells)
with `picture_quality` and `shortcuts`, which judge by it, and `shift`; `report` holds what was found.
`activation_maps` and `embedding_map` show what layers see; `known_pictures` gives a model what it needs to know
strangers.

Proof: tests/inspection/, tests/workflows/test_inspect.py; figures on planted faults: benchmarks/results/inspection.txt.
"""
