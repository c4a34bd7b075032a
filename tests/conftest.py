"""Fixtures: dtype, library, isa, threads. A process has one instruction set: the last two go to tests/worker.py."""

import functools
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import stablesoft
from emulation import compiled
from libraries import Library
from stablesoft import _cuda, _cuda_kernels

WORKER = Path(__file__).with_name("worker.py")
THREADS = (1, 2, 4)

# No deadline: the oracle's precision grows with the input. derandomize: the same suite every time.
settings.register_profile(
    "suite", deadline=None, max_examples=150, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")


def pytest_addoption(parser):
    parser.addoption(
        "--libraries", action="store_true", help="torch and JAX, too; where one is missing, that is a failure"
    )


def pytest_generate_tests(metafunc):
    chosen = [library for library in Library if library.light or metafunc.config.getoption("libraries")]
    usual = chosen
    apart = [library for library in chosen if library.has_devices]
    for name, values in (("library", usual), ("library_with_devices", apart)):
        if name in metafunc.fixturenames:
            marks = {True: (), False: (pytest.mark.libraries,)}
            metafunc.parametrize(name, [pytest.param(one, id=one.value, marks=marks[one.light]) for one in values])


def pytest_collection_modifyitems(config, items):
    if "slow" not in config.getoption("markexpr"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="a long sweep: -m slow"))
    if not config.getoption("libraries"):
        for item in items:
            if item.get_closest_marker("libraries"):
                item.add_marker(pytest.mark.skip(reason="needs torch or JAX: make test-libraries"))


@pytest.fixture
def torch():
    return importlib.import_module("torch")


@pytest.fixture
def jax():
    Library.JAX.load()
    return importlib.import_module("jax")


def isa_names():
    return list(stablesoft.show_config("dicts")["isa_available"])


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture(params=isa_names())
def isa(request):
    return request.param


@pytest.fixture(params=THREADS)
def threads(request):
    return request.param


@pytest.fixture
def slow_doubles(monkeypatch):
    """Every CUDA device counts as one that is slow with doubles."""
    from stablesoft import _cupy

    monkeypatch.setattr(_cupy, "_plans", {})
    monkeypatch.setattr(_cupy, "slow_doubles", lambda _: True)


@functools.cache
def run_worker(isa=None, threads=None, batch="all", **more):
    """What tests/worker.py prints under this instruction set and number of threads: {what was computed: digest}."""
    environment = dict(os.environ)
    for name, value in (("STABLESOFT_ISA", isa), ("OMP_NUM_THREADS", threads)):
        environment.pop(name, None)
        if value is not None:
            environment[name] = str(value)
    environment.update(more)
    # The package under test, wherever this process found it.
    found = str(Path(stablesoft.__file__).parents[1])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [found, environment.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, str(WORKER), batch], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def worker():
    return run_worker


@pytest.fixture(scope="session")
def emulation(tmp_path_factory):
    """Every CUDA kernel, compiled for the CPU."""
    return compiled(tmp_path_factory.mktemp("emulation"), _cuda_kernels.kernels())


@pytest.fixture
def small_blocks(monkeypatch):
    """Rows count as long sooner: blocks of 64 threads, parts of 256 elements, and a small device."""
    monkeypatch.setattr(_cuda, "MULTIPROCESSORS", 32)
    monkeypatch.setattr(_cuda, "MOST_THREADS", 64)
    monkeypatch.setattr(_cuda, "LEAST_SHARE", 256)
