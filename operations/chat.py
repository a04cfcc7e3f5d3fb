"""Talk to the cat in the terminal: same engines, same memory, and each reply's price as a text."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from cat import recall
from cat.chain import Cat
from cat.ports import Reply
from conversation.manager import ConversationManager
from runtime.money import dollars
from sms import keywords, segments
from sms.keywords import Keyword


@dataclass(slots=True)
class Chat:
    """One conversation at a terminal; `person` is a `user_id` such as `+15551230001`."""

    cat: Cat
    conversations: ConversationManager
    person: str
    terms: recall.Terms

    def before(self) -> Iterator[tuple[str, str]]:
        """Yield what the cat remembers of the conversation, as pairs such as `("user", "hello")`."""
        for line in self.conversations.get_or_create_conversation(self.person).get_formatted_history():
            yield line["role"], line["content"]

    def say(self, text: str) -> Reply:
        """Send a text to the cat and return its reply; both are remembered."""
        conversation = self.conversations.get_or_create_conversation(self.person)
        heard = recall.hear(conversation, [text], self.terms, now=datetime.now(UTC), seed=secrets.token_hex(8))
        if keywords.read(text) is Keyword.RESET:
            reply = self.cat.by_heart(heard)
            self.conversations.reset_conversation(self.person)
        else:
            reply = self.cat.reply(heard)
        self.conversations.add_user_message(self.person, text)
        self.conversations.add_assistant_message(self.person, reply.words)
        return reply


def footnote(reply: Reply, seconds: float, price: int) -> str:
    """Return the line below a reply: its engine, its time, its tokens and its cost.

    `price` is what the reply would cost as a text, in millionths of a dollar.
    """
    count, alphabet = segments.count(reply.words), segments.alphabet(reply.words).name
    tokens = f", {reply.facts['tokens_in']} + {reply.facts['tokens_out']} tokens" if "tokens_in" in reply.facts else ""
    failures = "".join(f"\n  silent: {reason}" for reason in reply.facts.get("silent_engines", ()))
    model_cost = f", {dollars(int(reply.facts['model_cost']))} USD for the model" if "model_cost" in reply.facts else ""
    return (
        f"{reply.engine}, {seconds * 1000:.0f} ms{tokens}{model_cost}, "
        f"{count} segment{'' if count == 1 else 's'} {alphabet}, {dollars(price)} USD as a text{failures}"
    )
