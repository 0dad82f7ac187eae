"""Joint training in all languages against training each alone, on SIB-200, one JSON per run in
assets/results/transfer/.

    python tests/benchmarks/joint.py run corpora ENCODER ZERO_SHOT WORK
    python tests/benchmarks/joint.py gains

Corpora and encoder are those of sib200.py; ZERO_SHOT is a pipeline that zero_shot.cfg made of the
English sentences of corpora/even. All runs go on from it by joint.cfg, with these sentences and
those of corpora/odd in other languages: in all of them, or in one. Pipelines are kept in WORK. A
run that is there is kept.
"""

import io
from functools import partial
from pathlib import Path
from typing import Any, Dict, List, Sequence

import runs
import typer
from spacy import util
from spacy.language import Language
from spacy.training.initialize import init_nlp
from spacy.training.loop import train

RESULTS = runs.RESULTS / "transfer"
app = typer.Typer(help=__doc__, no_args_is_help=True)


@app.command("run")
def run(
    corpora: Path,
    encoder: Path,
    zero_shot: Path,
    work: Path,
    seeds: str = "0",
    split: str = "test",
    results: Path = RESULTS,
    only: str = "",
) -> None:
    """Train in all languages and in each; measure.

    only (str): Languages, with commas; all of the data if there are none.
    """
    there = [path.stem for path in sorted((corpora / "odd" / "train").glob("*.spacy"))]
    targets = [lang for lang in there if lang not in ("en", *runs.LEFT_OUT)]
    chosen = only.split(",") if only else targets
    for seed in map(int, seeds.split(",")):
        for name, langs in [("all", targets), *((lang, [lang]) for lang in chosen)]:
            path = results / f"joint-{name}-seed{seed}.json"
            if path.exists():
                continue
            settings = _settings(corpora, encoder, zero_shot, langs, seed)
            nlp = runs.keep_trained(work / f"{name}-seed{seed}", partial(_train, settings))
            measured = ["en", *chosen] if name == "all" else langs
            result = {
                **runs.measure(nlp, corpora / "all" / split, measured),
                "recipe": "joint" if name == "all" else "alone",
                "source": "en",
                "seed": seed,
                "seconds": nlp.meta["training_seconds"],
            }
            runs.write_run(path, result)


@app.command("gains")
def gains(results: Path = RESULTS) -> None:
    """Show what joint training brings over training each language alone."""
    print("\n".join(summarise(runs.read_runs(results))))


def summarise(results: Dict[str, runs.Run]) -> List[str]:
    """Lines of a Markdown table over runs by name, and of the mean gain."""
    joint = [run for run in results.values() if run.get("recipe") == "joint"]
    alone = [run for run in results.values() if run.get("recipe") == "alone"]
    langs = [
        lang for lang in runs.targets_of(joint[0]) if any(lang in run["correct"] for run in alone)
    ]
    old, new = (_by_lang(found, langs) for found in (alone, joint))
    lines = ["| language | alone | joint | gain |", "|---|---|---|---|"]
    for lang in sorted(langs, key=lambda lang: old[lang]):
        lines.append(
            f"| {lang} | {old[lang]:.3f} | {new[lang]:.3f} | {new[lang] - old[lang]:+.3f} |"
        )
    n_least = sum(new[lang] >= old[lang] for lang in langs)
    mean_old, mean_new = (sum(found.values()) / len(langs) for found in (old, new))
    return [
        *lines,
        "",
        f"alone {mean_old:.4f}, joint {mean_new:.4f}; joint is at least alone in {n_least} of "
        f"{len(langs)} languages; {len(joint)} seeds",
        f"mean gain in points, with a 95 % interval: {runs.compare_runs(alone, joint, langs)}",
    ]


def _by_lang(found: Sequence[runs.Run], langs: Sequence[str]) -> Dict[str, float]:
    return {
        lang: float(runs.mean_right([run for run in found if lang in run["correct"]], lang).mean())
        for lang in langs
    }


def _settings(
    corpora: Path, encoder: Path, zero_shot: Path, langs: Sequence[str], seed: int
) -> Dict[str, Any]:
    settings = runs.paths(corpora / "odd" / "train", corpora / "all" / "dev", encoder)
    del settings["corpora.train.langs"]
    return {
        **settings,
        "paths.start": str(zero_shot),
        "paths.source": str(corpora / "even" / "train"),
        "corpora.train.corpora.source.langs": ["en"],
        "corpora.train.corpora.target.langs": list(langs),
        # Nothing is chosen by dev, so one document of it will do.
        "initialize.after_init.evaluations": 1,
        "corpora.dev.limit": 1,
        "system.seed": seed,
    }


def _train(settings: Dict[str, Any]) -> Language:
    """The pipeline that `spacy train` ends with."""
    config = util.load_config(runs.ROOT / "configs" / "joint.cfg", overrides=settings)
    nlp = init_nlp(config)
    train(nlp, None, stdout=io.StringIO(), stderr=io.StringIO())
    return nlp


if __name__ == "__main__":
    app()
