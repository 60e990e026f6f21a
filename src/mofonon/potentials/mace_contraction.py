"""The symmetric contraction of MACE with its weights multiplied in beforehand.

mace multiplies the coupling coefficients U with the weights of the element of each atom,
in each evaluation and for each atom: of the medium architecture that is the larger part of
the work. The product depends on the element and the channel only, so with the few elements
of one structure it is made once, and atoms are contracted element by element.

References
----------
I. Batatia et al., NeurIPS 35, 11423 (2022), eq. 10-11 (MACE).
"""

from __future__ import annotations

from typing import Any

import torch


class ElementContraction(torch.nn.Module):
    """``mace.modules.symmetric_contraction.Contraction`` with tables of U times weights.

    Parameters
    ----------
    contraction : mace.modules.symmetric_contraction.Contraction
        Cut to the elements present; its weights do not change any more.

    Notes
    -----
    The table of order n has shape (elements, channels, components x (2l+1 ...)^(n-1), i):
    the last index runs over the features of an atom. Contracting order by order (Horner's
    scheme) is mace's own.
    """

    def __init__(self, contraction: Any) -> None:
        super().__init__()
        self.correlation = int(contraction.correlation)
        weights = [contraction.weights_max, *contraction.weights]
        for order, weight in zip(range(self.correlation, 0, -1), weights, strict=True):
            coupling = contraction.U_tensors(order)  # (..., i, paths)
            table = torch.einsum("...k,ekc->ec...", coupling, weight.detach())
            n_elements, n_channels, n_features = *table.shape[:2], table.shape[-1]
            self.register_buffer(
                f"table_{order}", table.reshape(n_elements, n_channels, -1, n_features)
            )

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Contract features x (atoms, channels, i) of atoms of elements y (one-hot)."""
        element = y.argmax(dim=1)
        rows, parts = [], []
        for index in range(y.shape[1]):
            of_element = torch.nonzero(element == index)[:, 0]
            if len(of_element):
                rows.append(of_element)
                parts.append(self._contract(x[of_element].transpose(0, 1), index))
        back = torch.argsort(torch.cat(rows))
        return torch.cat(parts)[back]

    def _contract(self, features: torch.Tensor, element: int) -> torch.Tensor:
        """Contract features (channels, atoms, i) of one element to (atoms, ...)."""
        n_channels, n_atoms, n_features = features.shape
        highest = getattr(self, f"table_{self.correlation}")[element]
        out = features @ highest.transpose(-1, -2)
        for order in range(self.correlation - 1, 0, -1):
            lower = getattr(self, f"table_{order}")[element].reshape(n_channels, 1, -1)
            out = (out + lower).reshape(n_channels, n_atoms, -1, n_features)
            out = (out @ features[..., None])[..., 0]
        return out.transpose(0, 1).reshape(n_atoms, -1)
