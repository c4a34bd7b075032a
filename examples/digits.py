"""Softmax regression on real handwritten digits, what happens to its logits under each formula, and margin losses.

Run by `make demo`. Prints tables, and writes pictures to demo/.
"""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import scipy
from rich.console import Console
from rich.table import Table
from scipy.optimize import minimize, minimize_scalar
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import embedding
import formulas
import pictures
import stablesoft

PENALTY = 1e-7  # on the squared weights: weak, so that the logits grow as large as they do in practice
SHAPES = [((10,), 0), ((64, 1000), 1), ((100_000, 10), 1), ((2048, 2048), 1), ((8, 21, 128, 128), 1), ((1_000_000,), 0)]

console = Console(width=110, highlight=False)


@dataclass
class Digits:
    train: np.ndarray  # (1347, 65): 64 pixels from 0 to 16, and a 1 for the bias
    test: np.ndarray  # (450, 65)
    train_labels: np.ndarray
    test_labels: np.ndarray


@dataclass
class Fit:
    weights: np.ndarray  # (65, 10)
    losses: list  # of each evaluation
    iterations: int
    message: str

    def logits(self, images):
        return images.astype(self.weights.dtype) @ self.weights

    @property
    def broken(self):
        return int(np.sum(~np.isfinite(self.losses)))


def load():
    images, labels = load_digits(return_X_y=True)
    images = np.column_stack([images, np.ones(len(images))])
    train, test, train_labels, test_labels = train_test_split(
        images, labels, test_size=450, stratify=labels, random_state=0
    )
    return Digits(train, test, train_labels, test_labels)


def fit(digits, dtype, cross_entropy):
    """Minimise the mean cross entropy, given with its gradient, by L-BFGS; all arithmetic of the model in dtype."""
    images, labels = digits.train.astype(dtype), digits.train_labels
    losses = []

    def loss_and_gradient(flat):
        weights = flat.reshape(65, 10).astype(dtype)
        loss, by_logits = cross_entropy(images @ weights, labels)
        losses.append(float(loss + PENALTY / 2 * np.sum(weights**2)))
        return losses[-1], (images.T @ by_logits + dtype(PENALTY) * weights).ravel().astype(np.float64)

    with np.errstate(all="ignore"):  # the naive formula overflows on its way
        found = minimize(loss_and_gradient, np.zeros(650), jac=True, method="L-BFGS-B", options={"maxiter": 400})
    return Fit(found.x.reshape(65, 10).astype(dtype), losses, found.nit, found.message)


def show_training(digits):
    table = Table(title="Training: 1,347 images, L-BFGS on the mean cross entropy")
    for column in ("formula", "precision", "steps", "evaluations", "of them NaN or inf", "last loss", "test accuracy"):
        table.add_column(column, justify="left" if column in ("formula", "precision") else "right")
    fits = {}
    for name, cross_entropy in (
        ("naive", formulas.naive_cross_entropy),
        ("stablesoft", partial(stablesoft.softmax_cross_entropy, return_grad=True)),
    ):
        for dtype in (np.float32, np.float64):
            run = fits[name, dtype] = fit(digits, dtype, cross_entropy)
            accuracy = np.mean(run.logits(digits.test).argmax(axis=1) == digits.test_labels)
            counts = (str(run.iterations), str(len(run.losses)), bad(run.broken))
            table.add_row(name, dtype.__name__, *counts, f"{run.losses[-1]:.2e}", f"{accuracy:.1%}")
    console.print(table)
    run = fits["naive", np.float32]
    console.print(f'The naive float32 run ended with "{run.message.strip(" :")}".\n' if run.broken else "")
    return fits


def bad(count):
    return f"[red]{count:,}[/red]" if count else "[green]0[/green]"


def count_broken(logits):
    """Images spoilt, in logits of shape (images, 10): by the naive formula (inf / inf, 0 / 0, log 0), by log of the
    shifted one (log 0), and by stablesoft."""
    with np.errstate(all="ignore"):
        total = np.exp(logits).sum(axis=1)
        naive = formulas.naive_log_softmax(logits)
        shifted = np.log(formulas.shifted_softmax(logits))
    ours = stablesoft.log_softmax(logits, axis=1)
    log_zero = np.isneginf(naive).any(axis=1)
    spoilt = [int(np.sum(~np.isfinite(result).all(axis=1))) for result in (shifted, ours)]
    return [int(np.isinf(total).sum()), int((total == 0).sum()), int(log_zero.sum()), *spoilt]


def show_breakage(logits):
    table = Table(title=f"log_softmax of {len(logits)} test images: how many come out NaN or infinite")
    for column in ("logits", "precision", "naive: overflow", "naive: 0/0", "naive: log 0", "max shift: log 0"):
        table.add_column(column, justify="left" if column in ("logits", "precision") else "right")
    table.add_column("stablesoft", justify="right")
    cases = [("as trained", logits), ("less 800", logits - 800), ("times 10", logits * 10)]
    for label, values in cases:
        for dtype in (np.float32, np.float64):
            table.add_row(label, dtype.__name__, *map(bad, count_broken(values.astype(dtype))))
    table.caption = "Less a constant is the same softmax; times 10 is a sharper one."
    console.print(table, "")


def show_embeddings(embeddings):
    table = Table(title="A two-layer network that places the test images in the plane: one loss, one training")
    for column in ("loss", "accuracy", "mean angle to the own class", "smallest angle between classes"):
        table.add_column(column, justify="left" if column == "loss" else "right")
    for name, found in embeddings.items():
        table.add_row(name, f"{found.accuracy:.1%}", f"{found.intra:.1f}°", f"{found.inter:.1f}°")
    table.caption = (
        f"Ten classes in the plane are 36° apart at best, so the margins are small: m = {embedding.COSINE_MARGIN} "
        f"(AM-Softmax) and {embedding.ANGLE_MARGIN} (ArcFace), both with scale {embedding.SCALE:.0f}. The defaults, "
        "those of the papers (0.35 with 30, 0.5 with 64), are for 512 dimensions. "
        f"L- and A-Softmax: m = {embedding.MULTIPLIER}, lambda annealed from 100 toward 0."
    )
    console.print(table, "")


def losses_at(logits, labels, temperature):
    return -stablesoft.log_softmax(logits, axis=1, temperature=temperature)[np.arange(len(labels)), labels]


def show_temperature(logits, labels):
    """The model is too sure of itself; dividing its logits by a temperature mends that and moves no decision."""

    def mean_loss(log_temperature):
        return losses_at(logits, labels, float(np.exp(log_temperature))).mean()

    best = float(np.exp(minimize_scalar(mean_loss, bounds=(-3, 6), method="bounded").x))
    table = Table(title="Temperature on the test images: softmax(x, axis=1, temperature=T)")
    for column in ("T", "mean loss", "largest loss", "mean confidence", "accuracy"):
        table.add_column(column, justify="right")
    for temperature in sorted([0.25, 1.0, 4.0, best, 100.0]):
        p = stablesoft.softmax(logits, axis=1, temperature=temperature)
        losses = losses_at(logits, labels, temperature)
        confidence, accuracy = p.max(axis=1).mean(), np.mean(p.argmax(axis=1) == labels)
        cells = (f"{losses.mean():.3f}", f"{losses.max():.1f}", f"{confidence:.1%}", f"{accuracy:.1%}")
        mark = " (best)" if temperature == best else ""
        table.add_row(f"{temperature:.3g}{mark}", *cells, style="bold" if mark else "")
    console.print(table, "")
    return best


def floor_losses(logits, labels, floor):
    with np.errstate(divide="ignore"):
        return -np.log(stablesoft.softmax(logits, axis=1, floor=floor)[np.arange(len(labels)), labels])


def show_floor(logits, labels):
    """A floor under the terms bounds what one wrong answer can cost."""
    table = Table(title="Floor on the test images: softmax(x, axis=1, floor=f), then -log of the label's share")
    for column in ("f", "smallest probability", "mean loss", "largest loss"):
        table.add_column(column, justify="right")
    for floor in (None, 1e-12, 1e-8, 1e-4, 1e-2):
        p, losses = stablesoft.softmax(logits, axis=1, floor=floor), floor_losses(logits, labels, floor)
        table.add_row(f"{floor}", f"{p.min():.1e}", f"{losses.mean():.3f}", f"{losses.max():.1f}")
    console.print(table, "")


def show_errors(logits):
    table = Table(title="Error in units of the last place, against exact values computed with decimal")
    for column in ("function", "precision", "", "median", "largest finite", "NaN or infinite"):
        table.add_column(column, justify="left" if column in ("function", "precision", "") else "right")
    errors = {}
    for dtype in (np.float32, np.float64):
        errors[dtype] = formulas.measure_errors(logits.astype(dtype))
        for function, by_name in errors[dtype].items():
            for name, e in by_name.items():
                finite = e[np.isfinite(e)]
                largest = f"{finite.max():,.2f}" if finite.max() < 1e6 else f"{finite.max():.1e}"
                first = (function, dtype.__name__) if name == "naive" else ("", "")
                table.add_row(*first, name, f"{np.median(e):.2f}", largest, bad(int(np.isinf(e).sum())))
            table.add_section()
    console.print(table, "")
    return errors


def best_time(function, x, axis, budget=0.12):
    """Seconds of the fastest call, of at least three and of as many as fit the budget."""
    calls = 1 if x.size > 10_000 else 50
    best, end = np.inf, time.perf_counter() + budget
    rounds = 0
    while rounds < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(calls):
            function(x, axis=axis)
        best = min(best, (time.perf_counter() - start) / calls)
        rounds += 1
    return best


def show_times(logits):
    table = Table(title="Time beside SciPy, float32, values drawn from the real logits")
    for column in ("shape", "axis", *formulas.FUNCTIONS):
        table.add_column(column, justify="left" if column == "shape" else "right")
    rng = np.random.default_rng(0)
    ratios = {}
    for shape, axis in SHAPES:
        x = rng.choice(logits.astype(np.float32).ravel(), shape)
        label = str(shape)
        cells = []
        for function in formulas.FUNCTIONS:
            theirs, ours = (best_time(formulas.TABLE[name][function], x, axis) for name in ("SciPy", "stablesoft"))
            ratios.setdefault(function, {})[label] = theirs / ours
            cells.append(f"{span(theirs)} / {span(ours)} = [bold]{theirs / ours:.1f}[/bold]")
        table.add_row(label, str(axis), *cells)
    table.caption = f"SciPy {scipy.__version__} / stablesoft = how many times sooner"
    console.print(table, "")
    return ratios


def span(seconds):
    return f"{seconds * 1e6:.1f} us" if seconds < 1e-3 else f"{seconds * 1e3:.1f} ms"


def main():
    folder = Path("demo")
    folder.mkdir(exist_ok=True)
    console.rule("[bold]stablesoft: softmax regression on 1,797 handwritten digits")
    digits = load()
    fits = show_training(digits)
    labels, logits = digits.test_labels, fits["stablesoft", np.float64].logits(digits.test)
    show_breakage(logits)
    best = show_temperature(logits, labels)
    show_floor(logits, labels)
    embeddings = embedding.train_all(digits)
    show_embeddings(embeddings)
    errors = show_errors(logits)
    ratios = show_times(logits)

    scales = np.geomspace(0.02, 50, 44)
    broken = {dtype: [count_broken((logits * s).astype(dtype)) for s in scales] for dtype in (np.float32, np.float64)}
    floors = {floor: floor_losses(logits, labels, floor) for floor in (None, 1e-8, 1e-4, 1e-2)}
    temperatures = np.geomspace(0.25, 200, 80)
    mean_losses = [losses_at(logits, labels, float(t)).mean() for t in temperatures]
    probabilities = {t: stablesoft.softmax(logits, axis=1, temperature=t) for t in (1.0, best)}
    weights = fits["stablesoft", np.float64].weights
    losses = {name: fits[name, np.float32].losses for name in ("naive", "stablesoft")}
    written = [
        pictures.draw_digits(folder, weights, digits.test, labels, probabilities),
        pictures.draw_breakage(folder, losses, scales, broken, len(logits)),
        pictures.draw_temperature(folder, temperatures, mean_losses, best, floors, logits, labels),
        pictures.draw_embeddings(folder, embeddings, labels),
        pictures.draw_errors(folder, errors),
        pictures.draw_times(folder, ratios),
    ]
    console.print("Pictures:", *written, sep="\n  ")


if __name__ == "__main__":
    main()
