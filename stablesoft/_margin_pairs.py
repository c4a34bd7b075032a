"""Numbers as unevaluated pairs hi + lo of NumPy float64 arrays, about 104 bits.

A cosine that is off by 2^-53 puts a logit of scale 64 off by 64 ulp of 1, and the gradient with it; a pair leaves that
far below the last digit. Only correctly rounded operations are used (+, -, *, /, sqrt), so a pair has the same bits on
every machine. Operands are expected to be scaled to about 1: beyond 2^996 the splitting overflows.

Methods and bounds: M. Joldes, J.-M. Muller, V. Popescu, "Tight and rigorous error bounds for basic building blocks of
double-word arithmetic", ACM TOMS 44(2), 2017.
"""

import functools
import math

import numpy as np

SPLITTER = 2.0**27 + 1.0  # cuts 53 bits into 26 and 26 (Dekker)
HALVINGS = 4  # sin and cos are summed at angles below 2^-4: what follows 20 terms is below 2^-140
TERMS = 20


def two_sum(a, b):
    """The rounded sum and its error, exactly."""
    total = a + b
    from_b = total - a
    return total, (a - (total - from_b)) + (b - from_b)


def quick_two_sum(a, b):
    """The same where |a| >= |b|."""
    total = a + b
    return total, b - (total - a)


def two_product(a, b):
    """The rounded product and its error, exactly unless that is below the smallest subnormal."""
    product = a * b
    a_high, b_high = SPLITTER * a, SPLITTER * b
    a_high, b_high = a_high - (a_high - a), b_high - (b_high - b)
    a_low, b_low = a - a_high, b - b_high
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


class Pair:
    """hi + lo, with the arithmetic of an array."""

    __slots__ = ("hi", "lo")
    __array_ufunc__ = None  # array * Pair is left to Pair.__rmul__

    def __init__(self, hi, lo=None):
        self.hi = np.asarray(hi, dtype=np.float64)
        self.lo = np.zeros_like(self.hi) if lo is None else lo

    @property
    def shape(self):
        return self.hi.shape

    @property
    def T(self):
        return Pair(self.hi.T, self.lo.T)

    def __getitem__(self, key):
        return Pair(self.hi[key], self.lo[key])

    def __neg__(self):
        return Pair(-self.hi, -self.lo)

    def __abs__(self):
        return where(self.hi < 0, -self, self)

    def __add__(self, other):
        other = pair(other)
        high, high_error = two_sum(self.hi, other.hi)
        low, low_error = two_sum(self.lo, other.lo)
        high, rest = quick_two_sum(high, high_error + low)
        return Pair(*quick_two_sum(high, low_error + rest))

    def __mul__(self, other):
        other = pair(other)
        high, error = two_product(self.hi, other.hi)
        cross = self.hi * other.lo + self.lo * other.hi
        return Pair(*quick_two_sum(high, error + cross))

    def __truediv__(self, other):
        other = pair(other)
        quotient = self.hi / other.hi
        rest = self - other * quotient
        return Pair(*quick_two_sum(quotient, rest.hi / other.hi))

    def __sub__(self, other):
        return self + (-pair(other))

    def __rsub__(self, other):
        return pair(other) - self

    def __rtruediv__(self, other):
        return pair(other) / self

    __radd__ = __add__
    __rmul__ = __mul__


def pair(value):
    """value as a Pair."""
    return value if isinstance(value, Pair) else Pair(value)


def scaled(v, power):
    """v times a power of two."""
    return Pair(v.hi * power, v.lo * power)


def where(condition, a, b):
    """Elements of a where the condition holds, of b elsewhere."""
    a, b = pair(a), pair(b)
    return Pair(np.where(condition, a.hi, b.hi), np.where(condition, a.lo, b.lo))


def concat(parts, axis=0):
    """Pairs set end to end."""
    return Pair(*(np.concat(half, axis=axis) for half in ([v.hi for v in parts], [v.lo for v in parts])))


def sqrt(v):
    """The square root of v >= 0."""
    root = np.sqrt(v.hi)
    rest = v - Pair(*two_product(root, root))
    return Pair(*quick_two_sum(root, np.where(root > 0, rest.hi / (2 * np.where(root > 0, root, 1.0)), 0.0)))


def sum_last(v):
    """The sum along the last axis, which is kept with length 1; halves are added, always in the same order."""
    while (n := v.shape[-1]) > 1:
        half = n // 2
        folded = v[..., :half] + v[..., half : 2 * half]
        rest = v[..., 2 * half :]
        v = folded if n == 2 * half else concat([folded, rest], axis=-1)
    return v


@functools.cache
def _reciprocal_factorials():
    """1/1!, 1/2!, ... as pairs."""
    factorials = [math.factorial(j) for j in range(1, TERMS + 2)]
    highs = [1.0 / f for f in factorials]
    # The error of the rounded quotient, by exact integers.
    ratios = [h.as_integer_ratio() for h in highs]
    return [Pair(h, np.float64((d - n * f) / (d * f))) for h, f, (n, d) in zip(highs, factorials, ratios)]


def sin_cos(angle, limit):
    """The sine and the cosine of |angle| <= limit, to about 2^-90 while the limit stays below 4.

    The angle is halved until it is small; sine and 1 - cosine come from their series and are doubled again. Working
    on 1 - cosine keeps the small numbers apart from the 1.
    """
    halvings = max(0, HALVINGS + math.frexp(limit)[1])
    y = scaled(angle, 2.0**-halvings)
    square = -(y * y)
    coefficients = _reciprocal_factorials()
    sine = versine = Pair(0.0)
    for j in range(TERMS - 2, -1, -2):
        sine = sine * square + coefficients[j]  # 1 - y^2/3! + ...
        versine = versine * square + coefficients[j + 1]  # 1/2! - y^2/4! + ...
    sine, versine = y * sine, -(square * versine)
    for _ in range(halvings):
        cosine = 1.0 - versine
        sine, versine = 2.0 * (sine * cosine), 2.0 * (sine * sine)
    return sine, 1.0 - versine


def angle(sine, cosine):
    """The angle in [0, pi] whose sine and cosine these are: one step of Newton's method from the rounded angle."""
    start = Pair(np.arctan2(sine.hi, cosine.hi))
    near_sine, near_cosine = sin_cos(start, math.pi)
    return start + (sine * near_cosine - cosine * near_sine)
