"""The measuring programs under bench/, of which tests run seeded slices."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any


def bench(name: str) -> Any:
    """The module `bench/NAME.py`."""
    path = Path(__file__).parent.parent / "bench" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"bench_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module
