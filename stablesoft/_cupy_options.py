"""softmax and its relatives of CuPy arrays with `where`, a temperature or a floor.

A temperature or a floor has a kernel of its own. `where` alone does not: what does not take part becomes -inf before
the usual kernels, and gets its own result after them, in two more launches. The bits are NumPy's in both cases.
"""

import contextlib
import math

import cupy
import numpy as np
from cupy.cuda import runtime
from cupy.cuda.function import CNumpyArray

from . import _cuda_options, _cupy

_ABSENT = {"softmax": 0.0, "log_softmax": -math.inf}


def answer(operation, x, axis, keepdims, out, *, temperature=1.0, floor=None, where=None):
    """The result, or None for the definition to compute it; the arguments as in _cupy.answer."""
    if where is not None and not _fits(where, x):
        return None
    if temperature == 1 and floor is None:
        return None if where is None else _answer_where(operation, x, axis, keepdims, out, where)
    axes = _cupy._axes(axis, x.ndim)
    right = type(temperature) in (int, float) and 0.0 < temperature < math.inf
    if operation not in _ABSENT or not axes or not right or x.size == 0:
        return None
    if floor is not None and not (type(floor) in (int, float) and 0.0 < floor <= 1.0):
        return None
    if out is not None:
        _cupy._check_out(out, x, x.shape)
    with _device_of(x):
        return _run(operation, x, axes, out, float(temperature), 0.0 if floor is None else float(floor), where)


def _device_of(x):
    """The context in which x's device is the current one."""
    return contextlib.nullcontext() if runtime.getDevice() == x.data.device_id else x.device


def _fits(where, x):
    if type(where) is not cupy.ndarray or where.dtype.char != "?" or where.data.device_id != x.data.device_id:
        return False
    try:
        return np.broadcast_shapes(where.shape, x.shape) == x.shape
    except ValueError:
        return False


def _answer_where(operation, x, axis, keepdims, out, where):
    if operation == "logmeanexp" or x.dtype.char not in "efd":  # each row would have a count of its own
        return None
    with _device_of(x):
        taken = cupy.where(where, x, x.dtype.type(-math.inf))
        if operation not in _ABSENT:
            return _cupy.answer(operation, taken, axis, keepdims, out=out)
        if out is not None:
            _cupy._check_out(out, x, x.shape)
        result = _cupy.answer(operation, taken, axis)
        if result is None:
            return None
        result = cupy.where(where, result, x.dtype.type(_ABSENT[operation]))
        if out is None:
            return result
        cupy.copyto(out, result)
        return out


def _run(operation, x, axes, out, temperature, floor, where):
    y = out
    if y is None:
        fortran = x.flags.f_contiguous and not x.flags.c_contiguous
        y = cupy.empty(x.shape, x.dtype, order="F" if fortran else "C")
    else:
        x = _cupy._apart(x, y)
    if where is not None:
        where = where if where.shape == x.shape else cupy.broadcast_to(where, x.shape)
    steps = None if where is None else where.strides
    key = (operation, x.dtype.char, x.shape, x.strides, axes, y.strides, steps, temperature, floor, x.data.device_id)
    call = _cupy._plans.get(key)
    if call is None:
        dtype = _cupy._DTYPES[x.dtype.char]
        plan = _cuda_options.plan(operation, dtype, x.shape, axes, x.strides, y.strides, steps, temperature, floor)
        if plan is None:
            return None
        ((kernel, grid, block),) = plan.launches
        call = _cupy._keep(key, (_cupy._function(kernel), grid, block, *map(CNumpyArray, plan.geometry), plan.geometry))
    function, grid, block, geometry, options, _ = call
    function(grid, block, (x.data.ptr, y.data.ptr, 0 if where is None else where.data.ptr, geometry, options))
    return y
