"""What all micrographs of a set say together: what its particle looks like, and how far a score can be trusted."""
