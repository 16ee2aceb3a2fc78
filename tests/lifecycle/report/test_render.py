"""The report as people read it."""

from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser

from app.model.manifest import Feature
from lifecycle.report import html, markdown
from lifecycle.report.revision import Revision, Tables
from lifecycle.report.subject import Subject
from stages.evaluation.plot_tables import calibration, labels, residuals
from stages.schema import Schema
from tests.browser import browser, needs_browser, violations

FEATURES = (
    Feature(name="a|b", kind="number", minimum=0.0, maximum=1.0),
    Feature(name="<b>", kind="category", categories=("x", "y"), missing=0.25),
)
REVISION = Revision(
    name="this",
    commit="a" * 40,
    subject="Try <more>",
    report={
        "model": {"rmse": 10.0, "r2": 0.9},
        "interval": {"rmse": {"low": 9.0, "high": 11.0}},
        "baseline": {"dummy": {"rmse": 99.0}, "linear": {"rmse": 20.0, "r2": 0.5}},
        "rows": {"train": 400, "holdout": 100},
        "prediction_interval": {
            "level": 0.9,
            "mean_width": 17.5,
            "coverage": 0.912,
            "measured_rows": 50,
        },
    },
    params={"base.name": "houses", "evaluate.gate.metric": "rmse", "train.folds": 5},
    md5={"data": "d" * 32, "prepared": "p" * 32, "candidate": "c" * 32, "version": "v" * 32},
)
PREDECESSOR = replace(
    REVISION,
    name="before",
    subject="The first",
    report=REVISION.report | {"model": {"rmse": 15.0, "r2": 0.9}},
    params=REVISION.params | {"train.folds": 3},
    md5=REVISION.md5 | {"data": "e" * 32, "version": "w" * 32},
)


def schema(*features: Feature, classes: tuple[str, ...] = ()) -> Schema:
    return Schema(
        task="classification" if classes else "regression",
        target="price",
        classes=classes,
        features=features,
        strategy="random",
        data_md5="0" * 32,
    )


def subject(predecessor: Revision | None = PREDECESSOR) -> Subject:
    points = np.linspace(0, 100, 30)
    tables = Tables(
        leaderboard=pd.DataFrame(
            {"estimator": ["ridge"], "step": ["compare"], "RMSE": [10.5], "RMSE std": [0.25]}
        ),
        plots={
            "residuals": residuals(points, points + 1),
            "importance": pd.DataFrame(
                {"feature": ["a|b", "<b>"], "importance": [5.0, 0.5], "deviation": [0.1, 0.1]}
            ),
            "slices": pd.DataFrame(
                {"slice": ["<b> = x"], "rows": [25], "error": [20.0], "ratio": [2.0]}
            ),
        },
        schema=schema(*FEATURES),
    )
    before = schema(FEATURES[0], FEATURES[1].model_copy(update={"categories": ("x",)}))
    run = "http://127.0.0.1:5000/#/experiments/1/runs/2"
    return Subject(REVISION, tables, predecessor, before if predecessor else None, run)


def classified() -> Subject:
    actual, chance = np.array([0, 1, 1, 0]), np.array([0.1, 0.9, 0.4, 0.2])
    named = schema(*FEATURES, classes=("no", "yes"))
    tables = replace(
        subject().tables,
        schema=named,
        plots={
            "importance": subject().tables.plots["importance"],
            "labels": labels(actual, (chance > 0.5).astype(int), named),
            "calibration": calibration(actual, np.column_stack([1 - chance, chance])),
        },
    )
    return replace(subject(predecessor=None), tables=tables)


class Page(HTMLParser):
    """The words of a page, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.sources: list[str] = []
        self.feed(text)

    def handle_data(self, data: str) -> None:
        self.words += data.split()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name == "src"]

    @property
    def text(self) -> str:
        return " ".join(self.words)


def test_the_page_needs_nothing_else_and_tells_all() -> None:
    page = Page(html.render(subject()))
    assert "rmse 10 (95 % interval 9 to 11), better than the version before (15)." in page.text
    assert (
        "Intervals, 17.5 wide on average, held the truth in 91.2 % of 50 rows (90 % intended)."
        in page.text
    )
    assert "ridge compare 10.5 ± 0.25" in page.text
    assert "<b> = x 25 20 2.00" in page.text
    assert "train.folds 3 5" in page.text
    assert "<b>: new values: y" in page.text
    assert "<b> category x, y 25.0 %" in page.text
    assert "Try <more>" in page.text
    assert f"make verify REV={'a' * 40}" in page.text
    for md5 in REVISION.md5.values():
        assert md5 in page.text
    assert len(page.sources) == 3
    assert all(source.startswith("data:image/svg+xml;base64,") for source in page.sources)


def test_the_same_revision_gives_the_same_bytes() -> None:
    assert html.render(subject()) == html.render(subject())


def test_markdown_holds_the_same_facts() -> None:
    text = markdown.render(subject())
    assert text.startswith("## houses: this\n\nrmse 10 (95 % interval")
    assert "| rmse | **10** | 9 to 11 | 15 | better | 99 | 20 |\n" in text
    assert "| `train.folds` | `3` | `5` |\n" in text
    assert "- &lt;b>: new values: y\n" in text
    assert "| ridge | compare | 10.5 ± 0.25 |\n" in text
    assert "| a\\|b | 5 |\n" in text
    tables = [part.splitlines() for part in text.split("\n\n") if part.startswith("|")]
    assert len(tables) == 5
    for lines in tables:
        assert len({line.replace("\\|", "").count("|") for line in lines}) == 1, lines


def test_without_a_version_before_nothing_is_compared() -> None:
    page = Page(html.render(classified()))
    assert "there is no other version to compare it with." in page.text
    assert "What changed" not in page.text
    assert "The version before" not in markdown.render(classified())
    assert len(page.sources) == 3  # confusion, calibration, importance


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


@needs_browser
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("one", [subject(), classified()], ids=["regression", "classification"])
def test_everybody_can_read_it(chromium: Browser, tmp_path: Path, theme: str, one: Subject) -> None:
    (tmp_path / "report.html").write_text(html.render(one))
    context = chromium.new_context(color_scheme=theme, viewport={"width": 360, "height": 800})  # type: ignore[arg-type]
    page = context.new_page()
    page.goto((tmp_path / "report.html").as_uri())
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    context.close()
