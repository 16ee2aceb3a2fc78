"""docs/conversion.md, whose tables are what the tests find.

`python -m tests.stages.onnx_writer.document` tries every case and rewrites the tables.
"""

import sys
import warnings
from pathlib import Path

from tests.stages.onnx_writer.cases import CLASSES, Case, cases, outcome

DOCUMENT = Path(__file__).parents[3] / "docs" / "conversion.md"
HEADERS = {
    "Preprocessing": ("Option of PyCaret's `setup`", "Largest relative error"),
    "Estimators": ("PyCaret's id", *CLASSES),
    "Ensembles": ("How it is made", *CLASSES),
}
NOT_TRIED = "-"


def recorded() -> dict[Case, str]:
    """Read the outcome of each case out of the document's tables."""
    found = {}
    kinds = {(case.section, case.row): case.kind for case in cases()}
    section = ""
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif line.startswith("| ") and section in HEADERS:
            row, *cells = (cell.strip() for cell in line.strip("|").split(" | "))
            if (row, *cells) == HEADERS[section]:
                continue
            names = CLASSES if len(cells) > 1 else [kinds.get((section, row), "regression")]
            for kind, cell in zip(names, cells, strict=True):
                if cell != NOT_TRIED:
                    found[Case(section, row, kind)] = cell
    return found


def with_tables(text: str, outcomes: dict[Case, str]) -> str:
    """Replace the tables of a document's sections."""
    kept: list[str] = []
    for block in text.split("\n\n"):
        section = kept[-1].removeprefix("## ") if kept and kept[-1].startswith("## ") else ""
        kept.append(_table(section, outcomes) if block.startswith("| ") else block)
        if block.startswith("## ") and "\n" in block:
            raise ValueError(f"{DOCUMENT}: leave an empty line after {block.splitlines()[0]!r}")
    return "\n\n".join(kept).rstrip("\n") + "\n"


def _table(section: str, outcomes: dict[Case, str]) -> str:
    header = HEADERS[section]
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    rows = dict.fromkeys(case.row for case in outcomes if case.section == section)
    for row in rows:
        by_kind = {
            case.kind: text
            for case, text in outcomes.items()
            if (case.section, case.row) == (section, row)
        }
        kinds = CLASSES if len(header) > 2 else by_kind
        cells = [by_kind.get(kind, NOT_TRIED) for kind in kinds]
        lines.append("| " + " | ".join([row, *cells]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    measured = {}
    for case in cases():
        measured[case] = outcome(case)
        print(case.section, case.row, case.kind, measured[case], file=sys.stderr)
    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(with_tables(text, measured), encoding="utf-8")
