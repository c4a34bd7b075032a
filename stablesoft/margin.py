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

**Accuracy.** For float32 and float64 on NumPy the loss of a row is right to 16 ulp of the scale of the logits, and a
gradient to 32 ulp of the largest entry of its row - of the largest of the terms that the classes (for `grad_weight`,
the rows) contribute, where these cancel. For float64 this holds for logits up to 1000, beyond which the gradient loses
digits in proportion. It holds at angle 0 and pi and at every break point of psi: vectors that are exactly parallel
get gradient 0 for the angular part. Elsewhere the same formulas run in the library's own numbers.

**Reproducibility.** For float32 and float64 on NumPy the same bits for any number of threads, instruction set and
memory layout, and with the rows of the batch in any order. That includes the matrix products: they are done by BLAS
on slices of the operands that are so short that no addition rounds, so its order of additions can not matter.

**Special values.** A zero vector has no direction and is refused. A NaN or an infinity makes the loss and the gradients
that depend on it NaN. The loss of an empty batch is 0.
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
