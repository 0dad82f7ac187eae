"""What explanations are worth on SIB-200; a JSON per method in assets/results/explanation/.

    python -m spacy xlt data import SIB200 corpora/all --format sib200
    python -m spacy xlt train configs/zero_shot.cfg --output training --paths.train \\
        corpora/all/train/en.spacy --paths.dev corpora/all/dev/en.spacy --paths.encoder ENCODER
    python tests/benchmarks/explanation.py measure training/model-best corpora/all/test
    python tests/benchmarks/explanation.py table

In each text the three words of highest weight for the predicted label are deleted, and five times
three random ones. A decision is gone if another label wins, or its probability is halved. Texts
are spread evenly over a test file. Languages that a JSON holds are kept. One thread; seconds are
those of the processor, so that other work on the machine counts little.
"""

import json
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

import spacy
import torch
import typer

from spacy_xlt.corpora.reader import create_corpus_v1
from spacy_xlt.languages import language_name
from spacy_xlt.trust.explanation import METHODS, check_deletion, explain_texts

RESULTS = Path(__file__).parents[2] / "assets" / "results" / "explanation"
app = typer.Typer(help=__doc__, no_args_is_help=True)


@app.command("measure")
def measure(
    pipeline: Path,
    corpus: Path,
    methods: str = ",".join(METHODS),
    langs: Optional[str] = None,
    n_texts: int = 100,
) -> None:
    """Explain texts of every language (`n_texts` of each), and delete what counted."""
    torch.set_num_threads(1)
    nlp = spacy.load(pipeline)
    names = langs.split(",") if langs else sorted(path.stem for path in corpus.glob("*.spacy"))
    for method in methods.split(","):
        path = RESULTS / f"{method}.json"
        result: Dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        for lang in names:
            if lang not in result:
                result[lang] = _measure(nlp, corpus / f"{lang}.spacy", lang, method, n_texts)
                RESULTS.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(result, indent=2, sort_keys=True) + "\n")
                print(method, lang, result[lang], flush=True)


@app.command("table")
def table() -> None:
    """Print what was measured, as Markdown."""
    found = {m: json.loads((RESULTS / f"{m}.json").read_text()) for m in METHODS}
    print("\n".join(summarise(found)))


def summarise(results: Dict[str, Dict[str, Dict[str, Any]]]) -> List[str]:
    """Lines of a Markdown table of runs by method and language."""
    heads = [f"{m}: gone | random | ratio | s a text" for m in results]
    lines = [
        f"| language | {' | '.join(heads)} |",
        "|---|" + "---|" * (4 * len(heads)),
    ]
    for lang in sorted(set.intersection(*(set(r) for r in results.values()))):
        cells = []
        for result in results.values():
            row = result[lang]
            cells += [f"{row['evidence']:.2f}", f"{row['random']:.3f}", f"{row['ratio']:.1f}"]
            cells.append(f"{row['seconds']:.2f}")
        lines.append(f"| {language_name(lang)} | {' | '.join(cells)} |")
    return lines


def _measure(nlp: Any, path: Path, lang: str, method: Any, n_texts: int) -> Dict[str, Any]:
    texts = [example.reference.text for example in create_corpus_v1(path=str(path))(nlp)]
    texts = [texts[i * len(texts) // n_texts] for i in range(min(n_texts, len(texts)))]
    explain_texts(nlp, texts[:1], method=method)  # imports and arranges
    started = time.process_time()
    explanations = explain_texts(nlp, texts, langs=[lang] * len(texts), method=method)
    seconds = time.process_time() - started
    check = check_deletion(nlp, explanations)
    doubts = [doubt["kind"] for one in explanations for doubt in one["doubts"]]
    return {
        "n_texts": check.n_texts,
        "evidence": round(check.evidence, 4),
        "random": round(check.random, 4),
        "ratio": round(check.evidence / max(check.random, 1e-9), 2),
        "seconds": round(seconds / len(texts), 3),
        "doubts": {kind: doubts.count(kind) for kind in sorted(set(doubts))},
    }


if __name__ == "__main__":
    app()
