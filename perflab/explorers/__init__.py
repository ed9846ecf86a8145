"""Interactive views of evidence in JupyterLab: thin widgets over the public functions, one file per explorer."""
