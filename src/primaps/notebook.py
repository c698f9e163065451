"""`view`: the report of a run inside a notebook."""

from __future__ import annotations

import html
import shlex
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from primaps.errors import CheckpointError, PrimapsError
from primaps.given import given_path
from primaps.pipeline.excerpt import report_excerpt
from primaps.runs.run import Run
from primaps.segmenter import Segmenter

MAX_EMBEDDED: Final = 2_000_000
"""Bytes of a page that is put into a notebook, and saved with it."""

_HEIGHT: Final = 720


@dataclass(frozen=True)
class RunView:
    """What `view` gives: the report, as a page in a notebook, as a sentence elsewhere.

    Attributes:
        path: The report.
        height: Of the page in the notebook, in pixels.
    """

    path: Path
    height: int = _HEIGHT

    def open(self) -> bool:
        """Show the report in the browser of the machine that this runs on.

        Returns:
            Whether there is a browser.
        """
        return webbrowser.open(self.path.resolve().as_uri())

    def __repr__(self) -> str:
        folder = shlex.quote(str(self.path.parent))
        return (
            f"Report: {self.path}\nOpen it in a browser, or call .open(). To name classes: primaps"
            f" studio {folder}"
        )

    def _repr_html_(self) -> str:
        try:
            page = self._page()
        except (OSError, PrimapsError) as error:
            return f"<pre>{html.escape(f'{self!r}')}\n\n{html.escape(str(error))}</pre>"
        # A page that somebody else made may run its scripts, but not reach into the notebook.
        return (
            f'<iframe title="Report of {html.escape(self.path.parent.name)}"'
            ' sandbox="allow-scripts allow-popups"'
            f' style="width: 100%; height: {self.height}px; border: 1px solid #8886;'
            f' border-radius: 6px" srcdoc="{html.escape(page)}"></iframe>'
            f"<p>{html.escape(str(self.path))}</p>"
        )

    def _page(self) -> str:
        """The report, or as much of it as a notebook takes."""
        if self.path.stat().st_size <= MAX_EMBEDDED:
            return self.path.read_text(encoding="utf-8")
        return report_excerpt(self.path.parent, MAX_EMBEDDED).decode("utf-8")


def view(run: str | Path | Segmenter | Run, *, height: int = _HEIGHT) -> RunView:
    """The report of a run, to look at in a notebook: classes, gallery, single photographs.

    Args:
        run: The run folder, a candidate's or one of `primaps predict`; a segmenter that was fitted
            with ``run_dir``; or an opened run.
        height: Of the page in pixels.

    Returns:
        An object that a notebook shows as a page, of a large report one with some of the
        photographs; ``.path`` is the report, ``.open()`` shows it in a browser.

    Raises:
        CheckpointError: If there is no report yet; the message says how to make it.
    """
    if isinstance(run, Segmenter):
        if run.run_dir is None:
            raise CheckpointError(
                "Expected a segmenter with a run folder, but it has none. Fit it with run_dir=..."
            )
        folder = run.run_dir
    else:
        folder = run.folder.root if isinstance(run, Run) else given_path("run", run)
    path = folder / "report.html"
    if not path.is_file():
        raise CheckpointError(_missing(folder))
    return RunView(path, height)


def _missing(folder: Path) -> str:
    if not (folder / "run.json").is_file():
        return (
            f"Expected {folder} to be the folder of a run, but there is no run.json in it. Give the"
            " folder that `primaps segment` wrote."
        )
    if (folder / "labels").is_dir():
        return (
            f"Expected a report in {folder}, but there is none. Write it: primaps report"
            f" {shlex.quote(str(folder))}"
        )
    return (
        f"Expected label maps and a report in {folder}, but there are none yet. Call"
        " segmenter.write_labels()."
    )
