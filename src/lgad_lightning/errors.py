class LgadError(ValueError):
    """A mistake that the user can correct.

    The message says what is wrong, where (file and line, or configuration key) and how to correct it. The commands
    print it without a traceback and exit with code 1.
    """
