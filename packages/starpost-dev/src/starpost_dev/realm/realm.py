"""Realm: settings, directory, keys, sessions and tokens, saved across restarts."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

import msgspec

from starpost_dev.realm.authorization import LoginStore
from starpost_dev.realm.directory import Directory, DirectoryDocument, directory_from_file
from starpost_dev.realm.keys import KeyRing
from starpost_dev.realm.realm_file import RealmFile, read_realm_file
from starpost_dev.realm.sessions import SessionStore, UserSession
from starpost_dev.realm.state import StateFolder
from starpost_dev.realm.tokens import TokenIssuer

_DIRECTORY = "directory.json"
_SESSIONS = "sessions.json"


class Realm:
    """Realm that is served at one address.

    Keys and changes by the administration API are saved at once, sessions when the realm stops. If the realm file has
    changed, its users and roles replace the saved ones.

    Args:
        base_url: URL of the server, without a slash at the end.
        realm_file: file that the real Keycloak imports.
        state: folder for saved state.

    Raises:
        RealmFileError: the realm file is not usable.
    """

    def __init__(self, base_url: str, realm_file: Path, state: Path) -> None:
        self._state = StateFolder(state)
        self.base_url = base_url
        self.settings: RealmFile = read_realm_file(realm_file)
        self.name = self.settings.realm
        self.id = str(uuid.uuid5(uuid.NAMESPACE_URL, self.name))
        self.title = self.settings.display_name or self.name
        self.issuer = f"{base_url}/realms/{self.name}"
        self._source = hashlib.sha256(msgspec.json.encode(self.settings)).hexdigest()
        kept = self._state.read(_DIRECTORY, DirectoryDocument)
        is_current = kept is not None and kept.source == self._source
        if kept is not None and is_current:
            self.directory = Directory(self.name, kept.roles, kept.clients, kept.users)
        else:
            self.directory = directory_from_file(self.settings)
        self.keys = KeyRing(self._state)
        self.sessions = SessionStore(
            self.settings.sso_session_idle_timeout,
            self.settings.sso_session_max_lifespan,
            self._state.read(_SESSIONS, list[UserSession]) if is_current else None,
        )
        self.tokens = TokenIssuer(self.issuer, self.settings, self.directory, self.keys)
        self.logins = LoginStore(self.settings.access_code_lifespan_login, self.settings.access_code_lifespan)
        self.save_directory()

    def save_directory(self) -> None:
        """Save users, roles and clients. Call it after every change of them."""
        self._state.write(_DIRECTORY, self.directory.document(self._source))

    def save_sessions(self) -> None:
        """Save the live sessions. Call it when the realm stops."""
        self._state.write(_SESSIONS, self.sessions.live())
