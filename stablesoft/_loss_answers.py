"""Who answers a loss whose arguments are in normal form: the kernels, or the definition in array-API terms.

The public losses and Caffe's end here.
"""

import math

import numpy as np
from array_api_compat import is_cupy_namespace

from . import _native
from ._arrays import cast, dtype_name
from ._loss_arguments import check_labels, compiled, kernel_labels
from ._loss_definitions import sigmoid_definition, softmax_definition
from ._loss_masks import either, join, masked_softmax_loss


def answer_softmax(xp, x, axis, labels, targets, hidden, missing, **options):
    """Answer any softmax loss from arguments in normal form.

    Parameters
    ----------
    xp, x, axis : namespace, array, int
        The logits.
    labels, targets : array
        Integers, not checked yet, or probabilities; the other one is None.
    hidden, missing : array
        Masks of the logits, and of the labels or probabilities; None where there are none.
    **options
        Those of `_answer_softmax`.

    Returns
    -------
    loss or (loss, gradient)
        In the library and dtype of x; masked where there are masks.
    """
    if hidden is None and missing is None:
        return _answer_softmax(xp, x, axis, labels, targets, **options)
    return masked_softmax_loss(_answer_softmax, xp, x, axis, labels, targets, hidden, missing, **options)


def _answer_softmax(xp, x, axis, labels, targets, *, ignored, reduction, return_grad, weight=None, weighs=False,
                    smoothing=0.0, z_loss=0.0, gamma=0.0, factor=1.0, divisor=None, cap=math.inf, name="labels",
                    given=None):
    """The same without masks.

    Parameters
    ----------
    xp, x, axis, labels, targets
        As above.
    ignored, reduction, return_grad, weight, smoothing, z_loss, gamma
        As in the public functions.
    weighs : bool
        The mean divides by the weights of the labels, not by their number.
    factor : float
        Of the gradient.
    divisor : float
        Of loss and gradient where the reduction is "mean"; None: what the weights and labels call for.
    cap : float
        Largest loss of one row; the gradient does not know it.
    name, given : str, array
        What an error calls the labels, and how the user gave them where that is in another form.
    """
    result = None
    if compiled(xp, x):
        wide = None if weight is None else np.ascontiguousarray(weight, dtype=np.float64)
        result = _native.softmax_loss(x, axis, *kernel_labels(labels, ignored), targets, wide, smoothing, z_loss, gamma,
                                      factor, divisor, cap, reduction, weighs, return_grad)  # fmt: skip
    elif is_cupy_namespace(xp):
        from . import _cupy_losses  # imports CuPy

        result = _cupy_losses.cross_entropy(
            x, targets if labels is None else labels, axis, weight=weight, ignored=ignored, smoothing=smoothing,
            z_loss=z_loss, gamma=gamma, reduction=reduction, return_grad=return_grad, weighs=weighs, factor=factor,
            divisor=divisor, cap=cap, name=name, given=given,
        )  # fmt: skip
    if result is None and labels is not None:
        check_labels(xp, labels, x.shape[axis], ignored, name, given)
    if result is None:
        x = _widened(xp, x)
        with np.errstate(all="ignore"):  # infinities, NaN and underflow are answers here, not accidents
            result = softmax_definition(
                xp, x, axis, labels, targets, weight=weight, ignored=ignored, smoothing=smoothing, z_loss=z_loss,
                gamma=gamma, factor=factor, divisor=divisor, cap=cap, reduction=reduction, weighs=weighs,
                return_grad=return_grad)  # fmt: skip
    return result


def _widened(xp, x):
    """Halves as float32, in which they are computed."""
    return cast(xp, x, xp.float32) if dtype_name(x.dtype) == "float16" else x


def answer_sigmoid(xp, x, t, hidden, missing, *, reduction, return_grad, weight=None, positive=None, focal=False,
                   alpha=math.nan, gamma=0.0, factor=1.0, divisor=None, ignored=None):
    """Answer any sigmoid loss from arguments in normal form, with the parameters of the same names as above.

    What does not count costs nothing, and the mean does not know of it: what is masked, and where in `ignored`, (array,
    least, most), an element lies between those two. Arrays have the shape of x.
    """
    result = counts = None
    mask = either(hidden, missing)
    if is_cupy_namespace(xp):
        from . import _cupy_losses  # imports CuPy

        result = _cupy_losses.sigmoid(x, t, weight=weight, positive=positive, reduction=reduction, factor=factor,
                                      return_grad=return_grad, divisor=divisor, ignored=ignored, focal=focal,
                                      alpha=alpha, gamma=gamma)  # fmt: skip
    if result is None:
        x, t = _widened(xp, x), _widened(xp, t)
    if result is None and ignored is not None:
        values, (least, most) = _widened(xp, ignored[0]), ignored[1:]
        counts = ~((values >= least) & (values <= most))
    if mask is not None:
        counts = np.asarray(~mask if counts is None else counts & ~mask)  # ~ makes a scalar of a 0-d array
    if compiled(xp, x):
        if divisor is None:
            divisor = float(x.size if counts is None else np.count_nonzero(counts))
        result = _native.sigmoid_loss(x, t, weight, positive, counts, focal, alpha, gamma, factor, divisor, reduction,
                                      return_grad)  # fmt: skip
    if result is None:
        with np.errstate(all="ignore"):
            result = sigmoid_definition(xp, x, t, weight=weight, positive=positive, counts=counts, focal=focal,
                                        alpha=alpha, gamma=gamma, factor=factor, divisor=divisor, reduction=reduction,
                                        return_grad=return_grad)  # fmt: skip
    if mask is None:
        return result
    loss, *grad = result if return_grad else (result,)
    loss = join(loss, mask) if reduction == "none" else loss
    return (loss, join(grad[0], mask)) if return_grad else loss
