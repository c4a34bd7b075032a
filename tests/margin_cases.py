"""The margin losses with their exact counterparts, bounds, errors, and the inputs that are hard for them."""

import itertools
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np

from exact import ulp
from exact_margin import Kind, exact_margin
from stablesoft import margin

LOSS_BOUND = 16  # ulp of the scale of the logits, or of the loss where that is larger
GRADIENT_BOUND = 32  # ulp of the largest entry of the row

LOSSES = {
    "modified_softmax": (margin.modified_softmax, {}, Kind()),
    "l_softmax, m=1": (margin.l_softmax, {"m": 1}, Kind(unit_weight=False)),
    "l_softmax, m=4": (margin.l_softmax, {}, Kind(unit_weight=False, m=4)),
    "l_softmax, m=3, lam": (margin.l_softmax, {"m": 3, "lam": 5.0}, Kind(unit_weight=False, m=3, lam=5.0)),
    "a_softmax, m=2": (margin.a_softmax, {"m": 2}, Kind(m=2)),
    "a_softmax, m=7": (margin.a_softmax, {"m": 7}, Kind(m=7)),
    "am_softmax": (margin.am_softmax, {}, Kind(s=30.0, m3=0.35)),
    "arcface, sub": (margin.arcface, {}, Kind(s=64.0, m2=0.5, beyond="sub")),
    "arcface, wrap": (margin.arcface, {"beyond": "wrap"}, Kind(s=64.0, m2=0.5)),
    "arcface, clamp": (margin.arcface, {"beyond": "clamp"}, Kind(s=64.0, m2=0.5, beyond="clamp")),
    "arcface, easy": (margin.arcface, {"beyond": "easy"}, Kind(s=64.0, m2=0.5, beyond="easy")),
    "combined": (
        margin.combined_margin,
        {"m1": 0.9, "m2": 0.4, "m3": 0.15, "scale": 8.0},
        Kind(s=8.0, m1=0.9, m2=0.4, m3=0.15, beyond="sub"),
    ),
    "combined, multiplied": (
        margin.combined_margin,
        {"m1": 1.35, "beyond": "clamp"},
        Kind(s=64.0, m1=1.35, beyond="clamp"),
    ),
}
NAMES = tuple(LOSSES)
EVERY_DIGIT = 120  # of the exact values, for angles down to 1e-30
SCALED = tuple(name for name, (_, _, kind) in LOSSES.items() if kind.s is not None)


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def vectors(dtype):
    """{name: (x, weight, labels)}: the hard inputs that every loss must get right."""
    eps, big = float(np.finfo(dtype).eps), 1e30 if dtype == "float32" else 1e280
    axes, ones = np.eye(4), np.ones(4)
    class_vectors = np.vstack([axes[:2], -ones, -axes[0]])
    w = normal(3, 6)
    own = w.astype(dtype).astype("float64")
    unit = normal(512, seed=2) / 512**0.5
    near = 3e-6
    angle = math.pi - 0.5
    table = {
        "ordinary": (normal(4, 6), normal(5, 6), [0, 1, 2, 0]),
        "K = 1": ([[2.0], [-3.0], [0.1]], [[1.0], [-7.0], [0.3]], [0, 0, 2]),
        "K = 2": (normal(3, 2), normal(2, 2), [0, 1, 1]),
        "K = 512": (normal(2, 512), normal(3, 512), [0, 1]),
        "C = 100": (normal(2, 40), normal(100, 40), [5, 5]),
        "C = 1": (normal(3, 4), normal(1, 4), [0, 0, 0]),
        "confident": (20 * own[[1]] + normal(1, 6), 20 * own, [1]),
        "angle 0 and pi": (np.vstack([2 * own[0], -4 * own[1], own[2]]), own, [0, 1, 2]),
        "one ulp from angle 0 and pi": (np.nextafter(own.astype(dtype), 9) * [[2], [-4], [1]], own, [0, 1, 2]),
        "angles down to 1e-9": (own + normal(3, 6) * [[1e-3], [1e-6], [1e-9]], own, [0, 1, 2]),
        "needles": ([[1.0, 1e-30], [-1.0, 1e-30]], [[1.0, 2e-30], [0.0, 1.0]], [0, 0]),
        "beside another class": ([[1.0, 1.0, 1.0]], [[1.0, 1.0, 1 + 4 * eps], [1.0, 1.0, -1.0]], [1]),
        "two classes close together": (own[:1], own[:1] + 1e-4 * normal(2, 6), [0]),
        "on another class": (np.vstack([own[1], -own[2], own[0]]), own, [0, 1, 1]),
        "on another class, alone": (2 * own[[1]], own, [0]),
        "ties": (normal(2, 6), np.vstack([own[0], 2 * own[0], own[0], -own[0]]), [0, 3]),
        "tiny": (normal(3, 5) / big, normal(3, 5, seed=1) / big, [0, 1, 1]),
        "tiny and huge": (normal(3, 5) / big, normal(3, 5, seed=1) * big, [0, 1, 1]),
        "lengths mixed": (
            normal(3, 5) * [[1], [1e-8], [1e-15]],
            normal(3, 5, seed=1) * [[1], [1e-9], [1e9]],
            [0, 1, 1],
        ),
        "logits of 1000 almost equal": (1000 * (unit + normal(1, 512) / 20), unit + near * normal(3, 512), [1]),
        "break points": (np.vstack([ones, axes[0], axes[0] + axes[1], [1, -1, 1, 1]]), class_vectors, [0, 1, 0, 3]),
        "beside the break points": (
            np.array([[1, 1, 1, 1 + eps], [1, eps, 0, 0], [1, 1 + eps, 0, 0], [1, -1, 1, 1 - eps]]),
            class_vectors,
            [0, 1, 0, 3],
        ),
        "a break point alone": ([[1.0, 1.0]], np.eye(2), [0]),
        "one ulp above a break point": ([[1.0, 1 + eps]], np.eye(2), [0]),
        "one ulp below a break point": ([[1 + eps, 1.0]], np.eye(2), [0]),
        "ten to nine labels": (normal(9, 3), normal(10, 3), [3] * 9),
    }
    for gap in (0.5, 1e-3, -1e-3, 1e-7):
        theta = angle - gap
        table[f"{gap:g} before pi"] = ([[1.0, 0.0]], [[math.cos(theta), math.sin(theta)], [0.0, 1.0]], [0])
    return {name: (np.asarray(x, dtype), np.asarray(w, dtype), np.asarray(y)) for name, (x, w, y) in table.items()}


HARD = tuple(vectors("float64"))


def vanishing(name, dtype, size):
    """(x, weight, labels) for which a row of a gradient is so small beside its terms, or as small as dtype allows."""
    kind = LOSSES[name][2]

    def case(t):
        turned = [[math.cos(a), math.sin(a)] for a in (0.1, 0.65, t)]
        if not kind.unit_weight:  # of one entry, so that nothing is left along the vectors
            x, weight, labels = [[2.0]], [[1.0], [-0.7], [t]], [0]
        elif kind.s is None:  # the gradient of class 1
            x, weight, labels = turned, [[1.0, 0.2], [0.4, 1.0]], [0, 0, 0]
        else:
            x, weight, labels = [[2.0, 0.0]], turned, [0]
        return np.asarray(x, dtype), np.asarray(weight, dtype), np.asarray(labels)

    def slope(t):
        exact = exact_margin(*case(t), kind)
        of_class = kind.unit_weight and kind.s is None
        gradient, terms = (exact.grad_weight, exact.terms_weight) if of_class else (exact.grad_x, exact.terms_x)
        return gradient[-1][-1] / terms[-1] if terms[-1] else 0

    ends = np.linspace(-2.9, 2.9, 58).tolist()
    for low, high in itertools.pairwise(ends):
        sign, value = slope(low), slope(high)
        if sign * value >= 0:
            continue
        for _ in range(60):
            middle = (low + high) / 2
            value = slope(middle)
            if abs(value) <= size:
                break
            low, high = (middle, high) if sign * value > 0 else (low, middle)
        if abs(value) < 1e-3:  # and no jump
            return case(middle)
    raise ValueError(f"no gradient of {name} vanishes here")


def lasting(dtype):
    """{what: (loss, x, weight, labels)}: gradients whose digits have been lost in one way or another."""
    up = float(np.finfo(dtype).eps)
    many = np.r_[np.full(300, 0.75), np.full(303, -0.7421875)][:, None]
    table = {
        "mirrored classes": ("am_softmax", [[2, 0]], [[1, 0], [3, 4], [3, -4]], [0]),
        "mirrored classes, the label opposite": ("arcface, sub", [[2, 0]], [[-1, 0], [3, 4], [3, -4]], [0]),
        "all other classes alike": ("arcface, sub", [[1, 1, 1]], [[1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]], [0]),
        "equal classes": ("modified_softmax", [[1, 2, 0.3]], [[1, 1, 1]] * 4, [0]),
        "equal classes, short": ("am_softmax", [[1e-3, 2e-3, 3e-4]], [[1, 1, 1]] * 4, [0]),
        "equal classes, long": ("am_softmax", [[1e3, 2e3, 3e2]], [[1, 1, 1]] * 4, [0]),
        "logits with equal high parts": ("l_softmax, m=1", [[1e10, 1]], [[1e9, 1], [1e9, 1000], [1e9, -5]], [0]),
        "nearly at a break point": ("a_softmax, m=2", [[1, 1 + up]], [[1 + 2 * up, -1 - up], [1, 0]], [0]),
        "equal rows": ("l_softmax, m=1", many, [[1.01], [0.99]], [0] * 300 + [1] * 303),
        "small logits": ("l_softmax, m=1", [[1e-8]], [[1.5 + 3e-5], [1], [2]], [0]),
        "small logits of two rows": ("l_softmax, m=1", [[-6e-13], [6e-13]], [[11], [2400], [3989]], [0, 1]),
        "one class is nearly certain": ("l_softmax, m=1", [[3e4], [-2e4]], [[1], [-1], [0.999]], [1, 0]),
    }
    if dtype == "float32":
        table["large logits of short classes"] = (
            "modified_softmax",
            [[-40628576256.0, -45664370688.0, 0.8510000109672546]],
            [[1.0009081363677979, -0.8905295729637146, 1e-13], [2.0018162727355957, -1.7810591459274292, -1.2e-11]],
            [0],
        )
        x, weight = [[1e38, 1e38, 1]], [[1e38, -1e38, 1], [-1e38, 1e38, 2]]
        table["logits beyond float32"] = ("l_softmax, m=1", x, weight, [0])
    else:
        a, b = 1000380874.749979, -5059908804.560516
        table |= {
            "logits whose errors are large": (
                "l_softmax, m=1",
                [[2.3180952358751866e20, 4.583043349968034e19, 0.2890193845230488]],
                [[a, b, -0.278], [-a, -b, -2.838], [a, b, 0.807], [a, b, -0.938]],
                [3],
            ),
            "logits of 1e100 that cancel": ("l_softmax, m=1", [[1e100, 1e100, 1]], [[1, -1, 1], [-1, 1, 2]], [0]),
            "logits of 1e280": ("l_softmax, m=1", [[1e100, 1]], [[1e180, 0], [1e180, 0]], [1]),
            "parallel vectors of 1e-20": ("arcface, sub", [[1.9e-20, 3e-21]], [[1.9e-20, 3e-21]] * 2, [0]),
            "a slope beyond all numbers": ("arcface, sub", [[1e-308, 1e-308]], [[1, 1], [1, 1]], [0]),
            "logits of 1e36 that are equal": (
                "modified_softmax",
                [[1e36, 3e35]],
                [[-0.3, 1], [0.3, -1], [0.3, -1 - 2**-52]],
                [1],
            ),
            "subnormal features": ("modified_softmax", [[1e-315, 3e-315]], [[1e-200, 1e-200], [1e-200, -2e-200]], [0]),
            "next to a break point": ("a_softmax, m=2", [[1, 0]], [[1e-29, 1], [1, 1]], [0]),
            "a slope of 1e150": ("l_softmax, m=1", [[1e-150, 3e-150]], [[4e152, 1], [-4e152, 2e150]], [0]),
            "subnormal probabilities": ("l_softmax, m=1", [[7.35e-18]], [[1e20], [1]], [0]),
            "subnormal probabilities, long features": ("l_softmax, m=1", [[1e20]], [[7.35e-18], [-1e-30]], [0]),
            "probabilities below all numbers": ("l_softmax, m=1", [[1e-17]], [[1e20], [1]], [0]),
        }
    return {
        what: (name, np.asarray(x, dtype), np.asarray(weight, dtype), np.asarray(labels))
        for what, (name, x, weight, labels) in table.items()
    }


def errors(name, x, weight, labels, dtype, digits=60, **options):
    """(error, got, exact) at the worst of the losses and of both gradients, in the units of the bounds."""
    function, given_options, kind = LOSSES[name]
    if "gradient" in options:
        kind = replace(kind, detached=options["gradient"] == "detached")
    exact = exact_margin(x, weight, labels, kind, digits)
    items = function(x, weight, labels, reduction="none", **given_options)
    _, *grads = function(x, weight, labels, reduction="sum", return_grad=True, **given_options, **options)
    assert {items.dtype, grads[0].dtype, grads[1].dtype} == {np.dtype(dtype)}
    yield max(
        in_ulps(item, value, max(scale, value), dtype)
        for item, value, scale in zip(items, exact.items, exact.scales, strict=True)
    )
    yield max(
        in_ulps(got, value, max(map(abs, values)), dtype)
        for grad, rows in zip(grads, (exact.grad_x, exact.grad_weight), strict=True)
        for row, values in zip(grad, rows, strict=True)
        for got, value in zip(row, values, strict=True)
    )


def in_ulps(got, value, scale, dtype):
    """How far `got` is from `value`, in ulps of `scale`, with both of them."""
    return float(abs(Fraction(float(got)) - Fraction(value)) / ulp(scale, dtype)), float(got), float(value)
