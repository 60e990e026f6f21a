"""Typed errors: what went wrong and what to do about it.

Every error that mofonon raises on purpose derives from :class:`MofononError`. The
message says what is wrong; ``remedy`` says what the user can do. ``str(error)`` gives
both, so that neither is lost in a log or a failed job document.
"""

from __future__ import annotations


class MofononError(Exception):
    """Base of all errors raised on purpose.

    Parameters
    ----------
    message : str
        What is wrong, naming the file, element or setting.
    remedy : str, optional
        What the user can do about it.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        """Message and remedy, each on one line."""
        return f"{self.message}\n  remedy: {self.remedy}" if self.remedy else self.message


class SettingsError(MofononError):
    """An option or setting has a value that cannot be used."""


class StructureError(MofononError):
    """A structure cannot be used for a calculation."""


class StructureReadError(StructureError):
    """A file cannot be read as a crystal structure."""


class DisorderedStructureError(StructureError):
    """A structure has sites that are partially or multiply occupied."""


class OverlappingAtomsError(StructureError):
    """Two atoms are closer than any bond between their elements."""


class MissingHydrogenError(StructureError):
    """Carbon atoms lack the hydrogens that their geometry calls for."""


class UnphysicalDensityError(StructureError):
    """The mass density or volume per atom is outside anything a solid has."""


class SelectionError(MofononError):
    """Structures or frames cannot be selected as asked."""


class CurationError(SelectionError):
    """A collection of structures, its table or its manifest cannot be used."""


class DescriptorError(StructureError):
    """Descriptors of a structure cannot be computed."""


class PoreError(StructureError):
    """Pore diameters cannot be computed."""


class PotentialError(MofononError):
    """A potential cannot be made or used as asked."""


class PotentialFileError(PotentialError):
    """A model file is absent, truncated or of another kind."""


class UnknownHeadError(PotentialError):
    """A model has no head of that name."""


class UnknownElementError(PotentialError):
    """A structure has elements that the potential does not know."""


class PrecisionError(PotentialError):
    """A displacement is below the noise of the precision asked for."""


class MissingDependencyError(PotentialError):
    """An optional package that is needed is not installed."""


class RelaxationNotConverged(MofononError):
    """A relaxation ended above its force threshold."""


class ForceConstantsError(MofononError):
    """Force constants cannot be made from what was given."""


class ImaginaryModesError(MofononError):
    """A property that needs real modes was asked of a structure with imaginary ones."""


class EquationOfStateError(MofononError):
    """No sensible equation of state follows from energies or stresses over volumes."""


class QuasiHarmonicError(MofononError):
    """The quasi-harmonic approximation cannot be made from what was given."""


class ComparisonError(MofononError):
    """Results cannot be compared: not the same compound, cell, property or mesh."""


class DftSetupError(MofononError):
    """VASP, its command or its POTCARs are not set up for what is to be calculated."""


class PotcarError(DftSetupError):
    """An element has no usable POTCAR."""


class VaspRunError(MofononError):
    """A VASP calculation ended without a result."""


class ExpansionError(MofononError):
    """No thermal expansion follows from averages over temperatures."""


class DatasetError(MofononError):
    """Frames cannot be made into a dataset, or a dataset not be read."""


class CheckpointError(MofononError):
    """A checkpoint cannot be written or does not belong to the calculation."""


class StoreError(MofononError):
    """A job store cannot be opened, read or written."""


class OutputError(MofononError):
    """Figures, tables or a page cannot be written."""


class ArrayCodecError(StoreError):
    """An encoded array is damaged or of a dtype that is not allowed."""


class DocumentNotFoundError(StoreError):
    """No stored document has that id."""


class CampaignError(MofononError):
    """A campaign file cannot be used, or a campaign cannot be run as asked."""


class TrainingError(MofononError):
    """A potential cannot be trained, or training failed."""


class TrainingDataError(TrainingError):
    """Labelled frames are absent, incomplete or too few to train on."""


class TrainingMismatchError(TrainingError):
    """The training program did something else than it was told."""


class TrainingInterrupted(TrainingError):
    """Training was told to stop before its end; it goes on where it was when run again."""


class ExtensionRefused(MofononError):
    """An extended potential is worse than the one it was to replace."""
