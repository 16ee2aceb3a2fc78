"""Change values in a YAML file of nested keys and leave every other character as it is.

A YAML library that keeps comments ties them to the value before, and loses them with it.
"""

import re
from collections.abc import Mapping
from typing import Any

import yaml

KEY = re.compile(r"(?P<indent> *)(?P<key>[A-Za-z_]\w*):(?P<value>.*)")
LONG = 80  # characters of a list on a line


def rewrite(text: str, values: Mapping[str, Any]) -> str:
    """Set some keys.

    Args:
        text: the file; each key on a line of its own, blocks by indentation.
        values: the new value of each key, which is named by its dotted path.

    Raises:
        ValueError: the text has no such key.
    """
    lines = text.split("\n")
    out: list[str] = []
    unwritten = dict(values)
    path: list[tuple[int, str]] = []
    while lines:
        line = lines.pop(0)
        out.append(line)
        entry = KEY.fullmatch(line)
        if entry is None:
            continue
        indent = len(entry["indent"])
        path = [*(outer for outer in path if outer[0] < indent), (indent, entry["key"])]
        name = ".".join(key for _, key in path)
        if name in unwritten:
            value = flow(unwritten.pop(name), entry["indent"])
            out[-1] = f"{entry['indent']}{entry['key']}: {value}{comment(entry['value'])}"
            while lines and continues(lines[0], indent):
                lines.pop(0)
    if unwritten:
        raise ValueError(f"there is no key {', '.join(unwritten)}")
    return "\n".join(out)


def flow(value: Any, indent: str = "") -> str:
    """A value in YAML, within brackets: DVC, which writes the file, too, keeps what follows these.

    Args:
        value: any that YAML has.
        indent: of the key; a list that is long has a line for each of its items.
    """
    text = _line(value)
    if not isinstance(value, list) or len(text) <= LONG:
        return text
    items = "".join(f"{indent}  {_line(item)},\n" for item in value)
    return f"[\n{items}{indent}]"


def _line(value: Any) -> str:
    text = yaml.safe_dump(
        value, default_flow_style=True, allow_unicode=True, width=float("inf"), sort_keys=False
    )
    return text.removesuffix("\n").removesuffix("\n...")


def comment(value: str) -> str:
    """The comment after a value on its line, with the space before it; empty if there is none."""
    try:
        node = yaml.compose(value, Loader=yaml.SafeLoader)
    except yaml.YAMLError:  # a value of several lines; a sign in it is its own
        return ""
    return value if node is None else value[node.end_mark.index :]


def continues(line: str, indent: int) -> bool:
    """Whether a line belongs to the value of the key above it."""
    own = len(line) - len(line.lstrip(" "))
    return bool(line.strip()) and (
        own > indent or (own == indent and line.lstrip().startswith(("- ", "]")))
    )
