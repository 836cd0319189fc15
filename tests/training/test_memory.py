"""Estimates of memory against measurements, and refusals."""

import math
import subprocess
import sys

import pytest

from charrnn.config import ModelConfig, TrainConfig
from charrnn.errors import CharRNNError
from charrnn.training.memory import bytes_to_train, check_memory, most_ngrams, physical_memory

MEASURE = """
import sys, re
from charrnn.parallel import threads; threads.use_one_blas_thread()
from charrnn.config import ModelConfig, TrainConfig
from charrnn.parallel.threads import Workers
import numpy as np
from charrnn.training.batches import Batches
from charrnn.network.model import CharRNN
from charrnn.training.trainer import Trainer
def peak(): return int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
before = peak()
model, train = eval(sys.argv[1])
network = CharRNN(model).initialize(np.random.default_rng(0))
batches = Batches(np.arange(20_000) % 60 + 2, train)
list(Trainer(network, batches, None, train, workers=Workers(1)).train())
print((peak() - before) << 10)
"""
CONFIGS = [
    (ModelConfig(64, hidden_size=700), TrainConfig(steps=2)),
    (ModelConfig(64, "gru", num_layers=3, hidden_size=128), TrainConfig(steps=2, batch_size=256)),
    (ModelConfig(64, "rnn", hidden_size=64), TrainConfig(steps=2, seq_len=1000, batch_size=100)),
]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="measures with /proc")
@pytest.mark.parametrize("configs", CONFIGS)
def test_the_estimate_is_near_what_training_takes(
    configs: tuple[ModelConfig, TrainConfig],
) -> None:
    command = [sys.executable, "-c", MEASURE, repr(configs)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert 0.6 < bytes_to_train(*configs) / int(done.stdout) < 1.3


@pytest.mark.skipif(math.isinf(physical_memory()), reason="the system does not say")
def test_what_cannot_fit_is_refused() -> None:
    assert 1e8 < physical_memory() < 1e15
    check_memory(*CONFIGS[0])
    check_memory(ModelConfig(64, "ngram"), TrainConfig(steps=1))
    for model, train in (
        (ModelConfig(64, hidden_size=1 << 20), TrainConfig(steps=1)),
        (ModelConfig(64, "jordan"), TrainConfig(steps=1, batch_size=1 << 20, seq_len=1 << 20)),
    ):
        with pytest.raises(CharRNNError, match=r"GB of memory.*hidden_size, .* or seq_len"):
            check_memory(model, train)


def test_counting_takes_a_share_of_the_memory_for_each_token_and_k_gram(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("charrnn.training.memory.physical_memory", lambda: 1e9)
    assert 5e6 < most_ngrams(0) < 1e7  # about a hundred bytes each
    assert most_ngrams(10**7) < most_ngrams(10**6)
    assert most_ngrams(10**9) == 0
    monkeypatch.setattr("charrnn.training.memory.physical_memory", lambda: math.inf)
    assert most_ngrams(10**9) > 1e12
