"""NVRTC compiles every CUDA kernel to machine code, without a warning, and without spills where time is spent."""

import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("cupy", reason="CuPy is not installed (make test-cuda)")

from stablesoft import _cuda_kernels, _cupy

pytestmark = pytest.mark.cuda
# Ampere, Hopper, Blackwell; and for the kernels in floats Turing, Ada and Blackwell as consumers have them.
ARCHITECTURES = (80, 90, 100)
CONSUMER_ARCHITECTURES = (75, 89, 120)
FAMILIES = {
    "softmax": ["softmax"], "log_softmax": ["log_softmax"], "logsumexp": ["logsumexp"],
    "weights": ["weights", "means", "taken", "cumulative"],
    "elementwise": [*_cuda_kernels.UNARY, *_cuda_kernels.BINARY, "options"],
    "losses": [_cuda_kernels.CROSS_ENTROPY, _cuda_kernels.SIGMOID],
    "focal": [_cuda_kernels.FOCAL, _cuda_kernels.SIGMOID_FOCAL], "dense": ["dense", "smooth"],
}  # fmt: skip


def resources(log):
    """{function: (bytes of spill stores, of spill loads)} from what ptxas says, and the registers of the kernel."""
    spills = {}
    for name, rest in re.findall(r"Function properties for (\S+)\n([^\n]*)", log):
        stores, loads = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", rest).groups()
        spills[name] = (int(stores), int(loads))
    return spills, int(re.search(r"Used (\d+) registers", log).group(1))


def compiled(name, architecture):
    cubin, log = _cupy.build(name, architecture, "--ptxas-options=-v")
    assert cubin[:4] == b"\x7fELF", name
    assert "warning" not in log.lower(), log
    return name, *resources(log)


def heads_of(family, dtype):
    return [f"{head}_{dtype}" for head in FAMILIES[family]]


def names_of(family, dtype):
    """The kernels of a family; those that belong to no dtype stand with float32."""
    heads = heads_of(family, dtype)
    if family == "losses" and dtype == "float32":
        heads += [f"{_cuda_kernels.CROSS_ENTROPY}_count", f"{_cuda_kernels.CROSS_ENTROPY}_sum"]
    heads = tuple(heads)
    return [name for name in _cuda_kernels.kernels() if name.startswith(heads) and not name.endswith("_in_floats")]


def names_in_floats(family, dtype):
    heads = tuple(heads_of(family, dtype))
    return [name for name in _cuda_kernels.kernels() if name.startswith(heads) and name.endswith("_in_floats")]


def test_families():
    """Every kernel is compiled, once."""
    kinds = ("float16", "float32", "float64")
    names = [name for family in FAMILIES for kind in kinds for name in names_of(family, kind)]
    names += [name for family in FAMILIES for kind in kinds for name in names_in_floats(family, kind)]
    assert sorted(names) == sorted(_cuda_kernels.kernels())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("dtype", "architecture"), [
    pytest.param(dtype, architecture, marks=[] if (dtype, architecture) == ("float32", 90) else pytest.mark.hour)
    for dtype in ("float16", "float32", "float64") for architecture in ARCHITECTURES
])  # fmt: skip
def test_compiles(family, dtype, architecture):
    compile_all(names_of(family, dtype), architecture)


@pytest.mark.hour
@pytest.mark.parametrize("architecture", CONSUMER_ARCHITECTURES)
@pytest.mark.parametrize("dtype", _cuda_kernels.IN_FLOATS)
@pytest.mark.parametrize("family", [family for family in FAMILIES if names_in_floats(family, "float32")])
def test_compiles_in_floats(family, dtype, architecture):
    compile_all(names_in_floats(family, dtype), architecture)


def compile_all(names, architecture):
    assert names
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, spills, registers in pool.map(lambda name: compiled(name, architecture), names):
            kernel = _cuda_kernels.kernels()[name]
            # The functions that it calls are the rare paths, where a few bytes do not matter.
            assert spills.pop(name) == (0, 0), name
            assert all(stores + loads <= 256 for stores, loads in spills.values()), (name, spills)
            assert registers * kernel.threads * kernel.blocks <= 65536, name


@pytest.mark.parametrize("operation", ["softmax", _cuda_kernels.CROSS_ENTROPY])
def test_teams_fit(operation):
    """Blocks that wait for each other are launched at once: on Turing their shared memory has to fit into 64 KiB."""
    name = f"{operation}_float64_columns_teams"
    _, log = _cupy.build(name, 75, "--ptxas-options=-v")
    shared = int(re.search(r"(\d+) bytes smem", log).group(1))
    assert shared * _cuda_kernels.kernels()[name].blocks <= 1 << 16


def test_ill_formed(monkeypatch):
    monkeypatch.setattr(_cuda_kernels, "source", lambda _: "no C++")
    with pytest.raises(RuntimeError, match=r"NVRTC does not compile softmax_float32_long:\n(.|\n)*error"):
        _cupy.build("softmax_float32_long", 90)


def test_kept_on_disk(monkeypatch, tmp_path):
    """Compiled once; a file that is not whole is not used."""
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path / "new"))
    made = []
    monkeypatch.setattr(_cupy, "build", lambda name, _: (made.append(name) or b"code", ""))
    for _ in range(2):
        assert _cupy._cubin("softmax_float32_long", 90) == b"code"
    assert len(made) == 1
    (path,) = (tmp_path / "new").iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    assert _cupy._cubin("softmax_float32_long", 90) == b"code"
    assert len(made) == 2
    monkeypatch.setenv("CUPY_CACHE_IN_MEMORY", "1")
    _cupy._cubin("softmax_float32_long", 90)
    assert len(made) == 3
    monkeypatch.delenv("CUPY_CACHE_IN_MEMORY")
    monkeypatch.setenv("CUPY_CACHE_DIR", str(path / "in a file"))
    assert _cupy._cubin("softmax_float32_long", 90) == b"code"


def test_architecture():
    """The newest that NVRTC knows of the device's generation."""
    assert _cupy._architecture(90) == 90
    assert _cupy._architecture(80) == 80
    newest = max(_cupy.nvrtc.getSupportedArchs())
    assert _cupy._architecture(newest) == newest
