"""The page and the documentation, in the bytes that are sent."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

from app.formats.registry import FILES
from app.http.pages import FOLDER
from stages.evaluation.metrics import METRICS

PAGES = ("/", "/docs", "/redoc")
DOCUMENTATION = {"docs.css", "docs.html", "docs.js", "redoc.html", "redoc.js"}
LARGEST = 60_000  # bytes of the page


class Links(HTMLParser):
    """What a page names."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.links += [values[name] or "" for name in ("href", "src") if name in values]
        self.inline += [name for name in values if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in values):
            self.inline.append(tag)


def sources() -> Iterator[Path]:
    return (path for path in FOLDER.iterdir() if path.name not in DOCUMENTATION)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_asks_this_server_alone(client: httpx.Client, path: str) -> None:
    reply = client.get(path)
    assert reply.headers["content-type"].startswith("text/html")
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    links = Links()
    links.feed(reply.text)
    assert links.inline == []
    local = [link for link in links.links if not link.startswith(("data:", "#"))]
    assert local
    for link in local:
        assert client.get(f"/{link}").status_code == 200, link


def test_redoc_may_write_the_style_sheets_of_this_reply_alone(client: httpx.Client) -> None:
    nonces = []
    for reply in (client.get("/redoc"), client.get("/redoc")):
        (nonce,) = re.findall(r"'nonce-([\w-]+)'", reply.headers["content-security-policy"])
        assert f'data-nonce="{nonce}"' in reply.text
        nonces.append(nonce)
    assert nonces[0] != nonces[1]


def test_a_file_is_sent_once(client: httpx.Client) -> None:
    first = client.get("/static/main.js")
    assert "javascript" in first.headers["content-type"]
    assert first.headers["cache-control"] == "no-cache"
    again = client.get("/static/main.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["nothing.js", "../pages.py", "%2e%2e/pages.py", "..%2fpages.py"])
def test_no_other_file_is_sent(client: httpx.Client, name: str) -> None:
    assert client.get(f"/static/{name}").status_code == 404


def test_the_page_names_the_formats(client: httpx.Client) -> None:
    text = client.get("/").text
    suffixes = ",".join(suffix for source in FILES for suffix in source.suffixes)
    assert f'accept="{suffixes}"' in text
    assert "FILE_" not in text


def test_each_name_that_a_script_looks_up_is_there_once(client: httpx.Client) -> None:
    text = client.get("/").text
    names = {
        name
        for path in sources()
        if path.suffix == ".js"
        for name in re.findall(r'\$\("([a-z-]+)"\)', path.read_text())
    }
    assert len(names) > 10
    for name in names:
        assert text.count(f'id="{name}"') == 1, name


def test_every_metric_has_words() -> None:
    block = re.search(r"const METRICS = \{(.*?)\n\};", (FOLDER / "card.js").read_text(), re.DOTALL)
    assert block
    assert set(re.findall(r"^  (\w+):", block[1], re.MULTILINE)) == METRICS.keys()


def test_the_page_is_small() -> None:
    assert sum(path.stat().st_size for path in sources()) < LARGEST
