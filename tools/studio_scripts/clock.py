"""How long a page takes: its scripts, its frames, its pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from playwright.sync_api import Page

WATCH_PICTURES: Final = """(() => {
  const drawn = new Set();
  let first = null;
  const seen = (element) => requestAnimationFrame(() => {
    if (!element.isConnected) return;
    drawn.add(element);
    first ??= performance.now();
  });
  const prototype = CanvasRenderingContext2D.prototype;
  for (const name of ["drawImage", "putImageData"]) {
    const original = prototype[name];
    prototype[name] = function (...given) {
      original.apply(this, given);
      if (this.canvas instanceof HTMLCanvasElement) seen(this.canvas);
    };
  }
  document.addEventListener("load", (event) => {
    if (event.target instanceof HTMLImageElement) seen(event.target);
  }, true);
  const inView = (element) => {
    const box = element.getBoundingClientRect();
    return box.width > 8 && box.height > 8 && box.bottom > 0 && box.top < innerHeight;
  };
  globalThis.pictures = {
    first: () => first,
    forget: () => drawn.clear(),
    allDrawn: () => {
      const wanted = [...document.querySelectorAll("main canvas, main img")].filter(inView);
      return wanted.length > 0 && wanted.every((element) => drawn.has(element));
    },
  };
})()"""
"""To be run before a page's own scripts. ``pictures.first()``: milliseconds from the start of the
navigation to the frame in which the first picture stood there; ``pictures.allDrawn()``: whether
all pictures in view were drawn since ``pictures.forget()``.
"""


class ScriptClock:
    """Seconds that the scripts of a page ran, and frames that it drew, since `start`."""

    def __init__(self, page: Page) -> None:
        """Begin.

        Args:
            page: The page.
        """
        self._page = page
        self._session = page.context.new_cdp_session(page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.evaluate(
            """() => {
              globalThis.framesOfClock ??= (() => {
                let number = 0;
                const count = () => { number += 1; requestAnimationFrame(count); };
                requestAnimationFrame(count);
                return () => number;
              })();
            }"""
        )
        self.start()

    def start(self) -> None:
        """Begin anew."""
        self._frames = self._all_frames()
        self._seconds = self._all_seconds()

    def seconds(self) -> float:
        """Of scripts since the start; waiting and painting by the browser do not count."""
        return self._all_seconds() - self._seconds

    def frames(self) -> int:
        """Drawn since the start."""
        return self._all_frames() - self._frames

    def seconds_per_frame(self) -> float:
        """Of scripts, on average."""
        return self.seconds() / max(1, self.frames())

    def _all_seconds(self) -> float:
        metrics = self._session.send("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in metrics if one["name"] == "ScriptDuration"))

    def _all_frames(self) -> int:
        return int(self._page.evaluate("framesOfClock()"))


def first_picture(page: Page) -> float:
    """Seconds from the start of a navigation to the first picture; `WATCH_PICTURES` is there."""
    page.wait_for_function("() => pictures.first() !== null")
    return float(page.evaluate("pictures.first()")) / 1000


def seconds_until_drawn(page: Page, key: str) -> float:
    """From the press of a key to the frame in which all pictures in view are new."""
    waiting = page.evaluate_handle(
        """() => ({ done: new Promise((done) => {
          addEventListener("keydown", (event) => {
            const start = event.timeStamp;
            pictures.forget();
            const look = () => requestAnimationFrame((now) =>
              pictures.allDrawn() ? done((now - start) / 1000) : look());
            look();
          }, { capture: true, once: true });
        }) })"""
    )
    page.keyboard.press(key)
    return float(page.evaluate("(waiting) => waiting.done", waiting))
