"""tests/bits.c, which needs no Python: every instruction set gives the same bits, whether sums are trusted or not."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [str(path) for folder in ("src", "src/isa") for path in sorted((ROOT / folder).glob("[a-z]*.c"))]
COMPILER = shutil.which("cc")

pytestmark = pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")


def test_exact_sums_change_no_bit(tmp_path):
    """With errors so large that every sum is in doubt, so that it is done exactly, the digests stay the same."""
    outputs = []
    for name, doubt in (("trusting", "1.0"), ("doubting", "0x1p40")):
        flags = ["-std=c11", "-O1", "-ffp-contract=off", f"-DSS_DOUBT={doubt}"]
        command = [COMPILER, *flags, str(ROOT / "tests/bits.c"), *SOURCES, "-lm", "-o", str(tmp_path / name)]
        subprocess.run(command, check=True)
        outputs.append(subprocess.run([tmp_path / name], check=True, capture_output=True, text=True).stdout.split())
    trusting, doubting = outputs
    assert len(set(trusting[1::2])) == 1, trusting
    assert doubting == trusting
