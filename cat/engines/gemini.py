"""The server of Gemini models behind Google's own protocol, `generateContent`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import httpx2
from google import genai
from google.genai import errors, types

from cat import prompt
from cat.engines import http
from cat.engines.answer import Answer
from cat.engines.compatibility import Request
from cat.engines.errors import Rejected
from cat.prompt import Prompt

API: Final = "https://generativelanguage.googleapis.com"
#: The words of the protocol for the roles.
_ROLES: Final = {"user": "user", "assistant": "model"}


class GeminiServer:
    """Speaks to Google's Gemini API, or to another server at `base_url`."""

    limits = ("max_output_tokens",)

    def __init__(self, model: str, *, api_key: str, base_url: str | None = None) -> None:
        self._model = model
        self._http = http.client()
        self._client = genai.Client(
            # without these, environment variables choose another service and another version
            vertexai=False,
            api_key=api_key,
            http_options=types.HttpOptions(
                base_url=base_url or API,
                api_version="v1beta",
                httpx_client=self._http,
                retry_options=types.HttpRetryOptions(attempts=1),
            ),
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._http.close()

    def options(self, asked: Prompt, *, thinks: bool) -> Mapping[str, Any]:  # Any: JSON
        """Return sampling settings, stop strings, and that the model need not reason."""
        spoken = {
            "temperature": prompt.TEMPERATURE,
            "presence_penalty": prompt.PRESENCE_PENALTY,
            "stop_sequences": list(prompt.STOP),
        }
        return {
            **(spoken if asked.speaks else {}),
            **({} if thinks else {"thinking_config": types.ThinkingConfig(thinking_budget=0)}),
        }

    def send(self, request: Request) -> Answer:
        """Send a request."""
        contents = [types.Content(role=_ROLES[role], parts=[types.Part(text=words)]) for role, words in request.turns]
        for picture in request.pictures:
            (contents[-1].parts or []).append(types.Part.from_bytes(data=picture.data, mime_type=picture.content_type))
        config = types.GenerateContentConfig(
            system_instruction=request.system or None,
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
            **request.options,
        )
        try:
            given = self._client.models.generate_content(model=self._model, contents=contents, config=config)
        except errors.APIError as exc:
            raise Rejected(type(exc).__name__, exc.code, f"{exc.message or ''} {exc.status or ''}") from exc
        except httpx2.TransportError as exc:
            raise http.unreached(exc) from exc
        return self._answer(given)

    def _answer(self, given: types.GenerateContentResponse) -> Answer:
        feedback, usage = given.prompt_feedback, given.usage_metadata
        candidate = (given.candidates or [types.Candidate()])[0]
        parts = (candidate.content.parts if candidate.content else None) or []
        return Answer(
            content=[{"text": part.text or "", "thought": part.thought} for part in parts],
            finish=candidate.finish_reason.value if candidate.finish_reason else "",
            refusal=bool(feedback and feedback.block_reason),
            model=given.model_version or self._model,
            tokens_in=usage.prompt_token_count if usage else None,
            # reasoning is charged like the answer
            tokens_out=(usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0) if usage else None,
        )
