"""What translation brings on SIB-200, one JSON per run in assets/results/transfer/.

    apt-get install apertium apertium-eng-spa apertium-es-pt
    python tests/benchmarks/translation.py run corpora ENCODER work --recipes translate_train,plain
    python tests/benchmarks/translation.py quality work
    python tests/benchmarks/translation.py translate-test corpora PIPELINE ENCODER
    python tests/benchmarks/translation.py neighbours corpora ENCODER
    python tests/benchmarks/translation.py gains

Corpora and encoder are those of sib200.py. All recipes see all English training sentences and no
text of another language but what Apertium makes of them. A run that is there is kept.
"""

import time
from pathlib import Path
from typing import Any, Dict, List, Sequence

import runs
import typer
from spacy.language import Language

from spacy_xlt.cli.translate import translate as translate_corpus

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

    work (Path): Folder for translations, which are made if they are not there.
    split (str): What to measure on; settings are chosen on dev, whose runs stay in `work`.
    """
    for seed in map(int, seeds.split(",")):
        for recipe in recipes.split(","):
            folder = RESULTS if split == "test" else work / split
            path = folder / f"{recipe}-en-seed{seed}.json"
            if path.exists():
                continue
            started = time.perf_counter()
            nlp = _train(recipe, corpora, encoder, work, seed)
            seconds = time.perf_counter() - started
            result = {
                **runs.measure(nlp, corpora / "all" / split),
                "recipe": recipe,
                "source": "en",
                "seed": seed,
                "seconds": round(seconds, 1),
            }
            runs.write_run(path, result)


@app.command("gains")
def gains(baseline: str = "zero_shot", recipes: str = "translate_train,plain") -> None:
    """Show what recipes bring over another one, over the seeds that both have."""
    results = runs.read_runs(RESULTS)
    for recipe in recipes.split(","):
        print("\n".join(summarise(results, baseline, recipe)))


def summarise(results: Dict[str, runs.Run], baseline: str, recipe: str) -> List[str]:
    """Lines with mean gains in points and their intervals."""
    by_seed = {
        name: {run["seed"]: run for run in results.values() if run["recipe"] == name}
        for name in (baseline, recipe)
    }
    seeds = sorted(set(by_seed[baseline]) & set(by_seed[recipe]))
    if not seeds:
        return [f"{recipe} and {baseline} have no run with the same seed."]
    before, after = ([by_seed[name][seed] for seed in seeds] for name in (baseline, recipe))
    targets = runs.targets_of(before[0])
    groups: Dict[str, Sequence[str]] = {
        **{lang: [lang] for lang in ("en", *TRANSLATED)},
        "all targets": targets,
        "other targets": [lang for lang in targets if lang not in TRANSLATED],
    }
    lines = [f"{recipe} against {baseline}, {len(seeds)} seeds:"]
    for name, langs in groups.items():
        means = [
            sum(runs.mean_right(group, lang).mean() for lang in langs) / len(langs)
            for group in (before, after)
        ]
        gain = runs.compare_runs(before, after, langs)
        lines.append(f"- {name}: {means[0]:.3f} to {means[1]:.3f}, {gain}")
    return lines


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


if __name__ == "__main__":
    app()
