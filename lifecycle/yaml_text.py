"""Change values in a YAML file of nested keys and leave every other character as it is.

A YAML library that keeps comments ties them to the value before, and loses them with it.
"""

import re
from collections.abc import Mapping
from typing import Any

import yaml

KEY = re.compile(r"(?P<indent> *)(?P<key>[A-Za-z_]\w*):(?P<value>.*)")


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
    left = dict(values)
    path: list[tuple[int, str]] = []
    while lines:
        line = lines.pop(0)
        out.append(line)
        found = KEY.fullmatch(line)
        if found is None:
            continue
        indent = len(found["indent"])
        path = [*(one for one in path if one[0] < indent), (indent, found["key"])]
        name = ".".join(key for _, key in path)
        if name in left:
            shown = flow(left.pop(name))
            out[-1] = f"{found['indent']}{found['key']}: {shown}{comment(found['value'])}"
            while lines and continues(lines[0], indent):
                lines.pop(0)
    if left:
        raise ValueError(f"there is no key {', '.join(left)}")
    return "\n".join(out)


def flow(value: Any) -> str:
    """A value in YAML, on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=float("inf"))
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
        own > indent or (own == indent and line.lstrip().startswith("- "))
    )
