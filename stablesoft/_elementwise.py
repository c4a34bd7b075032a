"""Elementwise functions: NumPy ufuncs for NumPy, and the same formulas in array-API terms for other libraries.

A definition sees arrays of one library in the dtype to compute in. As everywhere, `xp.where` chooses before a function
is taken, so that derivatives exist.
"""

import inspect
import math

from ._universal import Elementwise

__all__ = [
    "expit",
    "log1mexp",
    "log_expit",
    "log_sigmoid",
    "logaddexp",
    "logit",
    "logsubexp",
    "sigmoid",
    "softplus",
]


# What the docstrings of all functions say, from the parameter `out` to the accuracy.
_COMMON = """\
out : array, optional
    Where the result goes. NumPy's arrays allow every keyword of a :class:`numpy.ufunc`, such as `where`.

Returns
-------
array or scalar
    The dtype of the input, float64 for bool and integers.

Raises
------
TypeError
    For input that is not real and numeric.

Notes
-----
**Accuracy.** For float32 and float64 on NumPy at most 1 ulp, {}.
float16 is computed in float32, longdouble by this definition. Elsewhere as good as the library's exp and log allow."""


# `hard_case`: where else the bound holds, though one might doubt it
def _elementwise(hard_case):
    def make(definition):
        doc = inspect.cleandoc(definition.__doc__ or "")  # no docstrings under python -OO
        definition.__doc__ = doc.replace("{common}", _COMMON.format(hard_case))
        return Elementwise(definition)

    return make


# max(x, 0) and e^-|x|, both with the derivatives of one side at 0: |x| and max have none there
def _terms(xp, x):
    positive = x > 0
    return xp.where(positive, x, 0.0), xp.exp(xp.where(positive, -x, x))


@_elementwise("subnormal results included")
def expit(xp, x):  # numpydoc ignore=PR01,PR02,RT01
    r"""Logistic function.

    .. math:: \frac{1}{1 + e^{-x}}

    Parameters
    ----------
    x : array_like
        The argument.
    {common}

    **Special values.** 1 at inf, 0 at -inf, NaN at NaN.

    **Method.** 1/(1 + e\ :sup:`-x`) in one correction step after the division.

    Examples
    --------
    >>> import stablesoft
    >>> float(stablesoft.expit(0.0))
    0.5
    >>> float(stablesoft.expit(-745.0))
    5e-324
    """
    _, term = _terms(xp, x)
    return xp.where(x > 0, 1 / (1 + term), term / (1 + term))


@_elementwise("subnormal results included")
def log_expit(xp, x):  # numpydoc ignore=PR01,PR02,RT01
    r"""Logarithm of the logistic function.

    .. math:: \log \frac{1}{1 + e^{-x}}

    Parameters
    ----------
    x : array_like
        The argument.
    {common}

    **Special values.** -0.0 at inf, -inf at -inf, NaN at NaN.

    **Method.** min(x, 0) - log1p(e\ :sup:`-\|x|`), a sum of two numbers of one sign.

    Examples
    --------
    >>> import stablesoft
    >>> float(stablesoft.log_expit(-1000.0))
    -1000.0
    >>> float(stablesoft.log_expit(40.0)) < 0.0
    True
    """
    above, term = _terms(xp, -x)
    return -(above + xp.log1p(term))


@_elementwise("subnormal results included")
def softplus(xp, x):  # numpydoc ignore=PR01,PR02,RT01
    r"""Logarithm of one plus the exponential.

    .. math:: \log(1 + e^x)

    Parameters
    ----------
    x : array_like
        The argument.
    {common}

    **Special values.** inf at inf, 0 at -inf, NaN at NaN.

    **Method.** max(x, 0) + log1p(e\ :sup:`-\|x|`), a sum of two positive numbers.

    Examples
    --------
    >>> import math
    >>> import stablesoft
    >>> float(stablesoft.softplus(1000.0))
    1000.0
    >>> float(stablesoft.softplus(0.0)) == math.log(2)
    True
    """
    above, term = _terms(xp, x)
    return above + xp.log1p(term)


@_elementwise("also next to 1/2, where the result is next to 0")
def logit(xp, p):  # numpydoc ignore=PR01,PR02,RT01
    r"""Inverse of the logistic function.

    .. math:: \log \frac{p}{1 - p}

    Parameters
    ----------
    p : array_like
        Probabilities.
    {common}

    **Special values.** -inf at 0, inf at 1, NaN outside [0, 1].

    **Method.** log1p((2p - 1)/(1 - p)) near 1/2, where 2p - 1 is exact; log(p/(1 - p)) elsewhere.

    Examples
    --------
    >>> import stablesoft
    >>> float(stablesoft.logit(0.5))
    0.0
    >>> float(stablesoft.logit(0.0))
    -inf
    """
    inside = xp.where((p > 0) & (p < 1), p, 0.5)
    near = (inside > 0.25) & (inside < 0.75)
    centre = xp.where(near, inside, 0.5)
    value = xp.where(near, xp.log1p((2 * centre - 1) / (1 - centre)), xp.log(inside) - xp.log1p(-inside))
    value = xp.where(p == 0, -math.inf, xp.where(p == 1, math.inf, value))
    return xp.where((p >= 0) & (p <= 1), value, math.nan)


@_elementwise("subnormal results included")
def log1mexp(xp, x):  # numpydoc ignore=PR01,PR02,RT01
    r"""Logarithm of one minus the exponential.

    .. math:: \log(1 - e^x)

    Parameters
    ----------
    x : array_like
        Arguments up to 0.
    {common}

    **Special values.** -inf at 0, -0.0 at -inf, NaN above 0.

    **Method.** log(-expm1(x)) near 0, log1p(-exp(x)) further down [1]_.

    References
    ----------
    .. [1] M. Maechler, "Accurately computing log(1 - exp(-\|a|))", R package Rmpfr, 2012.

    Examples
    --------
    >>> import stablesoft
    >>> float(stablesoft.log1mexp(-1e-300))
    -690.7755278982137
    >>> float(stablesoft.log1mexp(-745.0))
    -5e-324
    """
    below = xp.where(x < 0, x, -1.0)
    near = below > -math.log(2)
    small, large = xp.where(near, below, -0.5), xp.where(near, -1.0, below)
    value = xp.where(near, xp.log(-xp.expm1(small)), xp.log1p(-xp.exp(large)))
    return xp.where(x < 0, value, xp.where(x == 0, -math.inf, math.nan * xp.ones_like(x)))


@_elementwise("also where it cancels to almost 0")
def logaddexp(xp, x1, x2):  # numpydoc ignore=PR01,PR02,RT01
    r"""Logarithm of the sum of two exponentials.

    .. math:: \log(e^{x_1} + e^{x_2})

    Parameters
    ----------
    x1, x2 : array_like
        The exponents, broadcast against each other.
    {common}

    **Special values.** inf where one is inf, the other one where one is -inf, NaN where one is NaN.

    **Method.** max + log1p(exp(min - max)) in pair arithmetic; near a result of 0 in fixed point of as many digits
    as it takes.

    Examples
    --------
    >>> import stablesoft
    >>> float(stablesoft.logaddexp(1000.0, 1000.0)) - 1000.0  # doctest: +ELLIPSIS
    0.6931471805...
    """
    larger, smaller = xp.where(x1 > x2, x1, x2), xp.where(x1 > x2, x2, x1)
    finite = xp.isfinite(larger)
    excess = xp.log1p(xp.exp(xp.where(finite, smaller - larger, 0.0)))
    value = xp.where(finite, larger + excess, larger)
    return xp.where(xp.isnan(x1) | xp.isnan(x2), math.nan, value)


@_elementwise("also where it cancels to almost 0")
def logsubexp(xp, x1, x2):  # numpydoc ignore=PR01,PR02,RT01
    r"""Logarithm of the difference of two exponentials.

    .. math:: \log(e^{x_1} - e^{x_2})

    Parameters
    ----------
    x1, x2 : array_like
        The exponents, broadcast against each other; `x1` is the larger one.
    {common}

    **Special values.** -inf where both are equal (infinities too), `x1` where `x2` is -inf, NaN where `x1` < `x2`
    or one is NaN.

    **Method.** x1 + log1mexp(x2 - x1), the difference taken without rounding; near a result of 0 in fixed point.

    Examples
    --------
    >>> import stablesoft
    >>> float(stablesoft.logsubexp(1000.0, -1000.0))
    1000.0
    >>> float(stablesoft.logsubexp(2.0, 2.0))
    -inf
    """
    proper = (x1 > x2) & xp.isfinite(x1) & xp.isfinite(x2)
    value = xp.where(proper, x1, 0.0) + log1mexp.definition(xp, xp.where(proper, x2 - x1, -1.0))
    value = xp.where(proper, value, xp.where(x1 > x2, x1, math.nan))
    return xp.where(x1 == x2, -math.inf, value)


sigmoid = expit
log_sigmoid = log_expit
