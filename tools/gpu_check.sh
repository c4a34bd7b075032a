#!/usr/bin/env bash
# Everything that needs a GPU: builds in place, runs the tests marked gpu, the sanitizer where there is one, and the benchmark.
# Tables and logs go to $OUT (./gpu-check where it is not set). Needs no network: NumPy, CuPy, Cython, setuptools, pytest and
# Hypothesis are there already; what else is missing (array-api-compat) can lie in build/site:
#     python3 -m pip install --target build/site --no-deps array-api-compat
# PYTHON names the interpreter. PARTS chooses among: test sanitizer bench.
set -uo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
OUT=${OUT:-gpu-check}
PARTS=${PARTS:-test sanitizer bench}
export PYTHONPATH=$PWD:$PWD/build/site${PYTHONPATH:+:$PYTHONPATH}
export CUPY_CACHE_DIR=${CUPY_CACHE_DIR:-$PWD/build/cupy}
mkdir -p "$OUT" "$CUPY_CACHE_DIR"
failed=0

# Deprecations of the libraries among each other are not what is tested here.
pytest=("$PYTHON" -m pytest -q -m gpu tests/test_gpu.py -p no:cacheprovider -W ignore::DeprecationWarning)

note() { echo "== $*"; }

note build
"$PYTHON" setup.py -q build_ext --inplace || exit 1
# What the tests need and the machine lacks is said at once.
"$PYTHON" -c "import array_api_compat, cupy, hypothesis, pytest; print(cupy.cuda.runtime.getDeviceProperties(0)['name'])" || exit 1
{ date; nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv; "$PYTHON" -c "import cupy; cupy.show_config()"; } \
    > "$OUT/device.txt" 2>&1

"$PYTHON" tools/compile_kernels.py || exit 1

for part in $PARTS; do
    note "$part"
    case $part in
    test)
        "${pytest[@]}" 2>&1 | tee "$OUT/tests.txt" | tail -40 || failed=1
        ;;
    sanitizer)
        if ! command -v compute-sanitizer > /dev/null; then echo "no compute-sanitizer here"; continue; fi
        for tool in memcheck racecheck synccheck; do
            compute-sanitizer --tool $tool --error-exitcode 9 "${pytest[@]}" \
                -k "named_rows or near_zero or layouts" > "$OUT/$tool.txt" 2>&1 || failed=1
            tail -3 "$OUT/$tool.txt"
        done
        ;;
    bench)
        "$PYTHON" -m benchmarks.gpu > "$OUT/bench.txt" 2>&1 || failed=1
        cat "$OUT/bench.txt"
        ;;
    *)
        echo "PARTS names an unknown part: $part" >&2
        exit 2
        ;;
    esac
done
exit $failed
