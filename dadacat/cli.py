"""Define the `dadacat` command: the subcommands of each module of this package.

A new command stands in the module of its subject, and is found there. Heavy modules are imported inside the commands,
so that `dadacat --help` answers at once.
"""

from __future__ import annotations

from typing import Final

import click

from dadacat import held, people, repair, reports, run, setup, trials
from runtime.process import prepare

MODULES: Final = (run, setup, people, reports, repair, held, trials)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="dadacat")
def main() -> None:
    """DadaCat: a dadaist cat that answers text messages.

    `dadacat up` runs everything on this machine. webhook, worker, beat and flower run one process each, as a
    deployment does. The other commands set up, inspect and repair.
    """
    prepare()


for _module in MODULES:
    main.commands.update(_module.commands.commands)
