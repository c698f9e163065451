"""What the site adds to the pages as they stand in the repository; mkdocs calls it.

Parts of the reference are made from the code (`site_pages.parts`), links to files beside the
documentation become addresses of the project (`site_pages.addresses`), and the search finds pages
that are kept for the record after all others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from site_pages.addresses import with_addresses
from site_pages.parts import with_parts

ROOT = Path(__file__).parents[1]
FOR_THE_RECORD = ("log.md", "decisions/")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """The text of a page as it is drawn."""
    if page.file.src_uri.startswith(FOR_THE_RECORD):
        page.meta["search"] = {"boost": 0.3}
    return with_addresses(with_parts(markdown), page.file.src_uri, ROOT)
