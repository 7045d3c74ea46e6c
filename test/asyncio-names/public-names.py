"""Prints every public name of this Python's asyncio, as JSON: what each module exports, and what the classes add.

A method that a public base class has too is listed there only. The modules for Windows cannot be imported
elsewhere, so their names are read from their source, without methods.
"""

import ast
import asyncio
import importlib
import inspect
import json
import pathlib
import pkgutil
import types

names = set()


def add(owner, value):
    """`owner`, and the public attributes that a class adds to its bases."""
    names.add(owner)
    if not inspect.isclass(value):
        return
    inherited = {name for base in value.__mro__[1:] for name in vars(base)}
    for name in vars(value):
        if not name.startswith("_") and name not in inherited:
            names.add(f"{owner}.{name}")


for info in pkgutil.iter_modules(asyncio.__path__):
    if info.name.startswith("__"):
        continue
    try:
        module = importlib.import_module(f"asyncio.{info.name}")
    except ImportError:
        source = pathlib.Path(asyncio.__path__[0], f"{info.name}.py").read_text()
        for node in ast.parse(source).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
                exported = info.name == "windows_events"  # asyncio has all of that one's names there
                names.update(name if exported else f"{info.name}.{name}" for name in ast.literal_eval(node.value))
        continue
    for name in getattr(module, "__all__", ()):
        exported = name if name in asyncio.__all__ else f"{info.name}.{name}"
        add(exported, getattr(module, name))

# What its documentation names besides, in a module that asyncio exports whole.
for name in ("PIPE", "STDOUT", "DEVNULL", "Process"):
    add(f"subprocess.{name}", getattr(asyncio.subprocess, name))

# Attributes that only instances have.
child = types.SimpleNamespace(get_pid=lambda: 1, stdin=None, stdout=None, stderr=None)
loop = asyncio.new_event_loop()
for owner, instance in {
    "AbstractEventLoop": loop,
    "Condition": asyncio.Condition(),
    "IncompleteReadError": asyncio.IncompleteReadError(b"", 1),
    "LimitOverrunError": asyncio.LimitOverrunError("", 1),
    "subprocess.Process": asyncio.subprocess.Process(child, child, loop),
}.items():
    names.update(f"{owner}.{name}" for name in vars(instance) if not name.startswith("_"))
loop.close()

print(json.dumps(sorted(names), indent=2))
