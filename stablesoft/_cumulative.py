"""log-sum-exp of every prefix along an axis, in array-API terms."""

import math

from array_api_compat import array_namespace

from ._dispatch import accelerated_along
from ._elementwise import logaddexp

__all__ = ["logcumsumexp"]


@accelerated_along
def logcumsumexp(a, axis=None, *, reverse=False, exclusive=False, out=None):  # noqa: ARG001
    r"""Cumulative logarithm of the sum of exponentials.

    .. math:: y_i = \log \sum_{j \le i} e^{a_j}

    Parameters
    ----------
    a : array_like
        The exponents.
    axis : int, optional
        Axis to go along; None, the default, takes the elements of the whole array in C order.
    reverse : bool, optional
        Go from the last element to the first: the sum is over j >= i.
    exclusive : bool, optional
        Leave the element itself out: the sum is over j < i, and the first result is -inf.
    out : array, optional
        Where the result goes: an array of the result's shape and dtype, which may be `a` itself.

    Returns
    -------
    array
        The shape of `a`, 1-d for axis None; the dtype of `a`, float64 for integers.

    Raises
    ------
    TypeError
        For input that is not real, numeric, dense and rectangular, an axis that is not an integer, `reverse` or
        `exclusive` that is not a bool, or an `out` of another library or dtype.
    ValueError
        For an axis out of range, or an `out` of another shape.

    Notes
    -----
    **Accuracy.** For float32 and float64 on NumPy at most 1 ulp for each element, also where it cancels to almost 0:
    each has the bits of :func:`logsumexp` of the elements it sums over. Elsewhere as good as the library's exp and log
    allow.

    **Special values.** A sum over nothing, or over -inf alone, is -inf. From the first NaN on all results are NaN, from
    the first +inf up to there inf. Elements of a masked array that are masked do not take part.

    **Method.** The sum without its peak runs along the axis as an unevaluated sum of two numbers. The definition adds
    with :func:`logaddexp` in log2(n) steps, each of which doubles the length that a result sums over [1]_.

    References
    ----------
    .. [1] W. D. Hillis, G. L. Steele, "Data parallel algorithms", Communications of the ACM 29(12), 1986.
       :doi:`10.1145/7902.7903`

    Examples
    --------
    >>> import stablesoft
    >>> stablesoft.logcumsumexp([1000.0, 0.0, -1000.0])
    array([1000., 1000., 1000.])
    >>> stablesoft.logcumsumexp([0.0, 1.0, 2.0], exclusive=True)[:2]
    array([-inf,   0.])
    """
    xp = array_namespace(a)
    n = a.shape[axis]
    if n == 0:
        return a

    def part(x, start, stop):
        return x[(*[slice(None)] * axis, slice(start, stop), ...)]

    def shifted_by(x, count):
        # element i - count at i, nothing where there is none
        nothing = xp.full_like(part(x, 0, count), -math.inf)
        kept = (part(x, count, n), nothing) if reverse else (nothing, part(x, 0, n - count))
        return xp.concat(kept, axis=axis)

    y, length = shifted_by(a, 1) if exclusive else a, 1
    while length < n:
        y = logaddexp.definition(xp, y, shifted_by(y, length))
        length *= 2
    return y
