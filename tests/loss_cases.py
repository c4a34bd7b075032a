"""The table of the losses: function, options, bound, and the exact value that it is measured against."""

import math
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

import stablesoft
from exact import in_units, ulp, ulp_error, worst
from exact_losses import exact_sigmoid_loss, exact_softmax_loss

OPTIONS = {"label_smoothing": "smoothing", "z_loss": "z_loss", "gamma": "gamma", "alpha": "alpha"}


@dataclass(frozen=True)
class LossCase:
    name: str  # attribute of stablesoft
    bound: float  # ulp, of the loss and of each element of the gradient
    kwargs: dict = field(default_factory=dict)
    soft: bool = False  # probabilities; otherwise labels, or targets 0 and 1
    parts: bool = False  # the gradient is measured in ulps of its larger part: max(p, t)
    weights: tuple = ()  # names of the arguments that take an array of weights

    @property
    def id(self):
        options = [f"{key}={value}" for key, value in self.kwargs.items()]
        return "-".join([self.name, "probabilities" * self.soft or "labels", *self.weights, *options])

    @property
    def sigmoid(self):
        return self.name.startswith("sigmoid")

    def arrays(self, shape, dtype):
        """Weights by the names of their arguments: one for each class, or one for each element."""
        return {name: weights(shape, dtype, j) for j, name in enumerate(self.weights)}

    def __call__(self, module, x, targets, axis=-1, **more):
        if self.sigmoid:
            arrays = self.arrays(x.shape, x.dtype)
        else:
            arrays, more = self.arrays(x.shape[axis], x.dtype), {"axis": axis, **more}
        return getattr(module, self.name)(x, targets, **arrays, **self.kwargs, **more)

    def exact(self, row, targets):
        """Exact value of a row, or one for each element of it."""
        options = {OPTIONS[key]: value for key, value in self.kwargs.items()}
        if not self.sigmoid:
            weight = next(iter(self.arrays(row.size, row.dtype).values()), None)
            kind = {"probabilities": tuple(targets.tolist())} if self.soft else {"label": targets}
            return exact_softmax_loss(row.tolist(), **kind, weight=weight, **options)
        arrays = self.arrays(row.shape, row.dtype)
        w, v = (arrays.get(name, np.ones_like(row)) for name in ("weight", "pos_weight"))
        numbers = (array.ravel().tolist() for array in (row, targets, w, v))
        return [exact_sigmoid_loss(*one, **options) for one in zip(*numbers, strict=True)]


def weights(shape, dtype, seed=0):
    """Positive weights of several scales; not all of them have few bits."""
    return (2.0 ** np.random.default_rng(seed).uniform(-3, 3, shape)).astype(dtype)


CASES = [
    LossCase("softmax_cross_entropy", 1),
    LossCase("softmax_cross_entropy", 2, soft=True, parts=True),
    LossCase("softmax_cross_entropy", 4, weights=("weight",)),
    LossCase("softmax_cross_entropy", 4, soft=True, parts=True, weights=("weight",)),
    LossCase("softmax_cross_entropy", 4, {"label_smoothing": 0.1}, parts=True),
    LossCase("softmax_cross_entropy", 4, {"label_smoothing": 1.0}, parts=True),
    LossCase("softmax_cross_entropy", 4, {"label_smoothing": 0.3}, soft=True, parts=True, weights=("weight",)),
    LossCase("softmax_cross_entropy", 4, {"z_loss": 1e-4}, parts=True),
    LossCase("softmax_cross_entropy", 4, {"z_loss": 0.5, "label_smoothing": 0.1}, parts=True, weights=("weight",)),
    LossCase("softmax_focal_loss", 4, {"gamma": 2.0}),
    LossCase("softmax_focal_loss", 4, {"gamma": 0.5}),
    LossCase("softmax_focal_loss", 4, {"gamma": 3.7}, weights=("alpha",)),
    LossCase("softmax_focal_loss", 4, {"gamma": 2.0}, soft=True, parts=True, weights=("alpha",)),
    LossCase("sigmoid_cross_entropy", 1),
    LossCase("sigmoid_cross_entropy", 2, soft=True, parts=True),
    LossCase("sigmoid_cross_entropy", 4, weights=("weight", "pos_weight")),
    LossCase("sigmoid_cross_entropy", 4, soft=True, parts=True, weights=("weight", "pos_weight")),
    LossCase("sigmoid_focal_loss", 4, {"gamma": 2.0}),
    LossCase("sigmoid_focal_loss", 4, {"gamma": 0.5, "alpha": 0.25}),
    LossCase("sigmoid_focal_loss", 4, {"gamma": 3.7}),
]
# Losses whose sum lies half-way between two values of 60 bits, or too little beside it for the error of partial sums;
# rounded to one or to the other it gives different doubles. What is rounded is the sum and a hundredth of the spacing
# (src/math/canonical.h). Beside large ones pairs lose all that matters.
_ROUND, _TIE, _ABOVE, _LITTLE = 2.0**-53, 2.0**-61, 0.01 * 2.0**-60, 2.0**-100
DOUBTFUL = {
    "half-way": [1.0, _ROUND, _TIE, -_ABOVE],
    "a little above": [1.0, _ROUND, _TIE, -_ABOVE, _LITTLE],
    "a little below": [1.0, _ROUND, _TIE, -_ABOVE, -_LITTLE],
    "half-way, odd": [1.0, 3 * _ROUND, -_TIE, -_ABOVE],
    "a little above, odd": [1.0, 3 * _ROUND, -_TIE, -_ABOVE, _LITTLE],
    "a little below, odd": [1.0, 3 * _ROUND, -_TIE, -_ABOVE, -_LITTLE],
    "negative": [-1.0, -_ROUND, -_TIE, _ABOVE, -_LITTLE],
    "beside large ones": [2.0**60, 1.0, -(2.0**60), _ROUND, _TIE, -_ABOVE, _LITTLE],
}


def doubtful_softmax(losses):
    """The sum of these losses: a label 1024 below the peak costs 1024, and its weight makes that what is wanted."""
    x = np.full((losses.size, losses.size + 1), -np.inf)
    rows = np.arange(losses.size)
    x[rows, rows], x[:, -1] = -1024.0, 0.0
    weight = np.append(losses / 1024, 0)
    return stablesoft.softmax_cross_entropy(x, rows, weight=weight, reduction="sum")


def doubtful_sigmoid(losses):
    return stablesoft.sigmoid_cross_entropy(np.full(losses.size, 512.0), np.zeros(losses.size), weight=losses / 512,
                                            reduction="sum")  # fmt: skip


SOFTMAX = [case for case in CASES if not case.sigmoid]
SIGMOID = [case for case in CASES if case.sigmoid]


def labels_of(row):
    """{what it is: index}: the hard places for a label to be at."""
    found = {"peak": int(np.argmax(row)), "smallest": int(np.argmin(np.where(row > -np.inf, row, np.inf)))}
    values, counts = np.unique(row, return_counts=True)
    tied = np.flatnonzero((counts > 1) & (values > -np.inf))
    if tied.size:
        found["tie"] = int(np.flatnonzero(row == values[tied[-1]])[-1])
    if row.min() == -np.inf:
        found["-inf"] = int(np.argmin(row))
    found["middle"] = row.size // 2
    return {name: index for j, (name, index) in enumerate(found.items()) if index not in list(found.values())[:j]}


def probabilities_of(row, seed=0):
    """Probabilities for a row in its dtype: spread over many scales, some 0; they sum to about 1."""
    random = np.random.default_rng(seed)
    t = 10.0 ** random.uniform(-12, 0, row.size)
    t[random.random(row.size) < 0.2] = 0.0
    t[row == -np.inf] = 0.0
    return (t / max(t.sum(), 1e-30)).astype(row.dtype)


def targets_of(case, row):
    """What a case is tried with on a row: labels, or one array of probabilities or of 0 and 1."""
    if not case.sigmoid:
        return {"probabilities": probabilities_of(row)} if case.soft else labels_of(row)
    random = np.random.default_rng(row.size)
    if case.soft:
        return {"probabilities": (10.0 ** random.uniform(-9, 0, row.size)).astype(row.dtype)}
    zeros = random.integers(0, 2, row.size).astype(row.dtype)
    return {"0 and 1": zeros, "1 and 0": 1 - zeros}


def errors(case, exact, loss, gradient, scale=1):
    """(error in ulps, place, what was got, exact value) at the worst of the losses, and of the gradient."""
    dtype = gradient.dtype
    rows = exact if isinstance(exact, list) else [exact]
    losses = [one.loss for one in rows]
    error, place = worst(loss, losses, dtype)
    yield error, place, np.ravel(loss)[place], losses[place]
    values = [scale * value for one in rows for value in one.gradient]
    units = [scale * unit for one in rows for unit in one.units] if case.parts else None
    error, place = worst_of_parts(gradient, values, units, dtype) if case.parts else worst(gradient, values, dtype)
    yield error, place, np.ravel(gradient)[place], values[place]


def check(case, exact, loss, gradient, what, scale=1):
    """Loss and gradient of a row, or of elements, are within the bound; the gradient of `scale` times the loss."""
    assert np.asarray(loss).dtype == gradient.dtype
    for name, (error, place, got, value) in zip(
        ("loss", "gradient"), errors(case, exact, loss, gradient, scale), strict=True
    ):
        assert error <= case.bound, (
            f"{case.id} {what}: {name} {place} is {error:.3g} ulp off: {got!r}, not {value:.20g}"
        )


def worst_of_parts(got, exact, units, dtype):
    """As exact.worst, in ulps of the units where they are larger than the exact values."""
    errors = []
    for g, e, unit in zip(np.ravel(got).tolist(), exact, units, strict=True):
        if not math.isfinite(g) or not e.is_finite() or unit.adjusted() > 400:
            errors.append(ulp_error(g, e, dtype))
            continue
        nearby = Fraction(e) if e.adjusted() > -420 else Fraction(0)
        errors.append(in_units(Fraction(g) - nearby, ulp(max(unit, e.copy_abs()), dtype)))
    place = max(range(len(errors)), key=errors.__getitem__)
    return errors[place], place
