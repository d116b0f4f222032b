"""Reader of Caffe models (`.caffemodel`): bvlc_reference_caffenet, bvlc_alexnet, and Oxford's original VGGs.

A file is one protocol buffer message. The schema here has only the fields that hold parameters; others are skipped.
"""

from pathlib import Path
from typing import Any

import numpy as np

from nst_jax.errors import InputError
from nst_jax.networks.convnet import layer_names
from nst_jax.networks.params.layout import (
    StoredParams,
    assemble,
    caffe_preprocess,
    kernel_shapes,
    library,
    linear_preprocess,
)

# The mean pixel of ILSVRC 2012 that Caffe distributes: blue, green, red in [0, 255].
ILSVRC_MEAN = np.array((104.00698793, 116.66876762, 122.67891434))
# The tags of the fields that a file may begin with: the name, a layer, or a layer of the older kind.
HEADS = (b"\x0a", b"\xa2\x06", b"\x12")
# Message -> field -> number and type. Messages and numbers are repeated fields; the network gives the shapes of blobs.
MESSAGES = {
    "Blob": {"data": (5, "float"), "double_data": (8, "double")},
    "Layer": {"name": (1, "string"), "blobs": (7, "Blob")},
    "OldLayer": {"name": (4, "string"), "blobs": (6, "Blob")},
    "Net": {"name": (1, "string"), "layers": (2, "OldLayer"), "layer": (100, "Layer")},
}


def read_caffe(path: Path, network: str) -> StoredParams:
    """Reads the convolutions and dense layers of a Caffe model, by their names.

    Raises:
        InputError: protobuf is not installed, or the file is not a Caffe model with the network's shapes and order of layers.
    """
    model = _net()()
    try:
        model.ParseFromString(path.read_bytes())
        layers = {layer.name: layer.blobs for layer in (*model.layers, *model.layer)}
    except Exception as error:  # protobuf raises various errors for damaged files
        raise InputError(f"{path.name} must be a whole model of Caffe, got a damaged one or another file ({error})") from error
    known = [name for name in layer_names(network) if name in layers]
    found = [name for name in layers if name in known]
    if found != known:
        raise InputError(f"{path.name} must have the layers {', '.join(known)} in {network}'s order, got {', '.join(found)}")
    shapes = kernel_shapes(network)
    pairs = [_pair(layers[name], shape) for name, shape in shapes.items() if name in layers]
    oxford = network.startswith("vgg")
    preprocess = caffe_preprocess() if oxford else linear_preprocess(np.full(3, 255), -ILSVRC_MEAN, bgr=True)
    return assemble(network, pairs, preprocess, path.name)


def _pair(blobs: Any, shape: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias. The rows of a dense layer's matrix are in the order channels, height, width."""
    arrays = [np.array(blob.data or blob.double_data, np.float32) for blob in blobs]
    kernel, bias = arrays if len(arrays) == 2 else (np.empty(0), np.empty(0))
    height, width, channels, number = shape
    if kernel.size == np.prod(shape):
        kernel = kernel.reshape(number, channels, height, width).transpose(2, 3, 1, 0)
    return kernel, bias


def _net() -> Any:
    """Builds the class of the message that a file holds."""
    what = "models of Caffe"
    descriptors, pool, factory = (
        library(f"google.protobuf.{part}", what) for part in ("descriptor_pb2", "descriptor_pool", "message_factory")
    )
    file = descriptors.FileDescriptorProto(name="nst_jax/caffe.proto", package="nst_jax", syntax="proto2")
    field_type = descriptors.FieldDescriptorProto
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            label = field_type.LABEL_OPTIONAL if kind == "string" else field_type.LABEL_REPEATED
            added = message.field.add(name=field, number=number, label=label)
            if kind in MESSAGES:
                added.type, added.type_name = field_type.TYPE_MESSAGE, f".nst_jax.{kind}"
            else:
                added.type = getattr(field_type, f"TYPE_{kind.upper()}")
    known = pool.DescriptorPool()
    known.Add(file)
    return factory.GetMessageClass(known.FindMessageTypeByName("nst_jax.Net"))
