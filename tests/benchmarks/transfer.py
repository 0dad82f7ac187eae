"""What every recipe brought, as a table in the README and as the figures that `advise` shows.

    python tests/benchmarks/transfer.py table

Runs are made by the scripts of the recipes; they are read from assets/results/transfer/, and from
the folders of earlier ones in EARLIER. A run counts if it has

- `recipe`, `accuracy` (by language), `source`, `seconds`, and `seed` or `draw`;
- `split`, unless it is "test";
- `half`, "even" or "all": which English labels it was trained on; else it is even if its name or
  the recipe says so;
- `shots`, for target labels per class (0 is all); else it is read from a name like …-shots8-…,
  or is all of them if the recipe is in ALL_SHOTS;
- `baseline`, the recipe that its gain is against, unless that is zero_shot or in STARTS;
- `correct` (a 0 or 1 for each sentence, by language), without which the interval of a gain is one
  over languages;
- `time`, what the run took as a multiple of the baseline, if that was measured under the same
  conditions; seconds of different days are not compared.

A file with `runs` holds several, each with its `lang`, `accuracy` and `correct`, and what they
share. Earlier runs give way to new ones of the same recipe from the same half.

Gains are against runs of the baseline from the same half of the labels, with the same seeds where
there are such. Both the README and spacy_xlt/evaluation/measured_gains.json are written, so that
they cannot disagree.
"""

import json
import re
import statistics
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import runs
import typer
from readme import README, with_part
from scipy import stats

from spacy_xlt.evaluation.gains import GAINS_FILE, GAINS_FORMAT
from spacy_xlt.transfer.recipes import BASELINE, RECIPES, Needs

RESULTS = runs.RESULTS / "transfer"
# Folders of earlier runs; of these, only recipes that are configs now count.
EARLIER = ("sib200", "lexicon")
# How files name a recipe, where that is not its name here, and the half of the labels.
KNOWN_AS = {
    "zero_shot_even": ("zero_shot", "even"),
    "self_training": ("self_train", "even"),
    "joint": ("joint", "even"),
    "alone": ("alone", "even"),
    "agree_subwords": ("agree", "all"),
}
# Recipes that were trained on all target labels.
ALL_SHOTS = ("joint", "alone")
# What a recipe goes on from, by the name in its files: its gain is against that, where that is
# there.
STARTS = {
    "few_shot": "few_shot-start",
    "finetune": "few_shot-start",
    "distill": "teacher",
    "gloss": "unglossed",
    "gloss_all": "unglossed",
}
# The odd half of SIB-200 has 350 sentences of 7 topics.
ALL_LABELS = 50
N_TARGETS = 22
# With fewer languages an interval over them says nothing.
MIN_LANGS = 5
app = typer.Typer(help=__doc__, no_args_is_help=True)


class Setting(NamedTuple):
    """Runs that differ in nothing but seed, draw and language.

    half (str): Source labels: "all" or "even".
    shots (Optional[int]): Target labels per class; 0 for all, None for none.
    """

    recipe: str
    source: str
    half: str
    shots: Optional[int]


class Row(NamedTuple):
    """What the runs of a setting add up to; see `spacy_xlt.evaluation.gains.Gain`.

    mean, unseen (Optional[float]): Accuracy over its targets, and over those of them that never
        chose a setting; None if there are none.
    gain (Optional[runs.Gain]): Against the baseline; None if there is no run of it.
    by_sentence (bool): Whether its interval is from drawing sentences, or from how languages
        differ, with NaN for fewer than MIN_LANGS of them.
    time (Optional[float]): As a multiple of the baseline's; None if that is not comparable.
    """

    setting: Setting
    langs: List[str]
    n_runs: int
    mean: float
    unseen: Optional[float]
    gain: Optional[runs.Gain]
    by_sentence: bool
    time: Optional[float]
    folder: str


@app.callback()
def main() -> None:
    """With one command alone, its name would not be part of the command line."""


@app.command("table")
def table() -> None:
    """Write the table into the README, and the gains into the package."""
    README.write_text(with_table(README.read_text(encoding="utf8")), encoding="utf8")
    GAINS_FILE.write_text(gains_json(), encoding="utf8")


def with_table(text: str) -> str:
    """A README with the table of recipes between its markers."""
    return with_part(text, "transfer", to_markdown(summarise(read_all())))


def gains_json() -> str:
    """Content of the package's file of gains, which knows recipes that users can choose."""
    rows = (row for row in summarise(read_all()) if row.setting.recipe in RECIPES)
    gains = [json.dumps(to_gain(row)) for row in rows if row.gain is not None]
    return f'{{"format": "{GAINS_FORMAT}", "gains": [\n' + ",\n".join(gains) + "\n]}\n"


def read_all() -> Dict[str, runs.Run]:
    """All runs that count, by folder and name."""
    new = dict(_read_folder(RESULTS))
    taken = {setting_of(name, run)[:3] for name, run in new.items()}
    earlier = [pair for name in EARLIER for pair in _read_folder(runs.RESULTS / name)]
    return new | {
        name: run
        for name, run in earlier
        if run["recipe"] in RECIPES and setting_of(name, run)[:3] not in taken
    }


def _read_folder(folder: Path) -> Iterator[Tuple[str, runs.Run]]:
    for name, content in runs.read_runs(folder).items():
        for i, run in enumerate(_divide(content)):
            is_one = {"recipe", "accuracy", "source"} <= set(run)
            if is_one and run.get("split", "test") == "test":
                yield f"{folder.name}/{name}" + (f"/{i}" if "runs" in content else ""), run


def _divide(content: Dict[str, Any]) -> List[runs.Run]:
    """Runs of a file that holds one or several."""
    if "runs" not in content or not isinstance(content["runs"], list):
        return [content]
    shared = {key: value for key, value in content.items() if key != "runs"}
    return [
        {
            **shared,
            **run,
            "accuracy": {run["lang"]: run["accuracy"]},
            "correct": {run["lang"]: run["correct"]},
        }
        for run in content["runs"]
    ]


def setting_of(name: str, run: runs.Run) -> Setting:
    """What a run was trained on, by its keys or its name."""
    stem = name.split("/")[1]
    shots = run.get("shots")
    if shots is None and (match := re.search(r"shots(\d+|all)", stem)):
        shots = 0 if match[1] == "all" else int(match[1])
    recipe, half = KNOWN_AS.get(run["recipe"], (run["recipe"], None))
    shots = 0 if shots is None and recipe in ALL_SHOTS else shots
    needs = RECIPES[recipe].needs if recipe in RECIPES else Needs()
    uses_target = bool(needs.target_labels or needs.unlabelled)
    is_even = "even" in stem or shots is not None or uses_target
    half = run.get("half") or half or ("even" if is_even else "all")
    return Setting(recipe, run["source"], half, None if shots is None else int(shots))


def summarise(found: Dict[str, runs.Run]) -> List[Row]:
    """A row for each setting, the baseline's first."""
    groups: Dict[Setting, Dict[str, runs.Run]] = {}
    for name, run in found.items():
        groups.setdefault(setting_of(name, run), {})[name] = run
    shown = [setting for setting in groups if setting.recipe not in STARTS.values()]
    order = sorted(shown, key=lambda s: (s.recipe != BASELINE, s.half, s.recipe, *_number(s)))
    return [_to_row(setting, _without_copies(groups[setting]), groups) for setting in order]


def _number(setting: Setting) -> tuple:
    shots = ALL_LABELS if setting.shots == 0 else setting.shots or 0
    return shots, setting.source


def _without_copies(group: Dict[str, runs.Run]) -> Dict[str, runs.Run]:
    """Of runs of one seed in several folders that of the first folder."""
    chosen: Dict[tuple, str] = {}
    for name, run in group.items():
        chosen.setdefault((_seed(run), tuple(sorted(run["accuracy"]))), name)
    return {name: group[name] for name in chosen.values()}


def _seed(run: runs.Run) -> Any:
    return run.get("draw", run.get("seed"))


def _to_row(
    setting: Setting, group: Dict[str, runs.Run], groups: Dict[Setting, Dict[str, runs.Run]]
) -> Row:
    own = list(group.values())
    langs = sorted({lang for run in own for lang in runs.targets_of(run)})
    is_baseline = setting.recipe == BASELINE
    baseline = [] if is_baseline else _same_seeds(own, _find_baseline(setting, own, groups))
    unseen = [lang for lang in langs if lang not in runs.SELECTION]
    return Row(
        setting,
        langs,
        len(own),
        _mean(own, langs),
        _mean(own, unseen) if unseen else None,
        *_gain(baseline, own, langs),
        1.0 if is_baseline else _time(own),
        next(iter(group)).partition("/")[0],
    )


def _find_baseline(
    setting: Setting, own: Sequence[runs.Run], groups: Dict[Setting, Dict[str, runs.Run]]
) -> List[runs.Run]:
    """Runs of what a recipe is to be better than, from the same labels."""
    started = STARTS.get(setting.recipe)
    starts = [group for other, group in groups.items() if other.recipe == started]
    if starts and own[0].get("baseline") is None:
        return [run for group in starts for run in group.values()]
    against = own[0].get("baseline", BASELINE)
    return list(groups.get(Setting(against, setting.source, setting.half, None), {}).values())


def _same_seeds(own: Sequence[runs.Run], baseline: Sequence[runs.Run]) -> List[runs.Run]:
    """Runs of the baseline with the seeds of others, if there are any, else all.

    Draws of target labels are no seeds of the baseline.
    """
    seeds = {run["seed"] for run in own if "seed" in run and "draw" not in run}
    return [run for run in baseline if run.get("seed") in seeds] or list(baseline)


def _mean(own: Sequence[runs.Run], langs: Iterable[str]) -> float:
    """Mean accuracy over languages, each the mean over the runs that know it."""
    return statistics.mean(
        statistics.mean(run["accuracy"][lang] for run in own if lang in run["accuracy"])
        for lang in langs
    )


def _gain(
    baseline: Sequence[runs.Run], own: Sequence[runs.Run], langs: Sequence[str]
) -> Tuple[Optional[runs.Gain], bool]:
    """The mean gain, and whether all runs tell which sentences they have right.

    Where they do not, the interval is Student's over languages.
    """
    baseline = [run for run in baseline if set(langs) <= set(run["accuracy"])]
    if not baseline:
        return None, False
    kept = [run for run in baseline if "correct" in run]
    if kept and all("correct" in run for run in own):
        return runs.compare_runs(kept, own, langs), True
    gains = [100 * (_mean(own, [lang]) - _mean(baseline, [lang])) for lang in langs]
    mean, half = statistics.mean(gains), float("nan")
    if len(gains) >= MIN_LANGS:
        error = statistics.stdev(gains) / len(gains) ** 0.5
        half = error * float(stats.t.ppf(0.975, len(gains) - 1))
    return runs.Gain(mean, mean - half, mean + half), False


def _time(own: Sequence[runs.Run]) -> Optional[float]:
    """How many times as long as the baseline, where that was measured."""
    told = [run["time"] for run in own if run.get("time")]
    return statistics.median(told) if told else None


def to_markdown(rows: Sequence[Row]) -> List[str]:
    """Lines of the table."""
    lines = [
        "| recipe | English labels | target labels per class | runs | targets | mean "
        "| never used to choose | gain in points | time |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        setting = row.setting
        if setting.source != "en":
            continue
        shots = {None: "", 0: "all"}.get(setting.shots, str(setting.shots))
        langs = str(N_TARGETS) if len(row.langs) == N_TARGETS else " ".join(row.langs)
        gain = "" if row.gain is None else show_gain(row.gain, by_sentence=row.by_sentence)
        unseen = "" if row.unseen is None else f"{row.unseen:.3f}"
        time = "" if row.time is None else f"{row.time:.2g}×"
        lines.append(
            f"| {setting.recipe} | {setting.half} | {shots} | {row.n_runs} | {langs} "
            f"| {row.mean:.3f} | {unseen} | {gain} | {time} |"
        )
    return lines


def show_gain(gain: runs.Gain, *, by_sentence: bool) -> str:
    """A gain with its interval, if that is known; one over languages has a star."""
    if gain.low != gain.low:
        return f"{gain.mean:+.1f}"
    return f"{gain}{'' if by_sentence else ' *'}"


def to_gain(row: Row) -> Dict[str, Any]:
    """A row as the package keeps it."""
    assert row.gain is not None
    shots, gain = row.setting.shots, row.gain
    return {
        "recipe": row.setting.recipe,
        "labels_per_class": ALL_LABELS if shots == 0 else shots,
        # Enough digits to be rounded again as in the README.
        "mean": round(gain.mean, 3),
        "interval": None if gain.low != gain.low else [round(gain.low, 3), round(gain.high, 3)],
        "by_sentence": row.by_sentence,
        "langs": row.langs,
        "n_runs": row.n_runs,
        "time": None if row.time is None else round(row.time, 3),
        "source": f"assets/results/{row.folder}",
    }


if __name__ == "__main__":
    app()
