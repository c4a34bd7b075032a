"""Exact values of the margin losses, from the definitions: angles by atan, psi piece by piece, sums of Decimals.

Nothing is shared with the library: no Chebyshev polynomial, no slices, and a residual taken at full precision.
"""

import functools
from dataclasses import dataclass, replace
from decimal import Decimal, getcontext, localcontext

from exact import context, exp_dec, log1p_dec, series

DIGITS = 60
ZERO, ONE, TWO = Decimal(0), Decimal(1), Decimal(2)


def atan(v):
    """In the current context. The angle is halved until the series is quick."""
    with localcontext() as ctx:
        ctx.prec += 10
        for _ in range(5):
            v = v / (1 + (1 + v * v).sqrt())
        return 32 * sum_alternating(v, lambda j: Decimal(2 * j - 1) / (2 * j + 1))


def sum_alternating(v, ratio):
    """v - v^3 ratio(1) + v^5 ratio(1) ratio(2) - ..."""
    with localcontext() as ctx:
        return series(ctx, v, lambda j: -v * v * ratio(j))


@functools.cache
def pi(digits):
    with localcontext(context(digits)):
        return 16 * atan(ONE / 5) - 4 * atan(ONE / 239)


def sin_cos(angle):
    """In the current context."""
    with localcontext() as ctx:
        ctx.prec += 20
        y = angle / 1024
        sine = sum_alternating(y, lambda j: ONE / (2 * j * (2 * j + 1)))
        cosine = series(ctx, ONE, lambda j: -y * y / ((2 * j - 1) * 2 * j))
        for _ in range(10):
            sine, cosine = 2 * sine * cosine, cosine * cosine - sine * sine
        return sine, cosine


def angle_of(sine, cosine, digits):
    if cosine == 0:
        return pi(digits) / 2
    angle = atan(sine / cosine)
    return angle if cosine > 0 else angle + pi(digits)


@dataclass(frozen=True)
class Kind:
    """One loss. `s` None: not scaled, the logits have the length of x. `m` set: psi instead of the angular margin."""

    s: float | None = None
    unit_weight: bool = True
    m: int | None = None
    lam: float = 0.0
    m1: float = 1.0
    m2: float = 0.0
    m3: float = 0.0
    beyond: str = "wrap"
    detached: bool = False

    def phi(self, sine, cosine, digits):
        """(phi, d phi/d theta) at the label."""
        theta = angle_of(sine, cosine, digits)
        if self.m is not None:
            k = min(int(theta * self.m / pi(digits)), self.m - 1)
            sign = -1 if k % 2 else 1
            many_sine, many_cosine = sin_cos(theta * self.m)
            lam = Decimal(self.lam)
            phi = (lam * cosine + sign * many_cosine - 2 * k) / (1 + lam)
            return phi, -(lam * sine + sign * self.m * many_sine) / (1 + lam)
        m1, m2, m3 = Decimal(self.m1), Decimal(self.m2), Decimal(self.m3)
        angle = m1 * theta + m2
        if self.beyond == "sub" and angle >= pi(digits):
            return cosine - m2 * sin_cos(m2)[0] - m3, -sine
        if self.beyond == "clamp" and angle >= pi(digits):
            return -1 - m3, ZERO
        if self.beyond == "easy" and cosine <= 0:
            return cosine - m3, -sine
        many_sine, many_cosine = sin_cos(angle)
        return many_cosine - m3, -m1 * many_sine


def dot(v, w):
    return sum((a * b for a, b in zip(v, w, strict=True)), ZERO)


def norm(v):
    return dot(v, v).sqrt()


def unit_residual(v, along):
    """The direction of v perpendicular to `along`, and its length; zeros where they are parallel."""
    factor = dot(v, along) / dot(along, along)
    rest = [a - factor * b for a, b in zip(v, along, strict=True)]
    length = norm(rest)
    # Parallel up to the precision of the Decimals: the shortest that floats can leave is far longer.
    if length < norm(v).scaleb(10 - getcontext().prec):
        return [ZERO] * len(v), ZERO
    return [a / length for a in rest], length


@dataclass
class Exact:
    items: list  # of Decimal
    grad_x: list  # rows; of the sum of the items
    grad_weight: list
    scales: list  # the largest factor of a cosine among the logits of each row
    terms_x: list  # for each row of the gradient, the largest entry among the terms that it is the sum of
    terms_weight: list


def decimals(rows):
    return [[Decimal(float(v)) for v in row] for row in rows]


def exact_margin(x, weight, labels, kind, digits=DIGITS):
    with localcontext(context(digits)):
        return _evaluate(decimals(x), decimals(weight), [int(y) for y in labels], kind, digits)


def exact_item(row, weight, label, kind, digits=DIGITS):
    """The loss of one row of Decimals; what differences are taken of."""
    with localcontext(context(digits)):
        return _row(row, weight, label, kind, digits, gradients=False)[0]


def _row(row, weight, label, kind, digits, gradients=True):
    x_norm = norm(row)
    logits, scales, slopes = [], [], []
    for j, w in enumerate(weight):
        w_norm = norm(w)
        towards, length = unit_residual(w, row)
        cosine, sine = dot(row, w) / (x_norm * w_norm), length / w_norm
        phi, slope = cosine, -sine
        if j == label:
            phi, slope = kind.phi(sine, cosine, digits)
        scale = (x_norm if kind.s is None else Decimal(kind.s)) * (ONE if kind.unit_weight else w_norm)
        logits.append(scale * phi)
        scales.append(scale)
        slopes.append((phi, -sine if kind.detached else slope, x_norm, w_norm, towards))
    peak = max(logits)
    terms = [exp_dec(z - peak, context(digits)) for z in logits]
    total = sum(terms, ZERO)
    others = sum((t for j, t in enumerate(terms) if j != label), ZERO)
    item = peak - logits[label] + log1p_dec(total - 1, context(digits))
    if not gradients:
        return item, None
    probabilities = [t / total for t in terms]
    probabilities[label] = -others / total
    x_terms, w_terms = [], []
    for j, w in enumerate(weight):
        phi, slope, x_norm, w_norm, towards = slopes[j]
        back, _ = unit_residual(row, w)
        along_x = phi * scales[j] / x_norm if kind.s is None else ZERO
        along_w = ZERO if kind.unit_weight else phi * scales[j] / w_norm
        g, turn = probabilities[j], scales[j] * slope
        x_terms.append([g * (along_x * a / x_norm - turn * e / x_norm) for a, e in zip(row, towards, strict=True)])
        w_terms.append([g * (along_w * a / w_norm - turn * e / w_norm) for a, e in zip(w, back, strict=True)])
    return item, (max(scales), x_terms, w_terms)


def _evaluate(x, weight, labels, kind, digits):
    result = Exact([], [], [[ZERO] * len(row) for row in weight], [], [], [ZERO] * len(weight))
    for row, label in zip(x, labels, strict=True):
        item, (scale, x_terms, w_terms) = _row(row, weight, label, kind, digits)
        result.items.append(item)
        result.scales.append(scale)
        result.grad_x.append([sum(column, ZERO) for column in zip(*x_terms, strict=True)])
        result.terms_x.append(max(abs(t) for term in x_terms for t in term))
        for j, term in enumerate(w_terms):
            result.grad_weight[j] = [a + b for a, b in zip(result.grad_weight[j], term, strict=True)]
            result.terms_weight[j] = max(result.terms_weight[j], *(abs(t) for t in term))
    return result


def differences(x, weight, labels, kind, digits=DIGITS):
    """grad_x and grad_weight by central differences of the exact loss: an error of about 10^-digits/2."""
    x, weight, kind = decimals(x), decimals(weight), replace(kind, detached=False)
    with localcontext(context(digits)):
        step = Decimal(10) ** (-digits // 3)

        def total(x, weight):
            return sum((exact_item(r, weight, y, kind, digits) for r, y in zip(x, labels, strict=True)), ZERO)

        def slope(rows, i, k):
            kept, values = rows[i][k], []
            for sign in (1, -1):
                rows[i][k] = kept + sign * step
                values.append(total(x, weight))
            rows[i][k] = kept
            return (values[0] - values[1]) / (2 * step)

        def table(rows):
            return [[slope(rows, i, k) for k in range(len(row))] for i, row in enumerate(rows)]

        return table(x), table(weight)
