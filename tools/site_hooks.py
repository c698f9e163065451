"""What the site adds to the pages as they stand in the repository; mkdocs calls it.

Parts of the reference are made from the code (`site_pages.parts`), links to files beside the
documentation become addresses of the project (`site_pages.addresses`), and the search finds pages
that tell how something is done first, and those that are kept for the record last.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from site_pages.addresses import with_addresses
from site_pages.parts import with_parts

ROOT = Path(__file__).parents[1]
WEIGHTS = {"start/": 2.5, "how-to/": 2.0, "fidelity.md": 0.5, "log.md": 0.3, "decisions/": 0.3}
"""How much a hit of the search counts, by how the path of its page begins; otherwise 1."""
_OPTION = re.compile(r"<code>(--?[a-z][\w-]{0,24})</code>")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """The text of a page as it is drawn."""
    for beginning, weight in WEIGHTS.items():
        if page.file.src_uri.startswith(beginning):
            page.meta["search"] = {"boost": weight}
    return with_addresses(with_parts(markdown), page.file.src_uri, ROOT)


def on_page_content(html: str, **_: Any) -> str:
    """A page in which short options are marked, for the style not to break them."""
    return _OPTION.sub(r'<code class="option">\1</code>', html)
