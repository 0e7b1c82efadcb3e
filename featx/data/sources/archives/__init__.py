"""Images in archives, read where they lie: zip files, and shards in tar files.

Read `members` first (what a member is, how one is read by its place, and how changes are noticed). Then a kind at a
time: `zip_file` over `zip_index` (the directory of a zip) and `zip_member`; `shards` over `shard_names`, `tar_index`
(the members of a tar), `samples` (which members belong together, and their label) and `remembered_index`. `member_tree`
shows names of members as folders, so that `featx.data.sources.layout` reads them as it reads folders; `member_place`
shows them to a table among them. `write_shards` makes shards of pictures in memory.

Archives are strangers: sizes are checked before memory is taken, nothing is unpacked to disk, and a damaged
member is one failed image.

Proof: tests/data/sources/archives/.
"""
