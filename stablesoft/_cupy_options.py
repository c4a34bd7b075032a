"""softmax and its relatives of CuPy arrays with `where`, a temperature or a floor.

A temperature or a floor has a kernel of its own. `where` alone does not: what does not take part becomes -inf before
the usual kernels, and gets its own result after them, in two more launches. The bits are NumPy's in both cases.
"""

import math

import cupy
import numpy as np

from . import _cuda_options, _cupy, _cupy_weights

_ABSENT = {"softmax": 0.0, "log_softmax": -math.inf}


def answer(operation, x, axis, keepdims, out, *, temperature=1.0, floor=None, where=None):
    """The result, or None for the definition to compute it; the arguments as in _cupy.answer."""
    if where is not None and not fits(where, x, "?"):
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
    with _cupy.device_of(x):
        return _run(operation, x, axes, out, float(temperature), 0.0 if floor is None else float(floor), where)


def fits(other, x, kind):
    """Whether a mask, or weights, can be spread over x as the kernels want it: an array of this type code."""
    if type(other) is not cupy.ndarray or other.dtype.char != kind or other.data.device_id != x.data.device_id:
        return False
    try:
        return np.broadcast_shapes(other.shape, x.shape) == x.shape
    except ValueError:
        return False


def _answer_where(operation, x, axis, keepdims, out, where):
    if operation == "logmeanexp":  # each row has a count of its own
        return _cupy_weights.reduce(operation, x, axis, keepdims, out, None, where)
    with _cupy.device_of(x):
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
        y = _cupy.empty_like(x)
    else:
        x = _cupy._apart(x, y)
    if where is not None:
        where = where if where.shape == x.shape else cupy.broadcast_to(where, x.shape)
    steps = None if where is None else where.strides
    key = (operation, x.dtype.char, x.shape, x.strides, axes, y.strides, steps, temperature, floor, x.data.device_id)
    call = _cupy._plans.get(key) or _cupy.remember(
        key, _cuda_options.plan_options(operation, _cupy._DTYPES[x.dtype.char], x.shape, axes, x.strides, y.strides,
                                        steps, temperature, floor)
    )  # fmt: skip
    if call is None:
        return None
    _cupy.launch(call, tuple(map(_cupy.pointer_to, (x, y, where))))
    return y
