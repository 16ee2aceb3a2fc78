"""The documents as a site, and those whose words come from the code."""

import ast
import re
import subprocess
import sys
import threading
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

import pytest

from tests.browser import browser, needs_browser, violations
from tests.conftest import ROOT
from tests.repository import reference

GAP = "…"


def test_the_reference_is_what_the_code_says() -> None:
    """Else: python -m tests.repository.reference."""
    assert reference.DOCUMENT.read_text() == reference.document()
    assert [row for row in reference.settings() if not row[2]] == []
    assert [row for _, rows in reference.fields() for row in rows if row[0] == "`sha256`"]


@cache
def texts() -> list[str]:
    """Every text in the code, with a gap for what is filled in, and blanks as one."""
    found = []
    for folder in ("app", "stages", "lifecycle", "local"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                for text in as_text(node):
                    found.append(" ".join(text.split()))
    return found


def as_text(node: ast.AST) -> list[str]:
    """The text of a literal, joined ones too."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.JoinedStr):
        return ["".join("".join(as_text(one)) or GAP for one in node.values)]
    if isinstance(node, ast.BinOp):
        return ["".join(as_text(node.left)) + "".join(as_text(node.right))]
    return []


def messages() -> list[str]:
    """What docs/troubleshooting.md explains."""
    lines = (ROOT / "docs" / "troubleshooting.md").read_text().splitlines()
    cells = [line[2:].split(" | ")[0] for line in lines if line.startswith("| `")]
    return [cell.strip("` ") for cell in cells]


@pytest.mark.parametrize("message", messages())
def test_a_message_that_is_explained_is_one_that_the_code_has(message: str) -> None:
    parts = [re.escape(part) for part in message.split(GAP)]
    pattern = re.compile(".*".join(parts))
    assert any(pattern.search(text) for text in texts())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return folder


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(site: Path, scheme: Literal["light", "dark"]) -> None:
    handler = partial(SimpleHTTPRequestHandler, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, browser() as chromium:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = chromium.new_page(color_scheme=scheme)
        for path in ("", "tutorial/", "troubleshooting/", "reference/"):
            page.goto(f"http://127.0.0.1:{server.server_port}/{path}")
            assert violations(page, "serious", "critical") == [], path
        page.set_viewport_size({"width": 375, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") == 375
        server.shutdown()


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 10
    for page in pages:
        text = page.read_text()
        loaded = re.findall(r'<(?:script|img|iframe)[^>]*\ssrc="([^"]*)"', text)
        loaded += re.findall(
            r'<link[^>]*rel="(?:stylesheet|icon|preload)"[^>]*href="([^"]*)"', text
        )
        assert loaded
        assert [one for one in loaded if "//" in one] == []
