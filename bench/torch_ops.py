#!/usr/bin/env python3
"""The other side of ops_race.sh: the operations that `bench_ops --list` names, in PyTorch.

    bench_ops --list > list; python3 torch_ops.py list [--threads 2]

Prints the lines of the list, each with the least of its times in milliseconds. Written as a careful PyTorch user
would: channels_last, gradients by the functions that autograd calls, ReLU and sum in place, the fused SGD, one sweep
for the momentum encoder. Lines with precision bf16 are what autocast makes of the step: maps and projections are
bfloat16. The weights of convolutions and linear layers are float32, and each forward pass rounds them, since in a step
it is the first that does after they have changed; backward passes find them rounded, and make their gradients float32.
Batch norm's parameters and statistics, the queue and the updates are float32; normalisation, match and loss run under
autocast itself.
"""
import argparse, json, time
import torch, torch.nn.functional as F

aten = torch.ops.aten
last = torch.channels_last


def autocast(dtype):
    return torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16)


def pictures(shape, dtype):
    n, h, w, c = shape  # as this engine stores them
    return (2 * torch.rand(n, c, h, w) - 1).to(dtype).to(memory_format=last)


def matrix(shape, dtype):
    return (2 * torch.rand(*shape) - 1).to(dtype)


def conv2d(op, dtype):
    x, dy, weight = pictures(op["x"], dtype), pictures(op["y"], dtype), pictures(op["weight"], torch.float32)
    args = ([op["stride"]] * 2, [op["padding"]] * 2, [1, 1], False, [0, 0], 1)
    if op["pass"] == "forward":
        return lambda: aten.convolution(x, weight.to(dtype), None, *args)
    rounded = weight.to(dtype)
    if op["pass"] == "input_gradient":
        return lambda: aten.convolution_backward(dy, x, rounded, None, *args, [True, False, False])
    return lambda: aten.convolution_backward(dy, x, rounded, None, *args, [False, True, False])[1].float()


def batch_norm_act(op, dtype):
    x, dy = pictures(op["x"], dtype), pictures(op["x"], dtype)
    residual = pictures(op["x"], dtype)
    weight, bias, mean, var = (torch.ones(op["x"][3]) * v for v in (1, 0, 0, 1))

    def forward():
        y, saved_mean, saved_invstd = aten.native_batch_norm(x, weight, bias, mean, var, True, 0.1, 1e-5)
        if op["residual"]:
            y.add_(residual)
        return (y.relu_() if op["relu"] else y), saved_mean, saved_invstd

    if op["pass"] == "forward":
        return forward
    y, saved_mean, saved_invstd = forward()

    def backward():  # what is returned for the residual is `g` itself
        g = aten.threshold_backward(dy, y, 0) if op["relu"] else dy
        return aten.native_batch_norm_backward(g, x, weight, mean, var, saved_mean, saved_invstd, True, 1e-5, [True] * 3)

    return backward


def max_pool2d(op, dtype):
    x = pictures(op["x"], dtype)
    args = ([3, 3], [2, 2], [1, 1], [1, 1], False)
    y, index = aten.max_pool2d_with_indices(x, *args)
    if op["pass"] == "forward":
        return lambda: aten.max_pool2d_with_indices(x, *args)
    dy = torch.rand_like(y)
    return lambda: aten.max_pool2d_with_indices_backward(dy, x, *args, index)


def adaptive_avg_pool2d(op, dtype):
    x = pictures(op["x"], dtype)
    if op["pass"] == "forward":
        return lambda: x.mean((2, 3))  # what adaptive_avg_pool2d calls for 1 x 1
    dy = matrix([x.shape[0], x.shape[1], 1, 1], dtype)
    # autograd's: expand and divide; the convolution behind it needs it whole.
    return lambda: (dy.expand_as(x) / (x.shape[2] * x.shape[3])).contiguous(memory_format=last)


def linear(op, dtype):
    x, weight = matrix(op["x"], dtype), matrix(op["weight"], torch.float32)
    bias, dy = matrix([weight.shape[0]], torch.float32), matrix([x.shape[0], weight.shape[0]], dtype)
    if op["pass"] == "forward":
        return lambda: aten.addmm(bias.to(dtype), x, weight.to(dtype).t())
    rounded = weight.to(dtype)
    return lambda: (dy.mm(rounded), dy.t().mm(x).float(), dy.sum(0).float())


def with_gradient(inputs, function, dy=None):
    def run():
        for each in inputs:
            each.grad = None
        function().backward(dy)

    return run


def normalize(op, dtype):
    x = matrix(op["x"], dtype)

    def forward():
        with autocast(dtype):
            return F.normalize(x, dim=1)

    if op["pass"] == "forward":
        return forward
    x.requires_grad_()
    y, dy = forward(), matrix(op["x"], dtype)
    return lambda: torch.autograd.grad(y, x, dy, retain_graph=True)


def info_nce(op, dtype):
    rows, dim = op["query"]
    query, positive = (F.normalize(matrix([rows, dim], dtype), dim=1) for _ in "qk")
    queue = F.normalize(matrix([dim, op["queue"][0]], torch.float32), dim=0)  # as in MoCo
    query.requires_grad_()
    zeros = torch.zeros(rows, dtype=torch.long)

    def loss():
        with autocast(dtype):
            l_pos = torch.einsum("nc,nc->n", query, positive).unsqueeze(-1)
            l_neg = torch.einsum("nc,ck->nk", query, queue)
            return F.cross_entropy(torch.cat([l_pos, l_neg], 1) / op["temperature"], zeros)

    return with_gradient([query], loss)


def nearest_rows(op, dtype):
    rows, channels = op["a"]
    a, b = (matrix([op["entries"], rows // op["entries"], channels], dtype) for _ in "ab")

    def match():
        with autocast(dtype):
            return (F.normalize(a, dim=2) @ F.normalize(b, dim=2).transpose(1, 2)).argmax(2)

    return match


def sgd_update(op, _):
    parameters = [torch.rand(size).requires_grad_() for size in op["sizes"]]
    for each in parameters:
        each.grad = torch.rand_like(each)
    return torch.optim.SGD(parameters, 1e-3, momentum=0.9, weight_decay=1e-4, fused=True).step


def ema_update(op, _):
    target, source = ([torch.rand(size) for size in op["sizes"]] for _ in "qk")
    return lambda: torch._foreach_lerp_(target, source, 0.001)


def least_ms(run, limit):
    """As bench_ops does it: the least of samples of about a millisecond or of one call, three at least."""

    def seconds(times):
        start = time.perf_counter()
        for _ in range(times):
            run()
        return (time.perf_counter() - start) / times

    run()
    calls = min(max(int(1e-3 / seconds(1)), 1), 1000)
    samples = []
    while len(samples) < 3 or sum(samples) * calls < limit:
        samples.append(seconds(calls))
    return min(samples) * 1e3


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("list")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with open(args.list) as file:
        ops = [json.loads(line) for line in file]
    for op in ops:
        dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[op["precision"]]
        run = globals()[op["kind"]](op, dtype)
        if op["kind"] in ("info_nce", "normalize", "sgd_update"):
            op["ms"] = least_ms(run, op["limit_ms"] * 1e-3)
        else:
            with torch.inference_mode():
                op["ms"] = least_ms(run, op["limit_ms"] * 1e-3)
        print(json.dumps(op), flush=True)


main()
