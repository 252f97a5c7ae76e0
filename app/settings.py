"""Settings of this application: those of the framework, and its own."""

from typing import Annotated

from msgspec import Meta

import starpost


class Settings(starpost.Settings, frozen=True, kw_only=True):
    """Everything that an installation may set.

    A field of your own is a variable like the framework's: loaded, checked, listed in ``.env.example``, and given to
    handlers and providers as ``settings``.

        max_reviews: Annotated[int, Meta(ge=1, description="reviews of one user")] = 100
    """

    keycloak_realm: Annotated[str, Meta(min_length=1, description="the realm")] = "starpost"
    keycloak_client_id: Annotated[str, Meta(min_length=1, description="the client; tokens must be for it")] = "starpost"
    redis_prefix: Annotated[
        str,
        Meta(
            min_length=1, description="prefix of all keys and channels; unique for each application that shares a Redis"
        ),
    ] = "starpost"
    db_user: Annotated[str, Meta(min_length=1, description="PostgreSQL user")] = "app"
    db_name: Annotated[str, Meta(min_length=1, description="database")] = "app"
