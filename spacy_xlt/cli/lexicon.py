"""`spacy xlt lexicon`: convert bilingual lexicons, and see what they know."""

from pathlib import Path
from typing import TYPE_CHECKING, Dict, List, Optional, Sequence, Tuple

from ._app import Arg, Opt, command, group, msg

if TYPE_CHECKING:
    from ..augmentation.coverage import Judgement
    from ..translation.freedict import Pair
    from ..translation.lexicon import WordLexicon

lexicon_cli = group("lexicon", help="Bilingual lexicons: convert, check")
# Translations of a word that are written; training keeps the first few of them.
MAX_WRITTEN = 10
EXAMPLE_WORDS = 10


@command(lexicon_cli, "convert")
def lexicon_convert_cli(
    sources: List[Path] = Arg(
        ..., help="Lexicons of one pair of languages; FreeDict's .index or .dict.dz file"
    ),
    out: Path = Arg(..., help="TSV file to write, best named like en-de.tsv"),
    format: str = Opt("auto", "--format", "-f", help="auto, tsv, muse, panlex or freedict"),
    from_lang: Optional[str] = Opt(
        None, "--from", help="Language of the words to translate. Without it: by the name of OUT"
    ),
    to_lang: Optional[str] = Opt(
        None, "--to", help="Language of the translations. Without it: by the name of OUT"
    ),
    invert: bool = Opt(
        False,
        "--invert",
        help="Sources are of the other direction; those named freedict-deu-eng.index are known",
    ),
    via: Optional[List[Path]] = Opt(
        None,
        "--via",
        help="Lexicon from a third language into that of OUT, to go on with from sources that are "
        "named as into the third language; can be given several times",
    ),
) -> None:
    """
    Write lexicons of any format as one TSV file, without remarks, explanations and repetitions.
    """
    lexicon, n_pairs = convert(
        sources,
        out,
        format=format,
        from_lang=from_lang,
        to_lang=to_lang,
        invert=invert,
        via=via or (),
    )
    kept = len(lexicon.pairs())
    msg.info(
        f"{kept:,} of {n_pairs:,} pairs kept, for {len(lexicon):,} words; left out are phrases, "
        f"explanations and repetitions"
    )
    msg.good(f"Lexicon from '{lexicon.from_lang}' into '{lexicon.to_lang}': {out}")


@command(lexicon_cli, "check")
def lexicon_check_cli(
    lexicons: Path = Arg(..., help="A lexicon named like en-de.tsv, or a directory of them"),
    corpus: Path = Arg(..., help="Texts that will be trained on (.spacy, .jsonl, directory)"),
    lemmas: bool = Opt(
        True, "--lemmas/--no-lemmas", help="Look words up by their dictionary form too"
    ),
) -> None:
    """Show how many words of a corpus each lexicon knows, and which frequent ones it does not."""
    rows, worries = [], []
    for lexicon, judgement in check(lexicons, corpus, lemmas=lemmas):
        coverage = judgement.coverage
        rows.append(
            (
                f"{lexicon.from_lang} to {lexicon.to_lang}",
                f"{len(lexicon):,}",
                f"{coverage.n_found:,} of {coverage.n_words:,}",
                f"{100 * coverage.share:.1f} %",
                ", ".join(word for word, _ in coverage.lacking.most_common(EXAMPLE_WORDS)),
            )
        )
        worries += [judgement.worry] if judgement.worry else []
    header = ("Languages", "Headwords", "Words known", "Share", "Frequent words it lacks")
    msg.table(rows, header=header, divider=True, aligns=tuple("lrrrl"), max_col=60, spacing=2)
    for worry in worries:
        msg.warn(worry)
    if not worries:
        msg.good("Nothing here should worry you.")


def convert(
    sources: Sequence[Path],
    out: Path,
    *,
    format: str = "auto",
    from_lang: Optional[str] = None,
    to_lang: Optional[str] = None,
    invert: bool = False,
    via: Sequence[Path] = (),
) -> Tuple["WordLexicon", int]:
    """Write lexicons as one TSV file.

    via (Sequence[Path]): Lexicons from third languages, for sources between these and `from_lang`.
    RETURNS (Tuple[WordLexicon, int]): What was written, and the number of pairs read.
    RAISES (ValueError): If the languages are unknown or a source cannot be read.
    """
    from ..languages import standardize_language
    from ..translation.lexicon import WordLexicon, join_pairs, read_direction
    from ..translation.lexicon_files import languages_of_name, write_pairs

    first, second = languages_of_name(out) or (None, None)
    first, second = from_lang or first, to_lang or second
    if first is None or second is None:
        raise ValueError(
            f"The languages of '{out}' are unknown: its name is not like 'en-de.tsv'. Give them "
            f"with --from and --to."
        )
    langs = standardize_language(first), standardize_language(second)
    steps = read_steps(via, langs[1])
    pairs: List[Pair] = []
    for source in sources:
        named = set(languages_of_name(source) or ())
        pivot = next((lang for lang in steps if named == {langs[0], lang}), langs[1])
        read = read_direction(
            source,
            (langs[0], pivot),
            format=format,  # type: ignore[arg-type]
            invert=invert,
        )
        pairs += join_pairs(read, steps[pivot]) if pivot in steps else read
    if not pairs:
        raise ValueError(
            f"No translation in {', '.join(path.name for path in sources)} is a word of "
            f"{', '.join(path.name for path in via)}, so there is no way into '{langs[1]}'."
        )
    lexicon = WordLexicon(
        pairs, from_lang=langs[0], to_lang=langs[1], lemmas=False, max_translations=MAX_WRITTEN
    )
    if not len(lexicon):
        raise ValueError(
            f"None of the {len(pairs):,} pairs is of use: all are long phrases or have digits, the "
            f"first one being {' → '.join(pairs[0])!r}. Check the columns and the format."
        )
    write_pairs(out, lexicon.pairs(), from_lang=langs[0], to_lang=langs[1])
    return lexicon, len(pairs)


def read_steps(paths: Sequence[Path], to_lang: str) -> Dict[str, "WordLexicon"]:
    """Lexicons into a language, in whichever direction they are written, by the other language.

    RAISES (ValueError): If one is not of that language, or cannot be read.
    """
    from ..translation.lexicon import WordLexicon, read_direction
    from ..translation.lexicon_files import languages_of_name

    pairs: Dict[str, List[Pair]] = {}
    for path in paths:
        named = languages_of_name(path) or ()
        others = [lang for lang in named if lang != to_lang]
        if len(named) != 2 or len(others) != 1:
            raise ValueError(
                f"--via {path} must lead from a third language into '{to_lang}', and its name say "
                f"so, as in de-{to_lang}.tsv; this one's languages are "
                f"{' and '.join(named) or 'unknown'}."
            )
        pairs.setdefault(others[0], []).extend(read_direction(path, (others[0], to_lang)))
    return {
        lang: WordLexicon(found, from_lang=lang, to_lang=to_lang, lemmas=False)
        for lang, found in pairs.items()
    }


def check(
    path: Path, corpus: Path, *, lemmas: bool = True
) -> List[Tuple["WordLexicon", "Judgement"]]:
    """Measure what lexicons know of a corpus' texts in their language, or in no known one.

    path (Path): A lexicon, or a directory of them.
    RETURNS (List[Tuple[WordLexicon, Judgement]]): Each lexicon and what to think of it.
    RAISES (ValueError): If a lexicon cannot be read, or the corpus has no such text.
    """
    import spacy

    from ..augmentation.coverage import judge_lexicon
    from ..corpora.reader import create_corpus_v1
    from ..languages import UNKNOWN, get_doc_language
    from ..translation.lexicon import create_lexicons_v1

    texts: Dict[str, List[str]] = {}
    for example in create_corpus_v1(path=str(corpus))(spacy.blank("xx")):
        texts.setdefault(get_doc_language(example.reference), []).append(example.reference.text)
    found = []
    for lexicon in create_lexicons_v1(path=path, lemmas=lemmas):
        own = [*texts.get(lexicon.from_lang, []), *texts.get(UNKNOWN, [])]
        if not own:
            raise ValueError(
                f"'{corpus}' has no text in '{lexicon.from_lang}', the language of the lexicon "
                f"into '{lexicon.to_lang}'. Languages found there: {', '.join(sorted(texts))}."
            )
        found.append((lexicon, judge_lexicon(lexicon, own)))
    return found
