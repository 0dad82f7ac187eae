"""What suggested labels are worth beside random ones; runs go to assets/results/suggestion/.

    python -m spacy xlt train configs/zero_shot.cfg --output START --paths.encoder ENCODER \\
        --paths.train corpora/even/train/en.spacy --paths.dev corpora/all/dev/en.spacy
    python tests/benchmarks/suggestion.py head corpora START/model-best
    python tests/benchmarks/suggestion.py train corpora START/model-best ENCODER --draws 5
    python tests/benchmarks/suggestion.py table

The corpora are those of `sib200.py`. The start is trained on English rows with an even id. A pool
is all rows with an odd id of a target language (345), whose labels are hidden until they are
asked for; accuracy is that on the test set (204). `head` fits a new head on the vectors of the
start's encoder, with the English rows and the labelled ones of the target, and each of its runs
sees other 300 rows of the pool, or runs of a strategy that draws nothing would be one run.
`train` is the recipe few_shot.cfg on the whole pool, with the lower half of the encoder frozen to
save time. A run that is there is kept.
"""

import io
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np
import spacy
import typer
from scipy.special import softmax
from spacy import util
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training.initialize import init_nlp
from spacy.training.loop import train as train_loop

from spacy_xlt.corpora.reader import create_corpus_v1
from spacy_xlt.layers.losses import cross_entropy
from spacy_xlt.layers.probe import fit_probe
from spacy_xlt.trust.suggestion import find_doubts, suggest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "assets" / "results" / "suggestion"
LANGS = "sw,yo,ha,zu,quy,gn,ku"
# Those of them where all labels of the pool help the recipe at all; see the README's table.
TRAIN_LANGS = "gn,ku,quy,ha,zu"
# Strength of the probe in few_shot.cfg.
STRENGTH = 1.0
# Rows of the pool that a run of `head` sees.
HEAD_POOL = 300
# Draws of a bootstrap.
N_BOOTSTRAP = 4000
app = typer.Typer(help=__doc__, no_args_is_help=True)


@dataclass(frozen=True)
class Arm:
    """A way to choose texts.

    n (int): How many.
    rounds (int): After each of which the head is fitted anew.
    """

    strategy: str
    n: int
    rounds: int = 1


ARMS = {
    "none": Arm("random", 0),
    "random120": Arm("random", 120),
    "random200": Arm("random", 200),
    "mix120": Arm("mix", 120),
    "mix120-rounds3": Arm("mix", 120, rounds=3),
    "uncertainty120": Arm("uncertainty", 120),
    "uncertainty120-rounds3": Arm("uncertainty", 120, rounds=3),
    "diversity120": Arm("diversity", 120),
    "all": Arm("random", HEAD_POOL),
}
# What the others are compared with.
REFERENCE = "random200"
TRAIN_ARMS = "mix120,random200"


@dataclass(frozen=True)
class Part:
    """Labelled texts as the start sees them.

    vectors (np.ndarray): Shape: (n_texts, width)
    scores (np.ndarray): Probabilities. Shape: (n_texts, n_labels)
    gold (np.ndarray): Index of the label of each. Shape: (n_texts,)
    """

    docs: List[Doc]
    vectors: np.ndarray
    scores: np.ndarray
    gold: np.ndarray

    def draw(self, seed: int) -> "Part":
        """HEAD_POOL of the texts, in their order."""
        rows = np.sort(np.random.default_rng(seed).permutation(len(self.docs))[:HEAD_POOL])
        docs = [self.docs[i] for i in rows]
        return Part(docs, self.vectors[rows], self.scores[rows], self.gold[rows])


@app.command("head")
def head(corpora: Path, start: Path, langs: str = LANGS, draws: int = 10) -> None:
    """Fit heads on fixed vectors, with all arms."""
    nlp = spacy.load(start)
    source = None
    for lang in langs.split(","):
        paths = {name: RESULTS / f"head-{lang}-{name}.json" for name in ARMS}
        paths["start"] = RESULTS / f"start-{lang}.json"
        if all(path.exists() for path in paths.values()):
            continue
        source = source or _read(nlp, corpora / "even" / "train" / "en.spacy")
        pool = _read(nlp, corpora / "odd" / "train" / f"{lang}.spacy")
        test = _read(nlp, corpora / "all" / "test" / f"{lang}.spacy")
        for name, arm in ARMS.items():
            runs = [_run_head(source, pool.draw(d), test, arm, d) for d in range(draws)]
            _write(paths[name], {"recipe": "head", "lang": lang, "arm": name, "runs": runs})
        runs = [_record(0, test.scores.argmax(axis=1) == test.gold)]
        _write(paths["start"], {"recipe": "start", "lang": lang, "arm": "none", "runs": runs})


@app.command("train")
def train(
    corpora: Path,
    start: Path,
    encoder: Path,
    langs: str = TRAIN_LANGS,
    arms: str = TRAIN_ARMS,
    draws: int = 1,
) -> None:
    """Train on in earnest, with texts that the start suggests, or random ones."""
    nlp = spacy.load(start)
    for draw in range(draws):
        for lang in langs.split(","):
            for name in arms.split(","):
                path = RESULTS / f"few_shot-{lang}-{name}-draw{draw}.json"
                if path.exists():
                    continue
                pool = _read(nlp, corpora / "odd" / "train" / f"{lang}.spacy")
                chosen = _choose(ARMS[name], pool.scores, pool.vectors, ARMS[name].n, draw)
                docs = [pool.docs[i] for i in chosen]
                run = _run_train(corpora, start, encoder, lang, docs, draw)
                _write(path, {"recipe": "few_shot", "lang": lang, "arm": name, "runs": [run]})


@app.command("table")
def table() -> None:
    """Print what the runs add up to, as Markdown."""
    print("\n".join(summarise([json.loads(p.read_text()) for p in sorted(RESULTS.glob("*.json"))])))


def summarise(results: List[Dict[str, Any]]) -> List[str]:
    """Lines of a table: each recipe and arm, against random texts, with a 95 % interval."""
    lines = [
        f"| recipe | texts to label | languages | runs | accuracy | against {REFERENCE} |",
        "|---|---|---|---|---|---|",
    ]
    by_arm: Dict[Tuple[str, str], Dict[str, np.ndarray]] = {}
    for result in results:
        rows = by_arm.setdefault((result["recipe"], result["arm"]), {})
        runs = np.array([[c == "1" for c in run["correct"]] for run in result["runs"]], dtype=float)
        lang = result["lang"]
        rows[lang] = np.concatenate([rows[lang], runs]) if lang in rows else runs
    for (recipe, arm), rows in sorted(by_arm.items(), key=lambda item: item[0]):
        mean = np.mean([runs.mean() for runs in rows.values()])
        n_runs = sum(len(runs) for runs in rows.values())
        gain = ""
        reference = by_arm.get((recipe, REFERENCE), {})
        shared = sorted(set(rows) & set(reference))
        if arm != REFERENCE and shared:
            pairs = [(rows[lang], reference[lang]) for lang in shared]
            gain = "{:+.1f} ({:+.1f} to {:+.1f})".format(*(100 * x for x in _compare(pairs)))
        lines.append(f"| {recipe} | {arm} | {len(rows)} | {n_runs} | {100 * mean:.1f} | {gain} |")
    return lines


def _compare(pairs: List[Tuple[np.ndarray, np.ndarray]]) -> Tuple[float, float, float]:
    """Mean difference of accuracy and its interval: languages, runs and sentences are redrawn.

    Sentences are the same in all languages, so a draw of them holds for all.

    pairs (List[Tuple[np.ndarray, np.ndarray]]): Of each language, correct answers of two arms.
        Shapes: (n_runs, n_sentences)
    """
    rng = np.random.default_rng(0)
    n_sentences = pairs[0][0].shape[1]
    found = np.zeros(N_BOOTSTRAP)
    for b in range(N_BOOTSTRAP):
        weights = rng.multinomial(n_sentences, np.full(n_sentences, 1 / n_sentences)) / n_sentences
        for k in rng.integers(len(pairs), size=len(pairs)):
            for sign, runs in zip((1, -1), pairs[k], strict=True):
                drawn = runs[rng.integers(len(runs), size=len(runs))]
                found[b] += sign * (drawn @ weights).mean() / len(pairs)
    mean = np.mean([runs.mean() - others.mean() for runs, others in pairs])
    low, high = np.quantile(found, [0.025, 0.975])
    return float(mean), float(low), float(high)


def _read(nlp: Language, path: Path) -> Part:
    pipe: Any = nlp.get_pipe("textcat")
    docs = [eg.reference for eg in create_corpus_v1(path=str(path))(nlp)]
    labels = list(pipe.labels)
    vectors = np.asarray(pipe.embed(docs))
    weight, bias = pipe._shim.head_rows(range(len(labels)))
    gold = np.array([labels.index(max(doc.cats, key=doc.cats.get)) for doc in docs])
    return Part(docs, vectors, softmax(vectors @ weight.T + bias, axis=1), gold)


def _choose(arm: Arm, scores: np.ndarray, vectors: np.ndarray, n: int, draw: int) -> List[int]:
    """Indices of `n` texts, which an arm chooses by what is known of all of them."""
    if n == 0:
        return []
    found = suggest(
        [""] * len(scores),
        find_doubts(scores, exclusive=True),
        n,
        embed=lambda rows: vectors[rows],
        strategy=arm.strategy,
        seed=draw,
    )
    return [suggestion.index for suggestion in found[""]]


def _run_head(source: Part, pool: Part, test: Part, arm: Arm, draw: int) -> Dict[str, Any]:
    """Choose, label and fit a head, in as many rounds as the arm has."""
    chosen: List[int] = []
    scores = pool.scores
    for number in range(1, arm.rounds + 1):
        rest = np.setdiff1d(np.arange(len(pool.docs)), chosen)
        n = arm.n * number // arm.rounds - len(chosen)
        chosen += rest[_choose(arm, scores[rest], pool.vectors[rest], n, draw)].tolist()
        X = np.concatenate([source.vectors, pool.vectors[chosen]])
        gold = np.concatenate([source.gold, pool.gold[chosen]])
        targets = np.eye(scores.shape[1])[gold]
        known, weights = np.ones(targets.shape, dtype=bool), np.ones(len(gold))
        weight, bias = fit_probe(X, targets, known, weights, loss=cross_entropy, C=STRENGTH)
        scores = softmax(pool.vectors @ weight.T + bias, axis=1)
    answers = (test.vectors @ weight.T + bias).argmax(axis=1)
    return _record(draw, answers == test.gold)


def _run_train(
    corpora: Path, start: Path, encoder: Path, lang: str, docs: List[Doc], draw: int
) -> Dict[str, Any]:
    """Train on the English rows and these of the target together, and measure."""
    started = time.process_time()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "train.spacy"
        DocBin(docs=docs, store_user_data=True).to_disk(path)
        settings = {
            "paths.train": str(path),
            "paths.source": str(corpora / "even" / "train" / "en.spacy"),
            "paths.dev": str(corpora / "all" / "dev" / f"{lang}.spacy"),
            "paths.encoder": str(encoder),
            "paths.start": str(start),
            "components.textcat.model.freeze": "half",
            # The recipe chooses nothing by it.
            "corpora.dev.limit": 1,
            "training.logger.progress_bar": False,
            "system.seed": draw,
        }
        nlp = init_nlp(util.load_config(ROOT / "configs" / "few_shot.cfg", overrides=settings))
        train_loop(nlp, None, stdout=io.StringIO(), stderr=io.StringIO())
    examples = list(create_corpus_v1(path=str(corpora / "all" / "test" / f"{lang}.spacy"))(nlp))
    answers = [max(doc.cats, key=doc.cats.get) for doc in nlp.pipe([eg.text for eg in examples])]
    gold = [max(eg.reference.cats, key=eg.reference.cats.get) for eg in examples]
    seconds = time.process_time() - started
    correct = np.array(answers) == np.array(gold)
    return {**_record(draw, correct), "cpu_seconds": round(seconds)}


def _record(draw: int, correct: np.ndarray) -> Dict[str, Any]:
    """What is kept of a run: which of the test sentences were answered right, in their order."""
    return {"draw": draw, "correct": "".join("1" if is_right else "0" for is_right in correct)}


def _write(path: Path, result: Dict[str, Any]) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    shares = [run["correct"].count("1") / len(run["correct"]) for run in result["runs"]]
    print(f"{path.stem}: {np.mean(shares):.3f} ({len(shares)} runs)", flush=True)


if __name__ == "__main__":
    app()
