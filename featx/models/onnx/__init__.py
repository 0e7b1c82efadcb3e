"""Models as ONNX graphs: one file with base and classifier that runs anywhere, and the running of it here.

Writing needs torch; read `network` (pixels to probabilities as one torch module), `export` (the graph, checked and
compared with torch), `whole_pictures` (resizing within the graph) and `openvino_ir`. Running needs ONNX Runtime and no
torch; read `facts` (what the metadata says), `wire` with `operators` (what is looked for in the bytes of a file before
a library loads them), `model` and `labelling`.

An ONNX file may come from anywhere. Its metadata are checked by a schema, and it is refused where it names other files,
operators of libraries, functions, loops or branches. Not bounded is the memory that its operators ask for.

Proof: tests/models/onnx/test_export.py (against `predict`), test_hostile.py, test_whole_pictures.py and
test_prediction.py (without torch); benchmarks/onnx_files.py measures it on photos.
"""
