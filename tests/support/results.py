"""Documents of EMT metals, cheap and real, for tests of pages and stores."""

from ase.build import bulk
from jobflow import JobStore, run_locally
from pymatgen.io.ase import AseAtomsAdaptor

from mofonon.dynamics import DynamicsSettings
from mofonon.lattice import (
    BulkModulusDoc,
    BulkModulusMaker,
    BulkModulusSettings,
    ImaginaryModeMaker,
    MdExpansionDoc,
    MdExpansionMaker,
    MdExpansionSettings,
    PhononSettings,
    QhaDoc,
    QhaMaker,
    QhaSettings,
    RelaxSettings,
    StabilizeDoc,
    StabilizeSettings,
)
from mofonon.potentials import PotentialSpec
from mofonon.store import get_document

EMT = PotentialSpec.from_name("ase.calculators.emt:EMT")
_PHONONS = PhononSettings(
    mesh=(3, 3, 3),
    dos_pitch=0.2,
    band_points=3,
    temperature_max=100,
    temperature_step=50,
)


def makers() -> dict:
    """Class of the document, maker and structure of each kind of result."""
    copper = AseAtomsAdaptor.get_structure(bulk("Cu", "fcc", a=3.6))
    cubic = AseAtomsAdaptor.get_structure(bulk("Cu", "sc", a=2.4).repeat((2, 2, 1)))
    return {
        "bulk-modulus": (
            BulkModulusDoc,
            BulkModulusMaker(potential=EMT, settings=BulkModulusSettings(n_points=5)),
            copper,
        ),
        "qha": (
            QhaDoc,
            QhaMaker(
                potential=EMT,
                settings=QhaSettings(n_volumes=6, max_extensions=0, fmax=1e-5),
                phonons=_PHONONS,
            ),
            copper,
        ),
        "stabilize": (
            StabilizeDoc,
            ImaginaryModeMaker(
                potential=EMT,
                settings=StabilizeSettings(strategies=("rattle",), max_attempts=1),
                phonons=_PHONONS.model_copy(
                    update={"supercell": ((1, 0, 0), (0, 1, 0), (0, 0, 1))}
                ),
                # so that there is a saddle point for the strategies to leave
                relax=RelaxSettings(fmax=1e-4, symmetry="keep"),
            ),
            cubic,
        ),
        "expansion-md": (
            MdExpansionDoc,
            MdExpansionMaker(
                potential=EMT,
                settings=MdExpansionSettings(
                    temperatures=(100.0, 300.0),
                    supercell=((2, 0, 0), (0, 1, 0), (0, 0, 1)),
                    dynamics=DynamicsSettings(steps=120, time_step=4.0, interval=2),
                    min_effective_samples=4,
                ),
            ),
            copper,
        ),
    }


def compute(kind: str, store: JobStore):
    """Run the flow of a kind of result in a store and read its document back."""
    document_class, maker, structure = makers()[kind]
    flow = maker.make(structure)
    run_locally(flow, store=store, log=False, raise_immediately=True)
    return document_class.model_validate(
        get_document(store, flow.output.uuid, with_arrays=True)
    )
