"""Everything artray raises on purpose.

    ArtrayError              the job ended early; exit status 1
    └── InputError           wrong use, or input that can't be used; exit status 2

A message is one line that a museum's engineer can act on without reading our code. A picture that can't be
read is never an exception: it is a row with a `status` (see `artray.images.decoding`).
"""


class ArtrayError(Exception):
    """A job could not finish for a reason known to artray."""


class InputError(ArtrayError):
    """The options or the input given by the user can't be used."""
