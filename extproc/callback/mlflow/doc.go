// Package mlflow sends records to an MLflow tracking server as traces: one LLM
// span for each request, with inputs, outputs, token usage, cost and errors as
// MLflow's UI shows them.
//
// Traces go to the server's OTLP endpoint (/v1/traces, MLflow 3.6 or newer with
// an SQL store). The experiment is looked up by its name, and made, when the
// first batch is delivered; looked after each minute: one that was
// deleted is brought back.
package mlflow
