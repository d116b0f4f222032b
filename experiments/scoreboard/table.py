"""The table of the scoreboard: JSON, CSV and Markdown, systems compared with one of them, a plot of that, and a sheet."""

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from experiments.lib.figures import markdown, mosaic
from nst_jax.system.atomic_write import atomic_write

Row = dict[str, Any]
PLACE = ("content", "style", "system", "size", "seconds")
RESAMPLES = 10_000
HEIGHT = 150  # of a picture in the sheet


def rows_of(records: Sequence[Row]) -> list[Row]:
    """A flat row a record: where it stands, its seconds, its scores."""
    return [{key: record[key] for key in PLACE} | record["scores"] for record in records]


def interval(values: np.ndarray) -> tuple[float, float]:
    """The 95 % bootstrap interval of the mean: percentiles of the means of `RESAMPLES` samples with replacement.

    Example:
        >>> interval(np.array([2.0, 2.0, 2.0]))
        (2.0, 2.0)
    """
    drawn = np.random.default_rng(0).choice(values, (RESAMPLES, len(values))).mean(1)
    low, high = np.percentile(drawn, (2.5, 97.5))
    return float(low), float(high)


def sign_test(lower: int, higher: int) -> float:
    """The two-sided probability of so uneven a count or a more uneven one, if either were as likely.

    Example:
        >>> sign_test(5, 0), sign_test(3, 3)
        (0.0625, 1.0)
    """
    count = lower + higher
    tail = sum(math.comb(count, k) for k in range(min(lower, higher) + 1)) / 2**count
    return min(1.0, 2 * tail)


def compared(rows: Sequence[Row], base: str) -> list[Row]:
    """For each other system and score: its difference to `base` over the pairs that both have painted.

    Relative numbers are differences over the mean of `base`. "lower" counts the pairs on which the system's score is lower.
    """
    keys = [key for key in rows[0] if key not in PLACE] if rows else []
    theirs = {(row["content"], row["style"]): row for row in rows if row["system"] == base}
    found = []
    for name in dict.fromkeys(row["system"] for row in rows if row["system"] != base):
        pairs = [
            (row, theirs[at]) for row in rows if row["system"] == name and (at := (row["content"], row["style"])) in theirs
        ]
        for key in keys if pairs else ():
            ours, other = (np.array([pair[i].get(key, math.nan) for pair in pairs]) for i in (0, 1))
            change = ours - other
            low, high = interval(change)
            lower, higher = int(np.sum(change < 0)), int(np.sum(change > 0))
            facts = {"system": name, "score": key, "pairs": len(pairs), "mean": float(ours.mean()), base: float(other.mean())}
            span = {"difference": float(change.mean()), "low": low, "high": high}
            relative = {"worst": float(np.max(change / np.maximum(np.abs(other), 1e-6)))}
            found.append(facts | span | relative | {"lower": lower, "higher": higher, "p": sign_test(lower, higher)})
    return found


def means(rows: Sequence[Row]) -> list[Row]:
    """The mean of each column over the pairs of each system."""
    found = []
    for name in dict.fromkeys(row["system"] for row in rows):
        own = [row for row in rows if row["system"] == name]
        columns = [key for key in own[0] if key not in PLACE[:4]]
        found.append({"system": name, "pairs": len(own)} | {key: float(np.mean([row[key] for row in own])) for key in columns})
    return found


def write(folder: Path, records: Sequence[tuple[Path, Row]], files: dict[str, Path], base: str) -> None:
    """Writes scores.json, scores.csv, scores.md, differences.png and sheet.jpg to the folder.

    Args:
        folder: where to.
        records: the pictures and what is known of them.
        files: the content and style pictures by name, for the sheet; pairs without are left out there.
        base: the system that the others are compared with.
    """
    rows = rows_of([record for _, record in records])
    against = compared(rows, base)
    atomic_write(folder / "scores.json", (json.dumps({"rows": rows, "compared": against}, indent=1) + "\n").encode())
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    atomic_write(folder / "scores.csv", text.getvalue().encode())
    parts = ["# Means", markdown(means(rows))]
    if against:
        about = f"Differences to {base}, with 95 % bootstrap interval, largest relative one and sign test; lower is better."
        parts += ["# Compared", about, markdown(against)]
        plot(folder / "differences.png", against, base)
    parts += ["# Pairs", markdown(rows)]
    atomic_write(folder / "scores.md", ("\n\n".join(parts) + "\n").encode())
    sheet(folder / "sheet.jpg", records, files)


def plot(path: Path, against: Sequence[Row], base: str) -> None:
    """The relative differences with their intervals: a line a score, a color a system."""
    scores, systems = ([*dict.fromkeys(row[key] for row in against)] for key in ("score", "system"))
    figure = Figure(figsize=(9, 0.2 * len(scores) * (1 + len(systems)) + 1.2), dpi=90, layout="constrained")
    axes = figure.subplots()
    for number, name in enumerate(systems):
        own = [row for row in against if row["system"] == name]
        scale = [100 / max(abs(row[base]), 1e-6) for row in own]
        x = [row["difference"] * s for row, s in zip(own, scale, strict=True)]
        reach = [[(row["difference"] - row["low"]) * s for row, s in zip(own, scale, strict=True)]]
        reach += [[(row["high"] - row["difference"]) * s for row, s in zip(own, scale, strict=True)]]
        y = [scores.index(row["score"]) + 0.8 * (number + 0.5) / len(systems) - 0.4 for row in own]
        axes.errorbar(x, y, xerr=reach, fmt="o", markersize=4, capsize=2, label=f"{name} ({own[0]['pairs']} pairs)")
    axes.axvline(0, color="0.4", linewidth=1)
    axes.set(yticks=range(len(scores)), yticklabels=scores, xlabel=f"difference to {base}, % of its mean; left is better")
    axes.invert_yaxis()
    axes.grid(axis="x", color="0.9")
    axes.legend()
    figure.savefig(path)


def sheet(path: Path, records: Sequence[tuple[Path, Row]], files: dict[str, Path]) -> None:
    """A row a pair: content, style, and what each system made of them."""
    systems = [*dict.fromkeys(record["system"] for _, record in records)]
    made = {(record["content"], record["style"], record["system"]): picture for picture, record in records}
    pictures, captions = [], []
    for content, style in dict.fromkeys((record["content"], record["style"]) for _, record in records):
        if content in files and style in files:
            row = [files[content], files[style], *(made.get((content, style, name)) for name in systems)]
            pictures += [_small(file) for file in row]
            captions += [content, style, *systems]
    if pictures:
        mosaic(pictures, 2 + len(systems), captions).save(path, quality=85)


def _small(file: Path | None) -> Image.Image:
    if file is None:
        return Image.new("RGB", (HEIGHT, HEIGHT), "white")
    picture = Image.open(file).convert("RGB")
    return picture.resize((round(picture.width * HEIGHT / picture.height), HEIGHT), Image.Resampling.LANCZOS)
