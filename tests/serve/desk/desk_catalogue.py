"""The messages of the desk's code and templates. Run: those that are new go into the catalogues, to be translated."""

import io
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir, extract_from_file
from babel.messages.pofile import read_po, write_po

from fedelta.serve.desk.words import CATALOGUES, LANGUAGES

CODE = CATALOGUES.parent
PAGES = CODE.parents[1] / "pages"  # of which the journey map is in the reader's language too
METHODS = [("**.py", "python"), ("**.jinja", "jinja2.ext.babel_extract")]
OPTIONS = {"**.jinja": {"trimmed": "true", "newstyle_gettext": "true"}}
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "N_": None, "say": None}


def messages() -> Catalog:
    """What the code says, in English."""
    found = Catalog()
    for file, _, message, comments, _ in extract_from_dir(
        CODE, METHODS, OPTIONS, KEYWORDS, directory_filter=lambda _folder: True
    ):
        found.add(message, locations=[(file, None)], auto_comments=comments)
    for _, message, comments, _ in extract_from_file("python", PAGES / "journey_chart.py", KEYWORDS):
        found.add(message, locations=[("journey_chart.py", None)], auto_comments=comments)
    return found


def path_of(language: str) -> Path:
    """The file of a language's catalogue."""
    return CATALOGUES / language / "LC_MESSAGES/desk.po"


def catalogue(language: str) -> Catalog:
    """A language's catalogue."""
    with path_of(language).open("rb") as file:
        return read_po(file, locale=language)


def untranslated(language: str) -> list[object]:
    """The messages that a catalogue has no translation of."""
    texts = (
        (each.id, each.string if isinstance(each.string, tuple) else (each.string,)) for each in catalogue(language)
    )
    return [message for message, strings in texts if message and not all(strings)]


def updated(language: str) -> bytes:
    """A language's catalogue with exactly the messages that the code has."""
    held = catalogue(language) if path_of(language).exists() else Catalog(locale=language)
    made = Catalog(locale=language)
    for message in messages():
        if message.id:
            before = held.get(message.id)
            made.add(message.id, before.string if before else None, locations=message.locations)
    text = io.BytesIO()
    write_po(text, made, width=110, sort_output=True, omit_header=True, include_lineno=False)
    header = (
        f'# The desk: {LANGUAGES[language]}.\nmsgid ""\nmsgstr ""\n"Language: {language}\\n"\n'
        f'"Content-Type: text/plain; charset=utf-8\\n"\n"Plural-Forms: {made.plural_forms}\\n"\n\n'
    )
    return header.encode() + text.getvalue()


if __name__ == "__main__":
    for language in set(LANGUAGES) - {"en"}:
        path_of(language).parent.mkdir(parents=True, exist_ok=True)
        path_of(language).write_bytes(updated(language))
        lacking = untranslated(language)
        print(f"{language}: {len(lacking)} to translate", *lacking, sep="\n  ")
