import subprocess
import sys

import blockspin

PUBLIC = {
    "Answer",
    "Axis",
    "Batch",
    "BlockspinError",
    "Chain",
    "Claims",
    "Diamond",
    "Ensemble",
    "EnumeratedLaw",
    "Flow",
    "GaussianLaw",
    "Graph",
    "Grid",
    "Measurement",
    "Scale",
    "Semigroup",
    "Tree",
    "Unordered",
    "Verdict",
    "__version__",
    "iterate",
    "member",
    "members",
    "register",
}


def test_the_public_surface_is_pinned():
    assert set(dir(blockspin)) == PUBLIC
    assert all(getattr(blockspin, name) is not None for name in PUBLIC)


def test_importing_imports_nothing_heavy():
    code = "import sys, blockspin; print([m for m in ('torch', 'numpy', 'plotly', 'xarray') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
