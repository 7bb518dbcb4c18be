"""What RELION itself reads in a micrographs STAR file: names and pixel sizes, by relion_star_handler."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

# A word as RELION writes it: in double quotes where it holds blanks, with \a before quotation marks that do not end it.
_WORD = re.compile(r'"((?:\a.|(?!"(?:[ \t]|$)).)*)"(?=[ \t]|$)|([^ \t]+)')
# Why RELION may refuse a file in which nothing is wrong with names and pixel sizes.
ONLY_OPTICS = ("could not read optics groups table",)


def relion_reads(path: Path, output: Path) -> list[tuple[str, float]] | str:
    """Read a micrographs STAR file with RELION.

    Returns
    -------
    Names and pixel sizes (0 where RELION knows none); or, if RELION refuses the file, what it says.
    """
    output.unlink(missing_ok=True)
    command = ["relion_star_handler", "--combine", "--i", path.name, "--o", output.name]
    done = subprocess.run(command, cwd=path.parent, capture_output=True, check=False)
    said = done.stderr.decode("utf-8", "replace") + done.stdout.decode("utf-8", "replace")
    if done.returncode or not output.exists():
        return said
    blocks = _blocks(output.read_bytes().decode("utf-8", "surrogateescape"))
    if "micrographs" not in blocks:
        return said or "no micrographs"
    optics, table = blocks.get("optics", []), blocks["micrographs"]
    sizes = {row["rlnOpticsGroup"]: float(row.get("rlnMicrographPixelSize", 0)) for row in optics}
    return [(row.get("rlnMicrographName", ""), sizes.get(row.get("rlnOpticsGroup", ""), 0.0)) for row in table]


def _blocks(text: str) -> dict[str, list[dict[str, str]]]:
    """Rows of what RELION has written, which has one layout only."""
    found: dict[str, list[dict[str, str]]] = {}
    pieces = re.split(r"(?:^|\n)\ndata_(.*)\n\n", text)
    for name, part in zip(pieces[1::2], pieces[2::2], strict=True):
        lines = [line for line in part.split("\n") if line.strip(" ") and not re.fullmatch(r"# version \d+", line)]
        columns: list[str] = []
        rows: list[dict[str, str]] = []
        for line in lines:
            if "loop_ " in lines and not rows and re.fullmatch(r"_.* #\d+ ", line):
                columns.append(line[1:].rsplit(" #", 1)[0])
            elif "loop_ " not in lines:
                label, value = _words(line)[:2]
                rows = [(rows[0] if rows else {}) | {label[1:]: value}]
            elif line != "loop_ ":
                rows.append(dict(zip(columns, _words(line), strict=True)))
        found[name] = rows
    return found


def _words(line: str) -> list[str]:
    return [quoted.replace("\a", "") if bare == "" else bare for quoted, bare in _WORD.findall(line)]
