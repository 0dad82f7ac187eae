import numpy
import pytest
import torch
from thinc.api import NumpyOps

from spacy_xlt.layers import device as device_module
from spacy_xlt.layers.device import (
    autocast,
    has_bfloat16_hardware,
    resolve_device,
    resolve_precision,
    to_ops,
    to_torch,
)

CPU = torch.device("cpu")


def test_devices_by_name():
    assert resolve_device("cpu") == CPU
    assert resolve_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(ValueError, match=r"'tpu7' is not a device\. Allowed are 'auto', 'cpu'"):
        resolve_device("tpu7")


def test_auto_is_the_device_of_the_process(monkeypatch):
    monkeypatch.setattr(device_module, "default_device", lambda: "cuda:3")
    assert resolve_device("auto") == torch.device("cuda", 3)
    assert resolve_device("cpu") == CPU


@pytest.mark.parametrize("has_it", [True, False])
def test_auto_precision_follows_the_hardware(monkeypatch, has_it):
    monkeypatch.setattr(device_module, "has_bfloat16_hardware", lambda device: has_it)
    assert resolve_precision("auto", CPU) == (torch.bfloat16 if has_it else torch.float32)
    assert resolve_precision("bf16", CPU) == torch.bfloat16
    assert resolve_precision("fp32", CPU) == torch.float32


@pytest.mark.parametrize(
    ("avx512", "amx", "has_it"),
    [(False, False, False), (True, False, True), (False, True, True)],
)
def test_hardware_is_asked_and_not_the_library(monkeypatch, avx512, amx, has_it):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    assert has_bfloat16_hardware(CPU) is has_it


def test_a_torch_that_cannot_tell_has_no_bfloat16(monkeypatch):
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported", raising=False)
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported", raising=False)
    assert has_bfloat16_hardware(CPU) is False
    assert has_bfloat16_hardware(torch.device("mps")) is False


@pytest.mark.parametrize(("major", "has_it"), [(7, False), (8, True), (9, True)])
def test_cuda_has_bfloat16_from_ampere_on(monkeypatch, major, has_it):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (major, 5))
    assert has_bfloat16_hardware(torch.device("cuda", 0)) is has_it


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast_makes_products_in_the_precision(dtype):
    x = torch.ones(2, 2)
    with autocast(CPU, dtype):
        assert (x @ x).dtype == dtype
    assert (x @ x).dtype == torch.float32


def test_arrays_come_and_go():
    array = numpy.arange(6, dtype="f").reshape(2, 3)
    tensor = to_torch(array, CPU)
    assert tensor.dtype == torch.float32 and tensor.tolist() == array.tolist()
    back = to_ops(NumpyOps(), tensor)
    assert isinstance(back, numpy.ndarray) and back.tolist() == array.tolist()
