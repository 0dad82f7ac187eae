"""The model card that a packaged pipeline carries as its README."""

from typing import Any, Dict, List, Mapping, Optional, Tuple

from .advice import find_warnings, is_trusted
from .rendering import render
from .results import Evaluation

# Sources of a corpus that are named one by one; the others are counted.
MAX_SOURCES = 5


def make_model_card(
    results: Evaluation,
    encoder_record: Optional[Mapping[str, Any]] = None,
    corpus_record: Optional[Mapping[str, Any]] = None,
) -> str:
    """Say what a pipeline is for, how well it does in which language, and where its limits are.

    results (Evaluation): The pipeline's figures on test data.
    encoder_record (Optional[Mapping[str, Any]]): `xlt_encoder.json` of its encoder; None is what
        the evaluation recorded.
    corpus_record (Optional[Mapping[str, Any]]): `corpus.json` of its data.
    RETURNS (str): Markdown.
    """
    source = results["transfer"]["source_accuracy"]
    targets = [row for row in results["languages"] if row["role"] == "target"]
    return render(
        "model_card.md.jinja",
        results=results,
        pipeline=results["signature"]["pipeline"],
        encoder=encoder_record or results["signature"]["encoder"] or {},
        sources=_group_sources(corpus_record or {}),
        max_sources=MAX_SOURCES,
        untrusted=[row["lang"] for row in targets if not is_trusted(row, source)],
        warnings=find_warnings(results),
    )


def _group_sources(record: Mapping[str, Any]) -> List[Tuple[Dict[str, str], List[str]]]:
    """Address and licence of the data, each with the names of the files they hold for."""
    groups: Dict[Tuple[str, str], List[str]] = {}
    for source in record.get("sources") or []:
        key = (str(source.get("address") or ""), str(source.get("licence") or ""))
        groups.setdefault(key, []).append(str(source.get("name") or "unnamed"))
    return [
        ({"address": address, "licence": licence}, names)
        for (address, licence), names in groups.items()
    ]
