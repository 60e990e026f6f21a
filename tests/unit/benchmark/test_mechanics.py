"""Bulk moduli and expansion: tables of the paper, documents, literature."""

import csv
import json

import pytest
from typer.testing import CliRunner

from mofonon.benchmark.literature import literature
from mofonon.benchmark.mechanics import (
    PropertyValue,
    add_literature,
    properties_of_document,
    published_expansion,
    read_properties,
    statistics,
    with_deviations,
)
from mofonon.cli import app
from mofonon.errors import ComparisonError


@pytest.fixture
def table(tmp_path):
    def write(text):
        path = tmp_path / "table.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_deviations_of_the_papers_table(reference_dir):
    """DFT.csv has its own deviations of MACE-MP-MOF0-v2, in a column without header."""
    path = reference_dir / "properties" / "DFT.csv"
    with path.open(encoding="utf-8") as file:
        published = {row[0]: float(row[5]) for row in list(csv.reader(file))[1:]}
    values, _ = read_properties(path, "")
    found = {
        v.mof: abs(v.deviation_percent)
        for v in with_deviations(values, "dft")
        if v.method == "MACE-MP-MOF0-v2"
    }
    assert found == pytest.approx(published, rel=1e-7)  # rounded DFT
    assert len(found) == 9


def test_expansion_of_mof5_at_300_k(reference_dir):
    path = reference_dir / "properties" / "NegativeThermalExpansion.csv"
    _, series = read_properties(path, "MACE")
    by_mof = {one.mof: one for one in series}
    assert by_mof["MOF-5"].at(300).value == pytest.approx(-6.64, abs=0.005)
    assert by_mof["UiO-66"].at(350).value == pytest.approx(-9.35, abs=0.005)
    between = by_mof["MOF-5"].at(325).value
    assert between == pytest.approx((-6.644688684 - 5.365951488) / 2)
    assert by_mof["MOF-5"].kind == "unspecified"
    with pytest.raises(ComparisonError, match="from 0 to 950 K"):
        by_mof["MOF-5"].at(1000)


def test_literature_repeats_the_papers_numbers(reference_dir):
    known = literature()
    published = {}
    for name in ("DFT.csv", "Exp_and_DFT.csv"):
        values, _ = read_properties(reference_dir / "properties" / name, "")
        published |= {(v.mof, v.method.removesuffix(" (GPa)")): v.value for v in values}
    ours = {(v.mof, v.method): v.value for v in known.bulk_modulus}
    assert ours == pytest.approx(published, rel=1e-8)


def test_literature_is_whole():
    known = literature()
    everything = [*known.bulk_modulus, *known.thermal_expansion, *known.n_displacements]
    everything += known.fractional_rmsd
    for entry in everything:
        assert known.sources[entry.source].citation
        assert entry.mof in known.mofs
    assert set(known.sources) == {entry.source for entry in everything}
    assert known.name_of("Zn8C48H24O26") == "MOF-5"
    assert known.name_of("NaCl") is None


def test_units_and_errors_of_a_table(table):
    values, _ = read_properties(
        table("MOF,dft (GPa),dft error,note,ref dft\nA,10,0.5,x,there\nB,,,y,\n"), ""
    )
    (only,) = values
    assert (only.method, only.value, only.error) == ("DFT", 10.0, 0.5)
    assert only.source.endswith("which names there")
    _, series = read_properties(table("Temperature (K),A (1e-6/K)\n200,2\n100,1\n"), "mine")
    assert (series[0].temperatures, series[0].at(150).value) == ([100, 200], 1.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "first column"),
        ("mof,method\nA,word\n", "no column of numbers"),
        ("Temperature,A\n1,2\n", "unit is not clear"),
        ("Temperature,A (1e-6/K)\n1,two\n", "could not convert"),
    ],
)
def test_tables_that_cannot_be_read(table, text, message):
    with pytest.raises(ComparisonError, match=message):
        read_properties(table(text), "")


def test_deviations_and_their_means():
    def value(mof, method, number):
        return PropertyValue(mof=mof, method=method, value=number, source="here")

    values = with_deviations(
        [
            *(value("A", "DFT", 10), value("B", "DFT", 20), value("A", "X", 11)),
            *(value("B", "X", 18), value("C", "X", 1)),
        ],
        "DFT",
    )
    assert [v.deviation_percent for v in values] == [None, None, pytest.approx(10), -10, None]
    (entry,) = statistics(values)
    assert (entry.n, entry.mean_absolute_error) == (2, 1.5)
    assert entry.mean_absolute_deviation_percent == pytest.approx(10)
    assert entry.mean_deviation_percent == pytest.approx(0)
    with pytest.raises(ComparisonError, match="DFT, X"):
        with_deviations(values, "experiment")


def test_documents_find_their_mof():
    document = {
        "@class": "BulkModulusDoc",
        "document_id": "abcdef12",
        "formula_pretty": "Zn4H12C24O13",
        "bulk_modulus": 16.0,
        "fits": {"a": {"bulk_modulus": 16.0}, "b": {"bulk_modulus": 15.8}},
        "settings": {"equation_of_state": "birch_murnaghan", "max_linear_strain": 0.02},
        "potential": {"label": "demo", "notice": "a stand-in"},
    }
    (value,), _ = properties_of_document(document, "demo", literature())
    assert (value.mof, value.notice) == ("MOF-5", "a stand-in")
    assert value.error == pytest.approx(0.2)
    together = add_literature([value], ["MOF-5"], literature())
    assert [v.method for v in together] == ["demo", "DFT", "MACE-MP-MOF0", "MACE-MP-MOF0-v2"]
    qha = {
        "@class": "QhaDoc",
        "document_id": "abcdef13",
        "formula_pretty": "ZnCO3",
        "series": {
            "temperatures": [0, 100, 200],
            "cte_linear": [None, 1.0, 2.0],
            "cte_volumetric": [None, 3.0, 6.0],
            "inside": [True, True, False],
        },
    }
    _, series = properties_of_document(qha, "demo", literature())
    assert [(s.kind, s.temperatures, s.values) for s in series] == [
        ("linear", [100], [1.0]),
        ("volumetric", [100], [3.0]),
    ]
    assert series[0].mof == "ZnCO3"
    with pytest.raises(ComparisonError, match="PhononDoc"):
        properties_of_document({**qha, "@class": "PhononDoc"}, "demo", literature())
    assert [v.value for v in published_expansion(["MOF-5"], 300, literature())] == [
        pytest.approx(-6.6447, abs=1e-4)
    ]


def test_the_command(reference_dir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = [
        str(reference_dir / "properties" / name) for name in ("DFT.csv", "Exp_and_DFT.csv")
    ]
    done = CliRunner().invoke(
        app, ["compare", "mechanics", files[1], "--reference", "experiment", "--json"]
    )
    assert done.exit_code == 0, done.output
    payload = json.loads(done.stdout)
    first = payload["bulk_moduli"][0]
    assert (first["mof"], first["method"], first["reference"]) == ("ZIF-8", "DFT", 6.52)
    assert first["deviation_percent"] == pytest.approx(100 * (7.68 - 6.52) / 6.52)
    names = {path.name for path in (tmp_path / "mofonon-compare").iterdir()}
    assert names >= {"mechanics.csv", "mechanics.tex", "mechanics.md", "bulk-moduli.png"}
