"""Translators that stand in for real ones."""

from typing import Callable, List, Optional, Sequence


class FakeTranslator:
    """Puts "to_lang:" before each text, or does what it is told.

    translate_one (Optional[Callable[[str], str]]): What it makes of a text.
    fails_after (Optional[int]): Calls after which it fails.
    n_lost (int): Texts that are missing from each answer.

    `calls` holds what it was asked.
    """

    def __init__(
        self,
        from_lang: str = "en",
        to_lang: str = "de",
        *,
        translate_one: Optional[Callable[[str], str]] = None,
        fails_after: Optional[int] = None,
        n_lost: int = 0,
        name: str = "",
    ):
        self.from_lang, self.to_lang = from_lang, to_lang
        self.name = name or f"fake:{from_lang}-{to_lang}"
        self.translate_one = translate_one or (lambda text: f"{to_lang}:{text}")
        self.fails_after = fails_after
        self.n_lost = n_lost
        self.calls: List[List[str]] = []

    def translate(self, texts: Sequence[str]) -> List[str]:
        if self.fails_after is not None and len(self.calls) >= self.fails_after:
            raise RuntimeError("out of ink")
        self.calls.append(list(texts))
        return [self.translate_one(text) for text in texts[self.n_lost :]]
