"""What the loops of the CUDA kernels cost in instructions, read from their machine code: no GPU is needed.

    python tools/instructions.py [ARCHITECTURE]

A kernel reaches the speed of memory only if the instructions for an element take less time than its bytes. For each of
the kernels below, compiled by NVRTC and taken apart by nvdisasm (pip install nvidia-cuda-nvdisasm), the shortest way
from a 16-byte load to the next one, or to the store that ends a row, is followed through the middle of the
double-precision work: what is rare is not on it. Beside that stands how much of the time of a copy an H100 needs to
issue those instructions (132 multiprocessors at 1.755 GHz, four warps a cycle, half as many in doubles, 3.0 TB/s).
"""

import heapq
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from stablesoft import _cupy

# (kernel, elements of a thread between two loads, bytes to be moved for an element)
KERNELS = [
    ("softmax_float32_rows_32_2", 8, 8), ("softmax_float32_rows_block_4", 16, 8), ("softmax_float32_long", 8, 8),
    ("softmax_float32_long_teams", 8, 8), ("softmax_float64_long", 8, 16), ("log_softmax_float32_long", 8, 8),
    ("logsumexp_float32_long", 8, 4), ("cross_entropy_float32_rows_block_4", 16, 8),
    ("cross_entropy_float32_long", 8, 8),
]  # fmt: skip
RATE = 3.0e12  # bytes a second
ISSUED = 132 * 4 * 32 * 1.755e9  # instructions of threads a second
DOUBLES = ("DADD", "DFMA", "DMUL", "DSETP", "DMNMX")
_INSTRUCTION = re.compile(r"^\s+/\*[0-9a-f]+\*/\s+(@!?U?P\w+)?\s*([A-Z0-9_.]+)\s*(.*?);")
_LABEL = re.compile(r"^(\.L\w+|\.[\w.]+|\$\S+):")


class Instruction(NamedTuple):
    guard: str
    name: str
    operands: str

    @property
    def kind(self):
        return self.name.partition(".")[0]


class Code:
    """A kernel's instructions as a graph."""

    def __init__(self, text):
        self.code, self.labels = [], {}
        for line in text.splitlines():
            if label := _LABEL.match(line):
                self.labels[label[1]] = len(self.code)
            elif found := _INSTRUCTION.match(line):
                self.code.append(Instruction(*found.groups(default="")))

    def after(self, place):
        one = self.code[place]
        if one.kind == "BRA":
            target = re.search(r"`\(([^)]+)\)", one.operands)
            taken = [self.labels[target[1]]] if target and target[1] in self.labels else []
            # .DIV goes to the same work for threads that have parted
            condition = one.guard or re.match(r"!?U?P\d", one.operands)
            return [place + 1] if ".DIV" in one.name else [*taken, *([place + 1] if condition else [])]
        return [] if one.kind in ("EXIT", "RET") and not one.guard else [place + 1]

    def way(self, start, end):
        """Places of the shortest way, or None."""
        cost, before, open_ends = {start: 0}, {}, [(0, start)]
        while open_ends:
            length, place = heapq.heappop(open_ends)
            if place == end and length:
                way = [end]
                while way[-1] != start or len(way) == 1:
                    way.append(before[way[-1]])
                return way[::-1]
            for other in self.after(place):
                shorter = other < len(self.code) and length + 1 < cost.get(other, 1 << 30)
                if shorter and (other != start or end == start):
                    cost[other], before[other] = length + 1, place
                    heapq.heappush(open_ends, (length + 1, other))
        return None

    def places(self, name):
        return [place for place, one in enumerate(self.code) if one.name.startswith(name)]

    def through_doubles(self, start, end):
        """The middle one of the ways from start to end, by length, that pass double-precision work."""
        ways = []
        for place in self.places("DFMA"):
            first = self.way(start, place)
            second = first and self.way(place, end)
            if second:
                ways.append(first + second[1:])
        ways.sort(key=len)
        return ways[len(ways) // 2] if ways else None


def loops(code):
    """The ways that an ordinary row takes: whole, or once around each of its loops over 16-byte loads."""
    loads, stores = code.places("LDG.E.128"), code.places("STG.E.128")
    around, seen = [], set()
    for load in loads:
        way = code.through_doubles(load, load)
        if way and not seen & set(way):
            around.append(way[:-1])
            seen |= set(way)
    ends = [code.through_doubles(loads[0], store) for store in stores] if loads else []
    return around, min(filter(None, ends), key=len, default=None)


def disassembled(name, architecture):
    tool = shutil.which("nvdisasm") or next(Path(sysconfig.get_path("purelib")).glob("nvidia/*/bin/nvdisasm"), None)
    if tool is None:
        sys.exit("there is no nvdisasm: pip install nvidia-cuda-nvdisasm")
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(_cupy.build(name, architecture)[0] + b"\0")  # of which CuPy drops the last byte
        file.flush()
        return Code(subprocess.run([tool, "-c", file.name], capture_output=True, text=True, check=True).stdout)


def main():
    architecture = int(sys.argv[1]) if len(sys.argv) > 1 else 90
    print(f"sm_{architecture}, for an element:    instructions  doubles  conversions   "
          "of a copy's time: issue  doubles")  # fmt: skip
    for name, count, moved in KERNELS:
        around, whole = loops(disassembled(name, architecture))
        ways = [whole] if "rows" in name else around[:2]
        if not all(ways):
            sys.exit(f"{name}: there is no way from load to load")
        code = disassembled(name, architecture).code
        kinds = Counter(code[place].kind for way in ways for place in way)
        total, doubles = sum(kinds.values()) / count, sum(kinds[kind] for kind in DOUBLES) / count
        print(f"{name:40} {total:6.1f} {doubles:8.1f} {kinds['F2F'] / count:10.1f} "
              f"{total * RATE / moved / ISSUED:26.2f} {2 * doubles * RATE / moved / ISSUED:8.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
