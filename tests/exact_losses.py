"""Exact losses and gradients, with the means of exact.py: floats in, Decimals out.

A gradient element is a difference of parts that are known to full relative accuracy: p without a class's own share, and
1 - p of its own. Bounds "of max(p, t)" count in its unit. test_loss_laws.py checks the formulas against differences of
the loss.
"""

import math
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from exact_elementwise import CTX, exact_expit, exact_softplus

from exact import DIGITS, ENOUGH, INF, NEGLIGIBLE, WIDE, context, differences, exp_dec, log1p_dec, terms

ZERO, ONE = Decimal(0), Decimal(1)


@dataclass(frozen=True)
class Exact:
    loss: Decimal
    gradient: list  # of Decimal
    units: list  # the larger of p and t, times all that stands before them


@lru_cache(maxsize=256)
def _probabilities(row, digits):
    """{x: (p, 1 - p, -log p)} of a row with finite elements and perhaps -inf, and its logsumexp."""
    ctx = context(digits)
    powers, rest = terms(row, 1.0, digits)
    distances, peak = differences(row, 1.0, digits)
    total, log_total = ctx.add(ONE, rest), log1p_dec(rest, ctx)
    found = {-math.inf: (ZERO, ONE, INF)}
    for v, power in powers.items():
        others = rest if v == float(peak) else ctx.subtract(total, power)
        cost = ctx.subtract(log_total, distances[v])
        found[v] = ctx.divide(power, total), ctx.divide(others, total), cost
    return found, WIDE.add(peak, log_total)


def raised(p, q, gamma, ctx):
    """q^gamma for 0 <= q <= 1 and p = 1 - q, either of which may be tiny."""
    if gamma == 0 or p == 0:
        return ONE
    if q == 0:
        return ZERO
    log = log1p_dec(ctx.divide(p, q), ctx).copy_negate()
    return exp_dec(ctx.multiply(Decimal(gamma), log), ctx)


def _factors(n, label, probabilities, weight, smoothing, ctx):
    """a = w t of each class, t smoothed."""
    weights = [ONE] * n if weight is None else [Decimal(float(w)) for w in weight]
    t = [Decimal(int(i == label)) if probabilities is None else Decimal(float(probabilities[i])) for i in range(n)]
    if smoothing:
        share = ctx.divide(Decimal(smoothing), Decimal(n))
        kept = WIDE.subtract(ONE, Decimal(smoothing))
        t = [ctx.add(ctx.multiply(kept, one), share) for one in t]
    return [ctx.multiply(w, one) for w, one in zip(weights, t, strict=True)]


def _softmax_attempt(row, a, z_loss, gamma, digits):
    """Loss and gradient elements as lists of the parts that are added, and the units of the gradient."""
    ctx = context(digits)
    known, log_sum = _probabilities(row, digits)
    whole, z = sum_of(a, ctx), Decimal(z_loss)
    loss, slopes = [], []
    for v, one in zip(row, a, strict=True):
        p, q, cost = known[v]
        if one == 0:
            slopes.append(ZERO)
            continue
        focus = ctx.multiply(one, raised(p, q, gamma, ctx))
        loss.append(ctx.multiply(focus, cost) if focus else ZERO)
        growth = ctx.divide(ctx.multiply(p, cost), q) if p and q else ZERO  # p log p / q: 0 where p = 0 or q^gamma = 0
        slopes.append(ctx.multiply(focus, ctx.add(ONE, ctx.multiply(Decimal(gamma), growth))))
    steep = ctx.multiply(ctx.multiply(2, z), ctx.multiply(log_sum, whole))
    loss.append(ctx.multiply(ctx.multiply(z, whole), ctx.multiply(log_sum, log_sum)))
    # Each sum without its own element: where that is all there is, nothing may be left over.
    before, after = [ZERO], [ZERO]
    for one, eno in zip(slopes, reversed(slopes), strict=True):
        before.append(ctx.add(before[-1], one))
        after.append(ctx.add(after[-1], eno))
    gradient, units = [], []
    for i, v in enumerate(row):
        p, q, _ = known[v]
        others = ctx.add(before[i], after[len(row) - 1 - i])
        gradient.append([ctx.multiply(p, others), ctx.multiply(q, slopes[i]).copy_negate(), ctx.multiply(p, steep)])
        units.append(max(ctx.multiply(p, before[-1]), slopes[i], ctx.multiply(p, steep).copy_abs()))
    return loss, gradient, units


def sum_of(values, ctx):
    total = ZERO
    for value in values:
        total = ctx.add(total, value)
    return total


def exact_softmax_loss(row, label=None, probabilities=None, weight=None, smoothing=0.0, z_loss=0.0, gamma=0.0):
    """Any softmax loss of one row without NaN and +inf; a label of None is an ignored one."""
    row = tuple(map(float, row))
    if probabilities is None and label is None:
        return Exact(ZERO, [ZERO] * len(row), [ZERO] * len(row))
    digits = DIGITS
    while True:
        ctx = context(digits)
        a = _factors(len(row), label, probabilities, weight, smoothing, ctx)
        loss, gradient, units = _softmax_attempt(row, a, z_loss, gamma, digits)
        values = [sum_of(parts, ctx) for parts in (loss, *gradient)]
        largest = [max(part.copy_abs() for part in parts) for parts in (loss, *gradient)]
        if all(_known(value, size, digits) for value, size in zip(values, largest, strict=True)):
            return Exact(values[0], values[1:], units)
        digits *= 2


def _known(value, size, digits):
    """A sum of parts up to `size`, each good to `digits` but a few, is good to 20 digits, or nothing (p = t, say)."""
    if size.is_infinite() or digits > 3000:
        return True
    error = WIDE.scaleb(size, 8 - digits)
    return error <= value.copy_abs() * ENOUGH or error < NEGLIGIBLE


@lru_cache(maxsize=30_000)
def _logistic(x):
    """sigma and softplus of x and of -x."""
    return exact_expit(x), exact_expit(-x), exact_softplus(x), exact_softplus(-x)


def exact_sigmoid_loss(x, target, weight=1.0, positive=1.0, gamma=None, alpha=None):
    """Any sigmoid loss of one logit; gamma is None where there is no focus."""
    t, w, v = (Decimal(float(one)) for one in (target, weight, positive))
    none, some = WIDE.subtract(ONE, t), CTX.multiply(v, t)
    above, below, rising, falling = _logistic(x)
    loss = ZERO
    for factor, cost in ((none, rising), (some, falling)):
        loss = CTX.add(loss, CTX.multiply(factor, cost)) if factor else loss
    parts = [CTX.multiply(none, above), CTX.multiply(some, below).copy_negate()]
    if gamma is not None:
        q = CTX.add(CTX.multiply(none, above), CTX.multiply(t, below))
        p = CTX.add(CTX.multiply(none, below), CTX.multiply(t, above))
        shares = [
            ONE if alpha is None else Decimal(alpha),
            ONE if alpha is None else WIDE.subtract(ONE, Decimal(alpha)),
        ]
        share = CTX.add(CTX.multiply(shares[0], t), CTX.multiply(shares[1], none))
        power = CTX.multiply(raised(p, q, gamma, CTX), share)
        if q and not loss.is_infinite():
            spread = CTX.divide(CTX.multiply(above, below), q)
            parts.append(CTX.multiply(CTX.multiply(Decimal(gamma), CTX.multiply(loss, spread)), CTX.subtract(none, t)))
        loss = CTX.multiply(power, loss) if power else loss if q and share and loss.is_infinite() else ZERO
        parts = [CTX.multiply(power, part) for part in parts]
    parts = [CTX.multiply(w, part) for part in parts]
    loss = CTX.multiply(w, loss) if w else ZERO
    return Exact(loss, [sum_of(parts, CTX)], [max(part.copy_abs() for part in parts)])
