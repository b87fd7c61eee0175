"""What the tests of reports share: documents made once, and a browser."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.console.browser import Page, executable, launched
from voxfleet.evaluation.report.document import EvaluationReport, LoadReport

from .documents import evaluation_report, load_report

ARTIFACTS = Path(__file__).parents[3] / "artifacts" / "reports"
"""Where tests leave the pictures they took."""

WIDE = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
"""Whether the page is wider than its window."""


@pytest.fixture(scope="session")
def load() -> LoadReport:
    return load_report()


@pytest.fixture(scope="session")
def evaluation() -> EvaluationReport:
    return evaluation_report()


@pytest.fixture
async def browser() -> AsyncIterator[Page]:
    """A fresh browser. A test that ends with complaints of the browser, or with a request to anywhere, fails."""
    if executable() is None:
        pytest.skip("no chromium, chromium-browser or google-chrome is installed")
    async with launched() as page:
        await page.viewport(1200, 900)
        yield page
        assert page.complaints == []
        assert await requests(page) == []


async def show(page: Page, html: str, folder: Path) -> None:
    """Opens a page as a user does: a file."""
    path = folder / "report.html"
    path.write_text(html, encoding="utf-8")
    await page.open(path.as_uri())


async def requests(page: Page) -> list[str]:
    """What the page asked for besides itself. Data in the page itself is no request."""
    script = "performance.getEntriesByType('resource').map(entry => entry.name)"
    return [name for name in await page.evaluate(script) if not name.startswith("data:")]
