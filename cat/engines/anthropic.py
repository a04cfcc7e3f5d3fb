"""The server of Claude models behind Anthropic's own protocol, Messages."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final

import anthropic

from cat import prompt
from cat.engines import http
from cat.engines.answer import Answer
from cat.engines.compatibility import Request
from cat.engines.errors import Rejected
from cat.prompt import Prompt

API: Final = "https://api.anthropic.com"
#: Marks the end of what is the same in every call: the provider caches the request up to here.
_CACHED: Final = {"type": "ephemeral"}


class AnthropicServer:
    """Speaks to Anthropic, or to another server at `base_url`."""

    limits = ("max_tokens",)

    def __init__(self, model: str, *, api_key: str, base_url: str | None = None) -> None:
        self._model = model
        self._client = anthropic.Anthropic(
            api_key=api_key,
            base_url=base_url or API,
            max_retries=0,
            http_client=http.client(),
            open_telemetry=False,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def options(self, asked: Prompt, *, thinks: bool) -> Mapping[str, Any]:  # Any: JSON
        """Return stop strings, and how much the model reasons; newer models refuse sampling settings."""
        return {
            **({"stop_sequences": list(prompt.STOP)} if asked.speaks else {}),
            **({"output_config": {"effort": "low"}} if thinks else {"thinking": {"type": "disabled"}}),
        }

    def send(self, request: Request) -> Answer:
        """Send a request."""
        messages = [{"role": role, "content": [{"type": "text", "text": words}]} for role, words in request.turns]
        body: dict[str, Any] = {"model": self._model, "messages": messages, **request.options}  # Any: JSON
        body["messages"][-1]["content"] += map(_picture, request.pictures)
        if request.fixed:
            body["messages"][request.fixed - 1]["content"][-1]["cache_control"] = _CACHED
        if request.system:
            body["system"] = [{"type": "text", "text": request.system, "cache_control": _CACHED}]
        try:
            given: Any = self._client.post("/v1/messages", cast_to=object, body=body)
        except anthropic.APIStatusError as exc:
            raise Rejected(type(exc).__name__, exc.status_code, exc.response.text) from exc
        except anthropic.APIConnectionError as exc:
            raise http.unreached(exc) from exc
        usage = given.get("usage") or {}
        return Answer(
            content=given["content"],
            finish=str(given.get("stop_reason") or ""),
            model=str(given.get("model") or self._model),
            tokens_in=_tokens_in(usage),
            tokens_out=usage.get("output_tokens"),
        )


def _tokens_in(usage: Mapping[str, Any]) -> object:  # Any: JSON
    """Return the tokens of the input. Those read from the cache, which cost a tenth, count in full."""
    counts = [usage.get(f"{kind}input_tokens") or 0 for kind in ("cache_creation_", "cache_read_")]
    known = usage.get("input_tokens")
    return known + sum(counts) if isinstance(known, int) and all(isinstance(count, int) for count in counts) else None


def _picture(picture: Any) -> dict[str, Any]:  # Any: JSON
    data = base64.b64encode(picture.data).decode()
    return {"type": "image", "source": {"type": "base64", "media_type": picture.content_type, "data": data}}
