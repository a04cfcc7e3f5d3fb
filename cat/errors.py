"""Why an engine did not answer. Whatever the cause, the decision is the same: ask again while there is time, or the next one."""


class CatError(Exception):
    """Root of what this package raises."""


class EngineSilent(CatError):
    """This engine has no reply in time: away, broken, refused, or empty. The next engine is asked.

    `transient`: the same engine may answer a moment later. `paid`: it may have worked all the same, and will be on the bill. `refused`: it is
    well, and says no to what it was asked.
    """

    def __init__(self, message: str, *, transient: bool = False, paid: bool = False, refused: bool = False) -> None:
        super().__init__(message)
        self.transient = transient
        self.paid = paid
        self.refused = refused
        #: What it may have cost, in millionths of a dollar, as far as whoever asked knows.
        self.cost = 0
