"""log-sum-exp and softmax along axes: what each function is, in array-API terms.

A body sees its arguments in normal form (`_dispatch` brings them there and fills `out`): `x` an array of one library
in the dtype to compute in, `axis` a tuple, `where` None or a boolean array of x's shape. `out` is not theirs to fill,
hence the ARG001 marks.
"""

import math

from array_api_compat import array_namespace

from ._arrays import is_complex
from ._dispatch import accelerated
from ._sums import largest_complex, peak_of, principal, rest_of, shifted, weighted, weighted_complex

__all__ = ["log_softmax", "logmeanexp", "logsumexp", "softmax"]


@accelerated
def logsumexp(a, axis=None, b=None, keepdims=False, return_sign=False, *, where=None, out=None):  # noqa: ARG001
    r"""Logarithm of the sum of exponentials.

    .. math:: \log \sum_j b_j e^{a_j}

    Parameters
    ----------
    a : array_like
        The exponents.
    axis : int or tuple of ints, optional
        Axes to sum over; None, the default, sums over all of them.
    b : array_like, optional
        Real or complex factors, broadcast against `a`. They may be negative, which subtracts.
        An element whose factor is 0 is ignored, even if it is infinite or NaN.
    keepdims : bool, optional
        Keep the reduced axes with length 1.
    return_sign : bool, optional
        Return the logarithm of the magnitude, and the sign apart.
    where : array_like of bool, optional
        Elements that take part, broadcast to `a`.
    out : array, optional
        Where the result goes: an array of its shape and dtype.

    Returns
    -------
    res : array or scalar
        The result in the dtype of `a` (with `b`: of both), float64 for integers.
    sgn : array or scalar
        Only with `return_sign`: 1, 0, -1 or NaN, or the complex phase, of the sum.

    Raises
    ------
    TypeError
        For input that is not numeric, dense and rectangular, or an `out` of another library or dtype.
    ValueError
        For an axis out of range or named twice, shapes that do not broadcast, or an `out` of another shape.

    Notes
    -----
    **Accuracy.** For float32 and float64 on NumPy at most 1 ulp, also where the result cancels to almost 0;
    with `b` of one sign 4 ulp, with `b` of both signs 4 ulp of the sum of magnitudes.
    Elsewhere as good as the library's exp and log allow.

    **Special values.** A sum over nothing is -inf with sign 0. Any +inf gives inf, any NaN gives NaN.
    A negative sum is NaN unless `return_sign` is given.

    **Method.** peak + log1p(rest), where `rest` is the sum of exp(a - peak) without one peak [1]_.
    With `b`, log \|b\| takes part in finding the peak, so that huge factors do not overflow.

    References
    ----------
    .. [1] P. Blanchard, D. J. Higham, N. J. Higham, "Accurately computing the log-sum-exp and softmax functions",
       IMA Journal of Numerical Analysis 41(4), 2021. :doi:`10.1093/imanum/draa038`

    Examples
    --------
    >>> import stablesoft
    >>> float(stablesoft.logsumexp([1000.0, 1000.0])) - 1000.0  # doctest: +ELLIPSIS
    0.6931471805...
    >>> value, sign = stablesoft.logsumexp([1.0, 2.0], b=[1.0, -1.0], return_sign=True)
    >>> round(float(value), 12), float(sign)
    (1.541324854613, -1.0)
    """
    xp = array_namespace(a)
    if where is not None:
        a = xp.where(where, a, -math.inf)
        b = None if b is None else xp.where(where, b, 0.0)

    if is_complex(xp, a.dtype):
        value, sign = weighted_complex(xp, a, b, axis)
        value = xp.real(value) if return_sign else principal(xp, value)
    elif b is not None:
        value, sign = weighted(xp, a, b, axis)
        value = value if return_sign else xp.where(sign < 0, math.nan, value)
    else:
        peak = peak_of(xp, a, axis)
        value = xp.where(xp.isfinite(peak), peak + xp.log1p(rest_of(xp, a, peak, axis)), peak)
        sign = xp.where(peak > -math.inf, 1.0, xp.where(peak == -math.inf, 0.0, peak))

    if not keepdims:
        value, sign = xp.squeeze(value, axis=axis), xp.squeeze(sign, axis=axis)
    return (value, sign) if return_sign else value


@accelerated
def softmax(x, axis=None, *, temperature=1.0, floor=None, where=None, out=None):  # noqa: ARG001
    r"""Exponentials, divided by their sum.

    .. math:: y_i = e^{x_i / T} \Big/ \sum_j e^{x_j / T}

    Parameters
    ----------
    x : array_like
        The logits.
    axis : int or tuple of ints, optional
        Axes along which the result sums to 1; None, the default, takes the whole array.
    temperature : float, optional
        T, which divides the logits: positive and finite.
    floor : float, optional
        Smallest ratio to the largest term, in (0, 1]: y = max(exp(x - max), floor), then y / sum(y).
    where : array_like of bool, optional
        Elements that take part, broadcast to `x`. The others are 0 in the result.
    out : array, optional
        Where the result goes: an array of the result's shape and dtype, which may be `x` itself.

    Returns
    -------
    array or scalar
        The shape and dtype of `x`, float64 for integers.

    Raises
    ------
    TypeError
        For input that is not numeric, dense and rectangular, or an `out` of another library or dtype.
    ValueError
        For an axis out of range or named twice, a temperature or floor out of range, or an `out` of another shape.

    Notes
    -----
    **Accuracy.** For float32 and float64 on NumPy at most 1 ulp for each element, subnormal results included;
    4 ulp with `temperature` or `floor`. Elsewhere as good as the library's exp allows.

    **Special values.** k elements +inf share 1/k each. If all elements that take part are -inf, or one is NaN,
    they are all NaN. Elements that do not take part are 0 in every case.

    **Method.** exp(x - peak) / sum(exp(x - peak)) [1]_.

    References
    ----------
    .. [1] P. Blanchard, D. J. Higham, N. J. Higham, "Accurately computing the log-sum-exp and softmax functions",
       IMA Journal of Numerical Analysis 41(4), 2021. :doi:`10.1093/imanum/draa038`

    Examples
    --------
    >>> import stablesoft
    >>> stablesoft.softmax([1000.0, 1000.0])
    array([0.5, 0.5])
    >>> stablesoft.softmax([5.0, 0.0, 0.0], where=[False, True, True])
    array([0. , 0.5, 0.5])
    """
    xp = array_namespace(x)
    if where is not None:
        x = xp.where(where, x, -math.inf)
    if is_complex(xp, x.dtype):
        exponents = x - largest_complex(xp, x, axis)
        undefined = xp.zeros_like(x, dtype=xp.bool)
    else:
        peak = peak_of(xp, x, axis)
        exponents = shifted(xp, x, peak)
        undefined = ~(peak > -math.inf)  # all -inf, or a NaN

    terms = xp.exp(exponents / temperature)
    if floor is not None:
        terms = xp.where(xp.real(terms) < floor if is_complex(xp, x.dtype) else terms < floor, floor, terms)
    if where is not None:
        terms = xp.where(where, terms, 0.0)
    total = xp.sum(terms, axis=axis, keepdims=True)
    y = xp.where(undefined, math.nan, terms / xp.where(undefined, 1.0, total))
    return y if where is None else xp.where(where, y, 0.0)


@accelerated
def log_softmax(x, axis=None, *, temperature=1.0, where=None, out=None):  # noqa: ARG001
    r"""Logarithm of the softmax, without its underflow.

    .. math:: y_i = x_i / T - \log \sum_j e^{x_j / T}

    Parameters
    ----------
    x : array_like
        The logits.
    axis : int or tuple of ints, optional
        Axes along which the exponentials of the result sum to 1; None, the default, takes the whole array.
    temperature : float, optional
        T, which divides the logits: positive and finite.
    where : array_like of bool, optional
        Elements that take part, broadcast to `x`. The others are -inf in the result.
    out : array, optional
        Where the result goes: an array of the result's shape and dtype, which may be `x` itself.

    Returns
    -------
    array or scalar
        The shape and dtype of `x`, float64 for integers.

    Raises
    ------
    TypeError
        For input that is not numeric, dense and rectangular, or an `out` of another library or dtype.
    ValueError
        For an axis out of range or named twice, a temperature out of range, or an `out` of another shape.

    Notes
    -----
    **Accuracy.** For float32 and float64 on NumPy at most 1 ulp for each element, also where it is -1e-300;
    4 ulp with `temperature`. Elsewhere as good as the library's exp and log allow.

    **Special values.** k elements +inf are -log k each, and all others -inf. If all elements that take part are -inf,
    or one is NaN, they are all NaN. Elements that do not take part are -inf in every case.

    **Method.** (x - peak) - log1p(rest), where `rest` is the sum of exp(x - peak) without one peak: both parts have
    one sign, so nothing cancels.

    Examples
    --------
    >>> import stablesoft
    >>> stablesoft.log_softmax([1000.0, 1.0])
    array([   0., -999.])
    >>> float(stablesoft.log_softmax([0.0, -40.0])[0])  # doctest: +ELLIPSIS
    -4.248354255291...e-18
    """
    xp = array_namespace(x)
    if where is not None:
        x = xp.where(where, x, -math.inf)
    if is_complex(xp, x.dtype):
        exponents = (x - largest_complex(xp, x, axis)) / temperature
        y = exponents - xp.log(xp.sum(xp.exp(exponents), axis=axis, keepdims=True))
    else:
        peak = peak_of(xp, x, axis)
        undefined = ~(peak > -math.inf)  # all -inf, or a NaN
        exponents = shifted(xp, x, peak) / temperature
        rest = rest_of(xp, exponents, xp.zeros_like(peak), axis)
        y = xp.where(undefined, math.nan, exponents - xp.log1p(rest))
    return y if where is None else xp.where(where, y, -math.inf)


@accelerated
def logmeanexp(a, axis=None, keepdims=False, *, where=None, out=None):  # noqa: ARG001
    r"""Logarithm of the mean of exponentials.

    .. math:: \log \frac{1}{n} \sum_j e^{a_j}

    Parameters
    ----------
    a : array_like
        The exponents.
    axis : int or tuple of ints, optional
        Axes to average over; None, the default, averages over all of them.
    keepdims : bool, optional
        Keep the reduced axes with length 1.
    where : array_like of bool, optional
        Elements that take part, broadcast to `a`; n counts these.
    out : array, optional
        Where the result goes: an array of its shape and dtype.

    Returns
    -------
    array or scalar
        The result in the dtype of `a`, float64 for integers.

    Raises
    ------
    TypeError
        For input that is not numeric, dense and rectangular, or an `out` of another library or dtype.
    ValueError
        For an axis out of range or named twice, or an `out` of another shape.

    Notes
    -----
    **Accuracy.** For float32 and float64 on NumPy at most 1 ulp. Elsewhere as good as the library's exp and log allow.

    **Special values.** A mean over nothing is NaN. All -inf gives -inf, any +inf gives inf, any NaN gives NaN.

    **Method.** peak + log1p(mean(expm1(a - peak))) while the mean is above one half, so that equal elements give
    themselves; below, peak + log1p(rest) - log(n).

    Examples
    --------
    >>> import stablesoft
    >>> float(stablesoft.logmeanexp([1000.0, 1000.0]))
    1000.0
    """
    xp = array_namespace(a)
    if is_complex(xp, a.dtype):
        raise TypeError("a must be real: logmeanexp is not defined for complex numbers here; use logsumexp")
    counts = xp.ones_like(a) if where is None else xp.astype(where, a.dtype)
    n = xp.sum(counts, axis=axis, keepdims=True)
    if where is not None:
        a = xp.where(where, a, -math.inf)
    peak = peak_of(xp, a, axis)
    below_peak = xp.where(counts > 0, xp.expm1(shifted(xp, a, peak)), 0.0)
    excess = xp.sum(below_peak, axis=axis, keepdims=True) / xp.where(n > 0, n, 1.0)  # mean - 1, in (-1, 0]
    near = excess > -0.5
    far_mean = xp.log1p(rest_of(xp, a, peak, axis)) - xp.log(xp.where(n > 0, n, 1.0))
    log_mean = xp.where(near, xp.log1p(xp.where(near, excess, 0.0)), far_mean)
    value = xp.where(xp.isfinite(peak), peak + log_mean, peak)
    value = xp.where(n > 0, value, math.nan)
    return value if keepdims else xp.squeeze(value, axis=axis)
