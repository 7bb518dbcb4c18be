"""One run, whoever asked for it: from a request and a list of micrographs to results."""
