"""Neural Neighbor Style Transfer (Kolkin et al., arXiv:2203.13215), its optimization, in PyTorch, written from a description.

* Long sides size / 2^k from 64 to the size. The variables are a Laplacian pyramid of 8 levels, the content's without the levels
  finer than 64; each size moves its own level and all coarser ones by 200 steps of Adam, 0.002.
* Features: VGG-16 (torchvision's parameters) after the ten rectifications of the first four blocks, each map over its number of
  channels, at a quarter of the picture's size, one beside the other: hypercolumns.
* Matches, once a size: hypercolumns of ¾ content and ¼ of the picture so far, with the content's finest level (of the content
  alone at the first size), to the nearest of the style and its three quarter turns by centered cosine. Loss: the mean of
  1 − cosine to them.
* Then 200 steps at the last size with matches made anew in each, layer by layer, on at most about 64 x 64 positions at a random
  offset: the mean over positions of the least centered cosine distance, summed over the layers.
* Colors at the end: the picture's lightness, a and b of the content moved to the style's mean and covariance, and smoothed.

Deviations. In the released code layers whose maps are not longer than 64 reuse the last layer's samples in the splitting stage
(relu4 at 512 px, relu3 and relu4 at 256): here each has its own. It centers the features to match by chunks of rows: here as a
whole. It cuts off when it writes 8 bits: here rounded. As there, colors are converted as if sRGB were linear, which its
thresholds are meant for.
"""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from experiments.lib.torch_twin import Twin
from nst_jax import networks
from nst_jax.images.color import TO_CONES, TO_LAB, pca
from nst_jax.images.files import fit_long_side

LAYERS = tuple(f"relu{block}_{i}" for block, depth in enumerate((2, 2, 3, 3), 1) for i in range(1, depth + 1))
FIRST, LEVELS, STEPS, RATE, CONTENT = 64, 8, 200, 2e-3, 0.75
COLORED, EPSILON, CHUNK = 6e-5, 1e-4, 1024
Pyramid = list[torch.Tensor]


def resized(x: torch.Tensor, height_width: Sequence[int]) -> torch.Tensor:
    """Bilinear, at another size."""
    return F.interpolate(x, tuple(height_width), mode="bilinear", align_corners=False)


def decompose(x: torch.Tensor, levels: int) -> Pyramid:
    """Differences to the enlarged picture of half the size, `levels` times, and the last such picture."""
    found = []
    for _ in range(levels):
        small = resized(x, [max(side // 2, 1) for side in x.shape[2:]])
        found.append(x - resized(small, x.shape[2:]))
        x = small
    return [*found, x]


def compose(pyramid: Sequence[torch.Tensor]) -> torch.Tensor:
    """The picture of a pyramid.

    Example:
        >>> x = torch.arange(35.0).reshape(1, 1, 5, 7)
        >>> bool((compose(decompose(x, 3)) - x).abs().max() < 1e-5)
        True
    """
    *finer, x = pyramid
    for level in reversed(finer):
        x = level + resized(x, level.shape[2:])
    return x


def vectors(feature_map: torch.Tensor) -> torch.Tensor:
    """[1, c, h, w] -> [h w, c]."""
    return feature_map[0].flatten(1).T


def centered(x: torch.Tensor) -> torch.Tensor:
    """[n, c], less their mean, of length 1."""
    return F.normalize(x - x.mean(0), dim=1)


def turns(image: torch.Tensor) -> list[torch.Tensor]:
    """The picture and its quarter turns."""
    return [image.rot90(k, (2, 3)) for k in range(4)]


def nearest(queries: torch.Tensor, bag: torch.Tensor) -> torch.Tensor:
    """For each of [n, c] the number of the vector of `bag`, [m, c], with the largest cosine; lengths are 1."""
    return torch.cat([(part @ bag.T).argmax(1) for part in queries.split(CHUNK)])


@functools.cache
def vgg() -> Twin:
    """VGG-16 with torchvision's parameters."""
    return Twin(networks.load("vgg16-lpips", convolution="xla").params, LAYERS, "vgg16")


class Transfer:
    """The optimization; `losses` has the last one of each size, and of the splitting stage."""

    def __init__(self, content: torch.Tensor, style: torch.Tensor, steps: int = STEPS, first: int = FIRST) -> None:
        self.steps, self.random = steps, np.random.default_rng(0)
        self.stages = 1 + max(0, int(np.log2(max(content.shape[2:]) / first)))
        self.content, self.style = decompose(content, LEVELS), decompose(style, LEVELS)
        self.painted = [torch.zeros_like(x) if i < self.stages - 1 else x.clone() for i, x in enumerate(self.content)]
        self.losses: list[float] = []

    def run(self) -> torch.Tensor:
        """All sizes, then the splitting stage."""
        for level in reversed(range(self.stages)):
            with torch.no_grad():
                target = F.normalize(self._matched(level), dim=1)
            self._minimize(level, lambda image, target=target: self._distance(image, target))
        with torch.no_grad():
            maps = [vgg()(turned) for turned in turns(compose(self.style))]
        self._minimize(0, lambda image: self._split_distance(image, maps))
        return compose(self.painted)

    def _hypercolumns(self, image: torch.Tensor) -> torch.Tensor:
        quarter = [max(side // 4, 1) for side in image.shape[2:]]
        maps = vgg()(image).values()
        return vectors(torch.cat([resized(found / found.shape[1], quarter) for found in maps], 1))

    def _matched(self, level: int) -> torch.Tensor:
        """The style's hypercolumn for each position of the picture, [n, 2688]."""
        share = 0 if level == self.stages - 1 else 1 - CONTENT
        detailed = compose([self.content[level], *self.painted[level + 1 :]])
        query = share * detailed + (1 - share) * compose(self.content[level:])
        bag = torch.cat([self._hypercolumns(turned) for turned in turns(compose(self.style[level:]))])
        return bag[nearest(centered(self._hypercolumns(query)), centered(bag))]

    def _distance(self, image: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return 1 - (F.normalize(self._hypercolumns(image), dim=1) * target).sum(1).mean()

    def _split_distance(self, image: torch.Tensor, maps: list[dict[str, torch.Tensor]]) -> torch.Tensor:
        total = torch.zeros(())
        for name, found in vgg()(image).items():
            stride = max(1, max(found.shape[2:]) // 64)
            down, across = self.random.integers(stride, size=2)
            ours = centered(vectors(found[:, :, down::stride, across::stride]))
            theirs = centered(torch.cat([vectors(each[name][:, :, down::stride, across::stride]) for each in maps]))
            with torch.no_grad():
                match = nearest(ours, theirs)
            total = total + 1 - (ours * theirs[match]).sum(1).mean()
        return total

    def _minimize(self, level: int, distance: Any) -> None:
        """Steps of Adam on the pyramid from `level` on."""
        variables = [x.clone().requires_grad_() for x in self.painted[level:]]
        adam, loss = torch.optim.Adam(variables, lr=RATE), torch.zeros(())
        for _ in range(self.steps):
            adam.zero_grad()
            loss = distance(compose(variables))
            loss.backward()
            adam.step()
        self.losses.append(loss.item())
        with torch.no_grad():
            self.painted[level:] = decompose(compose(variables), LEVELS - level)


def recolored(image: np.ndarray, content: np.ndarray, style: np.ndarray) -> np.ndarray:
    """The picture in the style's palette, laid out as the content's colors: float64 [h, w, 3]."""
    lab, scene, manner = (np.cbrt(np.clip(x, 0, 1) @ TO_CONES.T) @ TO_LAB.T for x in (image, content, style))
    low, high = manner.min((0, 1)), manner.max((0, 1))
    if np.abs(np.cov(manner[..., 1:].reshape(-1, 2), rowvar=False)).max() < COLORED:
        lab[..., 0] = lab[..., 0].clip(low[0], high[0])
        lab = _with_moments(lab, manner)
    else:
        lab[..., 0] = lab[..., 0].clip(low[0], high[0])
        lab[..., 1:] = _with_moments(scene[..., 1:], manner[..., 1:])
        lab = _smoothed(lab)
    lab = lab.clip(low, high)
    return ((lab @ np.linalg.inv(TO_LAB).T) ** 3 @ np.linalg.inv(TO_CONES).T).clip(0, 1)


def _with_moments(x: np.ndarray, like: np.ndarray) -> np.ndarray:
    flat, goal = x.reshape(-1, x.shape[-1]), like.reshape(-1, x.shape[-1])
    source, target = (np.cov(colors, rowvar=False) + EPSILON * np.eye(x.shape[-1]) for colors in (flat, goal))
    return ((flat - flat.mean(0)) @ pca(source, target).T + goal.mean(0)).reshape(x.shape)


def _smoothed(lab: np.ndarray) -> np.ndarray:
    """Five means of a and b over 3 x 3 pixels, weighted by exp(−10 |ΔL|)."""
    height, width, _ = lab.shape
    shifts = [(slice(i, i + height), slice(j, j + width)) for i in range(3) for j in range(3)]
    around = [(1, 1), (1, 1), (0, 0)]
    lightness = np.pad(lab[..., :1], around, mode="edge")
    weights = [np.exp(-10 * np.abs(lab[..., :1] - lightness[shift])) for shift in shifts]
    colors = lab[..., 1:]
    for _ in range(5):
        padded = np.pad(colors, around, mode="edge")
        colors = sum(w * padded[shift] for w, shift in zip(weights, shifts, strict=True)) / sum(weights)
    return np.concatenate([lab[..., :1], colors], axis=-1)


def paint(content: Path, style: Path, size: int) -> tuple[np.ndarray, dict[str, Any]]:
    """The finished picture, uint8 [h, w, 3], and the last loss of each stage, the last of which is the splitting stage's."""
    torch.set_flush_denormal(True)
    pictures = []
    for path in (content, style):
        image = Image.open(path).convert("RGB")
        height, width = fit_long_side(image.height, image.width, size)
        pictures.append(np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), np.float32) / 255)
    transfer = Transfer(*(torch.tensor(pixels.transpose(2, 0, 1)[None].copy()) for pixels in pictures))
    found = transfer.run()[0].permute(1, 2, 0).numpy().astype(np.float64)
    pixels = (255 * recolored(found, *pictures)).round().astype(np.uint8)
    return pixels, {"losses": [round(loss, 5) for loss in transfer.losses]}
