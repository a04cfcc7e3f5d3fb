"""The network itself: both directions, and the state that they share."""

from __future__ import annotations

from simulator.account import Account
from simulator.faults import Faults
from simulator.inbound import Inbound
from simulator.outbound import Outbound
from simulator.store import Store
from simulator.switchboard import Switchboard


class Network:
    """Carries messages between the account and the telephones."""

    def __init__(self, store: Store, account: Account, *, faults: Faults, base_url: str) -> None:
        self.switchboard = Switchboard(store, account, faults=faults, base_url=base_url)
        self.outbound = Outbound(self.switchboard)
        self.inbound = Inbound(self.switchboard, self.outbound)

    async def start(self) -> None:
        """Resume the messages that were under way when the network stopped, in their order."""
        for message in self.switchboard.store.under_way():
            is_text = message.direction == "inbound"
            self.switchboard.begin(self.inbound.bring(message) if is_text else self.outbound.progress(message.sid))

    async def stop(self) -> None:
        """Stop; messages under way resume at the next start."""
        await self.switchboard.stop()
