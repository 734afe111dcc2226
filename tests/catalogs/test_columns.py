"""Mappings: the published headers are recognised, others guessed, wrong ones refused in one line."""

import pyarrow as pa
import pytest

from artray.catalogs.columns import (
    Attach,
    Mapping,
    attach_table,
    guess_mapping,
    parse_mapping,
    path_columns,
    ready_mapping,
    ready_mappings,
)
from artray.errors import InputError
from artray.vocabulary import vocabularies

# Headers as published (GitHub, November 2026).
HEADERS = {
    "tate": "id,acno,title,artist,date,start_year,classification,medium,dimensions,movements,emotions,"
    "subjects,thumbnail_url,url",
    "tate-artwork-data": "id,accession_number,artist,artistRole,artistId,title,dateText,medium,creditLine,year,"
    "acquisitionYear,dimensions,width,height,depth,units,inscription,thumbnailCopyright,"
    "thumbnailUrl,url",
    "moma": "Title,Artist,ConstituentID,ArtistBio,Nationality,BeginDate,EndDate,Gender,Date,Medium,"
    "Dimensions,CreditLine,AccessionNumber,Classification,Department,DateAcquired,Cataloged,"
    "ObjectID,URL,ImageURL,OnView,Circumference (cm),Depth (cm),Diameter (cm),Height (cm),"
    "Length (cm),Weight (kg),Width (cm),Seat Height (cm),Duration (sec.)",
    "moma-thumbnails": "Title,Artist,ConstituentID,ArtistBio,Nationality,BeginDate,EndDate,Gender,Date,Medium,"
    "Dimensions,CreditLine,AccessionNumber,Classification,Department,DateAcquired,Cataloged,"
    "ObjectID,URL,ThumbnailURL,Height (cm)",
    "met": "Object Number,Is Highlight,Is Timeline Work,Is Public Domain,Object ID,Gallery Number,"
    "Department,AccessionYear,Object Name,Title,Culture,Period,Dynasty,Reign,Portfolio,"
    "Constituent ID,Artist Role,Artist Prefix,Artist Display Name,Artist Display Bio,Artist Suffix,"
    "Artist Alpha Sort,Artist Nationality,Artist Begin Date,Artist End Date,Artist Gender,"
    "Artist ULAN URL,Artist Wikidata URL,Object Date,Object Begin Date,Object End Date,Medium,"
    "Dimensions,Credit Line,Geography Type,City,State,County,Country,Region,Subregion,Locale,Locus,"
    "Excavation,River,Classification,Rights and Reproduction,Link Resource,Object Wikidata URL,"
    "Metadata Date,Repository,Tags,Tags AAT URL,Tags Wikidata URL",
    "nga": "uuid,iiifurl,iiifthumburl,viewtype,sequence,width,height,maxpixels,openaccess,created,modified,"
    "depictstmsobjectid,assistivetext",
    "best-artworks-of-all-time": "id,name,years,genre,nationality,bio,wikipedia,paintings",
    "pandora18k": "imageListFile,class,artist",
    "thesis": "Title,Style,Artist,Genre,Tags,Emotion,Image URL",
}


def empty(header: str) -> pa.Table:
    return pa.table({name: pa.nulls(0, pa.string()) for name in header.split(",")})


@pytest.mark.parametrize("name", HEADERS)
def test_published_headers_are_recognised(name: str) -> None:
    guess = guess_mapping(empty(HEADERS[name]))
    assert guess.ready == name
    header = HEADERS[name].split(",")
    guess.mapping.without_described(header).check(header)
    assert guess.mapping.description in guess.reasons[0]


def test_ready_mappings() -> None:
    assert set(ready_mappings()) == {*HEADERS, "class-folders"}
    for name, mapping in ready_mappings().items():
        assert mapping.description, name
    with pytest.raises(InputError, match="there is no mapping 'louvre', but best-artworks"):
        ready_mapping("louvre")
    assert {"style", "emotion-16"} <= set(vocabularies())


def test_paths_of_the_folder_trees() -> None:
    pandora = ready_mapping("pandora18k").path
    assert pandora
    paths = pa.array(
        [
            "Pandora_18k/03_Northern_Renaissance/hieronymus-bosch/tempt-o1.jpg",
            "06_Rococo/school/Unidentified/1.jpg",
            "x.jpg",
        ]
    )
    columns = path_columns(paths, pandora)
    assert columns["movement"].to_pylist() == ["Northern_Renaissance", "Rococo", None]
    assert columns["artist_folder"].to_pylist() == ["hieronymus-bosch", "school/Unidentified", None]

    classes = ready_mapping("class-folders").path
    assert classes
    assert path_columns(pa.array(["train/han/a.jpg", "kom/b.jpg", "c.jpg"]), classes)["folder"].to_pylist() == [
        "han",
        "kom",
        None,
    ]

    best = ready_mapping("best-artworks-of-all-time").path
    assert best
    paths = pa.array(["images/Edgar_Degas/Edgar_Degas_12.jpg", "resized/Albrecht_Du╠Иrer_3.jpg"])
    assert path_columns(paths, best)["artist_folder"].to_pylist() == ["Edgar_Degas", "Albrecht_Du╠Иrer"]


def test_guess_from_names_and_cells() -> None:
    table = pa.table(
        {
            "Inv. No.": ["1", "2", "3"],
            "Identifier": ["a", "a", None],
            "Picture": ["x/1.jpg", "2.TIF", None],
            "URL": ["https://m.test/works/1", "https://m.test/works/2", "https://m.test/works/3"],
            "Maker": ["A", "B", "B"],
            "Movement": ["Dada|Cubism", "Dada", "Pop Art"],
        }
    )
    guess = guess_mapping(table)
    assert guess.ready is None
    # "Identifier" has doubles and gaps; "Inv. No." is not a name that says it is a key to anyone but the museum.
    assert guess.mapping == Mapping(
        file="Picture", url="URL", artist="Maker", labels={"style": "Movement"}, separator="|"
    )
    assert len(guess.reasons) == 5
    assert any("'Picture'" in reason for reason in guess.reasons)


def test_one_id_that_stands_twice_or_is_missing_costs_no_column() -> None:
    ids: list[str | None] = [f"d{n:03}" for n in range(20)]
    assert guess_mapping(pa.table({"object_id": [*ids, "d007"]})).mapping.object_id == "object_id"
    assert guess_mapping(pa.table({"object_id": [*ids, None]})).mapping.object_id == "object_id"
    assert guess_mapping(pa.table({"object_id": [*ids, *ids[:5]]})).mapping.object_id is None


def test_a_number_that_rows_share_is_the_works() -> None:
    media = {"ObjectID": ["1", "1", "2", "3", "3", "3"], "Filename": [f"{n}.jpg" for n in range(6)]}
    assert guess_mapping(pa.table(media)).mapping == Mapping(file="Filename", artwork="ObjectID")
    # A class's number stands for too many.
    many = {"id": [str(n % 3) for n in range(60)], "Filename": [f"{n}.jpg" for n in range(60)]}
    assert guess_mapping(pa.table(many)).mapping == Mapping(file="Filename")


def test_guess_of_nothing() -> None:
    assert guess_mapping(pa.table({"a": ["b"]})).mapping == Mapping()
    assert guess_mapping(pa.table({})).mapping == Mapping()


def test_mapping_from_yaml() -> None:
    mapping = parse_mapping("object_id: Nr\nfile: Datei\nlabels: {style: Stil}\nseparator: ';'\n")
    assert mapping == Mapping(object_id="Nr", file="Datei", labels={"style": "Stil"}, separator=";")
    assert mapping.columns() == ["Nr", "Datei", "Stil"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("files: Datei", "mapping: files: Extra inputs are not permitted"),
        ("file: [a]", "mapping: file: Input should be a valid string"),
        ("file: 'a", r"mapping is not YAML \(line 1\)"),
        ("- a", "mapping must hold keys and values"),
        ("path: '(?P<a>'", "mapping: path: "),
        ("path: 'abc'", "mapping: path: has no named group"),
        ("on_conflict: all", "mapping: on_conflict: "),
    ],
)
def test_wrong_mappings(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        parse_mapping(text)
    assert "\n" not in str(caught.value)


def test_a_missing_column_is_named_with_those_like_it() -> None:
    with pytest.raises(InputError, match="no column 'Object Id'; it has 'Object ID'"):
        Mapping(object_id="Object Id").check(["Title", "Object ID"])


def test_attach_never_multiplies_rows() -> None:
    """NGA: objects.csv describes the works of published_images.csv."""
    images = pa.table({"uuid": ["u1", "u2", "u3"], "depictstmsobjectid": ["7", "7", "9"]})
    objects = pa.table({"objectid": ["7", "8", "7"], "title": ["a", "b", "c"], "uuid": ["o7", "o8", "o7"]})
    attach = ready_mapping("nga").attach
    assert attach is not None
    table, counts = attach_table(images, objects, attach)
    assert table.to_pylist() == [
        {"uuid": "u1", "depictstmsobjectid": "7", "title": "a", "uuid_2": "o7"},
        {"uuid": "u2", "depictstmsobjectid": "7", "title": "a", "uuid_2": "o7"},
        {"uuid": "u3", "depictstmsobjectid": "9", "title": None, "uuid_2": None},
    ]
    assert counts == {"with a partner": 2, "without a partner": 1, "keys twice": 1}
    with pytest.raises(InputError, match=r"objects\.csv has no column 'objectid'"):
        attach_table(images, images, attach)
    with pytest.raises(InputError, match="the catalogue has no column 'x'"):
        attach_table(images, objects, Attach(file="o", column="x", to="objectid"))
