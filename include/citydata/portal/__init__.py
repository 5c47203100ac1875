"""The governance officer's portal: the share and every row of evidence behind it, in Airflow's UI and as static files."""
