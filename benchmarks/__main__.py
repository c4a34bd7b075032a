"""Tables of time and memory beside the rivals, with the goal beside each ratio. Run by `make bench`."""

import argparse
import json
import os
import platform
from pathlib import Path

import numpy as np
import scipy
from rich.console import Console
from rich.table import Table

import stablesoft

from . import memory, timing
from .cases import CASES, LARGE, MEMORY_PER_THREAD, ratios

console = Console(highlight=False, width=120)


def arguments():
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions: rougher figures, in some seconds")
    parser.add_argument("--only", default="", metavar="TEXT", help="only cases like 'logsumexp (64, 1000) float32'")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to FILE")
    return parser.parse_args()


def environment():
    versions = {"python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__}
    versions["torch"] = None if timing.torch is None else str(timing.torch.__version__)
    config = stablesoft.show_config("dicts")
    return {key: config[key] for key in ("version", "isa", "threads")} | {"machine": platform.machine(), **versions}


def time_all(cases, effort):
    results = []
    with console.status("") as status:
        for case in cases:
            status.update(f"{case.name}: {case.id}")
            results.append((case, timing.measure(case, effort)))
    return results


def memory_all(cases, quick):
    chosen = [case for case in cases if case.size >= LARGE and case.out]
    if quick:  # the first of each operation
        chosen = list({case.operation: case for case in reversed(chosen)}.values())[::-1]
    with console.status("memory"):
        return [(case, {library: memory.measure(case, library) for library in memory.LIBRARIES}) for case in chosen]


def show_seconds(seconds):
    unit, scale = ("ms", 1e-3) if seconds >= 1e-3 else ("us", 1e-6)
    return f"{seconds / scale:.3g} {unit}"


def show_verdict(met):
    return {None: "", True: " [green]met[/]", False: " [bold red]missed[/]"}[met]


def show_ratio(ratio):
    goal = "" if ratio.goal is None else f" {ratio.sign} {ratio.goal:g}{show_verdict(ratio.met)}"
    return f"{ratio.value:.3g}{goal}"


def show_times(title, results):
    rivals = [rival for rival in results[0][0].rivals if any(rival in seconds for _, seconds in results)]
    table = Table(title=title, title_justify="left")
    table.add_column("case", no_wrap=True)
    for column in ("time", "GB/s"):
        table.add_column(column, justify="right", no_wrap=True)
    for rival in rivals:
        table.add_column(rival, no_wrap=True)
    for case, seconds in results:
        cells = {ratio.rival: show_ratio(ratio) for ratio in ratios(case, seconds)}
        ours = seconds["stablesoft"]
        table.add_row(label(case), show_seconds(ours), f"{rate(case, ours):.3g}", *(cells.get(r, "") for r in rivals))
    console.print(table)


def label(case):
    if case.small:
        return f"{case.operation} {case.dtype}"
    axis = "" if case.axis is None or len(case.shape) == 1 else f" axis {case.axis}"
    return f"{case.shape}{axis} {case.dtype}{'' if case.out else ' new'}"


def rate(case, seconds):
    """Gigabytes of input in a second."""
    return case.size * np.dtype(case.dtype).itemsize / seconds / 1e9


def show_memory(results):
    table = Table(title="Peak memory of a call beside its result, MiB", title_justify="left")
    table.add_column("case", no_wrap=True)
    for column in ("input", *memory.LIBRARIES):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("goal", no_wrap=True)
    for case, found in results:
        size = case.size * np.dtype(case.dtype).itemsize
        sizes = ("" if value is None else f"{value / 2**20:.2f}" for value in (size, *found.values()))
        limit = f"< {memory_limit() / 2**20:g}{show_verdict(found['stablesoft'] < memory_limit())}"
        table.add_row(case.id, *sizes, limit)
    console.print(table)


def memory_limit():
    return MEMORY_PER_THREAD * timing.THREADS


def tables(results):
    """Title -> results: the small calls together, and one table for each operation."""
    grouped = {}
    for case, seconds in results:
        title = "10 elements: the whole public call" if case.small else case.operation
        grouped.setdefault(title, []).append((case, seconds))
    return grouped


def describe(case):
    fields = ("name", "operation", "shape", "dtype", "axis", "out")
    return {key: getattr(case, key) for key in fields}


def as_json(times, memories, skipped):
    timed = []
    for case, seconds in times:
        verdicts = [
            {"rival": r.rival, "ratio": r.value, "sign": r.sign, "goal": r.goal, "met": r.met}
            for r in ratios(case, seconds)
        ]
        timed.append(describe(case) | {"seconds": seconds, "ratios": verdicts})
    held = [
        describe(case) | {"bytes": found, "goal": memory_limit(), "met": found["stablesoft"] < memory_limit()}
        for case, found in memories
    ]
    return {"environment": environment(), "times": timed, "memory": held, "skipped": skipped}


def main():
    options = arguments()
    cases = [case for case in CASES if options.only in case.id]
    skipped = {case.id: reason for case in cases if (reason := timing.available(case))}
    if timing.torch is None:
        skipped["torch"] = "not installed (optional: pip install torch)"
    cases = [case for case in cases if case.id not in skipped]

    console.print(", ".join(f"{key} {value}" for key, value in environment().items() if value is not None))
    console.print(
        "Ratios: time of the rival / ours; for np.exp ours / its. GB/s of input. Fastest of several, in turns."
    )
    console.print(
        "memcpy: np.copyto; read: np.sum or torch.sum; each the faster of one and all threads. "
        "out= where there is one, except\n10 elements and new: a new result. "
        "Losses: the mean and a new gradient; in torch forward and backward. "
        "Margin losses: shape (N, K, C); NumPy: the textbook.\n"
    )
    if hasattr(os, "getloadavg") and (load := os.getloadavg()[0]) > 0.5:
        console.print(f"Load average {load:.2f} before the start: other processes may spoil these figures.\n")
    times = time_all(cases, timing.QUICK if options.quick else timing.FULL)
    for title, results in tables(times).items():
        show_times(title, results)

    memories = []
    if reason := memory.available():
        skipped["memory"] = reason
    else:
        memories = memory_all(cases, options.quick)
    if memories:
        show_memory(memories)

    for what, reason in skipped.items():
        console.print(f"skipped {what}: {reason}")
    verdicts = [ratio.met for case, seconds in times for ratio in ratios(case, seconds) if ratio.met is not None]
    verdicts += [found["stablesoft"] < memory_limit() for _, found in memories]
    console.print(f"{sum(verdicts)} of {len(verdicts)} goals met.")
    if options.json:
        options.json.write_text(json.dumps(as_json(times, memories, skipped), indent=1) + "\n")
        console.print(f"Results written to {options.json}")


if __name__ == "__main__":
    main()
