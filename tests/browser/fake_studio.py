"""A studio without a pipeline: the HTTP interface of the viewer over a state in memory, so that the
front end is tested alone. What it answers is shaped as the real one; nothing in it is clever.
"""

from __future__ import annotations

import asyncio
import copy
import io
import json
import threading
import time
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import PIL.Image
import uvicorn
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

WEB = Path(__file__).parents[2] / "src" / "primaps" / "outputs" / "viewer" / "web"
COLOURS = ["#4e79a7", "#f28e2b", "#e15759", "#76b7b2", "#59a14f", "#edc948", "#b07aa1", "#9c755f"]
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self'; img-src 'self' blob:"
    " data:; connect-src 'self'"
)
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>studio</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
<link rel="stylesheet" href="/web/style.css"><link rel="stylesheet" href="/web/photo.css">
<link rel="stylesheet" href="/web/studio/studio.css">
<script type="importmap">{"imports": {"viewer/": "/web/"}}</script>
<script type="module" src="/web/studio.js"></script></head><body><div id="app"></div></body></html>
"""


@dataclass(frozen=True)
class Picture:
    """A photograph with its maps.

    Attributes:
        name: Of the image.
        photo: (H, W, 3) uint8.
        labels: (H, W) uint16 clusters.
        proposals: (H, W) uint16, 0 = none.
    """

    name: str
    photo: np.ndarray
    labels: np.ndarray
    proposals: np.ndarray


def drawn_pictures(number=8, height=120, width=160, clusters=6):
    """Photographs of rectangles; every rectangle is a proposal, its grey is its cluster."""
    made = []
    for image in range(number):
        random = np.random.default_rng(image)
        labels = np.zeros((height, width), np.uint16)
        proposals = np.zeros((height, width), np.uint16)
        for proposal in range(1, 9):
            row, column = divmod(proposal - 1, 4)
            part = (
                slice(row * height // 2 + 2, (row + 1) * height // 2 - 2),
                slice(column * width // 4 + 2, (column + 1) * width // 4 - 2),
            )
            proposals[part] = proposal
            labels[part] = (proposal + image) % clusters
        photo = 40 * labels[..., None] + random.integers(0, 30, (height, width, 3))
        made.append(
            Picture(f"p{image}.jpg", photo.clip(0, 255).astype(np.uint8), labels, proposals)
        )
    return made


class RefusedError(Exception):
    """An answer with a status other than 200."""

    def __init__(self, status, error, **more):
        super().__init__(error)
        self.status, self.body = status, {"error": error, **more}


@dataclass
class FakeStudio:
    """The state of a studio, as its tests look at it.

    Attributes:
        pictures: What was segmented.
        clusters: How many there are.
        merges: Of the tree; None = the last clusters join the first, one after another.
        job_steps: How long a job takes, in questions for it.
    """

    pictures: list = field(default_factory=drawn_pictures)
    clusters: int = 6
    merges: list | None = None
    job_steps: int = 2

    def __post_init__(self):
        self.revision, self.past, self.future = 0, [], []
        self.data = {"classes": self.first_classes(), "corrections": {}}
        self.candidates, self.accepted = [], None
        self.jobs, self.tried, self.listeners = {}, {}, []

    def first_classes(self):
        """One class per cluster, without names."""
        return [
            {
                "id": cluster,
                "name": None,
                "colour": COLOURS[cluster % len(COLOURS)],
                "clusters": [cluster],
                "ignore": False,
                "note": "",
            }
            for cluster in range(self.clusters)
        ]

    # ---- what is shown -----------------------------------------------------------------------

    def run(self):
        """The RunRecord."""
        images = {
            "name": [each.name for each in self.pictures],
            "width": [each.labels.shape[1] for each in self.pictures],
            "height": [each.labels.shape[0] for each in self.pictures],
            "proposals": [int(each.proposals.max()) for each in self.pictures],
            "coverage": [float((each.proposals > 0).mean()) for each in self.pictures],
            "certainty": [0.5 for _ in self.pictures],
            "clusters": [counts(each.labels) for each in self.pictures],
            "warnings": [[] for _ in self.pictures],
        }
        merges = self.merges or [
            [0 if step == 0 else self.clusters + step - 1, step + 1, 0.1 * (step + 1), 0.5]
            for step in range(self.clusters - 1)
        ]
        return {
            "format": 1,
            "title": "demo run",
            "folder": "/runs/demo",
            "date": "2026-11-29T10:00:00+00:00",
            "about": "",
            "command": "segment",
            "model": "0123456789abcdef",
            "num_clusters": self.clusters,
            "backbone": {"name": "texture", "training": "nothing learned", "levels": None},
            "method": "em",
            "inputs": ["photos"],
            "has_proposals": True,
            "has_certainty": False,
            "images": images,
            "total_images": len(self.pictures),
            "clusters": None,
            "examples": [self.examples(cluster) for cluster in range(self.clusters)],
            "facts": {},
            "warnings": [],
            "failures": [],
            "settings": {"threshold": 0.4},
            "timings": {},
            "curves": None,
            "tree": {"num_clusters": self.clusters, "merges": merges, "number": None},
            "advice": [],
        }

    def examples(self, cluster):
        """Regions of a cluster."""
        found = []
        for index, each in enumerate(self.pictures):
            proposals = np.unique(each.proposals[each.labels == cluster])
            inside = [int(proposal) for proposal in proposals if proposal]
            if inside:
                found.append({"image": index, "proposal": inside[0], "score": 0.9})
        return {"best": found[:4], "worst": found[-4:], "uncertain": found[:4]}

    def state(self):
        """The State."""
        return {
            "revision": self.revision,
            **copy.deepcopy(self.data),
            "pixels": self.exact_pixels(),
            "asleep": [],
            "undo": self.past[-1][0] if self.past else None,
            "redo": self.future[-1][0] if self.future else None,
            "candidates": self.candidates,
            "accepted": self.accepted,
        }

    def exact_pixels(self):
        """Class counts of images with corrections."""
        owner = np.full(65536, 255, np.uint16)
        for entry in self.data["classes"]:
            if not entry["ignore"]:
                owner[entry["clusters"]] = entry["id"]
        found = {}
        for each in self.pictures:
            said = self.data["corrections"].get(each.name)
            if said:
                ids = owner[each.labels]
                for proposal, class_id in said.items():
                    ids[each.proposals == int(proposal)] = class_id
                found[each.name] = counts(ids)
        return found

    def picture(self, name):
        """One of the pictures."""
        found = [each for each in self.pictures if each.name == name]
        if not found:
            raise RefusedError(404, f"Expected the name of an image, but got {name!r}.")
        return found[0]

    # ---- what is changed ---------------------------------------------------------------------

    def change(self, revision, made):
        """Make a change on a revision, and tell the others."""
        if revision != self.revision:
            raise RefusedError(409, "Somebody else changed something.", state=self.state())
        sentence = made()
        self.revision += 1
        self.tell("state", {"revision": self.revision})
        return {"state": self.state(), "made": sentence}

    def apply(self, edit):
        """An Edit; gives what was done in words."""
        before = copy.deepcopy(self.data)
        sentence = getattr(self, f"do_{edit['kind']}")(edit)
        self.past.append((sentence, before))
        self.future = []
        return sentence

    def back(self, source, target, words):
        """Undo, or redo."""
        if not source:
            raise RefusedError(400, f"There is nothing to {words}.")
        sentence, data = source.pop()
        target.append((sentence, self.data))
        self.data = data
        return f"{words}: {sentence}"

    def entry(self, class_id):
        """A class."""
        found = [each for each in self.data["classes"] if each["id"] == class_id]
        if not found:
            raise RefusedError(400, f"Expected the id of a class, but got {class_id}.")
        return found[0]

    def title(self, class_id):
        """Name of a class, or its id."""
        return self.entry(class_id)["name"] or f"class {class_id}"

    def do_name(self, edit):
        """See `types.js`."""
        before = self.title(edit["class"])
        if edit["name"] == "forbidden":
            raise RefusedError(400, "Expected another name than 'forbidden'.")
        self.entry(edit["class"])["name"] = edit["name"]
        return f"{before} is {edit['name']}"

    def do_merge(self, edit):
        """See `types.js`."""
        entries = [self.entry(each) for each in edit["classes"]]
        titles = [self.title(each) for each in edit["classes"]]
        kept = min(entries, key=lambda entry: entry["id"])
        kept["name"] = edit["name"]
        kept["clusters"] = sorted(cluster for entry in entries for cluster in entry["clusters"])
        gone = {entry["id"] for entry in entries} - {kept["id"]}
        self.data["classes"] = [each for each in self.data["classes"] if each["id"] not in gone]
        for said in self.data["corrections"].values():
            said.update({key: kept["id"] for key, value in said.items() if value in gone})
        return f"merged {', '.join(titles)} as {edit['name']}"

    def do_ignore(self, edit):
        """See `types.js`."""
        self.entry(edit["class"])["ignore"] = edit["ignore"]
        return f"{'ignored' if edit['ignore'] else 'used'} {self.title(edit['class'])}"

    def do_colour(self, edit):
        """See `types.js`."""
        self.entry(edit["class"])["colour"] = edit["colour"]
        return f"colour of {self.title(edit['class'])}"

    def do_note(self, edit):
        """See `types.js`."""
        self.entry(edit["class"])["note"] = edit["note"]
        return f"note on {self.title(edit['class'])}"

    def class_of(self, given):
        """The id of a class that is given by id or name; made if there is none."""
        if given is None or isinstance(given, int):
            return 255 if given is None else given
        for each in self.data["classes"]:
            if each["name"] == given:
                return each["id"]
        class_id = max(each["id"] for each in self.data["classes"]) + 1
        self.data["classes"].append(
            {
                "id": class_id,
                "name": given,
                "colour": COLOURS[class_id % len(COLOURS)],
                "clusters": [],
                "ignore": False,
                "note": "",
            }
        )
        return class_id

    def do_say(self, edit):
        """See `types.js`."""
        class_id = self.class_of(edit["class"])
        for image, proposal in edit["proposals"]:
            self.data["corrections"].setdefault(image, {})[str(proposal)] = class_id
        title = "of no class" if class_id == 255 else self.title(class_id)
        return f"{len(edit['proposals'])} proposals: {title}"

    def do_alike(self, edit):
        """See `types.js`."""
        alike = self.alike(edit["image"], edit["proposal"])
        return self.do_say({"proposals": alike, "class": edit["class"]})

    def do_retract(self, edit):
        """See `types.js`."""
        for image, proposal in edit["proposals"]:
            self.data["corrections"].get(image, {}).pop(str(proposal), None)
        return f"took back {len(edit['proposals'])} proposals"

    def do_cut(self, edit):
        """See `types.js`: the last clusters become one class."""
        number = edit["classes"]
        entries = self.first_classes()[:number]
        entries[0]["clusters"] = [0, *range(number, self.clusters)]
        self.data["classes"] = entries
        return f"cut into {number} classes"

    def do_dataset(self, edit):
        """See `types.js`."""
        if edit["name"] != "camvid":
            raise RefusedError(400, f"Expected a known data set, but got {edit['name']!r}.")
        for name in ("sky", "road"):
            self.class_of(name)
        return "names of camvid"

    def do_reset(self, _):
        """See `types.js`."""
        self.data["classes"] = self.first_classes()
        return "started again without names"

    # ---- what takes longer -------------------------------------------------------------------

    def alike(self, image, proposal):
        """Proposals whose cluster is that of a proposal."""
        picture = self.picture(image)
        cluster = np.bincount(picture.labels[picture.proposals == proposal]).argmax()
        return [
            [each.name, int(number)]
            for each in self.pictures
            for number in np.unique(each.proposals[each.labels == cluster])
            if number
        ]

    def suggestions(self, number):
        """A round of cards."""
        every = [
            (each.name, int(proposal), each)
            for each in self.pictures
            for proposal in np.unique(each.proposals)
            if proposal
        ]
        size = 12 if number == 0 else 10
        chosen = every[:: max(1, len(every) // 32)][number * size : (number + 1) * size]
        cards = []
        for name, proposal, picture in chosen:
            cluster = int(np.bincount(picture.labels[picture.proposals == proposal]).argmax())
            owner = [each["id"] for each in self.data["classes"] if cluster in each["clusters"]]
            said = self.data["corrections"].get(name, {}).get(str(proposal))
            cards.append(
                {
                    "image": name,
                    "proposal": proposal,
                    "share": 0.04,
                    "why": "uncertain" if number else "group",
                    "class": owner[0] if owner else None,
                    "said": said,
                }
            )
        return {"cards": cards, "round": number}

    def start(self, request):
        """A Job."""
        if any(job["status"] == "running" for job in self.jobs.values()):
            raise RefusedError(409, "Expected no other job, but one is running.")
        job = {
            "id": str(len(self.jobs) + 1),
            "kind": request["kind"],
            "status": "running",
            "stage": "Fitting",
            "done": 0,
            "total": self.job_steps,
            "error": None,
            "result": None,
        }
        self.jobs[job["id"]] = job
        job["request"] = request
        return job

    def look(self, name):
        """A Job goes on by one step whenever it is looked at."""
        job = self.jobs[name]
        if job["status"] == "running":
            job["done"] += 1
            if job["done"] >= job["total"]:
                job["status"], job["result"] = "done", self.finish(job["request"])
        return job

    def finish(self, request):
        """What a job leaves."""
        kind = request["kind"]
        if kind in {"refit", "split"}:
            number = len(self.candidates) + 1
            self.candidates.append(
                {
                    "number": number,
                    "kind": "names" if kind == "refit" else "split",
                    "classes": ["one", "two"],
                    "clicks": sum(map(len, self.data["corrections"].values())),
                }
            )
            return {"candidate": number}
        if kind in {"accept", "back"}:
            self.accepted = request.get("candidate")
            self.candidates = []
            self.revision += 1
            return {}
        if kind == "export":
            return {
                "folder": f"/runs/demo/exports/{request['format']}",
                "files": 17,
                "bytes": 1_234_567,
                "failures": [{"path": "p3.jpg", "stage": "export", "reason": "it is gone"}],
            }
        return {}

    def candidate(self, number):
        """A candidate: clusters moved on by one in odd images."""
        found = [each for each in self.candidates if each["number"] == number]
        if not found:
            raise RefusedError(404, f"Expected the number of a candidate, but got {number}.")
        images = [counts(self.moved(index)) for index in range(len(self.pictures))]
        return {
            "candidate": found[0],
            "classes": self.state()["classes"],
            "images": images,
        }

    def moved(self, index):
        """Labels of a candidate."""
        labels = self.pictures[index].labels
        return (labels + index % 2) % self.clusters

    # ---- events ------------------------------------------------------------------------------

    def tell(self, kind, what):
        """Send an event to all pages."""
        for loop, queue in self.listeners:
            loop.call_soon_threadsafe(queue.put_nowait, (kind, what))

    async def events(self):
        """Server-sent events."""
        queue = asyncio.Queue()
        listener = (asyncio.get_running_loop(), queue)
        self.listeners.append(listener)
        try:
            yield b": hello\n\n"
            while True:
                kind, what = await queue.get()
                if kind == "close":
                    return
                yield f"event: {kind}\ndata: {json.dumps(what)}\n\n".encode()
        finally:
            self.listeners.remove(listener)


def counts(ids):
    """[id, pixels] of a map."""
    values, numbers = np.unique(ids, return_counts=True)
    return [[int(value), int(number)] for value, number in zip(values, numbers, strict=True)]


def jpeg(array, side=None):
    """JPEG bytes of (H, W, 3)."""
    image = PIL.Image.fromarray(array)
    if side:
        image.thumbnail((side, side))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return Response(buffer.getvalue(), media_type="image/jpeg")


def maps_answer(labels, proposals, side=None):
    """Both maps as they travel."""
    step = max(1, -(-max(labels.shape) // side)) if side else 1
    parts = [np.ascontiguousarray(each[::step, ::step], "<u2") for each in (labels, proposals)]
    height, width = parts[0].shape
    return Response(
        zlib.compress(b"".join(part.tobytes() for part in parts), 1),
        media_type="application/octet-stream",
        headers={"X-Width": str(width), "X-Height": str(height)},
    )


def card(picture, proposal):
    """A proposal in its photograph, with a contour, cropped."""
    inside = picture.proposals == proposal
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    photo = picture.photo.copy()
    photo[~inside] = photo[~inside] // 2 + 60
    edge = inside.copy()
    edge[1:-1, 1:-1] &= ~(
        inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
    )
    photo[edge] = 255
    margin = max(len(rows), len(columns)) // 3
    return photo[
        max(0, rows[0] - margin) : rows[-1] + margin,
        max(0, columns[0] - margin) : columns[-1] + margin,
    ]


FORMATS = [
    ("coco", "COCO instances", "Nothing as masks.", None, True),
    ("voc", "Pascal VOC", "Names of files lose their endings.", None, True),
    ("yolo", "YOLO segmentation", "Unlabelled pixels, colours of classes.", None, True),
    ("hf", "Hugging Face datasets", "Colours of classes.", "hf", False),
]
BACKBONES = [
    ("texture", "nothing learned", True, True),
    ("mini", "no label ever seen", True, False),
]


class Answers:
    """What is answered to requests, each a function of the request and its body.

    Args:
        studio: A FakeStudio.
    """

    def __init__(self, studio):
        self.studio = studio

    def image(self, request):
        return self.studio.picture(request.query_params["image"])

    def photo(self, request, _):
        return jpeg(self.image(request).photo, number(request, "side"))

    def card(self, request, _):
        return jpeg(card(self.image(request), number(request, "proposal")))

    def maps(self, request, _):
        picture, side = self.image(request), number(request, "side")
        labels = picture.labels
        if number(request, "candidate"):
            labels = self.studio.moved(self.studio.pictures.index(picture))
        return maps_answer(labels, picture.proposals, side)

    def suggestions(self, request, _):
        return self.studio.suggestions(number(request, "round") or 0)

    def alike(self, request, _):
        image = self.image(request).name
        return {"proposals": self.studio.alike(image, number(request, "proposal"))}

    def edit(self, _, body):
        given = json.loads(body)
        return self.studio.change(given["revision"], lambda: self.studio.apply(given["edit"]))

    def undo(self, _, body):
        return self.back(body, self.studio.past, self.studio.future, "undo")

    def redo(self, _, body):
        return self.back(body, self.studio.future, self.studio.past, "redo")

    def back(self, body, source, target, words):
        made = lambda: self.studio.back(source, target, words)  # noqa: E731
        return self.studio.change(json.loads(body)["revision"], made)

    def formats(self, *_):
        names = ("name", "title", "loses", "needs", "installed")
        found = [dict(zip(names, each, strict=True)) for each in FORMATS]
        return {"formats": [{**each, "polygons": each["name"] == "coco"} for each in found]}

    def backbones(self, *_):
        names = ("name", "training", "installed", "current")
        return {"backbones": [dict(zip(names, each, strict=True)) for each in BACKBONES]}

    def candidate(self, request, _):
        return self.studio.candidate(number(request, "number"))

    def reject(self, _, body):
        wanted = json.loads(body)["candidate"]
        left = [each for each in self.studio.candidates if each["number"] != wanted]
        self.studio.candidates = left
        self.studio.revision += 1
        return {"state": self.studio.state()}

    def begin(self, _, body):
        return JSONResponse(self.studio.start(json.loads(body)), 202)

    def look(self, request, _):
        return self.studio.look(request.path_params["id"])

    def cancel(self, request, _):
        job = self.studio.jobs[request.path_params["id"]]
        job["status"] = "cancelled"
        return job

    def archive(self, *_):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as file:
            file.writestr("labels.json", "{}")
        return Response(buffer.getvalue(), media_type="application/zip")

    def attempt(self, request, body):
        """Stripes, the more the higher the threshold."""
        try:
            with PIL.Image.open(io.BytesIO(body)) as opened:
                photo = np.asarray(opened.convert("RGB"))
        except PIL.UnidentifiedImageError as error:
            sentence = "Expected a photograph, but got no image. Choose another."
            raise RefusedError(400, sentence) from error
        stripes = max(1, int(10 * float(request.query_params.get("threshold", 0.4))))
        height, width = photo.shape[:2]
        rows = np.arange(height)[:, None] * stripes // height
        proposals = np.broadcast_to(rows + 1, (height, width)).astype(np.uint16)
        name = f"t{len(self.studio.tried) + 1}"
        labels = (proposals % self.studio.clusters).astype(np.uint16)
        self.studio.tried[name] = (photo, labels, proposals)
        found = {"width": width, "height": height, "proposals": int(proposals.max())}
        return {"id": name, "seconds": 0.4, **found}

    def tried_photo(self, request, _):
        return jpeg(self.studio.tried[request.path_params["id"]][0])

    def tried_maps(self, request, _):
        return maps_answer(*self.studio.tried[request.path_params["id"]][1:])


def number(request, name):
    """A parameter of the address that is a whole number; 0 and nothing are None."""
    return int(request.query_params.get(name, 0)) or None


def answered(answer):
    """An endpoint out of an answer."""

    async def endpoint(request):
        if request.method != "GET" and request.headers.get("x-primaps") != "1":
            return JSONResponse({"error": "The header X-Primaps is missing."}, 403)
        try:
            found = answer(request, await request.body())
        except RefusedError as refused:
            return JSONResponse(refused.body, refused.status)
        return found if isinstance(found, Response) else JSONResponse(found)

    return endpoint


def application(studio, web):
    """The HTTP interface.

    Args:
        studio: A FakeStudio.
        web: Folder of the modules.
    """
    answers = Answers(studio)

    async def events(_):
        return StreamingResponse(studio.events(), media_type="text/event-stream")

    gets = {
        "/": lambda *_: HTMLResponse(PAGE, headers={"Content-Security-Policy": POLICY}),
        "/api/run": lambda *_: studio.run(),
        "/api/state": lambda *_: studio.state(),
        "/api/photo": answers.photo,
        "/api/card": answers.card,
        "/api/maps": answers.maps,
        "/api/certainty": lambda *_: Response(status_code=204),
        "/api/suggestions": answers.suggestions,
        "/api/alike": answers.alike,
        "/api/formats": answers.formats,
        "/api/backbones": answers.backbones,
        "/api/jobs/{id}": answers.look,
        "/api/candidate": answers.candidate,
        "/api/export": answers.archive,
        "/api/try/{id}/photo": answers.tried_photo,
        "/api/try/{id}/maps": answers.tried_maps,
    }
    posts = {
        "/api/edit": answers.edit,
        "/api/undo": answers.undo,
        "/api/redo": answers.redo,
        "/api/jobs": answers.begin,
        "/api/reject": answers.reject,
        "/api/try": answers.attempt,
    }
    return Starlette(
        routes=[
            Route("/api/events", events),
            *[Route(path, answered(each)) for path, each in gets.items()],
            *[Route(path, answered(each), methods=["POST"]) for path, each in posts.items()],
            Route("/api/jobs/{id}", answered(answers.cancel), methods=["DELETE"]),
            Mount("/web", StaticFiles(directory=web)),
        ]
    )


class Serving:
    """A server in a thread that can be stopped and started again on the same port.

    Args:
        studio: A FakeStudio.
        web: Folder of the modules.
    """

    def __init__(self, studio, web=None):
        self.studio, self.web, self.port = studio, web or WEB, 0
        self.start()

    @property
    def address(self):
        """Of the page."""
        return f"http://127.0.0.1:{self.port}/"

    def start(self):
        """Serve; returns when it accepts connections."""
        config = uvicorn.Config(
            application(self.studio, self.web),
            port=self.port,
            log_level="error",
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]

    def stop(self):
        """End, as if it were killed: what is open is closed."""
        self.studio.tell("close", {})
        self.server.should_exit = True
        self.thread.join(10)
