"""How close `fit_classifier` comes to a bare PyTorch loop doing the same steps, medians of five in one run.

python benchmarks/classifier.py [EPOCHS]: 3,000 + 3,000 rows of width 1,024, batch 32, one thread, every epoch run.
"""

import statistics
import sys
import time

import torch
from torch.nn.functional import cross_entropy, normalize

from benchmarks.figures import figure, tell
from lmia.classifier import build_network, fit_classifier

ROWS, WIDTH, BATCH, RUNS = 6000, 1024, 32, 5


def bare(x, y, epochs, fused):
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(ROWS, generator=generator)
    held, rows = order[: ROWS // 10], order[ROWS // 10 :]
    net = build_network("mlp", WIDTH, seed=0)
    adam = torch.optim.Adam(net.parameters(), 1e-3, fused=fused)
    for _ in range(epochs):
        for part in rows[torch.randperm(len(rows), generator=generator)].split(BATCH):
            adam.zero_grad()
            cross_entropy(net(x[part]), y[part]).backward()
            adam.step()
        with torch.no_grad():
            cross_entropy(net(x[held]), y[held]).item()
    return net


def ours(x, y, epochs):
    return fit_classifier(x, y, epochs=epochs, batch=BATCH, patience=epochs, keep="last", accelerator="cpu", seed=0)


def timed(run):
    start = time.perf_counter()
    net = run()
    return time.perf_counter() - start, net


def main():
    torch.set_num_threads(1)
    epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    x = normalize(torch.randn(ROWS, WIDTH, generator=torch.Generator().manual_seed(0)), dim=1)
    y = torch.arange(ROWS) % 2
    ways = {
        "bare loop": lambda: bare(x, y, epochs, fused=True),
        "bare loop, default Adam": lambda: bare(x, y, epochs, fused=None),
        "fit_classifier": lambda: ours(x, y, epochs),
    }
    ours(x, y, 1)  # Lightning's first-time imports
    seconds = {way: [] for way in ways}
    nets = {}
    for _ in range(RUNS):  # interleaved, so that a busy machine slows all alike
        for way, run in ways.items():
            took, nets[way] = timed(run)
            seconds[way].append(took)
    for way, times in seconds.items():
        print(f"{way:24} {statistics.median(times):7.2f} s")
    pairs = zip(nets["bare loop"].parameters(), nets["fit_classifier"].parameters(), strict=True)
    apart = max(float((a - b).detach().abs().max()) for a, b in pairs)
    ratios = [a / b for a, b in zip(seconds["bare loop"], seconds["fit_classifier"], strict=True)]
    return tell(
        [
            figure("WSA's training: a bare loop's seconds / ours", *ratios, least=0.9),
            figure("WSA's training: largest difference of a weight to the bare loop's", apart),
        ]
    )


if __name__ == "__main__":
    raise SystemExit(main())
