"""AlexNet's recipe of training (Krizhevsky et al. 2012, secs. 4 and 5), scaled down: data, update, checkpoints, test."""

import dataclasses
import functools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
from flax import linen as nn

from experiments.lib.alexnet_pictures import CLASSES, SIDE, Data
from nst_jax.networks.architectures import ARCHITECTURES, Conv, Layer, Norm, Pool
from nst_jax.networks.convnet import ConvNet, NetworkSpec

CROP = 24  # the paper's is 224 of 256
BATCH = 128
MOMENTUM = 0.9
DECAY = 5e-4
COLOR_NOISE = 0.1  # standard deviation of the weights of the principal components


@dataclass(frozen=True)
class Recipe:
    """What is trained, and how; each ingredient of the paper can be left out.

    Attributes:
        activation: "relu" or "tanh".
        normalization: local response normalization after the first two rectifications.
        overlap: pooling windows of 3 pixels at stride 2, not of 2.
        dropout: 0.5 of the dense layers' channels.
        crops: random crops and reflections; without, the middle.
        color: noise along the principal components of the colors.
        rate: ε at first.
        falls: shares of the steps at which the rate falls to a tenth.
        steps: of `BATCH` pictures.
        seed: of everything random.
    """

    activation: str = "relu"
    normalization: bool = True
    overlap: bool = True
    dropout: bool = True
    crops: bool = True
    color: bool = True
    rate: float = 0.04
    falls: tuple[float, ...] = (0.6, 0.85)
    steps: int = 600
    seed: int = 0


def table(recipe: Recipe) -> tuple[Layer, ...]:
    """AlexNet's layers, narrow: five convolutions, three of them in two groups, and three dense layers."""
    window, drop = (3 if recipe.overlap else 2), (0.5 if recipe.dropout else 0.0)

    def conv(name: str, features: int, **options: Any) -> Conv:
        return Conv(name, features, activation=recipe.activation, **options)

    def after(name: str) -> list[Layer]:
        return [*([Norm(name)] if recipe.normalization else []), Pool(name, window)]

    return (
        *(conv("1", 16, size=5, stride=2, margin=2), *after("1"), conv("2", 32, groups=2), *after("2")),
        *(conv("3", 48), conv("4", 48, groups=2), conv("5", 32, groups=2)),
        conv("6", 128, size=2 if recipe.overlap else 3, margin=0, kind="fc", dropout=drop),
        conv("7", 128, size=1, margin=0, kind="fc", dropout=drop),
        Conv("8", CLASSES, size=1, margin=0, kind="fc", activation="", std=0.01),
    )


class Model:
    """The network of a recipe: log-odds of the classes, of pictures [n, 24, 24, 3] around 0."""

    def __init__(self, recipe: Recipe) -> None:
        self.name = f"alexnet-{hash(table(recipe)):x}"
        ARCHITECTURES[self.name] = table(recipe)
        self._net = ConvNet(NetworkSpec(self.name), ("fc8",))

    def init(self, key: jax.Array) -> Any:
        """Parameters where training starts."""
        params = dict(jax.jit(self._net.init)(key, jnp.zeros((1, CROP, CROP, 3)))["params"])
        del params["preprocess"]  # the loader does that
        return params

    def logits(self, params: Any, x: jax.Array, dropout: jax.Array | None = None) -> jax.Array:
        """Of each picture; with a random key for dropout in training."""
        plain = {"matrix": jnp.eye(3), "offset": jnp.zeros(3)}
        net: nn.Module = self._net.clone(training=dropout is not None)
        rngs = {} if dropout is None else {"dropout": dropout}
        maps: Any = net.apply({"params": {**params, "preprocess": plain}}, x, rngs=rngs)
        return maps["fc8"][:, 0, 0]


@dataclass(frozen=True)
class Colors:
    """Mean color of the data, and the principal components of its pixels' colors, each times the root of its variance."""

    mean: np.ndarray
    components: np.ndarray

    @classmethod
    def of(cls, data: Data) -> "Colors":
        """Those of all pixels of the pictures."""
        pixels = data.pictures.reshape(-1, 3) / 255
        variances, directions = np.linalg.eigh(np.cov(pixels, rowvar=False))
        return cls(pixels.mean(0), directions * np.sqrt(variances))


def scaled(pictures: np.ndarray, colors: Colors) -> np.ndarray:
    """Pictures as the network sees them: less the mean color, about 1 in size."""
    return ((pictures / np.float32(255) - colors.mean) * 4).astype(np.float32)


def loader(data: Data, recipe: Recipe, colors: Colors) -> grain.DatasetIterator:
    """Batches without end, shuffled anew each time through the data, each picture augmented anew."""

    def augment(i: int, rng: np.random.Generator) -> dict[str, Any]:
        top, left = rng.integers(0, SIDE - CROP + 1, 2) if recipe.crops else 2 * [(SIDE - CROP) // 2]
        picture = data.pictures[i][top : top + CROP, left : left + CROP]
        if recipe.crops and rng.random() < 0.5:
            picture = picture[:, ::-1]
        x = scaled(picture, colors)
        if recipe.color:  # the paper adds p1..p3 · (α1 λ1 .. α3 λ3); its λ is taken for the root of the variance here
            x = x + (4 * colors.components @ rng.normal(0, COLOR_NOISE, 3)).astype(np.float32)
        return {"x": x, "label": data.labels[i]}

    source = grain.MapDataset.range(len(data.labels)).seed(recipe.seed).shuffle().repeat()
    batches = source.random_map(augment).batch(BATCH)
    return batches.to_iter_dataset(grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)).__iter__()


def update(recipe: Recipe) -> optax.GradientTransformation:
    """The paper's: v ← 0.9 v − 0.0005 ε w − ε ∂L/∂w, then w ← w + v; ε falls in steps."""
    falls = {round(share * recipe.steps): 0.1 for share in recipe.falls}
    rate = optax.piecewise_constant_schedule(-recipe.rate, falls)
    return optax.chain(optax.add_decayed_weights(DECAY), optax.scale_by_schedule(rate), optax.trace(MOMENTUM))


def moved(optimizer: optax.GradientTransformation, params: Any, state: Any, gradient: Any) -> tuple[Any, Any]:
    """The parameters and the optimizer's state after one step."""
    with jax.numpy_dtype_promotion("standard"):  # optax compares a step with its bounds in another type
        change, state = optimizer.update(gradient, state, params)
    return optax.apply_updates(params, change), state


@functools.lru_cache
def step_of(recipe: Recipe) -> Any:
    """One step of training, compiled: state, pictures, labels and a random key -> state, loss, share of wrong ones."""
    model, optimizer = Model(recipe), update(recipe)

    @jax.jit
    def step(state: Any, x: jax.Array, labels: jax.Array, key: jax.Array) -> tuple[Any, jax.Array, jax.Array]:
        def loss(params: Any) -> tuple[jax.Array, jax.Array]:
            logits = model.logits(params, x, key)
            wrong = jnp.mean(jnp.argmax(logits, -1) != labels)
            return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels)), wrong

        (value, wrong), gradient = jax.value_and_grad(loss, has_aux=True)(state["params"])
        params, inner = moved(optimizer, state["params"], state["optimizer"], gradient)
        return {"params": params, "optimizer": inner}, value, wrong

    return step


def train(recipe: Recipe, data: Data, folder: Path | None = None, stop_at: int | None = None) -> Iterator[dict[str, Any]]:
    """Trains, and yields a row of metrics each step, the last with the parameters; goes on from the folder's checkpoint.

    Args:
        recipe: what and how.
        data: to train on.
        folder: for checkpoints and metrics.jsonl; None for neither.
        stop_at: leaves off after so many steps, as if killed.
    """
    batches, step = loader(data, recipe, Colors.of(data)), step_of(recipe)
    params = Model(recipe).init(jax.random.key(recipe.seed))
    state: Any = {"params": params, "optimizer": update(recipe).init(params)}
    with Record(folder, recipe) as record:
        state, first = record.restore(state, batches)
        began = time.perf_counter()
        for i in range(first, recipe.steps if stop_at is None else stop_at):
            batch = next(batches)
            state, value, wrong = step(state, batch["x"], batch["label"], jax.random.key(recipe.seed * 100_003 + i))
            row = {"step": i + 1, "loss": float(value), "error": float(wrong), "seconds": round(time.perf_counter() - began, 3)}
            record.note(row, state, batches)
            yield row | {"params": state["params"]}


class Record:
    """Checkpoints (Orbax) and metrics of one training; nothing without a folder."""

    EVERY = 100

    def __init__(self, folder: Path | None, recipe: Recipe) -> None:
        self._folder = folder
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "recipe.json").write_text(json.dumps(dataclasses.asdict(recipe), indent=1) + "\n", "utf-8")
            options = ocp.CheckpointManagerOptions(max_to_keep=2)
            self._manager = ocp.CheckpointManager(folder.absolute() / "checkpoints", options=options)

    def __enter__(self) -> "Record":
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder:
            self._manager.close()

    def restore(self, state: Any, batches: grain.DatasetIterator) -> tuple[Any, int]:
        """The state and number of steps of the newest checkpoint, or those of the beginning; sets the loader there."""
        if not self._folder or (step := self._manager.latest_step()) is None:
            return state, 0
        kept = self._manager.restore(
            step, args=ocp.args.Composite(state=ocp.args.StandardRestore(state), data=ocp.args.JsonRestore())
        )
        batches.set_state(kept["data"])
        rows = (self._folder / "metrics.jsonl").read_text("utf-8").splitlines(keepends=True)
        (self._folder / "metrics.jsonl").write_text("".join(rows[:step]), "utf-8")
        return kept["state"], step

    def note(self, row: dict[str, Any], state: Any, batches: grain.DatasetIterator) -> None:
        """A line of metrics, and now and then a checkpoint."""
        if not self._folder:
            return
        with (self._folder / "metrics.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")
        if row["step"] % self.EVERY == 0:
            kept = ocp.args.Composite(state=ocp.args.StandardSave(state), data=ocp.args.JsonSave(batches.get_state()))
            self._manager.save(row["step"], args=kept)


def ten_crops(pictures: np.ndarray) -> np.ndarray:
    """The four corners and the middle of each picture, and their reflections: [10, n, 24, 24, 3]."""
    far, middle = SIDE - CROP, (SIDE - CROP) // 2
    places = [(0, 0), (0, far), (far, 0), (far, far), (middle, middle)]
    crops = [pictures[:, top : top + CROP, left : left + CROP] for top, left in places]
    return np.stack([*crops, *(crop[:, :, ::-1] for crop in crops)])


def test_errors(model: Model, params: Any, data: Data, colors: Colors) -> dict[str, float]:
    """Shares of pictures whose class is not the first, or among the first five; by ten crops, and by the middle alone."""
    probabilities = jax.jit(lambda x: jax.nn.softmax(model.logits(params, x)))
    crops = np.stack([probabilities(scaled(crop, colors)) for crop in ten_crops(data.pictures)])
    found = {}
    for name, scores in (("ten", crops.mean(0)), ("one", crops[4])):
        rank = np.sum(scores > np.take_along_axis(scores, data.labels[:, None], 1), 1)
        found |= {f"top1_{name}": float(np.mean(rank >= 1)), f"top5_{name}": float(np.mean(rank >= 5))}
    return found
