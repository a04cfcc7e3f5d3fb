"""A payload outlives a release, and a wake-up task is what Celery itself would have sent."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from celery import Celery
from celery.worker.request import Request
from hypothesis import given
from hypothesis import strategies as st
from kombu import Connection
from kombu.transport import memory, virtual

from inbox import decoding, keys, payloads, wakeup
from inbox.decoding import UnreadableEntry
from sms.messages import DeliveryReport, Media, MessageSid
from tests.builders import a_text

#: As written by release 0.1.0. Never change these lines: add the next release's below.
TEXT_0_1 = (
    b'{"v":1,"sid":"SM1","from":"+15551230001","to":"+15005550006","body":"hi","media":[["http://a","image/png"]],'
    b'"service":"MG1","opt_out":"STOP","repaired":true}'
)
REPORT_0_1 = b'{"v":1,"sid":"SM9","to":"+15551230001","status":"failed","attempt":"SM1-0-a","error":30003}'


def test_a_text_of_the_first_release_is_read() -> None:
    text = decoding.decode_text(TEXT_0_1)

    assert (text.sid, text.sender, text.body, text.opt_out_type, text.repaired) == (
        "SM1",
        "+15551230001",
        "hi",
        "STOP",
        True,
    )
    assert text.media == (Media(url="http://a", content_type="image/png"),)


def test_a_report_of_the_first_release_is_read() -> None:
    report = decoding.decode_report(REPORT_0_1)

    assert (report.sid, report.status, report.attempt_id, report.error_code) == ("SM9", "failed", "SM1-0-a", 30003)


@given(st.text())
def test_every_text_comes_back_as_it_went_in(body: str) -> None:
    body = body.encode(errors="replace").decode()
    text = a_text(body)

    assert decoding.decode_text(payloads.encode_text(text)) == text


def test_what_is_rare_comes_back_too() -> None:
    text = replace(
        a_text('with "quotes" and \\ and \n and é'), media=(Media(url="http://a", content_type="image/png"),),
        messaging_service_sid="MG1", opt_out_type="STOP", repaired=True, found_after_seconds=7,
    )  # fmt: skip

    assert decoding.decode_text(payloads.encode_text(text)) == text
    assert set(json.loads(payloads.encode_text(text))) == {
        "v", "sid", "from", "to", "body", "media", "service", "opt_out", "repaired", "late",
    }  # fmt: skip


def test_every_report_comes_back_as_it_went_in() -> None:
    report = DeliveryReport(sid=MessageSid("SM1"), to="+1", status="sent", attempt_id="SM1-0-a", error_code=None)

    assert decoding.decode_report(payloads.encode_report(report)) == report


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xff\xfe", b"[]", b"{}", b'{"v":"1"}', b'{"v":1}', b'{"v":99,"sid":"SM1"}', b'{"v":1,"sid":1,"media":3}'],
)
def test_what_no_one_wrote_is_unreadable_and_nothing_worse(payload: bytes) -> None:
    with pytest.raises(UnreadableEntry):
        decoding.decode_text(payload)
    with pytest.raises(UnreadableEntry):
        decoding.decode_report(payload)


def test_a_name_is_the_same_under_one_key_and_hides_the_number() -> None:
    name = payloads.who("+15551230001", b"key")

    assert name == payloads.who("+15551230001", b"key")
    assert name != payloads.who("+15551230001", b"other")
    assert "555" not in name


#: As the webhook of release 0.1.0 pushed it.
WAKE_UP_0_1 = (
    b'{"body": "W1siMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3Il0sIHt9LCB7ImNhbGxiYWNrcyI6IG51bGwsICJlcnJiYWNrcyI6IG51bGwsICJja'
    b'GFpbiI6IG51bGwsICJjaG9yZCI6IG51bGx9XQ==", "content-encoding": "utf-8", "content-type": "application/json", '
    b'"headers": {"lang": "py", "task": "dadacat.answer", "id": "0a8f3f0e-0000-4000-8000-000000000001", "shadow": null,'
    b' "eta": null, "expires": null, "group": null, "group_index": null, "retries": 0, "timelimit": [null, null], '
    b'"root_id": "0a8f3f0e-0000-4000-8000-000000000001", "parent_id": null, '
    b'"argsrepr": "[\'0123456789abcdef01234567\']", "kwargsrepr": "{}", "origin": "gen1@host", "ignore_result": true, '
    b'"replaced_task_nesting": 0, "stamped_headers": null, "stamps": {}}, "properties": {"correlation_id": '
    b'"0a8f3f0e-0000-4000-8000-000000000001", "reply_to": "", "delivery_mode": 2, "delivery_info": {"exchange": "", '
    b'"routing_key": "doorbells"}, "priority": 0, "body_encoding": "base64", "delivery_tag": '
    b'"0a8f3f0e-0000-4000-8000-000000000002"}}'
)
PERSON = "0123456789abcdef01234567"


def worker_app() -> Celery:
    from worker.app import app  # noqa: PLC0415 - it reads settings

    app.loader.import_default_modules()
    return app


def as_a_worker_reads(message: bytes) -> Request:
    """Unpack a task message as Celery's worker does."""
    with Connection("memory://") as connection, connection.channel() as channel:
        assert isinstance(channel, virtual.Channel)
        received = virtual.Message(json.loads(message), channel=channel)
        app = worker_app()
        return Request(
            received, app=app, task=app.tasks[received.headers["task"]], body=received.body, headers=received.headers
        )


def published_by_celery(task: str, *args: str) -> dict[str, Any]:
    """Return what `apply_async` of the worker's own task hands to the transport."""
    app = worker_app()
    with app.connection_for_write("memory://") as connection, connection.channel() as channel:
        app.tasks[task].apply_async(args=args, producer=app.amqp.Producer(channel))
        assert isinstance(channel, memory.Channel)
        message: dict[str, Any] = channel._get(keys.QUEUE)
        return message


@pytest.mark.parametrize(("task", "args"), [(payloads.ANSWER_TASK, (PERSON,)), (payloads.RECEIPTS_TASK, ())])
def test_a_wake_up_task_is_what_celery_publishes(task: str, args: tuple[str, ...]) -> None:
    theirs = published_by_celery(task, *args)
    ours = json.loads(wakeup.message(task, *args))

    # the sender of a known task adds its time limit; without one a worker takes its own
    fresh = {"id", "root_id", "origin", "timelimit"}
    assert {k: v for k, v in ours["headers"].items() if k not in fresh} == {
        k: v for k, v in theirs["headers"].items() if k not in fresh
    }
    assert ours["headers"].keys() == theirs["headers"].keys()
    assert ours["properties"].keys() == theirs["properties"].keys()
    assert ours["headers"]["timelimit"] == [None, None]
    assert ours["body"] == theirs["body"]
    assert ours["content-type"] == theirs["content-type"]
    assert ours["content-encoding"] == theirs["content-encoding"]
    for name in ("delivery_mode", "priority", "body_encoding", "delivery_info"):
        assert ours["properties"][name] == theirs["properties"][name]


@pytest.mark.parametrize("message", [wakeup.message(payloads.ANSWER_TASK, PERSON), WAKE_UP_0_1], ids=["new", "0.1"])
def test_a_worker_reads_a_wake_up_task_of_this_release_and_of_the_last(message: bytes) -> None:
    request = as_a_worker_reads(message)

    assert request.name == payloads.ANSWER_TASK
    assert (request.args, request.kwargs) == ([PERSON], {})
    assert request.ignore_result
    assert request.correlation_id == request.id


def test_every_wake_up_task_has_an_id_of_its_own() -> None:
    tasks = [json.loads(wakeup.message(payloads.ANSWER_TASK, "ab")) for _ in range(100)]

    assert len({task["headers"]["id"] for task in tasks}) == 100
    for task in tasks:
        task_id = task["headers"]["id"]
        assert task_id == task["headers"]["root_id"] == task["properties"]["correlation_id"]


@given(st.text(max_size=20).filter(lambda name: name.isprintable()))
def test_a_name_of_any_form_stays_one_argument(name: str) -> None:
    assert as_a_worker_reads(wakeup.message(payloads.ANSWER_TASK, name)).args == [name]
