"""Install Topaz in an environment of its own, to compare with: `python benchmarks/install_topaz.py .venv-topaz`.

Topaz 0.3.20 ships its trained models. It imports torchvision at its start and uses it in training only. PyPI's torchvision
does not load beside a PyTorch that is for the processor alone. So a stand-in without any function takes its place; picking never
calls it.
"""

from __future__ import annotations

import argparse
import subprocess
import venv
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("topaz.txt")
STAND_IN = '''"""Stands in for torchvision, which Topaz imports at its start and needs for training only."""


def rotate(*_, **__):
    """Refuse to work."""
    raise RuntimeError("this environment is for picking with Topaz only: training needs torchvision")
'''


def main() -> None:
    """Make the environment and try whether Topaz starts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of the new environment")
    folder: Path = parser.parse_args().folder
    venv.EnvBuilder(with_pip=True, clear=True).create(folder)
    python = str(folder / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    wanted = [line for line in REQUIREMENTS.read_text().splitlines() if line and not line.startswith("#")]
    topaz = [each for each in wanted if each.startswith("topaz-em")]
    subprocess.run([*pip, *(each for each in wanted if each not in topaz)], check=True)
    subprocess.run([*pip, "--no-deps", *topaz], check=True)
    where = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = Path(subprocess.run(where, check=True, capture_output=True, text=True).stdout.strip())
    write_stand_in(packages / "torchvision")
    subprocess.run([folder / "bin" / "topaz", "--version"], check=True)


def write_stand_in(package: Path) -> None:
    """Write a package with the one module of torchvision that Topaz names."""
    functional = package / "transforms"
    functional.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").touch()
    (functional / "__init__.py").touch()
    (functional / "functional.py").write_text(STAND_IN)


if __name__ == "__main__":
    main()
