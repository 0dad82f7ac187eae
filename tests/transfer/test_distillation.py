import numpy
import pytest
import spacy
import tiny

from spacy_xlt.transfer.distillation import DistillationSettings, Lessons, read_answers


class Certain:
    """Stands for a pipeline of any kind: gives every text the same scores."""

    def __init__(self, cats):
        self.nlp = spacy.blank("xx")
        self.cats = cats

    def memory_zone(self):
        return self.nlp.memory_zone()

    def pipe(self, texts, batch_size):
        for text in texts:
            doc = self.nlp.make_doc(text)
            doc.cats = dict(self.cats)
            yield doc


@pytest.fixture
def lessons(make_ready):
    """Lessons for a student with the last of two layers; settings are the caller's."""

    def make(texts=("taxi", "jazz", "pizza"), *, factory="xlt_textcat", others=(), **settings):
        settings = DistillationSettings(**{"layers": [1], "epochs": 1, **settings})
        teacher, student = make_ready(factory), make_ready(factory)
        return Lessons(teacher, student, "textcat", texts, others=others, settings=settings)

    return make


def read(lessons):
    """Texts of all batches."""
    return [[eg.reference.text for eg in batch] for batch in lessons.batches()]


def test_each_epoch_has_every_text_once_in_an_order_of_its_own(lessons):
    texts = [f"text {i}" for i in range(10)]
    found = lessons([*texts, "text 3", " ", ""], epochs=3, size=4)
    assert found.n_steps == 9
    batches = read(found)
    assert [len(batch) for batch in batches] == [4, 4, 2] * 3
    epochs = [sum(batches[i : i + 3], []) for i in (0, 3, 6)]
    assert all(sorted(epoch) == texts for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert batches == read(lessons(texts, epochs=3, size=4))
    assert batches != read(lessons(texts, epochs=3, size=4, seed=1))


def test_the_rate_falls_to_a_twentieth(lessons):
    found = lessons([str(i) for i in range(40)], epochs=10, size=4, learn_rate=1e-3)
    rates = [found._optimizer.learn_rate for _ in found.batches()]
    assert max(rates) == pytest.approx(1e-3, rel=0.05)
    assert rates[0] < 5e-4 and rates[-1] == pytest.approx(5e-5, rel=0.3)


def test_losses_are_added_up(lessons):
    found, losses = lessons(), {}
    (batch,) = found.batches()
    first = dict(found.update(batch, losses=losses))
    second = found.update(batch, losses=losses)
    assert 0.0 < first["textcat"] < second["textcat"] < 2.0 * first["textcat"] + 1.0
    assert found.get_pipe("textcat").n_layers == 1
    assert found.evaluate(batch) == {}


def test_another_teacher_may_be_of_any_kind(lessons, make_ready):
    """With labels in another order."""
    pipe = make_ready().get_pipe("textcat")
    other = Certain({"travel": 0.0, "music": 1.0, "food": 0.0})
    logits = read_answers(other, pipe, ["a", "b"])
    assert logits.shape == (2, 3)
    assert (logits.argmax(axis=1) == pipe.labels.index("music")).all()
    assert numpy.isfinite(logits).all()
    found = lessons(others=[other], learn_rate=3e-3, epochs=60)
    for batch in found.batches():
        found.update(batch, losses={})
    mine = found.student("taxi").cats["music"]
    assert mine > 0.5 > make_ready()("taxi").cats["music"] - 0.2


def test_answers_of_independent_labels_are_logits_of_each(make_ready):
    pipe = make_ready("xlt_textcat_multilabel").get_pipe("textcat")
    cats = {"food": 0.5, "music": 0.9, "travel": 0.1}
    logits = read_answers(Certain(cats), pipe, ["a"])
    expected = [0.0, numpy.log(9.0), -numpy.log(9.0)]
    numpy.testing.assert_allclose(logits[0], expected, atol=1e-5)


@pytest.mark.parametrize(
    "cats", [{}, {"food": 1.0}, {**dict.fromkeys(tiny.LABELS, 0.3), "sport": 0.1}]
)
def test_teachers_with_other_labels_are_refused(make_ready, cats):
    pipe = make_ready().get_pipe("textcat")
    with pytest.raises(ValueError, match="The teachers have different labels: .*'food', 'music'"):
        read_answers(Certain(cats), pipe, ["a"])


def test_mistakes_are_named(lessons):
    with pytest.raises(ValueError, match="There is no text to learn from"):
        lessons(["", "  ", "\n"])
    for setting in ("epochs", "size", "learn_rate", "temperature"):
        with pytest.raises(ValueError, match=f"{setting} is 0; allowed is more than 0"):
            lessons(**{setting: 0})
