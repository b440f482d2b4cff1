"""Writes references.json: values and gradients of some operations, computed by PyTorch in double.

    python make_references.py > references.json

Pictures are [N,H,W,C] in the file, as everywhere in this project. grad_y weights the output's elements.
"""
import json

import torch
import torch.nn.functional as F

generator = torch.Generator().manual_seed(0)


def random(*shape):
    return torch.rand(*shape, generator=generator, dtype=torch.float64) * 4 - 2


def dump(x):
    return {"shape": list(x.shape), "values": x.detach().flatten().tolist()}


def case(op, function, inputs, **params):
    leaves = [x.clone().requires_grad_() for x in inputs]
    y = function(*leaves)
    grad_y = random(*y.shape)
    y.backward(grad_y)
    return {"op": op, "params": params, "inputs": [dump(x) for x in inputs], "y": dump(y), "grad_y": dump(grad_y),
            "grads": [dump(leaf.grad) for leaf in leaves]}


def upsample(x, out_h, out_w, align_corners):
    y = F.interpolate(x.permute(0, 3, 1, 2), (out_h, out_w), mode="bilinear", align_corners=align_corners)
    return y.permute(0, 2, 3, 1)


cases = []
for shape, out_h, out_w in (((2, 3, 5, 2), 7, 4), ((1, 4, 4, 1), 8, 8), ((1, 7, 6, 1), 3, 2), ((1, 1, 3, 2), 4, 1)):
    for align in (False, True):
        cases.append(case("upsample_bilinear2d", lambda x: upsample(x, out_h, out_w, align), [random(*shape)],
                          out_h=out_h, out_w=out_w, align_corners=align))
for eps in (1e-12, 2.0):
    cases.append(case("normalize", lambda x: F.normalize(x, dim=-1, eps=eps), [random(6, 3)], eps=eps))
targets = [3, 0, 3, 1]
cases.append(case("cross_entropy", lambda x: F.cross_entropy(x, torch.tensor(targets)).reshape(1), [random(4, 5)],
                  targets=targets))
cases.append(case("softmax", lambda x: x.softmax(-1), [random(3, 4)]))
cases.append(case("log_softmax", lambda x: x.log_softmax(-1), [random(3, 4)]))
cases.append(case("linear", F.linear, [random(2, 3, 4), random(5, 4), random(5)]))
index = [2, 0, 2, 2]
cases.append(case("gather_rows", lambda x: x[index], [random(3, 2)], index=index))
for name in ("exp", "tanh", "sigmoid", "relu", "neg"):
    cases.append(case(name, getattr(torch, name), [random(2, 5)]))
for name in ("log", "sqrt"):
    cases.append(case(name, getattr(torch, name), [random(2, 5) + 2.5]))
for name in ("add", "sub", "mul", "div"):
    cases.append(case(name, getattr(torch, name), [random(2, 3, 2), random(3, 1)]))
for name in ("sum", "mean"):
    cases.append(case(name, lambda x: getattr(x, name)((0, 2)), [random(2, 3, 4)], dims=[0, 2]))
print(json.dumps({"torch": torch.__version__, "cases": cases}))
