"""On a CUDA device: NumPy's bits, accuracy, edges, streams, graphs."""

import contextlib

import numpy as np
import pytest
from test_reproducibility import assert_same_bits, hard_matrix

import stablesoft
from cases import PLAIN, rows
from emulation import OPERATIONS, tiled, values
from exact import worst
from stablesoft import _cuda_kernels

cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
DEVICES = 0
with contextlib.suppress(Exception):  # no driver
    DEVICES = cupy.cuda.runtime.getDeviceCount()
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(DEVICES == 0, reason="no CUDA device")]
KINDS = pytest.mark.parametrize("kind", ["float16", "float32", "float64"])


def on_gpu(operation, x, axis, **options):
    return cupy.asnumpy(getattr(stablesoft, operation)(cupy.asarray(x), axis=axis, **options))


def on_cpu(operation, x, axis, **options):
    return getattr(stablesoft, operation)(x, axis=axis, **options)


@pytest.mark.parametrize("case", PLAIN, ids=lambda case: case.id)
def test_accuracy(case, dtype):
    for name, row in rows(dtype).items():
        got = cupy.asnumpy(case(stablesoft, cupy.asarray(row), axis=0))
        error, place = worst(got, case.values(row), dtype)
        assert error <= case.bound, f"{name}: {error} ulp at {place}"


@OPERATIONS
def test_named_rows(operation, dtype):
    for name, row in rows(dtype).items():
        assert_same_bits(on_gpu(operation, row, 0), on_cpu(operation, row, 0), name)


@OPERATIONS
@KINDS
def test_lengths(operation, kind):
    random = np.random.default_rng(3)
    lengths = [*range(1, 70), 96, 127, 128, 129, 255, 256, 257, 511, 512, 513, 1000, 1023, 1024, 1025, 2047, 2048, 2049]
    lengths += [4095, 4096, 4097, 8192, 10001, 32768, 65537]
    for n in lengths:
        for outer in (1, 3, 37):
            x = random.normal(0, random.choice([1.0, 30.0]), (outer, n)).astype(kind)
            assert_same_bits(on_gpu(operation, x, 1), on_cpu(operation, x, 1), x.shape)


@OPERATIONS
@pytest.mark.parametrize("kind", _cuda_kernels.IN_FLOATS)
@pytest.mark.usefixtures("slow_doubles")
def test_in_floats(operation, kind):
    """The kernels for devices on which doubles are slow, on any device."""
    random = np.random.default_rng(13)
    for n in (1, 7, 32, 33, 128, 200, 500, 1000, 4096, 5000, 100_000):
        for scale in (1.0, 30.0, 20000.0):
            x = np.clip(random.normal(0, scale, (3 if n > 5000 else 300, n)), -6e4, 6e4).astype(kind)
            for array, axis in ((x, 1), (np.ascontiguousarray(x.T), 0)):
                assert_same_bits(on_gpu(operation, array, axis), on_cpu(operation, array, axis), (n, scale, axis))


@OPERATIONS
@pytest.mark.parametrize("n", [21, 1000, 4000, 9000, 50_000])
def test_hard_rows(operation, dtype, n):
    for outer in (90, 700 if n < 10_000 else 3):
        x = tiled(dtype, outer, n)
        assert_same_bits(on_gpu(operation, x, 1), on_cpu(operation, x, 1), "rows")
        columns = np.ascontiguousarray(x.T)
        assert_same_bits(on_gpu(operation, columns, 0), on_cpu(operation, columns, 0), "columns")


@OPERATIONS
@pytest.mark.parametrize("n", [5, 33, 700, 5000])
def test_layouts(operation, dtype, n):
    x = hard_matrix(dtype, 37, n)
    base = cupy.asarray(x)
    tripled = cupy.repeat(base, 3, axis=1)
    padded = cupy.full((37, n + 3), 77, dtype)
    padded[:, 1 : n + 1] = base
    columns = cupy.full((n, 74), 77, dtype)
    columns[:, ::2] = base.T
    arrays = {
        "F": (cupy.asfortranarray(base), 1),
        "transposed": (cupy.ascontiguousarray(base.T), 0),
        "strided along the axis": (tripled[:, 1::3], 1),
        "padded": (padded[:, 1 : n + 1], 1),
        "columns, strided": (columns[:, ::2], 0),
        "negative": (cupy.ascontiguousarray(base[::-1, ::-1])[::-1, ::-1], 1),
        "broadcast": (cupy.broadcast_to(base[:, :, None], (37, n, 3))[:, :, 1], 1),
    }
    for name, (array, axis) in arrays.items():
        got = cupy.asnumpy(getattr(stablesoft, operation)(array, axis=axis))
        if operation not in _cuda_kernels.REDUCTIONS:
            got = np.moveaxis(got, axis, 1)
        assert_same_bits(got, on_cpu(operation, x, 1), name)


@OPERATIONS
def test_random_shapes(operation, dtype):
    random = np.random.default_rng(11)
    for _ in range(150):
        ndim = int(random.integers(1, 6))
        shape = tuple(int(n) for n in random.integers(1, 24, ndim))
        whole = random.normal(0, 4, [2 * n for n in shape]).astype(dtype)
        steps = [slice(None, None, 2) if random.random() < 0.3 else slice(n) for n in shape]
        axes = tuple(int(i) for i in random.permutation(ndim)[: random.integers(1, ndim + 1)])
        order = tuple(int(i) for i in random.permutation(ndim))
        x = whole[tuple(steps)].transpose(order)
        y = cupy.asarray(whole)[tuple(steps)].transpose(order)
        got = cupy.asnumpy(getattr(stablesoft, operation)(y, axis=axes))
        assert_same_bits(got, on_cpu(operation, x, axes), (shape, order, axes))


@KINDS
@pytest.mark.parametrize("name", [*_cuda_kernels.UNARY, *_cuda_kernels.BINARY])
def test_elementwise(name, kind):
    function = getattr(stablesoft, name)
    a, b = values(kind, 100_000), values(kind, 100_000)[::-1].copy()
    for first, second in ((a, b), (-np.abs(a), b), (a[1:], b[1:]), (a[:900].reshape(30, 30).T, b[:30])):
        arguments = (first, second) if name in _cuda_kernels.BINARY else (first,)
        got = cupy.asnumpy(function(*map(cupy.asarray, arguments)))
        assert_same_bits(got, function(*arguments), first.shape)
    x = cupy.asarray(a)
    assert_same_bits(
        cupy.asnumpy(function(*[x[::-3]] * len(arguments))), function(*[a[::-3]] * len(arguments)), "strides"
    )


@pytest.mark.parametrize("kind", _cuda_kernels.IN_FLOATS)
@pytest.mark.parametrize("name", [*_cuda_kernels.UNARY, *_cuda_kernels.BINARY])
@pytest.mark.usefixtures("slow_doubles")
def test_elementwise_in_floats(name, kind):
    function = getattr(stablesoft, name)
    random = np.random.default_rng(14)
    wide = random.choice([-1, 1], 1_000_000) * np.exp2(random.uniform(-16, 7, 1_000_000))
    for x in (values(kind, 100_000), wide.astype(kind)):
        for argument in (x, -np.abs(x), np.abs(x)):
            arguments = (argument, x[::-1].copy()) if name in _cuda_kernels.BINARY else (argument,)
            got = cupy.asnumpy(function(*map(cupy.asarray, arguments)))
            assert_same_bits(got, function(*arguments), x.size)


@OPERATIONS
@KINDS
def test_empty(operation, kind):
    for shape, axis in (((0,), 0), ((3, 0), 1), ((0, 3), 1), ((0, 3), 0), ((2, 0, 4), None)):
        x = np.empty(shape, kind)
        assert_same_bits(on_gpu(operation, x, axis), on_cpu(operation, x, axis), shape)


def test_integers():
    x = np.random.default_rng(1).integers(-9, 9, (30, 40))
    for operation in _cuda_kernels.OPERATIONS:
        for kind in ("int64", "uint8", "bool"):
            assert_same_bits(on_gpu(operation, x.astype(kind), 1), on_cpu(operation, x.astype(kind), 1), kind)


def test_near_zero(dtype):
    """Normalised log-probabilities, all of which the ladder takes."""
    z = np.random.default_rng(6).normal(0, 2, (3000, 100))
    x = (z - np.log(np.exp(z).sum(axis=1, keepdims=True))).astype(dtype)
    assert_same_bits(on_gpu("logsumexp", x, 1), on_cpu("logsumexp", x, 1), "rows")


def test_one_large_row(dtype):
    x = np.random.default_rng(7).normal(0, 3, (1, 30_000_000)).astype(dtype)
    for operation in ("logsumexp", "softmax"):
        assert_same_bits(on_gpu(operation, x, 1), on_cpu(operation, x, 1), operation)


def test_out(dtype):
    x = np.random.default_rng(8).normal(size=(70, 130)).astype(dtype)
    want = on_cpu("softmax", x, 1)
    for out in (
        cupy.empty(x.shape, dtype),
        cupy.empty(x.shape, dtype, order="F"),
        cupy.empty((70, 260), dtype)[:, ::2],
    ):
        assert stablesoft.softmax(cupy.asarray(x), axis=1, out=out) is out
        assert_same_bits(cupy.asnumpy(out), want, out.strides)
    for n in (130, 20_000):
        x = np.random.default_rng(8).normal(size=(3, n)).astype(dtype)
        out = cupy.asarray(x)
        stablesoft.softmax(out, axis=1, out=out)
        assert_same_bits(cupy.asnumpy(out), on_cpu("softmax", x, 1), "in place")
    wide = cupy.asarray(np.tile(x[0], (2, 1)))
    shifted = wide.ravel()[1 : 1 + n].reshape(1, n)  # overlaps the input
    want = on_cpu("softmax", cupy.asnumpy(wide.ravel()[:n].reshape(1, n)), 1)
    stablesoft.softmax(wide.ravel()[:n].reshape(1, n), axis=1, out=shifted)
    assert_same_bits(cupy.asnumpy(shifted), want, "overlap")


def test_mixed_libraries():
    x = cupy.ones((3, 4))
    with pytest.raises(TypeError, match="out is an array of numpy and the input one of cupy"):
        stablesoft.softmax(x, axis=1, out=np.empty((3, 4)))
    with pytest.raises(TypeError):
        stablesoft.logsumexp(np.ones(3), b=cupy.ones(3), out=np.empty(()))


@OPERATIONS
def test_other_stream(operation, dtype):
    """On the current stream: what is queued before is seen, and nothing has to be waited for."""
    x = np.random.default_rng(9).normal(size=(2000, 1000)).astype(dtype)
    stream = cupy.cuda.Stream(non_blocking=True)
    y = cupy.zeros_like(x)
    cupy.cuda.get_current_stream().synchronize()
    with stream:
        for _ in range(20):
            y += 1.0
        y *= 0.0
        y += cupy.asarray(x)
        got = getattr(stablesoft, operation)(y, axis=1)
    stream.synchronize()
    assert_same_bits(cupy.asnumpy(got), on_cpu(operation, x, 1), operation)


def fetched(result):
    """One result or several, as a tuple of NumPy's arrays."""
    return tuple(map(cupy.asnumpy, result)) if isinstance(result, tuple) else (cupy.asnumpy(result),)


def assert_same_results(got, want, what):
    """Of CuPy and of NumPy, one result or several."""
    for one, other in zip(fetched(got), want if isinstance(want, tuple) else (want,), strict=True):
        assert_same_bits(one, np.asarray(other), what)


def lent(options):
    return {name: cupy.asarray(one) if isinstance(one, np.ndarray) else one for name, one in options.items()}


def check_captured(function, x, *arguments, **options):
    """A call that is captured in a graph answers for whatever x holds when the graph is launched."""
    on_device, *others = map(cupy.asarray, (x, *arguments))
    named = lent(options)
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        function(on_device, *others, **named)  # loads the kernels and fills the stream's memory pool
        stream.begin_capture()
        result = function(on_device, *others, **named)  # whose memory belongs to the graph's pool
        graph = stream.end_capture()
        for fresh in (x, x[::-1] * 2):
            on_device.set(fresh)
            graph.launch()
            stream.synchronize()
            assert_same_results(result, function(fresh, *arguments, **options), x.shape)


@OPERATIONS
@pytest.mark.parametrize("shape", [(64, 100), (8, 9000), (1, 200_000), (20_000, 64)])
def test_capture(operation, dtype, shape):
    x = np.random.default_rng(10).normal(size=shape).astype(dtype)
    check_captured(getattr(stablesoft, operation), x, axis=0 if shape[0] > 1000 else 1)


@pytest.mark.skipif(DEVICES < 2, reason="one CUDA device only")
def test_other_device(dtype):
    x = np.random.default_rng(12).normal(size=(50, 60)).astype(dtype)
    with cupy.cuda.Device(1):
        y = cupy.asarray(x)
    got = stablesoft.softmax(y, axis=1)
    assert got.device.id == 1
    assert_same_bits(cupy.asnumpy(got), on_cpu("softmax", x, 1), "device 1")
    with pytest.raises(ValueError, match="device"):
        stablesoft.softmax(y, axis=1, out=cupy.empty(x.shape, dtype))
