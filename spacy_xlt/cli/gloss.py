"""`spacy xlt gloss`: a pipeline that reads foreign texts word by word too, by lexicons."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, List, Optional, Sequence

from ._app import CODE_PATH, COMPONENT, Arg, Opt, command, msg, xlt_cli

if TYPE_CHECKING:
    from spacy.language import Language

    from ..translation.lexicon import WordLexicon

NAME = "gloss"


@command(xlt_cli, "gloss")
def gloss_cli(
    pipeline: str = Arg(..., help="Name or path of a trained pipeline"),
    lexicons: Path = Arg(
        ..., help="A lexicon named like sw-en.tsv or en-sw.tsv, or a directory of them"
    ),
    output: Path = Opt(..., "--output", "-o", help="Directory for the pipeline with lexicons"),
    langs: Optional[str] = Opt(
        None, "--langs", "-l", help="Languages to read so, with commas (default: all lexicons')"
    ),
    to_lang: Optional[str] = Opt(
        None, "--to", help="Language to read texts in (default: the one that was trained in)"
    ),
    share: float = Opt(0.5, "--share", help="What the translation counts beside the text, up to 1"),
    texts: Optional[Path] = Opt(
        None, "--texts", "-t", help="Texts in these languages, to see how many words are known"
    ),
    component: Optional[str] = COMPONENT,
    code_path: Optional[Path] = CODE_PATH,
) -> None:
    """
    Let a trained pipeline read texts word by word too, for languages that its encoder hardly
    knows. Nothing is trained: of each text and its translation, word by word, both answers count.
    """
    from ._pipeline import check_output, load_pipeline, save_pipeline, split_langs

    check_output(output)
    nlp = load_pipeline(pipeline, code_path=code_path)
    read = add_gloss(
        nlp, lexicons, langs=split_langs(langs), to_lang=to_lang, share=share, component=component
    )
    if texts is None:
        msg.info("Whether the lexicons know words of your texts was not looked at: see --texts.")
    else:
        show_coverage(read, texts, max_length=nlp.max_length)
    save_pipeline(nlp, output)
    named = ", ".join(f"{x.from_lang} ({len(x):,} words)" for x in read)
    msg.good(f"{output} reads texts in these languages word by word too: {named}")
    if not any(nlp.get_pipe_meta(name).factory == "xlt_language" for name in nlp.pipe_names):
        msg.info(
            "Texts must say their language, as those of a corpus do. For others put the component "
            "xlt_language first."
        )


def add_gloss(
    nlp: "Language",
    path: Path,
    *,
    langs: Optional[Sequence[str]] = None,
    to_lang: Optional[str] = None,
    share: float = 0.5,
    component: Optional[str] = None,
) -> List["WordLexicon"]:
    """Put lexicons before a pipeline's classifier, in the place of those that were there.

    path (Path): A lexicon in either direction, or a directory of them.
    langs (Optional[Sequence[str]]): Languages to read word by word; None is all.
    to_lang (Optional[str]): Language to read them in; None is the only one that was trained in.
    share (float): What the translation counts beside the text, in (0, 1].
    component (Optional[str]): The classifier, where the pipeline has several.
    RETURNS (List[WordLexicon]): The lexicons.
    RAISES (ValueError): If the pipeline has no classifier that reads translations, the language
        is unclear, or there is no lexicon.
    """
    from ..components.ensemble import XltEnsemble
    from ..components.textcat import XltTextCat
    from ..evaluation.task import find_task
    from ..translation.glosses import read_glosses

    task = find_task(nlp, component)
    pipe: Any = nlp.get_pipe(task.component)
    if not (isinstance(pipe, XltEnsemble) or isinstance(pipe, XltTextCat) and pipe.reads_text):
        raise ValueError(
            f"'{task.component}' ({task.factory}) reads no translations: another component makes "
            f"its vectors. Train one with an encoder of its own, for example by zero_shot.cfg."
        )
    if to_lang is None and len(task.source_langs) != 1:
        trained = ", ".join(task.source_langs) or "no known language"
        raise ValueError(
            f"'{task.component}' was trained in {trained}, so it is unclear what to read texts in. "
            f"Name one language with --to."
        )
    lexicons = read_glosses(path, to_lang or task.source_langs[0], from_langs=langs)
    if NAME in nlp.pipe_names:
        nlp.remove_pipe(NAME)
    gloss: Any = nlp.add_pipe("xlt_gloss", NAME, before=task.component, config={"share": share})
    gloss.set_lexicons(lexicons)
    if isinstance(pipe, XltTextCat) and (pipe.cfg["calibration"] or pipe.cfg["forecasts"]):
        msg.warn("Answers change, so calibration and forecasts are dropped. Make them anew.")
        pipe.forget_measured()
    return lexicons


def show_coverage(lexicons: Sequence["WordLexicon"], path: Path, *, max_length: int) -> None:
    """Print how many words of texts lexicons know.

    RAISES (ValueError): If a lexicon is of the other direction than it says.
    """
    from ..augmentation.coverage import judge_lexicon
    from ._texts import read_texts

    texts = read_texts(path, max_length=max_length)
    for lexicon in lexicons:
        own = [text.text for text in texts if text.lang == lexicon.from_lang]
        if not own:
            msg.warn(f"'{path}' has no text in '{lexicon.from_lang}', so its lexicon is unchecked.")
            continue
        judgement = judge_lexicon(lexicon, own)
        if judgement.is_reversed:
            raise ValueError(judgement.worry)
        if judgement.worry:
            msg.warn(judgement.worry)
        coverage = judgement.coverage
        msg.info(
            f"{lexicon.from_lang}: {coverage.n_found:,} of {coverage.n_words:,} words known "
            f"({100 * coverage.share:.0f} %)"
        )
