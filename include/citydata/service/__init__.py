"""Running the platform on one machine: PostgreSQL, Airflow, their processes, state and secrets."""
