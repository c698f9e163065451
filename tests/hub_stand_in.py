"""A hub on the loopback address that speaks as much of the Hugging Face hub's protocol as uploads
and downloads need: repositories, git objects, large files by LFS, commits, ETags, redirects, parts,
gated and renamed repositories; and whatever can go wrong on the way.

Nothing is kept on disk, and no other address is ever named.
"""

import base64
import contextlib
import hashlib
import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".bin", ".pth")


@dataclass
class Blob:
    """A file; a large one is known by the SHA-256 of its bytes, another one by its git object."""

    data: bytes
    large: bool

    @property
    def oid(self):
        if self.large:
            return hashlib.sha256(self.data).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(self.data) + self.data).hexdigest()


@dataclass
class Repository:
    """Its commits, oldest first: id and files by path."""

    private: bool = False
    gated: bool = False
    commits: list = field(default_factory=lambda: [("0" * 40, {})])
    tags: dict = field(default_factory=dict)

    def at(self, revision):
        if revision in {"main", None}:
            return self.commits[-1]
        revision = self.tags.get(revision, revision)
        return next((each for each in self.commits if each[0] == revision), None)

    def commit(self, files):
        number = hashlib.sha1(f"{len(self.commits)}{sorted(files)}".encode()).hexdigest()
        self.commits.append((number, files))
        return number


@dataclass
class Fault:
    """Something that goes wrong with requests that match.

    Attributes:
        asked: Regular expression for "METHOD path".
        status: Answered instead; None = what is asked for is sent.
        headers: Of every answer.
        cut: The connection is closed after so many bytes of the answer.
        garbled: The first byte of the answer is another one.
        seconds: Before the answer.
        times: So many requests; then all is well.
    """

    asked: str
    status: int | None = None
    headers: dict = field(default_factory=dict)
    cut: int | None = None
    garbled: bool = False
    seconds: float = 0.0
    times: int = 1


@dataclass
class Hub:
    """State of the stand-in.

    Attributes:
        token: Who sends it may write, and read what is private; of gated repositories only those
            in ``accepted``.
        accepted: Gated repositories whose licence the owner of the token has accepted.
        renamed: New names of repositories by old ones.
        faults: What goes wrong.
        ranges: The storage sends parts of files.
        xet: Large files are announced as lying in the other storage of the hub, too.
        starts: First byte of every part that the storage sent.
        authorised: "METHOD path" of what was asked of the storage with a token, which must not
            leave the hub.
        requests: "METHOD path" of everything that was asked.
        endpoint: Address of the hub.
        storage: Address of the large files, which is another one, as the hub's is.
    """

    token: str = "hf_stand_in"
    ranges: bool = True
    accepted: set = field(default_factory=set)
    renamed: dict = field(default_factory=dict)
    faults: list = field(default_factory=list)
    xet: bool = False
    starts: list = field(default_factory=list)
    authorised: list = field(default_factory=list)
    repositories: dict = field(default_factory=dict)
    objects: dict = field(default_factory=dict)
    requests: list = field(default_factory=list)
    endpoint: str = ""
    storage: str = ""

    def put(self, repo_id, content):
        """Commit files, given as bytes by path; the repository is made if there is none."""
        repository = self.repositories.setdefault(repo_id, Repository())
        blobs = {name: Blob(data, name.endswith(LARGE)) for name, data in content.items()}
        self.objects |= {blob.oid: blob.data for blob in blobs.values() if blob.large}
        return repository.commit({**repository.commits[-1][1], **blobs})

    def files(self, repo_id):
        return {name: blob.data for name, blob in self.repositories[repo_id].commits[-1][1].items()}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    routes = (
        ("POST", r"/api/repos/create", "create"),
        ("POST", r"/api/validate-yaml", "validate"),
        ("GET", r"/api/models/([^/]+/[^/]+)", "info"),
        ("GET", r"/api/models/([^/]+/[^/]+)/revision/([^/]+)", "info"),
        ("GET", r"/api/models/([^/]+/[^/]+)/tree/([^/]+)", "tree"),
        ("GET", r"/api/models/([^/]+/[^/]+)/tree/([^/]+)/(.+)", "tree"),
        ("POST", r"/api/models/([^/]+/[^/]+)/preupload/([^/]+)", "preupload"),
        ("POST", r"/api/models/([^/]+/[^/]+)/commit/([^/]+)", "commit"),
        ("POST", r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", "batch"),
        ("PUT", r"/lfs/([0-9a-f]{64})", "store"),
        ("POST", r"/lfs/([0-9a-f]{64})/verify", "verify"),
        ("HEAD", r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", "resolve"),
        ("GET", r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", "resolve"),
        ("HEAD", r"/cdn/([0-9a-f]{64})", "large"),
        ("GET", r"/cdn/([0-9a-f]{64})", "large"),
    )
    needs_token = ("create", "preupload", "commit", "batch")

    @property
    def hub(self):
        return self.server.hub

    def fault_of(self, asked):
        for fault in self.hub.faults:
            if fault.times > 0 and re.search(fault.asked, asked):
                fault.times -= 1
                return fault
        return Fault("")

    def handle_any(self):
        path = urlsplit(self.path).path
        self.hub.requests.append(f"{self.command} {path}")
        self.body = b"".join(self.pieces())
        self.fault = self.fault_of(f"{self.command} {path}")
        if self.fault.seconds:
            time.sleep(self.fault.seconds)
        if self.fault.status is not None:
            self.reply(self.fault.status, {"error": "a fault"})
            return
        old = next((name for name in self.hub.renamed if path.startswith(f"/{name}/")), None)
        if old is not None:  # as the hub does, by an address without a host
            self.reply(307, data=b"", Location=path.replace(old, self.hub.renamed[old], 1))
            return
        for method, pattern, name in self.routes:
            match = re.fullmatch(pattern, path)
            if method == self.command and match:
                if name in self.needs_token and not self.may_write():
                    self.reply(401, {"error": "Invalid credentials"})
                else:
                    getattr(self, name)(*(unquote(part) for part in match.groups()))
                return
        self.reply(404, {"error": f"No route {self.command} {path}"})

    do_GET = do_POST = do_PUT = do_HEAD = handle_any  # noqa: N815 - names of the base class

    def pieces(self):
        """What was sent with the request, in one piece or, where its length is unknown, chunked."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            yield self.rfile.read(int(self.headers.get("Content-Length") or 0))
            return
        while length := int(self.rfile.readline(), 16):
            yield self.rfile.read(length)
            self.rfile.readline()
        self.rfile.readline()

    def log_message(self, *_):
        pass

    def may_write(self):
        return self.headers.get("Authorization") == f"Bearer {self.hub.token}"

    def json_body(self):
        return json.loads(self.body)

    def reply(self, status, value=None, data=None, **headers):
        data = json.dumps(value).encode() if data is None else data
        self.send_response(status)
        for name, text in (headers | self.fault.headers).items():
            self.send_header(name.replace("_", "-"), text)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.fault.garbled:
            data = bytes([data[0] ^ 255]) + data[1:]
        self.wfile.write(data[: self.fault.cut])
        if self.fault.cut is not None:
            self.close_connection = True

    def found(self, repo_id, revision="main"):
        """The commit, or None after an answer that says what is missing."""
        repository = self.hub.repositories.get(repo_id)
        if repository is None or (repository.private and not self.may_write()):
            # as the hub does, which does not tell whether a private one exists
            self.reply(401, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
            return None
        if repository.gated and not (self.may_write() and repo_id in self.hub.accepted):
            status = 403 if self.may_write() else 401
            self.reply(status, {"error": "Restricted"}, X_Error_Code="GatedRepo")
            return None
        commit = repository.at(revision)
        if commit is None:
            self.reply(404, {"error": "Revision not found"}, X_Error_Code="RevisionNotFound")
        return commit

    def create(self):
        asked = self.json_body()
        repo_id = f"{asked['organization'] or 'me'}/{asked['name']}"
        exists = repo_id in self.hub.repositories
        if not exists:
            private = asked.get("private") or asked.get("visibility") == "private"
            self.hub.repositories[repo_id] = Repository(private=bool(private))
        self.reply(409 if exists else 200, {"url": f"{self.hub.endpoint}/{repo_id}"})

    def validate(self):
        text = self.json_body()["content"]
        errors = [] if text.startswith("---\n") else [{"message": "no metadata"}]
        self.reply(400 if errors else 200, {"errors": errors, "warnings": []})

    def info(self, repo_id, revision="main"):
        commit = self.found(repo_id, revision)
        if commit is not None:
            siblings = [{"rfilename": name} for name in commit[1]]
            private = self.hub.repositories[repo_id].private
            value = {"id": repo_id, "sha": commit[0], "private": private, "siblings": siblings}
            self.reply(200, {**value, "tags": [], "downloads": 0, "likes": 0})

    def tree(self, repo_id, revision, below=""):
        commit = self.found(repo_id, revision)
        if commit is None:
            return
        entries, folders = [], set()
        start = f"{below}/" if below else ""
        for name, blob in sorted(commit[1].items()):
            if not name.startswith(start):
                continue
            if "/" in name[len(start) :] and "recursive=false" in self.path.lower():
                folders.add(start + name[len(start) :].split("/")[0])
                continue
            entry = {"type": "file", "path": name, "size": len(blob.data), "oid": blob.oid[:40]}
            if blob.large:
                entry["lfs"] = {"oid": blob.oid, "size": len(blob.data), "pointerSize": 130}
            entries.append(entry)
        entries += [
            {"type": "directory", "path": each, "oid": "0" * 40} for each in sorted(folders)
        ]
        if below and not entries:
            self.reply(404, {"error": "Entry not found"}, X_Error_Code="EntryNotFound")
            return
        self.reply(200, entries)

    def preupload(self, repo_id, revision):
        commit = self.found(repo_id, revision)
        if commit is None:
            return
        answers = [
            {
                "path": each["path"],
                "uploadMode": "lfs" if each["path"].endswith(LARGE) else "regular",
                "shouldIgnore": False,
                "oid": commit[1][each["path"]].oid if each["path"] in commit[1] else None,
            }
            for each in self.json_body()["files"]
        ]
        self.reply(200, {"files": answers})

    def batch(self, repo_id):
        answers = []
        for each in self.json_body()["objects"]:
            href = f"{self.hub.storage}/lfs/{each['oid']}"
            actions = {"upload": {"href": href}, "verify": {"href": f"{href}/verify"}}
            new = {} if each["oid"] in self.hub.objects else {"actions": actions}
            answers.append({**each, **new})
        self.reply(200, {"transfer": "basic", "objects": answers})

    def store(self, oid):
        right = hashlib.sha256(self.body).hexdigest() == oid
        if right:
            self.hub.objects[oid] = self.body
        self.reply(200 if right else 422, {})

    def verify(self, oid):
        self.reply(200 if len(self.hub.objects.get(oid, b"")) == self.json_body()["size"] else 404)

    def commit(self, repo_id, revision):
        found = self.found(repo_id, revision)
        if found is None:
            return
        files = dict(found[1])
        for line in self.body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = Blob(base64.b64decode(value["content"]), large=False)
            elif entry["key"] == "lfsFile":
                files[value["path"]] = Blob(self.hub.objects[value["oid"]], large=True)
            elif entry["key"] == "deletedFile":
                del files[value["path"]]
        number = self.hub.repositories[repo_id].commit(files)
        url = f"{self.hub.endpoint}/{repo_id}/commit/{number}"
        self.reply(200, {"commitUrl": url, "commitOid": number, "pullRequestUrl": None})

    def resolve(self, repo_id, revision, name):
        commit = self.found(repo_id, revision)
        if commit is None:
            return
        blob = commit[1].get(name)
        if blob is None:
            self.reply(404, {"error": "Entry not found"}, X_Error_Code="EntryNotFound")
            return
        headers = {"X_Repo_Commit": commit[0], "Accept_Ranges": "bytes"}
        if blob.large:
            headers |= {"X_Linked_Etag": f'"{blob.oid}"', "X_Linked_Size": str(len(blob.data))}
            if self.hub.xet:
                token = f"{self.hub.endpoint}/api/models/{repo_id}/xet-read-token/{commit[0]}"
                headers |= {"X_Xet_Hash": blob.oid, "Link": f'<{token}>; rel="xet-auth"'}
            self.reply(302, data=b"", Location=f"{self.hub.storage}/cdn/{blob.oid}", **headers)
        else:
            self.reply(200, data=blob.data, ETag=f'"{blob.oid}"', **headers)

    def large(self, oid):
        data = self.hub.objects[oid]
        if "Authorization" in self.headers:
            self.hub.authorised.append(f"{self.command} {self.path}")
        part = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if self.hub.ranges and part and int(part[1]) < len(data):
            start = int(part[1])
            self.hub.starts.append(start)
            content_range = f"bytes {start}-{len(data) - 1}/{len(data)}"
            self.reply(206, data=data[start:], ETag=f'"{oid}"', Content_Range=content_range)
        else:
            self.reply(200, data=data, ETag=f'"{oid}"')


@contextlib.contextmanager
def running_hub():
    """A hub at work on free ports of the loopback address."""
    hub = Hub()
    with serving(hub) as hub.endpoint, serving(hub) as hub.storage:
        yield hub


@contextlib.contextmanager
def serving(hub):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.hub = hub
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
