"""The front door: `python -m spacy xlt …`. Thin commands over the rooms' functions."""

from ._app import xlt_cli

__all__ = ["xlt_cli"]
from . import advise as _advise  # noqa: F401
from . import align as _align  # noqa: F401
from . import benchmark as _benchmark  # noqa: F401
from . import calibrate as _calibrate  # noqa: F401
from . import compare as _compare  # noqa: F401
from . import data as _data  # noqa: F401
from . import delta as _delta  # noqa: F401
from . import distill as _distill  # noqa: F401
from . import encoder as _encoder  # noqa: F401
from . import ensemble as _ensemble  # noqa: F401
from . import evaluate as _evaluate  # noqa: F401
from . import explain as _explain  # noqa: F401
from . import forecast as _forecast  # noqa: F401
from . import gloss as _gloss  # noqa: F401
from . import init as _init  # noqa: F401
from . import learning_curve as _learning_curve  # noqa: F401
from . import lexicon as _lexicon  # noqa: F401
from . import package as _package  # noqa: F401
from . import predict as _predict  # noqa: F401
from . import project as _project  # noqa: F401
from . import pseudo_label as _pseudo_label  # noqa: F401
from . import report as _report  # noqa: F401
from . import search as _search  # noqa: F401
from . import self_train as _self_train  # noqa: F401
from . import soup as _soup  # noqa: F401
from . import suggest as _suggest  # noqa: F401
from . import train as _train  # noqa: F401
from . import transfer as _transfer  # noqa: F401
from . import translate as _translate  # noqa: F401
