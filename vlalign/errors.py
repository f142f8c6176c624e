"""The one exception users meet."""


class VlalignError(Exception):
    """A mistake the user can mend: says what was wrong, where, and what to do.

    The command line prints it as one line and exits with status 1 (``--debug`` shows the traceback).
    """
