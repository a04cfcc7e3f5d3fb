"""The settings, a section for each subject: name, meaning, limits and default of each.

A default stands here and nowhere else: what uses a setting is handed its value.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from runtime.setting_types import (
    POET,
    Countries,
    Dollars,
    EngineNames,
    HelpLine,
    Hours,
    HttpUrl,
    Line,
    Listed,
    Login,
    ModelKeys,
    Numbers,
    OriginUrl,
    Pace,
    RedisUrl,
    Seconds,
    Times,
    TraceUrl,
)

TWILIO_API: Final = "https://api.twilio.com"
#: The token of earlier compose files: any stranger can sign with it, so it never counts as a token.
PUBLISHED_TOKEN: Final = "cafe" * 8
#: A secret of fewer characters can be guessed.
SHORTEST_PROXY_SECRET: Final = 16


def _lines_of(path: str) -> tuple[str, ...]:
    """Return the lines of a file that are not blank; none if it cannot be read."""
    try:
        return tuple(filter(None, map(str.strip, Path(path).read_text().splitlines()))) if path else ()
    except (OSError, UnicodeDecodeError):
        return ()


class SettingsError(Exception):
    """The environment holds invalid settings; the message has one line for each of them."""


def setting(name: str, meaning: str, default: object = "", **limits: Any) -> Any:  # Any: what pydantic's `Field` takes
    """Declare a setting: its name in the environment, its meaning, and its default as written there."""
    return Field(default, validation_alias=name, description=meaning, **limits)


class Section(BaseModel):
    """The settings of one subject."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", validate_default=True, hide_input_in_errors=True, str_strip_whitespace=True
    )


class TwilioSettings(Section):
    """The account at Twilio, our numbers, and what may sign a webhook."""

    account_sid: str = setting(
        "TWILIO_ACCOUNT_SID", "The account that owns the numbers; requests for other accounts are refused."
    )
    auth_token: str = setting(
        "TWILIO_AUTH_TOKEN",
        "Verifies Twilio's webhook signatures; also logs in to Twilio's API unless an API key is set.",
    )
    auth_token_secondary: str = setting(
        "TWILIO_AUTH_TOKEN_SECONDARY", "A second token that may sign webhooks, for use during a rotation."
    )
    auth_token_file: str = setting(
        "TWILIO_AUTH_TOKEN_FILE",
        "A file with one auth token per line, such as a mounted secret. It is read again when it changes. Its "
        "tokens come before those of the two settings above.",
    )
    simulator_token_file: str = setting(
        "SIMULATOR_TOKEN_FILE",
        "A file with the simulator's auth token. `dadacat simulator` creates it, with a random token. It counts only "
        "if no other token is given and `TWILIO_API_BASE_URL` is not Twilio's.",
    )
    shared_keys: Listed = setting(
        "TWILIO_SHARED_KEYS",
        "Secrets of Twilio's shared keys that may sign webhooks, separated by commas during a rotation.",
    )
    webhook_signing: Literal["tokens", "shared-keys", "both"] = setting(
        "WEBHOOK_SIGNING",
        "Which signatures are accepted: `tokens` (auth tokens, HMAC-SHA1), `shared-keys` (shared keys, "
        "HMAC-SHA256) or `both`. The request has no say in it.",
        "tokens",
    )
    api_key: str = setting(
        "TWILIO_API_KEY", "An API key for Twilio's API; together with its secret it replaces the auth token there."
    )
    api_secret: str = setting("TWILIO_API_SECRET", "The secret of the API key.")
    numbers: Numbers = setting(
        "TWILIO_PHONE_NUMBER",
        "The number that people text, or several separated by commas. Texts to other numbers are refused.",
    )
    whatsapp: Literal["on", "off"] = setting(
        "WHATSAPP",
        "`on`: the numbers are WhatsApp senders too, and the reconciler also looks for their texts and prices "
        "in Twilio's list.",
        "off",
    )
    messaging_service_sid: str = setting(
        "TWILIO_MESSAGING_SERVICE_SID", "A Messaging Service whose texts are accepted too."
    )
    api_base_url: HttpUrl = setting(
        "TWILIO_API_BASE_URL",
        "The address of Twilio's API. Under `dadacat up`, setting it replaces the simulator.",
        TWILIO_API,
    )

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.webhook_signing != "tokens" and not self.shared_keys:
            raise ValueError("WEBHOOK_SIGNING names shared keys, but TWILIO_SHARED_KEYS is empty")
        if bool(self.api_key) != bool(self.api_secret):
            raise ValueError("TWILIO_API_KEY and TWILIO_API_SECRET must be set together")
        return self

    def require(self) -> None:
        """Raise `SettingsError` unless the account and its auth token are set."""
        wrong = []
        if not self.account_sid:
            wrong.append("TWILIO_ACCOUNT_SID is missing: Twilio's console shows it")
        if self.auth_token_file and not _lines_of(self.auth_token_file):
            wrong.append("TWILIO_AUTH_TOKEN_FILE holds no token, or cannot be read")
        elif PUBLISHED_TOKEN in self._given_tokens():
            wrong.append("TWILIO_AUTH_TOKEN is a value that was published: any stranger can sign with it")
        elif not self.tokens:
            wrong.append("TWILIO_AUTH_TOKEN is missing: Twilio's console shows it")
        if wrong:
            raise SettingsError("\n".join(wrong))

    @property
    def addresses(self) -> tuple[str, ...]:
        """Our own numbers on every channel, such as `+15005550006` and `whatsapp:+15005550006`."""
        channels = ("", "whatsapp:") if self.whatsapp == "on" else ("",)
        return tuple(f"{channel}{number}" for channel in channels for number in self.numbers)

    @property
    def tokens(self) -> tuple[str, ...]:
        """The account's current auth tokens: the valid one, and during a rotation another."""
        given = dict.fromkeys(self._given_tokens())
        given.pop(PUBLISHED_TOKEN, None)
        return tuple(given)

    @property
    def logins(self) -> tuple[tuple[str, str], ...]:
        """The current user names and passwords for Twilio's API."""
        return self.logins_with(self.tokens)

    def logins_with(self, tokens: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        """Return logins for Twilio's API: the API key's, or the account's with each of the tokens."""
        if self.api_key:
            return ((self.api_key, self.api_secret),)
        return tuple((self.account_sid, token) for token in tokens)

    def _given_tokens(self) -> tuple[str, ...]:
        named = (*_lines_of(self.auth_token_file), self.auth_token, self.auth_token_secondary)
        tokens = tuple(filter(None, named))
        return tokens or (() if self._at_twilio else _lines_of(self.simulator_token_file))

    @property
    def _at_twilio(self) -> bool:
        """Whether the API is Twilio's, in any of its regions, such as `api.dublin.ie1.twilio.com`."""
        host = (urlsplit(self.api_base_url).hostname or "").rstrip(".")
        return host == "twilio.com" or host.endswith(".twilio.com")


class WebhookSettings(Section):
    """The webhook's place on the internet."""

    public_url: HttpUrl = setting(
        "PUBLIC_URL", "The webhook's address, as Twilio calls and signs it.", "http://127.0.0.1:8400"
    )


class RedisSettings(Section):
    """The inbox and Celery's broker."""

    url: RedisUrl = setting(
        "REDIS_URL",
        "Redis, for the inbox and as Celery's broker. Under `dadacat up`, setting it replaces the embedded server.",
        "redis://127.0.0.1:6379/0",
    )


class DynamoDBSettings(Section):
    """The two tables."""

    endpoint_url: HttpUrl | None = setting(
        "AWS_ENDPOINT_URL",
        "A DynamoDB-compatible server; empty: AWS. Under `dadacat up`, setting it replaces the embedded store.",
        None,
    )
    region: str = setting("AWS_REGION", "The AWS region of the tables.", "us-east-1")
    conversations_table: str = setting("DYNAMODB_TABLE_NAME", "The table of conversations.", "DadaCatConversations")
    messages_table: str = setting("DYNAMODB_MESSAGES_TABLE_NAME", "The table of the journal.", "DadaCatMessages")
    retention_days: int = setting(
        "RETENTION_DAYS",
        "Days after which DynamoDB's time to live deletes what was said; for a conversation they count from "
        "its last reply. A conversation in which the person sent STOP is kept. It must be longer than "
        "`MAX_AGE_SECONDS` and a day for a second try. 0: everything is kept.",
        0,
        ge=0,
        le=36500,
    )


class EnginesSettings(Section):
    """What writes the replies."""

    names: EngineNames = setting(
        "CAT_ENGINES",
        "Engines in the order in which they are asked, separated by commas. `dada` always follows the last.",
        POET,
    )
    openai_api_key: str = setting("OPENAI_API_KEY", "The API key for `openai:` engines.")
    openai_base_url: HttpUrl | None = setting("OPENAI_BASE_URL", "Another server that speaks OpenAI's protocol.", None)
    anthropic_api_key: str = setting("ANTHROPIC_API_KEY", "The API key for `anthropic:` engines.")
    anthropic_base_url: HttpUrl | None = setting(
        "ANTHROPIC_BASE_URL", "Another server that speaks Anthropic's protocol.", None
    )
    gemini_api_key: str = setting("GEMINI_API_KEY", "The API key for `gemini:` engines.")
    gemini_base_url: HttpUrl | None = setting("GEMINI_BASE_URL", "Another server that speaks Gemini's protocol.", None)
    persona_file: str = setting(
        "PERSONA_FILE", "A Markdown file with another character for models, in the form of `cat/persona.md`."
    )
    bedrock_base_url: HttpUrl | None = setting(
        "BEDROCK_ENDPOINT_URL", "Another server that speaks Bedrock's protocol; empty: AWS, in `AWS_REGION`.", None
    )
    model_keys: ModelKeys = setting(
        "MODEL_KEYS",
        "API keys of all engines, as a secrets manager keeps them: a JSON object by the names of their settings, such "
        'as `{"OPENAI_API_KEY": "..."}`. A setting of its own takes precedence.',
    )

    def api_key(self, kind: str) -> str:
        """Return the key of the account for a kind of engine; empty if there is none."""
        return str(getattr(self, f"{kind}_api_key") or dict(self.model_keys).get(f"{kind.upper()}_API_KEY", ""))

    def base_url(self, kind: str) -> str | None:
        """Return another server that speaks the protocol of a kind; None for the maker's own."""
        url: str | None = getattr(self, f"{kind}_base_url")
        return url


class RepliesSettings(Section):
    """The form of a reply, and its fixed lines."""

    deadline_seconds: Seconds = setting(
        "REPLY_DEADLINE_SECONDS", "The time for composing a reply, all engines together.", 20.0
    )
    max_segments: int = setting("REPLY_MAX_SEGMENTS", "The longest reply, in SMS segments.", 3, ge=1, le=10)
    max_parts: int = setting(
        "REPLY_MAX_PARTS",
        "The greatest number of messages for one reply: one line each, in order. 1: the whole reply in one message.",
        1,
        ge=1,
        le=10,
    )
    emoji: bool = setting(
        "REPLY_EMOJI",
        "Whether a model's emoji are sent. One emoji makes the whole text UCS-2, with 70 characters per segment.",
        False,
    )
    first_contact_line: Line = setting(
        "FIRST_CONTACT_LINE",
        "A line under the first reply that a person ever gets, such as who texts and how to stop it.",
    )
    footer_line: Line = setting(
        "FOOTER_LINE", "A line under every nth reply, such as where to donate; `FOOTER_EVERY` is n."
    )
    footer_every: int = setting(
        "FOOTER_EVERY",
        "The footer line stands under every reply whose number is a multiple of this. 0: under none.",
        0,
        ge=0,
        le=10000,
    )
    help_line: HelpLine = setting(
        "HELP_LINE",
        "The reply to HELP, unless Twilio says that it has replied. `off`: no reply, for numbers whose HELP "
        "Twilio answers.",
        "DadaCat is a cat that answers texts. STOP ends it, RESET makes it forget. Message and data rates may apply.",
    )

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.footer_every and not self.footer_line:
            raise ValueError("FOOTER_EVERY needs a FOOTER_LINE")
        return self


class MemorySettings(Section):
    """How much of a conversation a model sees."""

    tokens: int = setting(
        "MEMORY_TOKENS",
        "How much of a conversation a model is shown, in tokens: whole turns, newest first.",
        2000,
        ge=100,
        le=100000,
    )
    hours: Hours = setting(
        "MEMORY_HOURS",
        "The greatest age of turns that a model is shown. Older turns, and those beyond `MEMORY_TOKENS`, are "
        "folded into a summary and into what the person said about themselves.",
        72.0,
    )


class PeopleSettings(Section):
    """Who is answered, and under which name."""

    conversations: Literal["person", "number"] = setting(
        "CONVERSATIONS",
        "`person`: one conversation per person, whichever of the numbers is texted. `number`: one per person "
        "and number, with a `user_id` such as `+15551230001/+15005550006`. After a change, what was said before stays "
        "where it stands, and a STOP counts on. Texts that wait are answered there, and may come after newer ones: "
        "change it while none waits.",
        "person",
    )
    answer_short_codes: Literal["on", "off"] = setting(
        "ANSWER_SHORT_CODES",
        "`on`: texts from short codes are answered too. Alphanumeric senders are never answered.",
        "off",
    )
    countries: Countries = setting(
        "COUNTRIES",
        "Countries whose people are answered, such as `US,CA,DE`; empty: all. Google's libphonenumber finds a "
        "number's country.",
    )
    who_key: str = setting(
        "WHO_KEY",
        "Key of the hash that hides numbers in Redis and Flower. Empty: derived from the account. Never change it, "
        "nor the account while it is derived: texts that wait, and the STOPs of people who were forgotten, are kept "
        "under it.",
    )

    @property
    def per_number(self) -> bool:
        """Whether a person has a separate conversation with each of our numbers."""
        return self.conversations == "number"


class VisitSettings(Section):
    """How a worker serves one person."""

    double_text_policy: Literal["each", "coalesce", "latest"] = setting(
        "DOUBLE_TEXT_POLICY",
        "`each`: one reply to every text. `coalesce`: one reply to texts that arrive together. `latest`: a "
        "reply to the newest text only.",
        "coalesce",
    )
    quiet_window_seconds: Seconds = setting(
        "QUIET_WINDOW_SECONDS",
        "`coalesce` and `latest`: how long the person must have sent nothing before a reply is composed.",
        0.5,
    )
    quiet_limit_seconds: Seconds = setting(
        "QUIET_LIMIT_SECONDS",
        "The longest wait for such a pause, at most 300: the thread that waits serves no other person.",
        3.0,
        le=300,
    )
    max_age_seconds: Seconds = setting(
        "MAX_AGE_SECONDS", "A text older than this is not answered, and a reply older than this is not sent.", 21600.0
    )
    lease_seconds: Seconds = setting(
        "LEASE_SECONDS", "How long a lease lasts without renewal, that is, how long a dead worker keeps a person.", 20.0
    )
    lease_renew_seconds: Seconds = setting("LEASE_RENEW_SECONDS", "How often a live worker renews its leases.", 5.0)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.lease_renew_seconds * 2 > self.lease_seconds:
            raise ValueError("LEASE_RENEW_SECONDS must be at most half of LEASE_SECONDS")
        if self.quiet_window_seconds > self.quiet_limit_seconds:
            raise ValueError("QUIET_WINDOW_SECONDS must be at most QUIET_LIMIT_SECONDS")
        return self


class LimitsSettings(Section):
    """How often people are answered."""

    mode: Literal["on", "off"] = setting("LIMITS", "`off`: no rate limits at all, for load and chaos tests.", "on")
    texts_per_minute: Times = setting(
        "LIMIT_TEXTS_PER_MINUTE",
        "Texts of one person that are answered per minute; further texts get no reply. 0: no limit.",
        20,
    )
    texts_per_day: Times = setting("LIMIT_TEXTS_PER_DAY", "The same per day.", 600)
    identical_per_hour: Times = setting(
        "LIMIT_IDENTICAL_PER_HOUR",
        "Identical texts of one person that are answered per hour; six times as many if the text is short.",
        10,
    )
    turns_per_minute: Times = setting("LIMIT_TURNS_PER_MINUTE", "Replies to one person per minute.", 20)
    turns_per_hour: Times = setting("LIMIT_TURNS_PER_HOUR", "The same per hour.", 240)
    replies_per_30_seconds: Times = setting(
        "LIMIT_REPLIES_PER_30_SECONDS",
        "Messages from one number to one person in any 30 seconds; further replies wait. A reply counts as the most "
        "messages that it may have (`REPLY_MAX_PARTS`, `REPLY_MAX_SEGMENTS`). After 30, Twilio sends none (14107).",
        20,
    )
    replies_per_hour: Times = setting("LIMIT_REPLIES_PER_HOUR", "Replies per hour to all people together.", 5000)
    loop_replies: int = setting(
        "LOOP_REPLIES",
        "After this many consecutive texts that came faster than a person can write, or that repeat the cat's "
        "words, the person gets no reply for an hour. 0: never.",
        15,
        ge=0,
        le=100,
    )


class BudgetsSettings(Section):
    """What may be spent."""

    model_person_day: Dollars = setting(
        "MODEL_BUDGET_PERSON_DAY",
        "US dollars that models may cost for one person per day (UTC); `off`: no limit. Above it, the offline "
        "poet replies.",
        1.0,
    )
    model_day: Dollars = setting("MODEL_BUDGET_DAY", "The same for all people together.", 10.0)
    model_month: Dollars = setting("MODEL_BUDGET_MONTH", "The same for all people together, per calendar month.", 100.0)
    sms_person_day: Dollars = setting(
        "SMS_BUDGET_PERSON_DAY",
        "US dollars that messages to one person may cost per day (UTC); `off`: no limit. Above it, the person "
        "gets one last line and then no reply. A cap below the price of one reply is refused.",
        None,
    )
    sms_day: Dollars = setting("SMS_BUDGET_DAY", "The same for all people together.", None)
    sms_month: Dollars = setting("SMS_BUDGET_MONTH", "The same for all people together, per calendar month.", None)
    prices_file: str = setting(
        "PRICES_FILE",
        "A TOML file whose entries override DadaCat's price tables: `[[models]]`, `[segment]`, `[channel]`.",
    )


class DeliverySettings(Section):
    """How replies are sent."""

    validity_seconds: int = setting(
        "SMS_VALIDITY_SECONDS",
        "How long Twilio may hold a message back; after that, a send of unknown outcome becomes HELD.",
        3600,
        ge=1,
        le=36000,
    )
    unknown_patience_seconds: Seconds = setting(
        "UNKNOWN_PATIENCE_SECONDS", "How long a reply part of unknown outcome holds back the person's next reply.", 60.0
    )
    unknown_policy: Literal["hold", "resend"] = setting(
        "UNKNOWN_POLICY",
        "What becomes of a reply of which no evidence tells whether it was sent. `hold`: it waits for an operator. "
        "`resend`: it is sent again, once, if Twilio's list goes on not showing it; a person may get it twice.",
        "hold",
    )
    unknown_resend_after_seconds: Seconds = setting(
        "UNKNOWN_RESEND_AFTER_SECONDS",
        "With `UNKNOWN_POLICY=resend`: how long after the moment of doubt at the earliest. At least 60.",
        900.0,
        ge=60,
    )
    probe_seconds: Seconds = setting(
        "PROBE_SECONDS",
        "While Twilio refuses the account, a sender, a channel or a person, how often one send is tried there. "
        "Where only time mends it, the pauses double, up to half an hour.",
        30.0,
    )
    pace_long_code: Pace = setting(
        "PACE_LONG_CODE",
        "Segments per second that are sent from each long number. 0: no pacing; Twilio queues the messages.",
        0.0,
    )
    pace_toll_free: Pace = setting("PACE_TOLL_FREE", "The same for toll-free numbers.", 0.0)
    pace_short_code: Pace = setting("PACE_SHORT_CODE", "The same for short codes.", 0.0)
    marks_folder: str = setting(
        "SEND_MARKS_DIR",
        "A folder on a local file system, shared by the workers of one machine and kept over their restarts. "
        "Each worker notes there what it is about to send, so that a killed worker leaves no reply in doubt. "
        "Empty: the reply that a killed worker was sending may be held.",
    )
    redact_after_delivery: Literal["on", "off"] = setting(
        "REDACT_AFTER_DELIVERY",
        "`on`: once a reply is delivered, has failed, or can no longer be delivered, Twilio is asked to delete its "
        "words and those of the text that it answers. Twilio keeps the words of texts that get no reply, such as "
        "STOP, texts over a limit, too old ones and dead letters.",
        "off",
    )


class ReconcileSettings(Section):
    """How lost work is found."""

    sweep_interval_seconds: Seconds = setting(
        "SWEEP_INTERVAL_SECONDS", "How often the sweep looks for lost wake-up tasks.", 15.0
    )
    sweep_person_seconds: Seconds = setting(
        "SWEEP_PERSON_SECONDS", "The shortest time between two wake-up tasks that the sweep sends for one person.", 60.0
    )
    interval_seconds: Seconds = setting(
        "RECONCILE_INTERVAL_SECONDS", "How often the reconciler looks at the journal's unsettled rows.", 300.0
    )
    unsettled_after_seconds: Seconds = setting(
        "UNSETTLED_AFTER_SECONDS",
        "If a row is unsettled for longer than this, the reconciler puts its text back into the inbox.",
        60.0,
    )


class WorkerSettings(Section):
    """The worker process."""

    concurrency: int = setting(
        "WORKER_CONCURRENCY",
        "Conversations that one worker serves at a time, each in a thread or in a process.",
        32,
        ge=1,
        le=512,
    )
    pool: Literal["threads", "prefork"] = setting(
        "WORKER_POOL",
        "How a worker runs its conversations: `threads` of one process, or `prefork`, one process each.",
        "threads",
    )


class LogsSettings(Section):
    """What the processes log."""

    format: Literal["json", "console"] = setting(
        "LOG_FORMAT", "`json`: one JSON object per line. `console`: lines for people.", "json"
    )
    level: Literal["debug", "info", "warning", "error"] = setting(
        "LOG_LEVEL", "The least important level that is logged.", "info"
    )
    sentry_dsn: str = setting(
        "SENTRY_DSN", "Where errors are reported, without numbers and texts: Sentry, or what speaks its protocol."
    )


class MetricsSettings(Section):
    """Where a worker, and beat, show how they are; the webhook shows it at its own port."""

    port: int = setting(
        "METRICS_PORT",
        "Serve `/metrics`, `/livez` and `/readyz` of a worker, or of beat, at this port; 0: not at all. Under "
        "`dadacat up` beat has port N+9, the workers N+10, N+11 and so on.",
        0,
        ge=0,
        le=65_535,
    )
    host: str = setting("METRICS_HOST", "The address at which that port is opened.", "127.0.0.1")


class ObservabilitySettings(Section):
    """Where metrics and alarms are looked at."""

    prometheus_url: HttpUrl | None = setting(
        "PROMETHEUS_URL",
        "The address of the Prometheus that reads the metrics. `dadacat doctor` and the console ask it for alarms. "
        "`dadacat up --observe` sets it.",
        None,
    )
    grafana_url: HttpUrl | None = setting(
        "GRAFANA_URL", "The address of the Grafana that has the dashboards; the console links to it.", None
    )
    trace_url: TraceUrl | None = setting(
        "TRACE_URL",
        "Where a trace is looked at, with `{trace}` for its id, such as `https://jaeger.example/trace/{trace}`; the "
        "console links each traced text to it.",
        None,
    )


class FlowerSettings(Section):
    """The web page of the workers."""

    basic_auth: Login = setting(
        "FLOWER_BASIC_AUTH", "`user:password` for Flower. `dadacat flower` does not start without it."
    )
    basic_auth_file: str = setting(
        "FLOWER_BASIC_AUTH_FILE",
        "A file with that login instead. If it does not exist, `dadacat flower` creates it, with a random password.",
    )
    db: str = setting(
        "FLOWER_DB", "The file in which Flower keeps the tasks that it saw. Empty: it forgets them when it stops."
    )


class ConsoleSettings(Section):
    """The operator's console, and where it links to."""

    url: OriginUrl = setting(
        "CONSOLE_URL",
        "The address at which operators reach the console, without a path. It answers to this name, to `localhost` and "
        "to IP addresses; if it is https, its cookie travels over https alone.",
        "http://127.0.0.1:8405",
    )
    logins_file: str = setting(
        "CONSOLE_LOGINS_FILE",
        "The file of the console's logins, hashed, which `dadacat console password` writes. There is no default "
        "password: without a login the console does not start.",
        ".console-logins",
    )
    login: Login = setting(
        "CONSOLE_LOGIN",
        "`user:password` of a login that may act, beside those of the file: for a password that a program made and "
        "keeps as a secret.",
    )
    proxy_header: str = setting(
        "CONSOLE_PROXY_HEADER",
        "The header with the operator's name, if a reverse proxy logs operators in, such as `X-Forwarded-User`. The "
        "proxy must remove it from what it passes on. A name without a line in the file may look and not act.",
    )
    proxy_secret: str = setting(
        "CONSOLE_PROXY_SECRET",
        "The secret that a reverse proxy sends in `X-Console-Proxy-Secret`: then its `X-Forwarded-For` counts, and "
        "the header with the operator's name.",
    )
    flower_url: HttpUrl | None = setting("FLOWER_URL", "Where Flower is, for a link in the console.", None)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.proxy_header and not self.proxy_secret:
            raise ValueError("CONSOLE_PROXY_HEADER needs CONSOLE_PROXY_SECRET: any client can send a header")
        if self.proxy_secret and len(self.proxy_secret) < SHORTEST_PROXY_SECRET:
            raise ValueError(f"CONSOLE_PROXY_SECRET needs at least {SHORTEST_PROXY_SECRET} characters")
        return self


class SimulatorSettings(Section):
    """The telephone network for one machine."""

    data: str = setting("SIMULATOR_DATA", "The simulator's database file; empty: in memory.")
    faults: str = setting(
        "SIMULATOR_FAULTS", "A scenario file with the faults that the simulator produces from its start."
    )
    numbers: Numbers = setting(
        "SIMULATOR_NUMBERS", "Numbers that the simulator owns if `TWILIO_PHONE_NUMBER` is empty.", "+15005550006"
    )
