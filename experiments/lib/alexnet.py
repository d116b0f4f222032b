"""Experiment 016: AlexNet's recipe of training, scaled down, with each of its ingredients left out in turn.

    pip install -e ".[training]"
    python -m experiments.lib.alexnet            # all of it; goes on where it was stopped
    python -m experiments.lib.alexnet tanh       # one of them
    python -m experiments.lib.alexnet draw       # the pictures of the lab book

Results grow in experiments/016-alexnet/results.jsonl; checkpoints and metrics of each training are in runs/alexnet/NAME-SEED.
"""

import argparse
import dataclasses
import itertools
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.lib.alexnet_pictures import CLASSES, SIDE, Data, make
from experiments.lib.alexnet_training import Colors, Model, Recipe, test_errors, train
from nst_jax.images.files import write_image

FOLDER = Path(__file__).parents[1] / "016-alexnet"
RUNS = Path("runs") / "alexnet"
SEEDS = (0, 1)
LONG = 2400  # four times the steps
TRAINED, TESTED = 2048, 1600
GOAL, WINDOW = 0.25, 20  # a training error of 25 %, on average over 20 steps
PLAIN = Recipe(dropout=False, crops=False, color=False)
RECIPES = {
    "all": Recipe(),
    "plain": PLAIN,
    "plain-tanh": dataclasses.replace(PLAIN, activation="tanh"),
    "no-normalization": Recipe(normalization=False),
    "no-overlap": Recipe(overlap=False),
    "no-dropout": Recipe(dropout=False),
    "no-crops": Recipe(crops=False),
    "no-color": Recipe(color=False),
    "tanh": Recipe(activation="tanh"),
    "all-long": Recipe(steps=LONG),
    "no-dropout-long": Recipe(steps=LONG, dropout=False),
}


def steps_to_goal(errors: list[float]) -> int | None:
    """Steps until the training error, averaged over a window, is down to the goal; None if it never is."""
    means = np.convolve(errors, np.ones(WINDOW) / WINDOW, "valid")
    reached = np.flatnonzero(means <= GOAL)
    return int(reached[0]) + WINDOW if reached.size else None


def run(name: str, seed: int, data: Data, unseen: Data) -> dict[str, Any]:
    """Trains by one recipe, or goes on with it, and tests."""
    recipe, folder, began = dataclasses.replace(RECIPES[name], seed=seed), RUNS / f"{name}-{seed}", time.process_time()
    params = [row["params"] for row in train(recipe, data, folder)][-1]
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text("utf-8").splitlines()]
    errors = [row["error"] for row in rows]
    tested = test_errors(Model(recipe), params, unseen, Colors.of(data))
    return {
        "name": name,
        "seed": seed,
        **{what: round(100 * share, 2) for what, share in tested.items()},
        "train": round(100 * float(np.mean(errors[-WINDOW:])), 2),
        "steps_to_25": steps_to_goal(errors),
        "seconds": round(time.process_time() - began, 1),
    }


def draw() -> None:
    """The pictures, a row for each of five of a class; and the training error of both activations, as the paper's Fig. 1."""
    some = make(5 * CLASSES, 3).pictures.reshape(5, CLASSES, SIDE, SIDE, 3)
    sheet = some.transpose(0, 2, 1, 3, 4).reshape(1, 5 * SIDE, CLASSES * SIDE, 3)
    write_image(FOLDER / "pictures.png", sheet.astype(np.float32) / 255)
    figure = Figure(figsize=(6, 3.5), dpi=100, layout="constrained")
    axes = figure.subplots()
    for name, color in (("plain", "#0072B2"), ("plain-tanh", "#D55E00")):
        rows = [json.loads(line) for line in (RUNS / f"{name}-0" / "metrics.jsonl").read_text("utf-8").splitlines()]
        means = np.convolve([row["error"] for row in rows], np.ones(WINDOW) / WINDOW, "valid")
        axes.plot(np.arange(len(means)) + WINDOW, means, color=color, label="tanh" if "tanh" in name else "ReLU")
    axes.axhline(GOAL, color="0.6", linewidth=1)
    axes.set(xlabel="step of 128 pictures", ylabel=f"training error, mean of {WINDOW} steps", ylim=(0, 1))
    axes.legend(frameon=False)
    figure.savefig(FOLDER / "activations.png")


def main() -> None:
    """Runs what is named, or all, and is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(RECIPES)}; or draw")
    names, file = parser.parse_args().names, FOLDER / "results.jsonl"
    if names == ["draw"]:
        return draw()
    FOLDER.mkdir(exist_ok=True)
    data, unseen = make(TRAINED, 1), make(TESTED, 2)
    for seed, name in itertools.product(SEEDS, names or RECIPES):
        done = file.read_text("utf-8").splitlines() if file.exists() else []
        if any({"name": name, "seed": seed}.items() <= json.loads(line).items() for line in done):
            continue
        found = run(name, seed, data, unseen)
        with file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(found) + "\n")
        print(found, flush=True)


if __name__ == "__main__":
    main()
