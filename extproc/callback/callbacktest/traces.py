"""Prints what MLflow's own client sees of an experiment: one JSON object a trace."""
import json
import sys

import mlflow

mlflow.set_tracking_uri(sys.argv[1])
experiment = mlflow.get_experiment_by_name(sys.argv[2])
for trace in mlflow.search_traces(locations=[experiment.experiment_id], return_type="list", order_by=["timestamp_ms ASC"]):
    span = trace.data.spans[0]
    print(json.dumps({
        "experiment": experiment.name,
        "spans": len(trace.data.spans),
        "state": trace.info.state.value,
        "start_ms": trace.info.request_time,
        "duration_ms": trace.info.execution_duration,
        "usage": trace.info.token_usage,
        "tags": trace.info.tags,
        "metadata": trace.info.trace_metadata,
        "request_preview": trace.info.request_preview,
        "response_preview": trace.info.response_preview,
        "name": span.name,
        "type": span.span_type,
        "inputs": span.inputs,
        "outputs": span.outputs,
        "status": span.status.status_code.value,
        "description": span.status.description,
        "attributes": {k: v for k, v in span.attributes.items() if k not in ("mlflow.spanInputs", "mlflow.spanOutputs")},
        "events": [{"name": e.name, "attributes": dict(e.attributes)} for e in span.events],
    }, default=str))
