"""The CuPy door from end to end without a GPU: CuPy arrays over host memory, launches run by the emulation."""

import ctypes

import numpy as np
import pytest

cupy = pytest.importorskip("cupy", reason="CuPy is not installed (make test-cuda)")


from test_reproducibility import assert_same_bits  # noqa: E402

import stablesoft  # noqa: E402
from emulation import EMULATED, OPERATIONS, aligned  # noqa: E402
from stablesoft import _cuda, _cupy  # noqa: E402

pytestmark = [pytest.mark.cuda, *EMULATED]


def hosted(array, device=0):
    """A CuPy array over the memory of a NumPy array."""
    low, high = np.lib.array_utils.byte_bounds(array)
    memory = cupy.cuda.UnownedMemory(low, high - low, array, device)
    pointer = cupy.cuda.MemoryPointer(memory, array.ctypes.data - low)
    return cupy.ndarray(array.shape, array.dtype, memptr=pointer, strides=array.strides)


def seen(array):
    """The NumPy array behind a CuPy array."""
    buffer = (ctypes.c_char * max(array.nbytes, 1)).from_address(array.data.ptr)
    return np.ndarray(array.shape, array.dtype, buffer, strides=array.strides).copy()


class Launches:
    """Stands for CuPy's functions."""

    def __init__(self, library):
        self.library, self.made = library, []

    def __call__(self, name):
        def launch(grid, block, arguments):
            x, y, parts, geometry = arguments
            self.made.append(name)
            pointers = [ctypes.c_void_p(p) for p in (x, y, parts, geometry.ptr)]
            self.library.launch(getattr(self.library, name), *grid, *block, *pointers)

        return launch


@pytest.fixture
def device(emulation, monkeypatch):
    launches = Launches(emulation)
    memory = []

    def empty(shape, dtype, order="C"):
        memory.append(aligned((shape,) if isinstance(shape, int) else shape, dtype, order))
        return hosted(memory[-1])

    monkeypatch.setattr(_cupy, "_function", launches)
    monkeypatch.setattr(_cupy, "_plans", {})
    monkeypatch.setattr(_cupy.runtime, "getDevice", lambda: 0)
    monkeypatch.setattr(cupy, "empty", empty)
    return launches


@OPERATIONS
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (2, 1)])
@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_calls(device, operation, axis, kind):
    random = np.random.default_rng(1)
    whole = random.normal(0, 3, (5, 6, 40)).astype(kind)
    for x in (whole, whole[::2, ::-1, 3:], np.asfortranarray(whole)):
        want = getattr(stablesoft, operation)(x, axis)
        for _ in range(2):  # prepared, and from the plans
            got = getattr(stablesoft, operation)(hosted(x), axis)
            assert type(got) is cupy.ndarray
            assert_same_bits(seen(got), want, (axis, kind))
    assert device.made


def test_normal_form(device):
    """What the door does not read at once reaches the kernels in its normal form."""
    x = np.random.default_rng(2).normal(size=(4, 9))
    for operation in _cuda.OPERATIONS:
        got = getattr(stablesoft, operation)(hosted(x), axis=np.int64(1))
        assert_same_bits(seen(got), getattr(stablesoft, operation)(x, axis=1), operation)
    got = stablesoft.softmax(hosted(x), axis=-1, temperature=np.float64(1.0))
    assert_same_bits(seen(got), stablesoft.softmax(x, axis=-1), "temperature")
    assert len(device.made) == 5 + 2  # two of them with the ladder


@pytest.mark.usefixtures("device")
def test_keepdims():
    x = np.random.default_rng(2).normal(size=(4, 9, 3))
    for operation in _cuda.REDUCTIONS:
        got = getattr(stablesoft, operation)(hosted(x), axis=1, keepdims=True)
        assert_same_bits(seen(got), getattr(stablesoft, operation)(x, axis=1, keepdims=True), operation)


@pytest.mark.usefixtures("device")
def test_out():
    x = np.random.default_rng(3).normal(size=(7, 33)).astype("float32")
    want = stablesoft.softmax(x, axis=1)
    for y in (np.empty_like(x), np.asfortranarray(x), np.empty((7, 66), "float32")[:, ::2], x.copy()):
        out = hosted(y)
        assert stablesoft.softmax(hosted(x), axis=1, out=out) is out
        assert_same_bits(y, want, y.strides)
    out = hosted(x)
    stablesoft.softmax(out, axis=1, out=out)
    assert_same_bits(x, want, "in place")


@pytest.mark.parametrize(("out", "error", "message"), [
    (np.empty((3, 4)), TypeError, "out is an array of numpy and the input one of cupy"),
    (hosted(np.empty((4, 3))), ValueError, "out must have shape"),
    (hosted(np.empty((3, 4), "float32")), TypeError, "out must have dtype"),
    (hosted(np.empty((3, 4)), device=1), ValueError, "device 1"),
    ([1.0], TypeError, "out must be an array"),
])  # fmt: skip
def test_bad_out(device, out, error, message):
    with pytest.raises(error, match=message):
        stablesoft.softmax(hosted(np.ones((3, 4))), axis=1, out=out)
    assert not device.made


def test_declined(device):
    """What the kernels do not take, the definition gets."""
    x = hosted(np.ones((3, 4)))
    for options in ({"temperature": 2.0}, {"floor": 0.5}, {"floor": 1.0}, {"where": True}):
        assert _cupy.answer("softmax", x, 1, **options) is None
    assert _cupy.answer("logsumexp", x, 1, None, False, True) is None
    assert _cupy.answer("logsumexp", x, 1, x, False, False) is None
    for axis in (2, (1, 1), 1.0, (), True):
        assert _cupy.answer("softmax", x, axis) is None
    assert _cupy.answer("softmax", hosted(np.ones((3, 4), "int64")), 1) is None
    assert not device.made


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", [*_cuda.UNARY, *_cuda.BINARY])
def test_elementwise(device, name, kind):
    random = np.random.default_rng(5)
    a, b = random.uniform(0, 1, (2, 20, 30)).astype(kind)
    for first, second in (
        (a, b),
        (a[::2, ::-1], b[:10, :1]),
        (np.asfortranarray(a), np.asfortranarray(b)),
        (a[0, 0], b),
    ):
        arguments = (first, second) if name in _cuda.BINARY else (first,)
        function = getattr(stablesoft, name)
        want = np.asarray(function(*arguments))
        got = function(*(hosted(np.asarray(x)) for x in arguments))
        assert_same_bits(seen(got), want, first.shape)
        y = np.empty((*want.shape, 2), kind)[..., 0]
        out = hosted(y)
        assert function(*(hosted(np.asarray(x)) for x in arguments), out=out) is out
        assert_same_bits(y, want, "out")
    assert all(launched == f"{name}_{kind}" for launched in device.made)
    with pytest.raises(ValueError, match="device 1"):
        function(*[hosted(a)] * len(arguments), out=hosted(b, device=1))
