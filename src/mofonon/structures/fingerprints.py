"""Fingerprints: numbers for each atom that tell its surroundings apart, from a potential.

A :class:`FingerprintSpec` is plain data, as a PotentialSpec is; :func:`make_fingerprint` gives
what it names: the invariant node features of a MACE model (all layers, no forces evaluated),
the atom features of CHGNet, or what any function of the user's returns, so that fingerprints
of dscribe or matminer can stand in.
"""

from __future__ import annotations

import contextlib
import importlib
import io
from collections.abc import Collection, Sequence
from typing import Any, Protocol

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from mofonon.errors import DescriptorError, SettingsError
from mofonon.potentials import PotentialSpec, check_elements, describe_potential
from mofonon.potentials.mace_files import load_mace, model_path
from mofonon.provenance import content_hash
from mofonon.settings import get_settings

#: Families of potentials whose features are known how to be taken.
FAMILIES = ("demo", "mace", "chgnet")


def is_import_path(name: str) -> bool:
    """Whether a name of a fingerprint is module:factory of a function."""
    return ":" in name and not name.endswith(".model")


class FingerprintSpec(BaseModel):
    """A fingerprint as asked for: a potential, or an import path.

    Examples
    --------
    >>> FingerprintSpec.from_name("demo").potential.family
    'demo'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    potential: PotentialSpec | None = Field(
        None, description="Potential whose features are taken: a MACE model, demo or chgnet."
    )
    function: str | None = Field(
        None,
        description="Import path 'module:factory'. The factory is called with the options and "
        "returns a function from ASE Atoms to an array (n_atoms, n_features) or (n_features,).",
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="Keyword arguments of the factory."
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> FingerprintSpec:
        if (self.potential is None) == (self.function is None):
            raise SettingsError(
                "a fingerprint is either of a potential or of a function",
                "give one of potential and function",
            )
        if self.potential is not None and self.potential.family not in FAMILIES:
            raise SettingsError(
                f"no features are known how to be taken from {self.potential.label}",
                f"use a potential of {', '.join(FAMILIES)}, or module:factory of a function",
            )
        return self

    @classmethod
    def from_name(cls, name: str, *, device: str = "cpu") -> FingerprintSpec:
        """Make a spec from what users type: demo, chgnet, a MACE model, or module:factory.

        Raises
        ------
        PotentialError
            For a name that is none of these.
        """
        if is_import_path(name):
            return cls(function=name)
        dtype = "float32"
        return cls(potential=PotentialSpec.from_name(name, dtype=dtype, device=device))

    def identity(self) -> dict[str, Any]:
        """Say what decides the numbers: weights by hash, precision, options."""
        if self.potential is None:
            return {"function": self.function, "options": self.options}
        identity = describe_potential(self.potential).identity
        return {key: identity[key] for key in ("family", "weights", "dtype", "package")}

    @property
    def label(self) -> str:
        """Short name for tables and figures."""
        return str(self.function) if self.potential is None else self.potential.label

    @property
    def notice(self) -> str | None:
        """Set when a stand-in is behind the numbers."""
        if self.potential is None:
            return None
        return describe_potential(self.potential).notice

    def check_elements(self, elements: Collection[str]) -> None:
        """Check that the fingerprint knows elements, before anything is computed.

        Raises
        ------
        UnknownElementError
            Naming those it does not know.
        """
        if self.potential is not None:
            check_elements(elements, describe_potential(self.potential))

    def key(self) -> str:
        """Hash of the identity, by which features are cached."""
        return content_hash(self.identity())


class Fingerprint(Protocol):
    """What gives the features of atoms."""

    def features(self, frames: Sequence[Atoms]) -> list[NDArray[np.float32]]:
        """Features of each frame's atoms, shape (n_atoms, n_features) each.

        An array of shape (n_features,) describes a whole frame.
        """
        ...


def make_fingerprint(spec: FingerprintSpec) -> Fingerprint:
    """Make what a spec names; the model is loaded here.

    Raises
    ------
    PotentialError
        As :func:`~mofonon.potentials.describe_potential`.
    SettingsError
        The import path of a function leads nowhere.
    """
    if spec.potential is None:
        return FunctionFingerprint(spec)
    if spec.potential.family == "chgnet":
        return CHGNetFingerprint(spec.potential)
    return MACEFingerprint(spec.potential)


class MACEFingerprint:
    """Invariant node features of a MACE model, without forces.

    The values are those of ``MACECalculator.get_descriptors(invariants_only=True)``, which
    evaluates forces too and takes three times as long.

    Parameters
    ----------
    spec : PotentialSpec
        The model; ``dtype`` is the precision.
    """

    def __init__(self, spec: PotentialSpec) -> None:
        import torch

        torch.set_num_threads(get_settings().threads)
        self._description = describe_potential(spec)
        self._device, self._dtype = spec.device, getattr(torch, spec.dtype)
        model: Any = load_mace(model_path(spec.model, spec.family), spec.device)
        from e3nn import o3  # e3nn 0.4 reads its constants only after mace is imported
        from mace.tools import utils

        self._model = model.to(dtype=self._dtype).eval()
        for parameter in self._model.parameters():
            parameter.requires_grad = False
        self._table = utils.AtomicNumberTable([int(z) for z in model.atomic_numbers])
        self._n_layers = int(model.num_interactions)
        irreps = o3.Irreps(str(model.products[0].linear.irreps_out))
        self._l_max = irreps.lmax
        self._n_channels = irreps.dim // (irreps.lmax + 1) ** 2

    def features(self, frames: Sequence[Atoms]) -> list[NDArray[np.float32]]:
        """Evaluate frames in one batch.

        Raises
        ------
        UnknownElementError
            The model does not know an element.
        """
        import torch
        from mace.modules.utils import extract_invariant

        for atoms in frames:
            check_elements(set(atoms.get_chemical_symbols()), self._description)
        batch = self._batch(frames)
        with torch.no_grad():
            output = self._model(batch, compute_force=False)["node_feats"]
        invariant = extract_invariant(
            output, self._n_layers, self._n_channels, self._l_max
        ).numpy(force=True)
        ends = np.cumsum([len(atoms) for atoms in frames])[:-1]
        return [np.asarray(part, np.float32) for part in np.split(invariant, ends)]

    def _batch(self, frames: Sequence[Atoms]) -> dict[str, Any]:
        from mace import data
        from mace.tools import torch_geometric, torch_tools

        heads = list(self._description.heads)
        keys = data.KeySpecification(info_keys={}, arrays_keys={})
        with torch_tools.default_dtype(self._dtype):
            graphs = [
                data.AtomicData.from_config(
                    data.config_from_atoms(
                        atoms, key_specification=keys, head_name=str(self._description.head)
                    ),
                    z_table=self._table,
                    cutoff=float(self._model.r_max),
                    heads=heads,
                )
                for atoms in frames
            ]
        batch: Any = torch_geometric.Batch.from_data_list(graphs)
        found: dict[str, Any] = batch.to(self._device).to_dict()
        return found


class CHGNetFingerprint:
    """Atom features of CHGNet (64), as they enter its last layer.

    Parameters
    ----------
    spec : PotentialSpec
        The version; evaluated in float32, as it was trained.
    """

    def __init__(self, spec: PotentialSpec) -> None:
        import torch
        from chgnet.model.model import CHGNet

        torch.set_num_threads(get_settings().threads)
        with contextlib.redirect_stdout(io.StringIO()):  # chgnet announces itself
            self._model = CHGNet.load(
                model_name=spec.model or "0.3.0", use_device=spec.device, verbose=False
            )
        self._model.graph_converter.set_isolated_atom_response("ignore")

    def features(self, frames: Sequence[Atoms]) -> list[NDArray[np.float32]]:
        """Evaluate frames, one after the other."""
        import torch
        from pymatgen.io.ase import AseAtomsAdaptor

        found = []
        for atoms in frames:
            structure = AseAtomsAdaptor.get_structure(atoms)
            with torch.no_grad():
                prediction: Any = self._model.predict_structure(
                    structure, task="e", return_atom_feas=True
                )
            found.append(np.asarray(prediction["atom_fea"], np.float32))
        return found


class FunctionFingerprint:
    """A function of the user's, by import path.

    Parameters
    ----------
    spec : FingerprintSpec
        Path of the factory, and its options.
    """

    def __init__(self, spec: FingerprintSpec) -> None:
        module, _, attribute = str(spec.function).partition(":")
        try:
            target: Any = importlib.import_module(module)
            for part in attribute.split("."):
                target = getattr(target, part)
        except (ImportError, AttributeError) as error:
            raise SettingsError(
                f"the fingerprint {spec.function} cannot be imported: {error}",
                "write it as package.module:factory and check that it is installed",
            ) from error
        self._function = target(**spec.options)
        self._name = str(spec.function)

    def features(self, frames: Sequence[Atoms]) -> list[NDArray[np.float32]]:
        """Call the function for each frame.

        Raises
        ------
        DescriptorError
            It returns something of another shape.
        """
        found = []
        for atoms in frames:
            values = np.asarray(self._function(atoms), np.float32)
            if values.ndim not in (1, 2) or (values.ndim == 2 and len(values) != len(atoms)):
                raise DescriptorError(
                    f"{self._name} gives an array of shape {values.shape} for {len(atoms)} "
                    "atoms",
                    "return (n_atoms, n_features) or (n_features,)",
                )
            found.append(values)
        return found
