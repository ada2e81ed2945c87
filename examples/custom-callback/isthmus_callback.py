#!/usr/bin/env python3
"""Runs LiteLLM CustomLogger classes, unchanged, as a callback of isthmus.

    success_callback: ["exec:python3 isthmus_callback.py my_callbacks.py"]

isthmus writes one JSON object a line to this program; it calls the methods of
every logger that the file registered (litellm.callbacks = [...]), or of an
instance named as LiteLLM does (my_callbacks.logger_instance). Where litellm is
not installed a small stand-in takes its place.
"""

import asyncio
import collections
import datetime
import importlib
import importlib.util
import inspect
import json
import logging
import os
import sys
import types

log = logging.getLogger("isthmus_callback")

HOOKS = ("pre_api_call", "post_api_call", "stream_event", "success_event", "failure_event")


class CustomLogger:
    """Stands in for litellm.integrations.custom_logger.CustomLogger."""

    def __init__(self, *args, **kwargs):
        pass

    def log_pre_api_call(self, model, messages, kwargs):
        pass

    def log_post_api_call(self, kwargs, response_obj, start_time, end_time):
        pass

    def log_stream_event(self, kwargs, response_obj, start_time, end_time):
        pass

    def log_success_event(self, kwargs, response_obj, start_time, end_time):
        pass

    def log_failure_event(self, kwargs, response_obj, start_time, end_time):
        pass

    async def async_log_stream_event(self, kwargs, response_obj, start_time, end_time):
        pass

    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        pass

    async def async_log_failure_event(self, kwargs, response_obj, start_time, end_time):
        pass


def stand_in():
    """Makes the modules that a custom logger imports."""
    litellm = types.ModuleType("litellm")
    integrations = types.ModuleType("litellm.integrations")
    custom_logger = types.ModuleType("litellm.integrations.custom_logger")
    litellm.__path__ = integrations.__path__ = []
    litellm.integrations, integrations.custom_logger = integrations, custom_logger
    custom_logger.CustomLogger = CustomLogger
    litellm.callbacks, litellm.success_callback, litellm.failure_callback = [], [], []
    for module in (litellm, integrations, custom_logger):
        sys.modules[module.__name__] = module
    return litellm


class Duration(datetime.timedelta):
    """A timedelta that may also be formatted as seconds: f"{duration:.2f}s"."""

    def __format__(self, spec):
        return format(self.total_seconds(), spec) if spec else str(self)

    def __float__(self):
        return self.total_seconds()


class Moment(datetime.datetime):
    """A datetime whose differences are Durations."""

    def __sub__(self, other):
        difference = super().__sub__(other)
        if isinstance(difference, datetime.timedelta):
            return Duration(difference.days, difference.seconds, difference.microseconds)
        return difference


def moment(seconds):
    return Moment.fromtimestamp(seconds if seconds is not None else 0.0)


class Object(dict):
    """A JSON object whose members are attributes too, as of LiteLLM's responses."""

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class UpstreamError(Exception):
    """What kwargs["exception"] holds after a failure."""

    def __init__(self, information, message):
        super().__init__(message)
        self.status_code = int(information.get("error_code") or 0)
        self.llm_provider = information.get("llm_provider") or ""
        self.error_class = information.get("error_class") or ""


class Runner:
    """Turns events into calls of the loggers' methods."""

    def __init__(self, loggers):
        self.loggers = loggers
        self.loop = asyncio.new_event_loop()
        self.open = collections.OrderedDict()  # call id: kwargs, until its last event

    def run(self, lines):
        for line in lines:
            try:
                event = json.loads(line, object_hook=Object)
                if event["hook"] in HOOKS:
                    getattr(self, event["hook"])(event)
            except Exception:
                log.exception("a line could not be used")
        self.loop.close()

    def kwargs(self, event):
        """The kwargs of a call, the same object for all its hooks, as in LiteLLM."""
        kwargs = self.open.setdefault(event["litellm_call_id"], {"litellm_call_id": event["litellm_call_id"], "litellm_params": {"metadata": {}}})
        while len(self.open) > 10_000:
            self.open.popitem(last=False)
        for name in ("model", "model_group", "model_id", "custom_llm_provider", "messages"):
            if event.get(name):
                kwargs[name] = event[name]
        return kwargs

    def pre_api_call(self, event):
        kwargs = self.kwargs(event)
        kwargs["start_time"] = moment(event["time"])
        self.call("log_pre_api_call", kwargs.get("model"), kwargs.get("messages"), kwargs)

    def post_api_call(self, event):
        end = moment(event["time"])
        start = moment(event["time"] - event.get("duration", 0.0))
        kwargs = self.kwargs(event)
        kwargs["status_code"] = event.get("status", 0)
        self.call("log_post_api_call", kwargs, None, start, end)

    def stream_event(self, event):
        kwargs = self.kwargs(event)
        now = moment(event["time"])
        self.both("log_stream_event", kwargs, event.get("chunk"), kwargs.get("start_time", now), now)

    def success_event(self, event):
        self.ended("log_success_event", event)

    def failure_event(self, event):
        self.ended("log_failure_event", event)

    def ended(self, method, event):
        record = event["record"]
        kwargs = self.kwargs(event)
        self.open.pop(event["litellm_call_id"], None)
        start, end = moment(record["startTime"]), moment(record["endTime"])
        kwargs.update(
            model=record["hidden_params"]["litellm_model_name"] or record["model"],
            messages=record["messages"],
            input=record["messages"],
            stream=record["stream"],
            user=record["end_user"],
            call_type=record["call_type"],
            custom_llm_provider=record["custom_llm_provider"],
            optional_params=record["model_parameters"] or {},
            response_cost=record["response_cost"],
            cache_hit=record["cache_hit"],
            start_time=start,
            end_time=end,
            completion_start_time=moment(record["completionStartTime"]),
            standard_logging_object=record,
            litellm_params={"api_base": record["api_base"], "metadata": record["metadata"]["requester_metadata"] or {}, "litellm_call_id": record["litellm_call_id"]},
        )
        if record["error_information"]:
            kwargs["exception"] = UpstreamError(record["error_information"], record["error_str"])
        self.both(method, kwargs, record["response"], start, end)

    def both(self, method, *args):
        self.call(method, *args)
        self.call("async_" + method, *args)

    def call(self, method, *args):
        for logger in self.loggers:
            try:
                result = getattr(logger, method)(*args) if hasattr(logger, method) else None
                if inspect.isawaitable(result):
                    self.loop.run_until_complete(result)
            except Exception:
                log.exception("%s of %s failed", method, type(logger).__name__)


def load(name):
    """Imports a file, a module, or an object of a module; returns what it named."""
    if name.endswith(".py"):
        sys.path.insert(0, os.path.dirname(os.path.abspath(name)))
        stem = os.path.splitext(os.path.basename(name))[0]
        spec = importlib.util.spec_from_file_location(stem, name)
        module = importlib.util.module_from_spec(spec)
        sys.modules[stem] = module
        spec.loader.exec_module(module)
        return None
    sys.path.insert(0, os.getcwd())
    try:
        importlib.import_module(name)
        return None
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        if not module:
            raise
        return getattr(importlib.import_module(module), attribute)


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: isthmus_callback.py FILE.py | MODULE | MODULE.INSTANCE")
    logging.basicConfig(level=os.environ.get("LOG_LEVEL", "INFO").upper(), format="%(levelname)s %(name)s: %(message)s")
    try:
        import litellm
    except ImportError:
        litellm = stand_in()
    named = load(sys.argv[1])
    loggers = [named] if named is not None else [c for c in litellm.callbacks if not isinstance(c, str)]
    if not loggers:
        sys.exit(sys.argv[1] + " registers no logger: set litellm.callbacks")
    Runner([c() if inspect.isclass(c) else c for c in loggers]).run(sys.stdin)


if __name__ == "__main__":
    main()
