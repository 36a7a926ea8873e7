"""The one error that a user can cause: input that cannot be used."""


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message names the thing and its value, and says what was expected or what to do. The command line
    prints it without a traceback and exits with code 2.
    """
