"""The server of models behind the OpenAI chat protocol: OpenAI, vLLM, Ollama, gateways."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final

import openai

from cat import prompt
from cat.engines import http
from cat.engines.answer import Answer
from cat.engines.compatibility import Request
from cat.engines.errors import Rejected
from cat.prompt import Prompt

API: Final = "https://api.openai.com/v1"


class OpenAIServer:
    """Speaks to OpenAI, or to another server at `base_url`."""

    #: OpenAI's newer models refuse `max_tokens`, most other servers know nothing else.
    limits = ("max_completion_tokens", "max_tokens")

    def __init__(self, model: str, *, api_key: str, base_url: str | None = None) -> None:
        self._model = model
        # `cat.chain` retries; a retry here would spend the reply's deadline on one engine
        self._client = openai.OpenAI(
            api_key=api_key, base_url=base_url or API, max_retries=0, http_client=http.client()
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def options(self, asked: Prompt, *, thinks: bool) -> Mapping[str, Any]:  # Any: JSON
        """Return sampling settings; models that reason accept none, and are asked to reason little."""
        if thinks:
            return {"reasoning_effort": "low"}
        if not asked.speaks:
            return {}
        return {
            "temperature": prompt.TEMPERATURE,
            "presence_penalty": prompt.PRESENCE_PENALTY,
            "stop": list(prompt.STOP),
        }

    def send(self, request: Request) -> Answer:
        """Send a request."""
        messages: list[dict[str, Any]] = [
            {"role": role, "content": words} for role, words in request.turns
        ]  # Any: JSON
        if request.pictures:
            messages[-1]["content"] = _with_pictures(request)
        if request.system:
            messages.insert(0, {"role": "system", "content": request.system})
        try:
            # `chat.completions.create` checks each message against its types and then sends it unchanged;
            # with a window of a hundred messages that takes longer than the rest of the call
            given: Any = self._client.post(
                "/chat/completions",
                cast_to=object,
                body={"model": self._model, "messages": messages, **request.options},
            )
        except openai.APIStatusError as exc:
            raise Rejected(type(exc).__name__, exc.status_code, exc.response.text) from exc
        except openai.APIConnectionError as exc:
            raise http.unreached(exc) from exc
        choice = given["choices"][0] if given["choices"] else {"message": {}}
        message, usage = choice["message"], given.get("usage") or {}
        return Answer(
            content=message.get("content"),
            finish=str(choice.get("finish_reason") or ""),
            refusal=bool(message.get("refusal")),
            model=str(given.get("model") or self._model),
            tokens_in=usage.get("prompt_tokens"),
            tokens_out=usage.get("completion_tokens"),
        )


def _with_pictures(request: Request) -> list[dict[str, Any]]:  # Any: JSON
    """Return the person's last turn with the pictures attached."""
    content: list[dict[str, Any]] = [{"type": "text", "text": request.turns[-1][1]}]
    for picture in request.pictures:
        data = base64.b64encode(picture.data).decode()
        # low detail suffices, and costs a single tile with a model that cuts pictures into tiles
        url = f"data:{picture.content_type};base64,{data}"
        content.append({"type": "image_url", "image_url": {"url": url, "detail": "low"}})
    return content
