"""The telephone network for the tests of an application: started, texted and asked from one process.

    with Simulator(webhook="http://127.0.0.1:5000/sms") as network:
        network.text("hello")
        assert network.wait_for_reply().body == "hello yourself"

The application sends to `network.url` instead of https://api.twilio.com, with `network.account_sid` and
`network.auth_token`. Everything is forgotten at the end.
"""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import httpx

from simulator.account import Account
from simulator.app import create_app
from simulator.faults import Faults
from simulator.network import Network
from simulator.rest.answers import MAX_PAGE_SIZE
from simulator.server import Server
from simulator.store import Number, Store

ACCOUNT_SID: Final = "AC" + "dada" * 8
NUMBER: Final = "+15005550006"
PERSON: Final = "+15551230001"
#: Time from creation to `sent`, and from `sent` to `delivered`: a test does not want to wait.
STATUS_SECONDS: Final = 0.01
#: Time for the network to answer, or to stop: it is a thread of the same process.
ANSWER_SECONDS: Final = 10.0
#: uvicorn's own time for an idle connection, and the shortest for requests in progress when the network stops.
KEEP_ALIVE_SECONDS: Final = 5
GRACE_SECONDS: Final = 1
#: How many requests to the application are named if no reply comes.
REQUESTS_NAMED: Final = 5


class NoReply(AssertionError):
    """No reply was delivered in time; the message names the latest requests to the application."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A message that was delivered to a telephone."""

    sid: str
    #: Which number of the account sent it.
    sender: str
    body: str
    #: The ids of its media; `Simulator.url` and `/phone/pictures/` before an id is its address.
    media: Sequence[str]


class Simulator:
    """A telephone network on a free port of 127.0.0.1, in a thread of this process."""

    def __init__(
        self,
        webhook: str = "",
        *,
        fallback: str = "",
        numbers: Sequence[str] = (NUMBER,),
        account_sid: str = ACCOUNT_SID,
        auth_token: str = "",
    ) -> None:
        """Prepare a network. `webhook`, `fallback`: where the texts to its numbers are posted, as at Twilio.

        `auth_token` empty: a random one.
        """
        self.account_sid = account_sid
        self.auth_token = auth_token or secrets.token_hex(16)
        self.number = numbers[0]
        #: The address of the network once it runs, such as `http://127.0.0.1:40001`.
        self.url = ""
        self._numbers = [
            Number(
                number=number, sid=f"PN{secrets.token_hex(16)}", created=time.time(),
                sms_url=webhook, sms_fallback_url=fallback,
            )
            for number in numbers
        ]  # fmt: skip
        self._running = ExitStack()
        self._changed = threading.Condition()
        #: The delivered messages of each telephone, in order, and how many `wait_for_reply` returned.
        self._delivered: dict[str, dict[str, Reply]] = {}
        self._returned: Counter[str] = Counter()

    def __enter__(self) -> Self:
        """Start the network."""
        with ExitStack() as opened:
            listening = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
            self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            server = self._server()
            thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
            thread.start()
            opened.callback(thread.join, ANSWER_SECONDS)
            opened.callback(setattr, server, "should_exit", True)
            self._http = opened.enter_context(httpx.Client(base_url=self.url, timeout=ANSWER_SECONDS, trust_env=False))
            self.state()
            self._running = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the network."""
        self._running.close()

    def _server(self) -> Server:
        """Build the network; its server closes its store."""
        store = Store("")
        store.numbers.replace(self._numbers)
        account = Account(sid=self.account_sid, token=self.auth_token)
        faults = Faults(sending_seconds=STATUS_SECONDS, delivery_seconds=STATUS_SECONDS)
        network = Network(store, account, faults=faults, base_url=self.url)
        network.switchboard.watch(self._note)
        return Server(create_app(network), network, keep_alive_seconds=KEEP_ALIVE_SECONDS, grace_seconds=GRACE_SECONDS)

    def set_webhook(self, webhook: str, *, fallback: str = "") -> None:
        """Set where the texts to all numbers are posted, and where they go if that fails."""
        login = (self.account_sid, self.auth_token)
        path = f"/2010-04-01/Accounts/{self.account_sid}/IncomingPhoneNumbers"
        listed = self._http.get(f"{path}.json", auth=login, params={"PageSize": MAX_PAGE_SIZE}).json()
        for number in listed["incoming_phone_numbers"]:
            urls = {"SmsUrl": webhook, "SmsFallbackUrl": fallback}
            self._checked(self._http.post(f"{path}/{number['sid']}.json", auth=login, data=urls))

    def text(self, body: str, *, sender: str = PERSON, to: str = "", pictures: Sequence[str] = ()) -> str:
        """Send a text from a telephone to a number of the account, the first by default; return its sid."""
        asked = {"from": sender, "to": to, "body": body, "pictures": list(pictures)}
        return str(self._checked(self._http.post("/phone/texts", json=asked))["sid"])

    def picture(self, data: bytes, content_type: str = "image/png") -> str:
        """Upload a picture that `text` may send; return its id."""
        answer = self._http.post("/phone/pictures", content=data, headers={"content-type": content_type})
        return str(self._checked(answer)["sid"])

    def wait_for_reply(self, *, phone: str = PERSON, seconds: float = 5.0) -> Reply:
        """Return the next message that is delivered to a telephone. Each call returns a later one.

        Raises `NoReply` if none comes within `seconds`.
        """
        with self._changed:
            place = self._returned[phone]
            if self._changed.wait_for(lambda: len(self._delivered.get(phone, ())) > place, timeout=seconds):
                self._returned[phone] += 1
                return list(self._delivered[phone].values())[place]
        # the network's thread needs the lock to go on, so that it can answer what was asked
        raise NoReply(f"no reply to {phone} within {seconds} s; {self._what_was_asked()}")

    def requests(self, message: str = "") -> list[dict[str, Any]]:  # Any: JSON
        """Return the requests to the application and their answers, oldest first.

        `message`: only those about this sid.
        """
        answer: list[dict[str, Any]] = self._http.get("/requests", params={"message": message}).json()
        return answer

    def state(self) -> dict[str, Any]:  # Any: JSON
        """Return the telephones and their messages."""
        return self._checked(self._http.get("/phone/state"))

    def misbehave(self, *rules: Mapping[str, Any], seed: int = 0) -> None:  # Any: JSON
        """Replace the fault rules, such as `{"at": "create", "do": "drop"}`; without rules, behave."""
        self._checked(self._http.put("/faults", json={"rules": rules, "seed": seed}))

    def client(self) -> Any:  # Any: the official client has no types
        """Return Twilio's official client, connected to this network."""
        from twilio.http.http_client import TwilioHttpClient  # noqa: PLC0415 - takes a second, and not all tests send
        from twilio.rest import Client  # noqa: PLC0415

        home = self.url

        class Here(TwilioHttpClient):  # type: ignore[misc]  # the official client has no types
            def request(self, method: str, url: str, *args: Any, **options: Any) -> Any:
                return super().request(method, url.replace("https://api.twilio.com", home), *args, **options)

        return Client(self.account_sid, self.auth_token, http_client=Here())

    def _note(self, event: Mapping[str, Any]) -> None:
        """Keep a message that reached a telephone. Called in the network's thread."""
        message = event.get("message", {})
        if message.get("mine") is not False or message["status"] != "delivered":
            return
        reply = Reply(sid=message["sid"], sender=message["number"], body=message["body"], media=tuple(message["media"]))
        with self._changed:
            self._delivered.setdefault(message["phone"], {}).setdefault(reply.sid, reply)
            self._changed.notify_all()

    def _what_was_asked(self) -> str:
        latest = self.requests()[-REQUESTS_NAMED:]
        lines = [
            f"{asked['method']} {asked['url']}: {asked['status'] or asked['failure']}"
            + (f", error {asked['error']} {asked['error_title']}" if asked["error"] else "")
            for asked in latest
        ]
        return "the latest requests: " + "; ".join(lines) if lines else "the application was not asked"

    @staticmethod
    def _checked(answer: httpx.Response) -> dict[str, Any]:  # Any: JSON
        """Return the answer's JSON. Raises `ValueError` with the network's sentence."""
        given: dict[str, Any] = answer.json()
        if not answer.is_success:
            raise ValueError(given.get("error") or given.get("message"))
        return given
