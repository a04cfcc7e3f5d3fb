"""Any model behind the OpenAI-compatible chat protocol: OpenAI, vLLM, Ollama, gateways."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import openai
from openai.types.chat import ChatCompletionMessageParam

from cat import fit, persona
from cat.errors import EngineSilent
from cat.ports import Heard, Reply

#: Enough for one segment of text and a model that counts badly; a longer reply is cut and was paid for nothing.
MAX_TOKENS: Final = 160


def conversation_of(heard: Heard) -> Sequence[tuple[str, str]]:
    """What was said, as role and words, oldest first; what nobody can see is not in it. No text is anything but the user's message."""
    said = [
        *((line["role"], line["content"]) for line in heard.history),
        *(("user", text) for text in heard.texts),
    ]
    return [("assistant" if role == "assistant" else "user", fit.visible(words) or "(nothing)") for role, words in said]


class ChatModel:
    """The engine `openai:<model>`.

    The person's words go in as the user's messages, never into the system prompt; the model gets no tools.
    """

    def __init__(self, model: str, *, api_key: str, base_url: str | None = None) -> None:
        self._model = model
        # the chain of engines is what retries: a second try here would spend the reply's deadline on one engine
        self._client = openai.OpenAI(api_key=api_key, base_url=base_url, max_retries=0)

    @property
    def name(self) -> str:
        """As `CAT_ENGINES` names it."""
        return f"openai:{self._model}"

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()

    def reply(self, heard: Heard, *, seconds: float) -> Reply:
        """See `cat.ports.Engine.reply`."""
        begun = time.monotonic()
        try:
            answer = self._client.with_options(timeout=seconds).chat.completions.create(
                model=self._model,
                messages=[
                    {"role": "system", "content": persona.prompt()},
                    *(_message(role, words) for role, words in conversation_of(heard)),
                ],
                max_completion_tokens=MAX_TOKENS,
            )
            words = (answer.choices[0].message.content or "").strip() if answer.choices else ""
            words = words.encode("utf-8", "replace").decode()
        except Exception as exc:
            # a gateway may answer anything at all: whatever it was, there are no words in it
            transient = isinstance(exc, openai.RateLimitError | openai.InternalServerError | openai.APIConnectionError)
            raise EngineSilent(f"{self.name}: {type(exc).__name__}", transient=transient) from exc
        if not words:
            raise EngineSilent(f"{self.name}: an empty reply")
        facts: dict[str, object] = {"model": answer.model, "model_ms": int((time.monotonic() - begun) * 1000)}
        if answer.usage is not None:
            facts |= {"tokens_in": answer.usage.prompt_tokens, "tokens_out": answer.usage.completion_tokens}
        return Reply(words=words, engine=self.name, facts=facts)


def _message(role: str, words: str) -> ChatCompletionMessageParam:
    if role == "assistant":
        return {"role": "assistant", "content": words}
    return {"role": "user", "content": words}
