"""Python's semantics over known values, contagious unknown values, and bounds of time and memory."""

import ast
import time
from contextlib import suppress

import pytest

from playground.code_import.interpreter.statements import Interpreter
from playground.code_import.interpreter.values import Unknown
from playground.code_import.parse_network import parse_network
from playground.core.layers import Linear
from playground.errors import ArchitectureError


def _run(code: str) -> object:
    """Return the value of ``result`` after a program."""
    interpreter = Interpreter()
    interpreter.execute_module(ast.parse(code))
    return interpreter.module_scope.cells.get("result")


KNOWN_PROGRAMS = {
    "break and else": "for i in range(9):\n    if i == 4: break\nelse:\n    i = 0\nresult = i",
    "else of a loop": "for i in range(3):\n    pass\nelse:\n    i = 7\nresult = i",
    "continue": "result = []\nfor i in range(6):\n    if i % 2: continue\n    result.append(i)",
    "while": "n = 50\nwhile n > 7:\n    n //= 2\nelse:\n    n += 1\nresult = n",
    "alias": "a = [1]\nb = a\nb.append(2)\nresult = a",
    "copy": "a = [1]\nb = a[:]\nb.append(2)\nresult = a",
    "augmented alias": "a = [1]\nb = a\na += [2]\nresult = b",
    "items": "d = {'a': 1}\nd['b'] = d.pop('a') + 1\ndel d['b']\nd.setdefault('c', []).append(3)\nresult = d",
    "slices": "a = list(range(9))\na[2:5] = [0]\ndel a[::3]\nresult = a[::-1]",
    "unpacking": "a, (b, *c), d = 1, (2, 3, 4), 5\nresult = [a, b, c, d]",
    "chained comparison": "def f(): calls.append(1); return 5\ncalls = []\nresult = (1 < f() < 3, calls)",
    "short circuit": "def f(): calls.append(1)\ncalls = []\nresult = (True or f(), False and f(), calls)",
    "defaults are evaluated once": "def f(x, seen=[]):\n    seen.append(x)\n    return seen\nf(1)\nresult = f(2)",
    "closures are late": "fs = [lambda: i for i in range(3)]\nresult = [f() for f in fs]",
    "nonlocal": "def f():\n n = 1\n def g():\n  nonlocal n\n  n += 1\n g()\n return n\nresult = f()",
    "global": "n = 1\ndef f():\n    global n\n    n = 5\nf()\nresult = n",
    "arguments": "def f(a, b=2, *c, d, **e): return a, b, c, d, e\nresult = f(*[1], 3, 4, **{'d': 5, 'z': 6})",
    "class attributes": "class A:\n    n = 1\nclass B(A): pass\nA.n = 2\nb = B()\nb.n += 5\nresult = (A.n, B.n, b.n)",
    "super": "class A:\n def f(self): return 1\nclass B(A):\n def f(self): return super().f() + 1\nresult = B().f()",
    "diamond": "class A:\n    x = 1\nclass B(A): pass\nclass C(A):\n    x = 2\nclass D(B, C): pass\nresult = D.x",
    "property": "class A:\n    n = 3\n    @property\n    def twice(self): return self.n * 2\nresult = A().twice",
    "dataclass": "@dataclass\nclass A:\n    n: int\n    m: int = 4\nresult = A(m=2, n=1).n + A(1).m",
    "match": "match 3 % 2:\n    case 0: result = 'even'\n    case 1 | -1: result = 'odd'\n    case _: result = ''",
    "match with a guard": "match (1, 5):\n    case (a, b) if a > b: result = a\n    case (a, b): result = b",
    "walrus in a comprehension": "a = [y := x * 2 for x in (1, 2)]\nresult = (a, y)",
    "handled error": "try:\n {}['a']\nexcept KeyError:\n result = 1\nelse:\n result = 2\nfinally:\n result += 5",
    "iterators are used up": "z = zip('ab', (1, 2))\nfirst = list(z)\nresult = (len(first), list(z))",
    "partial": "from functools import partial\nresult = partial(lambda a, b=1, c=2: (a, b, c), 5, c=7)(6)",
    "sorted by key": "result = sorted(['bb', 'a', 'ccc'], key=lambda t: -len(t)) + [max([3, 9], key=lambda n: -n)]",
    "text": "result = '-'.join(f'{n:02d}' for n in (1, 2)).upper().replace('0', 'o') + '%s' % 3",
    "numbers": "result = (-7 // 2, -7 % 3, 2 ** -1, 7 / 2, round(2.5), int(-1.5), divmod(9, 4), 6 & 3, 1 << 4)",
    "star": "result = [*range(2), *'ab', *{'k': 1}]",
    "deep copy": "a = [[1]]\nb = copy.deepcopy(a)\nb[0].append(2)\nresult = a",
}


@pytest.mark.parametrize("name", KNOWN_PROGRAMS)
def test_known_program_has_the_values_of_python(name: str) -> None:
    code = KNOWN_PROGRAMS[name]
    namespace: dict[str, object] = {}
    exec("import copy\nfrom dataclasses import dataclass\n" + code, namespace)
    assert _run(code) == namespace["result"]


UNKNOWN_PROGRAMS = {
    "branch": "if flag:\n    result = 1\nelse:\n    result = 2",
    "one branch": "result = 1\nif flag:\n    result = 2",
    "conditional expression": "result = 1 if flag else 2",
    "or": "result = 0 or flag",
    "loop": "result = 1\nfor x in data:\n    result *= 2",
    "loop with an unknown break": "result = 0\nfor x in range(3):\n    if flag: break\n    result += 1",
    "chain of loops": "result = a = b = 0\nfor x in data:\n    result = a\n    a = b\n    b = 1",
    "while": "result = 1\nwhile flag:\n    result += 1",
    "early return": "def f():\n    if flag: return 1\n    return 2\nresult = f()",
    "list changed under a condition": "a = [1]\nif flag: a.append(2)\nresult = len(a)",
    "item changed under a condition": "a = [1]\nif flag: a[0] = 2\nresult = a[0]",
    "attribute changed under a condition": "class A: pass\na = A()\na.n = 1\nif flag: a.n = 2\nresult = a.n",
    "function that changes a list under a condition": "a = []\ndef f(): a.append(1)\nif flag: f()\nresult = a",
    "unknown key": "d = {'a': 1}\nd[flag] = 2\nresult = d['a']",
    "unknown index": "a = [1, 2]\na[flag] = 5\nresult = a",
    "unknown function": "a = [1]\nflag(a)\nresult = a[0]",
    "shuffled": "import random\na = [1, 2]\nrandom.shuffle(a)\nresult = a[0]",
    "handler after an unknown call": "result = 1\ntry:\n    load('x')\n    result = 2\nexcept OSError:\n    result = 3",
    "handler of an unknown number": "try:\n result = 7 // flag\n result = 2\nexcept ZeroDivisionError:\n result = 3",
    "comparison": "result = 1 < flag < 3",
    "unknown value in a list that it comes from": "a = [flag]\nresult = flag + 1 in a",
    "place of an unknown value": "a = [1, flag]\nresult = a.index(flag * 2)",
    "unpacked list": "a = [*flag, 1]\na[0] = 5\nresult = len(a)",
    "set order": "result = list({'a', 'b'})[0]",
    "text": "result = f'{flag}'",
    "slice": "result = [1, 2][:flag]",
    "comprehension": "result = [x for x in (1, 2) if flag]",
    "match": "match flag:\n    case 1: result = 1\n    case _: result = 2",
    "long loop": "result = 0\nfor i in range(10**7):\n    result += 1",
}


@pytest.mark.parametrize("name", UNKNOWN_PROGRAMS)
def test_value_that_depends_on_something_unknown_is_unknown(name: str) -> None:
    result = _run(UNKNOWN_PROGRAMS[name])
    assert isinstance(result, Unknown)
    assert result.reason


def test_unknown_condition_leaves_what_both_branches_agree_on() -> None:
    code = "a = [1]\nif flag:\n    n = 3\n    a.append(2)\nelse:\n    n = 3\n    a.append(2)\nresult = (n, a)"
    assert _run(code) == (3, [1, 2])


def test_branch_that_raises_is_not_taken() -> None:
    assert _run("n = 1\nif flag:\n    n = 2\n    raise ValueError('no')\nresult = n") == 1


_HEAD = "net = nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10))\n"
TRAINING_PROGRAMS = {
    "epochs": """
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
best = 0
for epoch in range(100_000):
    net.train()
    for images, labels in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(images.to(device)), labels)
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        accuracy = evaluate(net, loader)
    if accuracy > best:
        best = accuracy
        torch.save(net.state_dict(), "best.pt")
    elif epoch > 10:
        break
""",
    "functions that are not here": "log = train_model(net)\nprint(count_parameters(net))\nsummary(net, (1, 28))\n",
    "wrappers": "net = torch.compile(nn.DataParallel(net)).to(device)\n",
    "initial weights": """
def initialize(module):
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        module.bias.data.fill_(0.01)
net.apply(initialize)
for module in net.modules():
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
""",
    "trial pass": "net.eval()\nwith torch.no_grad():\n    assert net(torch.randn(2, 1, 28, 28)).shape == (2, 10)\n",
}


@pytest.mark.parametrize("name", TRAINING_PROGRAMS)
def test_training_code_leaves_the_network_known(name: str) -> None:
    layers = parse_network(_HEAD + TRAINING_PROGRAMS[name]).architecture.layers
    assert [layer.kind for layer in layers] == ["flatten", "linear", "output"]
    assert isinstance(layers[1], Linear)
    assert layers[1].out_features == 32


def test_undefined_function_that_gets_the_network_is_noted() -> None:
    notes = parse_network(f"{_HEAD}train_model(net, loader)\n").notes
    assert "Line 2: `train_model` is not in this code; it is assumed to leave the layers as they are." in notes


CHANGED_NETWORKS = {
    "unknown function": ("net = prune_channels(net)", "prune_channels"),
    "unknown object": ("quantizer.prepare(net)", "quantizer.prepare"),
    "part of something unknown": ("model = resnet()\nmodel.fc = net", "resnet"),
    "weights that are shared": ("net[1].weight = net[3].weight", "setting .weight"),
    "hook": ("net.register_forward_hook(show)", "register_forward_hook"),
    "other attribute": ("net[1].out_features = 5", "setting .out_features"),
    "changed under a condition": ("if flag:\n    net[1] = nn.Linear(784, 16)", "line 2"),
    "unknown number of arguments": ("net[1] = nn.Linear(*sizes, 784, 32)", "unsupported arguments: *"),
    "unknown named arguments": ("net[1] = nn.Linear(784, 32, **options)", "unsupported arguments: **"),
    "changed in a loop over data": ("for x in data:\n    net.append(nn.ReLU())", "line 2"),
}


@pytest.mark.parametrize("name", CHANGED_NETWORKS)
def test_network_that_unknown_code_may_change_is_rejected_with_the_reason(name: str) -> None:
    code, reason = CHANGED_NETWORKS[name]
    with pytest.raises(ArchitectureError) as caught:
        parse_network(f"{_HEAD}{code}\n")
    assert reason in caught.value.what
    assert "Line" in caught.value.what


@pytest.mark.parametrize(
    "code", ["x = yield_from()\nawait x", "for x in []:\n    pass\nfor x in [1]:\n    async_call = await x"]
)
def test_unknown_expression_stops_the_reading(code: str) -> None:
    with pytest.raises(ArchitectureError, match=r"Line \d: .* cannot be followed|not valid Python"):
        parse_network(f"{_HEAD}{code}\n")


EXPENSIVE_PROGRAMS = {
    "power": "n = 10 ** 10 ** 10",
    "power of a float": "n = 10.0 ** 400",
    "shift": "n = 1 << 10 ** 9",
    "factorial": "n = 1\nfor i in range(1, 10 ** 6): n *= i",
    "repeated text": "s = 'a' * 10 ** 9",
    "doubled text": "s = 'a'\nfor i in range(60): s += s",
    "padded text": "s = 'a'.ljust(10 ** 9)",
    "format width": "s = f'{1:1000000000}'",
    "format method": "s = '{:1000000000}'.format(1)",
    "percent width": "s = '%1000000000d' % 1",
    "joined text": "s = ('a' * 9999).join('a' * 9999)",
    "replaced text": "s = ('a' * 9999).replace('a', 'a' * 9999)",
    "repeated list": "a = [0] * 10 ** 9",
    "doubled list": "a = [0]\nfor i in range(60): a += a",
    "range": "a = list(range(10 ** 12))",
    "sum of a range": "n = sum(range(10 ** 12))",
    "nested comprehension": "a = [0 for a in range(9999) for b in range(9999) for c in range(9999)]",
    "nested tuples": "a = ()\nfor i in range(200): a = (a, a)\nn = a == a\nd = {a: 1}\ns = str(a)",
    "nested lists": "a = []\nfor i in range(200): a = [a, a]\nn = a == [a, a]",
    "list in itself": "a = []\na.append(a)\nn = a == a\nb = copy.deepcopy(a)\ns = str(a)",
    "recursion": "def f(n): return f(n + 1) + f(n + 2)\nf(0)",
    "lambda recursion": "f = lambda g: g(g)\nf(f)",
    "endless loop": "while True: pass",
    "endless nested loops": "while True:\n    while True:\n        for x in data: pass",
    "unknown loops in unknown loops": "for a in x:\n"
    + "".join(f"{' ' * i}for b{i} in x:\n" for i in range(1, 15))
    + " " * 16
    + "n = a",
    "many branches": "n = 0\n" + "if flag: n = n + 1\n" * 400,
    "branches in branches": "def f(n):\n    if flag: return f(n + 1)\n    return f(n + 2)\nf(0)",
    "property recursion": "class A:\n    @property\n    def b(self): return self.b\nA().b",
    "set item": "a = [0]\na[0:0] = range(10 ** 9)",
    "int of text": "n = int('9' * 5000)",
    "many objects": "class A: pass\na = [A() for i in range(9999) for j in range(9999)]",
}


@pytest.mark.parametrize("name", EXPENSIVE_PROGRAMS)
@pytest.mark.timeout(30)
def test_expensive_program_takes_bounded_time(name: str) -> None:
    start = time.process_time()
    with suppress(ArchitectureError):
        parse_network(f"{EXPENSIVE_PROGRAMS[name]}\n{_HEAD}")
    assert time.process_time() - start < 15
