"""From the bytes of an image file to a base's input: the one place where pictures are decoded and resized.

Read `decode` first (bytes to an upright RGB picture, and the policy for everything that can be odd or broken), then
`upright` (to RGB and upright), `memory_budget` (how many pictures may be decoded at a time), `transform` (picture to
pixels), `normalise` (pixels to numbers), `views` (fixed ones) and `augment` (those that are drawn). `formats/` is about
single kinds of files; `decoding_process` decodes those whose size does not bound what that takes. `gpu_resize` does
what `transform.to_pixels` does on a GPU, with the same pixels, for the pictures that `raw_pictures` names.

What these files compute is part of what a feature means: whoever changes a pixel raises `RECIPE` in `featx/keys.py`.

Proof: tests/images/test_decode.py (odd files, bombs and a fuzzer), test_transform.py (torchvision's numbers bit for
bit), test_augment.py (the same view whenever it is made) and test_gpu_resize.py (Pillow's pixels bit for bit).
"""
