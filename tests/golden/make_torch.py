"""Makes torch_zip.pth and torch_legacy.pth, small files of every kind of tensor that checkpoints hold: needs PyTorch."""

import collections
from pathlib import Path

import torch

ramp = torch.arange(54, dtype=torch.float32)
state = collections.OrderedDict(
    [
        ("conv.weight", torch.nn.Parameter(ramp.reshape(2, 3, 3, 3))),
        ("conv.bias", ramp[:2]),
        ("slice", ramp[5:50:9]),
        ("half", torch.tensor([0.5, -2], dtype=torch.float16)),
        ("bfloat16", torch.tensor([1.5, -3], dtype=torch.bfloat16)),
        ("dense", torch.ones(2, 2)),
    ]
)
checkpoint = {"model": state, "list": [torch.tensor([1, 2, 3])], "epoch": 3, "name": "best", "size": torch.Size([2, 3])}
folder = Path(__file__).parent
torch.save(checkpoint, folder / "torch_zip.pth")
torch.save(checkpoint, folder / "torch_legacy.pth", _use_new_zipfile_serialization=False)
