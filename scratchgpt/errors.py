"""The one error that a user can cause: bad input, said in words."""


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message names the thing, its value and what was expected. The command line prints it
    without a traceback and exits with code 2.
    """
