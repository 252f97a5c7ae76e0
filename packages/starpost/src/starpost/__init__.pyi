# What an application imports: each name once, with its home. The interpreter takes it from here, too (lazy_loader).
from .auth.principal import (
    Principal as Principal,
)
from .composition import (
    create_app as create_app,
)
from .composition import (
    find_domains as find_domains,
)
from .db import (
    BaseModel as BaseModel,
)
from .db import (
    Cursor as Cursor,
)
from .db import (
    Identifier as Identifier,
)
from .db import (
    Line as Line,
)
from .db import (
    Name as Name,
)
from .db import (
    PageNumber as PageNumber,
)
from .db import (
    PageSize as PageSize,
)
from .db import (
    SearchText as SearchText,
)
from .db import (
    Statement as Statement,
)
from .db import (
    Statements as Statements,
)
from .db import (
    UnitOfWork as UnitOfWork,
)
from .db import (
    columns as columns,
)
from .db import (
    refusal as refusal,
)
from .domain import (
    Domain as Domain,
)
from .errors import (
    AppError as AppError,
)
from .errors import (
    ConflictError as ConflictError,
)
from .errors import (
    FieldError as FieldError,
)
from .errors import (
    InvalidDataError as InvalidDataError,
)
from .errors import (
    NotFoundError as NotFoundError,
)
from .errors import (
    PermissionDeniedError as PermissionDeniedError,
)
from .errors import (
    RateLimitedError as RateLimitedError,
)
from .errors import (
    RSPCode as RSPCode,
)
from .errors import (
    UnavailableError as UnavailableError,
)
from .http.parameters import (
    CursorInQuery as CursorInQuery,
)
from .http.parameters import (
    IdentifierInPath as IdentifierInPath,
)
from .http.parameters import (
    PageInQuery as PageInQuery,
)
from .http.parameters import (
    PageSizeInQuery as PageSizeInQuery,
)
from .http.parameters import (
    SearchTextInQuery as SearchTextInQuery,
)
from .packets.request import (
    NoData as NoData,
)
from .packets.request import (
    RequestModel as RequestModel,
)
from .packets.router import (
    PackageRouter as PackageRouter,
)
from .protocol.envelope import (
    ResponseModel as ResponseModel,
)
from .protocol.pages import (
    CursorMeta as CursorMeta,
)
from .protocol.pages import (
    OffsetMeta as OffsetMeta,
)
from .protocol.pages import (
    Page as Page,
)
from .server.drain import (
    DrainSignal as DrainSignal,
)
from .settings import (
    Settings as Settings,
)
from .tasks.lease import (
    Lease as Lease,
)
from .tasks.task import (
    BackgroundTask as BackgroundTask,
)
from .topics import (
    Publisher as Publisher,
)
from .topics import (
    Push as Push,
)
from .topics import (
    Topic as Topic,
)
