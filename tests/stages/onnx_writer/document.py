"""docs/conversion.md, whose tables are what the tests find.

`python -m tests.stages.onnx_writer.document` tries every case and rewrites the tables. It needs
`qemu-x86_64` (Debian: qemu-user): the last column compares this processor with an emulated one
that has no AVX. That takes an hour.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path

from stages.arithmetic import CAP
from tests.arithmetics import EMULATOR, python
from tests.conftest import ROOT
from tests.stages.onnx_writer.cases import CLASSES, Case, cases

DOCUMENT = Path(__file__).parents[3] / "docs" / "conversion.md"
SAME = "Same bits on another processor"
HEADERS = {
    "Preprocessing": ("Option of PyCaret's `setup`", "Largest relative error", SAME),
    "Estimators": ("Id in `train.models`", *CLASSES, SAME),
    "Ensembles": ("How it is made", *CLASSES, SAME),
}
NOT_TRIED = "-"
Row = tuple[str, str]  # section, row


@dataclass(frozen=True)
class Trial:
    """What came of one case: its cell of the document, and the md5 of its bits."""

    outcome: str
    bits: str


def recorded() -> dict[Case, str]:
    """Read the outcome of each case out of the document's tables."""
    kinds = {(case.section, case.row): case.kind for case in cases()}
    return {
        Case(section, row, kind): cell
        for (section, row), (*cells, _) in _cells().items()
        for kind, cell in zip(
            CLASSES if len(cells) > 1 else [kinds.get((section, row), "regression")],
            cells,
            strict=True,
        )
        if cell != NOT_TRIED
    }


def recorded_bits() -> dict[Row, str]:
    """Read each row's last column: "yes" with the first digits of its md5, or "no"."""
    return {row: cells[-1] for row, cells in _cells().items()}


def _cells() -> dict[Row, list[str]]:
    found = {}
    section = ""
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif line.startswith("| ") and section in HEADERS:
            row, *cells = (cell.strip() for cell in line.strip("|").split(" | "))
            if (row, *cells) != HEADERS[section]:
                found[section, row] = cells
    return found


def tried(*texts: str, emulated: bool = False, capped: bool = True) -> dict[Case, Trial]:
    """Try the cases in a process of its own; see `tests.stages.onnx_writer.trial`."""
    said = python(
        "-m",
        "tests.stages.onnx_writer.trial",
        *texts,
        folder=ROOT,
        settings=CAP if capped else {},
        emulated=emulated,
    )
    trials = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    return {
        Case(one["section"], one["row"], one["kind"]): Trial(one["outcome"], one["bits"])
        for one in trials
    }


def row_bits(trials: Mapping[Case, Trial]) -> dict[Row, str]:
    """The first eight digits of one md5 for all cases of a row."""
    rows: dict[Row, bytes] = {}
    for case, trial in trials.items():
        row = (case.section, case.row)
        rows[row] = rows.get(row, b"") + bytes.fromhex(trial.bits)
    return {row: md5(bits).hexdigest()[:8] for row, bits in rows.items()}


def with_tables(text: str, outcomes: dict[Case, str], bits: dict[Row, str]) -> str:
    """Replace the tables of a document's sections."""
    kept: list[str] = []
    for block in text.split("\n\n"):
        section = kept[-1].removeprefix("## ") if kept and kept[-1].startswith("## ") else ""
        kept.append(_table(section, outcomes, bits) if block.startswith("| ") else block)
        if block.startswith("## ") and "\n" in block:
            raise ValueError(f"{DOCUMENT}: leave an empty line after {block.splitlines()[0]!r}")
    return "\n\n".join(kept).rstrip("\n") + "\n"


def _table(section: str, outcomes: dict[Case, str], bits: dict[Row, str]) -> str:
    header = HEADERS[section]
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    rows = dict.fromkeys(case.row for case in outcomes if case.section == section)
    for row in rows:
        by_kind = {
            case.kind: text
            for case, text in outcomes.items()
            if (case.section, case.row) == (section, row)
        }
        kinds = CLASSES if len(header) > 3 else by_kind
        cells = [by_kind.get(kind, NOT_TRIED) for kind in kinds]
        lines.append("| " + " | ".join([row, *cells, bits[section, row]]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    if EMULATOR is None:
        sys.exit("qemu-x86_64 is not installed (Debian: apt-get install qemu-user).")
    trials = tried()
    here, there = row_bits(trials), row_bits(tried(emulated=True))
    compared = {row: f"yes `{bits}`" if there[row] == bits else "no" for row, bits in here.items()}
    outcomes = {case: trial.outcome for case, trial in trials.items()}
    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(with_tables(text, outcomes, compared), encoding="utf-8")
