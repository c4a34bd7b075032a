"""Sums of exponentials in array-API terms, with the peak kept out of the sum so that nothing cancels.

Everything here is lazy: no branch on data, no boolean indexing, no writing in place. `xp.where` chooses before the
exponential is taken, never after, so that automatic differentiation meets no 0 * inf.

To differentiation, too, a peak that stands alone is a constant 0 below itself: its derivative then comes from the other
terms alone, and keeps its digits where they are tiny. Peaks that tie stay variables, each against the mean of all (that
is how libraries differentiate `max`), or second derivatives would miss them.
"""

import math

from array_api_compat import device


def peak_of(xp, x, axis):
    """The largest element, -inf where there is none; the reduced axes are kept with length 1."""
    if 0 in x.shape:  # xp.max of nothing is an error; the sum of nothing has the right shape, dtype and device
        return xp.sum(x, axis=axis, keepdims=True) - math.inf
    return xp.max(x, axis=axis, keepdims=True)


def stands_alone(xp, at_peak, axis, dtype):
    """True where one element of a row is marked and no other; counted in floating point, which every device has."""
    return xp.sum(xp.astype(at_peak, dtype), axis=axis, keepdims=True) == 1


def shifted(xp, x, peak, axis):
    """x - peak, where an infinite peak leaves 0 for itself and -inf for everything below it."""
    at_peak, finite = x == peak, xp.isfinite(peak)
    shift = xp.where(finite, peak, 0.0)
    below = xp.where(finite, x - shift, -math.inf)
    return xp.where(at_peak & (stands_alone(xp, at_peak, axis, x.dtype) | ~finite), 0.0, below)


def rest_of(xp, exponents, axis):
    """The sum of exp(exponents), the largest 0, without one peak: (peaks - 1) + the others, all of one sign."""
    at_peak, terms = exponents == 0, xp.exp(exponents)
    peaks = xp.sum(xp.where(at_peak, terms, 0.0), axis=axis, keepdims=True)
    others = xp.sum(xp.where(at_peak, 0.0, terms), axis=axis, keepdims=True)
    return xp.where(peaks > 0, peaks - 1 + others, 0.0)


def weighted(xp, a, b, axis):
    """log|sum(b exp(a))| and the sum's sign, for real b of any sign.

    The shift is the largest a + log|b|. A term is b exp(d/2) exp(d/2), where d = a - shift may be +-745 on its own but
    the product stays near 1. The largest terms, net times `largest`, are kept apart:
    log|sum| = shift + log(largest) + log|1 + q| with q = |net| - 1 + sign(net) others/largest.
    """
    a = xp.where(b == 0, -math.inf, a)
    level = xp.where(b == 0, -math.inf, a + xp.log(xp.where(b == 0, 1.0, xp.abs(b))))
    peak = peak_of(xp, level, axis)
    finite = xp.isfinite(peak)
    shift = xp.where(finite, peak, 0.0)

    half = xp.exp(xp.where(finite & (level > -math.inf), (a - shift) / 2, -math.inf))
    terms = xp.where(finite, b, 0.0) * half * half
    largest = peak_of(xp, xp.abs(terms), axis)
    largest = xp.where(largest > 0, largest, 1.0)
    among_largest = xp.abs(terms) == largest
    # +-1 each; as quotients where they tie, so that differentiation sees how one grows beside another
    units = xp.where(stands_alone(xp, among_largest, axis, a.dtype), xp.sign(terms), terms / largest)
    net = xp.sum(xp.where(among_largest, units, 0.0), axis=axis, keepdims=True)
    others = xp.sum(xp.where(among_largest, 0.0, terms), axis=axis, keepdims=True)

    side = xp.sign(net)
    q = xp.abs(net) - 1 + side * others / largest
    total = xp.where(net == 0, net * largest + others, side * (1 + q))
    near = (net != 0) & (q > -0.5)
    exact_zero = total == 0
    far_log = xp.log(xp.where(near | exact_zero, 1.0, xp.abs(total)))
    log_total = xp.where(near, xp.log1p(xp.where(near, q, 0.0)), far_log)
    log_total = xp.where(exact_zero, -math.inf, log_total + xp.where(net == 0, 0.0, xp.log(largest)))

    # Infinite terms: all of one sign decide the result, of both signs leave it undefined.
    infinite = level == math.inf
    ups = xp.any(infinite & (b > 0), axis=axis, keepdims=True)
    downs = xp.any(infinite & (b < 0), axis=axis, keepdims=True)
    one = xp.ones_like(peak)
    sign = xp.where(ups & downs, math.nan, xp.where(ups, one, -one))
    sign = xp.where(peak == math.inf, sign, xp.where(peak == -math.inf, 0.0, peak))
    sign = xp.where(finite, xp.sign(total), sign)
    value = xp.where(finite, shift + log_total, peak)
    return xp.where(ups & downs, math.nan, value), sign


def weighted_complex(xp, a, b, axis):
    """log(sum(b exp(a))) and the sum's phase, for complex numbers.

    One element with the largest real part is kept out of the sum. Where that gives no finite number, C99's rules for
    the complex exp and log of infinities decide, as they do in log(sum(b * exp(a))).
    """
    direct = xp.sum(xp.exp(a) if b is None else b * xp.exp(a), axis=axis, keepdims=True)
    weight = xp.ones_like(a) if b is None else b
    a = xp.where(weight == 0, -math.inf, a)
    real = xp.real(a)
    size = math.prod(a.shape)
    index = xp.reshape(xp.arange(size, device=device(a)), a.shape)
    at_peak = real == peak_of(xp, real, axis)
    chosen = at_peak if size == 0 else index == xp.min(xp.where(at_peak, index, size), axis=axis, keepdims=True)
    a_peak = xp.sum(xp.where(chosen, a, 0.0), axis=axis, keepdims=True)
    b_peak = xp.sum(xp.where(chosen, weight, 0.0), axis=axis, keepdims=True)

    others = xp.exp(xp.where(chosen, -math.inf, a - a_peak))
    rest = xp.sum(weight * others, axis=axis, keepdims=True) / b_peak
    value = xp.log1p(rest) + xp.log(b_peak) + a_peak
    phase = xp.sign(1 + rest) * xp.sign(b_peak) * xp.exp(xp.imag(a_peak) * 1j)
    finite = xp.isfinite(value)
    return xp.where(finite, value, xp.log(direct)), xp.where(finite, phase, xp.sign(direct))


def principal(xp, z):
    """z with its imaginary part brought into (-pi, pi] by whole turns; small parts keep every bit."""
    angle = xp.imag(z)
    turned = angle - 2 * math.pi * xp.ceil((angle - math.pi) / (2 * math.pi))
    wrap = xp.isfinite(angle) & (xp.abs(angle) >= math.pi)
    wrapped = xp.astype(xp.real(z), z.dtype) + xp.astype(xp.where(wrap, turned, 0.0), z.dtype) * 1j
    return xp.where(wrap, wrapped, z)


def largest_complex(xp, z, axis):
    """The element with the largest real part, then the largest imaginary part; 0 where that is not finite."""
    real, imag = xp.real(z), xp.imag(z)
    real_peak = peak_of(xp, real, axis)
    imag_peak = peak_of(xp, xp.where(real == real_peak, imag, -math.inf), axis)
    finite = xp.isfinite(real_peak) & xp.isfinite(imag_peak)
    peak = xp.astype(real_peak, z.dtype) + xp.astype(xp.where(finite, imag_peak, 0.0), z.dtype) * 1j
    return xp.where(finite, peak, 0.0)
