"""The platform's steps as Airflow runs them: tasks, retries and alerts. What they do is `citydata`'s."""
