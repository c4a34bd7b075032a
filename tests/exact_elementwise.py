"""Exact values of the elementwise functions, with the means of exact.py; inputs are floats, results Decimals."""

import math
from decimal import Decimal

from exact import INF, NAN, WIDE, context, converge, exact_logsumexp, exp_dec, expm1_dec, log1p_dec

DIGITS = 60
CTX = context(DIGITS)


def exact_softplus(x):
    if not math.isfinite(x):
        return NAN if math.isnan(x) else INF if x > 0 else Decimal(0)
    d = Decimal(x)
    return WIDE.add(max(d, Decimal(0)), log1p_dec(exp_dec(-d.copy_abs(), CTX), CTX))


def exact_log_expit(x):
    return exact_softplus(-x).copy_negate()


def exact_expit(x):
    if not math.isfinite(x):
        return NAN if math.isnan(x) else Decimal(int(x > 0))
    term = exp_dec(Decimal(x).copy_abs().copy_negate(), CTX)
    return CTX.divide(term if x < 0 else Decimal(1), CTX.add(Decimal(1), term))


def exact_logit(p):
    if not 0 <= p <= 1:
        return NAN
    if p in (0, 1):
        return INF if p else -INF
    rest = WIDE.subtract(Decimal(1), Decimal(p))
    if 0.25 < p < 0.75:
        return log1p_dec(CTX.divide(WIDE.subtract(Decimal(p), rest), rest), CTX)
    return CTX.subtract(CTX.ln(Decimal(p)), CTX.ln(rest))


def log1mexp_dec(d, ctx):
    """log(1 - e^d) for d < 0."""
    if d < -1:
        return log1p_dec(exp_dec(d, ctx).copy_negate(), ctx)
    return ctx.ln(expm1_dec(d, ctx).copy_negate())


def exact_log1mexp(x):
    if not x < 0:
        return -INF if x == 0 else NAN
    return Decimal(0) if x == -math.inf else log1mexp_dec(Decimal(x), CTX)


def exact_logaddexp(a, b):
    return exact_logsumexp((a, b))


def exact_logsubexp(a, b):
    if a == b:
        return -INF
    if not a > b:
        return NAN
    if math.isinf(a) or math.isinf(b):
        return Decimal(a)

    def attempt(digits):
        ctx = context(digits)
        d = WIDE.subtract(Decimal(b), Decimal(a))
        value = log1mexp_dec(d, ctx)
        return WIDE.add(Decimal(a), value), WIDE.scaleb(value.copy_abs(), 5 - digits)

    return converge(attempt)
