"""Lines about devices, which most code written for PyTorch has, run with nothing changed."""

import numpy as np
import pytest

import minilm as torch
from minilm import nn

FACTORIES = {
    "tensor": ([1.0, 2.0],),
    "zeros": (2,),
    "ones": (2,),
    "empty": (2,),
    "full": ((2,), 3.0),
    "zeros_like": (np.ones(2),),
    "ones_like": (np.ones(2),),
    "full_like": (np.ones(2), 3.0),
    "eye": (2,),
    "arange": (2,),
    "linspace": (0, 1, 2),
    "rand": (2,),
    "randn": (2,),
    "rand_like": (np.ones(2),),
    "randn_like": (np.ones(2),),
    "randint": (0, 5, (2,)),
    "randperm": (2,),
}


def test_the_usual_lines():
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = "mps" if torch.backends.mps.is_available() else device
    torch.backends.cudnn.deterministic = True
    torch.cuda.manual_seed_all(0)
    model = torch.compile(nn.Linear(2, 3).to(device))
    x = torch.ones(1, 2, device=device).to(device, non_blocking=True)
    with torch.inference_mode():
        y = model(x)
    assert not y.requires_grad
    assert y.device == device == torch.device("cpu:0")
    assert (str(device), repr(device), device.type) == ("cpu", "device(type='cpu')", "cpu")
    assert len({device, x.device}) == 1
    assert torch.cuda.device_count() == 0


@pytest.mark.parametrize(("name", "arguments"), FACTORIES.items())
def test_tensors_are_made_on_the_cpu_only(name, arguments):
    make = getattr(torch, name)
    assert make(*arguments, device="cpu").shape == make(*arguments).shape
    with pytest.raises(RuntimeError, match="runs on the CPU only, there is no device 'cuda:1'"):
        make(*arguments, device="cuda:1")


@pytest.mark.parametrize(
    "move",
    [
        lambda: torch.device("mps"),
        lambda: torch.ones(2).cuda(),
        lambda: torch.ones(2).to("cuda"),
        lambda: nn.Linear(2, 2).cuda(),
        lambda: nn.Linear(2, 2).to(device="cuda"),
    ],
)
def test_there_is_no_other_device(move):
    with pytest.raises(RuntimeError, match="runs on the CPU only"):
        move()


def test_names_of_utils_data():
    from minilm.utils.data import DataLoader, Dataset, TensorDataset, random_split

    data = TensorDataset(torch.arange(6), torch.arange(6))
    assert isinstance(data, Dataset)
    first, _ = random_split(data, [4, 2])
    assert len(next(iter(DataLoader(first, batch_size=4)))) == 2
    assert torch.utils.data.DataLoader is DataLoader
    assert torch.utils.checkpoint.checkpoint
    with pytest.raises(AttributeError, match="'minilm.utils' has no attribute 'dta'"):
        _ = torch.utils.dta
