"""The one predictor: a scenario, what is predicted of it, what may be asked and answered, and why."""
