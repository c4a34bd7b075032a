"""Fixtures: dtype, isa, threads. A process has one instruction set, so the last two go to tests/worker.py."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import stablesoft
from emulation import compiled
from stablesoft import _cuda

WORKER = Path(__file__).with_name("worker.py")
THREADS = (1, 2, 4)

# No deadline: the oracle's precision grows with the input. derandomize: the same suite every time.
settings.register_profile(
    "suite", deadline=None, max_examples=150, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")


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
    return compiled(tmp_path_factory.mktemp("emulation"), _cuda.kernels())
