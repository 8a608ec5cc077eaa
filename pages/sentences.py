"""Words put together: as a sentence begins, and as it lists things."""

from collections.abc import Sequence


def capital(words: str) -> str:
    """Words as they begin a sentence or a row."""
    return words[:1].upper() + words[1:]


def listed(names: Sequence[str], word: str = "and") -> str:
    """Names as in a sentence."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}"
