"""Compare imported programs of PyTorch with PyTorch: see torch-export."""

import os
import subprocess
import sys
import tempfile
import warnings

warnings.filterwarnings("ignore")
try:
    import numpy as np
    import torch
    import torch.nn as nn
    import torch.nn.functional as F
except ImportError:
    print("torch-export: SKIPPED: no PyTorch; name a Python in AX_PYTHON")
    sys.exit(77)

BUILD = sys.argv[1] if len(sys.argv) > 1 else "build"
ONLY = sys.argv[2:]
TOLERANCE = 1e-4


class Block(nn.Module):
    """A residual block as of a ResNet."""

    def __init__(self, a, b, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(a, b, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(b)
        self.conv2 = nn.Conv2d(b, b, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(b)
        self.down = nn.Sequential()
        if stride != 1 or a != b:
            self.down = nn.Sequential(
                nn.Conv2d(a, b, 1, stride, bias=False), nn.BatchNorm2d(b))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        y += self.down(x)
        return F.relu(y)


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 3, 1, 1), nn.BatchNorm2d(8),
            nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1))
        self.blocks = nn.Sequential(Block(8, 8), Block(8, 16, 2))
        self.pool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(16, 10)

    def forward(self, x):
        x = self.pool(self.blocks(self.stem(x)))
        return self.fc(torch.flatten(x, 1))


class Inverted(nn.Module):
    """Depthwise convolution, squeeze and excitation, as MobileNet."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(4, 16, 1)
        self.d = nn.Conv2d(16, 16, 3, 2, 1, groups=16)
        self.s = nn.Conv2d(16, 4, 1)
        self.e = nn.Conv2d(4, 16, 1)
        self.b = nn.Conv2d(16, 8, 1)
        self.dil = nn.Conv2d(8, 6, 3, padding=2, dilation=2)

    def forward(self, x):
        x = F.hardswish(self.a(x))
        x = F.relu6(self.d(x))
        s = F.adaptive_avg_pool2d(x, 1)
        x = x * F.hardsigmoid(self.e(F.relu(self.s(s))))
        return self.dil(self.b(x)).mean([2, 3])


class Encoder(nn.Module):
    """A transformer's layer, written out."""

    def __init__(self, d=16, h=4):
        super().__init__()
        self.h = h
        self.n1, self.n2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv = nn.Linear(d, 3 * d)
        self.out = nn.Linear(d, d)
        self.up, self.down = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)
        self.drop = nn.Dropout(0.1)

    def forward(self, x):
        b, t, d = x.shape
        y = self.qkv(self.n1(x)).view(b, t, 3, self.h, d // self.h)
        q, k, v = y.permute(2, 0, 3, 1, 4).unbind(0)
        a = F.scaled_dot_product_attention(q, k, v)
        a = a.transpose(1, 2).reshape(b, t, d)
        x = x + self.drop(self.out(a))
        return x + self.down(F.gelu(self.up(self.n2(x))))


class Gpt(nn.Module):
    """Embeddings, causal attention by hand, tied head."""

    def __init__(self, v=20, d=16):
        super().__init__()
        self.tok = nn.Embedding(v, d)
        self.pos = nn.Parameter(torch.randn(1, 8, d))
        self.q, self.k, self.v = (nn.Linear(d, d) for _ in range(3))
        self.norm = nn.LayerNorm(d)
        self.head = nn.Linear(d, v, bias=False)
        self.head.weight = self.tok.weight
        self.register_buffer("mask", torch.tril(torch.ones(8, 8)).bool())

    def forward(self, ids):
        x = self.tok(ids) + self.pos
        q, k, v = self.q(x), self.k(x), self.v(x)
        s = q @ k.transpose(-2, -1) / 4.0
        s = s.masked_fill(~self.mask, float("-inf"))
        x = x + torch.softmax(s, -1) @ v
        return self.head(self.norm(x))


class Dense(nn.Module):
    """Joins and slices, as DenseNet and ShuffleNet."""

    def __init__(self):
        super().__init__()
        self.c = nn.ModuleList(nn.Conv2d(4 + 4 * i, 4, 3, padding="same")
                               for i in range(3))
        self.shuffle = nn.ChannelShuffle(2)

    def forward(self, x):
        for c in self.c:
            x = torch.cat([x, F.leaky_relu(c(x), 0.2)], 1)
        a, b = self.shuffle(x).chunk(2, 1)
        return torch.cat([a, b * 2 - 1], dim=1)[:, ::2, 1:-1]


class Up(nn.Module):
    """A U-Net in small."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(1, 4, 3, padding=1)
        self.b = nn.Conv2d(4, 8, 3, stride=2, padding=1)
        self.t = nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1,
                                    output_padding=1)
        self.s = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1),
                               nn.PixelShuffle(2))
        self.g = nn.GroupNorm(2, 4)
        self.i = nn.InstanceNorm2d(8, affine=True)

    def forward(self, x):
        a = F.elu(self.g(self.a(x)))
        b = F.silu(self.i(self.b(a)))
        u = F.interpolate(self.t(b), scale_factor=2.0, mode="nearest")
        v = F.interpolate(a, scale_factor=2.0, mode="bilinear",
                          align_corners=False)
        return self.s(a), torch.sigmoid(u + v)


class Maths(nn.Module):
    """Element by element."""

    def forward(self, x, y):
        a = (x - y).abs().sqrt() + torch.exp(-x ** 2) * 0.5
        b = torch.log(x * x + 1) / (1 + y.pow(2)) + torch.rsqrt(y * y + 1)
        c = torch.where(x > y, a, b) + torch.maximum(x, y).clamp(-1, 2)
        d = 2 - c.clamp(min=0) + torch.tanh(x).neg() + (x == y).float()
        e = torch.sin(x) + torch.cos(y) + torch.erf(x) + F.softplus(x)
        return d, e, (x >= 0) & (y < 0), F.mish(x) + F.selu(y)


class Reductions(nn.Module):
    def forward(self, x):
        m = x.mean(-1, keepdim=True)
        v = x.var(-1, keepdim=True)
        s = x.std(dim=1, unbiased=False)
        return ((x - m) / torch.sqrt(v + 1e-5), s, x.sum((1, 2)),
                x.amax(-1), x.amin(1, keepdim=True), x.argmax(1),
                x.max(2)[0], torch.logsumexp(x, 1), x.norm(dim=1),
                F.normalize(x, dim=-1), torch.cumsum(x, 1))


class Moves(nn.Module):
    """Everything that moves elements."""

    def forward(self, x):
        a = x.flip(1).roll(1, 2).unsqueeze(1).squeeze(1).repeat(1, 2, 1)
        b = torch.stack([x, x + 1], dim=-1).flatten(2)
        c = x[:, 1] + x.select(2, 0).sum() + x.narrow(1, 0, 1).squeeze(1)
        d = torch.split(x, [1, 2], dim=1)[1]
        e = x.transpose(1, 2).contiguous().view(x.shape[0], -1)
        f = F.pad(x, (1, 2)) [..., 2:] + F.pad(x, (0, 1), value=2.0)[:, :, :1]
        g = x.permute(0, 2, 1).reshape(x.size(0), 2, -1).tril()
        i = x.index_select(1, torch.tensor([2, 0])) + torch.arange(6.0)
        j = x.expand(x.shape[0], 3, 6) + torch.zeros(6) + torch.ones_like(x)
        return a, b, c, d, e, f, g, i, j


class Pools(nn.Module):
    def forward(self, x):
        return (F.avg_pool2d(x, 3, 2, 1), F.max_pool2d(x, 3, 2, 1,
                                                       ceil_mode=True),
                F.avg_pool2d(x, 2, count_include_pad=False),
                F.adaptive_avg_pool2d(x, 4), F.adaptive_max_pool2d(x, 2),
                F.max_pool1d(x[:, :, 0], 2), F.avg_pool1d(x[:, 0], 4),
                F.pad(x, (1, 1, 2, 2), mode="reflect"))


class Linears(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(6, 5)
        self.b = nn.Linear(5, 4, bias=False)
        self.m = nn.Parameter(torch.randn(4, 3))
        self.c = nn.Parameter(torch.randn(3))

    def forward(self, x):
        x = torch.addmm(self.c, self.b(self.a(x)), self.m, alpha=2, beta=3)
        return F.log_softmax(torch.mm(x, self.m.t()), 1)


class Inplace(nn.Module):
    def __init__(self):
        super().__init__()
        self.l = nn.Linear(4, 4)

    def forward(self, x):
        y = self.l(x)
        z = F.relu_(y)
        y.add_(1)
        y.mul_(x)
        return y, z


class Branch(nn.Module):
    """Scripted code that only constants decide about."""

    def __init__(self):
        super().__init__()
        self.l = nn.ModuleList([nn.Linear(4, 4) for _ in range(3)])
        self.flag = True

    def forward(self, x):
        if x.dim() == 2 and not self.training:
            x = x + 1
        for i in range(3):
            x = x * 2 + i
        for k, l in enumerate(self.l):
            if k == 1:
                x = torch.relu(l(x))
            else:
                x = l(x)
        n = x.size(0)
        if self.flag:
            return x.view(n, 2, 2)
        return x


def models():
    image = torch.randn(2, 3, 16, 16)
    yield "mlp", nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3),
                               nn.Softmax(1)), (torch.randn(2, 6),)
    yield "resnet", ResNet(), (image,)
    yield "inverted", Inverted(), (torch.randn(2, 4, 8, 8),)
    yield "encoder", Encoder(), (torch.randn(2, 5, 16),)
    yield "gpt", Gpt(), (torch.randint(0, 20, (2, 8)),)
    yield "dense", Dense(), (torch.randn(2, 4, 8, 8),)
    yield "up", Up(), (torch.randn(2, 1, 8, 8),)
    yield "maths", Maths(), (torch.randn(2, 7), torch.randn(2, 7))
    yield "reductions", Reductions(), (torch.randn(2, 3, 5),)
    yield "moves", Moves(), (torch.randn(2, 3, 6),)
    yield "pools", Pools(), (torch.randn(2, 3, 8, 8),)
    yield "linears", Linears(), (torch.randn(2, 6),)
    yield "inplace", Inplace(), (torch.randn(2, 4),)
    yield "branch", Branch(), (torch.randn(2, 4),)
    yield "conv1d", nn.Sequential(nn.Conv1d(2, 4, 3, padding=1),
                                  nn.BatchNorm1d(4), nn.PReLU(4),
                                  nn.Flatten()), (torch.randn(2, 2, 9),)
    yield "lstm", nn.LSTM(3, 4, 2, batch_first=True), (torch.randn(2, 5, 3),)
    yield "gru", nn.GRU(3, 4, bidirectional=True), (torch.randn(5, 2, 3),)
    yield "transformer", nn.TransformerEncoderLayer(
        8, 2, 16, batch_first=True), (torch.randn(2, 5, 8),)


def variants(model, args, folder):
    """What makes a file with the program of the model, each by itself: PyTorch
    may have one and not another."""
    def exported(free, core):
        dims = tuple({0: torch.export.Dim("n", min=1, max=64)}
                     for _ in args) if free else None
        program = torch.export.export(model, args, dynamic_shapes=dims)
        torch.export.save(program.run_decompositions() if core else program,
                          os.path.join(folder, "m.pt2"))
        return "m.pt2"

    def saved(program):
        program.save(os.path.join(folder, "m.pt"))
        return "m.pt"

    yield "script", lambda: saved(torch.jit.script(model))
    yield "trace", lambda: saved(torch.jit.trace(model, args,
                                                 check_trace=False))
    for free in False, True:
        for core in False, True:
            yield (("free" if free else "export") + "-core" * core,
                   lambda free=free, core=core: exported(free, core))


def flat(x):
    if isinstance(x, torch.Tensor):
        return [x]
    return [t for y in x for t in flat(y)]


def run(path, args, folder):
    out = os.path.join(folder, "m.axm")
    shapes = ";".join(",".join(map(str, a.shape)) for a in args)
    call = [BUILD + "/ax-import", "--no-provenance", "-o", out]
    if path.endswith(".pt"):
        call += ["--shape", shapes]
    done = subprocess.run(call + [path], capture_output=True, text=True)
    if done.returncode:
        return done.stderr.strip()
    files = []
    for i, a in enumerate(args):
        files.append("%s/in%d.npy" % (folder, i))
        np.save(files[-1], a.numpy())
    done = subprocess.run(
        [BUILD + "/ax-run", "-o", folder + "/out.npz", out] + files,
        capture_output=True, text=True)
    if done.returncode:
        return done.stderr.strip()
    with np.load(folder + "/out.npz") as z:
        return [z[k] for k in z.files]


def compare(got, want):
    if isinstance(got, str):
        return got
    if len(got) != len(want):
        return "%d outputs, want %d" % (len(got), len(want))
    for i, (g, w) in enumerate(zip(got, want)):
        w = w.detach().numpy()
        if g.shape != w.shape:
            return "output %d is %s, want %s" % (i, g.shape, w.shape)
        worst = np.abs(g.astype(float) - w.astype(float)).max(initial=0)
        if not worst <= TOLERANCE * max(1, np.abs(w.astype(float)).max()):
            return "output %d differs by %g" % (i, worst)
    return None


def main():
    passed = failed = skipped = 0
    torch.manual_seed(1)
    for name, model, args in models():
        if ONLY and name not in ONLY:
            continue
        model.eval()
        for p in model.buffers():
            if p.dtype == torch.float32 and p.dim() == 1:
                p.data.uniform_(0.5, 1.5)
        with torch.no_grad():
            want = flat(model(*[a.clone() for a in args]))
        with tempfile.TemporaryDirectory() as folder:
            for kind, make in variants(model, args, folder):
                try:
                    path = os.path.join(folder, make())
                except Exception as e:  # PyTorch itself does not make it
                    print("skip %-12s %-11s %s" % (
                        name, kind, (str(e).strip() or repr(e)).split("\n")[0]))
                    skipped += 1
                    continue
                why = compare(run(path, args, folder), want)
                if why:
                    failed += 1
                    print("FAIL %-12s %-11s %s" % (name, kind, why))
                else:
                    passed += 1
    print("torch-export: PyTorch %s: %d passed, %d failed, %d that PyTorch "
          "cannot save" % (torch.__version__, passed, failed, skipped))
    sys.exit(1 if failed or not passed else 0)


main()
