"""Evidence turned over by hand in JupyterLab: thin widgets over the public functions, one file for each explorer."""
