"""What stands behind `make`: set up, start, deploy, check, stop."""
