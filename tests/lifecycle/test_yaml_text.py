from typing import Any

import pytest
import yaml

from lifecycle.yaml_text import rewrite
from tests.conftest import ROOT

TEXT = """\
# The manual

base:
  # What it is.
  name: old # in the registry
  path: "a # b"
train:
  models:
    - one
    # the second
    - two: {depth: 3}
  # Folds.
  folds: 5

  same:
  - x
  - y
  name: [a,
    b]
  closed: [
    a: {b: 1},
  ]
  # The last.
  last: null
"""


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("base.name", "new: 'odd' # name"),
        ("base.path", None),
        ("train.models", ["a b", "ä", "1", 'q"']),
        ("train.folds", 3),
        ("train.same", []),
        ("train.name", True),
        ("train.last", 1e-9),
        ("train.models", [{"lightgbm": {"n_estimators": "auto", "learning_rate": 0.05}}] * 3),
    ],
)
def test_one_value_changes_and_nothing_else(key: str, value: Any) -> None:
    changed = rewrite(TEXT, {key: value})
    block, name = key.split(".")
    expected = yaml.safe_load(TEXT)
    expected[block][name] = value
    assert yaml.safe_load(changed) == expected
    comments = ["# The manual", "# What it is.", "# in the registry", "# Folds.", "# The last."]
    assert [one for one in comments if one in changed] == comments
    untouched = [line for line in TEXT.split("\n") if name not in line]
    outside = [line for line in untouched if not line.startswith(("    ", "  - "))]
    assert [line for line in outside if line not in changed.split("\n")] == []


def test_several_values_of_the_projects_parameters() -> None:
    text = (ROOT / "params.yaml").read_text()
    assert rewrite(text, {}) == text
    changed = rewrite(text, {"base.name": "x", "train.models": ["lr"], "prepare.split.column": "c"})
    expected = yaml.safe_load(text)
    expected["base"]["name"], expected["train"]["models"] = "x", ["lr"]
    expected["prepare"]["split"]["column"] = "c"
    assert yaml.safe_load(changed) == expected
    assert changed.count("#") == text.count("#")


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(ValueError, match=r"no key train\.colour"):
        rewrite(TEXT, {"train.colour": 1, "base.name": "x"})
