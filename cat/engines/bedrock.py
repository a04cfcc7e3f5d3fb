"""The Amazon Bedrock engine: boto3's Converse API has one request format for every model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError

from cat import persona, prices, prompt
from cat.errors import EngineFailed
from cat.ports import Heard, Picture, Reply
from cat.prices import FREE, Model

if TYPE_CHECKING:
    from botocore.client import BaseClient

CONNECT_TIMEOUT_SECONDS: Final = 3.0
#: Closes the connection of an abandoned call. The caller's own deadline is shorter.
READ_TIMEOUT_SECONDS: Final = 30.0
#: Error codes after which the same model may answer a moment later.
_TRANSIENT: Final = frozenset(
    {"ThrottlingException", "ModelNotReadyException", "InternalServerException", "ServiceUnavailableException"}
)


class BedrockModel:
    """The engine `bedrock:<model id>`, such as `bedrock:amazon.nova-lite-v1:0`.

    `known` holds the model's facts from the catalogue. `endpoint_url` chooses another server.
    The variable `AWS_ENDPOINT_URL` is ignored: it points to DynamoDB.
    """

    def __init__(self, model: str, *, region_name: str, endpoint_url: str | None = None, known: Model = FREE) -> None:
        self._model = model
        self._known = known
        self._client: BaseClient = boto3.session.Session().client(
            "bedrock-runtime",
            region_name=region_name,
            endpoint_url=endpoint_url,
            config=Config(
                connect_timeout=CONNECT_TIMEOUT_SECONDS,
                read_timeout=READ_TIMEOUT_SECONDS,
                retries={"mode": "standard", "total_max_attempts": 1},
                ignore_configured_endpoint_urls=endpoint_url is None,  # type: ignore[call-arg]  # not in the stubs
            ),
        )

    @property
    def name(self) -> str:
        """The engine's name as in `CAT_ENGINES`."""
        return f"bedrock:{self._model}"

    def reply(self, heard: Heard, *, seconds: float) -> Reply:
        """Ask the model for a reply; `cat.engines.guarded` enforces the deadline."""
        del seconds
        turns = _turns(prompt.conversation_of(heard))
        if self._known.sees and turns:
            turns[-1]["content"] += [block for picture in heard.shown if (block := _picture(picture))]
        return self._say(persona.prompt(), turns)

    def note(self, instructions: str, talk: str, *, seconds: float) -> Reply:
        """Ask the model for notes on `talk`; `cat.engines.guarded` enforces the deadline."""
        del seconds
        return self._say(instructions, [{"role": "user", "content": [{"text": talk}]}])

    def _say(self, system: str, turns: list[dict[str, Any]]) -> Reply:  # Any: Converse's own shape
        started_at = time.monotonic()
        try:
            answer: dict[str, Any] = self._client.converse(  # type: ignore[attr-defined]  # generated at run time
                modelId=self._model,
                system=[{"text": system}],
                messages=turns,
                inferenceConfig={"maxTokens": prompt.most_tokens(self._known)},
            )
            blocks = answer["output"]["message"]["content"]
            words = "".join(str(block.get("text", "")) for block in blocks).strip()
            usage = answer.get("usage") or {}
            used = prices.counted(usage.get("inputTokens"), usage.get("outputTokens"))
        except ClientError as exc:
            code = str(exc.response.get("Error", {}).get("Code", "ClientError"))
            raise EngineFailed(
                f"{self.name}: {code}", transient=code in _TRANSIENT, refused=code == "ValidationException"
            ) from exc
        except (BotoCoreError, KeyError, TypeError, AttributeError) as exc:
            timed_out = isinstance(exc, ReadTimeoutError)
            raise EngineFailed(
                f"{self.name}: {type(exc).__name__}", transient=isinstance(exc, BotoCoreError), paid=timed_out
            ) from exc
        if not words:
            raise EngineFailed(f"{self.name}: an empty reply", paid=True)
        facts = {"model": self._model, "model_ms": int((time.monotonic() - started_at) * 1000), **used}
        return Reply(words=words, engine=self.name, facts=facts)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


#: Converse's names of picture formats, by content type.
_FORMS: Final = {"image/jpeg": "jpeg", "image/png": "png", "image/gif": "gif", "image/webp": "webp"}


def _picture(picture: Picture) -> dict[str, Any] | None:  # Any: Converse's own shape
    form = _FORMS.get(picture.content_type)
    return {"image": {"format": form, "source": {"bytes": picture.data}}} if form else None


def _turns(lines: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:  # Any: Converse's own shape
    """Return `lines` as Converse messages, beginning with the person's: Converse requires it."""
    messages = lines[1:] if lines and lines[0][0] != "user" else lines
    return [{"role": role, "content": [{"text": words}]} for role, words in messages]
