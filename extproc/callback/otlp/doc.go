// Package otlp writes spans as OTLP over HTTP expects them, for the sinks that
// speak it: Langfuse and MLflow. It is the protocol and nothing else, without
// the OpenTelemetry SDK: the spans here are made after the fact, from records.
package otlp
