"""Every public function over every array library: NumPy's results, in the library's own arrays, and lazily."""

import importlib
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_reproducibility import assert_same_bits

import stablesoft
from libraries import CALLS, HARD_ROWS, Library, as_tuple
from stablesoft import caffe, margin

REDUCTIONS = ("softmax", "log_softmax", "logsumexp", "logmeanexp")


def assert_close(got, expected):
    """As good as the library's exp and log: some ulp of the result, or of the largest element where parts cancel."""
    assert len(got) == len(expected)
    for value, right in zip(got, map(np.asarray, expected), strict=True):
        assert value.shape == right.shape and value.dtype == right.dtype
        eps = float(np.finfo(right.dtype).eps)
        largest = np.max(np.abs(right), initial=0.0, where=np.isfinite(right))
        np.testing.assert_allclose(value, right, rtol=200 * eps, atol=20 * eps * max(1.0, float(largest)))


@pytest.mark.parametrize("name", CALLS)
def test_same_as_numpy(library, name, dtype):
    function, arrays = CALLS[name]
    arrays = [array.astype(dtype) if array.dtype == "float64" else array for array in arrays]
    copies = [array.copy() for array in arrays]
    got, expected = library.run(function, *arrays), as_tuple(function(*arrays))
    if library.lent:
        for value, right in zip(got, expected, strict=True):
            assert_same_bits(value, np.asarray(right), name)
    assert_close(got, expected)
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("name", REDUCTIONS)
def test_hard_rows(library, name, dtype):
    x = np.array(HARD_ROWS, dtype)
    where = ~np.isnan(x) & (np.arange(4) != 2)
    function = getattr(stablesoft, name)
    assert_close(library.run(lambda x: function(x, axis=1), x), (function(x, axis=1),))
    masked = library.run(lambda x, where: function(x, axis=1, where=where), x, where)
    assert_close(masked, (function(x, axis=1, where=where),))


def test_losses_of_hard_rows(library, dtype):
    x = np.array(HARD_ROWS, dtype)
    labels, targets = np.array([1, 0, 2, 3, 0, 0, 1, -1]), (x > 0).astype(dtype)
    for options in ({"reduction": "none"}, {"reduction": "mean"}):
        function = lambda x, y: stablesoft.softmax_cross_entropy(x, y, ignore_index=-1, return_grad=True, **options)  # noqa: B023, E731
        assert_close(library.run(function, x, labels), function(x, labels))
        function = lambda x, t: stablesoft.sigmoid_cross_entropy(x, t, return_grad=True, **options)  # noqa: B023, E731
        assert_close(library.run(function, x, targets), function(x, targets))


@pytest.mark.parametrize("name", [*REDUCTIONS, "options", "weights", "logcumsumexp", "labels", "caffe", "margin"])
@pytest.mark.parametrize("dask", [Library.DASK, Library.LONG])
def test_dask_does_not_warn(dask, name, dtype):
    """Not even while it computes, out of reach of np.errstate; and its blocks are NumPy's own in the end."""
    limit = float(np.finfo(dtype).max)
    x = np.array([[limit, -limit, 0, 1], [-limit, -limit, limit, 2], [-limit, -1, 0, 1], *HARD_ROWS], dtype)
    labels = np.arange(len(x)) % 4
    function, arrays = {
        "options": (lambda x: stablesoft.softmax(x, axis=1, temperature=0.1, floor=0.1), (x,)),
        "weights": (lambda x, b: stablesoft.logsumexp(x, axis=1, b=b, return_sign=True), (x, x[:, ::-1])),
        "logcumsumexp": (lambda x: stablesoft.logcumsumexp(x, axis=1), (x,)),
        "labels": (lambda x, y: stablesoft.softmax_cross_entropy(x, y, z_loss=0.1, return_grad=True), (x, labels)),
        "caffe": (lambda x, y: caffe.softmax_with_loss(x, y, return_prob=True, return_grad=True), (x, labels)),
        "margin": (lambda x, w, y: margin.modified_softmax(x, w, y, return_grad=True), (x[:1], x[:4], labels[:1])),
    }.get(name, (lambda x: getattr(stablesoft, name)(x, axis=1), (x,)))
    with dask.building():
        results = as_tuple(function(*map(dask.array, arrays)))
    for result in results:
        assert type(result._meta) is np.ndarray and result.dtype == dtype
        assert type(result.compute(scheduler="synchronous")) in (np.ndarray, np.dtype(dtype).type)


@pytest.mark.parametrize("axis", [0, 1, -1, (0, 2), None, ()])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_dask_gives_the_bits_of_numpy(name, axis, dtype):
    """For any chunking, in the chunks of the input, as long as a slice is no larger than a chunk may be."""
    da = pytest.importorskip("dask.array")
    random = np.random.default_rng(5)
    x = random.normal(0, 9, (7, 50, 13)).astype(dtype)
    where, b = random.random(x.shape) < 0.7, random.random(x.shape).astype(dtype)
    function = getattr(stablesoft, name)
    calls = [{}, {"where": where}]
    calls += [{"keepdims": True}] if name.endswith("exp") else [{"temperature": 0.5}]
    calls += [{"b": b}, {"b": b, "where": where}] if name == "logsumexp" else []
    for call in calls:
        expected = np.asarray(function(x, axis=axis, **call))
        for chunks in ((3, 7, 5), x.shape, (1, 50, 1), ((2, 5), (49, 1), (4, 4, 5))):
            given = {key: da.from_array(v, chunks=4) if isinstance(v, np.ndarray) else v for key, v in call.items()}
            with Library.DASK.building():
                got = function(da.from_array(x, chunks=chunks), axis=axis, **given)
            assert got.dtype == dtype and got.shape == expected.shape
            assert name.endswith("exp") or got.chunks == da.from_array(x, chunks=chunks).chunks
            assert_same_bits(np.asarray(got.compute(scheduler="synchronous")), expected, (name, axis, chunks))


def test_dask_brings_no_more_together_than_a_chunk():
    """Slices that fit are computed in blocks that fit, too."""
    da, dask = pytest.importorskip("dask.array"), pytest.importorskip("dask")
    x = da.ones((64, 64), chunks=(64, 8))
    with dask.config.set({"array.chunk-size": "8 KiB"}):
        y = stablesoft.logsumexp(x, axis=1)
        assert max(y.chunks[0]) <= 16
        assert stablesoft.softmax(x, axis=1).chunks == x.chunks


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_half_precision(library, kind):
    """Computed in float32 and cast back: the bits of the float32 result, rounded once."""
    if kind == "bfloat16" and library.light:
        pytest.skip(f"{library.value} has no bfloat16")
    if library is Library.STRICT:
        pytest.skip("array-api-strict has no float16")
    xp = library.load()
    half, single = getattr(np if library.dask else xp, kind), xp.float32
    if library is Library.UNKNOWN:
        cast = xp.astype
    else:  # torch calls it otherwise
        cast = lambda a, to: a.astype(to) if hasattr(a, "astype") else a.to(to)  # noqa: E731
    x = cast(library.array(np.random.default_rng(1).normal(0, 4, (5, 7))), half)
    labels = library.array(np.array([0, 6, 3, 3, 1]))
    for function in (
        lambda x: stablesoft.softmax(x, axis=1),
        lambda x: stablesoft.log_softmax(x, axis=0),
        lambda x: stablesoft.logsumexp(x, axis=1),
        lambda x: stablesoft.softplus(x),
        lambda x: stablesoft.logcumsumexp(x, axis=1),
        lambda x: stablesoft.softmax_cross_entropy(x, labels, return_grad=True)[1],
        lambda x: stablesoft.sigmoid_cross_entropy(x, x * 0 + 1),
        lambda x: caffe.softmax_with_loss(x, labels, return_prob=True)[1],
        lambda x: margin.arcface(x, x[:3, :], labels % 3, reduction="none"),
    ):
        got, wide = function(x), function(cast(x, single))
        assert got.dtype == half and wide.dtype == single
        got, wide = (library.numpy(cast(a, single)) for a in (got, cast(wide, half)))
        if library.dask:  # its elementwise functions are NumPy's, which round float16 once, too
            np.testing.assert_allclose(got, wide, rtol=2e-3)
        else:
            np.testing.assert_array_equal(got, wide)


@pytest.mark.parametrize("name", REDUCTIONS)
def test_integers_lists_and_scalars(library, name):
    """Integers count as float64; lists, Python's and NumPy's scalars are brought to the library of the array."""
    function = getattr(stablesoft, name)
    x = np.array([[1, 5, 2], [3, 3, 3]], "int32")
    where = [[True, False, True]]
    got = library.run(lambda x: function(x, axis=1, where=where), x)
    assert_close(got, (function(x, axis=1, where=where),))
    if name == "logsumexp":
        for b in ([1.0, 2.0, 3.0], 2.0, np.float64(2.0)):
            assert_close(library.run(lambda x, b=b: function(x, axis=1, b=b), x), (function(x, axis=1, b=b),))


def refused(call, *words):
    with pytest.raises(TypeError) as error:
        call()
    for word in words:
        assert word in str(error.value), str(error.value)


@pytest.mark.parametrize("numpy_first", [False, True])
def test_two_libraries(library, numpy_first):
    """One error names the argument and both libraries, before anything is computed."""
    own, other = library.array, np.asarray
    name = library.value.partition(".")[0]
    if numpy_first:
        own, other = other, own
    x, y = np.ones((3, 4)), np.zeros(3, int)
    refused(lambda: stablesoft.softmax(own(x), where=other(x > 0)), "where", "numpy", name)
    refused(lambda: stablesoft.logsumexp(own(x), b=other(x)), "b is", "numpy", name)
    refused(lambda: stablesoft.softmax(own(x), out=other(x)), "out")
    refused(lambda: stablesoft.softmax_cross_entropy(own(x), other(y)), "labels", "numpy", name)
    refused(lambda: stablesoft.softmax_cross_entropy(own(x), own(y), weight=other(x[0])), "weight", "numpy", name)
    refused(lambda: stablesoft.sigmoid_cross_entropy(own(x), other(x)), "targets", "numpy", name)
    refused(lambda: caffe.softmax_with_loss(own(x), other(y)), "label", "numpy", name)
    refused(lambda: margin.arcface(own(x), other(x), own(y)), "weight", "numpy", name)
    refused(lambda: margin.arcface(own(x), own(x), other(y)), "labels", "numpy", name)
    if not library.dask:  # Dask's arrays answer ufuncs themselves, and take NumPy's
        refused(lambda: stablesoft.logaddexp(own(x), other(x)), "x2", "numpy", name)


def elsewhere(library, array):
    """The array on a device that is not the usual one."""
    if library is Library.STRICT:
        device = library.load().Device("device1")
    elif library is Library.TORCH:
        device = "meta"  # shapes and dtypes without values
    else:
        jax = importlib.import_module("jax")
        return jax.device_put(library.array(array), jax.devices()[1])
    return library.load().asarray(library.array(array), device=device)


def test_device_is_kept(library_with_devices):
    library = library_with_devices
    calls = list(CALLS.items())
    for name, (function, arrays) in calls[::10] if library is Library.JAX else calls:
        arrays = [elsewhere(library, array) for array in arrays]
        for result in as_tuple(function(*arrays)):
            assert result.device == arrays[0].device, name


def test_two_devices(library_with_devices):
    library = library_with_devices
    x, y = np.ones((3, 4)), np.zeros(3, int)
    here, there = library.array(x), elsewhere(library, x)
    if library is Library.JAX:  # an array that the user has put nowhere goes where the others are
        assert stablesoft.logsumexp(there, b=here).device == there.device
        here = importlib.import_module("jax").device_put(here, importlib.import_module("jax").devices()[0])
    refused(lambda: stablesoft.softmax(here, where=there > 0), "where", "device")
    refused(lambda: stablesoft.logsumexp(there, b=here), "b is", "device")
    refused(lambda: stablesoft.softmax_cross_entropy(here, elsewhere(library, y)), "labels", "device")
    refused(lambda: stablesoft.logaddexp(here, there), "x2", "device")


def test_labels_out_of_range(library):
    """An error where values can be seen at once, NaN where they can not."""
    x, labels = np.zeros((2, 3)), np.array([1, 3])
    for function in (
        lambda x, y: stablesoft.softmax_cross_entropy(x, y, reduction="none"),
        lambda x, y: margin.am_softmax(x + 1, x + 2, y, reduction="none"),
    ):
        if library is Library.JIT:
            (loss,) = library.run(function, x, labels)
            assert np.isfinite(loss[0]) and math.isnan(loss[1])
        elif not library.dask:
            with pytest.raises(ValueError, match=r"labels\[1\] is 3"):
                library.run(function, x, labels)


def test_nothing_is_imported():
    """Neither by the import nor by calls with NumPy arrays, lists and arrays of another library."""
    code = """
import sys
import array_api_strict
import numpy as np
import stablesoft
from stablesoft import caffe, margin
for x in (np.ones((2, 3)), [[1.0, 2.0, 3.0]] * 2, array_api_strict.ones((2, 3)), np.ones((2, 3), "float16")):
    stablesoft.softmax(x, axis=1), stablesoft.logsumexp(x), stablesoft.expit(x), stablesoft.logaddexp(x, 1.0)
    stablesoft.softmax_cross_entropy(x, [0, 1]), caffe.softmax_with_loss(x, [0, 1]), margin.arcface(x, x, [0, 1])
stablesoft.show_config("dicts")
print(*(name for name in ("torch", "jax", "dask", "cupy", "scipy", "sparse") if name in sys.modules))
"""
    found = str(Path(stablesoft.__file__).parents[1])
    path = os.pathsep.join(filter(None, [found, os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


@pytest.mark.parametrize("weight", [None, [1.0, 2.0, 3.0, 4.0]])
def test_nothing_but_bad_labels(weight):
    """Where labels can not be looked at, a batch of bad ones is NaN, and not a mean over nothing."""
    da = pytest.importorskip("dask.array")
    x, labels = da.zeros((3, 4), chunks=2), da.from_array(np.array([7, -1, 9]), chunks=2)
    loss, grad = stablesoft.softmax_cross_entropy(x, labels, weight=weight, return_grad=True)
    assert np.isnan(loss.compute()) and np.isnan(grad.compute()).all()
    labels = da.from_array(np.array([7, 1, 9]), chunks=2)
    grad = stablesoft.softmax_cross_entropy(x, labels, weight=weight, return_grad=True)[1].compute()
    assert np.isnan(grad).all(axis=1).tolist() == [True, False, True]
