"""Dask's arrays: blocks of NumPy's that hold whole slices go to the compiled kernels, the rest to the definitions.

A slice that lies in several chunks is brought together, which gives NumPy's bits for any chunking, as long as it is no
larger than Dask's own chunks may be. Beyond that the definitions reduce it chunk by chunk. They only build a graph, and
what computes it later knows no np.errstate, so the blocks themselves carry it: there they are arrays of a type of their
own until the result is made.
"""

import functools
import math

import dask
import dask.array as da
import numpy as np

from . import _native
from ._arrays import as_axes

_SHAPES = ("softmax", "log_softmax", "logcumsumexp")  # functions whose results have the shape of x


def answer(name, x, axis, *rest, out=None, where=None, **options):
    """The result of a reduction, a softmax or logcumsumexp, or None for the definition to compute it.

    Parameters
    ----------
    name : str
        The function's name.
    x : dask.array.Array
        Its first argument.
    axis : object
        Its second.
    *rest, **options : object
        The others: `b`, `keepdims`, `return_sign` by position, the rest by name.
    out : object
        Where the result goes, None for a new array.
    where : object
        What takes part.
    """
    reduces = name in ("logsumexp", "logmeanexp")
    if not reduces and name not in _SHAPES:
        return None
    b, keepdims, return_sign = rest if len(rest) == 3 else (None, *rest, False) if reduces else (None, True, False)
    arrays = {key: array for key, array in (("b", b), ("where", where)) if array is not None}
    if out is not None or return_sign or not _of_numpy(x) or not all(map(_of_dask, arrays.values())):
        return None
    if x.dtype not in (np.float32, np.float64) or (b is not None and b.dtype != x.dtype):
        return None
    if any(np.broadcast_shapes(x.shape, array.shape) != x.shape for array in arrays.values()):
        return None
    axes = tuple(range(x.ndim)) if axis is None else as_axes(axis, x.ndim)
    options["axis"] = axis
    if reduces:
        options["keepdims"] = keepdims
    sample = getattr(_native, name)(np.zeros((1,) * x.ndim, x.dtype), **options)  # raises what is to be raised
    slices = _whole(x, axes) if axes and x.ndim else None
    if slices is None or sample.ndim != (x.ndim if keepdims else x.ndim - len(axes)):
        return None
    blocks = [da.broadcast_to(array, x.shape).rechunk(slices.chunks) for array in arrays.values()]
    result = da.map_blocks(
        functools.partial(_block, name, tuple(arrays), options),
        slices,
        *blocks,
        dtype=x.dtype,
        meta=np.empty((0,) * sample.ndim, x.dtype),
        drop_axis=() if keepdims else axes,
        chunks=_ones(slices, axes) if reduces and keepdims else None,
    )
    return result if reduces else result.rechunk(x.chunks)


def answer_elementwise(name, arrays, out=None):  # noqa: ARG001
    """Nothing: Dask itself hands its blocks to ufuncs."""
    return None


def _block(name, keys, options, x, *arrays):
    x, *arrays = map(_plain, (x, *arrays))
    return getattr(_native, name)(x, **dict(zip(keys, arrays, strict=True)), **options)


def _of_numpy(x):
    """Blocks are NumPy's, and their lengths are known."""
    return isinstance(x._meta, np.ndarray) and not any(map(math.isnan, x.shape))


def _of_dask(array):
    return isinstance(array, da.Array) and _of_numpy(array)


def _whole(x, axes):
    """x with one chunk along the axes; None where no chunk may be as large as that."""
    if all(len(x.chunks[axis]) == 1 for axis in axes):
        return x
    limit = dask.utils.parse_bytes(dask.config.get("array.chunk-size")) // x.dtype.itemsize
    if math.prod(x.shape[axis] for axis in axes) > limit:
        return None
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    largest = math.prod(x.shape[axis] if axis in axes else max(x.chunks[axis], default=0) for axis in range(x.ndim))
    return x.rechunk({**dict.fromkeys(axes, -1), **dict.fromkeys(kept if largest > limit else (), "auto")})


def _ones(x, axes):
    return tuple((1,) if axis in axes else x.chunks[axis] for axis in range(x.ndim))


class Quiet(np.ndarray):
    """An array for whose functions infinities, NaN and underflow are answers, not accidents."""

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        inputs = [_plain(one) for one in inputs]
        if "out" in options:
            options["out"] = tuple(_plain(one) for one in options["out"])
        with np.errstate(all="ignore"):
            return _quiet(getattr(ufunc, method)(*inputs, **options))

    def __array_function__(self, function, types, args, kwargs):
        with np.errstate(all="ignore"):
            return _quiet(super().__array_function__(function, types, args, kwargs))


def _plain(value):
    return value.view(np.ndarray) if isinstance(value, Quiet) else value


def _quiet(value):
    return value.view(Quiet) if type(value) is np.ndarray else value


def quiet(x):
    """x with quiet blocks, if they are NumPy's."""
    return x.map_blocks(_quiet, dtype=x.dtype, meta=_quiet(x._meta)) if type(x._meta) is np.ndarray else x


def plain(x):
    """x with NumPy's blocks again; what Dask knows of them does not tell whether they are quiet."""
    return x.map_blocks(_plain, dtype=x.dtype, meta=_plain(x._meta)) if isinstance(x._meta, np.ndarray) else x
