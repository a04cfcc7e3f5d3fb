"""A payload outlives a release, and a wake-up task is what Celery itself would have sent."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbox import doorbell, payloads
from inbox.payloads import UnreadableEntry
from sms.messages import DeliveryReport, Media, MessageSid
from tests.builders import a_text
from worker import wire

#: As written by release 0.1.0. Never change these lines: add the next release's below.
TEXT_0_1 = (
    b'{"v":1,"sid":"SM1","from":"+15551230001","to":"+15005550006","body":"hi","media":[["http://a","image/png"]],'
    b'"service":"MG1","opt_out":"STOP","repaired":true}'
)
REPORT_0_1 = b'{"v":1,"sid":"SM9","to":"+15551230001","status":"failed","attempt":"SM1-0-a","error":30003}'


def test_a_text_of_the_first_release_is_read() -> None:
    text = payloads.decode_text(TEXT_0_1)

    assert (text.sid, text.sender, text.body, text.opt_out_type, text.repaired) == (
        "SM1",
        "+15551230001",
        "hi",
        "STOP",
        True,
    )
    assert text.media == (Media(url="http://a", content_type="image/png"),)


def test_a_report_of_the_first_release_is_read() -> None:
    report = payloads.decode_report(REPORT_0_1)

    assert (report.sid, report.status, report.attempt_id, report.error_code) == ("SM9", "failed", "SM1-0-a", 30003)


@given(st.text())
def test_every_text_comes_back_as_it_went_in(body: str) -> None:
    body = body.encode(errors="replace").decode()
    text = a_text(body)

    assert payloads.decode_text(payloads.encode_text(text)) == text


def test_what_is_rare_comes_back_too() -> None:
    text = replace(
        a_text('with "quotes" and \\ and \n and é'), media=(Media(url="http://a", content_type="image/png"),),
        messaging_service_sid="MG1", opt_out_type="STOP", repaired=True, found_after_seconds=7,
    )  # fmt: skip

    assert payloads.decode_text(payloads.encode_text(text)) == text
    assert set(json.loads(payloads.encode_text(text))) == {
        "v", "sid", "from", "to", "body", "media", "service", "opt_out", "repaired", "late",
    }  # fmt: skip


def test_every_report_comes_back_as_it_went_in() -> None:
    report = DeliveryReport(sid=MessageSid("SM1"), to="+1", status="sent", attempt_id="SM1-0-a", error_code=None)

    assert payloads.decode_report(payloads.encode_report(report)) == report


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xff\xfe", b"[]", b"{}", b'{"v":"1"}', b'{"v":1}', b'{"v":99,"sid":"SM1"}', b'{"v":1,"sid":1,"media":3}'],
)
def test_what_no_one_wrote_is_unreadable_and_nothing_worse(payload: bytes) -> None:
    with pytest.raises(UnreadableEntry):
        payloads.decode_text(payload)
    with pytest.raises(UnreadableEntry):
        payloads.decode_report(payload)


def test_a_name_is_the_same_under_one_key_and_hides_the_number() -> None:
    name = payloads.who("+15551230001", b"key")

    assert name == payloads.who("+15551230001", b"key")
    assert name != payloads.who("+15551230001", b"other")
    assert "555" not in name


def test_the_pattern_of_a_doorbell_is_what_the_installed_celery_builds() -> None:
    built = json.loads(files("inbox").joinpath("doorbell.json").read_text())

    assert built == wire.doorbell(), "this Celery builds another message: run scripts/doorbell to write the template"


@pytest.mark.parametrize("args", [("0123456789abcdef01234567",), ()])
def test_a_doorbell_is_what_celery_would_have_sent(args: tuple[str, ...]) -> None:
    from worker.app import app  # noqa: PLC0415 - it reads settings

    theirs = wire.sent_by_celery(app, payloads.ANSWER_TASK, *args)
    ours = json.loads(doorbell.ring(payloads.ANSWER_TASK, *args))

    # Celery adds the time limit if the sender knows the tasks; without one a worker takes its own
    changing = {"id", "root_id", "origin", "timelimit", "argsrepr"}
    assert {k: v for k, v in ours["headers"].items() if k not in changing} == {
        k: v for k, v in theirs["headers"].items() if k not in changing
    }
    assert ours["headers"]["timelimit"] == [None, None]
    assert ours["headers"]["argsrepr"] == repr(list(args))
    assert ours["body"] == theirs["body"]
    assert ours["content-type"] == theirs["content-type"]
    assert ours["content-encoding"] == theirs["content-encoding"]
    for name in ("delivery_mode", "priority", "body_encoding", "delivery_info"):
        assert ours["properties"][name] == theirs["properties"][name]


def test_every_doorbell_has_ids_of_its_own() -> None:
    tasks = [json.loads(doorbell.ring(payloads.ANSWER_TASK, "ab")) for _ in range(100)]

    assert (
        len({task["headers"]["id"] for task in tasks} | {task["properties"]["delivery_tag"] for task in tasks}) == 200
    )
    assert all(task["headers"]["id"] == task["properties"]["correlation_id"] for task in tasks)


def test_ids_of_bells_that_are_made_elsewhere_are_no_one_elses() -> None:
    one, two = (doorbell.bells(payloads.ANSWER_TASK, doorbell.MOST_IDS // 2) for _ in range(2))
    alone = json.loads(doorbell.ring(payloads.ANSWER_TASK, "ab"))["headers"]["id"]

    assert one.ids == two.ids == alone[:-12].encode()
    assert two.first - one.first == doorbell.MOST_IDS
    assert int(alone[-12:], 16) == two.first + doorbell.MOST_IDS
    with pytest.raises(ValueError, match="no more than"):
        doorbell.bells(payloads.ANSWER_TASK, doorbell.MOST_IDS // 2 + 1)
    for bad in ("ab", '"]}'):
        with pytest.raises(ValueError, match="a plain name"):
            doorbell.encoded(bad)


def test_a_forked_process_makes_ids_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = doorbell.bells(payloads.ANSWER_TASK, 1), json.loads(doorbell.ring(payloads.ANSWER_TASK, "ab"))

    monkeypatch.setattr("os.getpid", lambda: -1)
    theirs = doorbell.bells(payloads.ANSWER_TASK, 1), json.loads(doorbell.ring(payloads.ANSWER_TASK, "ab"))

    assert ours[0].ids != theirs[0].ids
    assert ours[1]["headers"]["id"][:24] != theirs[1]["headers"]["id"][:24]
    assert theirs[1]["headers"]["origin"].startswith("gen-1@")


def test_a_doorbell_carries_plain_names_only() -> None:
    with pytest.raises(ValueError, match="plain names"):
        doorbell.ring(payloads.ANSWER_TASK, 'x"], {}, {}]')
