"""Writes sgd.json: what torch.optim.SGD makes of a few parameters, in double. python make.py (needs PyTorch)."""
import json
import pathlib

import torch

CASES = {
    "plain": {},
    "weight decay": {"weight_decay": 0.1},
    "momentum": {"momentum": 0.9},
    "momentum, weight decay": {"momentum": 0.9, "weight_decay": 1e-4},
    "dampening": {"momentum": 0.8, "dampening": 0.3, "weight_decay": 0.01},
    "nesterov": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
}
SIZES = {"weight": [3, 4], "bias": [3], "late": [5]}
RATES = [0.3, 0.03, 0.003, 0.1]


def run(options):
    generator = torch.Generator().manual_seed(7)
    draw = lambda size: torch.randn(size, generator=generator, dtype=torch.float64)
    parameters = {name: torch.nn.Parameter(draw(size)) for name, size in SIZES.items()}
    case = {"options": options, "start": {n: p.tolist() for n, p in parameters.items()}, "steps": []}
    sgd = torch.optim.SGD(parameters.values(), lr=1.0, **options)
    for number, rate in enumerate(RATES):
        sgd.param_groups[0]["lr"] = rate
        gradients = {}
        for name, p in parameters.items():
            # "late" has no gradient in the first step.
            p.grad = None if name == "late" and number == 0 else draw(SIZES[name])
            if p.grad is not None:
                gradients[name] = p.grad.tolist()
        sgd.step()
        buffers = {n: sgd.state[p].get("momentum_buffer") for n, p in parameters.items()}
        case["steps"].append({
            "lr": rate,
            "gradients": gradients,
            "parameters": {n: p.tolist() for n, p in parameters.items()},
            "momentum_buffers": {n: b.tolist() for n, b in buffers.items() if b is not None},
        })
    return case


if __name__ == "__main__":
    golden = {"torch": torch.__version__, "shapes": SIZES, "cases": {n: run(o) for n, o in CASES.items()}}
    pathlib.Path(__file__).with_name("sgd.json").write_text(json.dumps(golden) + "\n")
