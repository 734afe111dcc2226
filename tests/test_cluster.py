import subprocess
import sys

LOADED = "import sys; import keras; print(any(name.startswith('sklearn.') for name in sys.modules))"


def test_keras_passes_over_scikit_learn_and_would_import_it_otherwise():
    """Where the second is no longer so, `quicken_keras` can go."""
    quickened = f"from artray.cluster import quicken_keras; quicken_keras(); {LOADED}"
    for program, expected in ((quickened, "False"), (LOADED, "True")):
        found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert found.stdout.split()[-1] == expected
