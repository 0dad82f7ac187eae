import numpy
import pytest
import spacy
import tiny
from hypothesis import given
from hypothesis import strategies as st

from spacy_xlt.transfer.distillation import (
    DistillationSettings,
    Lessons,
    mix_texts,
    read_answers,
)


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
        few = {"layers": [1], "epochs": 1, "mixed": 0, "ngram_share": 0.0}
        settings = DistillationSettings(**{**few, **settings})
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


def mix(texts, n_times, seed=0):
    return mix_texts(texts, n_times, rng=numpy.random.default_rng(seed))


def test_mixed_texts_have_the_beginning_of_one_and_the_end_of_another():
    texts = ["a b c d", "e f g h", "\u4e00\u4e8c\u4e09"]
    mixed = mix(texts, 200)
    assert len(mixed) == 600
    assert {"a f g h", "a b c d", "e f \u4e09", "\u4e00\u4e8c b c d"} <= set(mixed)
    for text, made in zip(texts * 200, mixed, strict=True):
        starts = [i for i in range(len(text) + 1) if made.startswith(text[:i].strip())]
        ends = [made[len(text[:i].strip()) :].strip() for i in starts]
        assert any(other.endswith(end) for other in texts for end in ends)
    assert mix(texts, 200) == mixed != mix(texts, 200, seed=1)
    assert mix(texts, 0) == []


@given(st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=5), st.integers(0, 3))
def test_any_texts_can_be_mixed(texts, n_times):
    mixed = mix(texts, n_times)
    assert len(mixed) == n_times * len(texts)
    assert all(text.strip() for text in mixed)
    letters = set("".join(texts)) | {" "}
    assert set("".join(mixed)) <= letters


def test_mixed_texts_come_from_texts_that_stand_near():
    """So that corpora one after the other keep their languages apart, mostly."""
    texts = [f"a{i} b{i}" for i in range(1000)]
    for i, made in enumerate(mix(texts, 1)):
        numbers = [int(word[1:]) for word in made.split() if word.startswith("b")]
        assert all((number - i) % 1000 <= 300 for number in numbers)


def test_texts_are_mixed_anew_in_each_epoch(lessons):
    texts = [f"word{i} other{i} third{i}" for i in range(20)]
    found = lessons(texts, mixed=2, epochs=2, size=60, seed=3)
    assert found.texts == texts and found.n_mixed == 80 and found.n_steps == 2
    first, second = read(found)
    assert len(first) == len(second) == 60
    assert set(first) & set(second) >= set(texts)
    # Ends that happen to be of length 0 leave a text whole.
    assert len((set(first) & set(second)) - set(texts)) < 5


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


@pytest.mark.parametrize("factory", ["xlt_textcat", "xlt_textcat_multilabel"])
def test_agreement_counts_the_same_answers(lessons, factory, monkeypatch):
    texts = [f"word{i}" for i in range(1200)]
    found = lessons(texts, factory=factory, layers=[0, 1], mixed=1)
    assert found.agreement() == 1.0
    compared = []

    def predict(docs, calibrated):
        compared.extend(doc.text for doc in docs)
        scores = numpy.tile(numpy.asarray([0.8, 0.1, 0.1], dtype="f"), (len(docs), 1))
        scores[::4] = [0.1, 0.8, 0.1]
        return scores

    def predict_first(docs, calibrated):
        return numpy.tile(numpy.asarray([0.6, 0.2, 0.2], dtype="f"), (len(docs), 1))

    monkeypatch.setattr(found.component, "predict", predict)
    monkeypatch.setattr(found._teacher, "predict", predict_first)
    assert found.agreement() == 0.75
    assert compared == texts[::3]


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
    with pytest.raises(ValueError, match="mixed is -1; allowed is 0 or more"):
        lessons(mixed=-1)
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match=f"ngram_share is {share}; allowed is 0 to 1"):
            lessons(ngram_share=share)


def test_ngrams_learn_the_mean_of_all_answers(lessons, make_ready):
    certain = {"travel": 0.0, "music": 1.0, "food": 0.0}
    texts = [f"{word}{i}" for word in ("taxi", "jazz", "pizza") for i in range(30)]
    found = lessons(texts, others=[Certain(certain)], ngram_share=1.0)
    found.fit_ngrams()
    alone = make_ready()
    wanted = [(alone(text).cats["music"] + 1.0) / 2.0 for text in texts]
    mine = [found.student(text).cats["music"] for text in texts]
    numpy.testing.assert_allclose(mine, wanted, atol=0.1)
    assert found.student.get_pipe_config("textcat")["model"]["ngram_share"] == 1.0


def test_without_a_share_nothing_is_fitted(lessons):
    """So a student keeps the n-grams of its teacher."""
    for share in (0.0, 0.5):
        found = lessons(ngram_share=share)
        found.component.add_ngrams(["taxi"], numpy.asarray([[0.2, 0.3, 0.5]], dtype="f"), share=0.1)
        before = found.component._shim.ngrams
        found.fit_ngrams()
        assert (found.component._shim.ngrams is before) == (share == 0.0)


def test_lora_becomes_part_of_the_student(make_ready):
    pytest.importorskip("peft")
    model = {"adapter": {"@architectures": "spacy_xlt.LoRA.v1"}}
    teacher, student = make_ready(model=model), make_ready(model=model)
    settings = DistillationSettings(layers=[1], epochs=1)
    found = Lessons(teacher, student, "textcat", ["taxi", "jazz"], settings=settings)
    for batch in found.batches():
        found.update(batch, losses={})
    assert student.get_pipe_config("textcat")["model"]["adapter"] is None
    again = spacy.blank("xx").from_config(student.config).from_bytes(student.to_bytes())
    assert again("taxi").cats == student("taxi").cats
