"""Cross-lingual text classification for spaCy: train in one language, work in many."""

from importlib.metadata import version

__version__ = version("spacy-xlt")
