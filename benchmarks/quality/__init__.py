"""How good the models are that this project makes at a first try, beside AutoML's."""
