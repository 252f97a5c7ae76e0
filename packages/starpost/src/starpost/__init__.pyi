# What an application imports: each name once, with its home. The interpreter takes it from here, too (lazy_loader).
from .auth.keycloak import KeycloakClient as KeycloakClient, KeycloakUser as KeycloakUser, TokenSet as TokenSet
from .auth.principal import Principal as Principal
from .composition import create_app as create_app, create_unlaunched as create_unlaunched, find_domains as find_domains
from .db import (
    BaseModel as BaseModel,
    Cursor as Cursor,
    Identifier as Identifier,
    Line as Line,
    Name as Name,
    PageNumber as PageNumber,
    PageSize as PageSize,
    SearchText as SearchText,
    Statement as Statement,
    Statements as Statements,
    UnitOfWork as UnitOfWork,
    columns as columns,
    refusal as refusal,
    searchable as searchable,
)
from .domain import Domain as Domain
from .errors import (
    AppError as AppError,
    ConflictError as ConflictError,
    FieldError as FieldError,
    InternalError as InternalError,
    InvalidDataError as InvalidDataError,
    NotFoundError as NotFoundError,
    PermissionDeniedError as PermissionDeniedError,
    RateLimitedError as RateLimitedError,
    RSPCode as RSPCode,
    StartError as StartError,
    TimeoutExceededError as TimeoutExceededError,
    UnauthenticatedError as UnauthenticatedError,
    UnavailableError as UnavailableError,
)
from .http.parameters import (
    CursorInQuery as CursorInQuery,
    IdentifierInPath as IdentifierInPath,
    PageInQuery as PageInQuery,
    PageSizeInQuery as PageSizeInQuery,
    SearchTextInQuery as SearchTextInQuery,
    or_unset as or_unset,
)
from .packets.caller import Caller as Caller
from .packets.registry import DeclarationError as DeclarationError
from .packets.request import NoData as NoData, RequestModel as RequestModel
from .packets.router import PackageRouter as PackageRouter
from .protocol.envelope import ResponseModel as ResponseModel
from .protocol.pages import CursorMeta as CursorMeta, OffsetMeta as OffsetMeta, Page as Page
from .server.drain import DrainSignal as DrainSignal
from .settings import Secret as Secret, Settings as Settings, SettingsError as SettingsError
from .tasks.lease import Lease as Lease
from .tasks.task import BackgroundTask as BackgroundTask
from .topics import Publisher as Publisher, Push as Push, Topic as Topic
