"""Two processes, dropout off, take the steps of one."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from spacy_xlt.layers.ranks import n_ranks, own_share, rank, sum_gradients, sum_of_ranks

HERE = Path(__file__).parent
TRAINING = """
import sys, pathlib, torch, spacy
sys.path.insert(0, sys.argv[1])
import tiny
from thinc.api import Adam, fix_random_seed
from spacy_xlt.layers.ranks import joined_ranks

encoder, out, n_docs = sys.argv[2], pathlib.Path(sys.argv[3]), int(sys.argv[4])
torch.set_num_threads(1)
with joined_ranks("cpu") as rank:
    fix_random_seed(0)
    nlp = spacy.blank("xx")
    reading = {"path": encoder, "window_pieces": 64, "overlap_pieces": 8}
    robust = {"agreement": 1.0, "adversary_radius": 0.1, "pull_to_start": 50.0}
    robust = {**robust, "language_reversal": 0.1} if sys.argv[5] == "rich" else {}
    robust = {"@architectures": "spacy_xlt.Robust.v1", **robust}
    model = {"precision": "fp32", "encoder": reading, "max_train_pieces": 64, "robust": robust}
    nlp.add_pipe("xlt_textcat", name="textcat", config={"model": model})
    examples = tiny.make_examples(nlp, ["en", "sw"])
    nlp.initialize(lambda: examples)
    optimizer = Adam(1e-3, L2=0.01)
    losses = {}
    for i in range(4):
        nlp.update(examples[i * n_docs : (i + 1) * n_docs], sgd=optimizer, drop=0.0, losses=losses)
    tensors = nlp.get_pipe("textcat").model.shims[0].tensors()
    torch.save({"loss": losses["textcat"], **tensors}, out.with_suffix(f".{rank}"))
"""


def train(encoder_dir, out, n_docs, objective, launcher):
    script = out.with_suffix(".py")
    script.write_text(TRAINING)
    command = [sys.executable, *launcher, script, HERE.parent, encoder_dir, out, n_docs, objective]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize(
    ("n_docs", "objective"), [(6, "plain"), (1, "plain"), (6, "rich"), (1, "rich")]
)
def test_two_processes_give_the_weights_of_one(encoder_dir, tmp_path, n_docs, objective):
    train(encoder_dir, tmp_path / "one", n_docs, objective, [])
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    train(encoder_dir, tmp_path / "two", n_docs, objective, launcher)
    alone = torch.load(tmp_path / "one.0")
    first, second = (torch.load(tmp_path / f"two.{i}") for i in range(2))
    assert first.keys() == second.keys() == alone.keys()
    assert first["loss"] == second["loss"] == pytest.approx(alone.pop("loss"), rel=1e-5)
    for name, tensor in alone.items():
        assert torch.equal(first[name], second[name]), name
        assert torch.allclose(first[name], tensor, atol=2e-5), name


def test_a_process_alone_has_everything():
    assert (rank(), n_ranks(), own_share([3, 1, 2]), sum_of_ranks(0.5)) == (0, 1, [3, 1, 2], 0.5)
    parameter = torch.nn.Parameter(torch.ones(2))
    sum_gradients([parameter])
    assert parameter.grad is None
