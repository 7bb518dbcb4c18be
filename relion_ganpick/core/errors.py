"""The one exception whose message is meant for users."""


class GanpickError(Exception):
    """Something that the user can mend; the message names the file, the value and the way out."""
