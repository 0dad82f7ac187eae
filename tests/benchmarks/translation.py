"""What translation brings on SIB-200, one JSON per run in assets/results/transfer/.

    apt-get install apertium apertium-eng-spa apertium-es-pt
    python tests/benchmarks/translation.py run corpora ENCODER work --recipes translate_train,plain
    python tests/benchmarks/translation.py translate-test corpora ZERO_SHOT
    python tests/benchmarks/translation.py quality corpora ZERO_SHOT_EVEN ENCODER work
    python tests/benchmarks/translation.py neighbours corpora ENCODER
    python tests/benchmarks/translation.py gains

Corpora and encoder are those of sib200.py. All recipes see all English training sentences and no
text of another language but what Apertium makes of them. A run that is there is kept.
"""

import json
import time
from functools import partial
from pathlib import Path
from typing import Any, Dict, List, Sequence

import numpy as np
import runs
import spacy
import typer
from spacy.language import Language

from spacy_xlt.alignment.pairing import pair_by_neighbours
from spacy_xlt.cli._vectors import load_embedder
from spacy_xlt.cli.translate import read_source
from spacy_xlt.cli.translate import translate as translate_corpus
from spacy_xlt.corpora.layout import Row
from spacy_xlt.detection import load_detector
from spacy_xlt.transfer.translating import judge_rows, tabulate_quality, translate_rows
from spacy_xlt.translation.choosing import make_translator

RESULTS = runs.RESULTS / "transfer"
# Both have translations by Apertium, Portuguese over Spanish.
TRANSLATED = ("es", "pt")
# recipe -> config, whether its training texts are translated too, and changes of the config.
# Translations make three documents of one, so fewer passes see each as often as zero-shot does.
RECIPES: Dict[str, Any] = {
    "zero_shot": ("zero_shot", False, {}),
    "plain": ("plain", False, {}),
    "translate_train": ("zero_shot", True, {"initialize.after_init.epochs": 4}),
}
app = typer.Typer(help=__doc__, no_args_is_help=True)


@app.command("run")
def run(
    corpora: Path,
    encoder: Path,
    work: Path,
    recipes: str = "translate_train,plain",
    seeds: str = "0",
    split: str = "test",
) -> None:
    """Train recipes and measure every language.

    work (Path): Folder for translations and pipelines, which are made if they are not there.
    split (str): What to measure on; settings are chosen on dev, whose runs are kept apart.
    """
    for seed in map(int, seeds.split(",")):
        for recipe in recipes.split(","):
            path = _folder_of(split) / f"{recipe}-en-seed{seed}.json"
            if path.exists():
                continue
            train = partial(_train, recipe, corpora, encoder, work, seed)
            # Translators are other processes, so it is the time that passes.
            clock = time.perf_counter
            nlp = runs.keep_trained(work / f"{recipe}-seed{seed}", train, clock=clock)
            result = {
                **runs.measure(nlp, corpora / "all" / split),
                "recipe": recipe,
                "source": "en",
                "seed": seed,
                "seconds": nlp.meta["training_seconds"],
            }
            runs.write_run(path, result)


@app.command("translate-test")
def translate_test(corpora: Path, pipeline: Path, split: str = "test") -> None:
    """Measure a pipeline that reads Apertium's translations into English.

    pipeline (Path): What zero_shot.cfg made of all English sentences with seed 0.
    """
    nlp = spacy.load(pipeline)
    steps = [
        {"@misc": "spacy_xlt.ApertiumTranslator.v1", "direction": x} for x in ("pt-es", "spa-eng")
    ]
    pivot = {"first": steps[0], "second": steps[1]}
    chain = {"@misc": "spacy_xlt.TranslatorChain.v1", "*": pivot}
    config = {"translators": {"spanish": steps[1], "portuguese": chain}}
    nlp.add_pipe("xlt_translate", before="textcat", config=config)
    started = time.perf_counter()
    found = runs.measure(nlp, corpora / "all" / split, langs=TRANSLATED)
    result = {
        **found,
        "recipe": "translate_test",
        "source": "en",
        "seed": 0,
        "seconds": round(time.perf_counter() - started, 1),
    }
    runs.write_run(RESULTS / "translate_test-en-seed0.json", result)


@app.command("quality")
def quality(corpora: Path, pipeline: Path, encoder: Path, work: Path) -> None:
    """Show accuracy by quality on translations of English sentences that a pipeline never saw.

    pipeline (Path): What zero_shot.cfg made of the English sentences with even ids. Those with odd
        ids are translated, and compared with the originals and with translations by people.
    """
    nlp, embed = spacy.load(pipeline), load_embedder(encoder)
    folder = corpora / "odd" / "train"
    english = read_source(folder / "en.spacy", ())[0]
    original = dict(zip((row.id for row in english), _are_right(nlp, english), strict=True))
    results: Dict[str, Any] = {}
    for lang in TRANSLATED:
        started = time.perf_counter()
        there, back = (
            make_translator("apertium", *langs, cache=work / "quality.sqlite")
            for langs in (("en", lang), (lang, "en"))
        )
        rows = translate_rows(english, there).rows
        seconds = time.perf_counter() - started
        qualities = judge_rows(
            rows, embed=embed, back=back, detector=load_detector(tuple(sorted(("en", lang))))
        )
        right = _are_right(nlp, rows)
        people = _are_right(nlp, read_source(folder / f"{lang}.spacy", ())[0])
        results[lang] = {
            "translator": there.name,
            "documents": len(rows),
            "seconds": round(seconds, 2),
            "accuracy": float(np.mean(right)),
            "accuracy_of_originals": float(np.mean(list(original.values()))),
            "accuracy_of_people": float(np.mean(people)),
            "correlation": float(np.corrcoef([q.score for q in qualities], right)[0, 1]),
            "bins": tabulate_quality(qualities, correct=right, n_bins=4),
        }
    _write(RESULTS / "quality.json", results)


@app.command("neighbours")
def neighbours(corpora: Path, encoder: Path, split: str = "dev") -> None:
    """Show whether margin-scored neighbours of English sentences are their translations."""
    embed = load_embedder(encoder)
    folder = corpora / "all" / split
    english = read_source(folder / "en.spacy", ())[0]
    vectors = embed([row.text for row in english])
    results = {}
    for path in sorted(folder.glob("*.spacy")):
        if path.stem == "en":
            continue
        rows = read_source(path, ())[0]
        pairs = pair_by_neighbours(vectors, embed([row.text for row in rows]))
        n_right = sum(english[pair.source].id == rows[pair.target].id for pair in pairs)
        results[path.stem] = {
            "sentences": len(rows),
            "pairs": len(pairs),
            "precision": round(n_right / max(len(pairs), 1), 4),
            "recall": round(n_right / len(rows), 4),
        }
    _write(RESULTS / f"neighbours-{split}.json", results)


@app.command("gains")
def gains(recipes: str = "translate_train,translate_test,plain", split: str = "test") -> None:
    """Show what recipes bring over zero_shot, over the seeds that both have.

    Its test runs are those of lexicon.py, unless there are others.
    """
    results = runs.read_runs(runs.RESULTS / "lexicon") if split == "test" else {}
    results.update(runs.read_runs(_folder_of(split)))
    results = {
        name: run
        for name, run in results.items()
        if "recipe" in run and run.get("split", "test") == split
    }
    for recipe in recipes.split(","):
        print("\n".join(summarise(results, "zero_shot", recipe)))


def summarise(results: Dict[str, runs.Run], baseline: str, recipe: str) -> List[str]:
    """Lines with mean gains in points and their intervals."""
    before, after = runs.same_seeds(results, baseline, recipe)
    if not before:
        return [f"{recipe} and {baseline} have no run with the same seed."]
    targets = [lang for lang in runs.targets_of(before[0]) if lang in after[0]["accuracy"]]
    groups: Dict[str, Sequence[str]] = {
        **{lang: [lang] for lang in ("en", *TRANSLATED)},
        "all targets": targets,
        "other targets": [lang for lang in targets if lang not in TRANSLATED],
        "those that settings are chosen by": runs.SELECTION,
    }
    lines = [f"{recipe} against {baseline}, {len(before)} seeds:"]
    for name, langs in groups.items():
        if not langs or not set(langs) <= set(after[0]["accuracy"]):
            continue
        means = [
            sum(runs.mean_right(group, lang).mean() for lang in langs) / len(langs)
            for group in (before, after)
        ]
        gain = runs.compare_runs(before, after, langs)
        lines.append(f"- {name}: {means[0]:.3f} to {means[1]:.3f}, {gain}")
    return lines


def _folder_of(split: str) -> Path:
    return RESULTS if split == "test" else RESULTS / f"translation-{split}"


def _train(recipe: str, corpora: Path, encoder: Path, work: Path, seed: int) -> Language:
    config, is_translated, changes = RECIPES[recipe]
    train_path = corpora / "all" / "train"
    settings = runs.paths(train_path, corpora / "all" / "dev", encoder)
    if is_translated:
        settings["paths.train"] = str(_translate(train_path / "en.spacy", encoder, work) / "train")
        settings["corpora.train.langs"] = ["en", *TRANSLATED]
    return runs.train_recipe(config, {**settings, "system.seed": seed, **changes})


def _translate(source: Path, encoder: Path, work: Path) -> Path:
    """The corpus of English sentences and their translations, made once."""
    out = work / "translated"
    if not out.exists():
        translate_corpus(
            source,
            out,
            to_langs=TRANSLATED,
            spelling="apertium",
            cache=work / "cache.sqlite",
            keep_source=True,
            encoder=encoder,
            round_trip="apertium",
        )
    return out


def _are_right(nlp: Language, rows: Sequence[Row]) -> List[bool]:
    """Whether the likeliest label of each text is its own."""
    docs = nlp.pipe([row.text for row in rows])
    return [
        max(doc.cats, key=doc.cats.__getitem__) in row.labels
        for doc, row in zip(docs, rows, strict=True)
    ]


def _write(path: Path, results: Dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")
    print(path.read_text())


if __name__ == "__main__":
    app()
