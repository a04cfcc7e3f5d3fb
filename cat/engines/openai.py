"""The engine for models behind the OpenAI chat protocol: OpenAI, vLLM, Ollama, gateways."""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from typing import Final

import openai
from openai.types.chat import ChatCompletion, ChatCompletionContentPartParam, ChatCompletionMessageParam

from cat import persona, prices, prompt
from cat.errors import EngineFailed
from cat.ports import Heard, Picture, Reply
from cat.prices import FREE, Model

#: Statuses with which a healthy server rejects a request: it is too long, or holds a picture that is not accepted.
_REFUSED: Final = frozenset({400, 413, 415, 422})


class ChatModel:
    """The engine `openai:<model>`, such as `openai:gpt-5-mini`.

    `known` holds the model's facts from the catalogue. The person's words are sent as user messages, never in the
    system prompt. The model gets no tools.
    """

    def __init__(self, model: str, *, api_key: str, base_url: str | None = None, known: Model = FREE) -> None:
        self._model = model
        self._known = known
        # `cat.chain` retries; a retry here would spend the reply's deadline on one engine
        self._client = openai.OpenAI(api_key=api_key, base_url=base_url, max_retries=0)

    @property
    def name(self) -> str:
        """The engine's name as in `CAT_ENGINES`."""
        return f"openai:{self._model}"

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def reply(self, heard: Heard, *, seconds: float) -> Reply:
        """Ask the model for a reply within `seconds`."""
        return self._say(
            persona.prompt(),
            [_message(role, words) for role, words in prompt.conversation_of(heard)],
            heard.shown if self._known.sees else (),
            seconds,
        )

    def note(self, instructions: str, talk: str, *, seconds: float) -> Reply:
        """Ask the model for notes on `talk` within `seconds`."""
        return self._say(instructions, [_message("user", talk)], (), seconds)

    def _say(
        self, system: str, messages: list[ChatCompletionMessageParam], shown: Sequence[Picture], seconds: float
    ) -> Reply:
        if shown:
            messages = [*messages[:-1], _with_pictures(messages[-1], shown)]
        started_at = time.monotonic()
        try:
            # `chat.completions.create` checks each message against its types and then sends it unchanged;
            # with a window of a hundred messages that takes longer than the rest of the call
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
            used = prices.counted(
                getattr(answer.usage, "prompt_tokens", None), getattr(answer.usage, "completion_tokens", None)
            )
        except Exception as exc:
            # a gateway may answer with anything; after any error there is no reply to use
            transient = isinstance(exc, openai.RateLimitError | openai.InternalServerError | openai.APIConnectionError)
            late = isinstance(exc, openai.APITimeoutError)
            raise EngineFailed(
                # the same message as in `cat.engines.guarded`, whose deadline may pass first
                f"{self.name}: no answer in {seconds:.1f} s" if late else f"{self.name}: {type(exc).__name__}",
                transient=transient,
                # after a timeout or an unreadable answer the model may have done the work
                paid=late or not isinstance(exc, openai.APIError),
                refused=isinstance(exc, openai.APIStatusError) and exc.status_code in _REFUSED,
            ) from exc
        if not words:
            raise EngineFailed(f"{self.name}: an empty reply", paid=True)
        facts = {"model": model, "model_ms": int((time.monotonic() - started_at) * 1000), **used}
        return Reply(words=words, engine=self.name, facts=facts)


def _message(role: str, words: str) -> ChatCompletionMessageParam:
    if role == "assistant":
        return {"role": "assistant", "content": words}
    return {"role": "user", "content": words}


def _with_pictures(message: ChatCompletionMessageParam, shown: Sequence[Picture]) -> ChatCompletionMessageParam:
    """Return the person's last message with the pictures attached."""
    content: list[ChatCompletionContentPartParam] = [{"type": "text", "text": str(message.get("content", ""))}]
    for picture in shown:
        data = base64.b64encode(picture.data).decode()
        # low detail suffices, and costs a single tile with a model that cuts pictures into tiles
        url = f"data:{picture.content_type};base64,{data}"
        content.append({"type": "image_url", "image_url": {"url": url, "detail": "low"}})
    return {"role": "user", "content": content}
