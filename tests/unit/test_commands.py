"""The command line as a whole: wrong values are sentences, and every command has the same shape."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from chaos.tree import free_base, free_port
from dadacat.cli import main
from dadacat.terminal import Commands
from local.plan import UpOptions, make_plan
from scripts.pages import commands

# importing a library inside a command may warn
pytestmark = pytest.mark.filterwarnings("ignore::ImportWarning")

#: Ports of one tree with a worker.
PORTS = 11
#: Commands that run until they are stopped.
ENDLESS = {"up", "webhook", "worker", "beat", "flower", "simulator"}
#: Commands whose output is of a form of its own: processes log, a poem is a poem, a chat is a stream.
OWN_FORM = {"webhook", "worker", "beat", "flower", "simulator", "gallery", "help", "chat"}
#: Commands that need neither stores nor a tree.
ALONE = {"gallery", "help", "chaos", "simulate-day"}


def leaves(group: click.Group = main, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name), command


LEAVES = dict(leaves())
NAMES = [" ".join(path) for path in LEAVES]


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run in an empty folder, with an empty home folder and no credentials."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    yield
    # pygal adds an importer of an old kind, which would warn at every later import
    sys.meta_path[:] = [finder for finder in sys.meta_path if not type(finder).__module__.startswith("pygal")]


@pytest.fixture
def nothing_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name an installation of which nothing answers."""
    dead = f"127.0.0.1:{free_port()}"
    for name, value in {
        "TWILIO_ACCOUNT_SID": "AC" + "1" * 32,
        "TWILIO_AUTH_TOKEN": "1" * 32,
        "TWILIO_PHONE_NUMBER": "+15005550006",
        "TWILIO_API_BASE_URL": f"http://{dead}",
        "PUBLIC_URL": f"http://{dead}",
        "REDIS_URL": f"redis://{dead}/0",
        "AWS_ENDPOINT_URL": f"http://{dead}",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }.items():
        monkeypatch.setenv(name, value)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, input="")


def is_a_sentence(result: Result, *codes: int) -> None:
    """Assert that a command failed as documented: with its code, and with a sentence."""
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert "Traceback" not in result.output
    assert result.exit_code in codes, result.output
    assert result.stderr.strip(), "no sentence"


def arguments_of(path: tuple[str, ...]) -> list[str]:
    """Return an argument for each that the command requires."""
    values = ["x" for parameter in LEAVES[path].params if isinstance(parameter, click.Argument) and parameter.required]
    return [*values, "--sent"] if path == ("held", "settle") else values


def wrong_values(option: click.Option) -> list[str]:
    """Return values that this option must refuse."""
    kind = option.type
    if isinstance(kind, click.Choice):
        return ["nonsense"]
    if isinstance(kind, click.IntRange | click.FloatRange):
        return ["many", "-1"] if kind.min is not None else ["many"]
    if isinstance(kind, click.types.IntParamType):
        return ["many"]
    if option.name == "since":
        return ["1x", "0", "yesterday", "-1d"]
    if isinstance(kind, click.Path):
        return ["/dev/null/folder"]
    return []


OPTIONS = [
    (" ".join(path), option.opts[0], value)
    for path, command in LEAVES.items()
    for option in command.params
    if isinstance(option, click.Option) and not (option.name == "data" and path[-1] in ALONE - {"chaos"})
    for value in wrong_values(option)
]


@pytest.mark.usefixtures("nothing_answers")
@pytest.mark.parametrize(("name", "option", "value"), OPTIONS)
def test_a_wrong_value_of_an_option_is_a_sentence(name: str, option: str, value: str) -> None:
    path = tuple(name.split())

    result = run(*path, *arguments_of(path), option, value)

    is_a_sentence(result, *((1, 2, 3) if value.startswith("/dev/null") else (2,)))


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_option_is_a_sentence(name: str) -> None:
    if name in ("worker", "beat", "flower", "help"):
        pytest.skip("passes further options on")

    is_a_sentence(run(*name.split(), "--nonsense"), 2)


@pytest.mark.usefixtures("nothing_answers")
@pytest.mark.parametrize("name", [name for name in NAMES if name not in ENDLESS | ALONE])
def test_an_installation_of_which_nothing_answers_is_a_sentence(name: str) -> None:
    path = tuple(name.split())
    if name in ("settings", "init", "chat", "console password"):
        pytest.skip("needs nothing that could answer")
    more = {"conversations import": [__file__], "conversations export": ["+15551230001"]}.get(name, arguments_of(path))
    yes = ["--yes"] if any(parameter.name == "yes" for parameter in LEAVES[path].params) else []

    result = run(*path, *more, *yes)

    assert result.exit_code in (1, 3), result.output
    if name != "doctor":
        is_a_sentence(result, 1, 3)
    assert "Traceback" not in result.output


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ENDLESS | ALONE])
def test_where_nothing_is_configured_a_sentence_says_what_was_looked_for(name: str, tmp_path: Path) -> None:
    path = tuple(name.split())
    if name == "init":
        pytest.skip("is what configures")
    more = {
        "conversations import": [__file__],
        "conversations export": ["+15551230001"],
        "chat": ["--as", "+15551230001"],
    }.get(name, arguments_of(path))

    result = run(*path, *more)

    is_a_sentence(result, 1, 3)
    assert f"no `dadacat up` runs with its data in {tmp_path}/.data" in result.stderr


@pytest.mark.usefixtures("nothing_answers")
@pytest.mark.parametrize("name", NAMES)
def test_every_command_takes_a_data_folder(name: str) -> None:
    path = tuple(name.split())
    assert any(parameter.name == "data" for parameter in LEAVES[path].params)
    if name in ALONE | {"up", "init", "chat", "logs", "conversations import"}:
        return

    result = run(*path, *arguments_of(path), "--data", "elsewhere")

    is_a_sentence(result, 2, 3)
    assert "elsewhere" in result.stderr or "--html" in result.stderr


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OWN_FORM])
def test_every_command_that_prints_has_json(name: str) -> None:
    assert any(parameter.name == "as_json" for parameter in LEAVES[tuple(name.split())].params)


@pytest.mark.usefixtures("nothing_answers")
@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"[1, 2\n", b'{"item": {"user_id": 7}}\n', b"{}\n", b"nonsense"])
def test_what_is_no_export_is_not_imported(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)

    is_a_sentence(run("conversations", "import", "file", "--yes"), 1)


@pytest.mark.usefixtures("nothing_answers")
def test_a_folder_where_a_file_is_expected_is_a_sentence() -> None:
    is_a_sentence(run("conversations", "import", "/"), 1, 2)
    is_a_sentence(run("conversations", "import", "/nowhere"), 2)
    is_a_sentence(run("init", "--file", "/"), 2)


@pytest.mark.usefixtures("nothing_answers")
@pytest.mark.parametrize("faults", ["nope.toml", "bad.toml"])
def test_a_scenario_file_that_cannot_be_used_is_a_sentence(
    faults: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad.toml").write_text("[[rules]\nat = ")
    monkeypatch.setenv("SIMULATOR_FAULTS", faults)

    is_a_sentence(run("simulator", "--port", str(free_port())), 1)


@pytest.mark.usefixtures("nothing_answers")
def test_a_chart_is_drawn_into_what_its_name_says() -> None:
    result = run("costs", "--plot", "costs.png")

    is_a_sentence(result, 2)
    assert "costs.svg" in result.stderr


def test_a_command_in_a_folder_of_compose_is_told_where_its_stores_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docker-compose.yml").touch()
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", "AC" + "1" * 32)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-a-real-account")

    result = run("stats")

    is_a_sentence(result, 1)
    assert "docker compose exec worker dadacat" in result.stderr


def test_the_list_of_commands_is_whole_at_80_columns() -> None:
    result = CliRunner().invoke(main, ["--help"], terminal_width=80)

    assert "..." not in result.output.partition("Commands:")[2]
    assert max(map(len, result.output.splitlines())) <= 80


def test_help_is_a_command_and_the_version_has_a_short_option() -> None:
    assert run("help", "conversations", "list").output == run("conversations", "list", "--help").output
    assert run("-V").output == run("--version").output


def test_the_reference_names_the_exit_codes() -> None:
    page = commands.markdown()

    assert "| 3 | what the command names is not there" in page
    assert json.dumps("--data") not in page


def test_a_tree_on_aws_needs_credentials_before_it_starts(tmp_path: Path) -> None:
    options = ["--dynamodb", "aws", "--workers", "0", "--headless", "--port-base", str(free_base(PORTS))]

    result = run("up", *options)

    is_a_sentence(result, 1)
    assert "there are no AWS credentials" in result.stderr
    assert not (tmp_path / ".data" / "logs").exists()


def test_credentials_of_a_file_are_enough_for_a_tree_on_aws(tmp_path: Path) -> None:
    given = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret"}
    options = UpOptions(port_base=free_base(PORTS), data=tmp_path, workers=0, aws=True)

    assert make_plan(given, options).environment["AWS_ACCESS_KEY_ID"] == "AKIA"


@pytest.mark.parametrize("name", ["console", "flower"])
def test_a_tree_is_planned_without_what_no_text_needs(tmp_path: Path, name: str) -> None:
    with_all = UpOptions(port_base=free_base(PORTS), data=tmp_path, workers=1)

    plan = make_plan({}, replace(with_all, without=frozenset({name})))

    started = {program.name for group in plan.groups for program in group}
    assert {program.name for group in make_plan({}, with_all).groups for program in group} - started == {name}
    assert name not in dict(plan.urls)
    assert f"{name.upper()}_URL" not in plan.environment, "status and doctor would look for it"


@pytest.mark.parametrize(("end", "code"), [(KeyboardInterrupt, 130), (EOFError, 1)])
def test_ctrl_c_at_a_question_is_told_from_the_end_of_the_input(
    monkeypatch: pytest.MonkeyPatch, end: type[BaseException], code: int
) -> None:
    def typed(_: str) -> str:
        raise end

    monkeypatch.setattr(click.termui, "visible_prompt_func", typed)
    group = Commands()
    group.command("ask")(lambda: click.prompt("A question"))

    with pytest.raises(SystemExit) as ended:
        group.main(["ask"])

    assert ended.value.code == code
