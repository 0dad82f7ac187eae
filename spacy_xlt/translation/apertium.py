"""Translation by Apertium, whose command and language pairs Linux distributions have.

Texts travel in its stream format, each between two marks of its own and null bytes, so that what
comes back is known to belong to what was sent.
"""

import functools
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

from ..languages import standardize_language

COMMAND = "apertium"
INSTALL = "apt-get install apertium apertium-eng-spa (in Debian and Ubuntu; other pairs likewise)"
# A direction that is named by its languages: eng-spa, es-pt_BR.
_DIRECTION = re.compile(r"([a-z]{2,3})-([a-z]{2,3}(?:_[A-Za-z]+)?)")
# Signs that mean something in the stream. A tilde does so even behind a backslash, and travels as
# a blank.
_SPECIAL = re.compile(r"[\\^$/<>{}\[\]@#*+?]")
_ESCAPED = re.compile(r"\\(.)|\[((?:\\.|[^\\\]])*)\]", re.DOTALL)
# After every text, as Apertium's own tool for plain text does: the period ends the last sentence.
_END = ".[]"
_GAPS = re.compile(r"(?<=\S) {2,}(?=\S)")
# Files that a direction's steps read, as its mode names them.
_DATA_FILE = re.compile(r"'([^']+)'")


def create_apertium_translator_v1(*, direction: str) -> "ApertiumTranslator":
    """Translate with an installed language pair of Apertium.

    direction (str): As `apertium -l` shows it: eng-spa.
    """
    return ApertiumTranslator(direction)


class ApertiumTranslator:
    """Runs the `apertium` command, one process for each batch.

    Words that it does not know stay as they are, without marks. Its tagger learns within a process:
    in about one sentence of twenty a word comes out otherwise in another batch.

    direction (str): Such as "eng-spa".
    RAISES (ImportError): If Apertium is not installed.
    RAISES (ValueError): If the direction is not.
    """

    def __init__(self, direction: str):
        directions = installed_directions()
        if direction not in directions:
            raise ValueError(
                f"Apertium has no direction '{direction}' installed. Installed are: "
                f"{', '.join(directions) or 'none'}. Others are packages such as "
                f"apertium-eng-spa: {INSTALL}"
            )
        self.direction = direction
        self.from_lang, self.to_lang = directions[direction]
        self.name = f"apertium:{direction}:{_describe_version(direction)}"

    def translate(self, texts: Sequence[str]) -> List[str]:
        """RAISES (ValueError): If the command fails."""
        sent = "".join(to_stream(text, i) + "\0" for i, text in enumerate(texts))
        done = _run("-u", "-z", "-f", "none", self.direction, sent=sent)
        returned = done.stdout.decode("utf8", "replace").split("\0")
        made = [from_stream(stream, i) for i, stream in enumerate(returned[: len(texts)])]
        whole = [text for text in made if text is not None]
        if done.returncode != 0 or len(whole) < len(texts):
            problem = done.stderr.decode("utf8", "replace").strip()[:300] or "no message"
            raise ValueError(
                f"the command 'apertium {self.direction}' ended with {done.returncode} and gave "
                f"{len(whole):,} of {len(texts):,} texts back ({problem})"
            )
        return [_restore_spaces(*pair) for pair in zip(whole, texts, strict=True)]


@functools.lru_cache(maxsize=1)
def installed_directions() -> Dict[str, Tuple[str, str]]:
    """Directions that are installed, and the standard tags of their languages.

    RAISES (ImportError): If Apertium is not installed.
    """
    if shutil.which(COMMAND) is None:
        raise ImportError(
            f"Translating with Apertium needs its command 'apertium', which is not installed. "
            f"Install it and a language pair with: {INSTALL}"
        )
    found = {}
    for line in _run("-l").stdout.decode("utf8", "replace").split():
        match = _DIRECTION.fullmatch(line)
        if match is not None:
            found[line] = (standardize_language(match[1]), standardize_language(match[2]))
    return found


def to_stream(text: str, number: int) -> str:
    """A text in Apertium's stream format, with its number before and an end after it."""
    text = text.encode("utf8", "replace").decode("utf8")  # half a character is none
    text = _SPECIAL.sub(r"\\\g<0>", text.replace("\0", " ")).replace("~", "[~]")
    return f"[{number}]{text}{_END}"


def from_stream(stream: str, number: int) -> Optional[str]:
    """The text of what came back; None if that is not whole."""
    start = f"[{number}]"
    if not (stream.startswith(start) and stream.endswith(_END)):
        return None
    body = stream.removeprefix(start).removesuffix(_END)
    return _ESCAPED.sub(lambda match: match[1] or match[2] or "", body)


def _restore_spaces(translation: str, text: str) -> str:
    """A translation with the white space around the text, and no gaps where words were left out."""
    if _GAPS.search(text) is None:
        translation = _GAPS.sub(" ", translation)
    inner = text.strip()
    start = text.index(inner)
    return f"{text[:start]}{translation.strip()}{text[start + len(inner) :]}"


def _run(*arguments: str, sent: str = "") -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [COMMAND, *arguments], input=sent.encode("utf8"), capture_output=True, check=False
    )


@functools.lru_cache(maxsize=64)
def _describe_version(direction: str) -> str:
    """What changes with the files that a direction reads."""
    folder = Path(os.environ.get("APERTIUM_DATADIR", "/usr/share/apertium"))
    mode = folder / "modes" / f"{direction}.mode"
    digest = hashlib.blake2b(_run("-V").stdout, digest_size=4)
    if mode.is_file():
        steps = mode.read_text(encoding="utf8", errors="replace")
        for name in _DATA_FILE.findall(steps):
            if Path(name).is_file():
                status = Path(name).stat()
                digest.update(f"{name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()
