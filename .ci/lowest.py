"""Print the oldest versions that pyproject.toml allows, one a line, for pip.

Called as .venv/bin/python .ci/lowest.py [EXTRA...], where the package is installed.
Torch is left out: its CPU builds of 2024 are not on PyPI, and the others bring 3 GB of CUDA libraries along.
"""

from __future__ import annotations

import sys
from importlib.metadata import requires

from packaging.requirements import Requirement

LEFT_OUT = {"torch"}


def lowest(requirement: Requirement) -> str:
    """Turn "name>=1.2" or "name~=1.2" into "name==1.2"."""
    (bound,) = requirement.specifier
    if bound.operator not in (">=", "~="):
        raise SystemExit(f"pyproject.toml: {requirement}: give the oldest version, as in {requirement.name}>=1.2")
    return f"{requirement.name}=={bound.version}"


def main() -> None:
    """Print the package's own requirements and those of the extras that are named."""
    for requirement in map(Requirement, requires("relion-ganpick") or []):
        wanted = requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in sys.argv[1:])
        if wanted and requirement.name not in LEFT_OUT:
            print(lowest(requirement))


if __name__ == "__main__":
    main()
