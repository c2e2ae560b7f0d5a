class LgadError(ValueError):
    """A mistake that the user can correct.

    The message says what is wrong, where (file and line, or configuration key) and how to correct it. The commands
    print it without a traceback and exit with code 1.
    """


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's text, or the name of its type if the text is empty."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]
