#!/usr/bin/env bash
# Everything that needs a GPU: builds in place, compiles the kernels for this device, runs the tests marked gpu, the
# sanitizer where there is one, and the benchmark. Tables and logs go to $OUT (./gpu-check where it is not set).
# Needs no network: NumPy, CuPy, Cython, setuptools, pytest and Hypothesis are there already; what else is missing
# (array-api-compat) can lie in build/site:
#     python3 -m pip install --target build/site --no-deps array-api-compat
#
# PARTS  chooses among: test bench sanitizer.
# LIMIT  seconds that all parts together may take after the build, 480 by default: each part is stopped when its share
#        of what is left is used up, with what it has written until then. On a bare machine one part a call:
#            PARTS=test tools/gpu_check.sh; PARTS=bench tools/gpu_check.sh; PARTS=sanitizer tools/gpu_check.sh
# PYTHON names the interpreter.
set -uo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
OUT=${OUT:-gpu-check}
PARTS=${PARTS:-test bench sanitizer}
LIMIT=${LIMIT:-480}
export PYTHONPATH=$PWD:$PWD/build/site${PYTHONPATH:+:$PYTHONPATH}
export CUPY_CACHE_DIR=${CUPY_CACHE_DIR:-$PWD/build/cupy} PYTHONUNBUFFERED=1
mkdir -p "$OUT" "$CUPY_CACHE_DIR"
failed=0
left=$(wc -w <<< "$PARTS")

note() { echo "== $* ($SECONDS s)"; }

# Deprecations of the libraries among each other are not what is tested here.
pytest=("$PYTHON" -m pytest -q -m gpu tests/test_gpu*.py
        -p no:cacheprovider -W ignore::DeprecationWarning)

# The command, its output in $OUT/NAME.txt, the end of it here; stopped when the part's time is over.
part() {
    local name=$1 share=$(((finish - SECONDS) / left))
    shift
    timeout --kill-after=10 "$((share > 10 ? share : 10))" "$@" > "$OUT/$name.txt" 2>&1
    local code=$?
    tail -n "${LINES_SHOWN:-60}" "$OUT/$name.txt"
    if [ $code -ne 0 ]; then
        echo "$name: exit status $code$([ $code -ge 124 ] && echo ' (out of time)')"
        failed=1
    fi
}

for name in $PARTS; do
    case $name in test | bench | sanitizer) ;; *) echo "PARTS names an unknown part: $name" >&2; exit 2 ;; esac
done

note build
"$PYTHON" setup.py -q build_ext --inplace || exit 1
# What the tests need and the machine lacks is said at once.
"$PYTHON" -c "import array_api_compat, cupy, hypothesis, pytest
print(cupy.cuda.runtime.getDeviceProperties(0)['name'].decode())" || exit 1
{
    date
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv
    "$PYTHON" -c "import cupy; cupy.show_config()"
} > "$OUT/device.txt" 2>&1

note kernels
"$PYTHON" tools/compile_kernels.py || exit 1

finish=$((SECONDS + LIMIT))
for name in $PARTS; do
    note "$name"
    case $name in
    test) part tests "${pytest[@]}" --durations=10 ;;
    bench) LINES_SHOWN=400 part bench "$PYTHON" -m benchmarks.gpu ;;
    sanitizer)
        if ! command -v compute-sanitizer > /dev/null; then
            echo "no compute-sanitizer here"
        else
            left=$((left + 2))
            for tool in memcheck racecheck synccheck; do
                LINES_SHOWN=3 part "$tool" compute-sanitizer --tool $tool --error-exitcode 9 "${pytest[@]}" \
                    -k "named_rows or near_zero or layouts or bad_labels"
                left=$((left - 1))
            done
            left=$((left + 1))
        fi
        ;;
    esac
    left=$((left - 1))
done
note done
exit $failed
