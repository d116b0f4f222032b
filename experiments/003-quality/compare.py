"""Scores of ours and of the opponent's pictures: a table, the curve of quality against seconds, and contact sheets.

    python experiments/003-quality/compare.py --images FOLDER --ours FOLDER [--opponent FOLDER]

`--opponent` holds what experiments/scoreboard/opponent.py wrote, CONTENT_STYLE/log.json and pictures; `--ours` the run folders
PRESET/CONTENT_STYLE, whose snapshots, where there are some, give the curve. Seconds are a run's "total" in its manifest,
and for the opponent its steps times the seconds a step of opponent-seconds.json, measured on a quiet machine. Scores are
kept in scores.json, by the hash of the picture, and not made again; what it has of other pictures stays in the table and in
the curve. Writes curve.png, gallery.jpg and, if the opponent's pictures are there, sheet-*.jpg beside this script.
"""

import argparse
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

import nst_jax.images
from experiments.lib.figures import mosaic
from nst_jax.evaluate import scores
from nst_jax.images.files import fit_long_side, read_image, resize
from nst_jax.runs.folder import RunFolder
from nst_jax.system.compilation_cache import use_compilation_cache

HERE = Path(__file__).parent
CONTENTS, STYLES = ("tubingen", "golden_gate", "neckarfront_drawing"), ("starry_night", "shipwreck")
PAIRS = [f"{content}_{style}" for content in CONTENTS[:2] for style in STYLES] + ["neckarfront_drawing_starry_night"]
SHOWN = ("lpips_alex", "lpips_vgg", "style_gram_vgg16", "style_w2_vgg16", "style_w2_alex", "color_w2", "tv_ratio", "border")
SHOWN = (*SHOWN, "checkerboard", "grid")
# The checkpoints of the opponent that the curve shows: (size, step).
CURVE = {(128, 100), (128, 300), (128, 1000), (181, 100), (181, 500), (256, 50), (256, 100), (256, 300), (256, 500)}


@dataclass
class Row:
    """One picture: of which system and pair, after how many seconds, the last one or on the way."""

    system: str
    pair: str
    seconds: float
    picture: Path
    final: bool


def opponents(folder: Path) -> list[Row]:
    """The opponent's pictures, with the time that their steps take on a quiet machine."""
    a_step = json.loads((HERE / "opponent-seconds.json").read_text())
    rows = []
    for pair in PAIRS:
        if not (folder / pair / "log.json").is_file():
            continue
        before, last = 0.0, None
        log = json.loads((folder / pair / "log.json").read_text())
        for entry in log:
            if last and entry["size"] != last["size"]:
                before += last["step"] * a_step[str(last["size"])]
            last = entry
            if (entry["size"], entry["step"]) in CURVE or entry is log[-1]:
                seconds = before + entry["step"] * a_step[str(entry["size"])]
                rows.append(Row("opponent", pair, seconds, folder / pair / entry["picture"], entry is log[-1]))
    return rows


def ours(folder: Path) -> list[Row]:
    """Our pictures: results with the seconds of the whole run, snapshots with those of their row."""
    rows = []
    for run in sorted(folder.glob("*/*/manifest.json")):
        record = RunFolder(run.parent)
        system, pair = run.parts[-3], run.parts[-2]
        total = json.loads(run.read_text())["seconds"]["total"]  # of any format
        if record.snapshots:
            at = {row["step"]: row["seconds"] for row in record.read_metrics()}
            late = total - max(at.values())  # reading the pictures and writing the result, before and after the steps
            rows += [Row(system, pair, late + at[step], path, False) for step, path in record.snapshots.items() if step in at]
        rows.append(Row(system, pair, total, record.result, True))
    return rows


def scored(rows: list[Row], images: Path) -> list[dict]:
    """The scores of every row; those made before come from scores.json."""
    path = HERE / "scores.json"
    before = json.loads(path.read_text())
    known = {row["sha256"]: row for row in before}
    systems = {(row.system, row.pair) for row in rows}
    found = [row for row in before if (row["system"], row["pair"]) not in systems]
    for row in rows:
        digest = hashlib.sha256(row.picture.read_bytes()).hexdigest()
        facts = {"system": row.system, "pair": row.pair, "seconds": round(row.seconds, 1), "final": row.final, "sha256": digest}
        if digest in known:
            values = {key: known[digest][key] for key in SHOWN}
        else:
            content, style = (read_image(find(images, name)).pixels for name in split(row.pair))
            values = scores(content, style, at_final_size(read_image(row.picture).pixels, content))
        found.append(facts | {key: round(value, 4) for key, value in values.items()})
        print(facts["system"], facts["pair"], facts["seconds"], flush=True)
        path.write_text(json.dumps(found, indent=0) + "\n")
        known[digest] = found[-1]
    return found


def at_final_size(pixels: np.ndarray, content: np.ndarray) -> np.ndarray:
    """Snapshots of coarser scales enlarged, so that pictures on the way compare with the last ones."""
    return resize(pixels, fit_long_side(content.shape[1], content.shape[2], 256))


def find(images: Path, name: str) -> Path:
    """The picture in the folder, or else the bundled one."""
    path = images / f"{name}.jpg"
    return path if path.is_file() else Path(nst_jax.images.__file__).parent / "bundled" / path.name


def split(pair: str) -> tuple[str, str]:
    """The names of the content and the style of a pair."""
    content = next(name for name in CONTENTS if pair.startswith(name))
    return content, pair.removeprefix(f"{content}_")


def table(rows: list[dict]) -> str:
    """The last pictures' scores in Markdown."""
    lines = [f"| pair | system | seconds | {' | '.join(SHOWN)} |", "|" + " --- |" * (3 + len(SHOWN))]
    for pair in PAIRS:
        for row in (row for row in rows if row["pair"] == pair and row["final"]):
            values = " | ".join(f"{row[key]:.3f}" for key in SHOWN)
            lines.append(f"| {' × '.join(split(pair))} | {row['system']} | {row['seconds']:.0f} | {values} |")
    return "\n".join(lines)


def draw_curve(rows: list[dict]) -> None:
    """Style and content distance against seconds, a column a pair."""
    keys = ("style_w2_vgg16", "lpips_alex")
    figure = Figure(figsize=(13, 6), dpi=90, layout="constrained")
    grid = figure.subplots(len(keys), 4, sharex=True)
    colors = dict(zip(dict.fromkeys(row["system"] for row in rows), ("#000000", "#D55E00", "#0072B2", "#009E73"), strict=False))
    for column, pair in enumerate(PAIRS[:4]):
        for axes, key in zip(grid[:, column], keys, strict=True):
            for system, color in colors.items():
                points = sorted((row["seconds"], row[key]) for row in rows if row["pair"] == pair and row["system"] == system)
                if points:
                    axes.plot(*zip(*points, strict=True), ".-", color=color, label=system)
            axes.set(xscale="log", xticks=(10, 30, 100, 300, 700), xticklabels=("10", "30", "100", "300", "700"))
            axes.minorticks_off()
            axes.grid(color="0.9")
        grid[0, column].set(title=" × ".join(split(pair)))
        grid[-1, column].set(xlabel="seconds")
    for axes, key in zip(grid[:, 0], keys, strict=True):
        axes.set(ylabel=key)
    grid[0, 0].legend()
    figure.savefig(HERE / "curve.png")


def draw_sheets(rows: list[Row], images: Path) -> None:
    """For each pair: content, style, and the last picture of each system, side by side."""
    for pair in PAIRS:
        pictures = [find(images, name) for name in split(pair)]
        finished = [row.picture for row in rows if row.pair == pair and row.final]
        if not finished:
            continue
        pictures += finished
        shown = [Image.open(path).convert("RGB") for path in pictures]
        mosaic([at_height(picture, 240) for picture in shown], len(shown)).save(HERE / f"sheet-{pair}.jpg", quality=88)


def draw_gallery(rows: list[Row], images: Path) -> None:
    """The default's pictures, each content beside each style: contents along the rows, styles along the columns."""
    made = {row.pair: row.picture for row in rows if row.system == "quality" and row.final}
    styles = [find(images, name) for name in STYLES]
    lines = [[find(images, content), *(made[f"{content}_{style}"] for style in STYLES)] for content in CONTENTS[:2]]
    pictures = [Image.open(path).convert("RGB") for line in lines for path in line]
    top = [Image.new("RGB", pictures[0].size, "white"), *(Image.open(path).convert("RGB") for path in styles)]
    size = pictures[1].size
    mosaic([picture.resize(size) for picture in [*top, *pictures]], 3).save(HERE / "gallery.jpg", quality=90)


def at_height(picture: Image.Image, height: int) -> Image.Image:
    """The picture so many pixels high."""
    return picture.resize((round(picture.width * height / picture.height), height))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="folder with the pictures")
    parser.add_argument("--ours", type=Path, required=True, help="folder of PRESET/CONTENT_STYLE run folders")
    parser.add_argument("--opponent", type=Path, help="folder of experiments.scoreboard.opponent")
    args = parser.parse_args()
    use_compilation_cache()
    rows = ours(args.ours)
    draw_gallery(rows, args.images)
    if args.opponent:
        rows = opponents(args.opponent) + rows
        draw_sheets(rows, args.images)
    found = scored(rows, args.images)
    print(table(found))
    draw_curve(found)


if __name__ == "__main__":
    main()
