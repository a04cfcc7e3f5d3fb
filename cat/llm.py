"""Any model behind the OpenAI-compatible chat protocol: OpenAI, vLLM, Ollama, gateways."""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib.resources import files

import openai
from openai.types.chat import ChatCompletionMessageParam

from cat.errors import EngineSilent
from cat.ports import Heard, Reply

#: Enough for one segment of text and a model that counts badly; a longer reply is cut and was paid for nothing.
MAX_TOKENS = 160


def persona() -> str:
    """Who DadaCat is, as the models are told."""
    return files("cat").joinpath("persona.md").read_text()


class ChatModel:
    """The engine `openai:<model>`.

    The person's words go in as the user's messages, never into the system prompt; the model gets no tools.
    """

    def __init__(self, model: str, *, api_key: str, base_url: str | None = None) -> None:
        self._model = model
        self._persona = persona()
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
        """Ask the model once. Raises `EngineSilent` for whatever goes wrong and for an empty reply."""
        begun = time.monotonic()
        try:
            answer = self._client.with_options(timeout=seconds).chat.completions.create(
                model=self._model,
                messages=[
                    {"role": "system", "content": self._persona},
                    *(_message(line) for line in heard.history),
                    *(_message({"role": "user", "content": text}) for text in heard.texts),
                ],
                max_completion_tokens=MAX_TOKENS,
            )
            words = (answer.choices[0].message.content or "").strip() if answer.choices else ""
            words = words.encode("utf-8", "replace").decode()
        except Exception as exc:
            raise EngineSilent(f"{self.name}: {type(exc).__name__}") from exc
        if not words:
            raise EngineSilent(f"{self.name}: an empty reply")
        facts: dict[str, object] = {"model": answer.model, "model_ms": int((time.monotonic() - begun) * 1000)}
        if answer.usage is not None:
            facts |= {"tokens_in": answer.usage.prompt_tokens, "tokens_out": answer.usage.completion_tokens}
        return Reply(words=words, engine=self.name, facts=facts)


def _message(line: Mapping[str, str]) -> ChatCompletionMessageParam:
    if line["role"] == "assistant":
        return {"role": "assistant", "content": line["content"]}
    return {"role": "user", "content": line["content"]}
