"""The remote VLM against a real HTTP server on this machine that reads what it is sent."""

from __future__ import annotations

import base64
import io
import json
import math
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from watchonce.contracts import Prompt
from watchonce.models.remote import RemoteVLM
from watchonce.models.vlm import load_vlm
from watchonce.types import BadInput, FrameBatch, MissingPackage, Note

from .builders import noise

Reply = tuple[int, Any]


class Endpoint:
    """A chat endpoint on 127.0.0.1; `answer(body, number of the call)` gives status and JSON."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.answer: Callable[[dict[str, Any], int], Reply] = lambda body, call: said("ok")
        endpoint = self

        class Listener(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.calls.append((self.path, dict(self.headers.items()), body))
                status, value = endpoint.answer(body, len(endpoint.calls))
                data = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                for name, text in {**endpoint.headers, "Content-Length": str(len(data))}.items():
                    self.send_header(name, text)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1#some-vlm"
        self.headers: dict[str, str] = {}
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)


def said(text: str, **more: Any) -> Reply:
    return 200, {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}, **more}]}


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    for name in ("WATCHONCE_API_KEY", "OPENAI_API_KEY", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    made = Endpoint()
    made.thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waits: list[float] = []
    monkeypatch.setattr("watchonce.models.remote.time.sleep", waits.append)
    return waits


def plain_film(count: int) -> FrameBatch:
    """Frames of one colour each, which JPEG keeps."""
    pixels = np.zeros((count, 3, 40, 60), np.uint8)
    pixels[:] = (
        np.array([200, 30, 90], np.uint8)[None, :, None, None]
        + np.arange(count, dtype=np.uint8)[:, None, None, None]
    )
    start = 12.5 + np.arange(count)
    return FrameBatch(pixels, start, start + 0.1)


def test_it_sends_frames_with_their_times_notes_and_text(endpoint: Endpoint) -> None:
    vlm = RemoteVLM(endpoint.url, size=(20, 30))
    tokens = vlm.encode(plain_film(2))
    assert tokens.data.shape == (2, 3 * 20 * 30)
    assert tokens.start.tolist() == [12.5, 13.5]
    prompt = vlm.prompt("What happens?", tokens, [Note("a cup", 1.0, 2.0)], system="Be brief.")
    endpoint.answer = lambda body, call: said(" A cup is washed. ")
    [reply] = vlm.generate([prompt], limit=9)
    assert reply.text == "A cup is washed."
    assert math.isnan(reply.logprob)
    path, headers, body = endpoint.calls[0]
    assert path == "/v1/chat/completions"
    assert "Authorization" not in headers
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("some-vlm", 0, 9)
    system, user = body["messages"]
    assert system == {"role": "system", "content": "Be brief."}
    kinds = [part["type"] for part in user["content"]]
    assert kinds == ["text", "image_url", "text", "image_url", "text"]
    assert user["content"][0]["text"] == "Frame at 00:00:12.500:"
    assert user["content"][-1]["text"] == "[1] 00:00:01.000-00:00:02.000 a cup\nWhat happens?"
    head, _, data = user["content"][3]["image_url"]["url"].partition(",")
    assert head == "data:image/jpeg;base64"
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert picture.shape == (20, 30, 3)
    assert abs(picture.astype(int) - [201, 31, 91]).max() <= 4


def test_dropped_frames_are_not_sent(endpoint: Endpoint) -> None:
    vlm = RemoteVLM(endpoint.url, size=(20, 30))
    tokens = vlm.encode(plain_film(5))
    vlm.generate([vlm.prompt("x", tokens[[0, 3]])])
    content = endpoint.calls[0][2]["messages"][0]["content"]
    assert [p["text"] for p in content if p["type"] == "text"][:2] == [
        "Frame at 00:00:12.500:",
        "Frame at 00:00:15.500:",
    ]
    assert sum(p["type"] == "image_url" for p in content) == 2


def test_the_key_comes_from_the_environment_and_is_not_kept(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    vlm = RemoteVLM(endpoint.url)
    monkeypatch.setenv("OPENAI_API_KEY", "second")
    vlm.generate([vlm.prompt("x")])
    monkeypatch.setenv("WATCHONCE_API_KEY", "first")
    vlm.generate([vlm.prompt("x")])
    assert [call[1]["Authorization"] for call in endpoint.calls] == ["Bearer second", "Bearer first"]
    assert "first" not in repr(vars(vlm))
    assert "first" not in vlm.name


def told(*letters: tuple[str, float]) -> dict[str, Any]:
    top = [{"token": token, "logprob": value} for token, value in letters]
    return {"logprobs": {"content": [{**top[0], "top_logprobs": top}]}}


def test_options_are_weighed_by_their_letters(endpoint: Endpoint) -> None:
    vlm = RemoteVLM(endpoint.url)
    options = ["red cup", "blue box", "green ball"]
    endpoint.answer = lambda body, call: said(
        "B", **told((" B", -0.2), ("b", -3.0), ("A", -1.5), ("The", -4.0))
    )
    [scores] = vlm.score([vlm.prompt("Which?")], [options])
    assert scores.tolist() == [-1.5, -0.2, -2.5]
    body = endpoint.calls[0][2]
    assert body["logprobs"] is True
    assert body["max_tokens"] == 1
    shown = body["messages"][-1]["content"][-1]["text"]
    assert shown.startswith("A. red cup\nB. blue box\nC. green ball\n")
    endpoint.answer = lambda body, call: said("(c) green ball")
    [scores] = vlm.score([vlm.prompt("Which?")], [options])
    assert scores.tolist() == [-math.inf, -math.inf, 0.0]
    endpoint.answer = lambda body, call: said("Perhaps")
    with pytest.raises(BadInput, match="'P' where a letter was asked"):
        vlm.score([vlm.prompt("Which?")], [options])
    with pytest.raises(BadInput, match="27 options"):
        vlm.score([vlm.prompt("Which?")], [["x"] * 27])


def test_reply_carries_the_log_probability_told(endpoint: Endpoint) -> None:
    tokens = [{"token": "a", "logprob": -0.5}, {"token": "b", "logprob": -1.5}]
    endpoint.answer = lambda body, call: said("a b", logprobs={"content": tokens})
    vlm = RemoteVLM(endpoint.url)
    [reply] = vlm.generate([vlm.prompt("x")])
    assert (reply.logprob, reply.tokens) == (-1.0, 2)


def test_a_server_that_refuses_log_probabilities_is_asked_without(endpoint: Endpoint) -> None:
    refusal = (400, {"error": {"message": "logprobs are not supported with this model"}})
    endpoint.answer = lambda body, call: refusal if "logprobs" in body else said("B")
    vlm = RemoteVLM(endpoint.url)
    assert vlm.generate([vlm.prompt("x")])[0].text == "B"
    [scores] = vlm.score([vlm.prompt("Which?")], [["red", "blue"]])
    assert scores.tolist() == [-math.inf, 0.0]
    assert ["logprobs" in body for _, _, body in endpoint.calls] == [True, False, False]


def test_it_tries_again_later_and_later_while_the_server_is_busy(
    endpoint: Endpoint, no_waiting: list[float]
) -> None:
    endpoint.answer = lambda body, call: (503, {"error": "busy"}) if call < 3 else said("at last")
    vlm = RemoteVLM(endpoint.url)
    assert vlm.generate([vlm.prompt("x")])[0].text == "at last"
    assert len(endpoint.calls) == 3
    assert 0.5 <= no_waiting[0] <= 1.0 <= no_waiting[1] <= 2.0
    endpoint.calls.clear()
    endpoint.headers["Retry-After"] = "7"
    vlm.generate([vlm.prompt("x")])
    assert no_waiting[2:] == [7.0, 7.0]


def test_several_requests_are_under_way_and_answers_keep_their_order(endpoint: Endpoint) -> None:
    meeting = threading.Barrier(3, timeout=20)  # breaks unless three requests are there together

    def answer(body: dict[str, Any], call: int) -> Reply:
        meeting.wait()
        return said(body["messages"][0]["content"][0]["text"].upper())

    endpoint.answer = answer
    vlm = RemoteVLM(endpoint.url, lines=3)
    replies = vlm.generate([vlm.prompt(word) for word in ("one", "two", "three")])
    assert [r.text for r in replies] == ["ONE", "TWO", "THREE"]


@pytest.mark.parametrize(
    ("answer", "error", "says", "calls"),
    [
        ((503, {}), MissingPackage, r"did not answer in 2 tries \(HTTP 503\)", 2),
        ((401, {}), BadInput, "refused the key .* set WATCHONCE_API_KEY or OPENAI_API_KEY", 1),
        ((404, {"error": "no such\nmodel"}), BadInput, "HTTP 404: .*no such", 1),
        ((200, b"<html>"), BadInput, "did not answer as /v1/chat/completions does", 1),
        ((200, {"choices": []}), BadInput, "did not answer as", 1),
    ],
)
def test_trouble_is_one_line(
    endpoint: Endpoint, answer: Reply, error: type[Exception], says: str, calls: int
) -> None:
    endpoint.answer = lambda body, call: answer
    vlm = RemoteVLM(endpoint.url, tries=2)
    with pytest.raises(error, match=says) as caught:
        vlm.generate([vlm.prompt("x")])
    assert "\n" not in str(caught.value)
    assert len(endpoint.calls) == calls


def test_a_server_that_is_not_there(endpoint: Endpoint) -> None:
    url = endpoint.url
    endpoint.server.shutdown()
    endpoint.server.server_close()
    vlm = RemoteVLM(url, tries=2)
    with pytest.raises(MissingPackage, match=r"ConnectError.* is the server up"):
        vlm.generate([vlm.prompt("x")])


def test_a_slow_server_runs_out_of_patience(endpoint: Endpoint) -> None:
    waiting = threading.Event()
    endpoint.answer = lambda body, call: (waiting.wait(5), said("late"))[1]
    vlm = RemoteVLM(endpoint.url, patience=0.2, tries=1)
    with pytest.raises(MissingPackage, match="ReadTimeout"):
        vlm.generate([vlm.prompt("x")])
    waiting.set()


def test_what_a_remote_model_cannot_do_is_said(endpoint: Endpoint, family_vlm: Any) -> None:
    vlm = RemoteVLM(endpoint.url, size=(20, 30))
    with pytest.raises(BadInput, match="use a local model for a kv memory"):
        vlm.prefill(vlm.prompt("x"))
    with pytest.raises(BadInput, match="use a local model for a weights memory"):
        vlm.mount(Path("x"))
    local = family_vlm("smolvlm")
    with pytest.raises(BadInput, match="only show frames it encoded itself"):
        vlm.prompt("x", local.encode(noise(2, (64, 64))))
    assert isinstance(local.prompt("x"), Prompt)
    with pytest.raises(BadInput, match="laid out for a local model"):
        vlm.generate([local.prompt("x")])


def test_addresses(endpoint: Endpoint) -> None:
    vlm = load_vlm(endpoint.url)
    assert vlm.name == endpoint.url
    assert vlm.revision == "remote:some-vlm"
    assert vlm.words is None
    with pytest.raises(BadInput, match="names no model: write http://host:port/v1#model-name"):
        load_vlm("http://127.0.0.1:9/v1")
    with pytest.raises(BadInput, match="must hold no password"):
        load_vlm("https://me:secret@host/v1#m")
