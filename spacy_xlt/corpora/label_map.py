"""Label maps: files that rename, merge or drop labels."""

import json
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Union

import srsly

# Old label -> new label, or None to drop it.
LabelMap = Mapping[str, Optional[str]]
# As an old label: all labels that are not named. As a new label: the old one, unchanged.
REST = "*"


def read_label_map(path: Path) -> Dict[str, Optional[str]]:
    """Read a label map from JSON, YAML or TSV.

    JSON and YAML hold an object of old to new labels, with null to drop a label. A line of TSV is
    an old and a new label, with nothing after the tab to drop it. The old label `*` stands for
    all that are not named, the new label `*` for an unchanged one.

    path (Path): The file; its suffix tells the format.
    RETURNS (Dict[str, Optional[str]]): Old label to new label.
    RAISES (ValueError): If the file is missing, has another format or is not such a map.
    """
    readers = {".json": _read_json, ".yml": _read_yaml, ".yaml": _read_yaml, ".tsv": _read_tsv}
    if path.suffix.lower() not in readers:
        raise ValueError(
            f"'{path}' is not a label map. Allowed are files that end in {', '.join(readers)}."
        )
    if not path.is_file():
        raise ValueError(f"There is no label map '{path}'.")
    found = readers[path.suffix.lower()](path)
    if not isinstance(found, dict) or not found:
        raise ValueError(f"'{path}' holds no label map; expected pairs of old and new labels.")
    for old, new in found.items():
        if not isinstance(old, str) or not (new is None or isinstance(new, str)):
            raise ValueError(
                f"'{path}' maps {old!r} to {new!r}. Labels are strings (quote them), and null "
                f"drops a label."
            )
    return {old.strip(): new.strip() if new else None for old, new in found.items()}


def apply_label_map(
    labels: Union[List[str], Dict[str, float]], label_map: LabelMap
) -> Union[List[str], Dict[str, float]]:
    """Labels or scores of a document after renaming, merging and dropping.

    Scores of merged labels are added, up to 1.

    RETURNS (Union[List[str], Dict[str, float]]): New labels, empty if all were dropped.
    RAISES (ValueError): If the map says nothing about a label.
    """
    if isinstance(labels, list):
        mapped = [map_label(label, label_map) for label in labels]
        return list(dict.fromkeys(label for label in mapped if label is not None))
    scores: Dict[str, float] = {}
    for label, score in labels.items():
        new = map_label(label, label_map)
        if new is not None:
            scores[new] = min(1.0, scores.get(new, 0.0) + score)
    return scores


def check_classes_left(label_map: LabelMap, before: Counter, after: Counter, n_docs: int) -> None:
    """Refuse a label map after which there is nothing to tell apart.

    label_map (LabelMap): The map.
    before (Counter): Documents of each old label.
    after (Counter): Documents of each new label.
    n_docs (int): Documents that are left.
    RAISES (ValueError): If several labels became one that all documents have.
    """
    merged = Counter({old: n for old, n in before.items() if map_label(old, label_map)})
    if len(merged) > 1 and list(after.values()) == [n_docs]:
        counts = ", ".join(f"{old!r} {n:,}" for old, n in merged.most_common(10))
        raise ValueError(
            f"The label map merges all {len(merged)} labels into {next(iter(after))!r}, which "
            f"each of the {n_docs:,} documents has then, so there is nothing to tell apart. "
            f"Before, they were: {counts}. Keep two labels or more."
        )


def map_label(label: str, label_map: LabelMap) -> Optional[str]:
    """New name of a label, None if it is dropped."""
    if label not in label_map and REST not in label_map:
        raise ValueError(
            f"unknown label {label!r}: the label map does not name it (add it, or '*' for the rest)"
        )
    new = label_map.get(label, label_map.get(REST))
    return label if new == REST else new


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf8"))
    except ValueError as e:
        raise ValueError(f"'{path}' is not valid JSON: {e}") from e


def _read_yaml(path: Path) -> Any:
    try:
        return srsly.read_yaml(path)
    except Exception as e:  # the reader raises whatever its YAML parser does
        raise ValueError(f"'{path}' is not valid YAML: {e}") from e


def _read_tsv(path: Path) -> Dict[str, Optional[str]]:
    pairs: Dict[str, Optional[str]] = {}
    for number, line in enumerate(path.read_text(encoding="utf8").split("\n"), start=1):
        values = line.rstrip("\r").split("\t")
        if values == [""]:
            continue
        if len(values) != 2 or not values[0].strip():
            raise ValueError(
                f"{path}:{number}: expected an old label, a tab and a new label; found {line!r}."
            )
        if values[0].strip() in pairs:
            raise ValueError(f"{path}:{number}: the label {values[0].strip()!r} stands twice.")
        pairs[values[0].strip()] = values[1].strip() or None
    return pairs
