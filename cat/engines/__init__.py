"""The engines that write replies, one module each, and the registry of their kinds.

`dada` needs no model and is not registered: `cat.chain` asks it after all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from cat.ports import Engine
from cat.prices import Model

POET: Final = "dada"


class Options(Protocol):
    """What engines are built with; the section `engines` of the settings has these names."""

    @property
    def openai_api_key(self) -> str:
        """The key of an OpenAI account, or of another server."""

    @property
    def openai_base_url(self) -> str | None:
        """Another server that speaks OpenAI's protocol."""

    @property
    def bedrock_endpoint_url(self) -> str | None:
        """Another server that speaks Bedrock's protocol."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of engine.

    `build` takes the model's name, its facts from the price table, the options, and the AWS region.
    """

    build: Callable[[str, Model, Options, str], Engine]
    #: Returns what the options lack, as a sentence; empty if nothing.
    lacks: Callable[[Options], str] = lambda _: ""


# each library is imported only where its engine is asked for: OpenAI's takes longer than the rest of a worker


def _openai(model: str, known: Model, options: Options, aws_region: str) -> Engine:
    del aws_region
    from cat.engines.openai import ChatModel  # noqa: PLC0415

    return ChatModel(model, api_key=options.openai_api_key or "none", base_url=options.openai_base_url, known=known)


def _without_openai_key(options: Options) -> str:
    if options.openai_api_key or options.openai_base_url:
        return ""
    return "needs OPENAI_API_KEY, or OPENAI_BASE_URL for a server of your own"


def _bedrock(model: str, known: Model, options: Options, aws_region: str) -> Engine:
    from cat.engines.bedrock import BedrockModel  # noqa: PLC0415

    return BedrockModel(model, region_name=aws_region, endpoint_url=options.bedrock_endpoint_url, known=known)


#: Each kind by its name before the colon in `CAT_ENGINES`. This is the only list of them.
ENGINES: Final[Mapping[str, Kind]] = {
    "openai": Kind(_openai, _without_openai_key),
    "bedrock": Kind(_bedrock),
}


def forms() -> str:
    """Return how each kind is written, in backticks, with commas between them."""
    return ", ".join([f"`{POET}`", *(f"`{kind}:<model>`" for kind in ENGINES)])


def problems(names: Sequence[str], options: Options) -> Iterator[str]:
    """Yield a sentence for each engine that cannot be built."""
    for name in names:
        kind = name.partition(":")[0]
        if name == POET:
            continue
        if kind not in ENGINES:
            yield f"{kind} is no kind of engine; the kinds are {forms()}"
        elif lack := ENGINES[kind].lacks(options):
            yield f"{name} {lack}"


def build(name: str, known: Model, options: Options, aws_region: str) -> Engine:
    """Build the engine of this name, such as `openai:gpt-5-mini`, of a kind that `problems` accepts."""
    kind, _, model = name.partition(":")
    return ENGINES[kind].build(model, known, options, aws_region)
