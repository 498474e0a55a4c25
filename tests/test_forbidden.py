"""Nothing from disk or from data is run or unpickled: patterns over the syntax trees, each shown to catch its case."""

import ast

import pytest
from syntax import FILES, SOURCE, relative, tree

PICKLERS = {"pickle", "_pickle", "dill", "joblib", "cloudpickle", "shelve", "marshal", "jsonpickle", "copyreg"}
SHELLS = {"os.system", "os.popen", "pty.spawn", "subprocess.getoutput", "subprocess.getstatusoutput"}
RUNNERS = {"eval", "exec", "compile", "__import__", "runpy.run_path", "runpy.run_module", "code.interact"}
LOADERS = {"yaml.load", "yaml.unsafe_load", "yaml.full_load", "pandas.read_pickle", "torch.package.PackageImporter"}
UNPACKERS = {"extractall", "extract", "unpack_archive"}
ALLOWED = {"engine/_messages.py": ("pickle", "messages among our own worker processes, never on disk")}
"""The one name that a file may use, and why."""


def faults(module: ast.Module) -> list[str]:
    """Return what a file does that it must not, in words."""
    short = {
        alias.asname: alias.name for node in ast.walk(module) if isinstance(node, ast.Import) for alias in node.names
    }
    short |= {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(module)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    found = []
    for node in ast.walk(module):
        found += _of_import(node) if isinstance(node, ast.Import | ast.ImportFrom) else []
        found += _of_call(node, short) if isinstance(node, ast.Call) else []
    return found


def _of_import(node: ast.Import | ast.ImportFrom) -> list[str]:
    names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
    return [root for root in (name.partition(".")[0] for name in names) if root in PICKLERS]


def _of_call(node: ast.Call, short: dict) -> list[str]:
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    head, dot, rest = ast.unparse(node.func).partition(".")
    name = (short.get(head) or head).replace("np", "numpy", head == "np") + dot + rest
    last = name.rpartition(".")[2]
    named = {item.value for item in node.args if isinstance(item, ast.Constant)}
    checks = {
        "torch.load without weights_only=True": name == "torch.load" and given.get("weights_only") != "True",
        "weights_only=False": given.get("weights_only") == "False",
        "allow_pickle": given.get("allow_pickle", "False") != "False",
        "torch.save": name == "torch.save",
        "trust_remote_code": given.get("trust_remote_code", "False") not in ("False", "trust_remote_code"),
        "a shell": name in SHELLS or given.get("shell", "False") != "False",
        "code that runs code": name in RUNNERS,
        "a loader that builds objects": name in LOADERS,
        "an archive unpacked to disk": last in UNPACKERS,
        "an import of a pickler": last == "import_module" and bool(named & PICKLERS),
    }
    return [words for words, found in checks.items() if found]


BROKEN = {
    **{f"import {name}": name for name in sorted(PICKLERS)},
    "from pickle import loads": "pickle",
    "import pickle as p": "pickle",
    "def f():\n    from joblib.numpy_pickle import load": "joblib",
    "import importlib\nimportlib.import_module('dill')": "an import of a pickler",
    "import torch\ntorch.load(path)": "torch.load without weights_only=True",
    "from torch import load\nload(path)": "torch.load without weights_only=True",
    "import torch as t\nt.load(path, weights_only=given)": "torch.load without weights_only=True",
    "read(path, weights_only=False)": "weights_only=False",
    "import torch\ntorch.save(state, path)": "torch.save",
    "import numpy as np\nnp.load(path, allow_pickle=True)": "allow_pickle",
    "np.load(path, allow_pickle=given)": "allow_pickle",
    "read(path, trust_remote_code=True)": "trust_remote_code",
    **{f"{name}(text)": "code that runs code" for name in sorted(RUNNERS)},
    **{f"{name}(text)": "a shell" for name in sorted(SHELLS)},
    "from os import system\nsystem(text)": "a shell",
    "subprocess.run(text, shell=True)": "a shell",
    **{f"{name}(text)": "a loader that builds objects" for name in sorted(LOADERS)},
    "with tarfile.open(path) as archive:\n    archive.extractall()": "an archive unpacked to disk",
    "zipfile.ZipFile(path).extract(name)": "an archive unpacked to disk",
    "shutil.unpack_archive(path)": "an archive unpacked to disk",
}
SOUND = [
    "module.eval()",
    "torch.load(path, weights_only=True)",
    "np.load(path)",
    "np.load(path, allow_pickle=False)",
    "subprocess.run(['git'], shell=False)",
    "re.compile(pattern)",
    "archive.extractfile(member)",
    "yaml.safe_load(text)",
    "json.load(file)",
    "read(path, trust_remote_code=False)",
    "'pickle.loads(x)'  # a text is no call",
    "importlib.import_module('blockspin.readers.npy')",
]


def test_nothing_forbidden_is_called():
    found = {relative(path): set(faults(tree(path))) for path in FILES}
    assert {name: said for name, said in found.items() if said - {ALLOWED.get(name, ("", ""))[0]}} == {}


@pytest.mark.parametrize("text", BROKEN)
def test_every_pattern_catches_its_case(text):
    assert BROKEN[text] in faults(ast.parse(text))


@pytest.mark.parametrize("text", SOUND)
def test_what_is_sound_is_let_through(text):
    assert faults(ast.parse(text)) == []


def test_every_exception_is_still_needed():
    for name, (allowed, _) in ALLOWED.items():
        assert set(faults(tree(SOURCE / name))) == {allowed}


def test_code_of_a_model_is_trusted_in_one_place_alone():
    found = [path for path in FILES if "trust_remote_code" in path.read_text(encoding="utf-8")]
    assert {path.parent.name for path in found} <= {"sources", "blockspin"}
