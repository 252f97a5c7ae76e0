"""Directory of the realm: users, roles and clients, from the realm file, changed by the administration API."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator

import msgspec

from starpost_dev.realm import builtin
from starpost_dev.realm.passwords import NOBODY, PasswordHash
from starpost_dev.realm.realm_file import ClientEntry, MapperEntry, RealmFile, RealmFileError, RoleEntry, UserEntry

_NAMESPACE = uuid.UUID("b2d1f8c0-7c5f-4f0e-9d53-3a6f0c3f5a10")


class RoleKey(msgspec.Struct, frozen=True, order=True):
    """Name of a role within its container: a client, or the realm itself (`client` is empty)."""

    name: str
    client: str = ""


class Role(msgspec.Struct):
    """Role and its composites."""

    id: str
    key: RoleKey
    description: str | None = None
    composites: list[RoleKey] = []


class Client(msgspec.Struct):
    """Client: an application that requests tokens."""

    id: str
    client_id: str
    name: str | None
    enabled: bool
    public: bool
    bearer_only: bool
    secret: str | None
    standard_flow: bool
    direct_access_grants: bool
    service_accounts: bool
    redirect_uris: list[str]
    web_origins: list[str]
    attributes: dict[str, str]
    mappers: list[MapperEntry]

    def seconds(self, attribute: str, default: int) -> int:
        """Return a lifetime that the client sets, else the realm's."""
        value = self.attributes.get(attribute, "")
        return int(value) if value.isdigit() and int(value) > 0 else default


class User(msgspec.Struct):
    """User: a person, or the service account of a client."""

    id: str
    username: str
    enabled: bool = True
    email_verified: bool = False
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    attributes: dict[str, list[str]] = {}
    password: PasswordHash | None = None
    password_is_temporary: bool = False
    roles: list[RoleKey] = []
    service_account_of: str | None = None
    created: int = 0
    not_before: int = 0

    def is_set_up(self) -> bool:
        """True if the account may sign in: Keycloak's user profile requires an e-mail address and both names."""
        return not self.password_is_temporary and all((self.email, self.first_name, self.last_name))


class DirectoryDocument(msgspec.Struct):
    """Saved directory; `source` is the digest of the realm file from which it was made."""

    source: str
    roles: list[Role]
    clients: list[Client]
    users: list[User]


class Directory:
    """Users, roles and clients of one realm, in memory."""

    def __init__(self, realm: str, roles: Iterable[Role], clients: Iterable[Client], users: Iterable[User]) -> None:
        self.realm = realm
        self.roles = {role.key: role for role in roles}
        self.clients = {client.client_id: client for client in clients}
        self.users = {user.id: user for user in users}

    # ---- looking up -------------------------------------------------------------------------------------------------

    def user_named(self, username: str) -> User | None:
        """Return the user with this name, ignoring case: Keycloak stores names in lower case."""
        wanted = username.lower()
        return next((user for user in self.users.values() if user.username == wanted), None)

    def client_by_uuid(self, client_uuid: str) -> Client | None:
        """Return the client with this id, which the administration API uses instead of the clientId."""
        return next((client for client in self.clients.values() if client.id == client_uuid), None)

    def service_account(self, client: Client) -> User | None:
        """Return the user that represents a client in the client-credentials grant."""
        return next((user for user in self.users.values() if user.service_account_of == client.client_id), None)

    def password_matches(self, user: User | None, password: str) -> bool:
        """Compare the password with the user's. Takes the same time if the user does not exist."""
        known = (user and user.password) or NOBODY
        return known.matches(password) and known is not NOBODY

    def effective_roles(self, roles: Iterable[RoleKey]) -> list[RoleKey]:
        """Return the roles and all their composites, each once, in a stable order."""
        found: dict[RoleKey, None] = {}
        waiting = list(roles)
        while waiting:
            key = waiting.pop()
            if key in found or key not in self.roles:
                continue
            found[key] = None
            waiting.extend(self.roles[key].composites)
        return sorted(found)

    # ---- changing ---------------------------------------------------------------------------------------------------

    def add_user(self, user: User) -> User:
        """Add a user with the realm's default roles."""
        user.roles = [RoleKey(builtin.default_role(self.realm))]
        user.created = time.time_ns() // 1_000_000
        self.users[user.id] = user
        return user

    def remove_role(self, key: RoleKey) -> None:
        """Remove a role, also from the users and roles that had it."""
        del self.roles[key]
        for user in self.users.values():
            user.roles = [held for held in user.roles if held != key]
        for role in self.roles.values():
            role.composites = [brought for brought in role.composites if brought != key]

    def document(self, source: str) -> DirectoryDocument:
        """Return the directory as a document for the state folder."""
        return DirectoryDocument(
            source, list(self.roles.values()), list(self.clients.values()), list(self.users.values())
        )


def directory_from_file(realm_file: RealmFile) -> Directory:
    """Build the directory of a realm file, with the built-in parts of every realm.

    Ids that the file leaves out are derived from the names, so that a user keeps the same `sub` from run to run.

    Raises:
        RealmFileError: a user or a role names a role that does not exist, or a name is repeated.
    """
    realm = realm_file.realm
    clients = _unique(
        "client", {entry.client_id: entry for entry in builtin.clients()}, realm_file.clients, "client_id"
    )
    roles = list(_roles(realm_file, realm))
    known = {role.key for role in roles}
    for client_id in {key.client for key in known} - {""} - set(clients):
        raise RealmFileError(f"roles.client: there is no client {client_id!r}")
    for role in roles:
        _demand(known, role.composites, f"role {role.key.name!r}")
    directory = Directory(realm, roles, (_client(entry, realm) for entry in clients.values()), ())
    for entry in _unique("user", {}, realm_file.users, "username").values():
        user = _user(entry, realm)
        _demand(known, user.roles, f"user {user.username!r}")
        directory.users[user.id] = user
    for client in directory.clients.values():
        if client.service_accounts and directory.service_account(client) is None:
            name = f"service-account-{client.client_id}"
            directory.add_user(User(_id(realm, "user", name), name, service_account_of=client.client_id))
    return directory


def _roles(realm_file: RealmFile, realm: str) -> Iterator[Role]:
    named: dict[RoleKey, RoleEntry] = {RoleKey(entry.name): entry for entry in builtin.realm_roles(realm)}
    named |= {RoleKey(entry.name): entry for entry in realm_file.roles.realm}
    for by_client in (builtin.client_roles(), realm_file.roles.client):
        for client_id, entries in by_client.items():
            named |= {RoleKey(entry.name, client_id): entry for entry in entries}
    for key, entry in named.items():
        brings = [RoleKey(name) for name in entry.composites.realm]
        brings += [RoleKey(name, client) for client, names in entry.composites.client.items() for name in names]
        yield Role(entry.id or _id(realm, "role", f"{key.client}/{key.name}"), key, entry.description, brings)


def _client(entry: ClientEntry, realm: str) -> Client:
    return Client(
        id=entry.id or _id(realm, "client", entry.client_id),
        client_id=entry.client_id,
        name=entry.name,
        enabled=entry.enabled,
        public=entry.public_client,
        bearer_only=entry.bearer_only,
        secret=entry.secret,
        standard_flow=entry.standard_flow_enabled,
        direct_access_grants=entry.direct_access_grants_enabled,
        service_accounts=entry.service_accounts_enabled,
        redirect_uris=list(entry.redirect_uris),
        web_origins=list(entry.web_origins),
        attributes=dict(entry.attributes),
        mappers=list(entry.protocol_mappers),
    )


def _user(entry: UserEntry, realm: str) -> User:
    password = next((held for held in entry.credentials if held.type == "password"), None)
    roles = [RoleKey(name) for name in entry.realm_roles]
    roles += [RoleKey(name, client) for client, names in entry.client_roles.items() for name in names]
    return User(
        id=entry.id or _id(realm, "user", entry.username.lower()),
        username=entry.username.lower(),
        enabled=entry.enabled,
        email_verified=entry.email_verified,
        email=entry.email,
        first_name=entry.first_name,
        last_name=entry.last_name,
        attributes={name: list(values) for name, values in entry.attributes.items()},
        password=PasswordHash.of(password.value) if password else None,
        password_is_temporary=bool(password and password.temporary),
        roles=roles,
        service_account_of=entry.service_account_client_id,
        created=time.time_ns() // 1_000_000,
    )


def _unique(kind: str, start: dict, entries: Iterable, attribute: str) -> dict:  # type: ignore[type-arg]
    found = dict(start)
    seen: set[str] = set()
    for entry in entries:
        name = getattr(entry, attribute)
        if name.lower() in seen:
            raise RealmFileError(f"{kind} {name!r} is repeated")
        seen.add(name.lower())
        found[name] = entry
    return found


def _demand(known: set[RoleKey], roles: Iterable[RoleKey], who: str) -> None:
    for key in roles:
        if key not in known:
            where = f"client {key.client!r}" if key.client else "the realm"
            raise RealmFileError(f"{who}: {where} has no role {key.name!r}")


def _id(realm: str, kind: str, name: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{realm}/{kind}/{name}"))
