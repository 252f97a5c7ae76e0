"""What may go wrong."""


class ScaffoldError(Exception):
    """It cannot be written; the text is one sentence for the person who asked."""
