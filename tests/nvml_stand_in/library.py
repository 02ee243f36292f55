"""Compiling the stand-in: by the machine's C compiler, else by the one that PyPI's `ziglang` brings."""

import ctypes
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

NAME = "libnvidia-ml.so.1"
SOURCE = Path(__file__).with_name("nvml.c")


def compilers() -> list[list[str]]:
    """The commands that compile C here, best first."""
    found = [[path]] if (path := shutil.which("cc")) else []
    return [*found, [sys.executable, "-m", "ziglang", "cc"]] if importlib.util.find_spec("ziglang") else found


def build(folder: Path, compiler: list[str] | None = None) -> Path:
    """Puts the library into `folder` and returns that folder, for LD_LIBRARY_PATH."""
    command = compiler or next(iter(compilers()), None)
    if command is None:
        raise RuntimeError("no C compiler here: install the dev group, whose ziglang brings one")
    options = ["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", f"-Wl,-soname,{NAME}"]
    subprocess.run([*command, *options, "-o", str(folder / NAME), str(SOURCE), "-lm", "-ldl"], check=True)
    return folder


def load(folder: Path) -> None:
    """Loads `folder`'s library into this process, so that NVIDIA's binding finds it by its name. Only the first one
    loaded counts; one process can still show many states, by NVML_STAND_IN, each from an `nvmlInit` on."""
    ctypes.CDLL(str(folder / NAME), mode=ctypes.RTLD_GLOBAL)
