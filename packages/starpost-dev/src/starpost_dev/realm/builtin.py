"""Built-in parts of every Keycloak realm: default roles, clients and their roles."""

from __future__ import annotations

from starpost_dev.realm.realm_file import ClientEntry, Composites, RoleEntry

#: The client whose roles open the administration API of its realm.
MANAGEMENT_CLIENT = "realm-management"

#: The client attribute that keeps the user and the roles out of access tokens: the realm looks them up itself.
LIGHTWEIGHT = "client.use.lightweight.access.token.enabled"

#: The client scopes that Keycloak puts on a new client; `profile` and `email` appear in a token's `scope`.
SCOPES_SHOWN = ("email", "profile")
SCOPES_HIDDEN = ("acr", "basic", "roles", "web-origins")
SCOPES_OPTIONAL = ("address", "microprofile-jwt", "offline_access", "organization", "phone")


def default_role(realm: str) -> str:
    """Return the realm role that every new user gets."""
    return f"default-roles-{realm}"


def realm_roles(realm: str) -> tuple[RoleEntry, ...]:
    """Return the realm roles that exist in every realm."""
    return (
        RoleEntry(name="offline_access", description="${role_offline-access}"),
        RoleEntry(name="uma_authorization", description="${role_uma_authorization}"),
        RoleEntry(
            name=default_role(realm),
            description="${role_default-roles}",
            composite=True,
            composites=Composites(
                realm=("offline_access", "uma_authorization"), client={"account": ("manage-account", "view-profile")}
            ),
        ),
    )


def clients() -> tuple[ClientEntry, ...]:
    """Return the clients that exist in every realm, as far as programs use them."""
    return (
        ClientEntry(client_id="account", name="${client_account}", public_client=True),
        ClientEntry(
            client_id="admin-cli",
            name="${client_admin-cli}",
            public_client=True,
            standard_flow_enabled=False,
            direct_access_grants_enabled=True,
            attributes={LIGHTWEIGHT: "true"},
        ),
        ClientEntry(
            client_id=MANAGEMENT_CLIENT,
            name="${client_realm-management}",
            bearer_only=True,
            standard_flow_enabled=False,
        ),
    )


def client_roles() -> dict[str, tuple[RoleEntry, ...]]:
    """Return the roles of these clients."""
    account: dict[str, tuple[str, ...]] = {
        "delete-account": (),
        "manage-account": ("manage-account-links",),
        "manage-account-links": (),
        "manage-consent": ("view-consent",),
        "view-applications": (),
        "view-consent": (),
        "view-groups": (),
        "view-profile": (),
    }
    management: dict[str, tuple[str, ...]] = {
        "create-client": (),
        "impersonation": (),
        "manage-authorization": (),
        "manage-clients": (),
        "manage-events": (),
        "manage-identity-providers": (),
        "manage-realm": (),
        "manage-users": (),
        "query-clients": (),
        "query-groups": (),
        "query-realms": (),
        "query-users": (),
        "view-authorization": (),
        "view-clients": ("query-clients",),
        "view-events": (),
        "view-identity-providers": (),
        "view-realm": (),
        "view-users": ("query-groups", "query-users"),
    }
    management["realm-admin"] = tuple(management)
    return {"account": _entries("account", account), MANAGEMENT_CLIENT: _entries(MANAGEMENT_CLIENT, management)}


def _entries(client: str, roles: dict[str, tuple[str, ...]]) -> tuple[RoleEntry, ...]:
    return tuple(
        RoleEntry(
            name=name,
            description=f"${{role_{name}}}",
            composite=bool(brings),
            composites=Composites(client={client: brings} if brings else {}),
        )
        for name, brings in roles.items()
    )
