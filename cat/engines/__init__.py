"""The engines that write replies, one module for each protocol, and the registry of their kinds.

`dada` needs no model and is not registered: `cat.chain` asks it after all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Protocol

from cat.persona import Persona
from cat.prices import Model

if TYPE_CHECKING:
    from cat.engines.model import ModelEngine, Server

POET: Final = "dada"


class Options(Protocol):
    """What engines are built with; the section `engines` of the settings has these."""

    def api_key(self, kind: str) -> str:
        """Return the key of the account for a kind of engine; empty if there is none."""

    def base_url(self, kind: str) -> str | None:
        """Return another server that speaks the protocol of a kind; None for the maker's own."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of engine. `connect` takes the model's name, the options, and the AWS region."""

    connect: Callable[[str, Options, str], Server]
    #: The settings with its key and its address.
    settings: tuple[str, str]
    #: Returns what the options lack, as a sentence; empty if nothing.
    lacks: Callable[[Options], str] = lambda _: ""
    #: The module of the official client, and the extra of this package that installs it.
    needs: tuple[str, str] = ("", "")


# each library is imported only where its engine is asked for: OpenAI's takes longer than the rest of a worker


def _openai(model: str, options: Options, aws_region: str) -> Server:
    del aws_region
    from cat.engines.openai import OpenAIServer  # noqa: PLC0415

    return OpenAIServer(model, api_key=options.api_key("openai") or "none", base_url=options.base_url("openai"))


def _without_openai_key(options: Options) -> str:
    if options.api_key("openai") or options.base_url("openai"):
        return ""
    return "needs OPENAI_API_KEY, or OPENAI_BASE_URL for a server of your own"


def _anthropic(model: str, options: Options, aws_region: str) -> Server:
    del aws_region
    from cat.engines.anthropic import AnthropicServer  # noqa: PLC0415

    return AnthropicServer(model, api_key=options.api_key("anthropic"), base_url=options.base_url("anthropic"))


def _gemini(model: str, options: Options, aws_region: str) -> Server:
    del aws_region
    from cat.engines.gemini import GeminiServer  # noqa: PLC0415

    return GeminiServer(model, api_key=options.api_key("gemini"), base_url=options.base_url("gemini"))


def _bedrock(model: str, options: Options, aws_region: str) -> Server:
    from cat.engines.bedrock import BedrockServer  # noqa: PLC0415

    return BedrockServer(model, region_name=aws_region, endpoint_url=options.base_url("bedrock"))


#: Each kind by its name before the colon in `CAT_ENGINES`. This is the only list of them.
ENGINES: Final[Mapping[str, Kind]] = {
    "openai": Kind(_openai, ("OPENAI_API_KEY", "OPENAI_BASE_URL"), _without_openai_key, needs=("openai", "openai")),
    "anthropic": Kind(
        _anthropic,
        ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"),
        lambda options: "" if options.api_key("anthropic") else "needs ANTHROPIC_API_KEY",
        needs=("anthropic", "anthropic"),
    ),
    "gemini": Kind(
        _gemini,
        ("GEMINI_API_KEY", "GEMINI_BASE_URL"),
        lambda options: "" if options.api_key("gemini") else "needs GEMINI_API_KEY",
        needs=("google.genai", "gemini"),
    ),
    "bedrock": Kind(
        _bedrock, ("the key in AWS_ACCESS_KEY_ID", "BEDROCK_ENDPOINT_URL and AWS_REGION"), needs=("httpx2", "bedrock")
    ),
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
        elif lack := _missing(*ENGINES[kind].needs) or ENGINES[kind].lacks(options):
            yield f"{name} {lack}"


def _missing(module: str, extra: str) -> str:
    """Return that a library is not installed, and the command that installs it; empty if it is."""
    try:
        installed = not module or find_spec(module) is not None
    except ModuleNotFoundError:  # the package above it, such as `google`
        installed = False
    return "" if installed else f"needs another library: pip install 'dadacat[{extra}]'"


def build(name: str, known: Model, options: Options, *, aws_region: str, who: Persona) -> ModelEngine:
    """Build the engine of this name, such as `openai:gpt-5-mini`, of a kind that `problems` accepts."""
    from cat.engines.model import ModelEngine  # noqa: PLC0415 - with the HTTP client that a poet does not need

    kind, _, model = name.partition(":")
    return ModelEngine(name, ENGINES[kind].connect(model, options, aws_region), known=known, who=who)
