# SPDX-License-Identifier: BSD-3-Clause
"""src/math/constants.h holds, bit for bit, what the scripts in docs/constants derive."""

import importlib.util
import re
import struct
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DECLARATION = re.compile(r"static const (double|float|uint64_t|int) (SS_\w+)(?:\[(\d+)\])? = (\{[^}]*\}|[^;{]*);")


def load(name):
    path = ROOT / "docs" / "constants" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"stablesoft_constants_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def bits(value):
    """An int as it is; a double as its 64 bits, marked, so that -0 differs from 0 and 1 from 1.0."""
    return value if isinstance(value, int) else ("double", struct.unpack("<Q", struct.pack("<d", value))[0])


def literal(kind, text):
    if kind == "double":
        assert "0x" in text, f"not a hex-float literal: {text}"
        return float.fromhex(text)
    if kind == "float":
        assert text.endswith("f")
        assert "0x" in text
        value = float.fromhex(text[:-1])
        assert struct.unpack("<f", struct.pack("<f", value)) == (value,), f"not a float: {text}"
        return value
    if kind == "uint64_t":
        assert text.endswith("ULL")
        return int(text[:-3], 16)
    return int(text)


@pytest.fixture(scope="module")
def header():
    source = (ROOT / "src" / "math" / "constants.h").read_text()
    source = re.sub(r"//[^\n]*", "", source)
    assert source.count("static const") == len(DECLARATION.findall(source))
    out = {}
    for kind, name, size, body in DECLARATION.findall(source):
        items = [t.strip() for t in body.strip("{}").split(",") if t.strip()]
        assert len(items) == (int(size) if size else 1), name
        assert name not in out
        out[name] = [literal(kind, t) for t in items]
    return out


@pytest.fixture(scope="module")
def scripts():
    return {name: load(name) for name in ("exp", "log")}


@pytest.fixture(scope="module")
def derived(scripts):
    return {name: module.constants() for name, module in scripts.items()}


def test_same_names(header, derived):
    assert set(derived["exp"]).isdisjoint(derived["log"])
    assert set(header) == set(derived["exp"]) | set(derived["log"])


@pytest.mark.parametrize("script", ["exp", "log"])
def test_same_bits(header, derived, script):
    for name, values in derived[script].items():
        assert [bits(v) for v in header[name]] == [bits(v) for v in values], name


@pytest.mark.parametrize(
    "script, name, bound",
    [
        ("exp", "SS_EXP_CUBIC", -29.6),
        ("exp", "SS_EXP7", -66.2),
        ("log", "SS_LOG1P", -67.9),
        ("log", "SS_LOG_SINGLE", -42.3),
        ("log", "SS_UNIT", -61.3),
        ("log", "SS_UNIT_SINGLE", -31.0),
    ],
)
def test_polynomial_error(scripts, header, script, name, bound):
    assert scripts[script].errors(header)[name] < bound
