"""`spacy xlt package` and `check-package`: a pipeline as something to install, and proof of it."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple

from ..files import write_text
from ._app import Arg, Opt, command, msg, xlt_cli

# How far scores may differ between two processes on one machine.
TOLERANCE = 1e-4
# Texts of several scripts and lengths; one is empty, and one is in no language.
TEXTS = (
    "The government raised taxes on fuel.",
    "Bitte schalte das Licht in der Küche aus.",
    "政府提高了燃油税。",
    "Timu ya mpira wa miguu ilishinda fainali.",
    "फुटबॉल टीम ने फाइनल जीता।",
    "افتح نوافذ غرفة النوم",
    "🎉🎉🎉",
    "",
)
# Loads a pipeline and writes its scores as JSON. Any use of the network is an error.
PROGRAM = """
import sys

def refuse(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        raise RuntimeError("the pipeline tried to use the network: " + event)

sys.addaudithook(refuse)
import json

request = json.load(sys.stdin)
sys.path[:0] = request["paths"]
import spacy

nlp = spacy.load(request["pipeline"])
scores = [dict(doc.cats) for doc in nlp.pipe(request["texts"])]
with open(request["answer"], "w", encoding="utf8") as file:
    json.dump(scores, file)
"""
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


@command(xlt_cli, "package")
def package_cli(
    pipeline: Path = Arg(..., help="Directory of the trained pipeline", file_okay=False),
    out: Path = Arg(..., help="Directory for packages", file_okay=False),
    name: str = Opt("", "--name", "-n", help="Name without the language; else the pipeline's"),
    version: str = Opt("", "--version", "-v", help="Version; else the pipeline's"),
    metrics: str = Opt(
        "", "--metrics", "-m", help="JSON file of spacy xlt evaluate, for the model card"
    ),
    corpus: str = Opt("", "--corpus", "-c", help="Corpus it was made with, for the model card"),
) -> None:
    """
    Make a wheel of a trained pipeline, as spacy package does, without network: it requires the
    versions that the pipeline needs, and its README is a model card.
    """
    made = package(
        pipeline,
        out,
        name=name or None,
        package_version=version or None,
        metrics=Path(metrics) if metrics else None,
        corpus=Path(corpus) if corpus else None,
    )
    msg.text(f"Requires: {', '.join(made.requirements)}")
    msg.good(f"Package: {made.wheel}", f"Install it with: python -m pip install {made.wheel}")


@command(xlt_cli, "check-package")
def check_package_cli(
    package: Path = Arg(..., help="A wheel, or the directory of a pipeline"),
    pipeline: str = Opt(
        "", "--pipeline", "-p", help="Directory of the pipeline that the package was made of"
    ),
    output: str = Opt("", "--output", "-o", help="JSON file for the scores"),
) -> None:
    """
    Load a package in a clean process that cannot use the network, predict a few texts, and compare
    the scores with those of the pipeline that it was made of.
    """
    check = check_package(package, Path(pipeline) if pipeline else None)
    rows = [
        (text or "(empty)", label, f"{100 * score:.0f} %")
        for text, (label, score) in zip(TEXTS, map(best_label, check.scores), strict=True)
    ]
    msg.table(rows, header=("Text", "Label", "Score"), divider=True, max_col=60)
    if output:
        write_text(Path(output), json.dumps(check.to_dict(), indent=2, ensure_ascii=False) + "\n")
    compared = "" if check.difference is None else ", and gives the scores of the pipeline"
    msg.good(f"'{package}' loads and predicts without network{compared}")


@dataclass(frozen=True)
class Package:
    """A package that was made.

    wheel (Path): The wheel.
    requirements (List[str]): What installing it installs too.
    """

    wheel: Path
    requirements: List[str]


@dataclass(frozen=True)
class PackageCheck:
    """What a package predicts.

    package (str): What was checked.
    scores (List[Dict[str, float]]): Score of each label for each of `TEXTS`.
    difference (Optional[float]): Largest difference to the pipeline's; None if not compared.
    """

    package: str
    scores: List[Dict[str, float]]
    difference: Optional[float]

    def to_dict(self) -> Dict[str, Any]:
        rows = [{"text": text, "cats": cats} for text, cats in zip(TEXTS, self.scores, strict=True)]
        return {"package": self.package, "difference": self.difference, "predictions": rows}


def package(
    pipeline: Path,
    out: Path,
    *,
    name: Optional[str] = None,
    package_version: Optional[str] = None,
    metrics: Optional[Path] = None,
    corpus: Optional[Path] = None,
) -> Package:
    """Make a wheel of a pipeline; an earlier one of its name is replaced when all went well.

    pipeline (Path): Directory of the pipeline.
    out (Path): Directory for packages.
    name (Optional[str]): Name, with or without the language before it; None is the pipeline's.
    package_version (Optional[str]): Version; None is the pipeline's.
    metrics (Optional[Path]): Figures for the model card; without them spaCy's README is made.
    corpus (Optional[Path]): The corpus, for the model card.
    RETURNS (Package): The wheel and what it requires.
    RAISES (ValueError): If there is no pipeline, name or version are not allowed, or the figures
        are of another pipeline.
    RAISES (OSError): If the disk has no room, or building fails.
    """
    import srsly
    from spacy.cli.package import package as make_package

    from ..files import check_disk_space, folder_size
    from ._staging import staged_results

    meta = read_meta(pipeline, name=name, package_version=package_version)
    full_name = f"{meta['lang']}_{meta['name']}"
    versioned = f"{full_name}-{meta['version']}"
    card = None if metrics is None else make_card(pipeline, meta, metrics, corpus)
    out.mkdir(parents=True, exist_ok=True)
    # A copy, two more while it is packed, and the wheel; one more, in fp32, if LoRA is merged.
    adapted = has_adapter(pipeline)
    check_disk_space(out, (8 if adapted else 4) * folder_size(pipeline))
    with staged_results(out / versioned) as staging:
        work = staging.with_name("work")  # goes with the staging directory
        work.mkdir()
        meta_path = work / "meta.json"
        srsly.write_json(meta_path, meta)
        try:
            make_package(
                merged_copy(pipeline, work / "merged") if adapted else pipeline.resolve(),
                work,
                meta_path=meta_path,
                create_sdist=False,
                require_parent=True,
            )
        except SystemExit as e:
            raise ValueError(f"spaCy cannot package '{pipeline}': its meta.json is invalid.") from e
        source = work / versioned
        if card is not None:
            for readme in (source, source / full_name / versioned):
                (readme / "README.md").write_text(card, encoding="utf8")
        wheel = build_wheel(source, staging / "dist")
        for file in ("README.md", "meta.json"):
            shutil.copy(source / file, staging / file)
    requirements = srsly.read_json(out / versioned / "meta.json")["requirements"]
    return Package(out / versioned / "dist" / wheel, requirements)


def read_meta(
    pipeline: Path, *, name: Optional[str] = None, package_version: Optional[str] = None
) -> Dict[str, Any]:
    """The pipeline's `meta.json`, with name, version and requirements of the package.

    RAISES (ValueError): If there is no pipeline, or name or version are not allowed.
    """
    import srsly
    from packaging.version import InvalidVersion, Version
    from spacy.util import get_minor_version_range

    path = pipeline / "meta.json"
    if not path.is_file() or not (pipeline / "config.cfg").is_file():
        raise ValueError(
            f"'{pipeline}' is not a trained pipeline: it has no config.cfg and meta.json. Name a "
            f"directory such as training/model-best."
        )
    meta: Dict[str, Any] = srsly.read_json(path)
    meta["name"] = (name or str(meta.get("name"))).removeprefix(f"{meta['lang']}_")
    meta["version"] = package_version or meta.get("version")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*[A-Za-z0-9]", meta["name"]):
        raise ValueError(
            f"'{meta['name']}' cannot be the name of a package. Allowed are letters, digits and "
            f"'_', a letter first. Choose another one with --name."
        )
    try:
        # As the wheel's name will have it.
        meta["version"] = str(Version(str(meta["version"])))
    except InvalidVersion as e:
        raise ValueError(
            f"'{meta['version']}' is not a version. Allowed are such as 1.0.0. Set --version."
        ) from e
    own = f"spacy-xlt{get_minor_version_range(version('spacy-xlt'))}"
    others = [r for r in meta.get("requirements") or [] if not r.startswith("spacy-xlt")]
    meta["requirements"] = [own, *others]
    meta["description"] = meta.get("description") or "Text classification in many languages"
    return meta


def has_adapter(pipeline: Path) -> bool:
    """Whether a pipeline, or a member of its ensembles, has an adapter."""
    from ..encoder_files import ADAPTER_FILE

    return any(pipeline.rglob(ADAPTER_FILE))


def merged_copy(pipeline: Path, copy: Path) -> Path:
    """A copy of a pipeline that does not need the peft library: LoRA is part of its weights.

    RETURNS (Path): The copy.
    RAISES (ValueError): If the pipeline cannot be loaded.
    """
    from ..components.deltas import merge_adapters
    from ._pipeline import load_pipeline

    nlp = load_pipeline(str(pipeline))
    merge_adapters(nlp)
    nlp.to_disk(copy)
    return copy


def make_card(
    pipeline: Path, meta: Mapping[str, Any], metrics: Path, corpus: Optional[Path]
) -> str:
    """The model card of a package.

    RAISES (ValueError): If figures or corpus cannot be read, or the figures have other labels.
    """
    from ..corpora.layout import read_record
    from ..encoder_files import read_encoder_record
    from ..evaluation.model_card import make_model_card
    from ..evaluation.results import read_evaluation

    results = read_evaluation(metrics)
    signature = results["signature"]
    component = signature["pipeline"]["component"]
    labels = (meta.get("labels") or {}).get(component)
    if labels is None or sorted(labels) != sorted(results["labels"]):
        raise ValueError(
            f"The figures in '{metrics}' are not of '{pipeline}': they are for the labels "
            f"{results['labels']} of a component '{component}', the pipeline has {labels}. "
            f"Evaluate it with: python -m spacy xlt evaluate {pipeline} CORPUS --output {metrics}"
        )
    signature["pipeline"]["name"] = f"{meta['lang']}_{meta['name']}"
    signature["pipeline"]["version"] = meta["version"]
    return make_model_card(
        results,
        read_encoder_record(pipeline / component / "model"),
        None if corpus is None else read_record(corpus),
    )


def build_wheel(source: Path, out: Path) -> str:
    """Build a wheel with the setuptools that is installed: no network, nothing downloaded.

    source (Path): Directory with setup.py.
    out (Path): Where the wheel goes.
    RETURNS (str): Its file name.
    RAISES (OSError): If that fails.
    """
    # Weights hardly shrink, and packing them takes longer than all the rest.
    program = [sys.executable, "setup.py", "-q", "bdist_wheel", "--compression", "stored"]
    done = subprocess.run(
        [*program, "--dist-dir", str(out.resolve())], cwd=source, capture_output=True, text=True
    )
    wheels = [path.name for path in out.glob("*.whl")]
    if done.returncode or not wheels:
        lines = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise OSError(
            f"setuptools could not build the wheel: {' '.join(lines) or 'no reason given'}. If it "
            f"does not know bdist_wheel, update it with: python -m pip install -U setuptools"
        )
    return wheels[0]


def check_package(package: Path, pipeline: Optional[Path] = None) -> PackageCheck:
    """Load and use a package in a clean process without network.

    package (Path): A wheel, or the directory of a pipeline.
    pipeline (Optional[Path]): The pipeline it was made of, to compare with.
    RETURNS (PackageCheck): What it predicts.
    RAISES (ValueError): If it is no package, lacks a requirement, cannot be loaded, or gives other
        scores.
    """
    with tempfile.TemporaryDirectory() as work:
        if package.is_dir():
            scores = predict_apart(str(package.resolve()), [])
        else:
            name = unpack_wheel(package, Path(work))
            scores = predict_apart(name, [work])
    if pipeline is None:
        return PackageCheck(str(package), scores, None)
    expected = predict_apart(str(pipeline.resolve()), [])
    if [set(cats) for cats in scores] != [set(cats) for cats in expected]:
        raise ValueError(f"'{package}' has other labels than '{pipeline}'. Make it again.")
    pairs = zip(scores, expected, strict=True)
    differences = [abs(a[label] - b[label]) for a, b in pairs for label in a]
    difference = max(differences)
    if not all(x <= TOLERANCE for x in differences):  # also where one is not a number
        raise ValueError(
            f"'{package}' gives other scores than '{pipeline}': they differ by up to "
            f"{difference:.2g}, allowed is {TOLERANCE:g}. Make it again."
        )
    return PackageCheck(str(package), scores, difference)


def unpack_wheel(wheel: Path, directory: Path) -> str:
    """Unpack the wheel of a pipeline, as installing it would, and check what it requires.

    RETURNS (str): Name of the package.
    RAISES (ValueError): If it is no wheel of a pipeline, or a requirement is not there.
    """
    from importlib.metadata import PathDistribution

    from packaging.requirements import Requirement

    if not wheel.is_file():
        raise ValueError(f"There is no package '{wheel}'.")
    try:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(directory)
        (metadata,) = directory.glob("*.dist-info")
    except (zipfile.BadZipFile, ValueError) as e:
        raise ValueError(f"'{wheel}' is not a wheel, or is damaged. Make it again. ({e})") from e
    distribution = PathDistribution(metadata)
    for line in distribution.requires or []:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            found = "nothing"
        if found == "nothing" or not requirement.specifier.contains(found, prereleases=True):
            raise ValueError(f"'{wheel}' requires {requirement}, but {found} is installed.")
    return str(distribution.metadata["Name"]).replace("-", "_")


def predict_apart(pipeline: str, paths: List[str]) -> List[Dict[str, float]]:
    """Scores of `TEXTS` by a pipeline in a process of its own that cannot use the network.

    pipeline (str): Name or path.
    paths (List[str]): Directories to look for packages in.
    RAISES (ValueError): If the pipeline cannot be loaded or used there.
    """
    with tempfile.TemporaryDirectory() as work:
        answer = Path(work) / "answer.json"
        request = {"pipeline": pipeline, "paths": paths, "texts": TEXTS, "answer": str(answer)}
        # -I: neither the current directory nor variables of this environment play a part.
        done = subprocess.run(
            [sys.executable, "-I", "-c", PROGRAM],
            input=json.dumps(request),
            env={**os.environ, **OFFLINE},
            cwd=work,
            capture_output=True,
            text=True,
        )
        if done.returncode or not answer.is_file():
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise ValueError(
                f"'{pipeline}' cannot be loaded and used in a clean process without network: "
                f"{lines[-1]}"
            )
        return json.loads(answer.read_text(encoding="utf8"))


def best_label(cats: Mapping[str, float]) -> Tuple[str, float]:
    """The label with the highest score, and the score."""
    label = max(cats, key=lambda label: cats[label])
    return label, cats[label]
