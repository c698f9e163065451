"""The counters of a run folder in the text format of Prometheus, for the textfile collector of its
node exporter (exposition format 0.0.4).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Final, Literal

from primaps.runs.counting import Counters
from primaps.version import __version__

STATUSES: Final = ("running", "finished", "finished with failures", "interrupted", "failed")

Kind = Literal["gauge", "counter"]
Sample = tuple[Mapping[str, str], float]


def metrics_text(counters: Counters, folder: str, command: str, status: str) -> str:
    """All metrics of a folder.

    Args:
        counters: Its counters.
        folder: Its path, the label ``run`` of every metric.
        command: The last one at work there.
        status: As ``run.json`` tells it, one of `STATUSES`.
    """
    lines = []
    for name, kind, about, samples in _metrics(counters, command, status):
        lines += [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
        for labels, value in samples:
            written = ",".join(
                f'{key}="{_escaped(text)}"' for key, text in {"run": folder, **labels}.items()
            )
            lines.append(f"{name}{{{written}}} {value!r}")
    return "\n".join(lines) + "\n"


def _metrics(
    counters: Counters, command: str, status: str
) -> Iterator[tuple[str, Kind, str, list[Sample]]]:
    """Name, kind, help and samples of every metric."""
    about = {"command": command, "version": __version__}
    present = [({"status": each}, float(each == status)) for each in STATUSES]
    stages = counters.stages.items()
    yield "primaps_run_info", "gauge", "The last command in the run folder.", [(about, 1.0)]
    yield "primaps_run_status", "gauge", "1 for the present status of the run.", list(present)
    for name, number, said in (
        ("images", counters.images, "Inputs that are images by name."),
        ("images_failed", counters.failed, "Inputs that could not be used."),
        ("images_warned", counters.warned, "Images that are not plain 8-bit RGB."),
        ("peak_memory_bytes", counters.peak_memory, "Peak resident memory of the main process."),
        ("updated_timestamp_seconds", time.time(), "When this was written."),
    ):
        yield f"primaps_{name}", "gauge", said, [({}, float(number))]
    for name, field, said in (
        ("steps_done", "done", "Steps of the stage that are done: images, or steps of the fit."),
        ("steps_planned", "total", "Steps of the stage that there were to do."),
        ("images_reused", "reused", "Images whose outputs were current."),
        ("seconds", "seconds", "Seconds that the stage took."),
    ):
        samples: list[Sample] = [
            ({"stage": stage}, float(getattr(count, field))) for stage, count in stages
        ]
        yield f"primaps_stage_{name}", "gauge", said, samples
    for name, number, said in (
        ("written_bytes_total", counters.bytes_written, "Bytes in files that were completed."),
        ("resumes_total", counters.resumes, "Commands that went on from a stopped one."),
        ("stops_total", counters.stops, "Commands that a signal ended."),
    ):
        yield f"primaps_{name}", "counter", said, [({}, float(number))]


def _escaped(text: str) -> str:
    plain = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return plain.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
