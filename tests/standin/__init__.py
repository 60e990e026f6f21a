"""A stand-in for VASP: files that every parser accepts, labels from a pretrained potential.

It is not VASP and solves no electronic structure. It names itself in vasprun.xml and OUTCAR,
and every document that comes of it carries a notice.
"""
