"""The pictures of the demo, one function each; every function returns the path it wrote."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import stablesoft

COLOUR = {"naive": "#d1495b", "max shift": "#e9a23b", "SciPy": "#8d99ae", "stablesoft": "#00798c"}
INK = "#2b2d42"
plt.rcParams.update({
    "figure.dpi": 100, "figure.constrained_layout.use": True, "font.size": 10, "axes.titlesize": 11,
    "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.spines.top": False, "axes.spines.right": False,
    "axes.edgecolor": "#9aa0ac", "axes.labelcolor": INK, "text.color": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.grid": True, "grid.color": "#e6e8ee", "axes.axisbelow": True, "legend.frameon": False,
})  # fmt: skip


def save(figure, folder, name):
    path = folder / name
    figure.savefig(path)
    plt.close(figure)
    return path


def draw_digits(folder, weights, images, labels, probabilities):
    """The learned weights, and the images on which the model hesitates most, before and after calibration."""
    (_, sharp), (best, calm) = probabilities.items()
    unsure = np.argsort(calm.max(axis=1))[[0, 2, 4, 7, 10, 14]]
    figure = plt.figure(figsize=(11, 6.2))
    top, bottom = figure.subfigures(2, 1, height_ratios=(1, 2.4))
    top.suptitle("What the ten classes look for: weight per pixel", x=0.01, ha="left", weight="bold")
    limit = np.quantile(abs(weights[:64]), 0.98)
    for digit, axes in enumerate(top.subplots(1, 10)):
        axes.imshow(weights[:64, digit].reshape(8, 8), cmap="PuOr", vmin=-limit, vmax=limit)
        axes.set_title(str(digit), loc="center")
        axes.axis("off")
    bottom.suptitle("Images it is least sure of, and their softmax at two T", x=0.01, ha="left", weight="bold")
    grid = bottom.subplots(2, 6, height_ratios=(1, 1.35))
    for column, i in enumerate(unsure):
        picture, bars = grid[:, column]
        picture.imshow(images[i, :64].reshape(8, 8), cmap="gray_r")
        picture.set_title(f"label {labels[i]}", loc="center", weight="normal")
        picture.axis("off")
        bars.bar(np.arange(10) - 0.2, sharp[i], 0.4, color=COLOUR["SciPy"], label="T = 1")
        bars.bar(np.arange(10) + 0.2, calm[i], 0.4, color=COLOUR["stablesoft"], label=f"T = {best:.0f}")
        bars.set(ylim=(0, 1), xticks=range(10))
        bars.grid(visible=False, axis="x")
        if column:
            bars.set_yticklabels([])
    grid[1, 0].set_ylabel("probability")
    grid[1, 0].legend(loc="upper left", fontsize=8)
    return save(figure, folder, "digits.png")


def draw_breakage(folder, losses, scales, broken, images):
    """Left: the float32 training runs. Right: images spoilt as the logits grow."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2))
    for name, values in losses.items():
        values = np.array(values)
        steps = np.arange(1, len(values) + 1)
        failed = ~np.isfinite(values)
        left.plot(steps, np.where(failed, np.nan, values), ".-", ms=4, lw=1.2, color=COLOUR[name], label=name)
        left.plot(steps[failed], np.full(failed.sum(), 20.0), "|", ms=9, color=COLOUR[name])
        if failed.any():
            note = f"{failed.sum()} evaluations of the {name} loss: NaN or infinite"
            left.text(len(values), 50, note, color=COLOUR[name], ha="right", va="bottom")
    left.set(yscale="log", ylim=(None, 200), xlabel="evaluation", ylabel="mean cross entropy")
    left.set_title("Training in float32: the loss L-BFGS sees")
    left.legend(loc="lower right")

    for dtype, counts in broken.items():
        overflow, zero, log_zero, shifted, ours = 100 * np.array(counts).T / images
        line = "-" if dtype is np.float32 else "--"
        shares = {"naive": np.minimum(100, overflow + zero + log_zero), "max shift": shifted, "stablesoft": ours}
        for name, share in shares.items():
            right.plot(scales, share, line, color=COLOUR[name], lw=2, clip_on=False)
    for name in shares:
        label = "max shift, then log" if name == "max shift" else name
        right.plot([], [], color=COLOUR[name], lw=2, label=label)
    right.plot([], [], "-", color=INK, label="float32")
    right.plot([], [], "--", color=INK, label="float64")
    right.axvline(1, color=INK, lw=0.8, ls=":")
    right.text(1.06, 50, "as trained", rotation=90, va="center")
    right.set(xscale="log", ylim=(0, 100), xlabel="the trained logits, times", ylabel="% of the test images")
    right.xaxis.set_major_formatter("{x:g}")
    right.set_title("log_softmax that comes out NaN or infinite")
    right.legend(loc="upper left", fontsize=9)
    return save(figure, folder, "breakage.png")


def draw_temperature(folder, temperatures, mean_losses, best, floors, logits, labels):
    """What temperature and floor do: one image, all images, and the worst of them."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4.2))
    wrong = np.flatnonzero(logits.argmax(axis=1) != labels)
    i = wrong[np.argmax(np.ptp(logits[wrong], axis=1))]
    curves = np.array([stablesoft.softmax(logits[i], temperature=float(t)) for t in temperatures])
    strongest = np.argsort(logits[i])[::-1][:3]
    for digit in range(10):
        colour = dict(zip(strongest, ("#00798c", "#d1495b", "#e9a23b"), strict=True)).get(digit, "#c5cad6")
        left.plot(temperatures, curves[:, digit], color=colour, lw=2 if digit in strongest else 1,
                  label=f"class {digit}" if digit in strongest else None)  # fmt: skip
    left.set(xscale="log", xlabel="temperature", ylabel="probability", ylim=(0, 1.02))
    left.set_title(f"One image (label {labels[i]})")
    left.axvline(best, color=INK, lw=0.8, ls=":")
    left.xaxis.set_major_formatter("{x:g}")
    left.legend()

    middle.plot(temperatures, mean_losses, color=COLOUR["stablesoft"], lw=2)
    lowest = (best, min(mean_losses))
    middle.plot(*lowest, "o", color=COLOUR["naive"])
    middle.annotate(f"T = {best:.0f}", lowest, xytext=(0, 14), textcoords="offset points", ha="center")
    middle.set(xscale="log", yscale="log", xlabel="temperature", ylabel="mean loss", yticks=[0.2, 0.5, 1, 2])
    middle.minorticks_off()
    for axis in (middle.xaxis, middle.yaxis):
        axis.set_major_formatter("{x:g}")
    middle.set_title(f"All {len(labels)} test images")

    for (floor, losses), colour in zip(floors.items(), (INK, "#00798c", "#e9a23b", "#d1495b"), strict=True):
        worst = np.sort(losses)[::-1][:40]
        label = "none" if floor is None else f"{floor:g}"
        right.step(np.arange(1, 41), worst, where="mid", color=colour, lw=2, label=label)
    right.set(xlabel="images, worst first", ylabel="loss")
    right.set_title("What one wrong answer can cost")
    right.legend(title="floor")
    return save(figure, folder, "temperature_floor.png")


def draw_embeddings(folder, embeddings, labels):
    """The test images in the plane, one panel for each loss; rays are the directions of the class vectors."""
    figure, grid = plt.subplots(2, 3, figsize=(11, 8), layout="none")  # the engine would cut the upper titles off
    figure.subplots_adjust(0.01, 0, 0.99, 0.92, 0.05, 0.18)
    colours = plt.get_cmap("tab10").colors
    for axes, (name, found) in zip(grid.flat, embeddings.items(), strict=True):
        radius = np.linalg.norm(found.points, axis=1).max()
        for digit, (direction, colour) in enumerate(zip(found.directions, colours, strict=True)):
            axes.plot(*np.outer(direction, (0, radius)), color=colour, lw=0.8, alpha=0.7)
            axes.text(*(1.1 * radius * direction), str(digit), color=colour, weight="bold", ha="center", va="center")
            axes.plot(*found.points[labels == digit].T, ".", ms=3.5, color=colour)
        axes.set(xlim=(-1.2 * radius, 1.2 * radius), ylim=(-1.2 * radius, 1.2 * radius), aspect="equal")
        axes.axis("off")
        axes.set_title(f"{name}, {found.accuracy:.1%} right", loc="center", pad=20)
        spread = f"within a class {found.intra:.1f}°, between classes {found.inter:.1f}° or more"
        axes.text(0.5, 1.01, spread, transform=axes.transAxes, ha="center", va="bottom", fontsize=9)
    return save(figure, folder, "embeddings.png")


def draw_errors(folder, errors):
    """Share of results whose error exceeds a number of ulps; NaN and infinity exceed every number."""
    figure, grid = plt.subplots(2, 3, figsize=(12, 6.4), sharex=True, sharey=True)
    for row, (dtype, functions) in zip(grid, errors.items(), strict=True):
        for axes, (function, by_name) in zip(row, functions.items(), strict=True):
            for name, e in by_name.items():
                x = np.geomspace(0.01, 1e17, 1200)
                share = 100 * (1 - np.searchsorted(np.sort(e), x, side="right") / e.size)
                axes.plot(x, share, color=COLOUR[name], lw=2.2, label=name, clip_on=False)
            axes.axvspan(0.01, 1, color=COLOUR["stablesoft"], alpha=0.1, lw=0)
            axes.set(xscale="log", xlim=(0.01, 1e17), ylim=(0, 100), xticks=[1, 1e4, 1e8, 1e12, 1e16])
            axes.minorticks_off()
            axes.set_title(f"{function}, {dtype.__name__}")
    for axes in grid[1]:
        axes.set_xlabel("error, ulps")
    for axes in grid[:, 0]:
        axes.set_ylabel("% of results with a larger error")
    grid[1, 2].legend(loc="upper right", title="shaded: at most 1 ulp\nleft over at the right edge: NaN, inf")
    return save(figure, folder, "errors.png")


def draw_times(folder, ratios):
    figure, axes = plt.subplots(figsize=(9, 4.8))
    shades = {"softmax": "#00798c", "log_softmax": "#56a3b0", "logsumexp": "#003f4a"}
    for k, (function, by_shape) in enumerate(ratios.items()):
        places = np.arange(len(by_shape)) + 0.27 * (k - 1)
        bars = axes.barh(places, by_shape.values(), 0.25, color=shades[function], label=function)
        axes.bar_label(bars, [f" {r:.1f}" for r in by_shape.values()], fontsize=8)
    axes.axvline(1, color=COLOUR["naive"], lw=1.5)
    slowest, fastest = (pick(r for by_shape in ratios.values() for r in by_shape.values()) for pick in (min, max))
    axes.set(xscale="log", xlabel="times as fast as SciPy (red line)")
    axes.set(xticks=[1, 2, 5, 10, 20, 50, 100], yticks=range(len(by_shape)), yticklabels=by_shape)
    axes.set_xlim(min(0.7, slowest * 0.8), fastest * 1.3)  # again: ticks may have widened it
    axes.minorticks_off()
    axes.xaxis.set_major_formatter("{x:g}")
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_title("float32, whole public call\n\n")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    return save(figure, folder, "times.png")
