"""Types for inputs that go into the database. PostgreSQL can store every value that they accept.

PostgreSQL refuses NUL in text and integers beyond 64 bits. With these types, decoding refuses such an input already,
and names its path.
"""

from typing import Annotated

from msgspec import Meta

MAX_BIGINT = 2**63 - 1

Identifier = Annotated[int, Meta(ge=1, le=MAX_BIGINT, description="identifies one row")]

# Line and paragraph separators break lines in logs and terminals, as control characters do. Python's `$` also matches
# before a last newline. `\Z` would not, but the regular expressions of JSON Schema do not have it.
LINE_PATTERN = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$(?!\n)"
Line = Annotated[str, Meta(pattern=LINE_PATTERN, description="one line without control characters")]
Name = Annotated[Line, Meta(min_length=1, max_length=100)]
MAX_SEARCH_TEXT = 100
SEARCH_TEXT = "found anywhere in the value, in either case; where it is indexed, one or two letters at its beginning"
SearchText = Annotated[Line, Meta(max_length=MAX_SEARCH_TEXT, description=SEARCH_TEXT)]

# (page - 1) * per_page stays far below the 64 bits of OFFSET.
MAX_PAGE = 2**31 - 1
MAX_PAGE_SIZE = 100
PageNumber = Annotated[
    int, Meta(ge=1, le=MAX_PAGE, description="counts from 1; a page too far behind is refused, by `cursor` none is")
]
PageSize = Annotated[int, Meta(ge=1, le=MAX_PAGE_SIZE, description="items of one page")]

# A cursor has the values by which the list is ordered. An index takes 2,704 bytes of them, which base64 makes 3,606.
MAX_CURSOR = 4096
Cursor = Annotated[
    str, Meta(max_length=MAX_CURSOR, description="`next` of the page before; empty: the first page by cursor")
]
