"""The one place where calculators are made."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
from typing import TYPE_CHECKING, Any

from mofonon.errors import PotentialError
from mofonon.potentials.allocation import keep_freed_memory
from mofonon.potentials.describe import describe_potential
from mofonon.potentials.mace_files import load_mace, model_path
from mofonon.potentials.xtb import make_xtb
from mofonon.settings import get_settings

if TYPE_CHECKING:
    from ase.calculators.calculator import BaseCalculator

    from mofonon.potentials.describe import PotentialDescription
    from mofonon.potentials.spec import PotentialSpec

logger = logging.getLogger(__name__)


def make_calculator(spec: PotentialSpec) -> BaseCalculator:
    """Make the ASE calculator of a potential.

    Threads of torch are set to ``MOFONON_THREADS``, and on a CPU freed memory is kept
    unless ``MOFONON_KEEP_MEMORY`` is false. A MACE model is cut to the elements of what it
    is given (:class:`~mofonon.potentials.mace_calculator.ElementMACECalculator`). CHGNet and
    SevenNet, which are trained in single precision, have their modules and graphs cast when
    ``dtype`` is float64.

    Parameters
    ----------
    spec : PotentialSpec
        The potential.

    Returns
    -------
    ase.calculators.calculator.BaseCalculator
        Energies in eV, forces in eV/A, stress in eV/A^3 (Voigt, ASE sign).

    Raises
    ------
    PotentialFileError, UnknownHeadError, MissingDependencyError, PotentialError
        As :func:`~mofonon.potentials.describe.describe_potential`, and when the import path
        of an ASE calculator leads nowhere.
    """
    if spec.family == "ase":
        calculator = _import_calculator(spec)
    elif spec.family == "tblite":
        calculator = make_xtb()
    else:
        calculator = _torch_calculator(spec)
    if spec.dispersion == "d3bj":
        from mofonon.potentials.sums import BatchSumCalculator

        return BatchSumCalculator([calculator, d3_calculator()])
    return calculator


def _torch_calculator(spec: PotentialSpec) -> BaseCalculator:
    import torch

    description = describe_potential(spec)
    settings = get_settings()
    torch.set_num_threads(settings.threads)
    if settings.keep_memory and spec.device == "cpu":
        keep_freed_memory()
    # mace, chgnet and sevenn announce themselves on stdout, which belongs to --json
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        calculator = _make(spec, description)
    logger.debug("%s", said.getvalue().strip())
    return calculator


def _make(spec: PotentialSpec, description: PotentialDescription) -> BaseCalculator:
    if spec.family in ("demo", "mace"):
        from mofonon.potentials.mace_calculator import ElementMACECalculator

        return ElementMACECalculator(
            load_mace(model_path(spec.model, spec.family), spec.device),
            head=description.head,
            dtype=spec.dtype,
            device=spec.device,
            enable_cueq=spec.enable_cueq,
            weights=description.sha256,
        )
    if spec.family == "chgnet":
        from mofonon.potentials.chgnet import make_chgnet

        return make_chgnet(spec.model or "0.3.0", spec.dtype, spec.device)
    from mofonon.potentials.sevennet import make_sevennet

    return make_sevennet(spec.model or "7net-0", spec.dtype, spec.device)


def _import_calculator(spec: PotentialSpec) -> BaseCalculator:
    """Call what an import path names, with the options of the spec."""
    module_name, _, attribute = str(spec.model).partition(":")
    try:
        target: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            target = getattr(target, part)
    except (ImportError, AttributeError) as error:
        raise PotentialError(
            f"the calculator {spec.model} cannot be imported: {error}",
            "write it as package.module:ClassOrFunction and check that it is installed",
        ) from error
    return target(**spec.options)


def d3_calculator() -> BaseCalculator:
    """Make the D3(BJ) dispersion correction of PBE, as VASP's IVDW=12 has it.

    No three-body (ATM) term; cutoffs of VASP: 50.2 A for the dispersion and 20 A for the
    coordination numbers.

    References
    ----------
    S. Grimme, S. Ehrlich, L. Goerigk, J. Comput. Chem. 32, 1456 (2011).
    """
    from dftd3.ase import DFTD3

    return DFTD3(
        damping="d3bj",
        params_tweaks={"method": "PBE", "atm": False},
        realspace_cutoff={"disp2": 50.2, "cn": 20.0},
    )
