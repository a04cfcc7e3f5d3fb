"""Why an engine did not answer. Whatever the cause, the decision is the same: ask the next one."""


class CatError(Exception):
    """Root of what this package raises."""


class EngineSilent(CatError):
    """This engine has no reply in time: away, broken, refused, or empty. The next engine is asked."""


class UnknownEngine(CatError):
    """`CAT_ENGINES` names an engine that does not exist."""
