"""Steps are recognised from a request's bytes; a fault excuses only the attempts that it touched."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from chaos.proxy import CuttingProxy, Exchange, Reaction, When
from chaos.steps import Step, attempt_of, step_of, took_effect
from chaos.witness import IN_FLIGHT_SECONDS, Witness
from conversation.storage import DynamoDBStorage
from inbox import keys
from inbox.connection import connect
from inbox.inbox import on_redis
from journal.model import Binding, FrozenReply, Reported, new_attempt_id
from journal.states import PartState
from journal.store import Journal
from sms.ports import OutboundSms
from sms.twilio import TwilioSender
from tests.builders import ANN, NOW, OUR_NUMBER, a_login, a_text, a_turn


class Tap:
    """A proxy that records every exchange."""

    def __init__(self, service: str, port: int, *, http: bool) -> None:
        self.seen: list[Exchange] = []
        self.proxy = CuttingProxy(service, ("127.0.0.1", port), http=http, observe=self._see)
        self.proxy.start()

    def _see(self, exchange: Exchange) -> Reaction:
        self.seen.append(exchange)
        return None

    def steps(self) -> list[Step]:
        steps = [step_of(exchange.service, exchange.request) for exchange in self.seen if exchange.when is When.BEFORE]
        return [step for step in steps if step is not None]


def test_the_steps_at_dynamodb_are_recognised_on_the_wire(dynamodb_url: str) -> None:
    tap = Tap("dynamodb", int(dynamodb_url.rpartition(":")[2]), http=True)
    store = Journal.on(DynamoDBStorage("Tapped", endpoint_url=f"http://127.0.0.1:{tap.proxy.port}"))
    conversation = store.conversations.open(ANN, now=NOW)
    turn = store.turns.file(a_turn(), now=NOW).turn
    answer = FrozenReply(conversation=conversation, turns=[turn], parts=("prrt",), token="t")
    store.turns.persist(answer, now=NOW)
    part = answer.new_parts()[0]
    attempt = new_attempt_id(part)
    claimed = store.outbox.claim(part, fence=conversation.fence, attempt_id=attempt, now=NOW)
    bound = store.outbox.bind(claimed, Binding(state=PartState.SENT, sid="SMout"), now=NOW)
    store.outbox.report(ANN, bound.key, Reported(attempt_id=attempt, sid="SMout", status="delivered"), now=NOW)
    tap.proxy.stop()

    assert tap.steps() == [Step.OPEN, Step.FILE, Step.PERSIST, Step.CLAIM, Step.BIND, Step.REPORT]
    about = {step_of(e.service, e.request): attempt_of(e.request) for e in tap.seen if e.when is When.AFTER}
    assert (about[Step.CLAIM], about[Step.BIND]) == (attempt, attempt)
    assert all(
        took_effect("dynamodb", e.answer) for e in tap.seen if e.when is When.AFTER and step_of(e.service, e.request)
    )


def test_the_steps_at_redis_are_recognised_on_the_wire(redis_client: object, redis_url: str) -> None:
    del redis_client
    tap = Tap("redis", int(redis_url.rpartition(":")[2].partition("/")[0]), http=False)
    client = connect(f"redis://127.0.0.1:{tap.proxy.port}/0")
    inbox = on_redis(client, who_key=b"k", lease=timedelta(seconds=20), wake_again=timedelta(seconds=60))
    text = a_text()
    inbox.texts.accept(text)
    popped = client.brpop([keys.QUEUE], timeout=1)
    from inbox import payloads  # noqa: PLC0415 - one use

    lease = inbox.leases.take(payloads.who(text.sender, b"k"))
    assert popped
    assert lease is not None
    (entry,) = inbox.texts.waiting(lease, limit=1)
    inbox.texts.remove(lease, [entry.entry_id])
    inbox.leases.close(lease)
    client.close()
    tap.proxy.stop()

    seen = list(dict.fromkeys(tap.steps()))
    assert seen == [Step.ACCEPT, Step.POP, Step.TAKE, Step.REMOVE, Step.CLOSE]


def exchange(step: str, attempt: str, when: When, answer: bytes = b"HTTP/1.1 200 OK\r\n\r\n") -> Exchange:
    requests = {
        "claim": f'x-amz-target: DynamoDB_20120810.TransactWriteItems {{"#claimed_at": 1, "a": "{attempt}"}}',
        "send": f"POST /2010-04-01/Accounts/AC1/Messages.json HTTP/1.1\r\n\r\ni%3D{attempt}",
        "bind": f'x-amz-target: DynamoDB_20120810.UpdateItem {{"#log": 1, "a": {{"S": "{attempt}"}}}}',
    }
    service = "twilio" if step == "send" else "dynamodb"
    return Exchange(service=service, when=when, request=requests[step].encode(), answer=answer)


A, B = "SMa-0-0123456789abcdef", "SMb-0r-fedcba9876543210"


def test_a_fault_excuses_what_its_worker_had_in_flight_and_nothing_else() -> None:
    witness = Witness()
    witness.saw("c0", exchange("claim", A, When.BEFORE), 1.0)
    witness.saw("c1", exchange("claim", B, When.BEFORE), 1.0)

    witness.struck(2.0, "kill", "c0", kind="kill")

    assert witness.excuses() == {A: "kill"}


def test_what_was_bound_needs_no_excuse_and_what_was_not_confirmed_does() -> None:
    witness = Witness()
    witness.saw("c0", exchange("claim", A, When.BEFORE), 1.0)
    witness.saw("c0", exchange("claim", B, When.BEFORE), 1.0)
    witness.saw("c0", exchange("bind", A, When.AFTER), 2.0)
    witness.saw("c0", exchange("bind", B, When.BEFORE), 2.0)

    witness.struck(3.0, "kill", "c0")
    witness.died("c0")
    witness.struck(4.0, "kill again", "c0")

    assert witness.excuses() == {B: "kill"}


def test_a_bind_that_others_overtook_needs_no_excuse() -> None:
    witness = Witness()
    witness.saw("c0", exchange("claim", A, When.BEFORE), 1.0)
    refused = b'HTTP/1.1 400 Bad Request\r\n\r\n{"__type": "ConditionalCheckFailedException"}'
    witness.saw("c0", exchange("bind", A, When.AFTER, refused), 2.0)

    witness.struck(3.0, "kill", "c0")

    assert witness.excuses() == {}


def test_an_attempt_of_long_ago_is_no_longer_on_its_way() -> None:
    witness = Witness()
    witness.saw("c0", exchange("claim", A, When.BEFORE), 1.0)

    witness.struck(1.0 + IN_FLIGHT_SECONDS, "kill", "c0")

    assert witness.excuses() == {}


def test_what_a_killed_worker_had_written_is_its_own_though_it_is_read_later() -> None:
    witness = Witness()
    witness.struck(1.0, "kill", "c0", kind="kill")
    witness.saw("c0", exchange("claim", A, When.BEFORE), 1.01)
    witness.died("c0")
    witness.saw("c0", exchange("claim", B, When.BEFORE), 3.0)

    assert witness.excuses() == {A: "kill"}


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n{}", "twilio answered 503"),
        (b"HTTP/1.1 201 Created\r\n\r\n{}", "twilio answered 201"),
    ],
)
def test_an_answer_that_proves_nothing_is_a_fault(answer: bytes, what: str) -> None:
    witness = Witness()
    witness.saw("c0", exchange("send", A, When.AFTER, answer), 1.0)

    assert witness.excuses() == {A: what}


def test_an_answer_that_proves_something_is_none() -> None:
    witness = Witness()
    for answer in (b'HTTP/1.1 201 Created\r\n\r\n{"sid": "SMx"}', b"HTTP/1.1 429 Too Many\r\n\r\n{}"):
        witness.saw("c0", exchange("send", A, When.AFTER, answer), 1.0)

    assert witness.excuses() == {}


def test_a_carrier_that_hangs_up_is_a_fault_of_that_attempt() -> None:
    witness = Witness()
    witness.saw("c0", replace(exchange("send", B, When.LOST), answer=b""), 1.0)

    assert witness.excuses() == {B: "twilio hung up"}


def test_a_send_is_recognised_by_its_own_bytes() -> None:
    """Capture what the real sender writes, on a server that reads one request and closes the connection."""
    import socket  # noqa: PLC0415 - one use
    import threading  # noqa: PLC0415 - one use

    taken: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            connection, _ = server.accept()
            with connection:
                taken.append(connection.recv(65_536))
                connection.settimeout(2)
                while b"Body=" not in taken[0]:
                    taken[0] += connection.recv(65_536)

        thread = threading.Thread(target=take)
        thread.start()
        sender = TwilioSender(
            account_sid="AC1", login=a_login("AC1", "x"), api_base_url=f"http://127.0.0.1:{server.getsockname()[1]}"
        )
        message = OutboundSms(
            to=ANN,
            sender=OUR_NUMBER,
            body="prrt",
            status_callback=f"https://cat.example/sms/status?i={A}",
            validity_seconds=60,
        )
        sender.send(message, may_begin=lambda: True)
        thread.join()

    assert step_of("twilio", taken[0]) is Step.SEND
    assert attempt_of(taken[0]) == A
