"""Files, hardware, processes and the cluster: nothing here knows of games."""
