"""When a failed step is tried again: decided by the class of its error, in `citydata.schedule`."""

from typing import Any

from airflow.sdk import RetryPolicy
from airflow.sdk.definitions.retry_policy import RetryDecision

from citydata import schedule


class ByError(RetryPolicy):
    """As often and as late as the error's class says. Asked in the task's process, where the error's module is loaded."""

    def evaluate(self, exception: BaseException, try_number: int, max_tries: int, context: Any = None) -> RetryDecision:
        """Retry or fail. Tries before a person cleared the task do not count, which Airflow adds to `max_tries`."""
        attempt = try_number - (max_tries - schedule.MOST_RETRIES)
        limit, name = schedule.retries(type(exception)), type(exception).__name__
        if attempt > limit:
            return RetryDecision.fail(f"{name} is tried again {limit} times")
        delay = schedule.retry_delay(attempt)
        return RetryDecision.retry(delay, f"{name}: retry {attempt} of {limit} in {delay}")


def defaults() -> dict[str, Any]:
    """How often and how late the tasks of every DAG are tried again, for its `default_args`."""
    return {
        "retries": schedule.MOST_RETRIES,
        "retry_policy": ByError(),
        "retry_delay": schedule.first_delay(),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": schedule.LONGEST_DELAY,
    }
