"""Settings of this application: those of the framework, and its own."""

import starpost


class Settings(starpost.Settings, frozen=True, kw_only=True):
    """Everything that an installation may set.

    A field of your own is a variable like the framework's: loaded, checked, listed in ``.env.example``, and given to
    handlers and providers as ``settings``.

        max_reviews: Annotated[int, Meta(ge=1, description="reviews of one user")] = 100
    """
