"""Writes src/ladder_const.h: python docs/constants/ladder.py > src/ladder_const.h

Every number is rounded to the nearest integer multiple of its last place, from `decimal` at 1500 digits.
"""

from decimal import ROUND_HALF_EVEN, Decimal, getcontext
from math import factorial

getcontext().prec = 1500
getcontext().Emin = -999999
LIMBS = 67  # of ln 2: 64 working limbs, one guard limb, one for the multiplier, one spare


def fixed(value, bits):
    return int((value * 2**bits).to_integral_value(ROUND_HALF_EVEN))


def pair(value):
    return f"{{0x{value >> 64:016x}u, 0x{value & (2**64 - 1):016x}u}}"


def table(name, comment, values):
    print(f"/* {comment} */\nstatic const ss_u128 {name}[{len(values)}] = {{")
    for i in range(0, len(values), 2):
        print("    " + ", ".join(pair(v) for v in values[i : i + 2]) + ",")
    print("};\n")


print("/* Constants of ladder.c. Written by docs/constants/ladder.py; do not edit. */\n")
print("#define LN2_LIMBS", LIMBS)
ln2 = int(Decimal(2).ln() * 2 ** (64 * LIMBS))
words = [(ln2 >> (64 * (LIMBS - 1 - i))) & (2**64 - 1) for i in range(LIMBS)]
print("/* ln 2, truncated; most significant limb first */\nstatic const uint64_t LN2[LN2_LIMBS] = {")
for i in range(0, LIMBS, 4):
    print("    " + ", ".join(f"0x{w:016x}u" for w in words[i : i + 4]) + ",")
print("};\n")
table("EXP_A", "e^(i/32), unit 2^-126", [fixed((Decimal(i) / 32).exp(), 126) for i in range(24)])
table("EXP_B", "e^(j/1024) - 1, unit 2^-128", [fixed((Decimal(j) / 1024).exp() - 1, 128) for j in range(32)])
table(
    "EXP_C",
    "2^(-10 n) / n!, unit 2^-128; entry 0 is not used",
    [0] + [fixed(1 / Decimal(factorial(n) * 2 ** (10 * n)), 128) for n in range(1, 11)],
)
