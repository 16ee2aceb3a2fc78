"""The column names of an uploaded table: are they all there, and each once?"""

from collections import Counter
from collections.abc import Iterable, Sequence

from app.errors import MAX_ERRORS, Problem, quote
from app.model.manifest import Manifest


def check_names(names: Sequence[str], manifest: Manifest, max_columns: int) -> list[str]:
    """Check a table's column names against a model's.

    Returns:
        The names that the model does not read, in the table's order.

    Raises:
        Problem: too many columns, one of them twice, or one missing.
    """
    if len(names) > max_columns:
        raise Problem(
            "too-many-columns",
            f"The table has {len(names)} columns; this server takes at most {max_columns}.",
        )
    refuse_repeated(names)
    wanted = [feature.name for feature in manifest.features]
    present = set(names)
    missing = [name for name in wanted if name not in present]
    if missing:
        raise Problem(
            "missing-columns",
            f"These columns are missing: {_listed(missing)}. The table has {_listed(names)}.",
            errors=[{"column": name, "detail": "is missing"} for name in missing],
        )
    return [name for name in names if name not in set(wanted)]


def refuse_repeated(names: Sequence[str]) -> None:
    """Let no name pass that a table has twice.

    Raises:
        Problem: names them.
    """
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise Problem(
            "duplicate-columns",
            f"These columns appear more than once: {_listed(repeated)}. Give each one name.",
            errors=[{"column": name, "detail": "appears more than once"} for name in repeated],
        )


def _listed(names: Iterable[str]) -> str:
    """Name the first few."""
    known = list(names)
    shown = ", ".join(quote(name) for name in known[:MAX_ERRORS])
    more = len(known) - MAX_ERRORS
    return f"{shown} and {more} more" if more > 0 else shown
