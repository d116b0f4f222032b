"""Rematerialization: equal values and gradients, less memory; its choice from what is free."""

import dataclasses
import functools
import platform
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nst_jax import networks
from nst_jax.errors import InputError
from nst_jax.job import JobSpec
from nst_jax.job import memory_plan as memory
from nst_jax.networks.convnet import REMAT, NetworkSpec, features
from nst_jax.objective.loss import ObjectiveSpec
from nst_jax.optimize.solver import solver_spec
from nst_jax.partition import WHOLE, ExecutionPlan
from nst_jax.system import memory as free_memory

TAPS = ("relu1_1", "relu2_1", "pool2", "relu3_1")


@pytest.fixture(scope="module", params=["winograd", "xla"])
def vgg(request):
    return networks.load("vgg19", convolution=request.param, taps=TAPS)


def energy(params, image, convolution, remat):
    maps = features(params, image, TAPS, spec=NetworkSpec(convolution=convolution), remat=remat)
    return sum(jnp.mean(found**2) for found in maps.values())


@functools.partial(jax.jit, static_argnames=("convolution", "remat"))
def value_and_gradient(params, image, convolution, remat):
    return jax.value_and_grad(energy, argnums=1)(params, image, convolution, remat)


def test_value_and_gradient_do_not_depend_on_what_is_computed_anew(vgg):
    image = jnp.asarray(np.random.default_rng(0).random((1, 21, 34, 3), np.float32))
    value, gradient = value_and_gradient(vgg.params, image, vgg.spec.convolution, "none")
    value2, gradient2 = value_and_gradient(vgg.params, image, vgg.spec.convolution, "blocks")
    assert float(jnp.abs(gradient).max()) > 0
    np.testing.assert_allclose(value2, value, rtol=1e-6)
    np.testing.assert_allclose(gradient2, gradient, atol=1e-6 * float(jnp.abs(gradient).max()))


def test_blocks_need_less_memory_than_all_maps():
    taps = ("relu4_1",)
    params = jax.eval_shape(lambda: networks.load("vgg19", convolution="winograd", taps=taps).params)
    image = jax.ShapeDtypeStruct((1, 192, 192, 3), jnp.float32)

    def temporary(remat):
        spec = NetworkSpec(convolution="winograd")
        gradient = jax.grad(lambda x, params: jnp.mean(features(params, x, taps, spec=spec, remat=remat)["relu4_1"] ** 2))
        compiled = jax.jit(gradient).lower(image, params).compile()
        return compiled.memory_analysis().temp_size_in_bytes  # pyright: ignore[reportOptionalMemberAccess]

    assert temporary("blocks") < 0.85 * temporary("none")


def spec_with(distance="gram", memory=10, **settings):
    objective = ObjectiveSpec(NetworkSpec(), ("relu4_2",), ("relu1_1",), distance)
    return JobSpec(objective, None, solver_spec("lbfgs", memory=memory), (), plan_settings=settings)


@pytest.mark.parametrize(
    ("gigabytes", "chosen"),
    [(None, ("none", 0)), (24, ("none", 0)), (7, ("blocks", 0)), (5, ("none", 512)), (1, ("none", 256))],
)
def test_the_plan_recomputes_or_has_tiles_only_where_memory_is_short(monkeypatch, gigabytes, chosen):
    monkeypatch.setattr(memory, "available_bytes", lambda devices: gigabytes and gigabytes * 2**30)
    assert memory.choose_plan(spec_with(devices=1), (2048, 1024)) == ExecutionPlan(*chosen)
    for remat in REMAT:
        plan = ExecutionPlan(remat, 320, 1)
        assert memory.choose_plan(spec_with(**dataclasses.asdict(plan)), (2048, 1024)) == plan


@pytest.mark.parametrize(
    ("height", "processes", "chosen"),
    [(64, 1, 1), (300, 1, 2), (4096, 1, 8), (64, 2, 1), (300, 2, 8)],  # of several processes none is left out
)
def test_auto_takes_the_devices_that_a_picture_keeps_busy(monkeypatch, height, processes, chosen):
    monkeypatch.setattr(jax, "device_count", lambda: 8)
    monkeypatch.setattr(jax, "process_count", lambda: processes)
    monkeypatch.setattr(memory, "available_bytes", lambda devices: None)
    spec = spec_with(remat="none", tile=0)
    assert memory.choose_plan(spec, (height, 400)).devices == chosen
    assert memory.choose_plan(spec, (height, 400), jobs=3).devices == 1


def test_regions_the_sliced_distance_and_the_solvers_pairs_are_counted(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda devices: 6.3 * 2**30)
    fixed, size = {"remat": "none", "devices": 1}, (1086, 1448)
    assert memory.choose_plan(spec_with(**fixed), size).tile == 0
    assert memory.choose_plan(spec_with(**fixed), size, regions=4).tile != 0
    assert memory.choose_plan(spec_with(memory=100, **fixed), size).tile != 0
    assert memory.choose_plan(spec_with("sliced_wasserstein", **fixed), size).tile != 0
    assert memory.choose_plan(spec_with("neighbors", **fixed), size, regions=2).tile != 0


def test_fewer_jobs_fit_together_the_more_each_takes(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda devices=1: 24 * 2**30)
    size = (512, 512)
    plain, *larger = (
        memory.most_jobs(memory.job_bytes(spec, WHOLE, size, regions=regions)) or 0
        for spec, regions in [
            (spec_with(), 1), (spec_with(), 4), (spec_with(memory=100), 1), (spec_with("sliced_wasserstein"), 1),
        ]
    )  # fmt: skip
    assert plain == memory.most_jobs(memory.needed_bytes("none", 0, 512 * 512))
    assert all(1 <= number < plain for number in larger)


def test_a_state_that_cannot_be_cut_counts_whole(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda devices: 4 * 2**30)
    spec = spec_with(remat="none", devices=8)
    assert memory.choose_plan(spec, (2048, 2048)).tile == 0
    assert memory.choose_plan(spec, (2047, 2049)).tile != 0


def test_a_step_that_takes_more_than_is_free_is_not_begun(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda devices: 8 * 2**30 // devices)
    memory.check_memory(7 * 2**30, 512)
    with pytest.raises(InputError, match=r"the scale 512 must fit into memory, but a step takes 7.0 GiB of the 4.0 that are"):
        memory.check_memory(7 * 2**30, 512, 2)


def test_free_memory_is_the_smaller_of_the_machine_s_and_the_group_s(monkeypatch, tmp_path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       24000 kB\nMemAvailable:    5000 kB\n")
    (tmp_path / "memory.max").write_text("4096000\n")
    (tmp_path / "memory.current").write_text("1096000\n")
    assert free_memory._meminfo_available(meminfo) == 5000 * 1024
    assert free_memory._group_available(tmp_path) == 3000000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory._group_available(tmp_path) is None
    assert free_memory._meminfo_available(tmp_path / "missing") is None


def test_what_is_free_here_is_known_and_plausible():
    free = free_memory.available_bytes()
    assert free is None or 2**20 < free < 2**50


def test_freed_memory_is_given_back_to_the_system():
    status = Path("/proc/self/statm")
    if not status.exists() or "glibc" not in platform.libc_ver()[0]:
        pytest.skip("only glibc keeps freed memory and can be asked for it")

    def resident():
        return int(status.read_text().split()[1])

    kept = [bytes(100_000) for _ in range(1000)][::100]  # 100 MB in small pieces, of which some in between stay
    before = resident()
    free_memory.trim_heap()
    assert resident() < before
    assert len(kept) == 10
