"""What people type. `table.py` lists the commands; each is a function of its parsed arguments that returns an exit code."""
