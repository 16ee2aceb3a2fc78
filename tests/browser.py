"""A browser for the tests: the Chromium or Chrome that is installed."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
EXECUTABLE = next(filter(None, map(shutil.which, NAMES)), None)

needs_browser = pytest.mark.skipif(
    EXECUTABLE is None,
    reason="no Chromium on the path: `apt-get install chromium` (Debian), or Google's Chrome",
)


@contextmanager
def browser() -> Iterator[Browser]:
    """A headless browser; its own sandbox does not run as root."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=EXECUTABLE, chromium_sandbox=os.geteuid() != 0
        )
        try:
            yield started
        finally:
            started.close()


def violations(page: Page, *impacts: str) -> list[Any]:
    """What axe-core finds: rule, impact, and the elements; of these impacts, or of any."""
    return [
        (rule["id"], rule["impact"], [node["html"] for node in rule["nodes"]])
        for rule in Axe().run(page).response["violations"]
        if not impacts or rule["impact"] in impacts
    ]
