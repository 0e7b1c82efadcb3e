"""The frozen network: bases as ordered stages, their weights, transforms and poolings (the owner of torch).

`featx.bases.weights` needs no torch until a `.pth` file has to be read, so that stage two can identify weights.
"""
