"""Nothing in the library reads what could run: no pickle, no evaluation of text, no shell."""

import ast

import pytest

from tests.conftest import REPOSITORY

FILES = sorted((REPOSITORY / "lstm_jax").rglob("*.py"))
MODULES = {
    "pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml",
    "copyreg", "code", "codeop", "runpy", "imp", "telnetlib", "xmlrpc", "tarfile",
}  # fmt: skip
# Each of these runs text or loads code, and is allowed where the sentence beside it says why.
ALLOWED = {
    ("exec", "lstm_jax/config/files.py"): "a config file is a program that the user runs",
    ("compile", "lstm_jax/config/files.py"): "the same",
    ("import_module", "lstm_jax/config/registry.py"): "parts; never for a stored config",
    ("import_module", "lstm_jax/__init__.py"): "modules of the library, from a table",
    ("import_module", "lstm_jax/cli/main.py"): "commands, from a table",
    ("CDLL", "lstm_jax/kernels/native/library.py"): "what this user compiled, in a private folder",
    ("subprocess", "lstm_jax/kernels/native/library.py"): "the compiler, without a shell",
    ("subprocess", "lstm_jax/sweeps/runs.py"): "this program again, for each run, without a shell",
    ("import_module", "lstm_jax/sweeps/engines.py"): "engines, from a table",
    ("runpy", "lstm_jax/sweeps/ray_child.py"): "this program again, as a trial of a cluster",
    ("subprocess", "lstm_jax/sweeps/ray_trial.py"): "the same, without a shell",
    ("subprocess", "lstm_jax/sweeps/search.py"): "the type of such a process",
    ("literal_eval", "lstm_jax/config/overrides.py"): "literals alone, of the command line",
}
CALLS = {
    "eval", "exec", "compile", "__import__", "import_module", "literal_eval", "CDLL", "LoadLibrary",
    "system", "popen", "spawnv", "execv", "unpickle", "extractall", "extract", "load_module",
    "deserialize", "pickle_loads", "load_model",
}  # fmt: skip
LOADS = {("np", "load"), ("numpy", "load"), ("torch", "load"), ("jnp", "load"), ("onnx", "load")}
FALSE_FLAGS = {"allow_pickle", "weights_only", "safe_mode", "shell"}


def uses(tree):
    """What a file imports and calls that could run what it reads."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").partition(".")[0]
        elif isinstance(node, ast.Call):
            yield from _called(node)


def _called(node):
    function = node.func
    if isinstance(function, ast.Name):
        yield function.id
    elif isinstance(function, ast.Attribute):
        owner = function.value.id if isinstance(function.value, ast.Name) else ""
        if function.attr == "compile":
            return  # regular expressions, and lowered programs of JAX
        yield f"{owner}.load" if (owner, function.attr) in LOADS else function.attr
    for keyword in node.keywords:
        if keyword.arg in FALSE_FLAGS:
            yield f"{keyword.arg}={ast.unparse(keyword.value)}"


def suspicious(name):
    flags = {"allow_pickle=True", "weights_only=False", "safe_mode=False", "shell=True"}
    loads = {f"{owner}.load" for owner, _ in LOADS}
    return name in MODULES | CALLS | flags | loads | {"subprocess"}


def of(path):
    return {name for name in uses(ast.parse(path.read_text())) if suspicious(name)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_nothing_runs_what_it_reads(path):
    name = str(path.relative_to(REPOSITORY))
    assert {what for what in of(path) if (what, name) not in ALLOWED} == set()


def test_what_is_allowed_is_there():
    """A reason that stands for nothing would hide what comes later."""
    for what, name in ALLOWED:
        assert what in of(REPOSITORY / name), (what, name)


@pytest.mark.parametrize(
    "text",
    [
        "import pickle", "from pickle import loads", "import yaml", "eval(x)", "exec(x)",
        "np.load(f)", "torch.load(f, weights_only=False)", "np.load(f, allow_pickle=True)",
        "importlib.import_module(x)", "os.system(x)", "subprocess.run(x, shell=True)",
        "archive.extractall()", "keras.models.load_model(f)", "import joblib.numpy_pickle",
    ],
)  # fmt: skip
def test_it_would_be_noticed(text):
    assert any(map(suspicious, uses(ast.parse(text))))
