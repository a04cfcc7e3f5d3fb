"""What only an operator can decide: held replies, dead letters, and items that were set aside."""

from __future__ import annotations

from contextlib import nullcontext
from urllib.parse import quote

from starlette.responses import Response

from console.actions import Action, Done, Question
from console.desk import Desk
from console.pages import Page
from console.pages.now import LISTED
from console.request import ConsoleRequest
from console.views import Views
from operations import set_aside
from operations.errors import BadRequest
from runtime.isolation import BadItem


class Decisions:
    """Their pages and actions."""

    def __init__(self, desk: Desk, views: Views) -> None:
        self._desk = desk
        self._views = views

    def pages(self) -> list[Page]:
        """Return the pages."""
        return [
            Page("/held", self.held),
            Page("/held/{name}", self.held_reply),
            Page("/dead-letters", self.dead_letters),
            Page("/dead-letters/{name}", self.dead_letter),
        ]

    def actions(self) -> list[Action]:
        """Return the actions."""
        return [
            Action(path="/held/{name}/resend", what="resend", act=self.resend, question=_ask_resend),
            Action(path="/held/{name}/settle", what="settle", act=self.settle, question=_ask_settle),
            Action(path="/dead-letters/{name}/replay", what="replay", act=self.replay, question=_ask_replay),
            Action(path="/dead-letters/{name}/discard", what="discard", act=self.discard, question=_ask_discard),
            Action(path="/set-aside/{name}/discard", what="discard set aside", act=self.drop, question=_ask_drop),
        ]

    def held(self, asked: ConsoleRequest) -> Response:
        """List the replies in doubt."""
        unread: list[BadItem] = []
        search = asked.query.get("search") == "all"
        with self._desk.reading.turn() if search else nullcontext():
            found = list(self._desk.held.listed(LISTED, search=search, set_aside=unread.append))
        replies = [{**reply, "name": self._views.name(asked, reply["person"])} for reply in found]
        return self._views.page(asked, "held.html", "Held", replies=replies, unread=unread)

    def held_reply(self, asked: ConsoleRequest) -> Response:
        """Show one reply in doubt."""
        reply = self._desk.held.show(asked.path["name"])
        who = self._desk.people.who(reply["person"])
        name = self._views.name(asked, reply["person"])
        return self._views.page(asked, "held_reply.html", "Held reply", reply=reply, who=who, name=name)

    def dead_letters(self, asked: ConsoleRequest) -> Response:
        """List the dead letters, and what was set aside."""
        letters = list(self._desk.dead_letters.list(LISTED))
        aside = list(set_aside.listed(self._desk.journal, LISTED))
        return self._views.page(asked, "dead_letters.html", "Dead letters", letters=letters, aside=aside)

    def dead_letter(self, asked: ConsoleRequest) -> Response:
        """Show one dead letter with its traceback."""
        letter = self._desk.dead_letters.show(asked.path["name"])
        who = self._desk.people.who(letter["person"])
        name = self._views.name(asked, letter["person"])
        return self._views.page(asked, "dead_letter.html", "Dead letter", letter=letter, who=who, name=name)

    def resend(self, asked: ConsoleRequest) -> Done:
        """Have a held reply sent again."""
        return Done(said=f"{self._desk.held.resend(asked.path['name'])}.", to="/held")

    def settle(self, asked: ConsoleRequest) -> Done:
        """Record what became of a held reply."""
        word = asked.form.get("was", "")
        if word not in {"sent", "not sent"}:
            raise BadRequest("say whether the reply was sent or not sent")
        return Done(said=f"{self._desk.held.settle(asked.path['name'], was_sent=word == 'sent')}.", to="/held")

    def replay(self, asked: ConsoleRequest) -> Done:
        """Queue a dead letter again."""
        name = asked.path["name"]
        done = self._desk.dead_letters.replay(name)
        return Done(said=f"{name} {'is queued again' if done else 'is no longer a dead letter'}.", to="/dead-letters")

    def discard(self, asked: ConsoleRequest) -> Done:
        """Take a dead letter off the list."""
        name = asked.path["name"]
        done = self._desk.dead_letters.discard(name)
        return Done(said=f"{name} {'is discarded' if done else 'is no longer a dead letter'}.", to="/dead-letters")

    def drop(self, asked: ConsoleRequest) -> Done:
        """Take an item off the list of what was set aside."""
        set_aside.discard(self._desk.journal, self._desk.inbox, asked.path["name"])
        return Done(said=f"{asked.path['name']} is discarded.", to="/dead-letters")


def _of(kind: str, asked: ConsoleRequest) -> str:
    return f"/{kind}/{quote(asked.path['name'], safe='')}"


def _ask_resend(asked: ConsoleRequest) -> Question:
    return Question(
        title="Send it again?",
        sentences=(
            f"{asked.path['name']} may have been sent already.",
            "Twilio's list is read once more. If it has the message, the reply is settled as sent.",
            "Otherwise it is sent again, once, and the person may get it twice.",
        ),
        button="Send it again",
        back=_of("held", asked),
    )


def _ask_settle(asked: ConsoleRequest) -> Question:
    return Question(
        title="What became of it?",
        sentences=(
            f"Your word on {asked.path['name']} is recorded. It leaves the list, and is not sent again.",
            "A report of Twilio that comes later still counts.",
        ),
        button="Record it",
        back=_of("held", asked),
        choice=("was", (("sent", "It was sent"), ("not sent", "It was not sent"))),
    )


def _ask_replay(asked: ConsoleRequest) -> Question:
    return Question(
        title="Queue it again?",
        sentences=(
            f"{asked.path['name']} is queued again, and a worker tries it like a new text.",
            "Replaying it twice answers it once.",
        ),
        button="Queue it again",
        back=_of("dead-letters", asked),
    )


def _ask_discard(asked: ConsoleRequest) -> Question:
    return Question(
        title="Discard it?",
        sentences=(f"{asked.path['name']} will never be answered.", "It leaves the list; its row stays."),
        button="Discard it",
        is_final=True,
        back=_of("dead-letters", asked),
    )


def _ask_drop(asked: ConsoleRequest) -> Question:
    return Question(
        title="Discard it?",
        sentences=(
            f"{asked.path['name']} is taken off the list.",
            "A row that is not mended comes back; a message or a report does not, and is lost.",
        ),
        button="Discard it",
        is_final=True,
        back="/dead-letters",
    )
