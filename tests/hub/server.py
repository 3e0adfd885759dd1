"""A Hub on the loopback interface: what the Hub's client asks for, and faults on demand.

A test tool, small and plain: repositories in memory, blobs on disk by their digest, one lock.

    with LoopbackHub(folder) as hub: ... HF_ENDPOINT=hub.address
"""

import base64
import contextlib
import hashlib
import json
import random
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

USER = "me"
FAULTS = ("drop", "429", "500", "503", "moved", "slow", "damage", "lost answer")
_WHERE = {"moved": "/commit/", "lost answer": "/commit/", "damage": "^/blobs/"}
_ROUTE = re.compile(r"/api/(?P<kind>model|dataset)s/(?P<id>[^/]+/[^/]+)(?:/(?P<rest>.*))?$")
_FILE = re.compile(
    r"/(?P<kind>datasets/|spaces/)?(?P<id>[^/]+/[^/]+)/resolve/(?P<rev>[^/]+)/(?P<path>.*)$"
)
_LFS = re.compile(
    r"/(?:(?P<kind>datasets|spaces)/)?(?P<id>[^/]+/[^/]+)\.git/info/lfs/objects/batch$"
)


@dataclass
class Blob:
    """A file of a commit."""

    sha256: str
    size: int
    oid: str  # git's own digest
    large: bool


@dataclass
class Commit:
    """A state of a repository."""

    oid: str
    title: str
    files: dict[str, Blob]


@dataclass
class Repository:
    """All commits, oldest first, and what names them."""

    private: bool = False
    commits: list[Commit] = field(default_factory=list)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def at(self, revision: str) -> Commit | None:
        name = unquote(revision)
        oid = self.branches.get(name) or self.tags.get(name) or name
        return next((c for c in self.commits if c.oid == oid), None)


class LoopbackHub:
    """The server, in a thread of its own.

    Args:
        folder: where the blobs lie.
        fault_rate: share of the requests that go wrong.
        seed: of which and how.
        kinds: of faults.
    """

    def __init__(
        self,
        folder: Path,
        *,
        fault_rate: float = 0.0,
        seed: int = 0,
        kinds: tuple[str, ...] = FAULTS,
    ) -> None:
        self.folder, self.kinds = folder, kinds
        self.fault_rate, self.random = fault_rate, random.Random(seed)
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.requests: list[tuple[str, str]] = []
        self.faults: list[str] = []
        self.uploaded: set[tuple[str, str]] = (
            set()
        )  # (batch route, digest): once for each repository
        self.lock = threading.RLock()
        folder.mkdir(parents=True, exist_ok=True)
        hub = self

        class Bound(_Handler):
            server_hub = hub

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
        self.server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> "LoopbackHub":
        # Asked often whether it is to end, for every test ends one.
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.server.shutdown()
        self.server.server_close()

    def draw_fault(self, route: str) -> str | None:
        """What goes wrong with a request, if anything: of the kinds that can, the rarest so far.

        A kind that needs a rare request would otherwise now and then not happen in a whole run:
        the order of the requests is the machine's, whatever the seed.
        """
        if self.random.random() >= self.fault_rate:
            return None
        possible = [kind for kind in self.kinds if re.search(_WHERE.get(kind, ""), route)]
        self.random.shuffle(possible)
        return min(possible, key=self.faults.count, default=None)

    def read(self, blob: Blob) -> bytes:
        return (self.folder / blob.sha256).read_bytes()

    def store(self, data: bytes, large: bool) -> Blob:
        sha256 = hashlib.sha256(data).hexdigest()
        target = self.folder / sha256
        if not target.is_file():
            partial = target.with_suffix(f".{threading.get_ident()}")
            partial.write_bytes(data)
            partial.replace(target)
        oid = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        return Blob(sha256, len(data), oid, large)

    def commit(
        self, kind: str, name: str, title: str, files: dict[str, Blob], branch: str = "main"
    ) -> Commit:
        repository = self.repositories[kind, name]
        text = f"{title}{len(repository.commits)}{sorted((p, b.oid) for p, b in files.items())}"
        made = Commit(hashlib.sha1(text.encode()).hexdigest(), title, files)
        repository.commits.append(made)
        repository.branches[branch] = made.oid
        return made

    def create(self, kind: str, name: str, private: bool = False) -> Repository:
        repository = self.repositories[kind, name] = Repository(private)
        attributes = self.store(b"*.parquet filter=lfs diff=lfs merge=lfs -text\n", large=False)
        self.commit(kind, name, "initial commit", {".gitattributes": attributes})
        return repository

    def edit(self, kind: str, name: str, path: str, data: bytes) -> None:
        """Someone else's commit."""
        with self.lock:
            files = dict(self.repositories[kind, name].at("main").files)  # type: ignore[union-attr]
            files[path] = self.store(data, large=False)
            self.commit(kind, name, f"edit {path}", files)

    def contents(self, kind: str, name: str, revision: str = "main") -> dict[str, bytes]:
        commit = self.repositories[kind, name].at(revision)
        assert commit is not None
        return {path: self.read(blob) for path, blob in commit.files.items()}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else every answer's body waits 40 ms behind its head
    server_hub: LoopbackHub

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def _answer(self) -> None:
        hub = self.server_hub
        url = urlsplit(self.path)
        # Not unquoted as a whole: a revision such as refs/pr/1 comes quoted, as one part.
        self.route, self.query = url.path, parse_qs(url.query)
        with hub.lock:
            hub.requests.append((self.command, self.route))
            fault = hub.draw_fault(self.route)
        length = int(self.headers.get("Content-Length") or 0)
        if fault == "drop":
            self.rfile.read(length // 2)
            self._note(fault)
            self.close_connection = True
            self.connection.close()
            return
        self.body = self.rfile.read(length)
        if fault in ("429", "500", "503"):
            self._note(fault)
            self._send(
                int(fault), {"error": "busy"}, {"Retry-After": "1"} if fault == "429" else {}
            )
            return
        if fault == "slow":
            self._note(fault)
            time.sleep(0.2)
        self.fault = fault
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._dispatch()

    def _note(self, fault: str) -> None:
        with self.server_hub.lock:
            self.server_hub.faults.append(fault)

    def _dispatch(self) -> None:
        if self.route == "/api/whoami-v2":
            self._send(200, {"type": "user", "name": USER, "auth": {}, "orgs": []})
        elif self.route == "/api/repos/create":
            self._create()
        elif self.route == "/api/validate-yaml":
            self._send(200, {"errors": [], "warnings": []})
        elif self.route.startswith("/blobs/"):
            self._receive(self.route.removeprefix("/blobs/"))
        elif self.route.startswith("/verify/"):
            self._verify()
        elif _LFS.match(self.route):
            self._batch()
        elif found := _ROUTE.match(self.route):
            self._api(found["kind"], found["id"], found["rest"] or "")
        elif found := _FILE.match(self.route):
            kind = "dataset" if found["kind"] else "model"
            self._resolve(kind, found["id"], found["rev"], unquote(found["path"]))
        else:
            self._send(404, {"error": "not here"})

    def _create(self) -> None:
        asked = json.loads(self.body)
        kind = asked.get("type") or "model"
        name = f"{asked.get('organization') or USER}/{asked['name'].split('/')[-1]}"
        prefix = "" if kind == "model" else f"{kind}s/"
        answer = {"url": f"{self.server_hub.address}/{prefix}{name}", "name": name, "id": name}
        with self.server_hub.lock:
            if (kind, name) in self.server_hub.repositories:
                self._send(409, {**answer, "error": "exists"})
                return
            private = asked.get("private") or asked.get("visibility") == "private"
            self.server_hub.create(kind, name, bool(private))
        self._send(200, answer)

    def _api(self, kind: str, name: str, rest: str) -> None:
        with self.server_hub.lock:
            repository = self.server_hub.repositories.get((kind, name))
            if repository is None:
                self._send(404, {"error": "no repository"}, {"X-Error-Code": "RepoNotFound"})
                return
            verb, _, argument = rest.partition("/")
            if verb in ("", "revision"):
                self._info(name, repository, argument or "main")
            elif verb == "tree":
                revision, _, path = argument.partition("/")
                self._tree(repository, revision, unquote(path))
            elif verb == "refs":
                self._refs(repository)
            elif verb == "preupload":
                self._preupload(repository, argument)
            elif verb == "commit":
                self._commit(kind, name, repository, argument)
            elif verb == "tag" and self.command == "POST":
                commit = repository.at(argument)
                assert commit is not None
                repository.tags[json.loads(self.body)["tag"]] = commit.oid
                self._send(200, {})
            elif verb == "paths-info":
                self._paths(repository, argument)
            else:
                self._send(404, {"error": f"no {verb}"})

    def _info(self, name: str, repository: Repository, revision: str) -> None:
        commit = repository.at(revision)
        if commit is None:
            self._send(404, {"error": "no revision"}, {"X-Error-Code": "RevisionNotFound"})
            return
        siblings = [{"rfilename": path} for path in sorted(commit.files)]
        card = commit.files.get("README.md")
        info: dict[str, Any] = {
            "id": name,
            "modelId": name,
            "sha": commit.oid,
            "siblings": siblings,
            "tags": [],
            "private": repository.private,
            "disabled": False,
            "gated": False,
            "downloads": 0,
            "likes": 0,
        }
        if card is not None and b"pipeline_tag: image-segmentation" in self.server_hub.read(card):
            info["pipeline_tag"] = "image-segmentation"
        self._send(200, info)

    def _tree(self, repository: Repository, revision: str, path: str) -> None:
        commit = repository.at(revision)
        if commit is None:
            self._send(404, {"error": "no revision"}, {"X-Error-Code": "RevisionNotFound"})
            return
        prefix = f"{path.strip('/')}/" if path.strip("/") else ""
        inside = {p: b for p, b in commit.files.items() if p.startswith(prefix)}
        if prefix and not inside:
            self._send(404, {"error": "no entry"}, {"X-Error-Code": "EntryNotFound"})
            return
        deep = self.query.get("recursive", ["false"])[0].lower() == "true"
        entries: dict[str, dict[str, Any]] = {}
        for place, blob in sorted(inside.items()):
            parts = place[len(prefix) :].split("/")
            for depth in range(1, len(parts)):
                folder = prefix + "/".join(parts[:depth])
                if deep or depth == 1:
                    entries[folder] = {
                        "type": "directory",
                        "oid": "0" * 40,
                        "size": 0,
                        "path": folder,
                    }
            if deep or len(parts) == 1:
                entries[place] = _entry(place, blob)
        self._send(200, list(entries.values()))

    def _paths(self, repository: Repository, revision: str) -> None:
        commit = repository.at(revision)
        assert commit is not None
        try:
            wanted = json.loads(self.body)["paths"]
        except ValueError:
            wanted = parse_qs(self.body.decode())["paths"]
        wanted = [wanted] if isinstance(wanted, str) else wanted
        self._send(200, [_entry(p, commit.files[p]) for p in wanted if p in commit.files])

    def _refs(self, repository: Repository) -> None:
        def listed(names: dict[str, str], where: str) -> list[dict[str, str]]:
            return [
                {"name": n, "ref": f"refs/{where}/{n}", "targetCommit": oid}
                for n, oid in names.items()
            ]

        branches = {k: v for k, v in repository.branches.items() if not k.startswith("refs/")}
        self._send(
            200,
            {
                "branches": listed(branches, "heads"),
                "converts": [],
                "tags": listed(repository.tags, "tags"),
            },
        )

    def _preupload(self, repository: Repository, revision: str) -> None:
        commit = repository.at(revision)
        there = commit.files if commit else {}
        self._send(
            200,
            {
                "files": [
                    {
                        "path": file["path"],
                        "uploadMode": "lfs" if _is_large(file["path"], file["size"]) else "regular",
                        "shouldIgnore": False,
                        **({"oid": there[file["path"]].oid} if file["path"] in there else {}),
                    }
                    for file in json.loads(self.body)["files"]
                ]
            },
        )

    def _batch(self) -> None:
        objects = []
        for wanted in json.loads(self.body)["objects"]:
            entry: dict[str, Any] = {"oid": wanted["oid"], "size": wanted["size"]}
            if (self.route, wanted["oid"]) not in self.server_hub.uploaded:
                address = self.server_hub.address
                entry["actions"] = {
                    "upload": {"href": f"{address}/blobs/{wanted['oid']}?for={self.route}"},
                    "verify": {"href": f"{address}/verify/{wanted['oid']}"},
                }
            objects.append(entry)
        self._send(200, {"transfer": "basic", "objects": objects})

    def _receive(self, oid: str) -> None:
        data = self.body
        if self.fault == "damage":
            self._note("damage")
            data = data[:-1] + b"!"
        if hashlib.sha256(data).hexdigest() != oid:
            self._send(400, {"error": "BadDigest"})
            return
        self.server_hub.store(data, large=True)
        self.server_hub.uploaded.add((self.query["for"][0], oid))
        self._send(200, None)

    def _verify(self) -> None:
        asked = json.loads(self.body)
        there = (self.server_hub.folder / asked["oid"]).is_file()
        self._send(200 if there else 404, {} if there else {"error": "no such object"})

    def _commit(self, kind: str, name: str, repository: Repository, revision: str) -> None:
        hub = self.server_hub
        if self.fault == "moved":
            self._note("moved")
            hub.edit(kind, name, "NOTES.md", f"note {len(repository.commits)}\n".encode())
        lines = [json.loads(line) for line in self.body.decode().splitlines() if line.strip()]
        header = lines[0]["value"]
        head = repository.at(revision)
        assert head is not None
        if header.get("parentCommit") not in (None, head.oid):
            self._send(412, {"error": "a commit has happened since. Please refresh and try again."})
            return
        files = dict(head.files)
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = hub.store(base64.b64decode(value["content"]), large=False)
            elif line["key"] == "lfsFile":
                data = (hub.folder / value["oid"]).read_bytes()
                files[value["path"]] = hub.store(data, large=True)
            elif line["key"] == "deletedFile":
                files.pop(value["path"], None)
            elif line["key"] == "deletedFolder":
                files = {p: b for p, b in files.items() if not p.startswith(value["path"])}
            else:
                self._send(400, {"error": f"no operation {line['key']}"})
                return
        branch, answer = unquote(revision), {}
        if self.query.get("create_pr") == ["1"]:
            number = sum(b.startswith("refs/pr/") for b in repository.branches) + 1
            branch = f"refs/pr/{number}"
            answer["pullRequestUrl"] = f"{hub.address}/{kind}s/{name}/discussions/{number}"
        made = hub.commit(kind, name, header["summary"], files, branch)
        if self.fault == "lost answer":
            self._note("lost answer")
            self.close_connection = True
            self.connection.close()
            return
        address = f"{hub.address}/{kind}s/{name}/commit/{made.oid}"
        self._send(200, {"success": True, "commitOid": made.oid, "commitUrl": address, **answer})

    def _resolve(self, kind: str, name: str, revision: str, path: str) -> None:
        with self.server_hub.lock:
            repository = self.server_hub.repositories.get((kind, name))
            commit = repository.at(revision) if repository else None
        if commit is None:
            code = "RevisionNotFound" if repository else "RepoNotFound"
            self._send(404, {"error": "not here"}, {"X-Error-Code": code})
            return
        headers = {"X-Repo-Commit": commit.oid}
        blob = commit.files.get(path)
        if blob is None:
            self._send(404, {"error": "no entry"}, {**headers, "X-Error-Code": "EntryNotFound"})
            return
        data = self.server_hub.read(blob)
        headers |= {
            "ETag": f'"{blob.sha256 if blob.large else blob.oid}"',
            "Accept-Ranges": "bytes",
        }
        status = 200
        if asked := re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
            first = int(asked[1])
            last = min(int(asked[2] or len(data) - 1), len(data) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            data, status = data[first : last + 1], 206
        self._send(status, data, headers)

    def _send(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        is_bytes = isinstance(content, bytes)
        data = content if is_bytes else b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        kind = "application/octet-stream" if is_bytes else "application/json"
        for key, value in {"Content-Type": kind, **(headers or {})}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _entry(path: str, blob: Blob) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "oid": blob.oid, "size": blob.size, "path": path}
    if blob.large:
        entry["lfs"] = {"oid": blob.sha256, "size": blob.size, "pointerSize": 130}
    return entry


def _is_large(path: str, size: int) -> bool:
    return path.endswith((".parquet", ".png", ".safetensors")) or size > 10 * 2**20
