"""A plugin of one file, as ``--plugin ./shout.py`` names it: tried before it becomes a distribution."""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import sys
import tempfile
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from alpaca_core.errors import ConfigError


def version_of(file: Path) -> str:
    """What stands for the version of a file: the first digits of its SHA-256; ``?`` where it cannot be read."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    except OSError:
        return "?"


def import_file(file: Path) -> ModuleType:
    """The module in ``file``, under the file's name, so that the targets of its specs lead to it. Processes that this
    one starts find it too. Raises ConfigError where there is no such file, or its name is taken or is none for a
    module; besides, what the module raises."""
    name, path = file.stem, file.resolve()
    if not path.is_file() or file.suffix != ".py":
        raise ConfigError(f"--plugin {file}: there is no such Python file.", hint="Name one: --plugin ./my_plugin.py")
    if not name.isidentifier():
        raise ConfigError(f"--plugin {file}: '{name}' cannot be the name of a module.", hint=f"Try {_better(name)}.py")
    there = find_spec(name)
    if there is not None and Path(there.origin or "").resolve() != path:
        raise ConfigError(
            f"--plugin {file}: there is another module called '{name}', which it would hide.",
            hint=f"Call it otherwise, such as my_{name}.py",
        )
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    _share(path)
    return module


def _better(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)


def _share(path: Path) -> None:
    """Let processes that this one starts (a trainer's workers) import the file: from a folder that holds nothing else,
    for what else lies beside it must not hide other modules."""
    folder = tempfile.mkdtemp(prefix="alpacakit-plugin-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    shutil.copy(path, folder)
    paths = [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
    os.environ["PYTHONPATH"] = os.pathsep.join([*paths, folder])
