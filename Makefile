# Every command a developer needs; CI calls the same targets (.ci/run).
PYTHON ?= python3
BIN    := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help demo test test-cuda test-libraries lint errors bench clean
.DELETE_ON_ERROR:

help:
	@echo "make demo    softmax regression on real handwritten digits: tables here, pictures in demo/"
	@echo "make test    the whole test suite (one file: make test ARGS=tests/test_edges.py)"
	@echo "make test-libraries  what the suite runs over array libraries, over PyTorch, JAX and CuPy (no GPU needed)"
	@echo "make test-cuda  compile every CUDA kernel with NVRTC (no GPU needed), and CuPy's part of the suite"
	@echo "make lint    ruff, cython-lint, mypy, numpydoc"
	@echo "make errors  the worst error of every function on the hard inputs of the tests, in ulps"
	@echo "make bench   time beside SciPy, NumPy and, where it is installed, torch"
	@echo "make clean   remove everything that was built"
	@echo "Each makes .venv and builds the package first, where that is needed."

demo: .venv/built .venv/group-demo
	$(BIN)/python examples/digits.py $(ARGS)

test: .venv/built .venv/group-test
	$(BIN)/python -m pytest -m "not cuda" $(ARGS)

# A torch that is in .venv already is kept: whoever wants a CPU build installs it there first (CONTRIBUTING.md).
# Of the kernels those of float32 for one architecture: NVRTC needs an hour for all, which test-cuda compiles.
test-libraries: .venv/built .venv/group-test .venv/group-libraries .venv/group-cuda
	$(BIN)/python -m pytest --libraries -m "(libraries or cuda) and not hour" $(ARGS)

test-cuda: .venv/built .venv/group-test .venv/group-cuda
	$(BIN)/python -m pytest tests/test_cuda_compile.py tests/test_cupy_*.py tests/test_gpu*.py $(ARGS)

# cython-lint starts pycodestyle by name, hence the PATH; mypy reads NumPy's types, hence the build.
lint: .venv/built .venv/group-lint
	$(BIN)/ruff check .
	PATH="$(CURDIR)/$(BIN):$$PATH" cython-lint src
	$(BIN)/mypy
	$(BIN)/numpydoc lint stablesoft/_config.py stablesoft/_cumulative.py stablesoft/_elementwise.py \
		stablesoft/_losses.py stablesoft/_margin_multiplied.py stablesoft/_margin_scaled.py \
		stablesoft/_reductions.py stablesoft/caffe.py

errors: .venv/built .venv/group-test
	$(BIN)/python tools/worst_errors.py

bench: .venv/built .venv/group-bench
	$(BIN)/python -m benchmarks $(ARGS)

clean:
	rm -rf .venv build demo *.egg-info stablesoft/*.so stablesoft/*.pyd
	rm -rf .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ---- Set-up: each stamp in .venv is renewed when what it stands for has changed. ----
.venv/python:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "pip>=25.1"  # the first that knows --group
	touch $@

.venv/group-%: pyproject.toml .venv/python
	$(BIN)/python -m pip install --quiet --group $*
	touch $@

# Editable, so that Python files take effect at once and tests can not meet a stale copy.
.venv/built: setup.py $(shell find src -type f) .venv/group-build
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable .
	touch $@
