"""The exception that users meet."""


class VlalignError(Exception):
    """A mistake that the user can correct: what is wrong, where, and what to do.

    The command line prints it as one line and exits with status 1 (``--debug`` shows the traceback).
    """
