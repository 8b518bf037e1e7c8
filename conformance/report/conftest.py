"""REPORTS is a folder of reports, written by `cargo run -p quipu-lab --example sample_reports`; SCREENSHOTS takes pictures."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import browser as chromium  # noqa: E402


@pytest.fixture(scope="session")
def browser():
    program = chromium.find()
    if program is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    browser = chromium.Browser(program)
    yield browser
    browser.close()


@pytest.fixture
def open_page(browser):
    """Opens a report; whatever it does in the test, it may neither complain nor ask for anything but itself."""
    pages = []

    def open_page(name: str, width: int = 1440, height: int = 900, **taste):
        address = (Path(os.environ["REPORTS"]) / f"{name}.html").resolve().as_uri()
        page = chromium.Page(browser, address, width, height, **taste)
        pages.append((page, address))
        return page

    yield open_page
    for page, address in pages:
        page.call("Page.bringToFront")
        page.settle()
        complaints, requests = page.complaints(), page.requests()
        page.close()
        assert complaints == []
        assert requests == [address]


@pytest.fixture(scope="session")
def screenshots():
    folder = Path(os.environ["SCREENSHOTS"])
    folder.mkdir(parents=True, exist_ok=True)
    return folder
