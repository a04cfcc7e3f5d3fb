"""A webhook gives each of many broken requests the verdict of a plain reference, and none a 5xx."""

from __future__ import annotations

import hmac
import random
import re
import socket
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import pytest
import redis

from inbox import decoding, keys
from tests.builders import ANN, OUR_NUMBER
from tests.webhooks import TOKEN, Webhook, a_webhook

ACCOUNT = "AC1"
SID = re.compile(r"(SM|MM)[0-9a-fA-F]{32}")
GETS, POSTS = {"/livez", "/readyz", "/metrics"}, {"/sms", "/sms/fallback", "/sms/status"}
#: What a request may be answered with.
ANSWERS = {200, 204, 400, 403, 404, 405, 408, 413, 414, 431}
#: A request that is answered later than this hangs.
HANGS_SECONDS = 10.0
#: Header values and bodies of these bytes are hard on parsers.
ODD = [b"\0", b"\xff", b"%", b"%%", b"%zz", b"&", b"=", b"+", b";", b"\xc3\xa9", b"%C3%A9", b"%ED%A0%80", b"\x85", b" "]


@dataclass(frozen=True)
class Asked:
    """A request. The signature is of `target` and `body` at the time of `signed`."""

    method: str
    target: str
    body: bytes
    signature: bytes = b""

    def raw(self) -> bytes:
        return (
            (
                f"{self.method} {self.target} HTTP/1.1\r\nHost: cat.example\r\nContent-Length: {len(self.body)}\r\n"
                "Content-Type: application/x-www-form-urlencoded\r\n"
            ).encode("latin-1")
            + b"X-Twilio-Signature: "
            + self.signature
            + b"\r\n\r\n"
            + self.body
        )


def twilios(url: str, target: str, body: bytes, token: str = TOKEN) -> bytes:
    """The signature of Twilio's documentation, by the standard library."""
    fields = parse_qsl(body.decode("latin-1"), keep_blank_values=True, errors="surrogateescape")
    message = url + target + "".join(name + value for name, value in sorted(set(fields)))
    return b64encode(hmac.digest(token.encode(), message.encode("utf-8", "surrogateescape"), "sha1"))


def expected(url: str, asked: Asked) -> int:
    """What the webhook's reference says of a request, in the order in which it says it."""
    path = asked.target.partition("?")[0]
    if len(asked.body) > 65_536:
        return 413
    if path in GETS:
        if asked.method not in ("GET", "HEAD"):
            return 405
        # a signature is judged also where none is needed: `dadacat doctor` asks so whether the tokens agree
        return 200 if asked.signature.strip() == twilios(url, path, b"") else 403
    if path not in POSTS:
        return 404
    if asked.method != "POST":
        return 405
    try:
        pairs = parse_qsl(
            asked.body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=256, separator="&"
        )
    except ValueError:
        return 403
    form = dict(pairs)
    if asked.body.count(b"%") > 20_000 or len(form) < len(pairs):
        return 403
    # servers do not tell an empty query from none
    target = path if asked.target == f"{path}?" else asked.target
    if asked.signature.strip() != twilios(url, target, asked.body):
        return 403
    return _usable(path, form)


def _usable(path: str, form: dict[str, str]) -> int:
    required = [form.get(name, "").strip() for name in ("MessageSid", "To")]
    if not all(0 < len(value) <= 200 for value in required) or not SID.fullmatch(required[0]):
        return 400
    if form.get("AccountSid") != ACCOUNT:
        return 400
    if path == "/sms/status":
        status = form.get("MessageStatus") or form.get("SmsStatus", "").strip()
        return 204 if re.fullmatch("[a-z_]{1,40}", status.lower()) else 400
    media = form.get("NumMedia") or "0"
    sound = (
        0 < len(form.get("From", "").strip()) <= 200
        and len(form.get("Body", "")) <= (4096 if ":" in form["From"] else 1600)
        and re.fullmatch("(MG[0-9a-fA-F]{32})?", form.get("MessagingServiceSid", "")) is not None
        and re.fullmatch("[0-9]{1,9}", media) is not None
        and int(media) <= 10
        and required[1].rpartition(":")[2] == OUR_NUMBER
    )
    return 200 if sound else 400


# --- what is broken, before it is signed ---------------------------------------------------------------------------


def a_form(rng: random.Random) -> dict[str, str]:
    return {
        "MessageSid": f"SM{rng.getrandbits(128):032x}", "AccountSid": ACCOUNT, "From": ANN, "To": OUR_NUMBER,
        "Body": rng.choice(["hello", "", "it's 5*6 & more = ü \U0001f408", "x" * 1600]), "NumMedia": "0",
        "MessageStatus": rng.choice(["delivered", "SENT"]), "FromCity": "", "ApiVersion": "2010-04-01",
    }  # fmt: skip


def odd(rng: random.Random, value: str) -> str:
    return rng.choice(
        [
            "", " ", value + "0", value[:-1], value.upper(), value * 300, f" {value}", f"{value}\n", "\0", "é", "-1",
            "11", "1e3", "\u0661", "\u00b2", "whatsapp:" + value, "x" * 1601, "null", "%", "&a=b", value[::-1],
        ]
    )  # fmt: skip


def broken_form(rng: random.Random) -> bytes:
    form = a_form(rng)
    for _ in range(rng.choice([0, 0, 0, 1, 1, 2, 4])):
        name = rng.choice([*form, "MediaUrl0", "ErrorCode", "ErrorCode", "OptOutType", "MessagingServiceSid", "é", ""])
        how = rng.randrange(4)
        if how == 0:
            form.pop(name, None)
        else:
            form[name] = odd(rng, form.get(name, ""))
    pairs = list(form.items())
    if rng.random() < 0.1:
        pairs.insert(rng.randrange(len(pairs)), rng.choice(pairs))
    if rng.random() < 0.5:
        rng.shuffle(pairs)
    body = urlencode(pairs, quote_via=quote).encode().replace(b"%20", rng.choice([b"%20", b"+"]))
    for _ in range(rng.choice([0] * 8 + [1, 3])):
        at = rng.randrange(len(body) + 1)
        body = body[:at] + rng.choice(ODD) + body[at + rng.randrange(3) :]
    if rng.random() < 0.02:
        body += rng.choice([b"&a=" + b"x" * 70_000, b"&" * 300, b"&a=" + b"%41" * 17_000, b"&a=b" * 300])
    return body


def broken_request(rng: random.Random, url: str) -> Asked:
    target = rng.choice(["/sms"] * 6 + ["/sms/fallback", "/sms/status?i=SM1-0-a", "/sms/status", "/sms?a=b", "/SMS"])
    target = rng.choice([target] * 20 + [*GETS, "/", "/sms/", "/sms%2f", "/sms?", "/sms?=&&;%00", "//sms"])
    method = rng.choice(["POST"] * 12 + ["GET", "HEAD", "PUT", "OPTIONS", "BREW"])
    body = broken_form(rng)
    if rng.random() < 0.05:
        body = rng.randbytes(rng.randrange(200))
    signed = twilios(url, target, body)
    breaks: list[Callable[[], bytes]] = [
        lambda: b"", lambda: signed[:-1], lambda: signed + b"=", signed.lower, lambda: signed.replace(b"=", b""),
        lambda: twilios(url, target, body, "other"), lambda: twilios(url, target + "?", body), lambda: b"\xff" * 28,
        lambda: b"x" * 5_000, lambda: twilios(url, "/sms/status", body), lambda: twilios(url, target, b""),
    ]  # fmt: skip
    return Asked(method, target, body, signed if rng.random() < 0.75 else rng.choice(breaks)())


def broken_bytes(rng: random.Random, raw: bytes) -> bytes:
    """Change a request as bytes: what comes out may be no HTTP at all."""
    for _ in range(rng.choice([1, 1, 2, 5])):
        at, size = rng.randrange(len(raw) + 1), rng.randrange(4)
        raw = raw[:at] + rng.choice([b"", rng.randbytes(1), b"\r\n", b":", *ODD]) + raw[at + size :]
    return raw


# --- asking --------------------------------------------------------------------------------------------------------


class Client:
    """A connection that is opened again when the webhook closed it."""

    def __init__(self, webhook: Webhook) -> None:
        self._port = webhook.port
        self._socket: socket.socket | None = None

    def ask(self, asked: Asked) -> int:
        for attempt in (1, 2):
            if self._socket is None:
                self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=HANGS_SECONDS)
            try:
                self._socket.sendall(asked.raw())
                return self._status(asked.method)
            except ConnectionError:
                # it was closed after the answer before
                self.close()
                if attempt == 2:
                    raise
        raise AssertionError

    def _status(self, method: str) -> int:
        assert self._socket is not None
        data = b""
        while b"\r\n\r\n" not in data:
            more = self._socket.recv(65_536)
            if not more:
                raise ConnectionError("closed before an answer")
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = 0 if method == "HEAD" else int((re.search(rb"(?i)\r\ncontent-length: (\d+)", head) or [0, 0])[1])
        while len(body) < length:
            body += self._socket.recv(65_536)
        if b"connection: close" in head.lower():
            self.close()
        return int(head.split(b" ", 2)[1])

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None


@pytest.fixture(scope="module")
def webhook(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    with a_webhook(redis_url, tmp_path_factory.mktemp("webhook"), request_seconds=2) as running:
        yield running


@pytest.fixture
def requests(request: pytest.FixtureRequest) -> int:
    return 10_000 if request.config.option.markexpr == "long" else 300


def stored(client: redis.Redis) -> set[str]:
    read: Any = client.xrange  # two protocol versions, two types
    entries = [entry for key in client.keys(keys.texts("*")) for entry in read(key)]
    return {decoding.decode_text(fields[b"text"]).sid for _, fields in entries}


def test_each_broken_request_gets_the_verdict_of_the_reference(
    webhook: Webhook, redis_client: redis.Redis, requests: int
) -> None:
    rng, client = random.Random(requests), Client(webhook)
    wrong, counts, taken = [], dict.fromkeys(ANSWERS, 0), set()
    for _ in range(requests):
        asked = broken_request(rng, webhook.url)
        status, reference = client.ask(asked), expected(webhook.url, asked)
        counts[status] = counts.get(status, 0) + 1
        if status != reference:
            wrong.append((status, reference, asked))
        if status == 200 and asked.method == "POST":
            taken.add(dict(parse_qsl(asked.body.decode()))["MessageSid"].strip())
    client.close()

    assert wrong == []
    assert stored(redis_client) == taken
    # the mutations are not all refused for the same reason
    assert all(counts[status] >= requests / 100 for status in (200, 400, 403, 405)), counts


def test_broken_bytes_are_answered_or_hung_up_on_and_store_no_text_that_was_not_signed(
    webhook: Webhook, redis_client: redis.Redis, requests: int
) -> None:
    rng = random.Random(requests + 1)
    signed, statuses = set(), set()
    for _ in range(requests):
        form = a_form(rng)
        asked = Asked("POST", "/sms", urlencode(form).encode())
        asked = replace(asked, signature=twilios(webhook.url, "/sms", asked.body))
        signed.add(form["MessageSid"])
        with socket.create_connection(("127.0.0.1", webhook.port), timeout=HANGS_SECONDS) as connection:
            answer = b""
            try:
                connection.sendall(broken_bytes(rng, asked.raw()))
                connection.shutdown(socket.SHUT_WR)
                while more := connection.recv(65_536):
                    answer += more
            except ConnectionError:
                pass
        statuses |= {int(part.split(b" ", 1)[0]) for part in answer.split(b"HTTP/1.1 ")[1:]}

    assert statuses <= ANSWERS
    assert stored(redis_client) <= signed
    assert webhook.text(1) == 200
