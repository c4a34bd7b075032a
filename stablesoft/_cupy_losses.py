"""CuPy arrays to the CUDA kernels of the losses, as _cupy does it for the other functions.

Label smoothing, and probabilities in place of labels, have kernels of their own (_cuda_dense.py). Labels stay on the
device and are not looked at: one out of range makes the loss and the gradient of its row NaN. With STABLESOFT_CHECK=1
in the environment they are fetched first, for the error that NumPy's arrays get; the environment is read once, when the
first CuPy array comes.
"""

import math
import os

import cupy
import numpy as np

from . import _cuda_dense, _cuda_losses, _cupy
from ._loss_arguments import REDUCTIONS, check_labels

CHECKED = os.environ.get("STABLESOFT_CHECK") == "1"
_SIGNED = {"b": 1, "h": 2, "i": 4, "l": 8, "q": 8, "B": -1, "H": -2, "I": -4}
_READ = "efd"  # probabilities that the kernels read; integers are converted first


def answer(name, logits, *arguments, **options):
    """The result of a public loss for a CuPy array, or None for the definition to compute it."""
    return _LOSSES[name](logits, *arguments, **options) if name in _LOSSES else None


def _softmax_cross_entropy(logits, labels, axis=-1, *, weight=None, ignore_index=None, label_smoothing=0.0, z_loss=0.0,
                           reduction="mean", return_grad=False):
    if type(label_smoothing) not in (int, float) or not 0 <= label_smoothing <= 1:
        return None
    if type(z_loss) not in (int, float) or not 0 <= z_loss < math.inf:
        return None
    return cross_entropy(logits, labels, axis, weight=weight, ignored=ignore_index, smoothing=label_smoothing,
                         z_loss=z_loss, reduction=reduction, return_grad=return_grad, weighs=True)  # fmt: skip


def _softmax_focal_loss(logits, labels, axis=-1, *, alpha=None, gamma=2.0, ignore_index=None, reduction="mean",
                        return_grad=False):
    if type(gamma) not in (int, float) or not 0 <= gamma < math.inf:
        return None
    return cross_entropy(logits, labels, axis, weight=alpha, ignored=ignore_index, gamma=float(gamma),
                         reduction=reduction, return_grad=return_grad, weighs=False)  # fmt: skip


def cross_entropy(logits, labels, axis, *, weight, ignored, reduction, return_grad, weighs, smoothing=0.0, z_loss=0.0,
                  gamma=0.0, factor=1.0, divisor=None, cap=math.inf, name="labels", given=None):
    """Softmax cross-entropy or focal loss: loss or (loss, gradient); None where there is no kernel.

    Parameters
    ----------
    logits, labels, axis, weight, ignored, reduction, return_grad, smoothing, z_loss, gamma
        As the user gave them, or in normal form; labels may be probabilities in the shape of the logits. Where the mean
        does not weigh, one number is a weight for all labels.
    weighs, factor, divisor, cap, name, given
        As in _loss_answers.answer_softmax.
    """
    dtype = _cupy._DTYPES.get(logits.dtype.char)
    ndim, shape = logits.ndim, logits.shape
    if dtype is None or 0 in shape or type(axis) is not int or not -ndim <= axis < ndim:
        return None
    if type(labels) is not cupy.ndarray or type(return_grad) is not bool or reduction not in REDUCTIONS:
        return None
    axis %= ndim
    kept, soft = shape[:axis] + shape[axis + 1 :], labels.shape == shape
    dense = soft or smoothing != 0.0
    if dense and gamma != 0.0:
        return None
    wide, alpha = "d" if dtype == "float64" else "f", 1.0
    if soft:
        if ignored is not None or labels.dtype.kind not in "buif":
            return None
        labels = labels if labels.dtype.char in _READ else labels.astype(wide)
    elif labels.shape != kept or labels.dtype.char not in _SIGNED:
        return None
    if ignored is not None and (type(ignored) is not int or not -(1 << 62) < ignored < 1 << 62):
        return None
    if type(weight) in (int, float) and not weighs and not dense and 0 <= weight < math.inf:
        with np.errstate(over="ignore"):
            weight, alpha = None, float(np.dtype(wide).type(weight))
    if weight is not None:
        if type(weight) is not cupy.ndarray or weight.shape != (shape[axis],) or weight.dtype.char not in "fd":
            return None
        weight = weight if weight.dtype.char == wide else weight.astype(wide)
    device = logits.data.device_id
    if labels.data.device_id != device or (weight is not None and weight.data.device_id != device):
        return None  # the definition names what is wrong
    if CHECKED and not soft:
        seen = [None if one is None else cupy.asnumpy(one) for one in (labels, given)]
        check_labels(np, seen[0], shape[axis], ignored, name, seen[1])
    options = (ignored, float(smoothing), z_loss, gamma, alpha, reduction, weighs, factor, divisor, cap,
               weight is not None)  # fmt: skip
    with _cupy.device_of(logits):
        return _run_cross_entropy(logits, labels, axis, weight, dtype, kept, return_grad, options)


def _run_cross_entropy(x, labels, axis, weight, dtype, kept, return_grad, options):
    gradient = _cupy.empty_like(x) if return_grad else None
    soft = labels.shape == x.shape
    labels = labels if soft else cupy.ascontiguousarray(labels)
    weight = None if weight is None else cupy.ascontiguousarray(weight)
    value = cupy.empty(kept if options[5] == "none" else (), x.dtype)
    steps, steps_t = (None if one is None else one.strides for one in (gradient, labels if soft else None))
    aligned = (x.data.ptr | _cupy.pointer_to(gradient)) % 16 == 0
    key = ("cross_entropy", dtype, x.shape, x.strides, axis, steps, steps_t, aligned, labels.dtype.char, options,
           x.data.device_id)  # fmt: skip
    call = _cupy._plans.get(key) or _cupy.remember(
        key, _plan_cross_entropy(dtype, x, axis, steps, steps_t, aligned, labels, *options)
    )
    if call is None:
        return None
    targets, labels = (labels, None) if soft else (None, labels)
    _launch(call, x, gradient, labels, weight, targets, value)
    return value if gradient is None else (value, gradient)


def _plan_cross_entropy(dtype, x, axis, steps, steps_t, aligned, labels, ignored, smoothing, z_loss, gamma, alpha,
                        reduction, weighs, factor, divisor, cap, weighted):
    mean, soft = reduction == "mean", steps_t is not None
    counted = mean and divisor is None and not soft and (ignored is not None or (weighs and weighted))
    if not mean:
        divisor = 1.0
    elif divisor is None:
        divisor = float(x.size // x.shape[axis])
    options = {"ignores": ignored is not None, "ignored": ignored or 0, "weighs": weighs, "z_loss": z_loss,
               "label_bytes": 0 if soft else _SIGNED[labels.dtype.char], "weight_single": dtype != "float64",
               "summed": reduction != "none", "counted": counted, "gamma": gamma, "alpha": alpha, "cap": cap,
               "factor": factor, "divisor": divisor}  # fmt: skip
    place = dtype, x.shape, axis, x.strides, steps
    if soft or smoothing != 0.0:
        size = labels.dtype.itemsize if soft else 0
        return _cuda_dense.plan_dense(*place, steps_t, aligned, smoothing, size, weighted, **options)
    device = x.data.device_id
    return _cuda_losses.plan_cross_entropy(*place, aligned, _cupy.slow_doubles(device), _cupy.multiprocessors(device),
                                           **options)  # fmt: skip


def _sigmoid_cross_entropy(logits, targets, *, weight=None, pos_weight=None, reduction="mean", return_grad=False):
    return sigmoid(logits, targets, weight=weight, positive=pos_weight, reduction=reduction, return_grad=return_grad)


def _sigmoid_focal_loss(logits, targets, *, alpha=None, gamma=2.0, reduction="mean", return_grad=False):
    numbers = (gamma, 0.5 if alpha is None else alpha)
    if any(type(one) not in (int, float) for one in numbers) or not (0 <= gamma < math.inf and 0 <= numbers[1] <= 1):
        return None
    alpha = math.nan if alpha is None else float(alpha)
    return sigmoid(logits, targets, weight=None, positive=None, reduction=reduction, return_grad=return_grad,
                   focal=True, alpha=alpha, gamma=float(gamma))  # fmt: skip


def sigmoid(logits, targets, *, weight, positive, reduction, return_grad, factor=1.0, divisor=None, ignored=None,
            focal=False, alpha=math.nan, gamma=0.0):
    """The sigmoid losses, as `cross_entropy` is those of labels; the parameters are those of _loss_answers."""
    dtype = _cupy._DTYPES.get(logits.dtype.char)
    if dtype is None or logits.size == 0 or type(return_grad) is not bool or reduction not in REDUCTIONS:
        return None
    arrays = [targets, *(one for one in (weight, positive) if one is not None)]
    device = logits.data.device_id
    for one in arrays:
        if type(one) is not cupy.ndarray or one.dtype != logits.dtype or one.data.device_id != device:
            return None
    if targets.shape != logits.shape or (ignored is not None and ignored[0].dtype != logits.dtype):
        return None
    spread = []
    for one in (weight, positive):
        if one is not None and one.shape != logits.shape:
            try:
                if np.broadcast_shapes(one.shape, logits.shape) != logits.shape:
                    return None
            except ValueError:
                return None
            one = cupy.broadcast_to(one, logits.shape)
        spread.append(one)
    options = {"summed": reduction != "none", "factor": factor, "counted": False, "focal": focal, "alpha": alpha,
               "gamma": gamma}  # fmt: skip
    if ignored is not None:
        options["least"], options["most"] = ignored[1:]
        options["counted"] = reduction == "mean" and divisor is None
    if reduction != "mean":
        divisor = 1.0
    elif divisor is None:
        divisor = float(logits.size)
    options["divisor"] = divisor
    with _cupy.device_of(logits):
        return _run_sigmoid(logits, targets, *spread, dtype, return_grad, options)


def _run_sigmoid(x, targets, weight, positive, dtype, return_grad, options):
    summed = options["summed"]
    gradient = _cupy.empty_like(x) if return_grad else None
    value = cupy.empty(() if summed else x.shape, x.dtype)
    arrays = (x, targets, weight, positive, gradient, None if summed else value)
    steps = tuple(None if one is None else one.strides for one in arrays)
    aligned = all(one is None or one.data.ptr % 16 == 0 for one in arrays)
    key = ("sigmoid_cross_entropy", dtype, x.shape, steps, aligned, *options.items(), x.data.device_id)
    call = _cupy._plans.get(key) or _cupy.remember(
        key, _cuda_losses.plan_sigmoid(dtype, x.shape, steps, aligned, _cupy.slow_doubles(x.data.device_id), **options)
    )
    if call is None:
        return None
    _launch(call, x, gradient, targets, weight, positive, value)
    return value if gradient is None else (value, gradient)


_LOSSES = {"softmax_cross_entropy": _softmax_cross_entropy, "softmax_focal_loss": _softmax_focal_loss,
           "sigmoid_cross_entropy": _sigmoid_cross_entropy, "sigmoid_focal_loss": _sigmoid_focal_loss}  # fmt: skip


def _launch(call, x, gradient, labels, weight, positive, value):
    scratch = _cupy.scratch_of(call)
    _cupy.launch(call, tuple(map(_cupy.pointer_to, (x, gradient, scratch, labels, weight, positive, value))))
