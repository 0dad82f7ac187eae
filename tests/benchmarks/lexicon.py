"""What bilingual lexicons bring on SIB-200, one JSON per run in assets/results/lexicon/.

    apt-get download $(apt-cache search -n dict-freedict-eng | cut -d' ' -f1)
    apt-get download dict-freedict-swh-eng dict-freedict-kur-eng
    for package in dict-freedict-*.deb; do dpkg -x $package freedict; done
    python tests/benchmarks/lexicon.py convert freedict/usr/share/dictd lexicons
    python tests/benchmarks/lexicon.py run corpora ENCODER lexicons --seeds 0,1,2
    python tests/benchmarks/lexicon.py gains

Corpora and encoder are those of sib200.py. Both recipes see all English training sentences and
no text of another language. A run that is there is kept.
"""

import json
import statistics
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy as np
import sib200
import spacy
import typer
from spacy.language import Language

from spacy_xlt.cli.lexicon import convert as convert_lexicons
from spacy_xlt.corpora.reader import create_corpus_v1
from spacy_xlt.evaluation.evaluate import evaluate_pipeline
from spacy_xlt.evaluation.uncertainty import percentile_interval, resample_ratios
from spacy_xlt.translation.lexicon_files import find_lexicons

RESULTS = sib200.ROOT / "assets" / "results" / "lexicon"
RECIPES = ("zero_shot", "lexicon")
# Every language of the data for which Debian has a dictionary with English, and its sources.
# The two poorest are completed, or made, from the other direction.
SOURCES = {
    "ar": ["eng-ara"],
    "de": ["eng-deu"],
    "es": ["eng-spa"],
    "fr": ["eng-fra"],
    "hi": ["eng-hin"],
    "ja": ["eng-jpn"],
    "ku": ["kur-eng"],
    "pt": ["eng-por"],
    "ru": ["eng-rus"],
    "sw": ["eng-swh", "swh-eng"],
    "tr": ["eng-tur"],
}
# Languages that zero-shot has below it are those that need help.
NEEDS_HELP = 0.80
app = typer.Typer(help=__doc__, no_args_is_help=True)


@app.command("convert")
def convert(dictd: Path, lexicons: Path) -> None:
    """Convert FreeDict's dictionaries."""
    for lang, names in SOURCES.items():
        sources = [dictd / f"freedict-{name}.index" for name in names]
        lexicon, n_pairs = convert_lexicons(sources, lexicons / f"en-{lang}.tsv")
        print(f"en-{lang}: {len(lexicon):,} words of {n_pairs:,} pairs", flush=True)


@app.command("run")
def run(
    corpora: Path,
    encoder: Path,
    lexicons: Path,
    seeds: str = "0,1,2",
    zero_shot: Optional[Path] = None,
) -> None:
    """Train with lexicons and without; measure every language's test set.

    zero_shot (Optional[Path]): A pipeline that zero_shot.cfg made with the first seed, to measure
        instead of training it again.
    """
    for i, seed in enumerate(map(int, seeds.split(","))):
        for recipe in RECIPES:
            path = RESULTS / f"{recipe}-en-seed{seed}.json"
            if path.exists():
                continue
            started = time.perf_counter()
            if recipe == "zero_shot" and zero_shot is not None and i == 0:
                nlp = spacy.load(zero_shot)
            else:
                nlp = _train(recipe, corpora, encoder, lexicons, seed)
            seconds = time.perf_counter() - started
            result = measure(nlp, corpora, [langs[1] for langs in find_lexicons(lexicons).values()])
            result.update(recipe=recipe, seed=seed, seconds=round(seconds, 1))
            RESULTS.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(result, indent=2, sort_keys=True) + "\n")
            print(f"{path.stem}: {seconds:.0f} s", flush=True)


@app.command("gains")
def gains(recipe: str = "lexicon", baseline: str = "zero_shot") -> None:
    """Show what a recipe brings over another, by language, over the seeds that both have."""
    runs = {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}
    print("\n".join(summarise(runs, baseline, recipe)))


def summarise(runs: Dict[str, Dict[str, Any]], baseline: str, recipe: str) -> List[str]:
    """Lines of a Markdown table over runs by name, and of means with intervals."""
    by_seed = {
        name: {run["seed"]: run for run in runs.values() if run["recipe"] == name}
        for name in (baseline, recipe)
    }
    seeds = sorted(set(by_seed[baseline]) & set(by_seed[recipe]))
    if not seeds:
        raise ValueError(f"{baseline} and {recipe} have no run with the same seed.")
    before, after = (
        _mean_right([by_seed[name][seed] for seed in seeds]) for name in (baseline, recipe)
    )
    with_lexicons = by_seed[recipe][seeds[0]]["lexicons"]
    targets = [lang for lang in before if lang not in ("en", *sib200.LEFT_OUT)]
    covered = [lang for lang in targets if lang in with_lexicons]
    low = [lang for lang in covered if before[lang].mean() < NEEDS_HELP]
    lines = [f"| language | lexicon | {baseline} | {recipe} | gain |", "|---|---|---|---|---|"]
    for lang in sorted(before, key=lambda lang: before[lang].mean()):
        old, new = before[lang].mean(), after[lang].mean()
        has = "yes" if lang in with_lexicons else ""
        lines.append(f"| {lang} | {has} | {old:.3f} | {new:.3f} | {new - old:+.3f} |")
    lines += ["", f"{len(seeds)} seeds; mean gains in points, with 95 % intervals:", ""]
    groups = {
        f"have a lexicon and stand below {NEEDS_HELP:.2f}": low,
        "have a lexicon": covered,
        "have none": [lang for lang in targets if lang not in covered],
        "all targets": targets,
    }
    for name, langs in groups.items():
        differences = np.stack([after[lang] - before[lang] for lang in langs], axis=1)
        means = resample_ratios(differences, np.ones_like(differences)).mean(axis=1)
        low_end, high_end = percentile_interval(means) or (float("nan"), float("nan"))
        mean = statistics.mean(differences.mean(axis=0))
        lines.append(
            f"- {name} ({', '.join(langs)}): {100 * mean:+.1f} "
            f"({100 * low_end:+.1f} to {100 * high_end:+.1f})"
        )
    return lines


def _mean_right(runs: List[Dict[str, Any]]) -> Dict[str, np.ndarray]:
    """How often runs have each sentence right, by language. Shape: (n_sentences,)"""
    return {
        lang: np.mean([list(map(int, run["correct"][lang])) for run in runs], axis=0)
        for lang in runs[0]["correct"]
    }


def measure(nlp: Language, corpora: Path, lexicon_langs: List[str]) -> Dict[str, Any]:
    """What a pipeline has right: a 0 or 1 per test sentence, in one order in all languages."""
    reader = create_corpus_v1(path=str(corpora / "all" / "test"))
    scores = evaluate_pipeline(nlp, lambda: reader(nlp))
    rows = scores["languages"]
    if any(row["documents"] != rows[0]["documents"] for row in rows):
        raise ValueError("The test sets do not have the same sentences in the same order.")
    return {
        "accuracy": {row["lang"]: row["accuracy"] for row in rows},
        "correct": {row["lang"]: "".join(map(str, row["correct"])) for row in rows},
        "lexicons": sorted(lexicon_langs),
        "versions": scores["signature"]["versions"],
    }


def _train(recipe: str, corpora: Path, encoder: Path, lexicons: Path, seed: int) -> Language:
    settings = sib200._paths(corpora / "all" / "train", corpora / "all" / "dev", encoder)
    settings["corpora.train.langs"] = settings["corpora.dev.langs"] = ["en"]
    settings["system.seed"] = seed
    if recipe == "lexicon":
        settings["paths.lexicons"] = str(lexicons)
    return sib200._train(recipe, settings)


if __name__ == "__main__":
    app()
