"""The frozen network: an ordered list of stages with its weights, its input transform and its poolings.

Read in this order: `names` (what bases and poolings are called; plain data), `registry` (`resolve` turns a choice into
an Architecture, once a request), `architecture`, `base` (stages, layers and the forward pass), `pooling`, `weights`
(files, and the digest that identifies them) with `checkpoint` (what a file holds), `tensor_names` (where in it the
network is) and `state_dict`, `loading` (an architecture with weights is a Base), `layer_table` (what each layer costs)
with `receptive_field`, and `similarity` (how familiar a data set looks to a base). `architectures/` holds one adapter a
family of networks; `meta_device` builds networks that have shapes only.

`names`, `weights`, what it reads with, and `architectures.python_file` import no torch, so that evaluation can check
names and identify weights without it. `tests/contract/test_bases.py` proves for every base that its stages are the
network, bit for bit, and own and cost what is published; `tests/bases` proves the rest.

Private or unstable API that this package leans on; look here when torch or timm is updated:

- `torch.utils._python_dispatch.TorchDispatchMode` (receptive_field: sees every operation of a network),
- `torch.nn.Module._apply` (meta_device: replaces only the tensors that are on the meta device),
- `torch.overrides.TorchFunctionMode` (meta_device: public, but which functions an initialiser calls is not stated),
- timm's `_pos_embed`, `no_embed_class`, `attn_pool` and `num_prefix_tokens` (timm_stages: tells a vision transformer).
"""
