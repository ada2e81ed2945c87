"""A CustomLogger with the asynchronous hooks, and one with a bug."""
import litellm
from litellm.integrations.custom_logger import CustomLogger


class Async(CustomLogger):
    async def async_log_stream_event(self, kwargs, response_obj, start_time, end_time):
        print("stream", response_obj.choices[0].delta.content, flush=True)

    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        record = kwargs["standard_logging_object"]
        first = kwargs["completion_start_time"] - start_time
        took = end_time - start_time
        print(
            "success", kwargs["litellm_call_id"], kwargs["model"], "cost", kwargs["response_cost"], "tokens", record["total_tokens"],
            "tenant", kwargs["litellm_params"]["metadata"]["tenant"], "text", response_obj["choices"][0]["message"]["content"],
            "first", f"{first:.2f}", "took", took, "total", took.total_seconds(), flush=True,
        )

    async def async_log_failure_event(self, kwargs, response_obj, start_time, end_time):
        error = kwargs["exception"]
        print("failure", kwargs["litellm_call_id"], error.error_class, error.status_code, error, flush=True)


class Broken(CustomLogger):
    def log_success_event(self, kwargs, response_obj, start_time, end_time):
        raise ValueError("a bug of the user")


litellm.callbacks = [Async(), Broken()]
