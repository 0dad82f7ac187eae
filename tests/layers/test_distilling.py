import numpy
import pytest
import spacy
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st
from thinc.api import Adam

from spacy_xlt.layers.distilling import check_layers, keep_layers, outer_layers

TEXTS = [doc.text for doc in tiny.make_docs(["en", "zh"], spacy.blank("xx").vocab)]


@pytest.fixture(scope="module")
def deep_encoder(tmp_path_factory):
    path = tmp_path_factory.mktemp("deep") / "encoder"
    return tiny.make_encoder(path, "bert", num_hidden_layers=6)


@pytest.fixture
def make_pair(make_ready, deep_encoder):
    """A teacher's component with 6 layers, and one that keeps some of them."""

    def make(layers, **settings):
        pipes = [
            make_ready(encoder={"path": str(deep_encoder)}, **settings).get_pipe("textcat")
            for _ in range(2)
        ]
        pipes[1].keep_layers(layers)
        return pipes

    return make


def test_a_student_starts_as_the_lowest_layers_and_the_last():
    assert outer_layers(12, 4) == [0, 1, 2, 11]
    assert outer_layers(3, 3) == [0, 1, 2]
    assert outer_layers(7, 1) == [6]


@given(st.integers(1, 40), st.data())
def test_outer_layers_are_layers(n_layers, data):
    n_kept = data.draw(st.integers(1, n_layers))
    layers = outer_layers(n_layers, n_kept)
    assert check_layers(layers, n_layers) == layers
    assert len(layers) == n_kept and layers[-1] == n_layers - 1


@pytest.mark.parametrize("n_kept", [0, -1, 13])
def test_more_or_fewer_layers_than_there_are_are_refused(n_kept):
    with pytest.raises(ValueError, match=f"{n_kept} layers are to be kept; allowed are 1 to 12"):
        outer_layers(12, n_kept)


@pytest.mark.parametrize("layers", [[], [0, 0], [6], [-1], [1, 2, 3, 9]])
def test_layers_that_are_not_there_or_named_twice_are_refused(make_pair, layers):
    with pytest.raises(ValueError, match=r"are \[.*\]; allowed are different numbers from 0 to 5"):
        make_pair(layers)


def test_kept_layers_have_the_weights_of_those_they_are_made_of(make_pair):
    teacher, student = make_pair([4, 1])
    old, new = teacher._shim.tensors(), student._shim.tensors()
    assert student.n_layers == 2 and teacher.n_layers == 6
    assert student.encoder_record["name"] == "tiny-bert (layers 1, 4)"
    assert "files" not in student.encoder_record
    prefix = "encoder.transformer.encoder.layer."
    for name, tensor in new.items():
        if name.startswith(prefix):
            number, rest = name.removeprefix(prefix).split(".", 1)
            name = f"{prefix}{[1, 4][int(number)]}.{rest}"
        assert torch.equal(tensor.float(), old[name].float())
    assert sum(name.startswith(prefix) for name in new) * 3 == sum(
        name.startswith(prefix) for name in old
    )


def test_all_layers_give_what_the_whole_gives(make_pair):
    teacher, student = make_pair(range(6))
    docs = [spacy.blank("xx").make_doc(text) for text in TEXTS]
    numpy.testing.assert_allclose(student.predict(docs), teacher.predict(docs), atol=1e-6)


@pytest.mark.parametrize("model_type", ["roberta", "xlm-roberta"])
def test_other_encoders_of_the_family_lose_layers_too(make_ready, encoders, model_type):
    pipe = make_ready(encoder={"path": str(encoders(model_type))}).get_pipe("textcat")
    pipe.keep_layers([1])
    assert pipe.n_layers == 1
    assert numpy.isfinite(pipe.predict([spacy.blank("xx")("jazz")])).all()


@pytest.mark.parametrize("model_type", ["distilbert", "t5", "modernbert", "gpt2", "xlnet"])
def test_encoders_of_other_kinds_are_refused(make_ready, encoders, model_type):
    pipe = make_ready(encoder={"path": str(encoders(model_type))}).get_pipe("textcat")
    with pytest.raises(ValueError, match=f"The encoder is a '{model_type}'; only bert, roberta"):
        pipe.keep_layers([1])


def test_a_head_without_an_encoder_is_refused(make_pair):
    from spacy_xlt.layers.classifier import TextClassifier

    with pytest.raises(ValueError, match="The encoder is one of another component; only bert"):
        keep_layers(TextClassifier(None, 4, 2, normalize=False), [0])


@pytest.mark.parametrize("name", ["Bottleneck", "Prefix"])
def test_adapters_that_cannot_become_part_of_the_weights_are_refused(make_ready, name):
    adapter = {"@architectures": f"spacy_xlt.{name}.v1"}
    pipe = make_ready(model={"adapter": adapter}).get_pipe("textcat")
    with pytest.raises(ValueError, match=f"has the adapter {name}Settings.*which cannot"):
        pipe.keep_layers([1])


def test_what_was_measured_of_the_whole_is_forgotten(make_pair):
    _, student = make_pair([5])
    student.set_calibration({"temperatures": {"": 2.0}})
    student.cfg["forecasts"] = {"sw": {}}
    student.keep_layers([0])
    assert student.cfg["calibration"] == {} and student.cfg["forecasts"] == {}


def test_frozen_layers_of_the_teacher_are_trained_in_the_student(make_pair):
    teacher, student = make_pair([1, 5], model={"freeze": "half"})
    assert any("layer.0." in name for name in teacher._shim.frozen_names())
    assert student._shim.frozen_names() == ["encoder.transformer.embeddings.word_embeddings.weight"]


def test_how_the_teacher_was_trained_does_not_bind_the_student(make_pair):
    """Not even where it was kept near its start, or asked for what only labels tell."""
    robust = {"pull_to_start": 0.5, "language_reversal": 0.1}
    settings = {
        "start_share": 0.5, "rate_factor": 0.0, "layer_decay": 0.5, "unfreeze": 0.5,
        "robust": {"@architectures": "spacy_xlt.Robust.v1", **robust},
    }  # fmt: skip
    weights = []
    for model in ({}, settings):
        teacher, student = make_pair([0, 5], model=model)
        steps = teacher.prepare_distillation(student, temperature=2.0)
        for _ in range(3):
            steps.step(TEXTS, [], optimizer())
        weights.append(student._shim.tensors())
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())


def optimizer(rate=1e-3):
    return Adam(rate, L2=0.0, grad_clip=1.0, use_averages=False)


@pytest.mark.parametrize("factory", ["xlt_textcat", "xlt_textcat_multilabel"])
def test_a_student_comes_to_answer_as_its_teacher(make_pair, factory):
    teacher, student = make_pair([2, 5], factory=factory)
    docs = [spacy.blank("xx").make_doc(text) for text in TEXTS]
    wanted = teacher.predict(docs)
    steps = teacher.prepare_distillation(student, temperature=2.0)
    before = abs(student.predict(docs) - wanted).mean()
    adam = optimizer()
    losses = [steps.step(TEXTS, [], adam) for _ in range(120)]
    assert losses[-1] < 0.1 * losses[0]
    assert abs(student.predict(docs) - wanted).mean() < 0.5 * before
    # The teacher is as it was.
    numpy.testing.assert_array_equal(teacher.predict(docs), wanted)


@pytest.mark.parametrize("factory", ["xlt_textcat", "xlt_textcat_multilabel"])
def test_a_copy_with_all_layers_has_nothing_to_learn(make_pair, factory):
    teacher, student = make_pair(range(6), factory=factory)
    steps = teacher.prepare_distillation(student, temperature=3.0)
    # States are kept in half precision.
    assert steps.step(TEXTS, [], optimizer(0.0)) == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("factory", ["xlt_textcat", "xlt_textcat_multilabel"])
def test_the_loss_of_answers_is_their_divergence(make_pair, factory):
    """The other teacher finds all outcomes as likely; the temperature is 1."""
    teacher, student = make_pair(range(6), factory=factory)
    steps = teacher.prepare_distillation(student, temperature=1.0)
    found = teacher.predict([spacy.blank("xx").make_doc(text) for text in TEXTS])
    other = numpy.zeros((len(TEXTS), 3), dtype="f")
    if factory == "xlt_textcat":
        wanted = (found + 1.0 / 3.0) / 2.0
        expected = (wanted * numpy.log(wanted / found)).sum(axis=1).mean()
    else:
        wanted = (found + 0.5) / 2.0
        expected = (
            wanted * numpy.log(wanted / found)
            + (1.0 - wanted) * numpy.log((1.0 - wanted) / (1.0 - found))
        ).mean()
    assert steps.step(TEXTS, [other], optimizer(0.0)) == pytest.approx(float(expected), abs=1e-4)


def test_a_batch_in_parts_gives_the_same_step(make_pair):
    weights = []
    for max_pieces in (2048, 64):
        teacher, student = make_pair([2, 5], model={"max_train_pieces": max_pieces})
        steps = teacher.prepare_distillation(student, temperature=2.0)
        steps.step(["taxi", "taxi", "taxi", "taxi"] * 8, [], optimizer())
        weights.append(student._shim.tensors())
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor.float(), weights[1][name].float(), atol=2e-4, rtol=0)


def test_other_teachers_count_as_much(make_pair):
    """Towards another teacher that is certain of one label, answers move to it."""
    teacher, student = make_pair([2, 5])
    steps = teacher.prepare_distillation(student, temperature=1.0)
    certain = numpy.full((len(TEXTS), 3), -9.0, dtype="f")
    certain[:, 1] = 9.0
    adam = optimizer(3e-3)
    for _ in range(60):
        steps.step(TEXTS, [certain], adam)
    docs = [spacy.blank("xx").make_doc(text) for text in TEXTS]
    wanted = (teacher.predict(docs)[:, 1] + 1.0) / 2.0
    assert abs(student.predict(docs)[:, 1] - wanted).mean() < 0.1


def test_long_and_strange_texts(make_pair):
    teacher, student = make_pair([5])
    steps = teacher.prepare_distillation(student, temperature=2.0)
    loss = steps.step(["taxi " * 2000, "\ud800", "😀", "a", "一" * 300], [], optimizer())
    assert numpy.isfinite(loss)


def test_texts_without_a_piece_teach_nothing(make_pair):
    teacher, student = make_pair([5])
    before = student._shim.tensors()["head.weight"].clone()
    steps = teacher.prepare_distillation(student, temperature=2.0)
    assert steps.step(["", ""], [], optimizer()) == 0.0
    assert torch.equal(student._shim.tensors()["head.weight"], before)


def test_whatever_it_starts_as_the_goal_is_the_last_layer(make_pair):
    teacher, student = make_pair([0])
    docs = [spacy.blank("xx").make_doc(text) for text in TEXTS]
    wanted = teacher.predict(docs)
    steps = teacher.prepare_distillation(student, temperature=2.0)
    before = abs(student.predict(docs) - wanted).mean()
    adam = optimizer(3e-3)
    for _ in range(60):
        steps.step(TEXTS, [], adam)
    assert abs(student.predict(docs) - wanted).mean() < 0.5 * before
