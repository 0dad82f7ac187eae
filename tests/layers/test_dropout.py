import pytest
import torch

from spacy_xlt.layers.dropout import Dropout


def drop(rate, seed=0, shape=(400, 500), dtype=torch.float32):
    torch.manual_seed(seed)
    return Dropout(rate)(torch.ones(shape, dtype=dtype))


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5, 0.9])
def test_rate_and_mean(rate):
    """200,000 draws: the share is within five standard deviations."""
    dropped = drop(rate)
    share = float((dropped == 0.0).float().mean())
    deviation = (rate * (1 - rate) / dropped.numel()) ** 0.5
    assert abs(share - rate) < 5 * deviation + 1 / 65536
    assert float(dropped.mean()) == pytest.approx(1.0, abs=5 * deviation / (1 - rate))
    kept = dropped[dropped != 0.0]
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - rate)), rtol=1e-4, atol=0)


def test_neither_rows_nor_columns_nor_neighbours_go_together():
    dropped = (drop(0.5) == 0.0).float()
    assert float(dropped.mean(dim=0).min()) > 0.4 and float(dropped.mean(dim=0).max()) < 0.6
    assert float(dropped.mean(dim=1).min()) > 0.4 and float(dropped.mean(dim=1).max()) < 0.6
    both = float((dropped[:, :-1] * dropped[:, 1:]).mean())
    assert both == pytest.approx(0.25, abs=0.01)


def test_seeds():
    assert (drop(0.3, seed=1) == drop(0.3, seed=1)).all()
    assert (drop(0.3, seed=1) != drop(0.3, seed=2)).any()
    torch.manual_seed(0)
    layer = Dropout(0.3)
    x = torch.ones(100)
    assert (layer(x) != layer(x)).any()


def test_no_dropout_is_the_very_same_tensor_and_draws_nothing():
    x = torch.ones(3)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    assert Dropout(0.0)(x) is x
    assert (torch.get_rng_state() == before).all()


@pytest.mark.parametrize("shape", [(0,), (1,), (3,), (2, 3, 5)])
def test_any_shape(shape):
    dropped = drop(0.5, shape=shape)
    assert dropped.shape == shape
    assert set(dropped.flatten().tolist()) <= {0.0, 2.0}


def test_low_precision_stays_low():
    dropped = drop(0.5, dtype=torch.bfloat16)
    assert dropped.dtype == torch.bfloat16
    assert set(dropped.float().flatten().tolist()) == {0.0, 2.0}


def test_the_gradient_goes_where_values_went():
    torch.manual_seed(0)
    x = torch.ones(50, requires_grad=True)
    y = Dropout(0.5)(x)
    y.sum().backward()
    assert (x.grad == y.detach()).all()


@pytest.mark.parametrize("rate", [1.0, -0.1, 2.0])
def test_impossible_rates(rate):
    with pytest.raises(ValueError, match=r"dropout rate is .*0 up to, but not with, 1"):
        Dropout(rate)
