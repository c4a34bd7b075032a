"""What the compiled module offers to the Python layer, for type checkers."""

from collections.abc import Callable
from typing import Any

ufuncs: dict[str, Any]
Pair: Any
Operand: Any

def isa() -> str: ...
def isa_available() -> tuple[str, ...]: ...
def threads() -> int: ...
def register(name: str, hand_back: Callable[..., Any]) -> None: ...
def __getattr__(name: str) -> Any: ...  # the doors carry the signatures of the public functions
