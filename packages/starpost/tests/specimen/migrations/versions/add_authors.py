"""Add authors."""

import sqlalchemy as sa
from alembic import op

from starpost.db.operations import create_search_indexes, drop_search_indexes

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply it."""
    op.create_table(
        "specimen_author",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_specimen_author")),
        sa.UniqueConstraint("name", name=op.f("uq_specimen_author_name")),
    )
    create_search_indexes("specimen_author", "name")


def downgrade() -> None:
    """Undo it."""
    drop_search_indexes("specimen_author", "name")
    op.drop_table("specimen_author")
