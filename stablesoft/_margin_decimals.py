"""Decimals for the margin losses: for rows of gradients that all but vanish because their terms cancel.

A sum that loses n digits to cancellation needs terms with n digits more. How many that are depends on the data alone,
so this arithmetic has as many as are asked for. It takes about a microsecond for each operation on each element, and
hardly any row ever comes here.
"""

import math
from contextlib import contextmanager
from decimal import (
    MAX_EMAX,
    MIN_EMIN,
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    InvalidOperation,
    Overflow,
    getcontext,
    localcontext,
)

import numpy as np

from ._margin_refined import Refined

LOST = 40  # digits that everything on the way to a term may cost, with room to spare
MOST = 5000  # digits: several times the range of doubles
GUARD = 10  # further digits in the steps of a function or of a sum

_decimals = np.frompyfunc(Decimal, 1, 1)
_sqrt = np.frompyfunc(Decimal.sqrt, 1, 1)


def _array(value):
    """Of Decimals, exactly the numbers given."""
    if isinstance(value, Digits):
        return value.array
    array = np.asarray(value)
    return array if array.dtype == object else np.asarray(_decimals(array.astype(np.float64)), dtype=object)


class Digits:
    """An array of Decimals, in the context that is current when it is computed with."""

    __array_ufunc__ = None  # array * Digits is left to Digits.__rmul__

    def __init__(self, array):
        self.array = _array(array)

    @property
    def shape(self):
        return self.array.shape

    def __getitem__(self, key):
        return Digits(self.array[key])

    def __neg__(self):
        return Digits(-self.array)

    def __abs__(self):
        return Digits(np.abs(self.array))

    def __add__(self, other):
        return Digits(self.array + _array(other))

    def __sub__(self, other):
        return Digits(self.array - _array(other))

    def __mul__(self, other):
        return Digits(self.array * _array(other))

    def __truediv__(self, other):
        return Digits(self.array / _array(other))

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other):
        return Digits(_array(other) - self.array)

    def __rtruediv__(self, other):
        return Digits(_array(other) / self.array)


def _sum(terms):
    """Rounded to a common unit first, and then exact: the same for any order of the terms."""
    top = max((term.adjusted() for term in terms if term), default=0)
    unit = Decimal(1).scaleb(top - getcontext().prec - GUARD)
    with localcontext() as context:
        context.prec += 2 * GUARD  # for 10^9 terms
        total = sum((term.quantize(unit) for term in terms), Decimal(0))
    return +total


def exactly():
    """A context in which products of doubles, and of what is rounded to fewer digits, are exact, and their sums."""
    context = getcontext().copy()
    context.prec = 4 * MOST
    return localcontext(context)


def _distinct(rows):
    """The rows without repetitions, and which of them each row is."""
    places = {}
    index = [places.setdefault(tuple(row), len(places)) for row in rows]
    return np.array(list(places), dtype=object), np.array(index)


def _products(a, b):
    """a @ b.T. What comes twice, as vectors may that cancel, is done once."""
    (a, rows), (b, columns) = _distinct(a), _distinct(b)
    sums = np.array([[_sum(row * column) for column in b] for row in a], dtype=object)
    return Digits(sums[rows[:, None], columns])


def _combined(wanted, coefficients, vectors):
    """coefficients @ vectors in the rows that are wanted, 0 elsewhere. A vector that comes twice is multiplied once."""
    vectors, index = _distinct(vectors)
    terms = [np.flatnonzero(index == j) for j in range(len(vectors))]
    result = np.full((len(coefficients), vectors.shape[1]), Decimal(0), dtype=object)
    rows = [[_sum(row[at]) for at in terms] for row in coefficients[wanted]]
    if rows:
        result[wanted] = _products(np.array(rows, dtype=object), vectors.T).array
    return Digits(result)


def _sin_cos(angle, halvings):
    """Series of sine and versine (1 - cosine) at the halved angle, doubled again."""
    with localcontext() as context:
        context.prec += GUARD + halvings
        y = angle / 2**halvings
        odd, even, j = y, y * y / 2, 1
        sine, versine = odd, even
        while odd and odd.adjusted() > y.adjusted() - context.prec:
            j += 2
            odd *= -y * y / ((j - 1) * j)
            even *= -y * y / (j * (j + 1))
            sine, versine = sine + odd, versine + even
        for _ in range(halvings):
            sine, versine = 2 * sine * (1 - versine), 2 * sine * sine
        return sine, 1 - versine


def _angle(sine, cosine):
    """In [0, pi], by Newton's method: each step triples the number of digits."""
    angle = Decimal(math.atan2(sine, cosine))
    while True:
        near_sine, near_cosine = _sin_cos(angle, GUARD)
        step = sine * near_cosine - cosine * near_sine
        angle += step
        if not step or 3 * step.adjusted() < angle.adjusted() - getcontext().prec:
            return angle


class Decimals(Refined):
    """Decimals with so many digits: for gradients in doubles, and no losses, in the rows that are wanted."""

    def __init__(self, dtype, digits):
        super().__init__(dtype)
        self.digits = digits
        self.negligible = self.rounding = 10.0 ** (LOST - digits)
        self.angle_bits = math.ceil((LOST - digits) * math.log2(10.0))

    def finer(self, error):
        # What so many digits do not settle is most likely 0: down to the least double.
        more = GUARD + math.ceil(math.log10(min(error, 1e308) if error > 0.0 else 1e308) + 324.0)
        return Decimals(self.dtype, self.digits + more) if self.digits < MOST else None

    def logit_bits(self, reach):  # noqa: ARG002
        return -self.angle_bits  # no digits are lost here that are not lost there

    def counts(self, error, limit):
        return ~(error <= limit) & ~np.isnan(limit)  # a result that is infinite is so

    @contextmanager
    def working(self):
        # Everything is said, so that the user's defaults change nothing.
        traps = [DivisionByZero, InvalidOperation, Overflow]
        context = Context(self.digits, ROUND_HALF_EVEN, MIN_EMIN, MAX_EMAX, capitals=1, clamp=0, flags=[], traps=traps)
        with localcontext(context):
            yield

    @property
    def pi(self):
        return Digits(_angle(Decimal(0), Decimal(-1)))

    def number(self, array):
        return array if isinstance(array, Digits) else Digits(array)

    def value(self, number):
        return number.array.astype(np.float64) if isinstance(number, Digits) else number

    def where(self, condition, a, b):
        return Digits(np.where(condition, _array(a), _array(b)))

    def take(self, number, index):
        return number[index]

    def sum(self, number):
        return Digits(np.array([[_sum(row)] for row in number.array], dtype=object))

    def dot(self, a, b):
        """Exactly, before it is rounded: no sign is lost."""
        with exactly():
            sums = np.sum(a.array * b.array, axis=1, keepdims=True)
        return Digits(+sums)

    def perpendicular(self, v, rows, norm):
        """With exact determinants: exactly 0 for vectors that are parallel, whatever their number of digits."""
        at = np.arange(len(rows.array)), np.argmax(np.abs(rows.array), axis=1)
        row_pivot, v_pivot = rows.array[at][:, None], v.array[at][:, None]
        with exactly():
            oblique = v.array * row_pivot - rows.array * v_pivot
        oblique = Digits(oblique / row_pivot)
        return oblique - rows * (self.sum(oblique * rows) / (norm * norm))

    def sqrt(self, number):
        return Digits(_sqrt(number.array))

    def sin_cos(self, angle, limit):
        halvings = GUARD + max(0, math.frexp(limit)[1])
        return tuple(map(Digits, np.frompyfunc(lambda a: _sin_cos(a, halvings), 1, 2)(angle.array)))

    def angle(self, sine, cosine):
        return Digits(np.frompyfunc(_angle, 2, 1)(sine.array, cosine.array))

    def power(self, number):
        return np.ones((len(self.value(number)), 1))  # exponents are no concern of Decimals

    def logits(self, x, weight, x_vectors, weight_vectors):  # noqa: ARG002
        return _products(x_vectors.array, weight_vectors.array)

    def with_labels(self, logits, labels, values):
        logits.array[np.arange(len(labels)), labels] = values.array[:, 0]
        return logits

    def cross_entropy(self, logits, labels, return_grad):  # noqa: ARG002
        below = logits.array - np.max(logits.array, axis=1, keepdims=True)
        known = {value: value.exp() for value in set(below.flat)}
        terms = Digits(np.frompyfunc(known.get, 1, 1)(below))
        others = terms / self.sum(terms)
        others.array[np.arange(len(labels)), labels] = Decimal(0)
        return None, others

    def gathered(self, parts, labels, classes):
        (rows,), (labels,) = parts, labels
        if labels is None:
            return rows
        at_label = [np.flatnonzero(labels == j) for j in range(classes)]
        return Digits(np.array([[_sum(column) for column in rows.array[at].T] for at in at_label], dtype=object))

    def combined(self, coefficients, vectors, x, weight):  # noqa: ARG002
        return _combined(self.wanted[0], coefficients.array, vectors.array)

    def combined_by_class(self, coefficients, vectors):
        return _combined(self.wanted[1], coefficients.array.T, vectors.array)

    def tangent(self, others, target, side):
        return self.value(super().tangent(others, target, side))

    def plus_target(self, others, target):
        return self.value(others + target)
