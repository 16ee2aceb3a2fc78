"""docs/reference.md, written from the code and its files.

`python -m tests.repository.reference` writes it anew.
"""

import inspect
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from app.http.openapi import SKELETON
from app.model import manifest
from app.settings import FOREIGN, PREFIX, Settings
from lifecycle.yaml_text import KEY, flow
from tests.conftest import ROOT

DOCUMENT = ROOT / "docs" / "reference.md"
LONG = 40  # letters of a value
BEGINNING = """# Reference

Every command, parameter, setting, route and field, written from the code by
`python -m tests.repository.reference`; a test compares.
"""


def commands() -> Iterator[tuple[str, str]]:
    """The targets of the Makefile that it explains."""
    text = (ROOT / "Makefile").read_text()
    for name, words in re.findall(r"^([a-z-]+):.*?## (.*)$", text, re.M):
        yield f"`make {name}`", words


def parameters() -> Iterator[tuple[str, str, str]]:
    """The keys of params.yaml, their committed values, and the comments above them."""
    comment: list[str] = []
    path: list[tuple[int, str]] = []
    lines = (ROOT / "params.yaml").read_text().splitlines()
    for line in lines:
        if line.lstrip().startswith("#"):
            comment.append(line.strip().removeprefix("#").strip())
            continue
        entry = KEY.fullmatch(line)
        if entry is not None:
            indent = len(entry["indent"])
            path = [*(outer for outer in path if outer[0] < indent), (indent, entry["key"])]
            keys = [key for _, key in path]
            if comment:
                yield f"`{'.'.join(keys)}`", shown(value_at(keys)), " ".join(comment)
        comment = []


def value_at(keys: Sequence[str]) -> Any:
    """The committed value of a key."""
    value = yaml.safe_load((ROOT / "params.yaml").read_text())
    for key in keys:
        value = value[key]
    return value


def shown(value: Any) -> str:
    """A value for a cell; a block's is in its own rows or in the file."""
    return "see the file" if value and len(str(value)) > LONG else f"`{flow(value)}`"


def settings() -> Iterator[tuple[str, str, str]]:
    """The server's variables, their defaults, and what the class says of them."""
    told = attributes(Settings)
    for name, field in Settings.model_fields.items():
        variable = name if name.startswith(FOREIGN) else PREFIX + name
        default = "needed" if field.default is PydanticUndefined else plain(field.default)
        yield f"`{variable.upper()}`", default, told[name]


def plain(value: Any) -> str:
    """A default in a cell."""
    if value in (None, ()):
        return "none"
    secret = getattr(value, "get_secret_value", None)
    return f"`{secret() if secret else value}`"


def routes() -> Iterator[tuple[str, str]]:
    """The routes that OpenAPI tells."""
    for path, methods in yaml.safe_load(SKELETON.read_bytes())["paths"].items():
        for method, operation in methods.items():
            yield f"`{method.upper()} {path}`", operation["summary"]


def fields() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The classes of the manifest, each with its fields."""
    classes = [
        one
        for one in vars(manifest).values()
        if inspect.isclass(one) and issubclass(one, manifest.Contract) and one.model_fields
    ]
    for one in classes:
        told = {
            name: text for base in reversed(one.__mro__) for name, text in attributes(base).items()
        }
        yield one.__name__, [(f"`{name}`", told.get(name, "")) for name in one.model_fields]


def attributes(one: type) -> dict[str, str]:
    """What the docstring of a class says of its attributes."""
    if not issubclass(one, BaseModel):
        return {}
    lines = inspect.cleandoc(one.__doc__ or "").partition("Attributes:\n")[2].splitlines()
    told: dict[str, str] = {}
    for line in lines:
        if entry := re.fullmatch(r" {4}(\w+): (.*)", line):
            told[name := entry[1]] = entry[2]
        elif line.startswith(" " * 8):
            told[name] += f" {line.strip()}"
        elif line.strip():
            break
    return told


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines = [header, ["---"] * len(header), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def document() -> str:
    """The whole of it."""
    parts = [
        BEGINNING,
        "## Commands\n",
        table(["command", "what it does"], list(commands())),
        "## Parameters\n",
        "Keys of `params.yaml`, with the values of the sample table.\n",
        table(["key", "value", "meaning"], list(parameters())),
        "## Settings\n",
        "Variables of the server, the batch and the stream: of the environment, or of `.env`.\n",
        table(["variable", "default", "meaning"], list(settings())),
        "## Routes\n",
        "With all their details, and the columns of the model in service: `/docs` of a server.\n",
        table(["route", "what it does"], list(routes())),
        "## Fields of the manifest\n",
        "`manifest.json` in `model/serving`, and what `GET /model` answers besides `version`.\n",
    ]
    for name, rows in fields():
        parts += [f"### {name}\n", table(["field", "meaning"], rows)]
    return "\n".join(parts)


if __name__ == "__main__":
    Path(DOCUMENT).write_text(document())
