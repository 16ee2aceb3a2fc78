"""What single steps of the search need: spaces and a study to tune, a second step to stack."""
