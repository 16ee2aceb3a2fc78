"""The page and the documentation as people use them, in a browser."""

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from app.model.manifest import (
    MANIFEST,
    Bin,
    Column,
    Evaluation,
    ExplanationFile,
    Importance,
    Intervals,
    Level,
    Manifest,
    Slice,
    Task,
)
from tests.app.conftest import (
    EXAMPLE,
    SECONDS,
    publish,
    regression_answer,
    serve,
    settings_in,
    write_model,
)
from tests.browser import browser, needs_browser, violations

pytestmark = needs_browser

ANSWER = regression_answer(EXAMPLE)
HEADER = ",".join(EXAMPLE)
ROW = "1.5,Good,true,2020-01-01"
EVALUATIONS: dict[Task, Evaluation] = {
    "regression": Evaluation(
        metric="mae",
        higher_is_better=False,
        rows={"train": 4000, "holdout": 1000},
        interval={"mae": (11.25, 13.75)},
        baseline={"dummy": {"mae": 99.0}, "linear": {"mae": 25.0}},
        importance=(
            Importance(feature="carat weight", importance=80.0, deviation=1.0),
            Importance(feature="cut", importance=-0.5, deviation=1.0),
        ),
        slices=(Slice(slice="cut = Fair", rows=42, error=31.5, ratio=2.1),),
        actual=(1.0, 2.0, 3.0),
        predicted=(1.5, 2.0, 2.5),
    ),
    "classification": Evaluation(
        metric="accuracy",
        higher_is_better=True,
        rows={"train": 4000, "holdout": 1000},
        interval={"accuracy": (0.9, 0.95)},
        baseline={"dummy": {"accuracy": 0.4}},
        calibration=(
            Bin(predicted=0.1, observed=0.12, rows=500),
            Bin(predicted=0.9, observed=0.85, rows=500),
        ),
        confusion=((5, 1, 0), (2, 7, 1), (0, 3, 9)),
    ),
}
INTERVALS = Intervals(
    levels=(Level(coverage=0.9, measured=0.912, bound=500.0),), edges=(), scales=(1.0,)
)
PATIENCE = 20_000  # milliseconds, on a busy machine
LOOKS = [("light", 1280), ("dark", 1280), ("light", 360), ("dark", 360)]


def describe(folder: Path, task: Task) -> None:
    """Tell the tiny model's manifest what the page shows."""
    manifest = Manifest.read(folder)
    background = io.BytesIO()
    np.savez(background, numeric=[[1.5, 1.0, float(SECONDS)]], categorical=[[0]])
    (folder / "background.npz").write_bytes(background.getvalue())
    params = {"train": {"folds": 5, "models": ["lr"]}, "base": {"seed": 42}}
    described = manifest.model_copy(
        update={
            "metrics": {"mae": 12.5} if task == "regression" else {"accuracy": 0.925},
            "about": "For the people who test it.",
            "columns": {
                "carat weight": Column(description="how heavy it is", unit="ct"),
                "price": Column(unit="USD"),
            },
            "lineage": {**manifest.lineage, "params": params, "libraries": {"numpy": "1.26.4"}},
            "evaluation": EVALUATIONS[task],
            "explanation": ExplanationFile(
                file="background.npz",
                sha256=hashlib.sha256(background.getvalue()).hexdigest(),
                background="medians",
                rows=1,
            ),
        }
    )
    (folder / MANIFEST).write_text(described.model_dump_json())


@dataclass
class Visit:
    """An open page, the requests that it made, and what it complained of."""

    page: Page
    requests: list[str]
    complaints: list[str]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE)
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Task, httpx.Client]]:
    tasks: tuple[Task, Task] = ("regression", "classification")
    folders = [tmp_path_factory.mktemp(task) for task in tasks]
    for folder, task in zip(folders, tasks, strict=True):
        intervals = INTERVALS if task == "regression" else None
        describe(write_model(folder / "model", task, intervals=intervals), task)
        settings = settings_in(folder)
        publish(folder / "model", settings.model_cache, settings.lock_file)
    with serve(settings_in(folders[0])) as one, serve(settings_in(folders[1])) as other:
        yield {"regression": one, "classification": other}


@pytest.fixture
def visit(chromium: Browser, servers: dict[Task, httpx.Client]) -> Iterator[Visit]:
    """The regression's server; the first page is still to be opened."""
    yield from opened(chromium, servers["regression"])


@pytest.fixture
def classifier_visit(chromium: Browser, servers: dict[Task, httpx.Client]) -> Iterator[Visit]:
    yield from opened(chromium, servers["classification"])


def opened(chromium: Browser, server: httpx.Client) -> Iterator[Visit]:
    context = chromium.new_context(base_url=str(server.base_url))
    made = Visit(context.new_page(), [], [])
    made.page.on("request", lambda request: made.requests.append(request.url))
    made.page.on("pageerror", lambda error: made.complaints.append(str(error)))
    made.page.on(
        "console",
        lambda line: made.complaints.append(line.text) if line.type == "error" else None,
    )
    made.page.set_default_timeout(PATIENCE)
    yield made
    context.close()


def open_page(visit: Visit) -> Page:
    visit.page.goto("/")
    expect(visit.page.get_by_label("carat weight")).to_have_value("1.5")
    return visit.page


def send_file(page: Page, name: str, text: str) -> None:
    content = {"name": name, "mimeType": "text/csv", "buffer": text.encode()}
    page.locator("#file").set_input_files(content)  # type: ignore[arg-type]


def test_one_row_is_predicted_from_the_keyboard(visit: Visit) -> None:
    page = open_page(visit)
    page.get_by_label("carat weight").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".answer")).to_have_text(f"{ANSWER:,.0f} USD")
    page.get_by_label("carat weight").fill("2.5")
    page.get_by_label("cut").select_option("")
    page.get_by_role("button", name="Predict").press("Enter")
    changed = regression_answer({**EXAMPLE, "carat weight": 2.5, "cut": None})
    expect(page.locator(".answer")).to_contain_text(f"{changed:,.0f} USD")
    assert visit.complaints == []
    assert {url.split("/")[2] for url in visit.requests} == {page.url.split("/")[2]}


def test_a_value_that_does_not_fit_is_marked(visit: Visit) -> None:
    page = open_page(visit)
    weight = page.get_by_label("carat weight")
    weight.fill("heavy")
    weight.press("Enter")
    expect(weight).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#answer")).to_contain_text("'heavy'")
    weight.fill("9")  # beyond what training saw: a hint, no fault
    expect(page.locator(".outside")).to_contain_text("0.2 to 5 ct")
    page.get_by_role("button", name="Fill in the example").click()
    weight.press("Enter")
    expect(weight).to_have_attribute("aria-invalid", "false")
    expect(page.locator(".outside")).to_have_count(0)


def test_an_answer_beyond_what_training_saw_says_so(visit: Visit) -> None:
    page = open_page(visit)
    weight = page.get_by_label("carat weight")
    weight.fill("9")
    weight.press("Enter")
    expect(page.locator("#answer .outside")).to_have_text(
        "Take care: training saw no such value of carat weight."
    )
    page.get_by_role("button", name="Fill in the example").click()
    weight.press("Enter")
    expect(page.locator("#answer .outside")).to_have_count(0)
    expect(page.locator("#answer .answer")).to_be_visible()


def test_what_the_model_is_stands_in_words(visit: Visit) -> None:
    page = open_page(visit)
    expect(page.locator("header")).to_contain_text("Predicts price from 4 columns.")
    expect(page.locator("header")).to_contain_text("For the people who test it.")
    expect(page.locator("#headline")).to_have_text(
        "On 1,000 rows that it had not seen, its mean error (MAE) was 12.5 USD (95 % interval: "
        "11.25 to 13.75 USD), against 99 USD for always the same answer and 25 USD for a linear "
        "model."
    )
    expect(page.locator("#slices tbody")).to_contain_text("cut = Fair4231.5 USD2.10")
    expect(page.locator("#bars tbody tr")).to_have_count(2)
    expect(page.get_by_role("img", name="3 rows of the holdout")).to_be_visible()
    expect(page.locator("#plot circle")).to_have_count(3)
    parameters = page.get_by_text("train.folds")
    expect(parameters).to_be_hidden()
    page.get_by_text("Parameters (3)").click()
    expect(parameters).to_be_visible()
    expect(page.locator("#lineage")).to_contain_text("0" * 32)
    expect(page.locator("#schema")).to_contain_text("how heavy it is")


def test_a_model_without_an_evaluation_has_a_page_too(chromium: Browser, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    publish(write_model(tmp_path / "model"), settings.model_cache, settings.lock_file)
    with serve(settings) as server:
        for visit in opened(chromium, server):
            page = open_page(visit)
            expect(page.locator("#scores")).to_contain_text("12.5")
            expect(page.locator("#headline")).to_be_hidden()
            assert visit.complaints == []


def test_a_page_says_that_there_is_no_model_and_waits_for_one(
    chromium: Browser, tmp_path: Path
) -> None:
    settings = settings_in(tmp_path)
    with serve(settings) as server:
        for visit in opened(chromium, server):
            visit.page.goto("/")
            expect(visit.page.locator("#status")).to_contain_text("No model is in service")
            publish(write_model(tmp_path / "model"), settings.model_cache, settings.lock_file)
            expect(visit.page.get_by_label("carat weight")).to_have_value("1.5")


def test_a_file_of_5000_rows_is_predicted(visit: Visit) -> None:
    page = open_page(visit)
    table = f"{HEADER},note\n" + "".join(
        f"{i / 1000},Good,true,2020-01-01,n\n" for i in range(5000)
    )
    send_file(page, "rows.csv", table)
    result = page.get_by_role("region", name="The file", exact=True)
    expect(result).to_contain_text("rows.csv: 5,000 rows predicted")
    expect(result).to_be_focused()
    heads = result.locator(".preview thead th").all_inner_texts()
    answers = ["prediction", "prediction_lower", "prediction_upper"]
    assert heads == ["row", *answers, *EXAMPLE, "note"]
    first = regression_answer({**EXAMPLE, "carat weight": 0.0})
    expect(result.locator(".preview tbody tr").first).to_contain_text(f"{first:,.0f}")
    expect(result).to_contain_text("Columns not used: note")
    expect(result.get_by_role("img", name="Histogram of 5,000 answers")).to_be_visible()
    with page.expect_download() as download:
        result.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "rows-predicted.csv"
    lines = download.value.path().read_text().splitlines()
    assert len(lines) == 5001
    assert lines[0] == f"{HEADER},note,{','.join(answers)}"
    assert float(lines[1].split(",")[-3]) == pytest.approx(first)
    assert visit.complaints == []


def test_wrong_cells_are_shown_where_they_are(visit: Visit) -> None:
    page = open_page(visit)
    rows = [ROW] * 300
    rows[40] = 'heavy,"Very, ""very"" good",true,2020-01-01'
    rows[98] = "1.5,Good,true,yesterday"
    send_file(page, "wrong.csv", "\n".join([HEADER, *rows]))
    result = page.get_by_role("region", name="The file", exact=True)
    expect(result).to_contain_text("Nothing was predicted.")
    faults = result.locator("td.fault")
    expect(faults).to_have_count(2)
    expect(faults.first).to_contain_text("heavy'heavy' is not")
    expect(faults.last).to_contain_text("yesterday")
    lines = result.locator(".preview tbody tr")
    assert [line.locator("th").inner_text() for line in lines.all()] == ["41", "99"]
    expect(lines.first).to_contain_text('Very, "very" good')


def test_a_fault_without_a_cell_is_told_in_words(visit: Visit) -> None:
    page = open_page(visit)
    send_file(page, "short.csv", "cut\nGood\n")
    expect(page.locator("#result .wrong")).to_contain_text("carat weight")


def test_a_file_can_be_dropped(visit: Visit) -> None:
    page = open_page(visit)
    data = page.evaluate_handle(
        """(text) => {
          const data = new DataTransfer();
          data.items.add(new File([text], "dropped.csv", { type: "text/csv" }));
          return data;
        }""",
        f"{HEADER}\n{ROW}\n",
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": data})
    expect(page.locator("#result")).to_contain_text("dropped.csv: 1 row predicted")


def test_a_classification_shows_probabilities_and_counts(classifier_visit: Visit) -> None:
    page = open_page(classifier_visit)
    page.get_by_role("button", name="Predict").click()
    expect(page.locator(".answer")).to_have_text("low")
    expect(page.locator("#answer table").first.locator("tbody tr")).to_have_count(3)
    expect(page.locator("#headline")).to_contain_text("it was right for (accuracy) 92.5 %")
    expect(page.get_by_role("img", name="Calibration: 10 % given, 12 % true")).to_be_visible()
    expect(page.get_by_role("region", name="Table of confusion")).to_contain_text("middle271")
    send_file(page, "rows.csv", f"{HEADER}\n" + f"{ROW}\n" * 7)
    expect(page.locator("#result table").first).to_contain_text("low7")
    heads = page.locator("#result .preview thead th").all_inner_texts()
    assert heads[1:5] == ["prediction", "probability_low", "probability_middle", "probability_high"]
    assert classifier_visit.complaints == []


def test_the_columns_that_move_an_answer_are_shown(visit: Visit) -> None:
    page = open_page(visit)
    page.get_by_label("carat weight").fill("3")
    page.get_by_role("button", name="Predict").click()
    answer = page.locator("#answer")
    start = regression_answer({**EXAMPLE, "cut": "Fair"})
    expect(answer.locator("caption")).to_contain_text(f"Starts at {start:,.0f} USD")
    # Against the one background row, whose weight is 1.5 and whose cut is Fair
    assert answer.locator("tbody th").all_inner_texts()[:2] == ["carat weight", "cut"]
    assert answer.locator("tbody .number").all_inner_texts() == ["+150", "+1", "+0", "+0"]
    assert visit.complaints == []


def test_an_interval_is_shown_where_the_model_has_one(visit: Visit) -> None:
    page = open_page(visit)
    page.get_by_role("button", name="Predict").click()
    expect(page.locator("#answer")).to_contain_text(
        f"In 90 % of such cases the truth lies between {ANSWER - 500:,.0f} and "
        f"{ANSWER + 500:,.0f} USD. On the holdout it was 91.2 %."
    )
    send_file(page, "rows.csv", f"{HEADER}\n{ROW}\n")
    expect(page.locator("#result")).to_contain_text("prediction_upper")
    assert visit.complaints == []


@pytest.mark.parametrize(("theme", "width"), LOOKS)
def test_everybody_can_read_it(visit: Visit, theme: str, width: int) -> None:
    visit.page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    visit.page.set_viewport_size({"width": width, "height": 800})
    page = open_page(visit)
    page.get_by_role("button", name="Predict").click()
    page.get_by_text("Parameters (3)").click()
    send_file(page, "rows.csv", f"{HEADER}\n{ROW}\n")
    expect(page.locator("#result")).to_contain_text("1 row predicted")
    assert violations(page) == []
    send_file(page, "wrong.csv", f"{HEADER}\n{ROW.replace('1.5', 'heavy')}\n")
    expect(page.locator("td.fault")).to_be_visible()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_everybody_can_read_a_classification(classifier_visit: Visit, theme: str) -> None:
    classifier_visit.page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    page = open_page(classifier_visit)
    page.get_by_role("button", name="Predict").click()
    expect(page.locator(".answer")).to_be_visible()
    assert violations(page) == []


def test_the_documentation_works_without_the_internet(visit: Visit) -> None:
    page = visit.page
    page.goto("/docs")
    expect(page.get_by_role("heading", name="Predictions: tiny")).to_be_visible()
    assert violations(page, "serious", "critical") == []
    page.get_by_role("button", name="POST /predict/records Predict").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
    assert f"{ANSWER:.0f}" in page.locator(".live-responses-table").inner_text()
    assert visit.complaints == []
    assert {url.split("/")[2] for url in visit.requests} == {page.url.split("/")[2]}


def test_the_reference_works_without_the_internet(visit: Visit) -> None:
    page = visit.page
    page.goto("/redoc")
    expect(page.get_by_role("heading", name="Predict JSON records")).to_be_visible()
    style = page.get_by_role("heading", name="Predict JSON records").evaluate(
        "(node) => getComputedStyle(node).fontFamily"
    )
    assert "sans-serif" in style
    refused = [line for line in visit.complaints if "redoc.ly" not in line]  # its badge's picture
    assert all("style-src" in line for line in refused), json.dumps(refused)
