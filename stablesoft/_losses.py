"""Cross-entropy and focal losses with their gradients: signatures and docstrings.

`_loss_arguments` brings the arguments into normal form, `_loss_answers` has them answered.
"""

import math

from ._dispatch import behind_door
from ._loss_answers import answer_sigmoid, answer_softmax
from ._loss_arguments import (
    as_axis,
    as_class_weight,
    as_elements,
    as_flag,
    as_ignored,
    as_logits,
    as_number,
    as_real,
    as_reduction,
    as_targets,
    cast_back,
)
from ._loss_masks import split

__all__ = ["sigmoid_cross_entropy", "sigmoid_focal_loss", "softmax_cross_entropy", "softmax_focal_loss"]


def _softmax_loss(logits, labels, axis, *, weight, ignored, reduction, return_grad, weight_name="weight", **options):
    """Answer any softmax loss from the user's arguments; `options` are those of `answer_softmax`."""
    (logits, hidden), (labels, missing) = split(logits), split(labels)
    xp, x, dtype = as_logits(logits)
    axis = as_axis(axis, x.ndim)
    reduction, return_grad = as_reduction(reduction), as_flag(return_grad, "return_grad")
    ignored = as_ignored(ignored)
    labels, targets = as_targets(xp, labels, x, axis)
    if targets is not None and ignored is not None:
        raise ValueError("ignore_index needs integer labels; give ignored rows the probability 0 everywhere")
    weight = as_class_weight(xp, weight, x, x.shape[axis], weight_name, scalar=weight_name == "alpha")
    result = answer_softmax(xp, x, axis, labels, targets, hidden, missing, weight=weight, ignored=ignored,
                            reduction=reduction, return_grad=return_grad, **options)  # fmt: skip
    return cast_back(xp, result, dtype)


@behind_door
def softmax_cross_entropy(logits, labels, axis=-1, *, weight=None, ignore_index=None, label_smoothing=0.0, z_loss=0.0,
                          reduction="mean", return_grad=False):
    r"""Cross-entropy of logits against labels or probabilities, with its gradient.

    .. math:: \ell = \sum_c w_c t_c \left(\log \sum_j e^{x_j} - x_c\right)

    Parameters
    ----------
    logits : array_like
        Shape (..., C, ...), with the C classes along `axis`.
    labels : array_like
        Integers in [0, C) in the shape of `logits` without `axis`, or probabilities t in the shape of `logits`.
    axis : int, optional
        Where the classes are; the last axis by default.
    weight : array_like, optional
        One weight w for each class, shape (C,); of any sign.
    ignore_index : int, optional
        A label that costs nothing; any integer.
    label_smoothing : float, optional
        e in [0, 1]: t becomes (1 - e) t + e / C.
    z_loss : float, optional
        Adds this much of the squared log-sum-exp, times the row's sum of w t.
    reduction : {"mean", "sum", "none"}, optional
        "mean" divides by the weights of the labels that count (labels) or by the number of rows (probabilities).
    return_grad : bool, optional
        Return the gradient with respect to the logits, too: that of the mean, or of the sum for "sum" and "none".

    Returns
    -------
    loss : scalar or array
        In the dtype of `logits`, float64 for integers; for "none" in the shape of `logits` without `axis`.
    grad : array
        Only with `return_grad`: the shape and dtype of `logits`.

    Raises
    ------
    TypeError
        For logits that are not real, labels that are neither integers nor probabilities, or an option of a wrong type.
    ValueError
        For a label outside [0, C), named with its place; shapes that do not fit; an option out of range.

    Notes
    -----
    **Accuracy.** For float32 and float64 on NumPy every loss of a row and every element of the gradient is
    within 1 ulp for integer labels, however small: a confident row costs 1e-300 if that is its loss. For probabilities
    2 ulp; with weights, smoothing or z-loss, and for "sum" and "mean", 4 ulp, of the sum of the magnitudes where
    weights of both signs meet. Unless labels stand alone the gradient is measured by the larger of its parts, such as
    max(p, t). Elsewhere as good as the library's exp and log.

    **Special values.** A class of probability 0 costs nothing, even at -inf. A label at -inf costs inf. With k logits
    at +inf each of them has the probability 1/k. A NaN, or nothing but -inf, makes the row NaN. A row that is ignored
    or has no weight has loss and gradient 0, whatever its logits are; a mean over nothing is 0. A weight that is not
    finite makes NaN of the gradients that need it, and over weights that cancel the mean is NaN.

    **Masked arrays.** A masked logit is no class of its row: its p and its share of the smoothing are 0, and as a label
    it costs inf. A row without a label or any logit is ignored. What is masked is masked in `grad`, and in "none".

    **Method.** (peak - x) + log1p(rest), two terms of one sign [1]_; the gradient at the label is the negated sum of
    the other terms, where p - 1 would cancel. Sums over rows are exact, so they depend on no order.

    References
    ----------
    .. [1] P. Blanchard, D. J. Higham, N. J. Higham, "Accurately computing the log-sum-exp and softmax functions",
       IMA Journal of Numerical Analysis 41(4), 2021. :doi:`10.1093/imanum/draa038`

    Examples
    --------
    >>> import stablesoft
    >>> float(stablesoft.softmax_cross_entropy([[0.0, -40.0]], [0]))  # doctest: +ELLIPSIS
    4.248354255291...e-18
    >>> loss, grad = stablesoft.softmax_cross_entropy([[0.0, -40.0]], [0], return_grad=True)
    >>> float(grad[0, 0])  # doctest: +ELLIPSIS
    -4.248354255291...e-18
    """
    smoothing = as_number(label_smoothing, "label_smoothing", 0.0, 1.0)
    z_loss = as_number(z_loss, "z_loss", 0.0)
    return _softmax_loss(logits, labels, axis, weight=weight, ignored=ignore_index, reduction=reduction,
                        return_grad=return_grad, weighs=True, smoothing=smoothing, z_loss=z_loss)  # fmt: skip


@behind_door
def softmax_focal_loss(logits, labels, axis=-1, *, alpha=None, gamma=2.0, ignore_index=None, reduction="mean",
                       return_grad=False):
    r"""Focal loss of softmax probabilities, with its gradient.

    .. math:: \ell = \sum_c \alpha_c t_c (1 - p_c)^\gamma (-\log p_c), \qquad p = \mathrm{softmax}(x)

    Parameters
    ----------
    logits : array_like
        Shape (..., C, ...), with the C classes along `axis`.
    labels : array_like
        Integers in [0, C) in the shape of `logits` without `axis`, or probabilities t in the shape of `logits`.
    axis : int, optional
        Where the classes are; the last axis by default.
    alpha : float or array_like, optional
        One factor of at least 0 for all classes, or one of any sign for each, shape (C,).
    gamma : float, optional
        How much less a row counts the better it is classified; at least 0. With 0 it is the cross-entropy.
    ignore_index : int, optional
        A label that costs nothing; any integer.
    reduction : {"mean", "sum", "none"}, optional
        "mean" divides by the number of rows that are not ignored.
    return_grad : bool, optional
        Return the gradient with respect to the logits, too: that of the mean, or of the sum for "sum" and "none".

    Returns
    -------
    loss : scalar or array
        In the dtype of `logits`, float64 for integers; for "none" in the shape of `logits` without `axis`.
    grad : array
        Only with `return_grad`: the shape and dtype of `logits`.

    Raises
    ------
    TypeError
        For logits that are not real, labels that are neither integers nor probabilities, or an option of a wrong type.
    ValueError
        For a label outside [0, C), named with its place; shapes that do not fit; an option out of range.

    Notes
    -----
    **Accuracy.** For float32 and float64 on NumPy 4 ulp, losses and gradients however small; for probabilities the
    gradient is measured by the larger of its parts.

    **Special values, masked arrays.** As :func:`stablesoft.softmax_cross_entropy`. The gradient is finite for every
    gamma, below 1 included.

    **Method.** 1 - p at the label is the sum of the other probabilities [1]_, so that no power of it cancels.

    References
    ----------
    .. [1] T.-Y. Lin, P. Goyal, R. Girshick, K. He, P. Dollar, "Focal loss for dense object detection", ICCV 2017.
       :arxiv:`1708.02002`

    Examples
    --------
    >>> import stablesoft
    >>> float(stablesoft.softmax_focal_loss([[0.0, 0.0]], [1]))  # doctest: +ELLIPSIS
    0.173286795139...
    """
    gamma = as_number(gamma, "gamma", 0.0)
    return _softmax_loss(logits, labels, axis, weight=alpha, ignored=ignore_index, reduction=reduction,
                        return_grad=return_grad, gamma=gamma, weight_name="alpha")  # fmt: skip


def _sigmoid_loss(logits, targets, *, weight, positive, reduction, return_grad, **options):
    """Answer any sigmoid loss from the user's arguments; `options` are those of `answer_sigmoid`."""
    (logits, hidden), (targets, missing) = split(logits), split(targets)
    xp, x, dtype = as_logits(logits)
    reduction, return_grad = as_reduction(reduction), as_flag(return_grad, "return_grad")
    t = as_real(xp, targets, x, "targets")
    if tuple(t.shape) != tuple(x.shape):
        raise ValueError(f"targets must have the logits' shape {tuple(x.shape)}, not {tuple(t.shape)}")
    weight, positive = as_elements(xp, weight, x, "weight"), as_elements(xp, positive, x, "pos_weight")
    result = answer_sigmoid(xp, x, t, hidden, missing, weight=weight, positive=positive, reduction=reduction,
                            return_grad=return_grad, **options)  # fmt: skip
    return cast_back(xp, result, dtype)


@behind_door
def sigmoid_cross_entropy(logits, targets, *, weight=None, pos_weight=None, reduction="mean", return_grad=False):
    r"""Binary cross-entropy of logits against targets, element by element, with its gradient.

    .. math:: \ell = w \left[(1 - t) \log(1 + e^x) + v\, t \log(1 + e^{-x})\right]

    Parameters
    ----------
    logits : array_like
        Any shape.
    targets : array_like
        Probabilities t in the shape of `logits`; 0 and 1 are labels.
    weight : array_like, optional
        A factor w of any sign, broadcast to `logits`.
    pos_weight : array_like, optional
        A factor v of the positive part, broadcast to `logits`.
    reduction : {"mean", "sum", "none"}, optional
        "mean" divides by the number of elements.
    return_grad : bool, optional
        Return the gradient with respect to the logits, too: that of the mean, or of the sum for "sum" and "none".

    Returns
    -------
    loss : scalar or array
        In the dtype of `logits`, float64 for integers; for "none" in their shape.
    grad : array
        Only with `return_grad`: the shape and dtype of `logits`.

    Raises
    ------
    TypeError
        For input that is not real and numeric, or an option of a wrong type.
    ValueError
        For targets of another shape, weights that do not broadcast to the logits, an unknown reduction.

    Notes
    -----
    **Accuracy.** For float32 and float64 on NumPy each loss and each element of the gradient is within 1
    ulp for targets 0 and 1, however small; for probabilities 2 ulp, of max(p, t) in the gradient; with weights, and for
    "sum" and "mean", 4 ulp.

    **Special values.** A part with the factor 0 costs nothing: the loss at an infinity that agrees with its target
    is 0.

    **Masked arrays.** What is masked in `logits` or `targets` costs nothing, the mean does not count it, and it is
    masked in `grad`, and in "none".

    **Method.** log(1 + e^x) = max(x, 0) + log1p(e^-|x|), two terms of one sign. Sums are exact, so they depend on no
    order.

    Examples
    --------
    >>> import stablesoft
    >>> float(stablesoft.sigmoid_cross_entropy([40.0], [1.0]))  # doctest: +ELLIPSIS
    4.248354255291...e-18
    """
    return _sigmoid_loss(logits, targets, weight=weight, positive=pos_weight, reduction=reduction,
                        return_grad=return_grad)  # fmt: skip


@behind_door
def sigmoid_focal_loss(logits, targets, *, alpha=None, gamma=2.0, reduction="mean", return_grad=False):
    r"""Focal loss of logits against targets, element by element, with its gradient.

    .. math:: \ell = \alpha_t q^\gamma \left[(1 - t) \log(1 + e^x) + t \log(1 + e^{-x})\right], \qquad
        q = (1 - t) \sigma(x) + t \sigma(-x)

    Parameters
    ----------
    logits : array_like
        Any shape.
    targets : array_like
        Probabilities t in the shape of `logits`; 0 and 1 are labels.
    alpha : float, optional
        Weight of the positive class in [0, 1]: alpha_t = alpha t + (1 - alpha) (1 - t). None: 1 for both.
    gamma : float, optional
        How much less an element counts the better it is classified; at least 0.
    reduction : {"mean", "sum", "none"}, optional
        "mean" divides by the number of elements.
    return_grad : bool, optional
        Return the gradient with respect to the logits, too: that of the mean, or of the sum for "sum" and "none".

    Returns
    -------
    loss : scalar or array
        In the dtype of `logits`, float64 for integers; for "none" in their shape.
    grad : array
        Only with `return_grad`: the shape and dtype of `logits`.

    Raises
    ------
    TypeError
        For input that is not real and numeric, or an option of a wrong type.
    ValueError
        For targets of another shape, an option out of range, an unknown reduction.

    Notes
    -----
    **Accuracy.** For float32 and float64 on NumPy 4 ulp for targets 0 and 1, losses and gradients however small.

    **Special values, masked arrays.** As :func:`stablesoft.sigmoid_cross_entropy`. The gradient is finite for every
    gamma, below 1 included.

    **Method.** q, the probability of being wrong, is computed as such and not as 1 - p [1]_.

    References
    ----------
    .. [1] T.-Y. Lin, P. Goyal, R. Girshick, K. He, P. Dollar, "Focal loss for dense object detection", ICCV 2017.
       :arxiv:`1708.02002`

    Examples
    --------
    >>> import stablesoft
    >>> float(stablesoft.sigmoid_focal_loss([0.0], [1.0]))  # doctest: +ELLIPSIS
    0.173286795139...
    """
    gamma = as_number(gamma, "gamma", 0.0)
    alpha = math.nan if alpha is None else as_number(alpha, "alpha", 0.0, 1.0)
    return _sigmoid_loss(logits, targets, weight=None, positive=None, reduction=reduction, return_grad=return_grad,
                        focal=True, alpha=alpha, gamma=gamma)  # fmt: skip
