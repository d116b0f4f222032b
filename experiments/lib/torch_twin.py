"""The same network and loss in PyTorch, on the same parameters: to compare values and speed (`experiments.lib.benchmark`)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from nst_jax.networks.convnet import ARCHITECTURES, Pool


class Twin(torch.nn.Module):
    """VGG-19 as PyTorch users write it: NCHW convolutions with zero padding."""

    def __init__(
        self,
        params: Mapping[str, Any],
        taps: Sequence[str],
        architecture: str = "vgg19",
        *,
        replicate_first: bool = False,
        pooling: str = "max",
    ) -> None:
        """`params` as `nst_jax.networks.load` gives them; only the layers up to the last tap are kept.

        `replicate_first` repeats the picture's border pixels around it for the first layer, in place of zeros;
        `pooling` is "max" or "average".
        """
        super().__init__()
        self.taps, self.layers, self.replicate_first = tuple(taps), [], replicate_first
        self.pool = {"max": F.max_pool2d, "average": F.avg_pool2d}[pooling]
        matrix, offset = (np.asarray(params["preprocess"][leaf]) for leaf in ("matrix", "offset"))
        self.register_buffer("matrix", torch.tensor(matrix.T.copy())[:, :, None, None])
        self.register_buffer("offset", torch.tensor(offset))
        left = set(taps)
        for layer in ARCHITECTURES[architecture]:
            if not left:
                break
            self.layers.append(layer)
            if isinstance(layer, Pool):
                left -= {f"pool{layer.name}"}
                continue
            left -= {f"conv{layer.name}", f"relu{layer.name}"}
            leaves = params[f"conv{layer.name}"]
            kernel = torch.tensor(np.asarray(leaves["kernel"]).transpose(3, 2, 0, 1).copy())
            self.register_buffer(f"kernel{layer.name}", kernel)
            self.register_buffer(f"bias{layer.name}", torch.tensor(np.array(leaves["bias"])))

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """[n, 3, h, w] in [0, 1] -> the tapped maps, [n, c, h, w]."""
        x = F.conv2d(image, self.get_buffer("matrix"), self.get_buffer("offset"))
        found, replicate = {}, self.replicate_first
        for layer in self.layers:
            if isinstance(layer, Pool):
                x = self.pool(x, layer.window, layer.stride)
                found[f"pool{layer.name}"] = x
                continue
            kernel, bias = self.get_buffer(f"kernel{layer.name}"), self.get_buffer(f"bias{layer.name}")
            if replicate:
                x, margin, replicate = F.pad(x, (layer.margin,) * 4, mode="replicate"), 0, False
            else:
                margin = layer.margin
            x = F.conv2d(x, kernel, bias, layer.stride, margin)
            found[f"conv{layer.name}"] = x
            x = F.relu(x)
            found[f"relu{layer.name}"] = x
        return {name: found[name] for name in self.taps}


def features(params: Mapping[str, Any], image: np.ndarray, taps: Sequence[str]) -> dict[str, np.ndarray]:
    """The tapped maps [n, h, w, c] of pictures [n, h, w, 3] in [0, 1]."""
    with torch.no_grad():
        maps = Twin(params, taps)(torch.tensor(image.transpose(0, 3, 1, 2).copy()))
    return {name: found.numpy().transpose(0, 2, 3, 1) for name, found in maps.items()}


def gram(feature_map: torch.Tensor) -> torch.Tensor:
    """[1, c, h, w] -> the Gram matrix over the number of positions."""
    f = feature_map.flatten(2)[0]
    return f @ f.T / f.shape[1]


def loss(
    twin: torch.nn.Module,
    image: torch.Tensor,
    content: Mapping[str, torch.Tensor],
    style: Mapping[str, torch.Tensor],
    content_weight: float,
    style_weight: float,
) -> torch.Tensor:
    """The loss of `loss.convention=mean`: mean squared differences of maps and of Gram matrices, averaged over layers."""
    maps = twin(image)
    c = torch.stack([F.mse_loss(maps[name], target) for name, target in content.items()]).mean()
    s = torch.stack([F.mse_loss(gram(maps[name]), target) for name, target in style.items()]).mean()
    return content_weight * c + style_weight * s
