"""Linked Art read by cromulent, the model's own library, and as RDF by its own context."""

import json
from pathlib import Path

import cromulent
import pytest
from cromulent import model, vocab
from cromulent.reader import Reader
from rdflib import Graph, Literal, URIRef
from rdflib.namespace import RDF, RDFS, XSD

from artray.labeling.exports.linked_art import CONTEXT, POSSIBLY, STYLE, write_linked_art
from artray.labeling.exports.source import read_source
from artray.storage import Location
from tests.labeling.exports.conftest import THRESHOLD

CRM = "http://www.cidoc-crm.org/cidoc-crm/"


@pytest.fixture
def records(tmp_path, collection, features) -> list[dict]:
    path = tmp_path / "linked_art.jsonl"
    write_linked_art(
        read_source(Location.parse(collection), Location.parse(features), base_uri="https://museum.example.org"), path
    )
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


def test_cromulent_reads_every_record(records, rows):
    vocab.add_attribute_assignment_check()  # assigned_property is a term of the context
    reader = Reader(validate_props=True, validate_profile=True)
    assert len(records) == sum(row["status"] == "ok" for row in rows["style"])
    for record in records:
        read = reader.read(json.loads(json.dumps(record)))
        assert isinstance(read, model.HumanMadeObject)
        assert len(read.attributed_by) == 2
        for assignment in read.attributed_by:
            assert isinstance(assignment, model.AttributeAssignment)
            assert isinstance(assignment.carried_out_by[0], model.Group)
            assert isinstance(assignment.timespan, model.TimeSpan)
            assert isinstance(assignment.assigned[0], model.Type)


@pytest.mark.slow
def test_as_rdf(records, rows):
    context = json.loads((Path(cromulent.__path__[0]) / "data" / "linked-art.json").read_text("utf-8"))["@context"]
    style = {row["object_id"]: row for row in rows["style"]}
    seen = set()
    for record in records[-30:]:
        assert record.pop("@context") == CONTEXT
        graph = Graph().parse(data=json.dumps({"@context": context, **record}), format="json-ld")
        work = URIRef(record["id"])
        assert (work, RDF.type, URIRef(f"{CRM}E22_Human-Made_Object")) in graph
        # As many statements as there are values: no property was unknown to the context.
        assert not any(str(p).startswith("file:") for p in graph.predicates())
        for assignment in graph.objects(work, URIRef(f"{CRM}P140i_was_attributed_by")):
            concept = graph.value(assignment, URIRef(f"{CRM}P141_assigned"))
            task = graph.value(
                graph.value(assignment, URIRef(f"{CRM}P1_is_identified_by")), URIRef(f"{CRM}P190_has_symbolic_content")
            )
            assert (assignment, URIRef(f"{CRM}P177_assigned_property_of_type"), URIRef(f"{CRM}P2_has_type")) in graph
            if task != Literal("style"):
                continue
            row = style[str(graph.value(work, RDFS.label)).replace("Title ", "work-")]
            assert graph.value(concept, RDFS.label) == Literal(row["label"])
            assert (concept, URIRef(f"{CRM}P2_has_type"), URIRef(STYLE["id"])) in graph
            possibly = (assignment, URIRef(f"{CRM}P2_has_type"), URIRef(POSSIBLY["id"])) in graph
            assert possibly == (row["score"] < THRESHOLD)
            span = graph.value(assignment, URIRef(f"{CRM}P4_has_time-span"))
            began = graph.value(span, URIRef(f"{CRM}P82a_begin_of_the_begin"))
            assert began.datatype == XSD.dateTime
            assert began.toPython() == row["labeled_at"]
            if row["label_uri"]:
                assert concept == URIRef(row["label_uri"])
                seen.add(row["label_uri"])
    assert seen


def test_no_aat_id_is_made_up(records, rows):
    """Every AAT id is one of the labels' own, or one of the two that the model asks for."""
    known = {row["label_uri"] for own in rows.values() for row in own} | {STYLE["id"], POSSIBLY["id"]}
    text = json.dumps(records)
    used = {f"http://vocab.getty.edu/aat/{part[:9]}" for part in text.split("http://vocab.getty.edu/aat/")[1:]}
    assert used <= known


def test_a_works_title_is_its_name(records):
    by_id = {record["identified_by"][-1]["content"]: record for record in records}
    assert by_id["work-3"]["_label"] == "Title 3"
    assert by_id["work-3"]["identified_by"][0] == {"type": "Name", "content": "Title 3"}
