"""What was tried around the optimizer, on one small pair: from one scale to the next, other parameters, averages.

    python experiments/003-quality/tried.py --images FOLDER [carry] [parameters] [averaging]

Prints the loss after some numbers of evaluations. The loss is that of loss=gatys at 128 pixels, tubingen and starry_night.
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from nst_jax.config.compose import make_config
from nst_jax.config.to_spec import to_spec
from nst_jax.images.files import fit_long_side, read_image, resize
from nst_jax.networks import load
from nst_jax.optimize.adam import resized
from nst_jax.optimize.loop import init_state, make_step, picture, upsample_state
from nst_jax.optimize.solver import SolverSpec

# The loss of configs/loss/gatys.yaml.
GRAM = {
    "style_distance": "gram", "style_layer_weights": None, "content_layers": ["relu4_2"],
    "content_weight": 1, "style_weight": 5, "tv_weight": 40,
}  # fmt: skip
TERMS = ("content", "style", "tv")
AT = (1, 2, 5, 10, 20, 40, 80)


class Problem:
    """The default loss of one pair of pictures at one size."""

    def __init__(self, folder: Path, size: int) -> None:
        self.spec = to_spec(make_config({"size": size, "loss": GRAM}), architecture="vgg19")
        self.objective = self.spec.objective
        self.params = load("vgg19", taps=self.objective.taps).params
        pictures = [read_image(folder / f"{name}.jpg").pixels for name in ("tubingen", "starry_night")]
        self.content, style = (jnp.asarray(resize(p, fit_long_side(p.shape[1], p.shape[2], size))) for p in pictures)
        self.targets = jax.jit(self.objective.targets)(self.params, self.content, style)
        self.weights = jax.tree.map(jnp.float32, self.spec.loss_weights)

    def loss(self, image):
        """The loss and its terms."""
        return self.objective.loss(self.params, image, self.targets, self.weights)

    def course(self, state, solver: SolverSpec, steps: int, decode=lambda z: z):
        """The state after some steps from a state, and the losses of them."""
        step = jax.jit(make_step(lambda z: self.loss(decode(z)), solver))
        losses = []
        for _ in range(steps):
            state = step(state)
            losses.append(float(state.loss))
        return state, losses


def show(name: str, losses) -> None:
    """One line of numbers."""
    print(f"{name:32s}" + " ".join(f"{losses[i - 1]:9.3f}" for i in AT if i <= len(losses)), flush=True)


def carry(folder: Path) -> None:
    """How the picture and the solver's state go from 64 to 128 pixels."""
    small, large = Problem(folder, 64), Problem(folder, 128)
    hw = large.content.shape[1], large.content.shape[2]
    shrunk = resized(large.content, (small.content.shape[1], small.content.shape[2]), "lanczos3")
    detail = large.content - resized(shrunk, hw, "lanczos3")
    for name in ("lbfgs", "adam"):
        solver = SolverSpec(name)
        end, _ = small.course(init_state(small.content, solver=solver, terms=TERMS), solver, 80)
        starts = {method: resized(picture(end), hw, method) for method in ("linear", "cubic", "lanczos3")}
        for share in (0.5, 1.0):
            starts[f"lanczos3 + {share} detail"] = starts["lanczos3"] + share * detail
        for method, image in starts.items():
            image = jnp.clip(image, 0, 1)
            carried = upsample_state(end, image - starts["lanczos3"], solver=solver)
            show(f"{name} {method}", large.course(carried, solver, 80)[1])
        if name == "adam":
            image = jnp.clip(starts["lanczos3"], 0, 1)
            show("adam fresh moments", large.course(init_state(image, solver=solver, terms=TERMS), solver, 80)[1])
            kept = upsample_state(end, image - starts["lanczos3"], solver=solver)
            moments = kept.solver.inner
            raised = moments._replace(mu=moments.mu * 4, nu=moments.nu * 16)
            kept = kept._replace(solver=kept.solver._replace(inner=raised))
            show("adam moments not scaled", large.course(kept, solver, 80)[1])


def parameters(folder: Path) -> None:
    """Other variables for the same picture: a Laplacian pyramid, and Fourier coefficients over their frequency."""
    problem, solver = Problem(folder, 128), SolverSpec("lbfgs")
    _, height, width, _ = problem.content.shape
    show("pixels", problem.course(init_state(problem.content, solver=solver, terms=TERMS), solver, 80)[1])
    sizes = [(height >> i, width >> i) for i in range(5)]
    counts = np.cumsum([0] + [3 * h * w for h, w in sizes])

    def pyramid(z):
        parts = [z.ravel()[a:b].reshape(1, *hw, 3) for a, b, hw in zip(counts[:-1], counts[1:], sizes, strict=True)]
        return sum(resized(part, (height, width), "linear") for part in parts)

    z = jnp.zeros((1, 1, int(counts[-1]), 1)).at[0, 0, : counts[1], 0].set(problem.content.ravel())
    show("pyramid of 5 levels", problem.course(init_state(z, solver=solver, terms=TERMS), solver, 80, pyramid)[1])
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    for power in (0.5, 1.0):
        gain = jnp.asarray(np.maximum(frequency, 1 / max(height, width)) ** -power, jnp.float32)[None, :, :, None]

        def fourier(z, gain=gain):
            return jnp.fft.irfft2((z[..., :3] + 1j * z[..., 3:]) * gain, s=(height, width), axes=(1, 2), norm="ortho")

        spectrum = jnp.fft.rfft2(problem.content, axes=(1, 2), norm="ortho") / gain
        z = jnp.concatenate([spectrum.real, spectrum.imag], -1).astype(jnp.float32)
        show(f"Fourier, gain f^-{power}", problem.course(init_state(z, solver=solver, terms=TERMS), solver, 80, fourier)[1])


def averaging(folder: Path) -> None:
    """The loss of the average against that of the last image."""
    problem = Problem(folder, 128)
    value = jax.jit(lambda x: problem.loss(x)[0])
    from nst_jax.optimize.ema import add, mean, no_average

    for name, decays in (("lbfgs", (0.5, 0.8)), ("adam", (0.8, 0.9, 0.95, 0.99))):
        solver = SolverSpec(name)
        step = jax.jit(make_step(problem.loss, solver))
        state = init_state(problem.content, solver=solver, terms=TERMS)
        averages = {decay: no_average(problem.content) for decay in decays}
        rows = {decay: [] for decay in ("last", *decays)}
        for i in range(1, 161):
            state = step(state)
            averages = {decay: add(a, state.image, decay) for decay, a in averages.items()}
            if i in (20, 40, 80, 160):
                rows["last"].append(float(value(state.image)))
                for decay, average in averages.items():
                    rows[decay].append(float(value(mean(average, state.image))))
        for decay, found in rows.items():
            print(f"{name} {decay}, after 20 40 80 160:  " + " ".join(f"{v:.3f}" for v in found), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("what", nargs="*", choices=["carry", "parameters", "averaging", []], default=[])
    options = parser.parse_args()
    for part in options.what or ["carry", "parameters", "averaging"]:
        print(f"{part}: evaluations {AT}")
        globals()[part](options.images)
