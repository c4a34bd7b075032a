"""What this installation is and what it found."""

import sys

from . import _native

# Array libraries that are reported when the user has imported them; none is imported here.
_LIBRARIES = ("numpy", "array_api_strict", "torch", "jax", "dask", "cupy")


def _gpu():
    cupy = sys.modules.get("cupy")
    if cupy is None:
        return None
    try:
        name = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.runtime.getDevice())["name"]
    except Exception:  # CuPy without a driver or a device: an answer, not an error
        return None
    return name.decode() if isinstance(name, bytes) else str(name)


def show_config(mode="stdout"):
    """Show the version, instruction sets, threads, array libraries and GPU.

    Parameters
    ----------
    mode : {"stdout", "dicts"}, optional
        Print a table, or return a dict.

    Returns
    -------
    dict or None
        With "dicts": the keys "version", "isa", "isa_available", "threads", "libraries" and "gpu".

    Raises
    ------
    ValueError
        For another mode.

    Examples
    --------
    >>> import stablesoft
    >>> sorted(stablesoft.show_config("dicts"))
    ['gpu', 'isa', 'isa_available', 'libraries', 'threads', 'version']
    """
    if mode not in ("stdout", "dicts"):
        raise ValueError(f"mode must be 'stdout' or 'dicts', not {mode!r}")
    from . import __version__  # the package is complete only after this module

    seen = {name: sys.modules[name] for name in _LIBRARIES if name in sys.modules}
    config = {
        "version": __version__,
        "isa": _native.isa(),
        "isa_available": tuple(_native.isa_available()),
        "threads": _native.threads(),
        "libraries": {name: str(getattr(module, "__version__", "unknown")) for name, module in seen.items()},
        "gpu": _gpu(),
    }
    if mode == "dicts":
        return config
    libraries = ", ".join(f"{name} {version}" for name, version in config["libraries"].items())
    shown = {**config, "isa_available": ", ".join(config["isa_available"]), "libraries": libraries or "none"}
    for key, value in shown.items():
        print(f"{key:14} {'none' if value is None else value}")
    return None
