"""Selection: conditions, fixed members, manifests that make the same set, coverage."""

import numpy as np
import pytest

from mofonon.errors import CurationError, SelectionError
from mofonon.structures.coverage import check_fingerprint, judge_coverage, threshold_of
from mofonon.structures.curation import CRYSTAL_SYSTEMS, CurationSettings, StructureRecord
from mofonon.structures.fingerprints import FingerprintSpec
from mofonon.structures.manifest import (
    collect_structures,
    make_manifest,
    read_descriptors,
    read_manifest,
    write_manifest,
)
from mofonon.structures.selection import (
    SelectionSettings,
    compare_with_random,
    in_space,
    select,
)

N = 300
COMPOSITION = FingerprintSpec(function="numpy:array")


@pytest.fixture(scope="module")
def pool():
    """Clusters of descriptors; one structure with In, one hexagonal."""
    generator = np.random.default_rng(4)
    centres = generator.standard_normal((12, 8)) * 6
    sizes = generator.choice(12, N, p=np.r_[0.7, np.full(11, 0.3 / 11)])
    points = (centres[sizes] + generator.standard_normal((N, 8))).astype(np.float32)
    records = [
        StructureRecord(
            id=f"mof-{i:03d}",
            file=f"mof-{i:03d}.cif",
            file_sha256=f"{i:064d}",
            structure_hash=f"{i:064x}",
            n_atoms=50 + i,
            formula="X",
            elements=["H", "C", "In" if i == 17 else "Zn"],
            crystal_system="hexagonal" if i == 23 else CRYSTAL_SYSTEMS[i % 5],
        )
        for i in range(N)
    ]
    return records, np.stack([points, points + 1, points - 1], axis=1)


def test_covers_better_than_every_random_set(pool):
    settings = SelectionSettings(n_structures=30)
    chosen = select(*pool, settings).coverage
    others = compare_with_random(*pool, settings)
    assert len(others) == 20
    assert all(chosen.covering_radius < other.covering_radius for other in others)


def test_every_element_and_crystal_system_appears(pool):
    found = select(*pool, SelectionSettings(n_structures=12))
    assert {"mof-017", "mof-023"} <= {choice.id for choice in found.choices}
    reasons = {choice.id: choice.reason for choice in found.choices}
    assert reasons["mof-017"] == "element In"
    assert found.coverage.n_crystal_systems == 6
    with pytest.raises(SelectionError, match="must appear"):
        select(*pool, SelectionSettings(n_structures=3))


@pytest.mark.parametrize("method", ["fps", "random"])
def test_the_order_of_the_input_does_not_matter(pool, method):
    records, descriptors = pool
    settings = SelectionSettings(n_structures=25, method=method, fixed=("mof-100", "mof-005"))
    order = np.random.default_rng(0).permutation(N)
    one = select(records, descriptors, settings)
    other = select([records[i] for i in order], descriptors[order], settings)
    assert one.choices == other.choices
    assert [choice.id for choice in one.choices[:2]] == ["mof-005", "mof-100"]
    assert one.choices[0].reason == "fixed"


def test_spaces_are_those_of_their_names(pool):
    _, descriptors = pool
    assert (in_space(descriptors, "nodes") == descriptors[:, 1]).all()
    assert in_space(descriptors, "nodes-linkers").shape == (N, 16)
    without = descriptors.copy()
    without[0, 1] = np.nan
    assert (in_space(without, "nodes")[0] == 0).all()


def test_seeds_differ_and_repeat(pool):
    def ids(seed):
        settings = SelectionSettings(n_structures=20, method="random", seed=seed)
        return [choice.id for choice in select(*pool, settings).choices]

    assert ids(1) == ids(1) != ids(2)


def test_what_cannot_be_chosen_is_an_error(pool):
    with pytest.raises(SelectionError, match="cannot be chosen from"):
        select(*pool, SelectionSettings(n_structures=N + 1))
    with pytest.raises(SelectionError, match="fixed member"):
        select(*pool, SelectionSettings(n_structures=5, fixed=("absent",)))


@pytest.fixture(params=["manifest.yaml", "manifest.json"])
def written(request, pool, tmp_path):
    records, descriptors = pool
    settings = SelectionSettings(n_structures=30)

    def write(folder):
        found = select(records, descriptors, settings)
        manifest = make_manifest(
            tmp_path,
            None,
            CurationSettings(),
            records,
            COMPOSITION,
            settings,
            found,
            compare_with_random(records, descriptors, settings, [0, 1]),
            in_space(descriptors, settings.space),
        )
        path = tmp_path / folder / request.param
        write_manifest(manifest, descriptors[found.indices], path)
        return path

    return write


def test_a_manifest_is_made_again_byte_for_byte(written):
    one, other = written("one"), written("other")
    assert one.read_bytes() == other.read_bytes()
    manifest = read_manifest(one)
    assert len(manifest.structures) == 30
    assert manifest.funnel[-1].entered == N


def test_its_descriptors_are_checked(written, pool):
    path = written("one")
    manifest = read_manifest(path)
    found = read_descriptors(manifest, path)
    rows = [int(name.removeprefix("mof-")) for name in manifest.ids]
    assert found.tobytes() == pool[1][rows].tobytes()
    sidecar = path.with_name("manifest.descriptors.npz")
    sidecar.write_bytes(sidecar.read_bytes()[:-1])
    with pytest.raises(CurationError, match="differs"):
        read_descriptors(manifest, path)


def test_coverage_finds_what_is_far_and_what_has_new_elements(written, pool):
    path = written("one")
    manifest, records = read_manifest(path), pool[0]
    chosen = read_descriptors(manifest, path)
    new = [
        records[0].model_copy(update={"id": name, "elements": elements})
        for name, elements in [
            ("same", ["Zn"]),
            ("far", ["Zn"]),
            ("farther", ["Zn"]),
            ("new", ["Zn", "Cd"]),
        ]
    ]
    points = np.repeat(chosen[3][None], 4, axis=0)
    points[1] += 50
    points[2] += 90
    report = judge_coverage(new, points, manifest, chosen)
    rows = {row.id: row for row in report.rows}
    assert {name for name, row in rows.items() if row.outside} == {"far", "farther", "new"}
    assert rows["new"].new_elements == report.new_elements == ["Cd"]
    assert (rows["same"].distance, rows["same"].nearest) == (0, manifest.ids[3])
    expected = np.linalg.norm(chosen[:, 0].astype(float) - points[1, 0], axis=1).min()
    assert rows["far"].distance == pytest.approx(expected, rel=1e-5)
    assert [rows[name].order for name in ("farther", "far", "new")] == [1, 2, None]
    assert rows["far"].ratio == pytest.approx(rows["far"].distance / report.threshold)


def test_the_threshold_is_the_quantile_that_it_says(written, pool):
    manifest = read_manifest(written("one"))
    found = select(*pool, SelectionSettings(n_structures=30))
    rest = np.delete(found.nearest, found.indices)
    assert threshold_of(manifest, 0.95) == pytest.approx(np.quantile(rest, 0.95))


def test_another_model_is_refused(written):
    with pytest.raises(CurationError, match="not the model"):
        check_fingerprint(read_manifest(written("one")), FingerprintSpec(function="numpy:sum"))


def test_chosen_files_are_collected_and_checked(pool, tmp_path):
    import hashlib

    source, records = tmp_path / "cifs", []
    source.mkdir()
    for record in pool[0][:30]:
        (source / record.file).write_text(record.id)
        digest = hashlib.sha256(record.id.encode()).hexdigest()
        records.append(record.model_copy(update={"file_sha256": digest}))
    settings = SelectionSettings(n_structures=10)
    descriptors = pool[1][:30]
    found = select(records, descriptors, settings)
    manifest = make_manifest(
        source,
        None,
        CurationSettings(),
        records,
        COMPOSITION,
        settings,
        found,
        [],
        in_space(descriptors, "all"),
    )
    paths = collect_structures(manifest, source, tmp_path / "set")
    assert [path.stem for path in paths] == manifest.ids
    (source / paths[0].name).write_text("changed")
    with pytest.raises(CurationError, match="hash differs"):
        collect_structures(manifest, source, tmp_path / "again")


def test_not_a_manifest(tmp_path):
    path = tmp_path / "other.yaml"
    path.write_text("mesh: [1, 1, 1]\n")
    with pytest.raises(CurationError, match="cannot be read as a manifest"):
        read_manifest(path)
