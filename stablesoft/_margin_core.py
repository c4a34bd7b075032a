"""The margin losses: logits between two sets of vectors, a margin at the label, and the gradients for both sets.

A logit is z_ij = |a_i| |b_j| phi(theta_ij), where a is x or s x/|x|, b is weight or weight/|weight|, phi is the margin
function at the label and the cosine elsewhere. All gradients are written with the unit vector e that points from a
towards b perpendicular to a:  dz/da = |b| (phi a/|a| - phi'(theta) e).  Nothing there is singular: at theta = 0 only
the direction e is undefined, and 0 is put in its place. No arccos is taken on the way, and 1 - cos^2 never.
"""

import math
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import numpy as np


class Side:
    """The vectors of one side: `rows` times the powers of two `power`.

    A logit sees `vectors` times `outer`, where that is not None. `length` is None where the vectors enter as they are,
    and else the length that they are brought to.
    """

    def __init__(self, ar, power, rows, norm, length):
        self.ar, self.power, self.rows, self.norm = ar, power, rows, norm
        self.normalised = length is not None
        self.length = length if self.normalised else norm
        self.outer = None if self.normalised else power

    @classmethod
    def of(cls, ar, array, length):
        """Of the vectors that the user gave."""
        power = ar.power(array)
        rows = ar.number(array / power)
        return cls(ar, power, rows, ar.norm(rows), length)

    def at(self, index):
        """The vectors at an index."""
        taken = (self.ar.take(number, index) for number in (self.power, self.rows, self.norm))
        return Side(self.ar, *taken, self.length if self.normalised else None)

    @property
    def vectors(self):
        return self.ar.lengthened(self.rows, self.length / self.norm) if self.normalised else self.rows

    def outwards(self, number):
        """Times `outer`."""
        return number if self.normalised else self.ar.scaled(number, self.outer)

    def perpendicular(self, v):
        """The part of each row of v that is perpendicular to this side's row."""
        return self.ar.perpendicular(v, self.rows, self.norm)

    @cached_property
    def reach(self):
        """The length of each vector as a logit sees it, (N,)."""
        return self.ar.value(self.outwards(self.norm * 0.0 + self.length))[:, 0]

    @cached_property
    def slope(self):
        """What a change of the vectors across them, times `outer`, is multiplied by for that of the array: (N,)."""
        return self.ar.value(self.length / self.norm / self.power if self.normalised else self.norm * 0.0 + 1.0)[:, 0]

    def gradient(self, others, target):
        """d loss/d array from the sums over the other logits and over the targets of g dz/d vectors."""
        if not self.normalised:
            return self.ar.plus_target(others, target)
        return self.ar.tangent(others, target, self)


def psi_and_slope(ar, cosine, m):
    """psi = (-1)^k T_m(c) - 2k and d psi/dc = m |U_{m-1}(c)|, by the recurrence of the Chebyshev polynomials.

    At a break point both pieces have the same value and slope 0, so a rounded comparison may choose either. psi rises
    with c, so the sign of the slope does not depend on k at all.
    """
    xp = ar.xp
    c = ar.value(cosine)
    k = xp.zeros_like(c)
    for j in range(1, m):
        k = k + xp.astype(c < math.cos(j * math.pi / m), c.dtype)
    t_before, t = cosine * 0.0 + 1.0, cosine
    u_before, u = cosine * 0.0, cosine * 0.0 + 1.0
    for _ in range(m - 1):
        t_before, t = t, cosine * t * 2.0 - t_before
        u_before, u = u, cosine * u * 2.0 - u_before
    slope = abs(u) * float(m)
    # What the rounding of the cosine can make out of 0 is 0: that is a break point.
    slope = ar.where(ar.value(slope) > m**4 * ar.negligible, slope, 0.0)
    return t * (1.0 - 2.0 * (k % 2)) - 2.0 * k, slope


class Margin(NamedTuple):
    """A function phi of the angle theta between a vector and its own class."""

    phi_and_slope: Callable  # of arithmetic, cosine and sine: phi and -d phi/d theta
    amplifies: int  # log2 of by how much the absolute errors of both exceed those of an angle


RELATIVE = -(2**16)  # as good as no absolute error
no_margin = Margin(lambda ar, cosine, sine: (cosine, sine), RELATIVE)  # noqa: ARG005


def psi_margin(m, lam):
    """phi = (lam cos(theta) + psi(theta)) / (1 + lam)."""

    def margin(ar, cosine, sine):
        psi, slope = psi_and_slope(ar, cosine, m)
        share = 1.0 / (1.0 + ar.number(ar.xp.full_like(ar.value(cosine), min(lam, 2.0**100))))
        return cosine + (psi - cosine) * share, sine * (1.0 + (slope - 1.0) * share)

    return no_margin if m == 1 else Margin(margin, math.ceil(4.0 * math.log2(m)))


def angular_margin(m1, m2, m3, beyond):
    """phi = cos(m1 theta + m2) - m3, with a rule for m1 theta + m2 > pi."""

    plain = m1 == 1.0 and m2 == 0.0

    def margin(ar, cosine, sine):
        if plain:
            return cosine - m3, sine
        angle = ar.angle(sine, cosine) * m1 + m2
        sin_angle, cos_angle = ar.sin_cos(angle, m1 * math.pi + m2)
        inside = ar.value(ar.pi - angle) > ar.at_pi
        phi, slope = cos_angle, sin_angle * m1
        if beyond == "sub":
            shift = ar.number(ar.xp.full_like(ar.value(cosine), m2))
            beyond_pi = cosine - ar.sin_cos(shift, m2)[0] * m2, sine
        elif beyond == "clamp":
            beyond_pi = cosine * 0.0 - 1.0, sine * 0.0
        elif beyond == "easy":
            inside, beyond_pi = ar.value(cosine) > 0, (cosine, sine)
        else:  # "wrap"
            return phi - m3, slope
        return ar.where(inside, phi, beyond_pi[0]) - m3, ar.where(inside, slope, beyond_pi[1])

    most = math.log2(max(1.0, m1)) + 2.0 * math.log2(4.0 + m1 * math.pi + m2)
    return Margin(margin, RELATIVE if plain else math.ceil(min(most, 2.0**12)))


class Couples:
    """Single couples of a vector and a class: margin and gradient where a product of matrices is not good enough."""

    def __init__(self, ar, x, weight, margin=no_margin, detached=False):
        cosine = ar.dot(x.rows, weight.rows) / (x.norm * weight.norm)
        self.towards_weight, distance = ar.direction(x.perpendicular(weight.rows), weight.norm)
        sine = distance / weight.norm
        self.phi, slope = margin.phi_and_slope(ar, cosine, sine)
        self.amplifies = margin.amplifies
        self.slope = sine if detached else slope
        self.logit = weight.outwards(x.outwards(self.phi * x.length * weight.length))
        self.ar, self.x, self.weight = ar, x, weight

    def gradient(self, side, other, towards, g):
        """g dz/d vectors of one side: g |b| (phi a/|a| - phi' e)."""
        change = towards * self.slope
        if not side.normalised:  # the part along the vector, which normalisation takes away
            change = change + side.rows * (self.phi / side.norm)
        return other.outwards(change * (g * other.length))

    def gradients(self, g):
        """Of both sides, for gradients g with respect to the logits, (couples, 1)."""
        x, weight = self.x, self.weight
        self.towards_x, _ = self.ar.direction(weight.perpendicular(x.rows), x.norm)
        return self.gradient(x, weight, self.towards_weight, g), self.gradient(weight, x, self.towards_x, g)

    def slips(self, g, angle_bits):
        """Absolute errors of these gradients, (couples,) each, if angles have one of 2^angle_bits."""
        slip = np.ldexp(1.0, self.amplifies + angle_bits)
        errors = []
        for side, other, towards in ((self.x, self.weight, self.towards_weight), (self.weight, self.x, self.towards_x)):
            change = np.abs(self.ar.value(other.outwards(other.length * g))[:, 0])
            # What has no direction does not change with the angle.
            errors.append(slip * change * (self.ar.peak(towards) if side.normalised else 1.0))
        return errors


def evaluate(ar, x, weight, labels, margin, lengths, detached, return_grad):
    """Loss of each row, (N,), the gradients of their sum for x and weight, and what `ar.terms` says of these.

    Parameters
    ----------
    ar : Plain
        The arithmetic.
    x, weight, labels : array
        Of shape (N, K), (C, K), (N,), checked, with N and K above 0.
    margin : Margin
        At the labels.
    lengths : tuple
        What x and weight are normalised to, None where they are not.
    detached : bool
        Let the gradient see phi + constant = cos(theta).
    return_grad : bool
        Ask for gradients; without, both are None.
    """
    xp, classes = ar.xp, weight.shape[0]
    x_side, weight_side = Side.of(ar, x, lengths[0]), Side.of(ar, weight, lengths[1])
    targets = Couples(ar, x_side, weight_side.at(labels), margin, detached)
    x_vectors, weight_vectors = x_side.vectors, weight_side.vectors

    logits = ar.logits(x_side, weight_side, x_vectors, weight_vectors)
    apart = return_grad and (x_side.normalised or weight_side.normalised)
    near = ar.parallel(logits, labels, x_side, weight_side) if apart else ()
    items, others = ar.cross_entropy(ar.with_labels(logits, labels, targets.logit), labels, return_grad)
    if not return_grad:
        return items, (None, None), None

    # The entries of a row of gradients add up to 0; a sum with all its digits lets what the classes have in common
    # cancel.
    g = -ar.sum(ar.number(others))
    own = [(*targets.gradients(g), None, labels, g)]
    for rows, columns in near:
        g = others[rows, columns][:, None]
        own.append((*Couples(ar, x_side.at(rows), weight_side.at(columns)).gradients(g), rows, columns, g))
        others[rows, columns] = 0.0
    terms = ar.terms(others, own, targets, (x_side, weight_side), (x_vectors, weight_vectors))
    own_x, own_weight, rows, columns, _ = zip(*own, strict=True)
    own_x, own_weight = ar.gathered(own_x, rows, x.shape[0]), ar.gathered(own_weight, columns, classes)

    from_weight = others if weight_side.outer is None else others * xp.matrix_transpose(weight_side.outer)
    from_x = others if x_side.outer is None else others * x_side.outer
    others_x = ar.combined(from_weight, weight_vectors, x_side, weight_side)
    others_weight = ar.combined_by_class(from_x, x_vectors)
    gradients = x_side.gradient(others_x, own_x), weight_side.gradient(others_weight, own_weight)
    return items, gradients, terms
