import builtins
import sys

import pytest
import torch
from thinc.api import NumpyOps, get_current_ops

from spacy_xlt import compat


@pytest.fixture(autouse=True)
def forget_the_device(monkeypatch):
    monkeypatch.setattr(compat, "_device", None)


def test_an_installed_library():
    assert compat.require("json.decoder", "Reading").JSONDecoder


@pytest.mark.parametrize(("module", "extra"), sorted(compat.EXTRAS.items()))
def test_a_missing_library_names_the_extra(monkeypatch, module, extra):
    def missing(name, *args, **kwargs):
        if name.startswith(module):
            raise ImportError(f"No module named '{name}'")
        return original(name, *args, **kwargs)

    original = builtins.__import__
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(compat, "import_module", missing)
    with pytest.raises(
        ImportError, match=rf"Plotting needs the .*'{module}'.*spacy-xlt\[{extra}\]"
    ):
        compat.require(f"{module}.part", "Plotting")


def test_every_extra_is_one_that_the_package_declares():
    from importlib.metadata import metadata

    assert set(compat.EXTRAS.values()) <= set(metadata("spacy-xlt").get_all("Provides-Extra"))


def test_the_cpu():
    assert compat.use_gpu(-1) == "cpu"
    assert compat.default_device() == "cpu"
    assert isinstance(get_current_ops(), NumpyOps)


def test_the_cpu_stays_chosen_where_there_is_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    assert compat.default_device() == "cuda:0"
    compat.use_gpu(-1)
    assert compat.default_device() == "cpu"


def test_a_gpu_without_cupy(monkeypatch):
    chosen = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    assert compat.use_gpu(1) == "cuda:1" == compat.default_device()
    assert chosen == [1]


@pytest.mark.parametrize(("available", "n_gpus"), [(False, 0), (True, 1)])
def test_a_gpu_that_is_not_there(monkeypatch, available, n_gpus):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    message = rf"GPU 1 was asked for, but torch sees {n_gpus} CUDA devices\. Use --gpu-id -1"
    with pytest.raises(ValueError, match=message):
        compat.use_gpu(1)


@pytest.mark.gpu
def test_a_real_gpu():
    assert compat.use_gpu(0) == "cuda:0" == compat.default_device()
