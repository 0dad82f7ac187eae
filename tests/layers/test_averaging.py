import torch
from torch import nn

from spacy_xlt.layers.averaging import RunningMean


def test_it_is_the_mean_of_all_steps():
    torch.manual_seed(0)
    parameters = {"a": nn.Parameter(torch.zeros(3, 2)), "b": nn.Parameter(torch.zeros(4))}
    mean = RunningMean(parameters)
    assert mean.means == {} and mean.n_steps == 0
    history = []
    for _ in range(7):
        with torch.no_grad():
            for parameter in parameters.values():
                parameter.add_(torch.randn_like(parameter))
        history.append({name: p.detach().clone() for name, p in parameters.items()})
        mean.update()
    assert mean.n_steps == 7
    for name in parameters:
        wanted = torch.stack([step[name] for step in history]).mean(dim=0)
        torch.testing.assert_close(mean.means[name], wanted)
        assert not mean.means[name].requires_grad
