"""The ground floor: draws, ensembles, expectations, fixed points, integration and spectra."""
