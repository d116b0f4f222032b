"""The usual recipe: the loss of Gatys et al. from noise by 1000 iterations of PyTorch's L-BFGS, as jcjohnson/neural-style.

Minimizes the loss of a config of ours, on the same parameters, with the settings of that program: the image in the
network's units, begun at 0.001 times normal noise, history 100, rate 1, no line search (`--wolfe` has one).

    python experiments/003-quality/jcjohnson.py --out FOLDER OVERRIDE...           the pictures and log.json
    python experiments/003-quality/jcjohnson.py --time 8 OVERRIDE...               seconds an iteration
    python experiments/003-quality/jcjohnson.py --judge PICTURE PICTURE OVERRIDE...  nst_jax's loss of finished pictures

An OVERRIDE is what `python -m nst_jax.run` takes, such as experiment=gatys2016 content.path=FILE style.path=FILE.
"""

import argparse
import json
import time
from pathlib import Path

import hydra
import jax
import numpy as np
import torch

from experiments.lib.torch_twin import Twin, gram
from nst_jax import networks
from nst_jax.config.compose import as_config
from nst_jax.images.files import fit_long_side, read_image, resize, write_image
from nst_jax.objective.conventions import CONVENTIONS
from nst_jax.objective.loss import ObjectiveSpec, Styles, loss, make_targets
from nst_jax.objective.statistics import SquaredError
from nst_jax.runner.prepare import prepare
from nst_jax.system import data_folder

CHECKPOINTS = (10, 20, 35, 50, 75, 100, 150, 200, 300, 400, 600, 800, 1000)


class Job:
    """A config of ours: its pictures at the final size, and what its loss says."""

    def __init__(self, overrides: list[str]) -> None:
        with hydra.initialize_config_dir(str(data_folder("configs").resolve()), version_base=None):
            prepared = prepare(as_config(hydra.compose("config", overrides)))
        self.params, self.weights = prepared.params, prepared.spec.loss_weights
        size = prepared.spec.scales[-1].size
        self.content, self.style = (
            resize(pixels, fit_long_side(pixels.shape[1], pixels.shape[2], size))
            for pixels in (prepared.pictures["content"].pixels, prepared.pictures["style"].pixels)
        )
        objective = prepared.spec.objective
        assert isinstance(objective, ObjectiveSpec)
        assert objective.style_distance == "gram"
        assert objective.network.pooling_scale == 1
        assert (objective.network.padding, objective.network.padding_at) in (
            ("replicate", "first"),
            ("zero", "all"),
            ("zero", "first"),
        )
        self.objective = objective

    def losses(self, pictures: list[Path]) -> list[float]:
        """nst_jax's loss of each finished picture."""
        objective = self.objective
        targets = jax.jit(make_targets, static_argnames="spec")(
            self.params, self.content, Styles((jax.numpy.asarray(self.style),)), spec=objective
        )
        weights = jax.tree.map(np.float32, self.weights)
        found = jax.jit(lambda params, image, targets: loss(params, image, targets, weights, spec=objective)[0])
        return [float(found(self.params, read_image(path).pixels, targets)) for path in pictures]


class TorchLoss:
    """The same loss in PyTorch; without total variation."""

    def __init__(self, job: Job) -> None:
        objective, weights = job.objective, job.weights
        self.convention, self.weights = CONVENTIONS[objective.convention], weights
        assert float(weights.tv) == 0
        params = networks.load("vgg19", convolution="xla", taps=objective.taps).params
        replicate = objective.network.padding == "replicate"
        self.twin = Twin(params, objective.taps, replicate_first=replicate, pooling=objective.network.pooling)
        with torch.no_grad():
            maps = self.twin(self.tensor(job.content))
            self.content = {name: maps[name] for name in objective.content_layers}
            maps = self.twin(self.tensor(job.style))
            self.style = {name: gram(maps[name]) for name in objective.style_layers}

    @staticmethod
    def tensor(pixels: np.ndarray) -> torch.Tensor:
        """[1, h, w, 3] -> [1, 3, h, w]."""
        return torch.tensor(pixels.transpose(0, 3, 1, 2).copy())

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Of a picture in [0, 1]."""
        maps, total = self.twin(image), torch.zeros(())
        for name, target in self.content.items():
            error = SquaredError(maps[name].numel(), None)  # pyright: ignore
            factor = float(self.weights.content[name]) * float(self.convention.content_factor(error))
            total = total + factor * (maps[name] - target).square().sum() / 2
        for name, target in self.style.items():
            factor = self.convention.style_factor("gram", channels=len(target), num_layers=len(self.style))
            total = total + float(self.weights.style[name]) * factor * (gram(maps[name]) - target).square().mean() / 4
        return total


def run(job: Job, iterations: int, wolfe: bool, out: Path | None, seed: int) -> list[float]:
    """Minimizes; pictures of the checkpoints and log.json in `out`. The seconds of each iteration."""
    objective, log, times = TorchLoss(job), [], []
    shape = torch.Size((1, 3, *job.content.shape[1:3]))
    matrix = objective.twin.get_buffer("matrix")[:, :, 0, 0]
    offset = objective.twin.get_buffer("offset")[None, :, None, None]
    back = torch.linalg.inv(matrix)

    def picture(x: torch.Tensor) -> torch.Tensor:
        return torch.einsum("ij,njhw->nihw", back, x - offset)

    x = (0.001 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))).requires_grad_()
    solver = torch.optim.LBFGS(
        [x], lr=1, max_iter=1, max_eval=25, history_size=100, tolerance_grad=0, tolerance_change=0,
        line_search_fn="strong_wolfe" if wolfe else None,
    )  # fmt: skip
    evaluations = 0

    def closure() -> torch.Tensor:
        nonlocal evaluations
        evaluations += 1
        solver.zero_grad()
        value = objective(picture(x))
        value.backward()
        return value

    for iteration in range(1, iterations + 1):
        begin = time.perf_counter()
        value = solver.step(closure).item()  # pyright: ignore
        times.append(time.perf_counter() - begin)
        if out and (iteration in CHECKPOINTS or iteration == iterations):
            write_image(out / f"{iteration:04d}.png", picture(x.detach()).permute(0, 2, 3, 1).clamp(0, 1).numpy())
            log.append({"iteration": iteration, "evaluations": evaluations, "loss": value})
            (out / "log.json").write_text(json.dumps(log, indent=1) + "\n")
            print(iteration, evaluations, value, flush=True)
    return times


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE")
    parser.add_argument("--out", type=Path, help="folder for the pictures")
    parser.add_argument("--iterations", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--wolfe", action="store_true", help="the strong Wolfe line search")
    parser.add_argument("--time", type=int, metavar="ITERATIONS", help="print the median seconds an iteration and stop")
    parser.add_argument("--judge", type=Path, nargs=2, metavar="PICTURE", help="print the loss of two pictures and stop")
    args = parser.parse_args()
    torch.set_flush_denormal(True)
    job = Job(args.overrides)
    if args.judge:
        print(json.dumps(dict(zip(map(str, args.judge), job.losses(args.judge), strict=True))))
    elif args.time:
        print(json.dumps({"seconds": float(np.median(run(job, args.time + 2, args.wolfe, None, args.seed)[2:]))}))
    else:
        args.out.mkdir(parents=True, exist_ok=True)
        run(job, args.iterations, args.wolfe, args.out, args.seed)


if __name__ == "__main__":
    main()
