"""A two-layer network that places the digits in the plane, trained with six losses and with gradients by hand."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from stablesoft import margin, softmax_cross_entropy

HIDDEN = 128
STEPS = 800
BATCH = 192
RATE = 0.02  # Adam's step at the start; it falls to 0 along half a cosine
NOISE = 0.12  # added to the pixels, which lie in [0, 1]: without it the network learns 1,347 images by heart
SCALE, COSINE_MARGIN, ANGLE_MARGIN, MULTIPLIER = 16.0, 0.1, 0.2, 4


def plain_softmax(x, weight, labels):
    loss, gradient = softmax_cross_entropy(x @ weight.T, labels, return_grad=True)
    return loss, gradient @ weight, gradient.T @ x


def with_gradient(loss, **options):
    """A loss that does not depend on the step."""
    return lambda _step: partial(loss, return_grad=True, **options)


def annealed(loss):
    """A loss that starts almost without margin: from 0 on, psi is too steep for a network that knows nothing yet."""

    def at(step):
        lam = margin.annealed_lambda(step, base=100, gamma=0.02, power=2, minimum=0)
        return partial(loss, m=MULTIPLIER, lam=lam, return_grad=True)

    return at


LOSSES = {  # name -> step -> loss of (x, weight, labels), which gives the value and both gradients
    "plain softmax": lambda _step: plain_softmax,
    "modified softmax": with_gradient(margin.modified_softmax),
    "L-Softmax": annealed(margin.l_softmax),
    "A-Softmax": annealed(margin.a_softmax),
    "AM-Softmax": with_gradient(margin.am_softmax, m=COSINE_MARGIN, scale=SCALE),
    "ArcFace": with_gradient(margin.arcface, m=ANGLE_MARGIN, scale=SCALE),
}
FREE_LENGTHS = ("plain softmax", "L-Softmax")  # where the length of a class vector counts, too


@dataclass
class Embedding:
    accuracy: float
    intra: float  # degrees: mean angle between a point and the mean direction of its class
    inter: float  # degrees: least angle between the mean directions of two classes
    points: np.ndarray  # (test images, 2)
    directions: np.ndarray  # (10, 2), of length 1: the class vectors


def initial_parameters(rng):
    """Two layers and ten class vectors evenly round the circle: the plane has no room to change their order later."""
    turns = 2 * np.pi * np.arange(10) / 10
    return [
        rng.standard_normal((64, HIDDEN)) * np.sqrt(2 / 64),
        np.zeros(HIDDEN),
        rng.standard_normal((HIDDEN, 2)) / np.sqrt(HIDDEN),
        np.zeros(2),
        np.column_stack([np.cos(turns), np.sin(turns)]),
    ]


def forward(parameters, images):
    first, first_bias, second, second_bias, _ = parameters
    hidden = np.maximum(images @ first + first_bias, 0)
    return hidden, hidden @ second + second_bias


def gradients(parameters, images, labels, loss):
    """Derivatives of the loss by all parameters, from those that the loss gives, by the chain rule."""
    hidden, points = forward(parameters, images)
    _, grad_points, grad_weight = loss(points, parameters[-1], labels)
    grad_hidden = grad_points @ parameters[2].T * (hidden > 0)
    return [
        images.T @ grad_hidden, grad_hidden.sum(axis=0), hidden.T @ grad_points, grad_points.sum(axis=0), grad_weight,
    ]  # fmt: skip


def train(images, labels, loss_at):
    """Adam on batches, the same ones for every loss."""
    rng = np.random.default_rng(0)
    parameters = initial_parameters(rng)
    means, squares = ([np.zeros_like(p) for p in parameters] for _ in range(2))
    for step in range(1, STEPS + 1):
        batch = rng.choice(len(images), BATCH, replace=False)
        noisy = images[batch] + NOISE * rng.standard_normal((BATCH, 64))
        rate = RATE * (1 + np.cos(np.pi * step / STEPS)) / 2
        found = gradients(parameters, noisy, labels[batch], loss_at(step))
        for parameter, gradient, mean, square in zip(parameters, found, means, squares, strict=True):
            mean += 0.1 * (gradient - mean)
            square += 0.001 * (gradient**2 - square)
            parameter -= rate * mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
    return parameters


def normalised(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def degrees(cosines):
    return np.degrees(np.arccos(np.clip(cosines, -1, 1)))


def measure(parameters, images, labels, free_lengths):
    _, points = forward(parameters, images)
    weight = parameters[-1]
    directions, rays = normalised(weight), normalised(points)
    logits = points @ (weight if free_lengths else directions).T
    means = normalised(np.array([rays[labels == digit].mean(axis=0) for digit in range(10)]))
    intra = degrees((rays * means[labels]).sum(axis=1)).mean()
    inter = degrees((means @ means.T)[np.triu_indices(10, 1)]).min()
    return Embedding(np.mean(logits.argmax(axis=1) == labels), intra, inter, points, directions)


def train_all(digits):
    """{name of the loss: Embedding of the test images}"""
    train_images, test_images = (images[:, :64] / 16 - 0.3 for images in (digits.train, digits.test))
    found = {}
    with threadpool_limits(1, user_api="blas"):  # matrices this small cost more to share than to multiply
        for name, loss_at in LOSSES.items():
            parameters = train(train_images, digits.train_labels, loss_at)
            found[name] = measure(parameters, test_images, digits.test_labels, name in FREE_LENGTHS)
    return found
