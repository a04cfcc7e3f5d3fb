"""Any model behind the OpenAI-compatible chat protocol: OpenAI, vLLM, Ollama, gateways."""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from typing import Final

import openai
from openai.types.chat import ChatCompletion, ChatCompletionContentPartParam, ChatCompletionMessageParam

from cat import catalogue, persona, prompt
from cat.catalogue import FREE, Model
from cat.errors import EngineSilent
from cat.ports import Heard, Picture, Reply

#: With these a server that is well says no to what it was asked: too long, or a picture that it does not take.
_REFUSED: Final = frozenset({400, 413, 415, 422})


class ChatModel:
    """The engine `openai:<model>`; `known` is what the catalogue says of it.

    The person's words go in as the user's messages, never into the system prompt; the model gets no tools.
    """

    def __init__(self, model: str, *, api_key: str, base_url: str | None = None, known: Model = FREE) -> None:
        self._model = model
        self._known = known
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
        return self._say(
            persona.prompt(),
            [_message(role, words) for role, words in prompt.conversation_of(heard)],
            heard.shown if self._known.sees else (),
            seconds,
        )

    def note(self, instructions: str, talk: str, *, seconds: float) -> Reply:
        """See `cat.ports.Scribe.note`."""
        return self._say(instructions, [_message("user", talk)], (), seconds)

    def _say(
        self, system: str, messages: list[ChatCompletionMessageParam], shown: Sequence[Picture], seconds: float
    ) -> Reply:
        if shown:
            messages = [*messages[:-1], _with_pictures(messages[-1], shown)]
        begun = time.monotonic()
        try:
            # the library's `chat.completions.create` walks through all that was said by the types of its parts before it sends it as it was:
            # with a window of a hundred messages that costs more than all else that it does
            answer = self._client.post(
                "/chat/completions",
                cast_to=ChatCompletion,
                body={
                    "model": self._model,
                    "messages": [{"role": "system", "content": system}, *messages],
                    "max_completion_tokens": prompt.most_tokens(self._known),
                    **({"reasoning_effort": "low"} if self._known.thinks else {}),
                },
                options={"timeout": seconds},
            )
            words = (answer.choices[0].message.content or "").strip() if answer.choices else ""
            words = words.encode("utf-8", "replace").decode()
            model = str(answer.model or self._model)
            used = catalogue.counted(
                getattr(answer.usage, "prompt_tokens", None), getattr(answer.usage, "completion_tokens", None)
            )
        except Exception as exc:
            # a gateway may answer anything at all: whatever it was, there are no words in it
            transient = isinstance(exc, openai.RateLimitError | openai.InternalServerError | openai.APIConnectionError)
            late = isinstance(exc, openai.APITimeoutError)
            raise EngineSilent(
                # as it is said where the caller's own clock is the faster one
                f"{self.name}: no answer in {seconds:.1f} s" if late else f"{self.name}: {type(exc).__name__}",
                transient=transient,
                # no answer in time, or one that cannot be read: it may have worked
                paid=late or not isinstance(exc, openai.APIError),
                refused=isinstance(exc, openai.APIStatusError) and exc.status_code in _REFUSED,
            ) from exc
        if not words:
            raise EngineSilent(f"{self.name}: an empty reply", paid=True)
        facts = {"model": model, "model_ms": int((time.monotonic() - begun) * 1000), **used}
        return Reply(words=words, engine=self.name, facts=facts)


def _message(role: str, words: str) -> ChatCompletionMessageParam:
    if role == "assistant":
        return {"role": "assistant", "content": words}
    return {"role": "user", "content": words}


def _with_pictures(message: ChatCompletionMessageParam, shown: Sequence[Picture]) -> ChatCompletionMessageParam:
    """The person's last message, with what it shows."""
    content: list[ChatCompletionContentPartParam] = [{"type": "text", "text": str(message.get("content", ""))}]
    for picture in shown:
        data = base64.b64encode(picture.data).decode()
        # a glance is enough for a cat, and costs a model that cuts pictures into tiles one of them
        url = f"data:{picture.content_type};base64,{data}"
        content.append({"type": "image_url", "image_url": {"url": url, "detail": "low"}})
    return {"role": "user", "content": content}
