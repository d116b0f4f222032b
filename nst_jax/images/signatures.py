"""Kinds of files that the package does not read by itself, recognized by their first bytes."""

import importlib
import re
from typing import NamedTuple


class Kind(NamedTuple):
    """A kind of file.

    Attributes:
        name: what it is.
        advice: what to do instead.
        packages: that read it, by order of preference: Pillow plugins, or rawpy.
        format: its name in Pillow, with a plugin.
    """

    name: str
    advice: str = "export the picture as PNG, JPEG or TIFF"
    packages: tuple[str, ...] = ()
    format: str = ""


_INSTALL = 'pip install {} (or "nst_jax[formats]"), or save it as JPEG'
RAW = Kind("a camera's RAW file", _INSTALL.format("rawpy"), ("rawpy",))
_HEIC = Kind("a HEIC picture", _INSTALL.format("pi-heif"), ("pillow_heif", "pi_heif"), "HEIF")
_JXL = Kind("a JPEG XL picture", _INSTALL.format("pillow-jxl-plugin"), ("pillow_jxl",), "JXL")
_HDR = Kind("a high dynamic range picture", "map its tones and save it as PNG or TIFF")
_KINDS = (
    # OpenEXR, Radiance, and a PNG or AVIF in linear light, PQ or HLG (the transfer characteristics 8, 16, 18 of ITU-T H.273).
    (rb"\x76\x2f\x31\x01|#\?RADIANCE|\x89PNG.*?cICP.[\x08\x10\x12]|.{4}ftyp.*?colrnclx..\0[\x08\x10\x12]", _HDR),
    (rb".{4}ftyp(hei[cxms]|hev[cxms]|mif1|msf1)", _HEIC),
    (rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n", _JXL),
    (rb".{4}ftypcrx |II\*\0.{4}CR|II[RU][O\0]|MMOR|FUJIFILMCCD-RAW|FOVb", RAW),
    (
        rb".{4}ftyp(?!avi[fs])|RIFF.{4}AVI |\x1a\x45\xdf\xa3",
        Kind("a video", "paint it with nst-jax video"),
    ),
    (rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51", Kind("a JPEG 2000 picture", "save it as PNG or TIFF")),
    (rb"8BPS", Kind("a Photoshop document")),
    (rb"gimp xcf", Kind("a GIMP document")),
    (rb"%PDF", Kind("a PDF document")),
    (rb"%!PS|\xc5\xd0\xd3\xc6", Kind("a PostScript document")),
    (rb"version https://git-lfs", Kind("a Git LFS pointer, not the file itself", "run git lfs pull")),
    (rb"PK\x03\x04|\x1f\x8b|7z\xbc\xaf|Rar!", Kind("an archive", "unpack it first")),
    (rb"(?is)(\xef\xbb\xbf)?\s*(<\?xml.{0,2000}?|<!--.{0,2000}?)?(<!doctype svg|<svg)", Kind("an SVG drawing")),
    (rb"(?is)(\xef\xbb\xbf)?\s*(<!doctype|<html|<head|<\?xml)", Kind("a web page", "download the picture itself")),
    (rb"[\t\n\r -~]+\Z", Kind("text", "download or export the picture itself")),
)


def identify(data: bytes) -> Kind | None:
    """The kind of a file; None if it may be a picture that Pillow or tifffile reads.

    >>> identify(b"%PDF-1.7").name
    'a PDF document'
    """
    return next((kind for pattern, kind in _KINDS if re.match(pattern, data[:4096], re.DOTALL)), None)


def load_plugin(kind: Kind) -> bool:
    """Loads a package that reads a kind of file; False if none is installed."""
    for package in kind.packages:
        try:
            plugin = importlib.import_module(package)  # pillow_jxl registers itself
        except ImportError:
            continue
        getattr(plugin, "register_heif_opener", lambda: None)()
        return True
    return False


def load_plugins() -> None:
    """Loads the Pillow plugins that are installed, for a library that opens files with Pillow itself."""
    for kind in (_HEIC, _JXL):
        load_plugin(kind)
