import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artray.catalogs.unicode import nfc

TEXTS = st.lists(st.none() | st.text() | st.text().map(lambda text: unicodedata.normalize("NFD", text)))


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
@given(texts=TEXTS)
def test_nfc_is_python_s(kind: pa.DataType, texts: list[str | None]):
    normal = nfc(pa.array(texts, kind))
    assert normal.type == kind
    assert normal.to_pylist() == [text and unicodedata.normalize("NFC", text) for text in texts]


def test_nfc_composes():
    """As pyarrow's own before 26 didn't."""
    assert nfc(pa.array(["Du\u0308rer", "Dürer", "Durer", None])).to_pylist() == ["Dürer", "Dürer", "Durer", None]
