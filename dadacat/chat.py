"""The cat in the terminal: the same engines, the same memory, and what each reply would cost as a text."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from cat.ports import Heard, Reply
from cat.reply import Cat
from conversation.manager import ConversationManager
from sms import keywords, segments
from sms.keywords import Keyword


@dataclass(slots=True)
class Chat:
    """One conversation at a terminal."""

    cat: Cat
    conversations: ConversationManager
    person: str

    def before(self) -> Iterator[tuple[str, str]]:
        """What was said so far, as the cat remembers it: who, and the words."""
        for line in self.conversations.get_or_create_conversation(self.person).get_formatted_history():
            yield line["role"], line["content"]

    def say(self, text: str) -> Reply:
        """Say something to the cat; it is remembered, and so is what it answers."""
        conversation = self.conversations.get_or_create_conversation(self.person)
        heard = Heard(
            history=conversation.get_formatted_history(),
            texts=[text],
            seed=secrets.token_hex(8),
            echoes=frozenset(conversation.echoes),
            person=self.person,
        )
        if keywords.read(text) is Keyword.RESET:
            reply = self.cat.by_heart(heard)
            self.conversations.reset_conversation(self.person)
        else:
            reply = self.cat.reply(heard)
        self.conversations.add_user_message(self.person, text)
        self.conversations.add_assistant_message(self.person, reply.words)
        return reply


def footnote(reply: Reply, seconds: float) -> str:
    """What a reply was made by, and what it would cost as a text."""
    count, alphabet = segments.count(reply.words), segments.alphabet(reply.words).name
    tokens = f", {reply.facts['tokens_in']} + {reply.facts['tokens_out']} tokens" if "tokens_in" in reply.facts else ""
    silent = "".join(f"\n  silent: {why}" for why in reply.facts.get("silent_engines", ()))
    return f"{reply.engine}, {seconds * 1000:.0f} ms{tokens}, {count} segment{'' if count == 1 else 's'} {alphabet}{silent}"
