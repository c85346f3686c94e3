"""People in front of the product, and what their browsers complain about."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, expect
from tests.e2e.product import Product

DRAWING = "GL Driver Message"  # what the drawing software says of its own speed
TOOL = "/tools/background-remove"
PATIENCE_MS = 30_000
expect.set_options(timeout=PATIENCE_MS)


@dataclass
class Visitor:
    """A person with a browser of their own."""

    product: Product
    context: BrowserContext
    page: Page
    locale: str = "en"
    allowed: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)

    def goto(self, path: str) -> None:
        """Open a page of the visitor's language."""
        self.page.goto(f"{self.product.url}/{self.locale}{path}")

    def sign_in(self, email: str) -> None:
        """Ask for a link on the sign-in page, open it in this browser."""
        self.goto("/sign-in")
        self.page.fill("main input[name=email]", email)
        self.page.click("main form button[type=submit]")
        self.page.wait_for_selector(f"main strong:text-is('{email}')")
        self.page.goto(self.product.sign_in_link(email))

    def api(self, path: str) -> Any:
        """What the JSON API answers this browser."""
        answer = self.context.request.get(f"{self.product.url}{path}")
        assert answer.ok, f"{path}: {answer.status} {answer.text()}"
        return answer.json()

    def choose(self, photo: Path) -> None:
        """Pick a photo in the file dialog."""
        self.page.set_input_files("image-picker input[type=file]", photo)
        self.page.wait_for_selector(
            "image-picker[data-filled], [data-ref=complaint]:visible, [data-complaint]:visible"
        )

    def wait_for_stage(self, stage: str) -> None:
        """Until the tool's page shows ``stage``."""
        self.page.wait_for_selector(f"tool-executor[data-stage={stage}]", timeout=PATIENCE_MS)

    def watch(self, page: Page) -> Page:
        """Note everything the browser complains about on ``page``."""
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.seen.append(f"exception: {error}"))
        page.set_default_timeout(PATIENCE_MS)
        return page

    def tell(self) -> None:
        """Print what is on this person's pages, for whoever reads why a test failed."""
        for page in self.context.pages:
            with suppress(Exception):
                sys.stderr.write(f"— {page.url}\n{page.inner_text('body', timeout=2000)[:3000]}")
        sys.stderr.write("\n".join(self.seen))

    def complaints(self) -> list[str]:
        """What was noted and is not allowed in this test."""
        return [text for text in self.seen if not any(part in text for part in self.allowed)]

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and DRAWING not in message.text:
            self.seen.append(f"{message.type}: {message.text} ({message.location['url']})")


MakeVisitor = Callable[..., Visitor]
