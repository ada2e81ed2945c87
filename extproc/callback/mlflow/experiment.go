package mlflow

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/isthmus-proxy/isthmus/extproc/callback"
)

// memory is how long an experiment is assumed to exist. MLflow accepts
// traces of a deleted one without an error, and does not show them.
const memory = time.Minute

// experimentID returns the id of the experiment, from memory for a minute. Only
// the queue's goroutine calls it.
func (s *Sink) experimentID(ctx context.Context) (string, error) {
	now := s.now()
	if s.experiment != "" && now.Sub(s.asked) < memory {
		return s.experiment, nil
	}
	id, err := s.lookUp(ctx)
	if isStatus(err, 404) {
		id, err = s.create(ctx)
		if isStatus(err, 400) { // another replica was faster
			id, err = s.lookUp(ctx)
		}
	}
	if err != nil {
		return "", fmt.Errorf("find experiment %q: %w", s.config.ExperimentName, err)
	}
	s.experiment, s.asked = id, now
	return id, nil
}

func (s *Sink) lookUp(ctx context.Context) (string, error) {
	body, err := s.poster.Do(ctx, callback.Post{
		Method: "GET", Header: s.headers,
		URL: s.config.TrackingURI + "/api/2.0/mlflow/experiments/get-by-name?experiment_name=" + url.QueryEscape(s.config.ExperimentName),
	})
	if err != nil {
		return "", err
	}
	var answer struct {
		Experiment struct {
			ID    string `json:"experiment_id"`
			Stage string `json:"lifecycle_stage"`
		} `json:"experiment"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", fmt.Errorf("read the answer of %s: %w", callback.Origin(s.config.TrackingURI), err)
	}
	if answer.Experiment.Stage == "deleted" {
		return answer.Experiment.ID, s.restore(ctx, answer.Experiment.ID)
	}
	return answer.Experiment.ID, nil
}

func (s *Sink) create(ctx context.Context) (string, error) {
	var answer struct {
		ID string `json:"experiment_id"`
	}
	err := s.poster.PostJSON(ctx, callback.Post{URL: s.config.TrackingURI + "/api/2.0/mlflow/experiments/create", Header: s.headers}, struct {
		Name string `json:"name"`
	}{s.config.ExperimentName}, &answer)
	return answer.ID, err
}

// restore brings back an experiment that was deleted: its name stays taken.
func (s *Sink) restore(ctx context.Context, id string) error {
	return s.poster.PostJSON(ctx, callback.Post{URL: s.config.TrackingURI + "/api/2.0/mlflow/experiments/restore", Header: s.headers}, struct {
		ID string `json:"experiment_id"`
	}{id}, nil)
}

func isStatus(err error, status int) bool {
	var s *callback.StatusError
	return errors.As(err, &s) && s.Status == status
}
