"""Images in columns of tables: Parquet files, and the Arrow streams that Hugging Face's `save_to_disk` writes.

Read `arrow_columns` first (which column holds images, which one labels), then `parquet_file` over `parquet_rows` (a few
rows at a time, shared by threads) and `parquet_pages` (what pages state of their size, before memory is taken); and
`saved_dataset`, whose images lie in their file as they are. pyarrow is imported where such DATA is read, nowhere else.

Proof: tests/data/sources/columnar/.
"""
