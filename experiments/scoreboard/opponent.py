"""The opponent: coarse to fine, Wasserstein-2, averaged iterates, as K. Crowson's style-transfer-pytorch, in PyTorch.

Written from a description of its recipe, on the network parameters that nst_jax ships:

* long side round(end / 2^(i/2)) while >= min(128, end), ascending; 1000 steps at the first size and 500 at each other;
* the image begins as the content; Adam with rate 0.02 and betas (0.9, 0.99), clamped to [0, 1] after each step;
* the averaged iterate (0.99, bias corrected, anew at each size) is what is saved and what the next size begins from;
  Adam's moments are resized with it and keep their step count;
* content 0.015 MSE(relu4_2); style 256:64:16:4:1 / 341 over relu1_1 ... relu5_1 of the Wasserstein-2 distance of
  Gaussians a channel, the root by 12 Newton-Schulz iterations; total variation over nine points, 2.

These weights are meant for torchvision's VGG-19, whose activations have other sizes than those of the normalized one.
Hence every map is multiplied by one number, so that its root mean square is that of torchvision's VGG-16 at the layer
of the same name, on average over two pairs of pictures at 128 and 256 pixels (`--plain` leaves this out).

    python -m experiments.scoreboard.opponent content.jpg style.jpg --out FOLDER
    python -m experiments.scoreboard.opponent content.jpg style.jpg --time 8

writes pictures on the way, and log.json, to FOLDER/CONTENT_STYLE; `python -m experiments.scoreboard` makes those of many pairs.
`--fast` computes the same roots, and the same truncation, through one eigendecomposition, and the network by nst_jax:
for making the pictures where their time does not count. The times are taken without it.
"""

import argparse
import functools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from experiments.lib.torch_twin import Twin
from nst_jax import networks
from nst_jax.images.files import fit_long_side

CONTENT, STYLE = "relu4_2", tuple(f"relu{i}_1" for i in range(1, 6))
STYLE_WEIGHTS = tuple(weight / 341 for weight in (256, 64, 16, 4, 1))
CONTENT_WEIGHT, TV_WEIGHT, RATE, BETAS, DECAY, ROOT_STEPS = 0.015, 2.0, 0.02, (0.9, 0.99), 0.99, 12
# Root mean square of a layer of torchvision's VGG-16 over that of the normalized VGG-19.
SCALES = {"relu1_1": 0.312, "relu2_1": 1.03, "relu3_1": 1.71, "relu4_1": 2.40, "relu5_1": 0.94, "relu4_2": 1.55}
STEPS = (1000, 500)  # at the first size, and at each other
# Steps of a size after which a picture is written, beside the last.
CHECKPOINTS = (10, 20, 35, 50, 75, 100, 150, 200, 300, 400, 600, 800)


def sizes(end: int) -> list[int]:
    """The long sides, ascending: 128, 181 and 256 for 256."""
    found, i = [], 0
    while (size := round(end / 2 ** (i / 2))) >= min(128, end):
        found, i = [size, *found], i + 1
    return found


class Root(torch.autograd.Function):
    """The root of a positive matrix by Newton-Schulz; its gradient by the Lyapunov equation, as many steps."""

    @staticmethod
    def forward(ctx, matrix: torch.Tensor) -> torch.Tensor:
        """Iterates y -> y t, z -> t z with t = (3 I - z y) / 2, from the matrix over its norm and I."""
        eye3 = 3 * torch.eye(matrix.shape[0])
        norm = matrix.norm()
        y, z = matrix / norm, torch.eye(matrix.shape[0])
        for _ in range(ROOT_STEPS):
            t = (eye3 - z @ y) / 2
            y, z = y @ t, t @ z
        root = y * norm.sqrt()
        ctx.save_for_backward(root)
        return root

    @staticmethod
    def backward(ctx, *cotangents: torch.Tensor) -> torch.Tensor:
        """Solves root q + q root = cotangent."""
        (root,) = ctx.saved_tensors
        eye3 = 3 * torch.eye(root.shape[0])
        norm = root.norm()
        a, q = root / norm, cotangents[0] / norm
        for _ in range(ROOT_STEPS):
            b = eye3 - a @ a
            q = (q @ b - a.T @ (a.T @ q - q @ a)) / 2
            a = a @ b / 2
        return q / 2


class EigenTraceRoot(torch.autograd.Function):
    """trace(Root(matrix)) of a symmetric matrix: the same iterations, on its eigenvalues."""

    @staticmethod
    def forward(ctx, matrix: torch.Tensor) -> torch.Tensor:
        """The iterations of `Root` act on each eigenvalue by itself."""
        values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
        norm = values.norm()
        y, z = values / norm, torch.ones_like(values)
        for _ in range(ROOT_STEPS):
            t = (3 - z * y) / 2
            y, z = y * t, t * z
        roots = y * norm.sqrt()
        ctx.save_for_backward(roots, vectors)
        return roots.sum()

    @staticmethod
    def backward(ctx, *cotangents: torch.Tensor) -> torch.Tensor:
        """The cotangent is a multiple of I and stays diagonal in the eigenvectors."""
        roots, vectors = ctx.saved_tensors
        norm = roots.norm()
        a, q = roots / norm, cotangents[0] / norm * torch.ones_like(roots)
        for _ in range(ROOT_STEPS):
            b = 3 - a * a
            q, a = q * b / 2, a * b / 2
        return (vectors * (q / 2)) @ vectors.T


class Features(torch.autograd.Function):
    """The tapped maps of an image, [1, 3, h, w] -> [1, c, h, w] each, and their pullback, by nst_jax."""

    @staticmethod
    def forward(ctx, image: torch.Tensor, network: networks.Network) -> tuple[torch.Tensor, ...]:
        """Keeps what the pullback needs."""
        maps, ctx.pullback = _linearized(network.spec)(network.params, image.permute(0, 2, 3, 1).numpy())
        return tuple(torch.tensor(np.asarray(found).transpose(0, 3, 1, 2)) for found in maps)

    @staticmethod
    def backward(ctx, *cotangents: torch.Tensor) -> tuple[torch.Tensor, None]:
        """The gradient of the image."""
        (gradient,) = _pulled_back(ctx.pullback, tuple(found.permute(0, 2, 3, 1).numpy() for found in cotangents))
        return torch.tensor(np.asarray(gradient).transpose(0, 3, 1, 2)), None


@functools.cache
def _linearized(spec: networks.NetworkSpec) -> Callable[..., Any]:
    def maps(params: networks.Params, image: jax.Array) -> tuple[jax.Array, ...]:
        found = networks.Network(spec, params).features(params, image, (*STYLE, CONTENT))
        return tuple(found[name] for name in (*STYLE, CONTENT))

    return jax.jit(lambda params, image: jax.vjp(functools.partial(maps, params), image))


_pulled_back = jax.jit(lambda pullback, cotangents: pullback(cotangents))


def moments(feature_map: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """[1, c, h, w] -> the mean and the covariance, plus 1e-4 on its diagonal."""
    f = feature_map.flatten(2)[0]
    mean = f.mean(1)
    return mean, f @ f.T / f.shape[1] - torch.outer(mean, mean) + 1e-4 * torch.eye(f.shape[0])


def wasserstein(feature_map: torch.Tensor, target: tuple[torch.Tensor, ...], fast: bool) -> torch.Tensor:
    """The squared Wasserstein-2 distance of Gaussians, averaged over the channels."""
    mean, covariance = moments(feature_map)
    target_mean, target_covariance, target_root = target
    inner = target_root @ covariance @ target_root
    root = EigenTraceRoot.apply(inner) if fast else Root.apply(inner).diagonal().sum()
    traces = (target_covariance + covariance).diagonal().sum()
    return F.mse_loss(mean, target_mean) + (traces - 2 * root) / len(mean)


def total_variation(image: torch.Tensor) -> torch.Tensor:
    """Squared differences to the right, down and along both diagonals, by 1/3, 1/3, 1/12, 1/12."""
    p = F.pad(image, (1, 1, 1, 1), mode="replicate")
    inside = p[..., 1:-1, 1:-1]
    right, down = p[..., 1:-1, 2:] - inside, p[..., 2:, 1:-1] - inside
    diagonals = p[..., 1:, 1:] - p[..., :-1, :-1], p[..., 1:, :-1] - p[..., :-1, 1:]
    straight = right.square().mean() / 3 + down.square().mean() / 3
    return 2 * (straight + sum(d.square().mean() for d in diagonals) / 12)


class Average:
    """The exponential average of the images, over 1 - decay^t."""

    def __init__(self, image: torch.Tensor) -> None:
        self.sum, self.left = torch.zeros_like(image), 1.0
        self.update(image)

    def update(self, image: torch.Tensor) -> None:
        """One more image."""
        self.sum, self.left = self.sum * DECAY + (1 - DECAY) * image, self.left * DECAY

    def value(self) -> torch.Tensor:
        """The average so far."""
        return self.sum / (1 - self.left)


def picture(path: Path) -> Image.Image:
    """The picture of a file, without its alpha."""
    return Image.open(path).convert("RGB")


def tensor(image: Image.Image, size: int, upscale: bool) -> torch.Tensor:
    """The picture with the given long side, by Pillow's bicubic filter."""
    if upscale or max(image.size) > size:
        height, width = fit_long_side(image.height, image.width, size)
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    return torch.tensor(np.asarray(image, np.float32).transpose(2, 0, 1)[None] / 255)


def resized(x: torch.Tensor, like: torch.Tensor, mode: str = "bicubic") -> torch.Tensor:
    """`x` with the height and width of `like`."""
    return F.interpolate(x, like.shape[2:], mode=mode, align_corners=False)


class Opponent:
    """The loss at one size after the other, and the state that goes from size to size."""

    image: torch.Tensor
    average: Average
    adam: torch.optim.Adam

    def __init__(self, content: Image.Image, style: Image.Image, *, fast: bool = False, plain: bool = False) -> None:
        self.fast = fast
        self.layout = torch.channels_last  # 0 to 5 % faster
        if fast:
            network = networks.load("vgg19", padding="replicate", padding_at="first", taps=(*STYLE, CONTENT))
            self.features = lambda image: dict(zip((*STYLE, CONTENT), Features.apply(image, network), strict=True))
        else:
            self.features = Twin(networks.load("vgg19", convolution="xla").params, (*STYLE, CONTENT), replicate_first=True)
            for name, buffer in self.features.named_buffers():
                if buffer.ndim == 4:
                    setattr(self.features, name, buffer.contiguous(memory_format=self.layout))
        self.content, self.style, self.plain = content, style, plain
        self.started = False

    def maps(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """The tapped maps at torchvision's scale."""
        return {name: found if self.plain else SCALES[name] * found for name, found in self.features(image).items()}

    def start(self, size: int) -> None:
        """Targets of a size; the image, its average and Adam's moments from the last size."""
        content = tensor(self.content, size, True)
        with torch.no_grad():
            self.target = self.maps(content)[CONTENT]
            maps = self.maps(tensor(self.style, size, False))
            found = {name: moments(maps[name]) for name in STYLE}
            self.targets = {name: (mean, cov, Root.apply(cov)) for name, (mean, cov) in found.items()}
        old = self.adam.state[self.image] if self.started else None
        begin = resized(self.average.value(), content).clamp(0, 1) if self.started else content
        self.image = begin.clone().contiguous(memory_format=self.layout).requires_grad_()
        self.adam = torch.optim.Adam([self.image], lr=RATE, betas=BETAS)
        if old is not None:
            self.adam.state[self.image] = {
                "step": old["step"],
                "exp_avg": resized(old["exp_avg"], content).contiguous(memory_format=self.layout),
                "exp_avg_sq": resized(old["exp_avg_sq"], content, "bilinear").relu().contiguous(memory_format=self.layout),
            }
        self.average, self.started = Average(self.image.detach()), True

    def step(self) -> float:
        """One step of Adam; the loss before it."""
        self.adam.zero_grad()
        maps = self.maps(self.image)
        style = sum(
            weight * wasserstein(maps[name], self.targets[name], self.fast)
            for name, weight in zip(STYLE, STYLE_WEIGHTS, strict=True)
        )
        loss = CONTENT_WEIGHT * F.mse_loss(maps[CONTENT], self.target) + style + TV_WEIGHT * total_variation(self.image)
        loss.backward()
        self.adam.step()
        with torch.no_grad():
            self.image.clamp_(0, 1)
            self.average.update(self.image)
        return loss.item()


def pixels(opponent: Opponent, height_width: tuple[int, int]) -> np.ndarray:
    """The averaged picture at the last size, whatever the present one: pictures of all checkpoints compare."""
    shown = F.interpolate(opponent.average.value(), height_width, mode="bicubic", align_corners=False).clamp(0, 1)
    return (shown[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)


def steps(opponent: Opponent, end: int) -> Iterator[tuple[int, int, float]]:
    """Makes the steps of all sizes: (size, step, loss) of each."""
    for number, size in enumerate(sizes(end)):
        opponent.start(size)
        for step in range(1, STEPS[number > 0] + 1):
            yield size, step, opponent.step()


def paint(content: Path, style: Path, size: int) -> tuple[np.ndarray, dict[str, float]]:
    """The finished picture, uint8 [h, w, 3], and its last loss; by the faster way."""
    torch.set_flush_denormal(True)
    opponent = Opponent(picture(content), picture(style), fast=True)
    *_, (_, _, loss) = steps(opponent, size)
    height, width = opponent.image.shape[2:]
    return pixels(opponent, (height, width)), {"loss": loss}


def run(opponent: Opponent, end: int, out: Path) -> None:
    """All sizes; pictures of the checkpoints and log.json in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    final, log = fit_long_side(opponent.content.height, opponent.content.width, end), []
    for size, step, loss in steps(opponent, end):
        last = STEPS[len(sizes(size)) > 1]
        if step in CHECKPOINTS or step == last:
            name = f"{size:04d}-{step:04d}.png"
            Image.fromarray(pixels(opponent, final)).save(out / name)
            log.append({"size": size, "step": step, "loss": loss, "picture": name, "steps": last})
            (out / "log.json").write_text(json.dumps(log, indent=1) + "\n")
            print(out.name, name, loss, flush=True)


def seconds_a_step(opponent: Opponent, end: int, repeats: int) -> dict[str, float]:
    """The median time of a step at each size, after two to warm up."""
    found = {}
    for size in sizes(end):
        opponent.start(size)
        times = []
        for _ in range(repeats + 2):
            begin = time.perf_counter()
            opponent.step()
            times.append(time.perf_counter() - begin)
        found[str(size)] = float(np.median(times[2:]))
    return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("content", type=Path, help="a picture")
    parser.add_argument("style", type=Path, help="another")
    parser.add_argument("--size", type=int, default=256, help="long side of the result")
    parser.add_argument("--out", type=Path, help="folder for the pictures, in CONTENT_STYLE")
    parser.add_argument("--time", type=int, metavar="STEPS", help="print the seconds a step at each size and stop")
    parser.add_argument("--fast", action="store_true", help="the same by eigendecomposition and nst_jax's network")
    parser.add_argument("--plain", action="store_true", help="the maps at the scale of the parameters")
    args = parser.parse_args()
    torch.set_flush_denormal(True)
    opponent = Opponent(picture(args.content), picture(args.style), fast=args.fast, plain=args.plain)
    if args.time:
        print(json.dumps(seconds_a_step(opponent, args.size, args.time)))
    else:
        run(opponent, args.size, args.out / f"{args.content.stem}_{args.style.stem}")


if __name__ == "__main__":
    main()
