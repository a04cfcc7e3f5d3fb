"""What an operator does with a person: search, reveal, export, reset, forget."""

from __future__ import annotations

from starlette.responses import Response

from console.actions import Action, Done, Question
from console.desk import Desk
from console.request import ConsoleRequest, local_path
from console.views import Views
from operations import conversations, explain, export
from operations.errors import BadRequest, NotFound
from operations.logins import Role
from operations.one_at_a_time import OneAtATime
from runtime.isolation import BadItem
from sms.messages import is_sid


class PersonActions:
    """The actions."""

    def __init__(self, desk: Desk, views: Views) -> None:
        self._desk = desk
        self._views = views
        self._searching = OneAtATime("a text is looked for")

    def actions(self) -> list[Action]:
        """Return the actions."""
        of_person = "/people/{who}/"
        return [
            Action(path="/people/search", what="search", role=Role.LOOK, act=self.search, target=self._found),
            Action(path=of_person + "reveal", what="reveal", role=Role.LOOK, act=self.reveal),
            Action(path=of_person + "export", what="export", act=self.export, question=self.ask_export),
            Action(path=of_person + "reset", what="reset", act=self.reset, question=self.ask_reset),
            Action(path=of_person + "forget", what="forget", act=self.forget, question=self.ask_forget),
        ]

    def search(self, asked: ConsoleRequest) -> Done:
        """Find a person by number, or a text by its sid."""
        typed = asked.form.get("what", "").strip()
        if is_sid(typed):
            # what Twilio does not know is looked for in the whole journal
            with self._searching.turn():
                turn = explain.turn_of(self._desk.journal, self._desk.message_list, typed)
            return Done(to=f"/people/{self._desk.people.who(turn.user_id)}/texts/{turn.sid}")
        person = self._desk.typed(typed) if typed else ""
        if not person or self._desk.journal.storage.get(person) is None:
            raise NotFound("there is no such conversation: type a whole number, or a MessageSid")
        return Done(to=f"/people/{self._desk.people.who(person)}")

    def _found(self, asked: ConsoleRequest) -> str:
        """Return what the audit log names of a search: a sid, or the hash of a number, known or not."""
        typed = asked.form.get("what", "").strip()[:64]
        return typed if is_sid(typed) else self._desk.people.hash_of(self._desk.typed(typed))

    def reveal(self, asked: ConsoleRequest) -> Done:
        """Show a person's number and words in this session, for a while."""
        self._desk.people.user_id(asked.path["who"])
        self._desk.authentication.sessions.show(asked.session, asked.path["who"])
        return Done(to=local_path(asked.form.get("next", "")))

    def export(self, asked: ConsoleRequest) -> Done:
        """Return the whole conversation, as `dadacat conversations export` writes it."""
        journal, person = self._desk.journal, self._desk.people.user_id(asked.path["who"])
        conversations.known(journal, person)
        unread: list[BadItem] = []
        as_page = asked.form.get("as") == "page"
        lines = export.page(journal, person) if as_page else export.lines(journal, [person], unread.append)
        content = "".join(f"{line}\n" for line in lines)
        if unread:
            raise BadRequest(f"{unread[0].kind} {unread[0].name} cannot be read: nothing is exported")
        name = f"conversation-{asked.path['who'][:8]}.{'html' if as_page else 'jsonl'}"
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return Done(file=Response(content, media_type="application/octet-stream", headers=headers))

    def reset(self, asked: ConsoleRequest) -> Done:
        """Clear the cat's window and memory of a person."""
        conversations.reset(self._desk.journal, self._desk.people.user_id(asked.path["who"]))
        return Done(said="The cat remembers nothing of this person.", to=f"/people/{asked.path['who']}")

    def forget(self, asked: ConsoleRequest) -> Done:
        """Delete a person from the tables, Redis and Twilio."""
        receipts = self._desk.forget(self._desk.people.user_id(asked.path["who"]))
        self._desk.people.forget(asked.path["who"])
        rows, twilio = (sum(getattr(receipt, name) for receipt in receipts) for name in ("rows", "twilio"))
        kept = sum(receipt.twilio_kept for receipt in receipts)
        said = f"{asked.path['who']} is forgotten: {rows} rows and {twilio} of Twilio's copies were deleted."
        said += f" Twilio keeps {kept}, which are still under way: forget again later." if kept else ""
        return Done(said=said, to="/people")

    def ask_export(self, asked: ConsoleRequest) -> Question:
        """Name what an export is."""
        person = self._views.label(asked, self._desk.people.user_id(asked.path["who"]))
        return Question(
            title="Export the conversation?",
            sentences=(
                f"A file with everything that {person} and the cat said, with the number, leaves this console.",
                "Its reader needs no login: keep it where such files belong.",
            ),
            button="Export",
            back=f"/people/{asked.path['who']}",
            choice=(
                "as",
                (("lines", "JSON lines, which dadacat conversations import reads"), ("page", "A page to read")),
            ),
        )

    def ask_reset(self, asked: ConsoleRequest) -> Question:
        """Name what a reset does."""
        person = self._views.label(asked, self._desk.people.user_id(asked.path["who"]))
        return Question(
            title="Reset the conversation?",
            sentences=(
                f"The cat will remember nothing of {person}. The journal keeps its record.",
                "A person who sent STOP still gets no reply.",
            ),
            button="Reset",
            back=f"/people/{asked.path['who']}",
        )

    def ask_forget(self, asked: ConsoleRequest) -> Question:
        """Name what an erasure deletes, and what stays."""
        person = self._views.label(asked, self._desk.people.user_id(asked.path["who"]))
        return Question(
            title="Forget this person?",
            sentences=(
                f"Everything about {person} is deleted from both tables, from Redis and at Twilio.",
                "It cannot be restored.",
                "Keyed hashes of the texts stay for 30 days, so that a text that comes late is not answered.",
                "A keyed hash of a STOP stays for ten years.",
            ),
            button="Forget",
            is_final=True,
            back=f"/people/{asked.path['who']}",
        )
