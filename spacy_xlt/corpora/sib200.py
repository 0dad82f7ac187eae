"""SIB-200 in the layout of its repository: `<root>/<code>/{train,dev,test}.tsv`."""

from pathlib import Path
from typing import Any, Dict, List, Literal, Optional, Sequence

from .importing import Columns, OnError, Progress, SourceFile, import_corpus
from .layout import Row, standard_language

ADDRESS = "https://github.com/dadelani/sib-200"
LICENCE = "CC BY-SA 4.0"
SPLITS = ("train", "dev", "test")
# Where the files are inside a clone of the repository.
ANNOTATED = Path("data") / "annotated"
COLUMNS = Columns(text="text", label="category", id="index_id")
Ids = Literal["even", "odd"]


def find_sib200(root: Path, langs: Optional[Sequence[str]] = None) -> List[SourceFile]:
    """Files of SIB-200.

    root (Path): A directory with one folder per language code, or a clone of the repository.
    langs (Optional[Sequence[str]]): Codes such as `swh_Latn` or standard tags such as `sw`;
        None is all.
    RETURNS (List[SourceFile]): The files, by language and split.
    RAISES (ValueError): If there are no such files, or none of a language asked for.
    """
    base = root / ANNOTATED if (root / ANNOTATED).is_dir() else root
    folders = {
        folder.name: standard_language(folder.name)
        for folder in (sorted(base.iterdir()) if base.is_dir() else [])
        if (folder / "train.tsv").is_file()
    }
    if not folders:
        raise ValueError(
            f"'{root}' does not hold SIB-200: there is no <code>/train.tsv, such as "
            f"eng_Latn/train.tsv. Fetch it from {ADDRESS} and give its folder data/annotated."
        )
    codes = list(folders) if langs is None else [_code(lang, folders) for lang in langs]
    return [
        SourceFile(base / code / f"{split}.tsv", f"{code}/{split}.tsv", folders[code], split)
        for code in dict.fromkeys(codes)
        for split in SPLITS
        if (base / code / f"{split}.tsv").is_file()
    ]


def import_sib200(
    root: Path,
    out: Path,
    *,
    langs: Optional[Sequence[str]] = None,
    ids: Optional[Ids] = None,
    on_error: OnError = "stop",
    progress: Progress = iter,
) -> Dict[str, Any]:
    """Import SIB-200.

    The sentences are the same in every language. With the even ids for the source language and
    the odd ones for targets, no sentence is trained on in two languages.

    root (Path): See `find_sib200`.
    out (Path): Directory of the corpus.
    langs (Optional[Sequence[str]]): Languages; None is all.
    ids (Optional[Ids]): Which `index_id`s of the training split to keep; None is all.
    on_error (OnError): What to do about bad rows; see `import_corpus`.
    progress (Progress): Wraps the list of files.
    RETURNS (Dict[str, Any]): The record of the corpus.
    """
    remainder = {"even": 0, "odd": 1}
    if ids is not None and ids not in remainder:
        raise ValueError(f"ids is '{ids}'. Allowed are even and odd.")

    def keep(row: Row) -> bool:
        return ids is None or row.split != "train" or int(row.id) % 2 == remainder[ids]

    return import_corpus(
        find_sib200(root, langs),
        out,
        columns=COLUMNS,
        keep=keep,
        on_error=on_error,
        licence=LICENCE,
        address=ADDRESS,
        progress=progress,
    )


def _code(lang: str, folders: Dict[str, str]) -> str:
    """Folder of a language, named by its code or its standard tag."""
    if lang in folders:
        return lang
    tag = standard_language(lang)
    codes = [code for code, code_tag in folders.items() if code_tag == tag]
    if not codes:
        raise ValueError(
            f"SIB-200 here has no language '{lang}'. It has: "
            f"{', '.join(f'{tag} ({code})' for code, tag in folders.items())}."
        )
    return codes[0]
