"""Tables of the catalog: kinds of tools, the tools on offer, who ran, rates and keeps them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Computed,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    Text,
    false,
    func,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column, relationship

from funmagic.core.db import Base
from funmagic.core.ids import new_id

# Lower-case words joined by single hyphens: what may stand in an address.
SLUG = "^[a-z0-9]+(-[a-z0-9]+)*$"
OFFERED = text("is_active")
TRANSLATIONS = "jsonb_typeof(translations) = 'object'"


class ToolType(Base):
    """A kind of tool, the catalog's filter. ``name`` is a slug, ``display_name`` is shown.

    ``translations`` is ``{"de": {"displayName": "…"}}``.
    """

    __tablename__ = "tool_types"
    __table_args__ = (
        CheckConstraint(f"name ~ '{SLUG}'", name="name"),
        CheckConstraint(TRANSLATIONS, name="translations"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(Text, unique=True)
    display_name: Mapped[str] = mapped_column(Text)
    translations: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    sort_order: Mapped[int] = mapped_column(default=0, server_default="0")
    is_active: Mapped[bool] = mapped_column(default=True, server_default=true())
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), onupdate=func.now()
    )


# As PostgreSQL gives them back, so that the migrations can be held against them.
RATING_COUNT = " + ".join(f"rating_counts[{stars}]" for stars in range(1, 6))
RATING_SUM = "rating_counts[1] + " + " + ".join(
    f"{stars} * rating_counts[{stars}]" for stars in range(2, 6)
)
RATING_SCORE = f"(35 + {RATING_SUM}) * 1000000::bigint / (10 + {RATING_COUNT})"
CONFIG_HASH = "hashtextextended(config::text, 0)"
TITLES = "title || ' '::text || catalog_texts(translations, 'title'::text)"
ALL_TEXTS = (
    f"{TITLES} || ' '::text || description || ' '::text"
    " || catalog_texts(translations, 'description'::text)"
)


class Tool(Base):
    """One tool on offer. ``implementation`` is the key of a plug-in; several rows may share one.

    ``config`` is ``{"steps": {step_id: {"priceCredits", "providers", "settings"}}}``, checked by
    ``catalog.config`` against the plug-in whenever it is written. ``translations`` is
    ``{"de": {"title": "…", "description": "…"}}``. ``rating_counts`` holds how many gave 1, 2, 3, 4
    and 5 stars; a trigger on ``tool_ratings`` keeps it. ``rating_score`` is in millionths of a
    star. What follows from other columns is computed by the database.
    """

    __tablename__ = "tools"
    __table_args__ = (
        CheckConstraint(f"slug ~ '{SLUG}' AND length(slug) <= 80", name="slug"),
        CheckConstraint("coalesce(jsonb_typeof(config -> 'steps'), '') = 'object'", name="config"),
        CheckConstraint("usage_count >= 0", name="usage_count"),
        CheckConstraint(TRANSLATIONS, name="translations"),
        CheckConstraint(
            "array_length(rating_counts, 1) = 5 AND 0 <= ALL (rating_counts)",
            name="rating_counts",
        ),
        Index("ix_tools_popular", "usage_count", "id", postgresql_where=OFFERED),
        Index("ix_tools_newest", "created_at", "id", postgresql_where=OFFERED),
        Index("ix_tools_top_rated", "rating_score", "id", postgresql_where=OFFERED),
        Index(
            "ix_tools_type_popular", "tool_type_id", "usage_count", "id", postgresql_where=OFFERED
        ),
        Index("ix_tools_type_newest", "tool_type_id", "created_at", "id", postgresql_where=OFFERED),
        Index(
            "ix_tools_type_top_rated",
            *("tool_type_id", "rating_score", "id"),
            postgresql_where=OFFERED,
        ),
        Index(
            "ix_tools_featured",
            *("usage_count", "id"),
            postgresql_where=text("is_active AND is_featured"),
        ),
        Index("ix_tools_title_words", "title_words", postgresql_using="gin"),
        Index("ix_tools_all_words", "all_words", postgresql_using="gin"),
        Index(
            "ix_tools_folded_title",
            "folded_title",
            postgresql_using="gin",
            postgresql_ops={"folded_title": "gin_trgm_ops"},
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    slug: Mapped[str] = mapped_column(Text, unique=True)
    implementation: Mapped[str] = mapped_column(Text)
    tool_type_id: Mapped[UUID] = mapped_column(ForeignKey("tool_types.id"))
    title: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text)
    thumbnail: Mapped[str | None] = mapped_column(Text)
    is_active: Mapped[bool] = mapped_column(default=True, server_default=true())
    is_featured: Mapped[bool] = mapped_column(default=False, server_default=false())
    config: Mapped[dict[str, Any]] = mapped_column(JSONB)
    config_hash: Mapped[int] = mapped_column(
        BigInteger, Computed(CONFIG_HASH, persisted=True), deferred=True
    )
    translations: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    usage_count: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    rating_counts: Mapped[list[int]] = mapped_column(ARRAY(Integer), server_default="{0,0,0,0,0}")
    rating_count: Mapped[int] = mapped_column(Integer, Computed(RATING_COUNT, persisted=True))
    rating_sum: Mapped[int] = mapped_column(BigInteger, Computed(RATING_SUM, persisted=True))
    rating_score: Mapped[int] = mapped_column(BigInteger, Computed(RATING_SCORE, persisted=True))
    title_words: Mapped[str] = mapped_column(
        TSVECTOR, Computed(f"catalog_vector({TITLES})", persisted=True), deferred=True
    )
    all_words: Mapped[str] = mapped_column(
        TSVECTOR, Computed(f"catalog_vector({ALL_TEXTS})", persisted=True), deferred=True
    )
    folded_title: Mapped[str] = mapped_column(
        Text, Computed(f"catalog_folded({TITLES})", persisted=True), deferred=True
    )
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), onupdate=func.now()
    )

    tool_type: Mapped[ToolType] = relationship(lazy="raise")


class ToolRating(Base):
    """How many stars somebody gives a tool they have run."""

    __tablename__ = "tool_ratings"
    __table_args__ = (
        CheckConstraint("stars BETWEEN 1 AND 5", name="stars"),
        Index(None, "tool_id"),
    )

    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    tool_id: Mapped[UUID] = mapped_column(
        ForeignKey("tools.id", ondelete="CASCADE"), primary_key=True
    )
    stars: Mapped[int] = mapped_column(SmallInteger)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ToolBookmark(Base):
    """A tool somebody wants to find again."""

    __tablename__ = "tool_bookmarks"
    __table_args__ = (
        Index("ix_tool_bookmarks_newest", "user_id", "created_at", "tool_id"),
        Index(None, "tool_id"),
    )

    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    tool_id: Mapped[UUID] = mapped_column(
        ForeignKey("tools.id", ondelete="CASCADE"), primary_key=True
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ToolRun(Base):
    """How often somebody has completed a run of a tool: what gives the right to rate it."""

    __tablename__ = "tool_runs"
    __table_args__ = (CheckConstraint("run_count > 0", name="run_count"), Index(None, "tool_id"))

    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    tool_id: Mapped[UUID] = mapped_column(
        ForeignKey("tools.id", ondelete="CASCADE"), primary_key=True
    )
    run_count: Mapped[int] = mapped_column(BigInteger, server_default="1")
    first_run_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_run_at: Mapped[datetime] = mapped_column(server_default=func.now())
