"""Define the `dadacat` command: the subcommands of each module of this package.

A new command stands in the module of its subject, and is found there. Heavy modules are imported inside the commands,
so that `dadacat --help` answers at once.
"""

from __future__ import annotations

from typing import Final

import click

from dadacat import held, machine, people, repair, reports, run, setup, trials
from dadacat.terminal import Commands
from runtime.process import prepare

MODULES: Final = (machine, run, setup, people, reports, repair, held, trials)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(None, "-V", "--version", package_name="dadacat")
def main() -> None:
    """DadaCat: a dadaist cat that answers text messages.

    `dadacat up` runs everything on this machine. webhook, worker, beat and flower run one process each, as a
    deployment does. The other commands set up, inspect and repair.
    """
    prepare()


@main.command("help", context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1)
@click.pass_context
def show_help(context: click.Context, *, command: tuple[str, ...]) -> None:
    """Explain a command, as `--help` does."""
    main.main([*command, "--help"], prog_name=context.find_root().info_name)


for _module in MODULES:
    main.commands.update(_module.commands.commands)
