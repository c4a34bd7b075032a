r"""Margin softmax losses: cross-entropy of cosines in which the label must win by a margin.

All share one form. With c the cosine of the angle theta between a feature vector x_i and the vector w_j of class j, a
logit is a scale times c, except at the label y, where it is the same scale times a smaller function of theta:

================  =============  ==============================
loss              scale          at the label
================  =============  ==============================
l_softmax         \|x\| \|w\|    psi(theta)
modified_softmax  \|x\|          cos(theta)
a_softmax         \|x\|          psi(theta)
am_softmax        s              cos(theta) - m
arcface           s              cos(theta + m)
combined_margin   s              cos(m1 theta + m2) - m3
================  =============  ==============================

**Accuracy.** For float32 and float64 on NumPy the loss of a row is right to 16 ulp of the scale of the logits (or of
itself, where it is larger), and a gradient to 32 ulp of the largest entry of its row. That includes angle 0 and pi,
where the angular part of the gradient is exactly 0, the angles next to them, every break point of psi, and gradients
that all but vanish because the contributions of classes or of rows cancel, down to 1e-300. Elsewhere the same formulas
run in the library's own numbers, and automatic differentiation gives finite gradients through them.

**Reproducibility.** For float32 and float64 on NumPy the same bits for any number of threads, instruction set and
memory layout, for the rows of the batch in any order (up to 2^18 of them), and for a row's loss and `grad_x` (but for
the division by N of "mean") whatever else is in the batch. That includes the matrix products, which are BLAS's: they
are rounded to fewer digits than BLAS gets right in any order of its additions, and done again where that is in doubt.
Each costs one product of float64 matrices for float32 and three for float64; three and six for rows with logits above
2048 and 128, and for the gradient of the classes with batches of more than 4096 and 512. Gradients that lose too many
digits to cancellation are computed again in pairs of doubles, and take a few times as long (those of a class need the
whole batch for it). What has lost 40 bits in float64, or vanishes exactly, as it does where all classes are equal,
takes microseconds for each product of two numbers.

**Detached gradients.** With `gradient="detached"` the margin enters the loss as a constant that is not differentiated:
the logit at the label counts as scale * (cos(theta) + constant), also for psi. Automatic differentiation of the loss
always gives the true gradient.

**Special values.** A zero vector has no direction and is refused. A NaN or an infinity makes the loss and the gradients
that depend on it NaN. The loss of an empty batch is 0. Where looking at values would stop a trace (JAX), a label out of
range gives NaN instead of an error.

Examples
--------
>>> from stablesoft import margin
>>> x, weight = [[3.0, 1.0]], [[5.0, 0.0], [1.0, 1.0]]
>>> [round(float(loss(x, weight, [0])), 6) for loss in (margin.modified_softmax, margin.a_softmax)]
[0.611036, 2.076886]
"""

from ._margin_multiplied import a_softmax, annealed_lambda, l_softmax, modified_softmax, psi
from ._margin_scaled import am_softmax, arcface, combined_margin

__all__ = [
    "a_softmax",
    "am_softmax",
    "annealed_lambda",
    "arcface",
    "combined_margin",
    "l_softmax",
    "modified_softmax",
    "psi",
]
