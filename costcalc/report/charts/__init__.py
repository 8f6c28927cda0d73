"""Charts as files and in the terminal; matplotlib and plotille are imported here alone, when a chart is asked for."""
