r"""The losses of Caffe's layers SoftmaxWithLoss and SigmoidCrossEntropyLoss, for old models and for those who compare.

Both divide the sum of their losses, and its gradient, by the larger of 1 and

=============  =======================================  ============================
normalization  softmax_with_loss                        sigmoid_cross_entropy_loss
=============  =======================================  ============================
"full"         number of labels                         number of targets
"valid"        number of labels that are not ignored    same of the targets
"batch_size"   product of all dimensions before `axis`  length of the first dimension
"none"         1                                        1
=============  =======================================  ============================

as `normalization` says, in any case of letters. Where that is None, Caffe's older `normalize` decides: True is "valid",
False is "batch_size". Where both are None, it is "valid" for the softmax layer and "batch_size" for the sigmoid layer.

>>> from stablesoft import caffe
>>> float(caffe.softmax_with_loss([[0.0, 40.0], [0.0, 0.0]], [1, 255], ignore_label=255))  # doctest: +ELLIPSIS
4.248354255291...e-18
"""

import functools
import math

import numpy as np

from ._arrays import as_array, dtype_name
from ._lent import over_views
from ._loss_answers import answer_sigmoid, answer_softmax
from ._loss_arguments import are_halves, as_axis, as_flag, as_ignored, as_logits, as_number, as_real, cast_back, is_kind
from ._loss_masks import join, split
from ._reductions import softmax

__all__ = ["sigmoid_cross_entropy_loss", "softmax_with_loss"]

NORMALIZATIONS = ("full", "valid", "batch_size", "none")
CAP = 87.3365447505531  # 126 ln 2, rounded: -log(FLT_MIN), from which Caffe bounds the probability below


@over_views()
def softmax_with_loss(
    data,
    label,
    *,
    axis=1,
    ignore_label=None,
    normalize=None,
    normalization=None,
    loss_weight=1.0,
    clamp=True,
    return_prob=False,
    return_grad=False,
):
    r"""Cross-entropy of softmax probabilities against labels, as Caffe's layer SoftmaxWithLoss computes it.

    .. math:: L = \frac{1}{\max(1, n)} \sum_i \min\left(\log \sum_j e^{x_{ij}} - x_{i y_i},\; 126 \log 2\right)

    Parameters
    ----------
    data : array_like
        Logits x, with the classes along `axis`, such as (N, C) or (N, C, H, W).
    label : array_like
        One label y for each place of `data` without `axis`, in C order; any shape of that size whose first dimension is
        that of `data`, such as (N, 1, H, W), (N, H, W) or (N, H * W). Fractions are cut off toward zero: -0.5 is 0.
    axis : int, optional
        Where the classes are; negative counts from the end.
    ignore_label : int, optional
        A label that costs nothing, also where it is no class; 32 bits.
    normalize : bool, optional
        Caffe's older flag, see `normalization`.
    normalization : {"valid", "full", "batch_size", "none"}, optional
        What n counts: the labels that are not ignored, all labels, the product of the dimensions before `axis`, or 1.
        None: True in `normalize` is "valid" and False is "batch_size"; without both it is "valid".
    loss_weight : float, optional
        A factor of the gradient. It does not touch the loss.
    clamp : bool, optional
        Let no place cost more than 126 ln 2 = 87.3365, as Caffe does; the gradient does not know of it.
    return_prob : bool, optional
        Return the softmax probabilities, too.
    return_grad : bool, optional
        Return the gradient of loss_weight times the loss with respect to `data`, too.

    Returns
    -------
    loss : scalar
        In the dtype of `data`, float64 for integers; 0 where everything is ignored.
    prob : array
        Only with `return_prob`: in the shape and dtype of `data`, also where the label is ignored.
    grad : array
        Only with `return_grad`: in the shape and dtype of `data`; exactly 0 where the label is ignored.

    Raises
    ------
    TypeError
        For input that is not real and numeric, or an option of a wrong type.
    ValueError
        For a label that is no class and not ignored, named with its place; shapes that do not fit; an option out of
        range.

    See Also
    --------
    stablesoft.softmax_cross_entropy : The same loss with the conventions of today.

    Notes
    -----
    **Accuracy.** For float32 and float64 on NumPy the loss and each element of the gradient are within 4 ulp, each
    probability within 1 ulp, however small. Elsewhere as good as the library's exp and log.

    **Special values.** A label at -inf costs 126 ln 2, or inf without `clamp`. With k logits at +inf each of them has
    the probability 1/k. Where a place that counts has a NaN, or nothing but -inf, the loss and its gradient are NaN.

    **Masked arrays.** A masked label is ignored, and so is one without any logit; a masked logit is no class. What is
    masked is masked in `prob` and `grad`.

    **Beside Caffe** [1]_. A label that is no class is an error here and an access outside the array there. Small
    losses, and small gradients at the label, keep their digits here, where -log p and p - 1 have lost them. A logit at
    +inf gives NaN there. The probabilities can be had as a second output, which Caffe's set-up refuses.

    **Beside PyTorch.** ``cross_entropy`` divides by the number of labels that are not ignored, too, but 0 / 0 is NaN;
    it has no upper bound on the loss; it ignores -100 unless told otherwise; its classes are always along axis 1.

    **Method.** That of :func:`stablesoft.softmax_cross_entropy`. Sums over places are exact, so they depend on no
    order. A library that derives the loss by itself meets the bound of 126 ln 2, where its derivative is 0.

    References
    ----------
    .. [1] Caffe, ``src/caffe/layers/softmax_loss_layer.cpp`` and the messages LossParameter and SoftmaxParameter of
       ``src/caffe/proto/caffe.proto``, https://github.com/BVLC/caffe

    Examples
    --------
    >>> import numpy as np
    >>> from stablesoft import caffe
    >>> data = np.zeros((1, 2, 1, 2))  # N, C, H, W
    >>> loss, grad = caffe.softmax_with_loss(data, [[0, 255]], ignore_label=255, return_grad=True)
    >>> float(loss)  # doctest: +ELLIPSIS
    0.693147180559945...
    >>> grad[0, :, 0, :].tolist()
    [[-0.5, 0.0], [0.5, 0.0]]
    """
    (data, hidden), (label, missing) = split(data), split(label)
    xp, x, dtype = as_logits(data, "data", are_halves(data))
    axis = as_axis(axis, x.ndim)
    ignored = _as_ignored(ignore_label)
    mode = _as_normalization(normalization, normalize, "valid")
    factor = as_number(loss_weight, "loss_weight", -math.inf)
    cap = CAP if as_flag(clamp, "clamp") else math.inf
    return_prob, return_grad = as_flag(return_prob, "return_prob"), as_flag(return_grad, "return_grad")
    kept = tuple(n for i, n in enumerate(x.shape) if i != axis)
    given = _as_beside(xp, label, "label", x, kept)
    outer = math.prod(kept[:axis])
    # The loss itself counts the labels that are not ignored, and over nothing it is 0.
    divisor = {"full": math.prod(kept), "valid": None, "batch_size": outer, "none": 1}[mode]

    labels = xp.reshape(given if is_kind(xp, given.dtype, "integral") else _cut_off(xp, given, ignored), kept)
    missing = None if missing is None else missing.reshape(kept)
    result = answer_softmax(
        xp, x, axis, labels, None, hidden, missing, ignored=ignored, reduction="mean", return_grad=return_grad,
        factor=factor, divisor=None if divisor is None else max(1.0, float(divisor)), cap=cap, name="label",
        given=given)  # fmt: skip
    if return_prob:
        loss, *grad = result if return_grad else (result,)
        result = (loss, softmax(join(x, hidden), axis=axis), *grad)
    return cast_back(xp, result, dtype)


@over_views()
def sigmoid_cross_entropy_loss(
    data, target, *, ignore_label=None, normalize=None, normalization=None, loss_weight=1.0, return_grad=False
):
    r"""Binary cross-entropy of logits against targets, as Caffe's layer SigmoidCrossEntropyLoss computes it.

    .. math:: L = \frac{1}{\max(1, n)} \sum_i \left[\max(x_i, 0) - x_i t_i + \log(1 + e^{-|x_i|})\right]

    Parameters
    ----------
    data : array_like
        Logits x, of at least one dimension; the first is the batch.
    target : array_like
        One target t for each logit, in C order; any shape of that size whose first dimension is that of `data`.
        Probabilities as a rule, but any number is taken.
    ignore_label : int, optional
        Targets that are this number once their fraction is cut off toward zero cost nothing; 32 bits. So 0 leaves out
        everything between -1 and 1, and -1 everything above -2 up to -1.
    normalize : bool, optional
        Caffe's older flag, see `normalization`.
    normalization : {"batch_size", "valid", "full", "none"}, optional
        What n counts: the length of the first dimension, the targets that are not ignored, all targets, or 1.
        None: True in `normalize` is "valid" and False is "batch_size"; without both it is "batch_size".
    loss_weight : float, optional
        A factor of the gradient. It does not touch the loss.
    return_grad : bool, optional
        Return the gradient of loss_weight times the loss with respect to `data`, too.

    Returns
    -------
    loss : scalar
        In the dtype of `data`, float64 for integers; 0 where everything is ignored.
    grad : array
        Only with `return_grad`: in the shape and dtype of `data`; exactly 0 where the target is ignored.

    Raises
    ------
    TypeError
        For input that is not real and numeric, or an option of a wrong type.
    ValueError
        For shapes that do not fit, or an option out of range.

    See Also
    --------
    stablesoft.sigmoid_cross_entropy : The same loss with the conventions of today.

    Notes
    -----
    **Accuracy.** For float32 and float64 on NumPy, targets in [0, 1] and a `loss_weight` of at most 2^64 the loss is
    within 4 ulp, and each element of the gradient within 4 ulp for targets 0 and 1, within 4 ulp of the larger of its
    two parts sigma(x) and t for others. Outside [0, 1] terms of both signs may cancel. Elsewhere as good as the
    library's exp and log.

    **Special values.** At an infinity that agrees with its target the loss is 0. A NaN that is not ignored, in `data`
    or in `target`, makes the loss NaN.

    **Masked arrays.** What is masked in `data` or `target` is ignored, and masked in `grad`.

    **Beside Caffe** [1]_. There a loss on the right side is 0 beyond 16.6 (float) or 36.7 (double), and a gradient
    below -38; here both keep their digits. An infinity that agrees with its target gives NaN there. For targets
    outside [0, 1] Caffe's GPU code adds up absolute values; this is the sum of its CPU code.

    **Beside PyTorch.** ``binary_cross_entropy_with_logits`` divides by the number of elements, which is "full" here.

    **Method.** That of :func:`stablesoft.sigmoid_cross_entropy`. The sum is exact, so it depends on no order.

    References
    ----------
    .. [1] Caffe, ``src/caffe/layers/sigmoid_cross_entropy_loss_layer.cpp`` and the message LossParameter of
       ``src/caffe/proto/caffe.proto``, https://github.com/BVLC/caffe

    Examples
    --------
    >>> from stablesoft import caffe
    >>> loss, grad = caffe.sigmoid_cross_entropy_loss([[0.0, 40.0]], [[1.0, -1.0]], ignore_label=-1, return_grad=True)
    >>> float(loss)  # doctest: +ELLIPSIS
    0.693147180559945...
    >>> grad.tolist()
    [[-0.5, 0.0]]
    """
    (data, hidden), (target, missing) = split(data), split(target)
    halves = are_halves(data, target)
    xp, x, dtype = as_logits(data, "data", halves)
    if x.ndim == 0:
        raise ValueError("data must have at least one dimension, the batch")
    ignored = _as_ignored(ignore_label)
    mode = _as_normalization(normalization, normalize, "batch_size")
    factor = as_number(loss_weight, "loss_weight", -math.inf)
    return_grad = as_flag(return_grad, "return_grad")
    targets = xp.reshape(_as_beside(xp, target, "target", x, x.shape, halves), x.shape)
    missing = None if missing is None else missing.reshape(x.shape)
    # Without anything that counts the loss is 0, whatever it is divided by.
    divisor = {"full": float(math.prod(x.shape)), "valid": None, "batch_size": float(x.shape[0]), "none": 1.0}[mode]
    t = as_real(xp, targets, x, "target")
    result = answer_sigmoid(xp, x, t, hidden, missing, reduction="mean", return_grad=return_grad, factor=factor,
                            divisor=divisor, ignored=_without_fraction(xp, targets, t, ignored, halves))  # fmt: skip
    return cast_back(xp, result, dtype)


def _as_normalization(normalization, normalize, default):
    """The name of a normalization, in small letters."""
    if normalize is not None:
        default = "valid" if as_flag(normalize, "normalize") else "batch_size"
    if normalization is None:
        return default
    if not isinstance(normalization, str) or normalization.lower() not in NORMALIZATIONS:
        names = ", ".join(map(repr, NORMALIZATIONS))
        raise ValueError(f"normalization must be one of {names}, not {normalization!r}")
    return normalization.lower()


def _as_ignored(ignore_label):
    """None or a Python int of 32 bits, as in Caffe's parameters."""
    ignored = as_ignored(ignore_label, "ignore_label")
    if ignored is not None and not -(2**31) <= ignored < 2**31:
        raise ValueError(f"ignore_label must fit in 32 bits, not be {ignored}")
    return ignored


def _as_beside(xp, values, name, x, shape, halves=False):
    """Labels or targets as they are, one for each place of `shape`; `halves` as for as_logits."""
    array = as_array(xp, values, name, x)
    size = math.prod(shape)
    if array.ndim == 0 or array.shape[0] != x.shape[0] or math.prod(array.shape) != size:
        raise ValueError(
            f"{name} must have the first dimension of data {tuple(x.shape)}, which is {x.shape[0]}, and {size} elements"
            f" in all; its shape is {tuple(array.shape)}"
        )
    return array if is_kind(xp, array.dtype, "integral") else as_logits(array, name, halves)[1]


def _without_fraction(xp, targets, t, ignored, halves):
    """Targets, and between which two of them they are the ignored one without its fraction; `t`: as the loss has them.

    None without an ignored one.
    """
    if ignored is None:
        return None
    # Small integers are nothing else in another type.
    if not (is_kind(xp, targets.dtype, "integral") and abs(ignored) < 2**24):
        t = as_logits(targets, "target", halves)[1]
    dtype = t.dtype if type(t) is np.ndarray else np.dtype(dtype_name(t.dtype))
    return t, *_truncated_to(ignored, np.float32 if halves else dtype.type)


@functools.lru_cache
def _truncated_to(label, kind):
    """The smallest and the largest number of a floating type that are `label` without their fraction; NaN for none."""
    number = kind(label)
    if int(number) != label:
        return math.nan, math.nan
    # Where the type has no fractions any more, a step of 1 may lead nowhere.
    with np.errstate(under="ignore"):
        below, above = np.nextafter(number - kind(1), kind(math.inf)), np.nextafter(number + kind(1), kind(-math.inf))
    return float(min(number, below) if label <= 0 else number), float(max(number, above) if label >= 0 else number)


def _cut_off(xp, numbers, ignored):
    """Floating-point numbers as integers of 32 bits, fractions cut off toward zero as in C.

    What has no such integer becomes one that is neither ignored nor a class.
    """
    outside = -1.0 if ignored != -1 else -2.0
    whole = xp.trunc(numbers)
    return xp.astype(xp.where((whole >= -(2.0**31)) & (whole < 2.0**31), whole, outside), xp.int32)
