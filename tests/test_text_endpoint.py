"""Texts of an endpoint that is slow, down, rate-limited, answers rubbish, and at last works."""

import hashlib
import json
import logging
import re
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from datasets import load_dataset

from scribblegen.builders.descriptions_config import VocabularyConfig
from scribblegen.builders.texts import chat_endpoint
from scribblegen.builders.texts.answer_cache import AnswerCache
from scribblegen.builders.texts.chat_endpoint import (
    KEY_VARIABLES,
    ChatEndpoint,
    EndpointError,
    NoAnswerError,
)
from scribblegen.cli import main
from scribblegen.commands.build import build
from scribblegen.methods.describe_config import DescribeConfig
from scribblegen.runs.config import OutputConfig

KEY = "sk-plantedKeyThatMustNotLeak"
WORDS = VocabularyConfig(vocabulary="zebra,balloon,owl", descriptions_per_class=4)
OUTPUT = OutputConfig(sources_per_shard=3)
ASKED = {"seed": 1, "messages": []}


class Server(ThreadingHTTPServer):
    """A language model: `faults` are what happens to the first requests, one each."""

    daemon_threads = True

    def __init__(self, *faults):
        super().__init__(("127.0.0.1", 0), Handler)
        self.faults, self.asked, self.keys = list(faults), [], set()
        self.rubbish_for, self.lock = None, threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args):
        """Silent."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.asked.append(body)
            self.server.keys.add(self.headers.get("Authorization"))
            fault = self.server.faults.pop(0) if self.server.faults else None
        if fault == "slow":
            time.sleep(1.5)
        if fault == "down":
            self.connection.close()
        elif isinstance(fault, int):
            self.send(fault, b'{"error": "' + KEY.encode() + b'"}', {"Retry-After": "0"})
        elif isinstance(fault, bytes):
            self.send(200, fault)
        elif isinstance(fault, dict):
            self.send(302, b"", fault)
        else:
            self.send(200, completion(self.answer(body) if fault in (None, "slow") else fault))

    def answer(self, body):
        task = body["messages"][-1]["content"]
        word = re.search(r"in which ([\w ]+) can be seen", task)[1]
        if word == self.server.rubbish_for:
            return "I cannot do this."
        number = re.search(r"this is number (\d+)", task)[1]
        said = {"description": f"Two {word}s beside lamp {number}.", "objects": [word, "Lamps"]}
        return f"```json\n{json.dumps(said)}\n```"

    def send(self, status, data, headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def completion(text):
    return json.dumps({"choices": [{"message": {"content": text}}]}).encode()


@pytest.fixture(autouse=True)
def planted(monkeypatch):
    monkeypatch.setenv(KEY_VARIABLES[0], KEY)
    monkeypatch.setenv(KEY_VARIABLES[1], "the other key")
    monkeypatch.setattr(chat_endpoint, "_FIRST_WAIT", 0.01)


@pytest.fixture
def serve():
    servers = []

    def start(*faults):
        servers.append(Server(*faults))
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def config(server, folder, **options):
    given = {"llm_timeout": 10.0, "llm_tries": 4, "llm_requests": 3, **options}
    return DescribeConfig(
        llm_endpoint=server.url, llm_model="writer", llm_cache=str(folder), **given
    )


def make(server, tmp_path, name="texts", answers="answers", **options):
    out = tmp_path / name / "texts"
    found = config(server, tmp_path / answers, **options)
    build(WORDS, found, OUTPUT, output_dir=out, progress_bar=False)
    return out


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("README.md", "config.yaml")  # they name the port
    }


def rejections(folder):
    manifest = json.loads((folder / "run" / "manifest.json").read_text("utf-8"))
    return {r["source_id"]: r["reason"] for unit in manifest["units"] for r in unit["rejections"]}


def assert_no_key(*folders):
    for folder in folders:
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert files
        for path in files:
            assert KEY.encode() not in path.read_bytes(), path
            assert KEY not in path.name


FAULTS = ("down", 503, 429, b"<html>", b"{}", b"[" * 5000, "no JSON", '{"text": 1}', 500)


def test_an_endpoint_that_fails_at_first_is_asked_again(serve, tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    server, good = serve(*FAULTS), serve()
    out, plain = make(server, tmp_path), make(good, tmp_path, "plain", "plain-answers")
    rows = load_dataset(str(out), "descriptions", split="train")
    assert len(rows) == 12 and rejections(out) == {} and set(rows["prompt_source"]) == {"endpoint"}
    for row in rows:
        (word,) = row["classes"]
        ((start, stop),) = word["spans"]
        assert row["prompt"][start:stop] == f"{word['name']}s" and row["nouns"] == ["lamp"]
    assert server.keys == {f"Bearer {KEY}"} and len(server.asked) >= 12 + len(FAULTS)
    # Failed tries leave no trace; an answer that was of no use changes nothing but the next one.
    shards = [p.relative_to(out) for p in out.rglob("*.parquet")]
    assert all((out / p).read_bytes() == (plain / p).read_bytes() for p in shards)
    assert_no_key(tmp_path)
    assert KEY not in caplog.text and KEY not in "".join(capfd.readouterr())


def test_a_slow_endpoint_is_asked_again(serve, tmp_path):
    server = serve("slow", "slow")
    out = make(server, tmp_path, llm_timeout=0.5, llm_tries=8)
    assert rejections(out) == {} and len(server.asked) >= 14


def test_rubbish_is_in_the_end_a_listed_rejection(serve, tmp_path):
    server = serve()
    server.rubbish_for = "owl"
    out = make(server, tmp_path)
    lost = rejections(out)
    assert len(lost) == 4 and set(lost.values()) == {"endpoint: the answer is not JSON"}
    assert all(name.startswith("2-owl-") for name in lost)
    assert len(server.asked) == 8 + 4 * 4
    assert "the answer is not JSON" in (out / "README.md").read_text("utf-8")
    repeated = Counter(json.dumps(body, sort_keys=True) for body in server.asked)
    assert set(repeated.values()) == {1}, "an answer of no use is not asked for in the same way"


def test_answers_on_disk_are_never_asked_for_again(serve, tmp_path):
    server = serve()
    server.rubbish_for = "balloon"
    out = make(server, tmp_path)
    count = len(server.asked)
    server.rubbish_for = None
    again = make(server, tmp_path, "again")
    assert len(server.asked) == count
    assert digests(again) == digests(out)


def test_a_run_that_was_stopped_goes_on_where_it_was(serve, tmp_path):
    server, good = serve(*[None] * 7, *[401] * 99), serve()
    with pytest.raises(OSError, match="status 401: it wants a key, or another one") as stopped:
        make(server, tmp_path)
    assert KEY not in str(stopped.value) and "run the same command again" in str(stopped.value)
    answered, server.faults = 7, []
    asked = len(server.asked)
    out = make(server, tmp_path)
    assert len(server.asked) - asked == 12 - answered
    assert digests(out) == digests(make(good, tmp_path, "plain", "plain-answers"))
    assert_no_key(tmp_path)


def test_an_endpoint_that_never_answers_is_an_error_and_not_a_dataset(serve, tmp_path):
    server = serve(*["down"] * 99)
    with pytest.raises(OSError, match="`llm_endpoint` .* cannot be used: no answer after 2 tries"):
        make(server, tmp_path, llm_tries=2)
    server.faults = []
    assert rejections(make(server, tmp_path)) == {}


def test_one_that_goes_away_is_an_error_in_the_end(serve):
    server = serve(None, *[500] * 99)
    endpoint = ChatEndpoint(server.url, timeout=5, tries=1)
    body = {"seed": 1, "messages": [{"content": "in which owl can be seen, this is number 1"}]}
    assert "Two owls" in endpoint.ask(body)
    for _ in range(chat_endpoint._MOST_IN_A_ROW - 1):
        with pytest.raises(NoAnswerError, match="no answer after 1 tries: status 500"):
            endpoint.ask(body)
    with pytest.raises(EndpointError, match="status 500"):
        endpoint.ask(body)
    asked = len(server.asked)
    with pytest.raises(EndpointError):
        endpoint.ask(body)
    assert len(server.asked) == asked, "nobody waits for one that was given up"


def test_a_redirect_is_not_followed(serve):
    other = serve()
    server = serve({"Location": f"{other.url}/chat/completions"})
    with pytest.raises(EndpointError, match="status 302: it lies elsewhere"):
        ChatEndpoint(server.url, timeout=5, tries=1).ask(ASKED)
    assert other.asked == []


def test_a_request_that_is_refused_is_not_asked_again(serve):
    server = serve(400)
    with pytest.raises(NoAnswerError, match="refused with status 400"):
        ChatEndpoint(server.url, timeout=5, tries=5).ask(ASKED)
    assert len(server.asked) == 1


def test_an_answer_that_tells_the_key_does_not_keep_it(serve):
    server = serve(completion(f"your key is {KEY}"))
    assert ChatEndpoint(server.url, timeout=5, tries=1).ask(ASKED) == "your key is ..."


def test_the_key_is_the_first_that_is_set(serve, monkeypatch):
    server = serve("x", "x", "x")
    ChatEndpoint(server.url, timeout=5, tries=1).ask(ASKED)
    monkeypatch.delenv(KEY_VARIABLES[0])
    ChatEndpoint(server.url, timeout=5, tries=1).ask(ASKED)
    monkeypatch.delenv(KEY_VARIABLES[1])
    ChatEndpoint(server.url, timeout=5, tries=1).ask(ASKED)
    assert server.keys == {f"Bearer {KEY}", "Bearer the other key", None}
    monkeypatch.setenv(KEY_VARIABLES[0], "two\nlines")
    with pytest.raises(ValueError, match="must be a key: printable ASCII") as refused:
        ChatEndpoint(server.url, timeout=5, tries=1)
    assert "two" not in str(refused.value)


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [("2", 2, 2), ("0.5", 0.5, 0.5), ("-1", 0, 0), ("soon", None, None), (None, None, None)],
)
def test_how_long_an_endpoint_wants_to_be_left_alone(header, least, most):
    found = chat_endpoint._seconds(header)
    assert found == least == most if least is None else least <= found <= most


def test_waiting_grows_and_ends():
    waits = [chat_endpoint._waiting({"seed": 7}, i, None) for i in range(30)]
    assert all(w <= 1.5 * chat_endpoint._LONGEST_WAIT for w in waits)
    assert chat_endpoint._waiting({}, 0, 1e9) == chat_endpoint._LONGEST_RETRY_AFTER


def test_a_damaged_answer_counts_for_nothing(tmp_path):
    cache = AnswerCache(tmp_path)
    cache.put(ASKED, "an answer")
    assert cache.get(ASKED) == "an answer" and AnswerCache(tmp_path).get({"seed": 2}) is None
    for text in ("", "{", "[]", '{"answer": 4}'):
        cache.path(ASKED).write_text(text)
        assert cache.get(ASKED) is None
    cache.put(ASKED, "another \ud800")
    assert cache.get(ASKED) == "another \ud800"


def test_the_command_keeps_answers_beside_the_dataset(serve, tmp_path, capsys):
    server, out = serve(429), tmp_path / "texts"
    main(
        ["describe", "--vocabulary=zebra,owl", "--descriptions_per_class=1", f"--output_dir={out}"]
        + ["--llm_endpoint", server.url, "--llm_model=writer"]
    )
    assert len(list((tmp_path / "texts-answers").rglob("*.json"))) == 2
    assert "requests to the endpoint that were made again: 1" in capsys.readouterr().out
    assert_no_key(tmp_path)
