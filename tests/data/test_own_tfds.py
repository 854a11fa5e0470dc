"""The builder of docs/tfds.md makes a dataset that the sources read, without the builder."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lstm_jax.config import find
from lstm_jax.errors import UserError

_PAGE = (Path(__file__).parents[2] / "docs/tfds.md").read_text()
_ROWS = {
    "train": [("good", "positive"), ("a bad, long one", "negative")] * 8,
    "test": [("äh", "negative")],
}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    pytest.importorskip(
        "importlib_resources", reason="TFDS asks for importlib_resources to prepare"
    )
    folder = tmp_path_factory.mktemp("own")
    code = re.search(r"```python\n(.*?)```", _PAGE, re.DOTALL)
    assert code
    (folder / "my_reviews.py").write_text(code[1])
    for split, rows in _ROWS.items():
        lines = ["text,label", *(f'"{text}",{label}' for text, label in rows)]
        (folder / f"reviews_{split}.csv").write_text("\n".join(lines), encoding="utf-8")
    subprocess.run([sys.executable, "my_reviews.py"], cwd=folder, check=True, capture_output=True)
    return folder / "tfds"


def test_the_dataset_of_the_page_is_read(data_dir):
    labelled = find("labelled_source", "tfds_labelled")
    source = labelled(dataset="my_reviews", data_dir=str(data_dir), validation_share=0.5)
    found = source()
    assert list(found["test"]) == _ROWS["test"]
    assert sorted({*found["train"], *found["validation"]}) == sorted(set(_ROWS["train"]))
    with pytest.raises(UserError, match="'txt'; did you mean text"):
        labelled(dataset="my_reviews", data_dir=str(data_dir), text_field="txt")()
