"""Exact values from the standard library alone, and the error of a floating-point number against them.

`Decimal.exp` and `Decimal.ln` are correctly rounded at any precision, and a Decimal holds every float exactly.
Differences from the peak are taken without rounding; the precision doubles until the result is good to 20 digits.
Signs are changed by copy_abs and copy_negate: abs() and unary minus round to the 28 digits of the default context.
"""

import math
from decimal import MAX_EMAX, MIN_EMIN, ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from functools import lru_cache

import numpy as np

DIGITS = 50  # first precision; far beyond the 17 digits of a float64
ENOUGH = Decimal("1e-20")  # relative error at which an exact value counts as known
NEGLIGIBLE = Decimal("1e-420")  # far below the smallest subnormal float64, so more digits cannot matter
INF, NAN = Decimal("inf"), Decimal("nan")
# The sum of the largest and the smallest float64 has 309 digits before the point and 1074 after it.
WIDE = Context(prec=1500, Emax=MAX_EMAX, Emin=MIN_EMIN)


def context(digits):
    return Context(prec=digits, Emax=MAX_EMAX, Emin=MIN_EMIN, rounding=ROUND_HALF_EVEN)


def exp_dec(d, ctx):
    """e^d for d <= 0; 0 where it is below 10^-434294, which no sum of floats can notice."""
    return Decimal(0) if d < -1_000_000 else ctx.exp(d)


def series(ctx, first, ratio):
    """first + first*ratio(1) + first*ratio(1)*ratio(2) + ... until the terms fall below the precision."""
    total, term, j = first, first, 1
    while term and term.adjusted() > total.adjusted() - ctx.prec - 5:
        term = ctx.multiply(term, ratio(j))
        total = ctx.add(total, term)
        j += 1
    return total


def expm1_dec(d, ctx):
    if d == 0:
        return Decimal(0)
    if abs(d) < Decimal("1e-6"):
        return series(ctx, ctx.plus(d), lambda j: ctx.divide(d, Decimal(j + 1)))
    return ctx.subtract(exp_dec(d, ctx), Decimal(1))


def log1p_dec(v, ctx):
    """log(1 + v) to the relative accuracy of v."""
    if v == 0:
        return Decimal(0)
    if abs(v) < Decimal("1e-6"):
        return series(ctx, ctx.plus(v), lambda j: ctx.divide(ctx.multiply(v.copy_negate(), Decimal(j)), Decimal(j + 1)))
    return ctx.ln(WIDE.add(Decimal(1), v))


@lru_cache(maxsize=4096)
def differences(row, temperature, digits):
    """Sorted (value, (value - peak) / temperature) of the finite elements, and the peak."""
    finite = [v for v in row if math.isfinite(v)]
    peak = Decimal(max(finite))
    ctx = context(digits + 20)
    t = Decimal(temperature)
    distinct = set(finite)
    return {v: ctx.divide(WIDE.subtract(Decimal(v), peak), t) for v in distinct}, peak


@lru_cache(maxsize=4096)
def terms(row, temperature=1.0, digits=DIGITS):
    """Each distinct finite element's e^((x - peak)/temperature), and the sum of all of them without one peak."""
    ctx = context(digits)
    ds, peak = differences(row, temperature, digits)
    powers = {v: exp_dec(d, ctx) for v, d in ds.items()}
    counts = {}
    for v in row:
        if math.isfinite(v):
            counts[v] = counts.get(v, 0) + 1
    counts[float(peak)] -= 1
    rest = Decimal(0)
    for v, count in counts.items():
        rest = ctx.add(rest, ctx.multiply(Decimal(count), powers[v]))
    return powers, rest


def kind(row):
    """'nan', 'inf' (some +inf), 'none' (no element above -inf) or 'finite'."""
    if any(math.isnan(v) for v in row):
        return "nan"
    if math.inf in row:
        return "inf"
    return "finite" if any(v > -math.inf for v in row) else "none"


def exact_softmax(row, temperature=1.0, floor=None):
    row = tuple(row)
    what = kind(row)
    ctx = context(DIGITS)
    if what == "nan":
        return [NAN] * len(row)
    if what == "inf":
        return [ctx.divide(Decimal(1), Decimal(row.count(math.inf))) if v == math.inf else Decimal(0) for v in row]
    if what == "none":
        return [NAN] * len(row)
    powers, rest = terms(row, temperature)
    if floor is None:
        total = ctx.add(rest, Decimal(1))
        values = {v: ctx.divide(p, total) for v, p in powers.items()}
        return [values.get(v, Decimal(0)) for v in row]
    low = Decimal(floor)
    floored = [max(powers.get(v, Decimal(0)), low) for v in row]
    total = Decimal(0)
    for y in floored:
        total = ctx.add(total, y)
    return [ctx.divide(y, total) for y in floored]


def exact_log_softmax(row, temperature=1.0):
    """(x - peak)/temperature - log(sum): two terms of one sign, so nothing cancels."""
    row = tuple(row)
    what = kind(row)
    ctx = context(DIGITS)
    if what in ("nan", "none"):
        return [NAN] * len(row)
    if what == "inf":
        share = -ctx.ln(Decimal(row.count(math.inf)))
        return [share if v == math.inf else -INF for v in row]
    ds, _ = differences(row, temperature, DIGITS)
    _, rest = terms(row, temperature)
    log_total = log1p_dec(rest, ctx)
    values = {v: ctx.subtract(d, log_total) for v, d in ds.items()}
    return [values.get(v, -INF) for v in row]


def converge(attempt):
    """Double the digits until the result's error, returned beside it, is small against the result."""
    digits = DIGITS
    while True:
        value, error = attempt(digits)
        if error <= abs(value) * ENOUGH or error < NEGLIGIBLE:
            return value
        digits *= 2


def exact_logsumexp(row):
    row = tuple(row)
    what = kind(row)
    if what != "finite":
        return {"nan": NAN, "inf": INF, "none": -INF}[what]
    peak = Decimal(max(row))

    def attempt(digits):
        _, rest = terms(row, 1.0, digits)
        log_total = log1p_dec(rest, context(digits))
        return WIDE.add(peak, log_total), WIDE.scaleb(log_total, 5 - digits)

    return converge(attempt)


def exact_logmeanexp(row):
    """peak + log(1 + mean of expm1(x - peak)): right also where all elements are almost equal."""
    row = tuple(row)
    what = kind(row)
    if not row:
        return NAN
    if what != "finite":
        return {"nan": NAN, "inf": INF, "none": -INF}[what]
    peak = Decimal(max(row))

    def attempt(digits):
        ctx = context(digits)
        ds, _ = differences(row, 1.0, digits)
        total = Decimal(0)
        for v in row:
            total = ctx.add(total, expm1_dec(ds[v], ctx) if v in ds else Decimal(-1))
        log_mean = log1p_dec(ctx.divide(total, Decimal(len(row))), ctx)
        return WIDE.add(peak, log_mean), WIDE.scaleb(log_mean.copy_abs(), 5 - digits)

    return converge(attempt)


def exact_weighted(row, weights):
    """log|sum b e^a|, the sum's sign, and sum |b| e^a / |sum b e^a| (its condition). All values finite or -inf."""
    pairs = [(a, Decimal(b)) for a, b in zip(row, weights, strict=True) if b != 0 and a != -math.inf]
    if not pairs:
        return -INF, 0, Decimal(1)
    peak = Decimal(max(a for a, _ in pairs))
    digits = 400 if any(abs(b.adjusted()) > 30 for _, b in pairs) else DIGITS
    while True:
        ctx = context(digits)
        total = magnitude = Decimal(0)
        for a, b in pairs:
            term = ctx.multiply(b, exp_dec(WIDE.subtract(Decimal(a), peak), ctx))
            total, magnitude = ctx.add(total, term), ctx.add(magnitude, term.copy_abs())
        if total == 0 and digits > 3000:
            return -INF, 0, Decimal(1)
        if total != 0:
            log_total = ctx.ln(total.copy_abs())
            value = WIDE.add(peak, log_total)
            condition = ctx.divide(magnitude, total.copy_abs())
            error = WIDE.scaleb(WIDE.add(condition, abs(log_total)), 5 - digits)
            # One term of weight 1 has log_total = 0 and an exact value; anything else needs digits.
            exact = len(pairs) == 1 and abs(pairs[0][1]) == 1
            if exact or error <= abs(value) * ENOUGH or digits > 3000:
                return value, 1 if total > 0 else -1, condition
        digits *= 2


def ulp(exact, dtype):
    """Spacing of `dtype` in the binade of `exact`; never below the smallest subnormal."""
    info = np.finfo(dtype)
    magnitude = exact.copy_abs()
    e = int(info.minexp)
    if magnitude > Decimal(float(info.smallest_normal)):
        ratio = Fraction(magnitude) if -400 < magnitude.adjusted() < 400 else None
        if ratio is None:
            raise OverflowError(f"{exact} is outside every supported type")
        e = ratio.numerator.bit_length() - ratio.denominator.bit_length()
        if Fraction(2) ** e > ratio:
            e -= 1
    return Fraction(2) ** (max(e, int(info.minexp)) - int(info.nmant))


def ulp_error(got, exact, dtype):
    """|got - exact| / ulp(exact). Total: NaN against NaN is 0, NaN against a number and a wrong infinity are inf."""
    got = float(got)
    if exact.is_nan() or math.isnan(got):
        return 0.0 if exact.is_nan() and math.isnan(got) else math.inf
    if exact.is_infinite() or exact.adjusted() >= 400:  # beyond every type
        return 0.0 if got == math.copysign(math.inf, exact) else math.inf
    if exact.adjusted() < -420 or exact == 0:  # indistinguishable from 0 in units of any subnormal
        exact = Decimal(0)
    spacing = ulp(exact, dtype)
    if math.isinf(got):
        # Infinity is right only where the exact value rounds to it.
        limit = Fraction(float(np.finfo(dtype).max)) + spacing / 2
        return 0.0 if abs(Fraction(exact)) >= limit and (got > 0) == (exact > 0) else math.inf
    return in_units(Fraction(got) - Fraction(exact), spacing)


def in_units(difference, spacing):
    """|difference| / spacing, infinite where that is beyond the floats."""
    ratio = abs(difference) / spacing
    return float(ratio) if ratio < 2**1000 else math.inf


def worst(got, exact, dtype):
    """(largest error, its position) over a result and its list of exact values."""
    got = np.ravel(np.asarray(got))
    assert got.size == len(exact), f"{got.size} values against {len(exact)} exact ones"
    memo = {}
    errors = []
    for g, e in zip(got.tolist(), exact, strict=True):
        key = (repr(g), e.as_tuple())
        if key not in memo:
            memo[key] = ulp_error(g, e, dtype)
        errors.append(memo[key])
    if not errors:
        return 0.0, 0
    position = max(range(len(errors)), key=errors.__getitem__)
    return errors[position], position
