"""Build of stablesoft._native; everything declarative stands in pyproject.toml."""

import os
import sys
from glob import glob
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, LinkError

# Error bounds and reproducibility rest on IEEE arithmetic: no fast-math, and no contraction to fma but where one is
# written. -fno-math-errno lets sqrt and fma be instructions and changes no value. Instruction sets are chosen by
# pragmas in src/isa, not here.
UNIX_FLAGS = ["-std=c11", "-O3", "-ffp-contract=off", "-fno-math-errno", "-g0", "-Wall", "-Wextra"]
UNIX_FLAGS += ["-Wno-unused-function", "-Wno-unused-parameter", "-Wno-missing-field-initializers"]  # Cython's C
MSVC_FLAGS = ["/std:c11", "/O2", "/fp:strict"]


def openmp_works(compiler):
    with TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text("#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n")
        try:
            objects = compiler.compile([str(source)], output_dir=folder, extra_postargs=["-fopenmp"])
            compiler.link_executable(objects, "probe", output_dir=folder, extra_postargs=["-fopenmp"])
        except (CompileError, LinkError):
            return False
    return True


class BuildExt(build_ext):
    """Compiler flags by kind of compiler; OpenMP where a probe compiles and links, serial loops elsewhere."""

    def build_extension(self, ext):
        msvc = self.compiler.compiler_type == "msvc"
        ext.extra_compile_args = MSVC_FLAGS if msvc else list(UNIX_FLAGS)
        if sys.platform == "linux" and openmp_works(self.compiler):
            ext.extra_compile_args += ["-fopenmp"]
            ext.extra_link_args += ["-fopenmp"]
        if os.environ.get("STABLESOFT_WERROR") == "1":
            ext.extra_compile_args += ["/WX" if msvc else "-Werror"]
        super().build_extension(ext)


native = Extension(
    "stablesoft._native",
    sources=["src/_native.pyx", *sorted(glob("src/*.c") + glob("src/isa/*.c"))],
    depends=sorted(glob("src/**/*.h", recursive=True)),
    include_dirs=["src", np.get_include()],
    define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
)
setup(ext_modules=cythonize([native], build_dir="build/cython"), cmdclass={"build_ext": BuildExt})
