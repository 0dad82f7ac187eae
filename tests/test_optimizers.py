import itertools

import pytest
import spacy
from spacy.training import Example
from thinc.api import Config, registry

from spacy_xlt.optimizers import (
    Adafactor,
    SGDMomentum,
    create_adafactor_v1,
    create_sgd_v1,
    create_warmup_linear_v1,
)


def resolve(text):
    return registry.resolve(Config().from_str(text))["x"]


def test_sgd_from_a_config():
    optimizer = resolve(
        '[x]\n@optimizers = "spacy_xlt.SGD.v1"\nlearn_rate = 0.3\nmomentum = 0.5\nnesterov = true\n'
        "L2 = 0.1\nL2_is_weight_decay = false\ngrad_clip = 2.0"
    )
    assert type(optimizer) is SGDMomentum
    found = (optimizer.learn_rate, optimizer.momentum, optimizer.nesterov, optimizer.L2)
    assert found == (0.3, 0.5, True, 0.1)
    assert (optimizer.L2_is_weight_decay, optimizer.grad_clip) == (False, 2.0)


def test_adafactor_from_a_config():
    optimizer = resolve(
        '[x]\n@optimizers = "spacy_xlt.Adafactor.v1"\nlearn_rate = 0.3\nupdate_clip = 2.0'
    )
    assert type(optimizer) is Adafactor
    assert (optimizer.learn_rate, optimizer.beta2_decay, optimizer.update_clip) == (0.3, -0.8, 2.0)


def test_schedules_advance_ours_too():
    optimizer = resolve(
        '[x]\n@optimizers = "spacy_xlt.SGD.v1"\n[x.learn_rate]\n'
        '@schedules = "spacy_xlt.warmup_linear.v1"\ninitial_rate = 1.0\ntotal_steps = 4\n'
        "warmup = 0.5\nfinal = 0.0"
    )
    rates = []
    for _ in range(5):
        rates.append(optimizer.learn_rate)
        optimizer.step_schedules()
    assert rates == pytest.approx([1 / 3, 2 / 3, 1.0, 0.5, 0.0])


def rates(n, **settings):
    return list(itertools.islice(create_warmup_linear_v1(1.0, **settings), n))


def test_warm_up_then_decay():
    found = rates(102, total_steps=100, warmup=0.1, final=0.2)
    assert found[0] == pytest.approx(1 / 11) and found[9] == pytest.approx(10 / 11)
    assert found[10] == max(found) == 1.0
    assert found[55] == pytest.approx(0.6)
    assert found[100] == found[101] == pytest.approx(0.2)
    assert sorted(found[:11]) == found[:11] and sorted(found[10:], reverse=True) == found[10:]


def test_no_warm_up_starts_at_the_top():
    assert rates(3, total_steps=2, warmup=0.0, final=0.0) == [1.0, 0.5, 0.0]


def test_a_short_run_does_not_reach_the_highest_rate():
    assert rates(3, total_steps=3, min_warmup_steps=9) == pytest.approx([0.1, 0.2, 0.3])
    # A long one warms up as without the least number.
    assert rates(20, total_steps=20, warmup=0.5, min_warmup_steps=3) == rates(
        20, total_steps=20, warmup=0.5
    )


def test_without_a_number_of_steps_the_rate_is_constant():
    assert rates(3, total_steps=0) == [1.0, 1.0, 1.0]


def test_a_variable_that_spacy_left_unresolved_is_a_number_not_known_yet():
    """`nlp.create_optimizer` reads [training.optimizer] without the rest of the config."""
    assert rates(3, total_steps="${training.max_steps}") == [1.0, 1.0, 1.0]


def test_every_rate_of_a_short_run_is_above_zero():
    for n in range(1, 12):
        assert min(rates(n, total_steps=n)) > 0.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: create_sgd_v1(0.1, momentum=1.0), r"momentum is 1\.0; allowed is 0 up to"),
        (lambda: create_sgd_v1(0.1, momentum=-0.1), r"momentum is -0\.1"),
        (lambda: create_sgd_v1(0.1, momentum=0.0, nesterov=True), "nesterov looks ahead"),
        (lambda: create_adafactor_v1(0.1, beta2_decay=0.5), r"beta2_decay is 0\.5; allowed is 0"),
        (lambda: create_adafactor_v1(0.1, update_clip=0.5), r"update_clip is 0\.5; allowed is 1"),
        (lambda: rates(1, total_steps="5"), r"total_steps is '5'; allowed is a number of steps"),
        (lambda: rates(1, total_steps=5, warmup=1.0), r"warmup is 1\.0; allowed is a share"),
        (lambda: rates(1, total_steps=5, min_warmup_steps=-1), r"min_warmup_steps is -1; allowed"),
        (lambda: rates(1, total_steps=5, final=1.5), r"final is 1\.5; allowed is a share"),
    ],
)
def test_settings_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("optimizer", [create_sgd_v1(0.1), create_adafactor_v1(0.1)])
def test_layers_of_thinc_cannot_be_trained_by_ours(optimizer):
    nlp = spacy.blank("en")
    nlp.add_pipe("textcat")
    doc = nlp.make_doc("hello there")
    doc.cats = {"A": 1.0, "B": 0.0}
    examples = [Example(nlp.make_doc(doc.text), doc)] * 2
    nlp.initialize(lambda: examples)
    with pytest.raises(ValueError, match=rf"{type(optimizer).__name__} trains xlt_textcat comp"):
        nlp.update(examples, sgd=optimizer)
