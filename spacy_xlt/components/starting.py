"""Taking over weights from a trained pipeline."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Set, Union

import srsly
from spacy import util

FACTORIES = ("xlt_textcat", "xlt_textcat_multilabel")


@dataclass(frozen=True)
class Started:
    """A trained component that another one starts from.

    path (Path): Its directory.
    cfg (Dict[str, Any]): Its stored settings.
    """

    path: Path
    cfg: Dict[str, Any]

    @property
    def labels(self) -> List[str]:
        return list(self.cfg["labels"])

    @property
    def train_langs(self) -> List[str]:
        return list(self.cfg.get("train_langs", []))

    @property
    def tuned_langs(self) -> List[str]:
        return list(self.cfg.get("tuned_langs", []))

    def new_langs(self, langs: Iterable[str]) -> Set[str]:
        """Those of some languages, if known, that it has not learned from."""
        return {*langs} - {"", *self.train_langs, *self.tuned_langs}

    @property
    def weights_path(self) -> Path:
        return self.path / "model"


def read_started(path: Path, name: str) -> Started:
    """Find the component in a trained pipeline that another one can start from.

    path (Path): Directory of the pipeline.
    name (str): The component of that name is taken; otherwise the only one of a fitting kind.
    RETURNS (Started): The component.
    RAISES (ValueError): If there is no pipeline, or no such component in it.
    """
    if not (path / "config.cfg").is_file():
        raise ValueError(
            f"start_from is '{path}', which is not a trained pipeline: it has no config.cfg. "
            f"Point it at a directory such as training/zero_shot/model-last."
        )
    config = util.load_config(path / "config.cfg")
    found = [n for n, c in config["components"].items() if c.get("factory") in FACTORIES]
    chosen = name if name in found else (found[0] if len(found) == 1 else None)
    if chosen is None:
        raise ValueError(
            f"The pipeline in '{path}' has the components {list(config['components'])}; "
            f"'{name}' can start from one of that name, or from the only one with a factory of "
            f"{', '.join(FACTORIES)} (found: {found})."
        )
    if not (path / chosen / "cfg").is_file():
        raise ValueError(
            f"The component in '{path / chosen}' is not complete: it has no file cfg. Copy or "
            f"train the pipeline again."
        )
    return Started(path / chosen, srsly.read_json(path / chosen / "cfg"))


def check_start(
    start_from: Optional[Union[str, Path]],
    *,
    new_head: bool,
    refit_head: bool,
    untouched_share: float,
    has_encoder: bool,
    name: str,
) -> None:
    """Check what is to be made of a pipeline to start from; see `XltTextCat.initialize`.

    has_encoder (bool): Whether the component has an encoder of its own.
    name (str): The component, for messages.
    RAISES (ValueError): If settings are out of range or do not go together.
    """
    where = f"under [initialize.components.{name}]"
    if not 0.0 <= untouched_share <= 1.0:
        raise ValueError(f"untouched_share is {untouched_share}; allowed is 0 to 1 {where}.")
    if start_from is None and (refit_head or untouched_share > 0.0):
        raise ValueError(
            f"refit_head is {refit_head} and untouched_share is {untouched_share}, but "
            f"start_from names no pipeline that they could apply to. Set it {where}."
        )
    if new_head and refit_head:
        raise ValueError(
            f"A head is either fitted anew (new_head) or from what it was (refit_head). Set "
            f"one of them to false {where}."
        )
    if untouched_share > 0.0 and not has_encoder:
        raise ValueError(
            f"'{name}' shares its encoder with the pipeline, so it cannot mix it with "
            f"another. Set untouched_share to 0 {where}."
        )
