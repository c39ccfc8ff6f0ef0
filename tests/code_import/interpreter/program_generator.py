"""Random programs that build networks with loops, conditions, containers, functions and classes."""

from random import Random

TORCH_HEADER = """
import os, random, time, copy, math
from collections import OrderedDict
from functools import partial
import torch
from torch import nn
import torch.nn.functional as F
"""
KERAS_HEADER = """
import os, random, time, copy, math
from functools import partial
import keras
from keras import layers
"""
_IMAGES = {False: "torch.zeros(2, 1, 12, 12)", True: ""}

# One form on a line; {a}, {b} and {c} are numbers, {v} a list, {d} a dictionary, {q} a condition, {n} a fresh name.
_UNKNOWN_NUMBERS = """
random.randrange(3)
int(time.time()) % 3
len(os.listdir('.')) % 3
os.getpid() % 4
"""
_NUMBERS = """
({a} + {b})
({a} - {b})
({a} * {b}) % 11
({a} // (abs({b}) % 5 + 1))
({a} % (abs({b}) + 1))
abs({a}) % 4 ** 2
2 ** (abs({a}) % 4)
min({a}, {b})
max({a}, {b})
({a} if {q} else {b})
len({v})
sum({v}) % 17
{v}[{a} % len({v})]
{v}[-1]
{d}.get('a', {a})
{d}['b']
sum(v * {b} % 3 for v in {v})
len([v for v in {v} if v > {a}])
int({a} / 2)
round({a} * 0.5)
sorted({v})[0]
({a} or {b})
({a} and {b})
(lambda q: q + {a})({b})
divmod(abs({a}), 3)[1]
len('x' * (abs({a}) % 5))
int('7')
bool({a})
-{a}
{v}.index({v}[0])
{v}.count({a})
next(i for i, v in enumerate({v}))
math.floor({a} / 3)
({a} ^ 1) % 5
(abs({a}) << 1) % 7
max({v}, key=lambda q: -q)
len({{*{v}}})
len(str({a}))
len(str({a}).zfill(3))
(n := {a}) + n
"""
_CONDITIONS = """
{a} > {b}
{a} == {b}
{a} < {b} <= {c}
{a} in {v}
{a} not in ({b}, {c})
not {a}
{a} % 2 == 0
{a} > 0 and {b} < 4
{a} or {b} > {c}
{v}
any(v > {a} for v in {v})
all(v > {a} for v in {v})
isinstance({a}, int)
{v} is not None
'a' in {d}
'ab'.startswith('a') != ({a} > 1)
"""
_ASSIGNMENTS = """
{n} = {a}
{n}, _ = {a}, {b}
{n} = other = {a}
{n} = (other := {a}) + 1
{n}, *rest = [{a}, {b}, 3]
({n}, other), _ = ({a}, {b}), 1
{n}: int = {a}
"""
_LISTS = """
[{a}, {b}]
{v}[:]
{v}
list({v})
[v + {a} for v in {v}]
{v}[::-1]
[v for v in {v} if v % 2] + [{a}]
list(range(abs({a}) % 5 + 1))
[{a}] * 3
sorted({v}, reverse=True)
[x * y for x in {v}[:2] for y in (1, 2)]
[x + y for x, y in zip({v}, {v}[1:])] + [{b}]
list(map(lambda q: q * 2, {v}))
[*{v}, {a}]
[i * v for i, v in enumerate({v}, 1)]
list(reversed({v}))
copy.copy({v})
[int(t) for t in '4,2'.split(',')]
[{a} for _ in {v}][:4]
"""
_LIST_CHANGES = """
{v}.append({a})
{v}.insert({a} % 3, {b})
{v}.extend([{a}, {b}])
{v}[0] = {a}
{v}[-1] += {a}
{v}[:1] = [{a}, {b}]
{v}.reverse()
{v}.sort()
{v}.append({v}.pop(0))
{v}.append({a}); del {v}[0]
{v}.append({a}); {v}.pop()
"""
_UNKNOWN_CHANGES = """
random.shuffle({v})
[{v}.append({a}) for _ in os.listdir('.')[:2]]
"""
_DICTS = """
dict({d})
{{**{d}, 'a': {a}}}
{d}
{{k: v + 1 for k, v in {d}.items()}}
{d} | {{'b': {a}}}
dict(zip('ab', ({a}, {b})))
"""
_DICT_CHANGES = """
{d}['a'] = {a}
{d}.update(b={a})
{d}.setdefault('c', {a})
{d}['b'] += 1
{d}.pop('c', None)
"""
_LOOPS = """
for {n} in range(abs({a}) % 5):
for {n} in {v}[:4]:
for {n}, _ in enumerate({v}[:4]):
for _, {n} in zip('abc', {v}[:]):
for {n} in reversed(range(3)):
for {n} in (1, 5):
for _, {n} in list({d}.items()):
for {n} in tuple({v})[:3]:
"""
_RISKS = """
{v}[7]
int('3x')
{d}['c']
7 // {a}
1
"""
_TORCH_LAYERS = """
nn.LazyConv2d({w}, 3, padding=1)
nn.LazyConv2d({w}, kernel_size=1)
nn.LazyConv2d({w}, 3, 1, 'same', bias=bool({q}))
nn.LazyBatchNorm2d()
nn.ReLU()
nn.ReLU(inplace=True)
nn.Tanh()
nn.Dropout(0.25)
nn.LeakyReLU()
nn.LeakyReLU(0.2)
nn.MaxPool2d(3, 1, 1)
nn.MaxPool2d(3, 2, ceil_mode=True)
nn.ZeroPad2d((0, 1, 1, 0))
nn.Identity()
nn.GELU()
conv({w})
conv({w})
nn.Sequential(nn.LazyConv2d({w}, 1), nn.ELU())
"""
_KERAS_LAYERS = """
layers.Conv2D({w}, 3, padding='same')
layers.Conv2D(filters={w}, kernel_size=(1, 1), activation='relu')
layers.Conv2D({w}, 3, padding='same', use_bias=bool({q}))
layers.BatchNormalization()
layers.ReLU()
layers.Activation('tanh')
layers.LeakyReLU()
layers.Conv2D({w}, 3, strides=2, padding='same')
layers.MaxPooling2D(1)
layers.MaxPooling2D(2, padding='same')
layers.ZeroPadding2D(((0, 1), (1, 0)))
layers.Dropout(0.25)
conv({w})
conv({w})
"""
_PART_CHANGES = """
parts.append({l})
parts += [{l}, {l2}]
parts.insert({a} % 2, {l})
parts.pop() if len(parts) > 2 else None
parts[0], parts[-1] = parts[-1], parts[0]
parts = parts[:6]
parts.reverse()
parts, other = list(parts), parts; other.append({l})
other = parts; other.append({l})
parts = [*parts, {l}]
"""
_SEQUENCE_CHANGES = """
net[-1] = nn.LazyLinear({k})
net.insert(0, {l})
net[0] = {l}
net.pop(0)
del net[0]
net.append(nn.ReLU()); net.append(nn.LazyLinear({k}))
net = net[1:]
net = nn.Sequential({l}, net)
net = nn.Sequential(OrderedDict([(f'p{{i}}', p) for i, p in enumerate(net)]))
net = net.eval()
net = nn.Sequential(*list(net.children()))
net({images}); net[-1].requires_grad_(False)
net({images}); [p.requires_grad_(False) for p in net[0].parameters()]
net({images}); [m.requires_grad_(False) for m in net.modules() if isinstance(m, nn.Conv2d)]
"""
_CLASS_CHANGES = """
net.head[-1] = nn.LazyLinear({k})
net.parts[0] = nn.Sigmoid()
net({images}); net.stem.requires_grad_(False)
net.depth = 1
net.parts.append(nn.Tanh())
net({images}); [p.requires_grad_(False) for p in net.head.parameters()]
net({images}); [p.requires_grad_(False) for n, p in net.named_parameters() if n.startswith('head.1')]
setattr(net, 'stem', {l})
net.train()
"""
_KERAS_CHANGES = """
net.layers[1].trainable = False
net.trainable = False
for one in net.layers[:-1]: one.trainable = False
"""
_TORCH_HELPERS = (
    "def conv(w, k=3, **more):\n    return nn.LazyConv2d(w, k, padding=k // 2, **more)",
    "conv = partial(nn.LazyConv2d, kernel_size=3, padding=1)",
    "conv = lambda w: nn.Sequential(nn.LazyConv2d(w, 1), nn.ReLU())",
    """
class conv(nn.Module):
    def __init__(self, w):
        super().__init__()
        self.c = nn.LazyConv2d(w, 3, padding=1)
    def forward(self, x):
        return torch.relu(self.c(x))""",
    """
class conv(nn.Sequential):
    def __init__(self, w):
        super().__init__(nn.LazyConv2d(w, 1), nn.Tanh())""",
    """
class conv(nn.Module):
    def __init__(self, w):
        super(conv, self).__init__()
        for i in range(2):
            setattr(self, f'c{i}', nn.LazyConv2d(w, 1))
    def forward(self, x):
        return getattr(self, 'c1')(F.elu(self.c0(x)))""",
)
_KERAS_HELPERS = (
    "def conv(w, k=3, **more):\n    return layers.Conv2D(w, k, padding='same', **more)",
    "conv = partial(layers.Conv2D, kernel_size=3, padding='same', activation='relu')",
)
_FORWARD_LOOPS = (
    "for part in self.parts:\n    x = part(x)",
    "for i, part in enumerate(self.parts):\n    if i == self.depth:\n        break\n    x = part(x)",
    "for i in range(len(self.parts)):\n    x = self.parts[i](x)\n    if i % 2 == 0:\n        x = F.relu(x)",
    "x = nn.Sequential(*self.parts)(x)",
    "for part in self.parts[1:]:\n    x = torch.tanh(part(x))",
    "for part in reversed(self.parts):\n    if isinstance(part, nn.ReLU):\n        continue\n    x = part(x)",
    "for part, n in zip(self.parts, some):\n    x = part(x)\n    if n > 3:\n        x = F.max_pool2d(x, 3, 1, 1)",
    "i = 0\nwhile i < len(self.parts):\n    x = self.parts[i](x)\n    i += 1\nelse:\n    x = x.tanh()",
)
_FORWARD_STARTS = (
    "pass",
    "x = self.stem(x)\ny = F.relu(self.side(x))\nx = x + y",
    "x = self.stem(x)\ny = x\nx = self.side(x)\nx = F.relu(x)\nx += y",
    "x = self.stem(x)\nF.relu(x, inplace=True)",
    "x = self.stem(x)\nx.relu_()",
    "x = self.stem(x)\nif self.training:\n    x = F.dropout(x, 0.5)",
    "x = F.dropout(self.stem(x), 0.3, training=self.training)",
    "x = self.pick['a' if self.depth > 2 else 'b'](self.stem(x))",
    "x = self.stem(x)\ny = x\ny = y.relu_()\nx = self.side(x) + y",
    "x = self.stem(x)\nx = {True: self.side, False: F.relu}[self.depth > 2](x)",
)


def generate_program(seed: int) -> str:
    """Return a program whose network is called ``net``; every third uses Keras."""
    return _Generator(Random(seed), is_keras=seed % 3 == 2).generate()


def _indent(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]


class _Generator:
    def __init__(self, random: Random, *, is_keras: bool) -> None:
        self.random = random
        self.is_keras = is_keras
        self.numbers = ["one"]
        self.lists = ["some"]
        self.dicts = ["options"]
        self.own_names: set[str] = set()
        """Names of the function that is written; others cannot be assigned there."""
        self.function_depth = 0
        self.name_count = 0
        self.unknown_share = random.choice((0.0, 0.0, 0.0, 0.04))
        """Share of values that only a run of the program determines."""

    def generate(self) -> str:
        values = [self.random.randrange(1, 9) for _ in range(4)]
        lines = ["one = 1", f"some = {values}", f"options = {{'a': {values[0]}, 'b': {values[1]}}}"]
        for _ in range(self.random.randrange(2, 8)):
            lines += self.statement(3)
        lines += self.keras_network() if self.is_keras else self.torch_network()
        return (KERAS_HEADER if self.is_keras else TORCH_HEADER) + "\n".join(lines) + "\n"

    # Expressions

    def name(self, prefix: str) -> str:
        self.name_count += 1
        return f"{prefix}{self.name_count}"

    def fill(self, forms: str, depth: int = 1, **given: str) -> str:
        """Return one of the forms with its parts filled in."""
        form = self.random.choice(forms.strip().splitlines())
        parts = {letter: self.number(depth) for letter in "abc" if f"{{{letter}" in form}
        parts |= {"v": self.random.choice(self.lists), "d": self.random.choice(self.dicts)}
        parts |= {"k": str(self.random.randrange(2, 7)), "images": _IMAGES[self.is_keras]}
        if "{q}" in form:
            parts["q"] = self.condition(depth)
        if "{w}" in form:
            parts["w"] = f"abs({self.number(2)}) % 9 + 1"
        for letter in ("l", "l2"):
            if f"{{{letter}}}" in form:
                parts[letter] = self.layer()
        return form.format(**(parts | given))

    def number(self, depth: int = 2) -> str:
        if self.random.random() < self.unknown_share:
            return self.fill(_UNKNOWN_NUMBERS)
        if depth == 0 or self.random.random() < 0.2:
            return self.random.choice((str(self.random.randrange(-3, 9)), self.random.choice(self.numbers)))
        return self.fill(_NUMBERS, depth - 1)

    def condition(self, depth: int = 1) -> str:
        return self.fill(_CONDITIONS, max(0, depth - 1))

    def layer(self) -> str:
        return self.fill(_KERAS_LAYERS if self.is_keras else _TORCH_LAYERS)

    # Statements

    def block(self, depth: int) -> list[str]:
        kept = len(self.numbers), len(self.lists), len(self.dicts)
        lines = [line for _ in range(self.random.randrange(1, 4)) for line in self.statement(depth)]
        del self.numbers[kept[0] :], self.lists[kept[1] :], self.dicts[kept[2] :]
        return _indent(lines)

    def statement(self, depth: int) -> list[str]:
        if depth == 0 or self.random.random() < 0.5:
            return self.random.choice(
                (self.assign, self.assign, self.update, self.make_list, self.change_list, self.change_dict)
            )()
        nested = (self.condition_block, self.condition_block, self.loop, self.loop, self.while_loop)
        return self.random.choice((*nested, self.function, self.user_class, self.try_block, self.match_block))(
            depth - 1
        )

    def assign(self) -> list[str]:
        name = self.name("n")
        line = self.fill(_ASSIGNMENTS, 2, n=name)
        self.numbers.append(name)
        self.own_names.add(name)
        return [line]

    def update(self) -> list[str]:
        known = [name for name in self.numbers if name in self.own_names]
        if not known:
            return self.assign()
        operator = self.random.choice(("+=", "-=", "*=", "//=", "%="))
        return [f"{self.random.choice(known)} {operator} abs({self.number(1)}) % 5 + 1"]

    def make_list(self) -> list[str]:
        name = self.name("l")
        line = f"{name} = {self.fill(_LISTS)}"
        self.lists.append(name)
        return [line]

    def change_list(self) -> list[str]:
        return [self.fill(_UNKNOWN_CHANGES if self.random.random() < self.unknown_share else _LIST_CHANGES)]

    def change_dict(self) -> list[str]:
        name = self.name("d")
        line = f"{name} = {self.fill(_DICTS)}"
        self.dicts.append(name)
        return [line, self.fill(_DICT_CHANGES, d=name)]

    def condition_block(self, depth: int) -> list[str]:
        lines = [f"if {self.condition(2)}:", *self.block(depth)]
        if self.random.random() < 0.3:
            lines += [f"elif {self.condition()}:", *self.block(depth)]
        if self.random.random() < 0.5:
            lines += ["else:", *self.block(depth)]
        return lines

    def leave(self) -> list[str]:
        if self.random.random() < 0.5:
            return []
        return [f"if {self.condition()}:", f"    {self.random.choice(('break', 'continue'))}"]

    def loop(self, depth: int) -> list[str]:
        index = self.name("i")
        head = self.fill(_LOOPS, n=index)
        self.numbers.append(index)
        body = [*_indent(self.leave()), *self.block(depth), *_indent(self.leave())]
        self.numbers.remove(index)
        return [head, *body, *(["else:", *self.block(depth)] if self.random.random() < 0.3 else [])]

    def while_loop(self, depth: int) -> list[str]:
        counter = self.name("w")
        start = [f"{counter} = {self.random.randrange(1, 5)}", f"while {counter} > 0:", f"    {counter} -= 1"]
        return [*start, *_indent(self.leave()), *self.block(depth)]

    def function(self, depth: int) -> list[str]:
        name, result, shared = self.name("f"), self.name("n"), self.name("g")
        a, b = self.number(1), self.number(1)
        signature, call = self.random.choice(
            (
                ("a, b=3, *more", f"{a}, {b}, 5, 6"),
                ("a, b=one, *more", f"{a}"),
                ("a, *more, b=2, **others", f"{a}, 4, b={b}, c=1"),
                ("a, b, more=(1, 2)", f"b={a}, a={b}"),
                ("more, a=1, b=2", "[3, 4], **{'b': 5}"),
                ("a, b, *more", f"*some[:2], {a}"),
            )
        )
        kept = self.numbers, self.lists, self.own_names
        self.numbers, self.lists, self.own_names = [*self.numbers, "a", "b"], [*self.lists, "more"], set()
        self.function_depth += 1
        body = self.block(depth)
        if self.random.random() < 0.4:
            body += _indent([f"if {self.condition()}:", f"    return {self.number(1)}"])
        body.append(f"    return {self.number(2)}")
        self.function_depth -= 1
        self.numbers, self.lists, self.own_names = kept
        scope = "nonlocal" if self.function_depth else "global"
        start = _indent([f"{scope} {shared}", "more = list(more) or [1]", f"{shared} += 1"])
        self.numbers.append(result)
        self.own_names.add(result)
        call = f"{result} = int({name}({call})) + {shared}"
        return [f"{shared} = {a}", f"def {name}({signature}):", *start, *body, call]

    def user_class(self, depth: int) -> list[str]:
        base, name, item, result = self.name("B"), self.name("C"), self.name("o"), self.name("n")
        reading = self.random.choice((f"{item}.total", f"{item}.step", f"{item}.width + {name}.fixed()"))
        width = self.random.choice((f"width = {base}.width + 1", "pass", "items = []"))
        text = f"""
class {base}:
    width = {self.number(1)}
    def __init__(self, step=2):
        self.step = step
        self.items = [step]
    def grow(self, by):
        self.step += by if {self.condition(0)} else {self.number(1)}
        self.items.append(self.step)
        return self
    @property
    def total(self):
        return sum(self.items)
    @staticmethod
    def fixed(q={self.number(0)}):
        return q + 1
    def __len__(self):
        return len(self.items)
class {name}({base}):
    {width}
    def grow(self, by=1):
        super().grow(by + {self.number(0)})
        return self
{item} = {self.random.choice((name, base))}({self.random.choice(("", "3", "step=4"))}).grow(1)
{item}.grow({self.number(0)})
{result} = int({reading}) + len({item})"""
        self.numbers.append(result)
        self.own_names.add(result)
        return text.strip().splitlines()

    def try_block(self, depth: int) -> list[str]:
        lines = ["try:", f"    risk = {self.fill(_RISKS, 0)}", *self.block(depth)]
        return [*lines, "except (IndexError, KeyError, ZeroDivisionError, ValueError):", *self.block(depth)]

    def match_block(self, depth: int) -> list[str]:
        lines = [f"match {self.number(1)} % 4:"]
        for case in ("0", "1 | 2", "other if other > 5", "_"):
            lines += _indent([f"case {case}:", *self.block(depth)])
        return lines

    # Networks

    def build_parts(self) -> list[str]:
        """Return lines that fill a list of layers."""
        lines = [f"parts = [{self.layer()}]"]
        for _ in range(self.random.randrange(1, 5)):
            index = self.name("i")
            match self.random.randrange(4):
                case 0:
                    lines.append(self.fill(_PART_CHANGES))
                case 1:
                    lines += [f"if {self.condition(2)}:", f"    {self.fill(_PART_CHANGES)}"]
                    lines += ["else:", f"    {self.fill(_PART_CHANGES)}"]
                case 2:
                    self.numbers.append(index)
                    body = [*self.leave(), f"parts.append({self.layer()})", *self.leave()]
                    self.numbers.remove(index)
                    lines += [f"for {index} in range(abs({self.number(1)}) % 4):", *_indent(body)]
                case 3:
                    lines += [f"for {index}, w in enumerate({self.random.choice(self.lists)}[:3]):"]
                    lines += [f"    if {index} % 2:", "        continue", "    parts.append(conv(abs(w) % 5 + 1))"]
        return [*lines, "parts = parts[:14]"]

    def torch_network(self) -> list[str]:
        helper = self.random.choice(_TORCH_HELPERS).strip().splitlines()
        lines = [*helper, *self.build_parts()]
        head = self.fill("nn.Flatten(), nn.LazyLinear({w}), nn.ReLU(), nn.LazyLinear({k})")
        if self.random.random() < 0.5:
            lines.append(f"net = nn.Sequential(*parts, {head})")
            return lines + [self.fill(_SEQUENCE_CHANGES) for _ in range(self.random.randrange(3))]
        lines += self.torch_class(head)
        return lines + [self.fill(_CLASS_CHANGES) for _ in range(self.random.randrange(2))]

    def torch_class(self, head: str) -> list[str]:
        has_base = self.random.random() < 0.3
        forward = [*self.random.choice(_FORWARD_STARTS).splitlines(), *self.random.choice(_FORWARD_LOOPS).splitlines()]
        last = self.random.choice(
            (
                "return self.head(x)",
                "return F.log_softmax(self.head(x), dim=1)",
                "return self.head[1:](self.head[0](x))",
            )
        )
        parts = self.random.choice(("parts", "[p for p in parts]", "parts[:1]); self.parts.extend(parts[1:]"))
        lines = [f"class {'Base' if has_base else 'Net'}(nn.Module):", f"    scale = {self.number(1)}"]
        lines += _indent(
            [
                f"def __init__(self, depth={self.random.randrange(5)}, width={self.random.randrange(1, 6)}):",
                "    super().__init__()",
                "    self.depth = depth + self.scale % 3",
                "    self.stem = nn.LazyConv2d(width, 3, padding=1)",
                "    self.side = nn.Conv2d(width, width, 3, padding=1)",
                "    self.pick = nn.ModuleDict({'a': nn.ReLU(), 'b': nn.Tanh()})",
                f"    self.parts = nn.ModuleList({parts})",
                f"    self.head = nn.Sequential({head})",
                "def forward(self, x):",
                *_indent([*forward, last]),
            ]
        )
        if has_base:
            lines += ["class Net(Base):", f"    scale = Base.scale + {self.number(1)}", "    def forward(self, x):"]
            lines += ["        return super().forward(F.relu(x))"]
        return [*lines, f"net = Net({self.random.choice(('', 'depth=2', '3', 'width=2', '*(2, 3)'))})"]

    def keras_network(self) -> list[str]:
        lines = [*self.random.choice(_KERAS_HELPERS).splitlines(), *self.build_parts()]
        classes = self.random.randrange(2, 6)
        match self.random.randrange(4):
            case 0:
                lines += ["net = keras.Sequential([keras.Input((8, 8, 1)), *parts, layers.Flatten()])"]
                lines += [
                    self.fill("net.add(layers.Dense({w}, activation='relu'))"),
                    f"net.add(layers.Dense({classes}))",
                ]
                lines += self.random.choice(([], ["net.pop()", "net.add(layers.Dense(7, activation='softmax'))"]))
            case 1:
                lines += ["net = keras.Sequential()", "net.add(keras.Input(shape=(8, 8, 1)))"]
                lines += ["for i, part in enumerate(parts):", "    if i == 9:", "        break", "    net.add(part)"]
                lines += ["net.add(layers.GlobalAveragePooling2D())", f"net.add(layers.Dense({classes}))"]
            case style:
                lines += ["inputs = x = keras.Input((8, 8, 1))", "for part in parts:", "    x = part(x)"]
                if style == 3:
                    lines += ["x = layers.Conv2D(3, 1)(x)"]
                    lines += ["y = layers.Conv2D(3, 3, padding='same', activation='relu')(x)"]
                    lines += [self.random.choice(("x = layers.add([x, y])", "x = layers.Add()([y, x])", "x = x + y"))]
                lines += [f"net = keras.Model(inputs, layers.Dense({classes})(layers.Flatten()(x)))"]
        return [*lines, *([self.fill(_KERAS_CHANGES)] if self.random.random() < 0.2 else [])]
