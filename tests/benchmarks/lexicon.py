"""What bilingual lexicons bring on SIB-200, one JSON per run in assets/results/lexicon/.

    apt-get download $(apt-cache search -n dict-freedict-eng | cut -d' ' -f1)
    apt-get download dict-freedict-swh-eng dict-freedict-kur-eng
    for package in dict-freedict-*.deb; do dpkg -x $package freedict; done
    python tests/benchmarks/lexicon.py convert freedict/usr/share/dictd lexicons
    python tests/benchmarks/lexicon.py run corpora ENCODER lexicons --seeds 0,1,2
    python tests/benchmarks/lexicon.py gains

And what they bring where nothing is trained with them, but texts are read word by word too, with
runs in assets/results/transfer/:

    apt-get download dict-freedict-{ara,deu,spa,fra,jpn,por,tur}-eng dict-freedict-kur-{deu,tur}
    for package in dict-freedict-*.deb; do dpkg -x $package freedict; done
    python tests/benchmarks/lexicon.py convert-glosses freedict/usr/share/dictd glosses
    python tests/benchmarks/lexicon.py gloss corpora ENCODER WORK glosses --seeds 0,1,2
    python tests/benchmarks/lexicon.py gains --recipe gloss --baseline unglossed

Corpora and encoder are those of sib200.py, and pipelines without lexicons those that zero_shot.py
keeps in WORK. All recipes see all English training sentences and no text of another language. A
run that is there is kept.
"""

import time
from pathlib import Path
from typing import Dict, List, Optional

import runs
import spacy
import typer
from spacy.language import Language
from zero_shot import Trainer

from spacy_xlt.cli.gloss import add_gloss
from spacy_xlt.cli.lexicon import convert as convert_lexicons
from spacy_xlt.translation.lexicon_files import find_lexicons

RESULTS = runs.RESULTS / "lexicon"
# Of what reads word by word.
GLOSS_RESULTS = runs.RESULTS / "transfer"
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
# The same for lexicons into English, with what leads there from the third languages of some.
GLOSS_SOURCES = {
    "ar": ["ara-eng", "eng-ara"],
    "de": ["deu-eng", "eng-deu"],
    "es": ["spa-eng", "eng-spa"],
    "fr": ["fra-eng", "eng-fra"],
    "hi": ["eng-hin"],
    "ja": ["jpn-eng", "eng-jpn"],
    "ku": ["kur-eng", "kur-deu", "kur-tur"],
    "pt": ["por-eng", "eng-por"],
    "ru": ["eng-rus"],
    "sw": ["swh-eng", "eng-swh"],
    "tr": ["tur-eng", "eng-tur"],
}
GLOSS_VIA = {"ku": ["deu-eng", "tur-eng"]}
# recipe -> languages that are read word by word; None is all that have a lexicon. Which need it
# is known from zero-shot figures.
GLOSSED: Dict[str, Optional[List[str]]] = {"gloss": ["ku", "sw"], "gloss_all": None}
# What a run tells of each language.
KINDS = ("accuracy", "correct")
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
            result = {
                **runs.measure(nlp, corpora / "all" / "test"),
                "recipe": recipe,
                "source": "en",
                "seed": seed,
                "seconds": round(seconds, 1),
                "lexicons": sorted(langs[1] for langs in find_lexicons(lexicons).values()),
            }
            runs.write_run(path, result)


@app.command("convert-glosses")
def convert_glosses(dictd: Path, lexicons: Path) -> None:
    """Convert FreeDict's dictionaries into English, over third languages too."""
    for lang, names in GLOSS_SOURCES.items():
        sources, via = (
            [dictd / f"freedict-{name}.index" for name in part]
            for part in (names, GLOSS_VIA.get(lang, ()))
        )
        lexicon, n_pairs = convert_lexicons(sources, lexicons / f"{lang}-en.tsv", via=via)
        print(f"{lang}-en: {len(lexicon):,} words of {n_pairs:,} pairs", flush=True)


@app.command("gloss")
def gloss(
    corpora: Path,
    encoder: Path,
    work: Path,
    lexicons: Path,
    seeds: str = "0,1,2",
    start: str = "zero_shot",
) -> None:
    """Measure pipelines as they are, and when they read texts word by word too.

    work (Path): Where zero_shot.py keeps pipelines; those that lack are trained.
    start (str): Recipe of the pipelines, which the names of all but zero_shot's runs tell.
    """
    suffix = "" if start == "zero_shot" else f"_{start}"
    for seed in map(int, seeds.split(",")):
        paths = {
            name: GLOSS_RESULTS / f"{name}{suffix}-en-seed{seed}.json"
            for name in ("unglossed", *GLOSSED)
        }
        if all(path.exists() for path in paths.values()):
            continue
        trainer = Trainer(corpora, encoder, work)
        nlp = trainer.train(start, seed)
        test = corpora / "all" / "test"
        before = {
            **runs.measure(nlp, test),
            "recipe": f"unglossed{suffix}",
            "source": "en",
            "seed": seed,
            "seconds": round(trainer.seconds, 1),
            "lexicons": [],
        }
        runs.write_run(paths["unglossed"], before)
        read = [lexicon.from_lang for lexicon in add_gloss(nlp, lexicons)]
        found = runs.measure(nlp, test, langs=read)
        for name, langs in GLOSSED.items():
            # In other languages nothing changes.
            chosen = read if langs is None else langs
            run = {**before, "recipe": f"{name}{suffix}", "lexicons": chosen}
            run.update({k: {lang: found[k][lang] for lang in chosen} for k in KINDS})
            runs.write_run(paths[name], run)


@app.command("gains")
def gains(recipe: str = "lexicon", baseline: str = "zero_shot") -> None:
    """Show what a recipe brings over another, by language, over the seeds that both have."""
    others = runs.read_runs(GLOSS_RESULTS).items()
    glossed = {name: run for name, run in others if "recipe" in run and "seed" in run}
    print("\n".join(summarise({**runs.read_runs(RESULTS), **glossed}, baseline, recipe)))


def summarise(results: Dict[str, runs.Run], baseline: str, recipe: str) -> List[str]:
    """Lines of a Markdown table over runs by name, and of means with intervals."""
    before, after = runs.same_seeds(results, baseline, recipe)
    if not before:
        raise ValueError(f"{baseline} and {recipe} have no run with the same seed.")
    shared = [lang for lang in before[0]["accuracy"] if lang in after[0]["accuracy"]]
    old = {lang: runs.mean_right(before, lang).mean() for lang in shared}
    new = {lang: runs.mean_right(after, lang).mean() for lang in old}
    targets = [lang for lang in runs.targets_of(before[0]) if lang in shared]
    covered = [lang for lang in targets if lang in after[0]["lexicons"]]
    low = [lang for lang in covered if old[lang] < NEEDS_HELP]
    lines = [f"| language | lexicon | {baseline} | {recipe} | gain |", "|---|---|---|---|---|"]
    for lang in sorted(old, key=lambda lang: old[lang]):
        has = "yes" if lang in covered else ""
        change = new[lang] - old[lang]
        lines.append(f"| {lang} | {has} | {old[lang]:.3f} | {new[lang]:.3f} | {change:+.3f} |")
    lines += ["", f"{len(before)} seeds; mean gains in points, with 95 % intervals:", ""]
    groups = {
        f"have a lexicon and stand below {NEEDS_HELP:.2f}": low,
        "have a lexicon": covered,
        "have none": [lang for lang in targets if lang not in covered],
        "all targets": targets,
    }
    for name, langs in groups.items():
        if langs:
            gain = runs.compare_runs(before, after, langs)
            lines.append(f"- {name} ({', '.join(langs)}): {gain}")
    return lines


def _train(recipe: str, corpora: Path, encoder: Path, lexicons: Path, seed: int) -> Language:
    settings = runs.paths(corpora / "all" / "train", corpora / "all" / "dev", encoder)
    settings["system.seed"] = seed
    if recipe == "lexicon":
        settings["paths.lexicons"] = str(lexicons)
    return runs.train_recipe(recipe, settings)


if __name__ == "__main__":
    app()
