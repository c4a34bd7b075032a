"""CuPy arrays to the CUDA kernels of label smoothing and of probabilities, as _cupy_losses does it for labels alone."""

import math
from typing import NamedTuple

import cupy
import numpy as np
from cupy.cuda import runtime
from cupy.cuda.function import CNumpyArray

from . import _cuda_dense, _cupy, _cupy_losses
from ._loss_arguments import REDUCTIONS, check_labels

_HAVE_KERNELS = "efd"  # probabilities that the kernels read; integers are converted first


class _Call(NamedTuple):
    """A plan, ready to be launched on one device."""

    launches: tuple  # of (function, grid, block, whether it takes `dense`)
    structs: tuple  # geometry, options, dense
    scratch: int
    keep: object  # the memory that they point into


def cross_entropy(logits, labels, axis, *, weight, ignored, smoothing, z_loss, reduction, return_grad, weighs,
                  factor=1.0, divisor=None, cap=math.inf, name="labels", given=None):
    """Softmax cross-entropy with a probability for every class; None where the kernels do not take it.

    Parameters
    ----------
    logits, labels, axis, weight, ignored, z_loss, reduction, return_grad, weighs, factor, divisor, cap, name, given
        As for _cupy_losses.cross_entropy; the labels may be probabilities in the shape of the logits.
    smoothing : float
        In [0, 1].
    """
    dtype = _cupy._DTYPES.get(logits.dtype.char)
    ndim, shape = logits.ndim, logits.shape
    if dtype is None or 0 in shape or type(axis) is not int or not -ndim <= axis < ndim:
        return None
    if type(labels) is not cupy.ndarray or type(return_grad) is not bool or reduction not in REDUCTIONS:
        return None
    axis %= ndim
    kept = shape[:axis] + shape[axis + 1 :]
    soft = labels.shape == shape
    wide = "d" if dtype == "float64" else "f"
    if soft:
        if ignored is not None or labels.dtype.kind not in "buif":
            return None
        labels = labels if labels.dtype.char in _HAVE_KERNELS else labels.astype(wide)
    elif labels.shape != kept or labels.dtype.char not in _cupy_losses._SIGNED:
        return None
    if ignored is not None and (type(ignored) is not int or not -(1 << 62) < ignored < 1 << 62):
        return None
    if weight is not None:
        if type(weight) is not cupy.ndarray or weight.shape != (shape[axis],) or weight.dtype.char not in "fd":
            return None
        weight = weight if weight.dtype.char == wide else weight.astype(wide)
    device = logits.data.device_id
    if labels.data.device_id != device or (weight is not None and weight.data.device_id != device):
        return None  # the definition names what is wrong
    if _cupy_losses.CHECKED and not soft:
        seen = [None if one is None else cupy.asnumpy(one) for one in (labels, given)]
        check_labels(np, seen[0], shape[axis], ignored, name, seen[1])
    options = (ignored, float(smoothing), z_loss, reduction, weighs, factor, divisor, cap)
    if runtime.getDevice() == device:
        return _run(logits, labels, axis, weight, dtype, kept, return_grad, options)
    with logits.device:
        return _run(logits, labels, axis, weight, dtype, kept, return_grad, options)


def _run(x, labels, axis, weight, dtype, kept, return_grad, options):
    soft = labels.shape == x.shape
    gradient = _cupy_losses._empty_like(x) if return_grad else None
    labels = labels if soft else cupy.ascontiguousarray(labels)
    weight = None if weight is None else cupy.ascontiguousarray(weight)
    value = cupy.empty(kept if options[3] == "none" else (), x.dtype)
    steps, steps_t = (None if one is None else one.strides for one in (gradient, labels if soft else None))
    aligned = (x.data.ptr | (0 if gradient is None else gradient.data.ptr)) % 16 == 0
    key = ("dense", dtype, x.shape, x.strides, axis, steps, steps_t, aligned, labels.dtype.char, weight is not None,
           options, x.data.device_id)  # fmt: skip
    call = _cupy._plans.get(key)
    if call is None:
        call = _remember(key, _plan(dtype, x, axis, steps, steps_t, aligned, labels, weight, *options))
    if call is None:
        return None
    scratch = cupy.empty(call.scratch, "d") if call.scratch else None
    arrays = (scratch, None if soft else labels, weight, labels if soft else None, value)
    pointers = [0 if one is None else one.data.ptr for one in arrays]
    geometry, loss, dense = call.structs
    for function, grid, block, takes_dense in call.launches:
        structs = (geometry, loss, dense) if takes_dense else (geometry, loss)
        function(grid, block, (x.data.ptr, 0 if gradient is None else gradient.data.ptr, *structs, *pointers))
    return value if gradient is None else (value, gradient)


def _plan(dtype, x, axis, steps, steps_t, aligned, labels, weight, ignored, smoothing, z_loss, reduction, weighs,
          factor, divisor, cap):  # fmt: skip
    mean, soft = reduction == "mean", steps_t is not None
    counted = mean and divisor is None and not soft and (ignored is not None or (weighs and weight is not None))
    if not mean:
        divisor = 1.0
    elif divisor is None:
        divisor = float(x.size // x.shape[axis])
    return _cuda_dense.plan_dense(
        dtype, x.shape, axis, x.strides, steps, steps_t, aligned, smoothing, labels.dtype.itemsize if soft else 0,
        weight is not None, ignores=ignored is not None, ignored=ignored or 0,
        label_bytes=0 if soft else _cupy_losses._SIGNED[labels.dtype.char], weight_single=dtype != "float64",
        weighs=weighs, summed=reduction != "none", counted=counted, z_loss=z_loss, cap=cap, factor=factor,
        divisor=divisor)  # fmt: skip


def _remember(key, plan):
    if plan is None:
        return None
    launches = tuple((_cupy._function(one.kernel), one.grid, one.block, one.kernel.startswith(("dense", "smooth")))
                     for one in plan.launches)  # fmt: skip
    keep = plan.geometry, plan.options, plan.dense
    return _cupy._keep(key, _Call(launches, tuple(map(CNumpyArray, keep)), plan.scratch, keep))
