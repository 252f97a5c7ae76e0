"""Location of the real Keycloak, of Java, and of Maven, which fetches Keycloak."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import stat
import subprocess
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

VERSION = "26.7.2"
SHA256 = "744ced2aee48932be2de935ff380085ebded737655c0986aa3512bbcec62f69b"
MINIMAL_JAVA = 17
#: The exit status of a command that cannot run Keycloak here.
UNAVAILABLE = 3

_ARTIFACT = f"org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
_ARCHIVE = f"keycloak-quarkus-dist-{VERSION}.zip"
# The plug-in's version is pinned; Maven would otherwise choose its own.
_COPY_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
_JAVA_VERSION = re.compile(r'version "(?:1\.)?(\d+)')


class KeycloakUnavailableError(Exception):
    """The real Keycloak cannot run here; the message is one sentence that says what to install or to set."""


def find_java(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the `java` of `JAVA_HOME`, else of `PATH`.

    Raises:
        KeycloakUnavailableError: there is none, or it is too old.
    """
    home = environ.get("JAVA_HOME")
    found = str(Path(home, "bin", "java")) if home else shutil.which("java", path=environ.get("PATH"))
    wanted = f"the real Keycloak needs Java {MINIMAL_JAVA} or newer: install one (Debian: apt install openjdk-17-jre)"
    if not found or not os.access(found, os.X_OK):
        raise KeycloakUnavailableError(f"{wanted}, or name it in JAVA_HOME")
    said = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr
    version = _JAVA_VERSION.search(said)
    if version is None or int(version[1]) < MINIMAL_JAVA:
        raise KeycloakUnavailableError(f"{wanted}; {found} is {version[0] if version else 'no Java'}")
    return Path(found)


def find_keycloak(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the home of a Keycloak: `KEYCLOAK_HOME`, else the one fetched earlier, else a fresh one by Maven.

    Raises:
        KeycloakUnavailableError: `KEYCLOAK_HOME` is not a Keycloak, Maven is missing, or Maven failed.
    """
    if named := environ.get("KEYCLOAK_HOME"):
        home = Path(named)
        if not (home / "bin" / "kc.sh").is_file():
            raise KeycloakUnavailableError(f"KEYCLOAK_HOME={named} is not a Keycloak: it has no bin/kc.sh")
        return home
    cache = cache_folder(environ)
    home = cache / f"keycloak-{VERSION}"
    if home.is_dir():
        return home
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "fetch.lock").open("w") as lock:
        # Two checkouts may start at once; the second uses the copy that the first fetched.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.is_dir():
            _fetch(home, environ)
    return home


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of a fetched Keycloak, outside the checkout, for all checkouts of the user."""
    base = environ.get("XDG_CACHE_HOME") or str(Path(environ.get("HOME") or Path.home(), ".cache"))
    return Path(base, "starpost", "keycloak")


def _fetch(home: Path, environ: Mapping[str, str]) -> None:
    """Fetch the distribution and unpack it at `home`, which exists only when it is complete."""
    maven = shutil.which("mvn", path=environ.get("PATH"))
    if maven is None:
        raise KeycloakUnavailableError(
            f"Keycloak {VERSION} is fetched with Maven: install it (Debian: apt install maven), "
            "or name an unpacked Keycloak in KEYCLOAK_HOME"
        )
    with tempfile.TemporaryDirectory(dir=home.parent) as folder:
        archive = Path(folder, _ARCHIVE)
        command = [
            maven,
            "--batch-mode",
            "--quiet",
            _COPY_GOAL,
            f"-Dartifact={_ARTIFACT}",
            f"-DoutputDirectory={folder}",
        ]
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=dict(environ))
        if run.returncode != 0 or not archive.is_file():
            said = next((line for line in (run.stdout + run.stderr).splitlines() if "ERROR" in line), "it said nothing")
            raise KeycloakUnavailableError(f"Maven could not fetch Keycloak {VERSION}: {said.strip()}")
        verify_archive(archive)
        _unpack(archive, Path(folder))
        Path(folder, home.name).rename(home)


def verify_archive(archive: Path, expected: str = SHA256) -> None:
    """Compare the archive with the digest that this project trusts.

    Raises:
        KeycloakUnavailableError: it is another archive.
    """
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise KeycloakUnavailableError(
            f"{archive.name} is not the expected one: its SHA-256 is {found}, not {expected}"
        )


def _unpack(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as packed:
        for entry in packed.infolist():
            path = Path(packed.extract(entry, folder))
            mode = stat.S_IMODE(entry.external_attr >> 16)
            if mode and not entry.is_dir():
                # zipfile drops the permissions: kc.sh would not be executable.
                path.chmod(mode)
