"""Prints when it is imported: from Python, past Python and from a child process. Then it works."""

import os
import subprocess
import sys

from alpaca_core import FilterSpec, hookimpl

print("hello from the import")
sys.stdout.reconfigure(encoding="utf-8")
sys.stdout.buffer.write("grüß Gott\n".encode())
sys.__stdout__.write("past the redirection\n")
os.write(1, b"past Python\n")
subprocess.run(["echo", "from a child"], check=False)


@hookimpl
def alpaca_filters():
    return [FilterSpec(name="prints", target="alpacakit_prints:Prints", summary="Keeps all.")]
