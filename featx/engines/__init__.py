"""Engines: what runs a frozen base over images, and on which device and cores.

Read `compute.py` first: `compute_features` is the one way to run a base over a listing. It joins a `Plan` (which base,
layers, device and batch size) and a `LazyEngine`, both in `engine.py`, to the loader that decodes images. The engines
themselves follow: `torch_engine.py`, the reference, and `openvino_engine.py`, the fastest on a CPU, for which
`translation.py` translates; `ENGINES` lists them. `device.py` turns `--device` into devices of this machine,
`threads.py` shares out its cores.

In float32 every engine agrees with eager torch to 1e-4 of the largest feature, and no feature depends on the images
that are computed beside it: tests/engines/test_engine.py. Every kind of base runs in OpenVINO, and what it cannot run
is told: tests/engines/test_openvino_engine.py. That resizing on a device changes no bit is proven by
tests/engines/test_compute.py.
"""
