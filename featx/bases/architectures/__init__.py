"""How networks fall into stages: one adapter of a few lines a family, found by `featx.bases.registry`.

`torchvision_models` describes what torchvision publishes, and `torchvision_stages` takes it apart; `timm_models` and
`timm_stages` do so for any network of timm, and compare the stages with the whole network before they are used. `tiny`
is the bundled network, `handcrafted` holds features that were designed, not learned. `python_file` reads a custom
network from a file of the user's (without torch, until the file is run), and `stage_list` makes a network of it.

`tests/contract/test_bases.py` runs every network of torchvision by its stages and as a whole;
`tests/bases/architectures` does the same for a few networks of timm, and proves the other modules.
"""
