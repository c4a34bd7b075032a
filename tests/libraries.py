"""The array libraries that the suite runs over, and one call of everything public to run over them."""

import enum
import importlib
import math
import operator
import os
import types

import numpy as np

import stablesoft
from stablesoft import caffe, margin


class Library(enum.Enum):
    STRICT = "array_api_strict"
    UNKNOWN = "unknown"  # one that speaks the standard and that nobody has heard of
    DASK = "dask.array"
    LONG = "dask.array with slices longer than a chunk"
    TORCH = "torch"  # lent to the kernels
    AUTOGRAD = "torch.autograd"  # tensors that require a gradient
    JAX = "jax.numpy"  # lent, too; otherwise operation by operation, each compiled alone: slow
    JIT = "jax.jit"

    @property
    def light(self):
        """Whether `make test` has it; the others are installed by `make test-libraries`."""
        return self in (Library.STRICT, Library.UNKNOWN) or self.dask

    @property
    def dask(self):
        return self in (Library.DASK, Library.LONG)

    @property
    def lent(self):
        """Whether arrays of float32 and float64 go to the kernels, so that results have NumPy's bits."""
        return self in (Library.TORCH, Library.JAX)

    @property
    def has_devices(self):
        return self in (Library.STRICT, Library.TORCH, Library.JAX)

    def load(self):
        """The library's own module; an ImportError where it is missing."""
        if self is Library.UNKNOWN:
            return unknown
        if self in (Library.JAX, Library.JIT):
            # Two devices, and less time in the compiler.
            flags = "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"
            os.environ.setdefault("XLA_FLAGS", flags)
            importlib.import_module("jax").config.update("jax_enable_x64", True)
            return importlib.import_module("jax.numpy")
        return importlib.import_module({Library.AUTOGRAD: "torch", Library.LONG: "dask.array"}.get(self, self.value))

    def array(self, array):
        """A NumPy array in this library; in Dask, in blocks of 2, 3, ... elements along its axes."""
        array = np.asarray(array)
        if self.dask:
            return self.load().from_array(array, chunks=tuple(range(2, 2 + array.ndim)))
        array = self.load().asarray(array.copy())
        return array.requires_grad_() if self is Library.AUTOGRAD and array.dtype.is_floating_point else array

    @property
    def kind(self):
        return type(self.array(0.0))

    def numpy(self, array):
        """An array of this library in NumPy."""
        assert isinstance(array, self.kind), f"{type(array)} is no array of {self.value}"
        if self.dask:
            return np.asarray(array.compute(scheduler="synchronous"))
        if self is Library.AUTOGRAD:
            return array.detach().numpy()
        return array.array if self is Library.UNKNOWN else np.asarray(array)

    def building(self):
        """Where a graph of Dask is built, which must not be computed meanwhile."""
        options = {"array.chunk-size": "1 B"} if self is Library.LONG else {}
        return importlib.import_module("dask").config.set(scheduler=_refuse, **options)

    def run(self, function, *arrays):
        """function of NumPy arrays, computed in this library: what it returns, as a tuple of NumPy arrays."""
        arrays = [self.array(array) for array in arrays]
        if self is Library.JIT:
            function = importlib.import_module("jax").jit(function)
        if self.dask:
            with self.building():
                result = function(*arrays)
        else:
            result = function(*arrays)
        return tuple(map(self.numpy, as_tuple(result)))


def as_tuple(result):
    return result if isinstance(result, tuple) else (result,)


def _refuse(*args, **kwargs):  # noqa: ARG001
    raise AssertionError("Dask was asked to compute while the graph was built")


# ---- A library that nobody knows: NumPy behind the standard, and nothing that NumPy could look into. ----


class Unknown:
    device = "cpu"
    __array_ufunc__ = None

    def __init__(self, array):
        self.array = np.asarray(array)

    def __array_namespace__(self, *, api_version=None):
        return unknown

    def __getitem__(self, key):
        return Unknown(self.array[_bare(key)])

    def __bool__(self):
        return bool(self.array)

    def __int__(self):
        return int(self.array)

    def __float__(self):
        return float(self.array)

    shape, ndim, dtype, size = (
        property(lambda self, name=name: getattr(self.array, name)) for name in ("shape", "ndim", "dtype", "size")
    )


def _bare(value):
    if isinstance(value, (tuple, list)):
        return type(value)(map(_bare, value))
    return value.array if isinstance(value, Unknown) else value


def _forwarded(function):
    def call(*args, **kwargs):
        result = function(*_bare(args), **{name: _bare(value) for name, value in kwargs.items()})
        return Unknown(result) if isinstance(result, (np.ndarray, np.generic)) else result

    return call


def _swapped(function):
    return lambda a, b: function(b, a)


def _from_numpy(name):
    found = getattr(np, name)
    return _forwarded(found) if callable(found) and not isinstance(found, type) else found


for _name in "add sub mul truediv pow mod and or xor matmul lt le gt ge eq ne".split():
    _method = f"__{_name}__"
    setattr(Unknown, _method, _forwarded(getattr(operator, _method)))
    if _name[1:] not in ("t", "e", "q"):
        setattr(Unknown, f"__r{_name}__", _forwarded(_swapped(getattr(operator, _method))))
for _method in ("__neg__", "__pos__", "__abs__", "__invert__"):
    setattr(Unknown, _method, _forwarded(getattr(operator, _method)))
unknown = types.ModuleType("unknown")
vars(unknown)["__getattr__"] = _from_numpy


# ---- The calls ----


def _calls(random):
    """(name, function of arrays, arrays) of every public function, in float64."""
    x, weight = random.normal(0, 3, (6, 8)), random.normal(size=(5, 8))
    labels, targets = random.integers(0, 8, 6), random.uniform(size=(6, 8))
    mask, probabilities = random.uniform(size=(6, 8)) > 0.3, stablesoft.softmax(x, axis=1)

    def call(function, *arrays, **options):
        shown = ", ".join(f"{name}={value}" for name, value in options.items())
        return f"{function.__name__}({shown})", lambda *given: function(*given, **options), arrays

    for axis in (None, 0, 1, (0, 1)):
        for name in ("softmax", "log_softmax", "logsumexp", "logmeanexp"):
            function = getattr(stablesoft, name)
            yield call(function, x, axis=axis)
            masked = lambda x, where, function=function, axis=axis: function(x, axis=axis, where=where)  # noqa: E731
            yield f"{name}(axis={axis}, where)", masked, (x, mask)
    yield call(stablesoft.softmax, x, axis=1, temperature=2.0, floor=0.1)
    yield call(stablesoft.log_softmax, x, axis=0, temperature=2.0)
    weighted = lambda a, b: stablesoft.logsumexp(a, axis=1, b=b, return_sign=True)  # noqa: E731
    yield "logsumexp(b)", weighted, (x, random.normal(size=8))
    yield call(stablesoft.logcumsumexp, x)
    yield call(stablesoft.logcumsumexp, x, axis=0, reverse=True)
    yield call(stablesoft.logcumsumexp, x, axis=1, exclusive=True)
    for name in ("expit", "log_expit", "softplus"):
        yield call(getattr(stablesoft, name), x)
    yield call(stablesoft.logit, targets)
    yield call(stablesoft.log1mexp, -np.abs(x))
    yield call(stablesoft.logaddexp, x, targets)
    yield call(stablesoft.logsubexp, np.abs(x) + 2, targets)

    for reduction in ("mean", "sum", "none"):
        options = {"reduction": reduction, "return_grad": True}
        yield call(stablesoft.softmax_cross_entropy, x, labels, z_loss=0.1, **options)
        yield call(stablesoft.softmax_cross_entropy, x.T, labels, axis=0, ignore_index=1, **options)
        yield call(stablesoft.softmax_cross_entropy, x, probabilities, label_smoothing=0.1, **options)
        yield call(stablesoft.softmax_cross_entropy, x, labels, weight=[0.5, 1.0, 1.5, 2.0] * 2, **options)
        yield call(stablesoft.softmax_focal_loss, x, labels, alpha=0.3, **options)
        yield call(stablesoft.sigmoid_cross_entropy, x, targets, pos_weight=2.0, weight=[0.5] * 8, **options)
        yield call(stablesoft.sigmoid_focal_loss, x, targets, alpha=0.25, **options)
    for mode in caffe.NORMALIZATIONS:
        options = {"normalization": mode, "return_grad": True}
        yield call(caffe.softmax_with_loss, x, labels, ignore_label=2, return_prob=True, **options)
        yield call(caffe.softmax_with_loss, x, labels + 0.5, clamp=False, **options)
        yield call(caffe.sigmoid_cross_entropy_loss, x, 3 * targets, ignore_label=1, **options)
    classes = labels % 5
    for name in ("modified_softmax", "l_softmax", "a_softmax", "am_softmax", "arcface", "combined_margin"):
        yield call(getattr(margin, name), x, weight, classes, return_grad=True)
    yield call(margin.arcface, x, weight, classes, beyond="easy", gradient="detached", reduction="none")
    yield call(margin.psi, np.tanh(x), m=3)


CALLS = {name: (function, arrays) for name, function, arrays in _calls(np.random.default_rng(0))}

# Rows that have caught formulas out: nothing, infinities, a NaN, ties, huge and tiny numbers.
HARD_ROWS = [
    [-math.inf, 0.0, 1.0, -math.inf],
    [-math.inf] * 4,
    [math.inf, 0.0, math.inf, -math.inf],
    [math.nan, 0.0, 1.0, 2.0],
    [2.0, 2.0, 2.0, 2.0],
    [3e38, 3e38, 0.0, 1.0],
    [0.0, -1e-30, -100.0, -1e30],
    [-1e9, -3.3e38, 0.0, 1.0],
]
