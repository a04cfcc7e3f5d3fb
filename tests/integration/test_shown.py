"""What people said never commands the terminal or forges a line, whichever command or page shows it."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from uuid import uuid4

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from conversation.models import Memory
from conversation.storage import DynamoDBStorage
from dadacat import cli
from journal.model import Binding, FrozenReply, new_attempt_id
from journal.states import PartState, TurnState
from journal.store import Journal
from runtime.visible import indented, visible
from simulator import story_page
from simulator.store import Message
from tests.builders import NOW, OUR_NUMBER, a_sid, a_turn
from tests.conftest import ROOT
from tests.networks import a_network
from tests.servers import a_server, asked_of, send

FORGED = "2026-01-01T00:00:00+00:00  cat     your refund is approved"
#: A title, a colour, the clipboard, an 8-bit control, a reversal, a hidden tag, and a line that looks like ours.
WORDS = f"\x1b]0;pwned\x07\x1b[31m\x1b]52;c;cHduZWQ=\x07\x9b2J\u202e\u2066\u200b\U000e0041\r\x08\n{FORGED}"
#: An address may be any string.
PERSON = "whatsapp:pwned\x1b[2J\u202e\x9b1m"
#: What our own lines are coloured with.
OURS = re.compile(r"\x1b\[(?:0|2|32|33|36|91|31)m")
TEXT, DEAD, REPLY = a_sid(), a_sid(), a_sid()

#: How each command is called, by its name. `{…}` is one of the values above.
CALLS = {
    "text": [["text", "hi"], ["text", "hi", "--json"]],
    "chat": [["chat", "--as", PERSON]],
    "history": [["history", PERSON], ["history", PERSON, "--json"]],
    "conversations list": [["conversations", "list", "--numbers"], ["conversations", "list", "--numbers", "--json"]],
    "conversations show": [["conversations", "show", PERSON]],
    "conversations export": [["conversations", "export", PERSON], ["conversations", "export", "--html", PERSON]],
    "explain": [["explain", TEXT, "--person", PERSON], ["explain", TEXT, "--json"], ["explain", DEAD]],
    "stats": [["stats", "--since", "9999d"], ["stats", "--since", "9999d", "--json"]],
    "costs": [
        ["costs", "--by", "person", "--numbers", "--since", "9999d"],
        ["costs", "--by", "engine", "--since", "9999d", "--json"],
    ],
    "audit": [["audit", "--numbers"], ["audit", "--numbers", "--json"]],
    "dead-letters list": [["dead-letters", "list"], ["dead-letters", "list", "--json"]],
    "dead-letters show": [["dead-letters", "show", DEAD]],
    "dead-letters replay": [["dead-letters", "replay", WORDS]],
    "dead-letters discard": [["dead-letters", "discard", "--yes", WORDS]],
    "conversations reset": [["conversations", "reset", PERSON], ["conversations", "reset", "--yes", WORDS]],
    "conversations forget": [["conversations", "forget", PERSON, "--keep-twilio"]],
}
#: These run processes, or show settings, counts or words of our own.
OTHERS = {
    "up", "webhook", "worker", "beat", "flower", "simulator", "init", "doctor", "connect", "settings", "reconcile",
    "chaos", "simulate-day", "gallery", "conversations import", "marks",
    "status", "logs", "down", "env", "help", "held list", "held show", "held resend", "held settle",
    "set-aside list", "set-aside discard", "console password", "top",
}  # fmt: skip


def names(group: click.Group, before: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from names(command, f"{before}{name} ")
        else:
            yield f"{before}{name}"


def assert_harmless(shown: str) -> None:
    hidden = [
        character
        for character in OURS.sub("", shown)
        if character not in "\n\u200c\u200d" and unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    ]
    assert hidden == []
    assert "\n2026-01-01" not in f"\n{shown}"


@pytest.fixture(scope="module")
def tables(dynamodb_url: str) -> dict[str, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "local")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "local")
        name = f"T{uuid4().hex[:12]}"
        journal = Journal.on(DynamoDBStorage(name, messages_table_name=f"{name}M", endpoint_url=dynamodb_url))
        conversation = journal.conversations.open(PERSON, now=NOW)
        answered = journal.turns.file(a_turn(WORDS, user_id=PERSON, sid=TEXT), now=NOW).turn
        remembers = conversation.remembering(Memory(summary=WORDS, told=(WORDS,)))
        reply = FrozenReply(
            conversation=remembers, turns=(answered,), parts=(WORDS,), token="t", facts={"engine": f"openai:{WORDS}"}
        )
        journal.turns.persist(reply, now=NOW)
        [part] = reply.new_parts()
        attempt_id = new_attempt_id(part)
        part = journal.outbox.claim(part, fence=conversation.fence, attempt_id=attempt_id, now=NOW)
        journal.outbox.bind(part, Binding(state=PartState.SENT, sid=REPLY, status=WORDS), now=NOW)
        dead = journal.turns.file(a_turn(WORDS, user_id=PERSON, sid=DEAD, at=1), now=NOW).turn
        journal.turns.note_error(dead, WORDS)
        journal.turns.settle(dead, TurnState.DEAD, reason=WORDS, fence=conversation.fence, now=NOW)
    return {"DYNAMODB_TABLE_NAME": name, "DYNAMODB_MESSAGES_TABLE_NAME": f"{name}M", "AWS_ENDPOINT_URL": dynamodb_url}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A network whose application answers each text with what XML can hold of the hostile words."""
    words = "".join(letter for letter in WORDS if letter >= " " or letter == "\n")
    twiml = f"<Response><Message>{words}</Message></Response>".encode()

    def answer(request: BaseHTTPRequestHandler) -> None:
        asked_of(request)
        send(request, twiml, kind="text/xml; charset=utf-8")

    with (
        a_server(answer) as url,
        a_network(tmp_path_factory.mktemp("network"), PUBLIC_URL=url, TWILIO_PHONE_NUMBER=OUR_NUMBER) as settings,
    ):
        yield dict(settings)


@pytest.mark.parametrize(
    "call", [call for calls in CALLS.values() for call in calls], ids=lambda call: visible(" ".join(call))
)
def test_a_command_shows_what_people_said_and_obeys_none_of_it(
    call: list[str], tables: dict[str, str], network: dict[str, str], redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**tables, **network, "REDIS_URL": redis_url}.items():
        monkeypatch.setenv(name, value)

    result = CliRunner().invoke(cli.main, call, input="\n", color=True)

    assert not isinstance(result.exception, Exception) or isinstance(result.exception, SystemExit), result.exception
    # on a page each text has a place of its own, so its line breaks forge nothing
    assert_harmless(result.output.replace(f"\n{FORGED}", "") if "--html" in call else result.output)
    assert "pwned" in result.output or {*call} & {"stats", "audit", "reset"}, result.output


def test_a_history_names_each_text_so_that_its_story_can_be_asked_for(
    tables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in tables.items():
        monkeypatch.setenv(name, value)

    shown = CliRunner().invoke(cli.main, ["history", PERSON]).output

    assert TEXT in shown
    assert REPLY not in shown


def test_a_dead_letter_is_shown_with_the_whole_number_only_if_asked_for(
    tables: dict[str, str], network: dict[str, str], redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**tables, **network, "REDIS_URL": redis_url}.items():
        monkeypatch.setenv(name, value)

    masked, whole = (
        json.loads(CliRunner().invoke(cli.main, ["dead-letters", "show", DEAD, *more]).output)["person"]
        for more in ([], ["--numbers"])
    )

    assert whole == PERSON
    assert masked.startswith("**")


def test_every_command_is_walked_or_shows_nothing_that_people_said() -> None:
    assert set(names(cli.main)) - set(CALLS) - OTHERS == set()


def test_the_story_page_shows_what_people_said_and_obeys_none_of_it() -> None:
    message = Message(
        sid=TEXT, sender=PERSON, recipient=OUR_NUMBER, body=f"{WORDS}<script>", direction="inbound",
        status="received", created=0, updated=0, sent=0, segments=1,
    )  # fmt: skip
    event = {"at": "now", "since": 0.0, "what": WORDS, "details": WORDS}

    page = story_page.page(message, {"verdict": WORDS, "state": WORDS, "cost": WORDS, "events": [event]})

    assert_harmless(page.replace(FORGED, ""))
    assert "<script>" not in page


@given(st.text())
def test_json_keeps_its_meaning(text: str) -> None:
    assert json.loads(visible(json.dumps(text, ensure_ascii=False))) == text


@given(st.text())
def test_what_is_shown_is_harmless_and_text_without_hidden_characters_is_unchanged(text: str) -> None:
    assert_harmless(visible(text).replace("\n2026", ""))
    assert visible(visible(text)) == visible(text)
    assert all(line.startswith("    ") for line in indented(text).split("\n")[1:])


def test_emoji_and_persian_are_shown_as_they_came() -> None:
    family, persian = "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"

    assert visible(family + persian) == family + persian


def test_commands_print_with_the_terminals_helper_only() -> None:
    direct = re.compile(r"\bclick\.(?:echo|secho|style|confirm)\(|\bprint\(")
    # `top` draws a page, and writes hidden characters out by itself (tests/unit/test_top.py)
    others = ("terminal.py", "top.py")
    files = [path for path in (ROOT / "dadacat").glob("*.py") if path.name not in others]

    assert {path.name: direct.findall(path.read_text()) for path in files if direct.search(path.read_text())} == {}
