"""The environment to settings: every kind of variable, every wrong one named, no secret shown."""

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from starpost.observability.masking import mask_secrets
from starpost.settings import Secret, Settings, SettingsError

ROOT = Path.cwd()
NAMES = [field.name for field in msgspec.structs.fields(Settings)]
FIELDS = cast("msgspec.inspect.StructType", msgspec.inspect.type_info(Settings)).fields
SECRETS = [field.name for field in msgspec.structs.fields(Settings) if isinstance(field.default, Secret)]
PRODUCTION = {
    "ENVIRONMENT": "production",
    "ALLOWED_HOSTS": "app.example.com",
    "WS_QUERY_TOKEN": "false",
    **{name.upper(): "a secret of our own" for name in SECRETS},
}


def faults_of(**environ: str) -> list[str]:
    """One line for each fault."""
    with pytest.raises(SettingsError) as refused:
        Settings.from_strings(environ)
    first, *lines = str(refused.value).splitlines()
    assert first == "wrong settings:"
    return [line.strip() for line in lines]


def test_defaults_are_good() -> None:
    assert Settings.from_strings({}) == Settings()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("port", "8123", 8123),
        ("port", " 8123 ", 8123),
        ("db_pool_recycle", "-1", -1),
        ("ws_heartbeat", "0.25", 0.25),
        ("ws_heartbeat", "15", 15.0),
        ("environment", "production ", "production"),
        ("log_level", "DEBUG", "DEBUG"),
        ("keycloak_realm", " mine\n", "mine"),
        ("keycloak_public_url", "", ""),
        ("redis_username", "", ""),
        ("db_password", " kept as it is ", Secret(" kept as it is ")),
        ("redis_password", "", Secret()),
        ("allowed_origins", "https://a.example, http://b.example:81 ,", ("https://a.example", "http://b.example:81")),
        ("allowed_origins", "http://[::1]:8000/", ("http://[::1]:8000/",)),
        ("public_in_production", "metrics, schema", ("metrics", "schema")),
        ("allowed_hosts", "a.example, *.b.example:81,[::1]:8000", ("a.example", "*.b.example:81", "[::1]:8000")),
        ("trusted_proxies", "10.0.0.0/8, 192.0.2.1,::1", ("10.0.0.0/8", "192.0.2.1", "::1")),
        ("excluded_paths", "^/health/,^/public$", ("^/health/", "^/public$")),
        ("redis_nodes", "a:1,b.example:65535,[::1]:7000", ("a:1", "b.example:65535", "[::1]:7000")),
        *[("debug_auth", text, True) for text in ["1", "true", "TRUE", "yes", "on", " True "]],
        *[("debug_auth", text, False) for text in ["0", "false", "False", "no", "off"]],
    ],
)
def test_right_values(name: str, text: str, value: Any) -> None:
    environ = {name.upper(): text}
    if text.strip() == "production":
        environ = PRODUCTION
    found = getattr(Settings.from_strings(environ), name)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_an_empty_value_means_the_default_except_for_text(field: msgspec.inspect.Field) -> None:
    name, default = field.name, getattr(Settings(), field.name)
    kind = cast("msgspec.inspect.Metadata", field.type).type
    is_text = isinstance(kind, msgspec.inspect.StrType)
    if not is_text and not isinstance(default, Secret):
        assert getattr(Settings.from_strings({name.upper(): ""}), name) == default
    elif isinstance(kind, msgspec.inspect.StrType) and (kind.min_length or kind.pattern == "^https?://"):
        assert faults_of(**{name.upper(): ""})[0].startswith(f"{name.upper()}: ")
    else:
        assert getattr(Settings.from_strings({name.upper(): ""}), name) == ""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PORT", "http"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PORT", "1_0"),
        ("PORT", "٣"),
        ("PORT", "9" * 5000),
        ("WORKERS", "0"),
        ("WORKERS", "1.5"),
        ("WS_HEARTBEAT", "0"),
        ("WS_HEARTBEAT", "nan"),
        ("WS_HEARTBEAT", "inf"),
        ("WS_HEARTBEAT", "10s"),
        ("KEYCLOAK_LEEWAY", "5.5"),
        ("DEFAULT_PAGE_SIZE", "101"),
        ("DEBUG_AUTH", "maybe"),
        ("DEBUG_AUTH", "2"),
        ("ENVIRONMENT", "prod"),
        ("LOG_LEVEL", "debug"),
        ("DB_SSL", "on"),
        ("DB_HOST", ""),
        ("DB_HOST", "  "),
        ("KEYCLOAK_BASE_URL", "keycloak:8080"),
        ("KEYCLOAK_BASE_URL", ""),
        ("KEYCLOAK_PUBLIC_URL", "ftp://keycloak"),
        ("EXCLUDED_PATHS", "^/ok,("),
        ("ALLOWED_ORIGINS", "app.example"),
        ("ALLOWED_ORIGINS", "https://app.example/path"),
        ("ALLOWED_ORIGINS", "https://*"),
        ("REDIS_NODES", "redis"),
        ("REDIS_NODES", "redis:"),
        ("REDIS_NODES", ":6379"),
        ("REDIS_NODES", "redis:0"),
        ("REDIS_NODES", "redis:65536"),
        ("REDIS_NODES", "redis:²"),
        ("REDIS_MODE", "cluster"),
        ("ALLOWED_HOSTS", "https://a.example"),
        ("ALLOWED_HOSTS", "a.*.example"),
        ("ALLOWED_HOSTS", "*example"),
        ("ALLOWED_HOSTS", "a.example:0"),
        ("ALLOWED_HOSTS", "a.example:65536"),
        ("ALLOWED_HOSTS", "a.example/path"),
        ("ALLOWED_HOSTS", "::1"),
        ("MAX_BODY_BYTES", "0"),
        ("WS_OUTBOX_BYTES", "131071"),
        ("PUBLIC_IN_PRODUCTION", "metrics,/schema"),
        ("BODY_TIMEOUT", "0"),
        ("TRUSTED_PROXIES", "*"),
        ("TRUSTED_PROXIES", "proxy.example"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
    ],
)
def test_wrong_values(name: str, text: str) -> None:
    (fault,) = faults_of(**{name: text})
    named = "REDIS_NODES" if name == "REDIS_MODE" else name
    assert fault.startswith(f"{named}: ")
    assert len(fault) < 300


def test_every_wrong_variable_is_named_at_once() -> None:
    environ = {
        "PORT": "x",
        "WORKERS": "0",
        "DEBUG_AUTH": "perhaps",
        "ENVIRONMENT": "test",
        "EXCLUDED_PATHS": "(,[",
        "REDIS_MODE": "sentinel",
        "KEYCLOAK_BASE_URL": "x",
    }
    assert [fault.partition(":")[0] for fault in faults_of(**environ)] == [
        "DEBUG_AUTH",
        "ENVIRONMENT",
        "EXCLUDED_PATHS",
        "EXCLUDED_PATHS",
        "KEYCLOAK_BASE_URL",
        "PORT",
        "REDIS_NODES",
        "WORKERS",
    ]


def test_other_variables_are_nobodys_business() -> None:
    assert Settings.from_strings({"PATH": "/bin", "PORTS": "x", "port": "x"}) == Settings()


# ---- secrets ---------------------------------------------------------------------------------------------------------


def test_the_secrets_are_those_that_should_be() -> None:
    secret_by_name = {name for name in NAMES if name.endswith(("password", "secret", "_dsn", "_key"))}
    assert secret_by_name == set(SECRETS)


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_shown_nowhere(name: str) -> None:
    settings = Settings.from_strings({name.upper(): "hunter2"})
    assert getattr(settings, name) == "hunter2"
    event = mask_secrets(None, "info", {"settings": settings, "value": getattr(settings, name), "all": [settings]})
    for shown in [repr(settings), f"{settings!r}", str(settings), repr([settings]), repr(event)]:
        assert "hunter2" not in shown
    logging.getLogger(__name__).info("%s", settings)


def test_a_secret_is_in_no_error() -> None:
    for name in SECRETS:
        faults = faults_of(**{name.upper(): "hunter2", "PORT": "x", "ENVIRONMENT": "production"})
        assert not any("hunter2" in fault for fault in faults)


def test_whether_a_secret_is_set_may_be_seen() -> None:
    assert repr(Secret("x")) == "Secret('***')"
    assert repr(Secret()) == "Secret('')"


# ---- DEBUG_AUTH ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_the_debug_user_is_for_this_machine(host: str) -> None:
    assert Settings.from_strings({"DEBUG_AUTH": "true", "HOST": host}).debug_auth


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("HOST", "0.0.0.0"),  # noqa: S104
        ("HOST", "::"),
        ("HOST", "192.0.2.1"),
        ("HOST", "app.example"),
        ("ALLOWED_ORIGINS", "https://a.example,*"),
        ("ALLOWED_HOSTS", "*"),
    ],
)
def test_the_debug_user_is_for_nobody_else(name: str, text: str) -> None:
    (fault,) = faults_of(**{"DEBUG_AUTH": "true", name: text})
    assert fault.startswith("DEBUG_AUTH: ")
    assert name in fault
    Settings.from_strings({name: text})


# ---- production ------------------------------------------------------------------------------------------------------


def test_production_with_secrets_of_its_own() -> None:
    assert Settings.from_strings(PRODUCTION).is_production
    assert not Settings().is_production


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("DEBUG_AUTH", "true"),
        ("RELOAD", "true"),
        ("ALLOWED_HOSTS", ""),
        ("ALLOWED_HOSTS", "a.example,*"),
        ("ALLOWED_ORIGINS", "https://a.example,*"),
        ("DB_PASSWORD", "app"),
        ("KEYCLOAK_ADMIN_PASSWORD", "realm-admin"),
    ],
)
def test_production_refuses(name: str, text: str) -> None:
    (fault,) = faults_of(**PRODUCTION | {name: text})
    assert fault.startswith(f"{name}: ")
    Settings.from_strings({name: text})


def test_production_refuses_all_at_once() -> None:
    faults = faults_of(ENVIRONMENT="production", DEBUG_AUTH="1", ALLOWED_ORIGINS="*", PORT="x")
    assert [fault.partition(":")[0] for fault in faults] == [
        "ALLOWED_HOSTS",
        "ALLOWED_ORIGINS",
        "DB_PASSWORD",
        "DEBUG_AUTH",
        "DEBUG_AUTH",
        "KEYCLOAK_ADMIN_PASSWORD",
        "PORT",
        "WS_QUERY_TOKEN",
    ]


TLS = {"REDIS_TLS": "true", "DB_SSL": "require", "REDIS_SENTINEL_PASSWORD": "of the sentinels"}
SENTINELS = {"REDIS_MODE": "sentinel", "REDIS_NODES": "127.0.0.1:1,10.0.0.2:2"}


@pytest.mark.parametrize(
    ("environ", "name", "accepted_by"),
    [
        ({"REDIS_IP": "10.0.0.2", "REDIS_PASSWORD": ""}, "REDIS_PASSWORD", "redis_password"),
        ({"REDIS_IP": "10.0.0.2", "REDIS_TLS": "false"}, "REDIS_TLS", "redis_tls"),
        (SENTINELS | {"REDIS_SENTINEL_PASSWORD": ""}, "REDIS_SENTINEL_PASSWORD", "redis_password"),
        (SENTINELS | {"REDIS_TLS": "false"}, "REDIS_TLS", "redis_tls"),
        ({"REDIS_IP": "127.0.0.1", "REDIS_NODES": "a.example:1", "REDIS_TLS": "0"}, "REDIS_TLS", "redis_tls"),
        ({"DB_HOST": "db.example", "DB_SSL": "prefer"}, "DB_SSL", "db_ssl"),
        ({"DB_HOST": "::2", "DB_SSL": "disable"}, "DB_SSL", "db_ssl"),
        ({"KEYCLOAK_BASE_URL": "http://keycloak:8080"}, "KEYCLOAK_BASE_URL", "keycloak_http"),
        ({"KEYCLOAK_BASE_URL": "http://[::2"}, "KEYCLOAK_BASE_URL", "keycloak_http"),
        ({"KEYCLOAK_BASE_URL": "http://127.0.0.1@keycloak"}, "KEYCLOAK_BASE_URL", "keycloak_http"),
        ({"KEYCLOAK_PUBLIC_URL": "http://127.0.0.1.example"}, "KEYCLOAK_PUBLIC_URL", "keycloak_http"),
        ({"WS_QUERY_TOKEN": "true"}, "WS_QUERY_TOKEN", "query_token"),
    ],
)
def test_production_refuses_what_is_insecure_unless_it_is_accepted_by_name(
    environ: dict[str, str], name: str, accepted_by: str
) -> None:
    environ = TLS | environ
    (fault,) = faults_of(**PRODUCTION | environ)
    assert fault.startswith(f"{name}: ")
    assert fault.endswith(f"; ALLOW_INSECURE={accepted_by} accepts it")
    accepting = Settings.from_strings(PRODUCTION | environ | {"ALLOW_INSECURE": accepted_by})
    assert [line.partition(":")[0] for line in accepting.accepted_insecurities] == [name]
    assert Settings.from_strings(environ | {"ALLOW_INSECURE": accepted_by}).accepted_insecurities == []


def test_production_refuses_all_that_is_insecure_at_once() -> None:
    faults = faults_of(
        **PRODUCTION
        | {"REDIS_NODES": "10.0.0.1:1", "REDIS_MODE": "sentinel", "DB_HOST": "10.0.0.1", "WS_QUERY_TOKEN": "1"}
        | {"REDIS_PASSWORD": "", "REDIS_SENTINEL_PASSWORD": "", "KEYCLOAK_BASE_URL": "http://10.0.0.1"}
    )
    assert [fault.partition(":")[0] for fault in faults] == [
        "DB_SSL",
        "KEYCLOAK_BASE_URL",
        "REDIS_PASSWORD",
        "REDIS_SENTINEL_PASSWORD",
        "REDIS_TLS",
        "WS_QUERY_TOKEN",
    ]


def test_what_stays_on_this_machine_needs_no_tls() -> None:
    for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost", "db.localhost", "/run/postgresql"):
        settings = Settings.from_strings(PRODUCTION | {"DB_HOST": host, "DB_SSL": "disable"})
        assert settings.accepted_insecurities == []
    Settings.from_strings(PRODUCTION | {"KEYCLOAK_BASE_URL": "http://[::1]:8080", "REDIS_PASSWORD": ""})


def test_only_what_has_a_name_can_be_accepted() -> None:
    (fault,) = faults_of(ALLOW_INSECURE="db_ssl,everything")
    assert fault.startswith("ALLOW_INSECURE: 'everything' is none of db_ssl, ")


# ---- .env ------------------------------------------------------------------------------------------------------------


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("PORT=1\nWORKERS=2\nexport DB_NAME=three\n# DB_USER=four\nDB_HOST\n\n")
    settings = Settings.load({"PORT": "5"}, dotenv)
    assert (settings.port, settings.workers, settings.db_name) == (5, 2, "three")
    assert (settings.db_user, settings.db_host) == ("app", "127.0.0.1")


def test_wrong_variables_of_the_file_are_named_too(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("PORT=x\n")
    with pytest.raises(SettingsError, match=r"PORT.*\n.*WORKERS"):
        Settings.load({"WORKERS": "x"}, dotenv)


@pytest.mark.parametrize("dotenv", [None, Path("there/is/none")])
def test_without_a_file(dotenv: Path | None) -> None:
    assert Settings.load({}, dotenv) == Settings()


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_bytes(b"DB_PASSWORD=\xff\xfe\n")
    with pytest.raises(SettingsError, match=r"\.env cannot be read"):
        Settings.load({}, dotenv)


passwords = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), min_size=1)


@given(password=passwords)
@example(password="$HOME ${PATH} `id` $(id)")
@example(password="#no comment # here")
@example(password="'\"\\'\\\"\\n\\")
@example(password="  spaces\tand\nlines  ")
@example(password="p@ss:w/rd?&=%25+ü€🔑")
def test_a_password_may_have_any_character(tmp_path_factory: pytest.TempPathFactory, password: str) -> None:
    """In the environment as it is; in the file between single quotes, with ``\\`` before ``\\`` and ``'``."""
    assert Settings.load({"DB_PASSWORD": password}, None).db_password == password
    dotenv = tmp_path_factory.mktemp("settings") / ".env"
    quoted = password.replace("\\", "\\\\").replace("'", "\\'")
    dotenv.write_text(f"DB_PASSWORD='{quoted}'\nPORT=7\n", newline="")
    settings = Settings.load({}, dotenv)
    assert settings.db_password == password
    assert settings.port == 7


def test_values_of_the_file_are_not_interpolated(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("DB_USER=first\nDB_PASSWORD=${DB_USER}$DB_USER\n")
    assert Settings.load({}, dotenv).db_password == "${DB_USER}$DB_USER"


# ---- the whole -------------------------------------------------------------------------------------------------------


def test_importing_the_application_reads_nothing(tmp_path: Path) -> None:
    """A wrong environment is no fault until somebody asks for the settings."""
    (tmp_path / ".env").write_text("PORT=x\n")
    code = "import starpost.composition.application, starpost.settings; print('imported')"
    environ = {"PYTHONPATH": str(ROOT), "WORKERS": "x"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("imported\n", "")


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Settings().port = 1  # type: ignore[misc]


@pytest.mark.parametrize("field", msgspec.structs.fields(Settings), ids=lambda field: field.name)
def test_every_variable_is_described(field: msgspec.structs.FieldInfo) -> None:
    """``.env.example`` is made of the descriptions."""
    assert any(isinstance(note, msgspec.Meta) and note.description for note in field.type.__metadata__)


@pytest.mark.parametrize(
    ("public", "issuer"),
    [
        ("", "http://keycloak:8080/realms/mine"),
        ("https://login.example/", "https://login.example/realms/mine"),
    ],
)
def test_issuer(public: str, issuer: str) -> None:
    environ = {
        "KEYCLOAK_BASE_URL": "http://keycloak:8080/",
        "KEYCLOAK_PUBLIC_URL": public,
        "KEYCLOAK_REALM": "mine",
    }
    assert Settings.from_strings(environ).keycloak_issuer == issuer


@pytest.mark.parametrize(
    ("connections", "anonymous", "places"),
    [("10000", "0", 1000), ("9", "", 1), ("1", "0", 1), ("10", "10", 10), ("100", "3", 3)],
)
def test_strangers_have_a_tenth_unless_it_is_said(connections: str, anonymous: str, places: int) -> None:
    settings = Settings.from_strings({"WS_MAX_CONNECTIONS": connections, "WS_MAX_ANONYMOUS": anonymous})
    assert settings.anonymous_places == places


def test_the_second_port_is_another_one() -> None:
    assert faults_of(PORT="8001", WS_PORT="8001") == ["WS_PORT: the same as PORT (8001)"]
    assert Settings.from_strings({"PORT": "0", "WS_PORT": "0"}).ws_port == 0


@pytest.mark.parametrize("url", ["wss://app.example.com", "ws://app.example.com:8001/", "wss://[::1]/web"])
def test_the_public_address_of_the_socket(url: str) -> None:
    assert Settings.from_strings({"WS_PUBLIC_URL": url}).ws_public_url == url


@pytest.mark.parametrize("url", ["https://app.example.com", "wss://", "wss://a/other", "wss://a/web?b", "wss://[a"])
def test_what_is_no_address_of_the_socket(url: str) -> None:
    assert faults_of(WS_PUBLIC_URL=url)[0].startswith("WS_PUBLIC_URL: ")


def test_strangers_cannot_have_more_places_than_there_are() -> None:
    with pytest.raises(SettingsError, match="WS_MAX_ANONYMOUS: more than WS_MAX_CONNECTIONS"):
        Settings.from_strings({"WS_MAX_CONNECTIONS": "10", "WS_MAX_ANONYMOUS": "11"})


@pytest.mark.parametrize(
    ("text", "cores"),
    [("", []), ("0", [0]), ("0-3,6", [0, 1, 2, 3, 6]), ("7, 2-2 ,5", [7, 2, 5]), ("3,0-1,3", [3, 0, 1, 3])],
)
def test_cores_are_listed_by_number_and_by_range(text: str, cores: list[int]) -> None:
    assert Settings.from_strings({"WORKER_CPUS": text}).worker_cores == cores


@pytest.mark.parametrize("text", ["a", "0-", "-1", "1-2-3", "0x1", "1.5", "all", "99999", "٣", "0;1"])
def test_what_names_no_core_is_refused(text: str) -> None:
    (fault,) = faults_of(WORKER_CPUS=text)
    assert fault.startswith("WORKER_CPUS: ")


def test_a_range_of_cores_does_not_end_before_it_begins() -> None:
    assert faults_of(WORKER_CPUS="0,3-1") == ["WORKER_CPUS: '3-1' ends before it begins"]
