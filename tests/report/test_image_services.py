from typing import Any

import pytest

from artray.report.image_services import image_service, origin
from artray.report.page import write_page
from artray.report.works import Work

BASE = "https://images.museum.example/iiif/2/a%2Fb"


@pytest.mark.parametrize(
    ("record", "service"),
    [
        ({"x": f"{BASE}/info.json"}, BASE),
        ({"x": f" {BASE}/full/!400,400/0/default.jpg"}, BASE),
        ({"x": f"{BASE}/full/full/0/native.jpg | {BASE}c/full/full/0/native.jpg"}, BASE),
        ({"x": f"{BASE}/info.json; {BASE}c/info.json"}, BASE),
        ({"x": f"https://museum.example/w1;{BASE}/info.json,see there"}, BASE),
        ({"x": f"a picture ({BASE}/full/max/0/default.jpg)"}, BASE),
        ({"IIIF URL": f"{BASE}/"}, BASE),
        ({"image_service": BASE, "y": "https://other.example/w/info.json"}, "https://other.example/w"),
        ({"iiifthumburl": BASE}, None),
        ({"iiif_manifest": BASE}, None),
        ({"iiif": "https://museum.example/iiif/w1/manifest"}, None),
        ({"iiif": "https://museum.example/w1.jpg"}, None),
        ({"url": BASE}, None),
        ({"x": "/info.json", "iiif": "see the card"}, None),
        ({"iiif": "https://a;script-src *//w"}, None),
        ({"x": "https://';x/w/info.json"}, None),
        ({}, None),
    ],
)
def test_the_image_service_that_a_record_names(record: dict[str, str], service: str | None) -> None:
    assert image_service(record) == service


def test_an_origin_holds_nothing_that_ends_a_word_of_a_policy() -> None:
    assert origin("HTTP://Museum.example:8182/iiif/2/w") == "http://museum.example:8182"
    for address in ("https://[::1]/w", "https://a b/w", "https://a;b/w", "ftp://a/w", "https://a", "https://a:65536/w"):
        assert origin(address) is None


def test_a_page_may_ask_for_pictures_where_its_records_say_and_nowhere_else(tmp_path: Any) -> None:
    records = [{"x": f"{BASE}/info.json"}, {"iiif": "http://b.example/w"}, {"x": f"{BASE}c/info.json"}, {}]
    works = [Work(f"w{i}", f"/w{i}.jpg", record=record) for i, record in enumerate(records)]
    page = write_page(tmp_path, works).read_text()
    assert "img-src 'self' file: http://b.example https://images.museum.example;" in page
    assert "connect-src" not in page
    assert "img-src 'self' file:;" in write_page(tmp_path, works[3:]).read_text()
