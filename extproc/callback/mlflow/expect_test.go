package mlflow

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/extproc/callback/callbacktest"
)

// expectations says what of each record MLflow must show.
func expectations(r callbacktest.Records) []want {
	inputs := jsontext.Value(`{"messages":[{"role":"system","content":"Sê breve."},{"role":"user","content":"Olá"}],"temperature":0.5,` +
		`"max_tokens":64,"user":"ana"}`)
	tags := map[string]string{"team": "search", "beta": "true", "model_group": "my-model"}
	usage := map[string]int{"input_tokens": 100, "output_tokens": 20, "total_tokens": 120, "cache_read_input_tokens": 40}
	good := callbacktest.Trace{
		State: "OK", Status: "OK", Name: "litellm-acompletion", Type: "CHAT_MODEL", Usage: usage, Inputs: inputs,
		RequestPreview: "Olá", ResponsePreview: "Oi!", Outputs: r.Success.Response,
	}
	with := func(change func(*callbacktest.Trace)) callbacktest.Trace {
		s := good
		change(&s)
		return s
	}
	type event = callbacktest.TraceEvent
	firstToken := []event{{Name: "first_token", Attributes: map[string]string{}}}
	return []want{
		{r.Success, good, tags},
		{r.Failure, with(func(s *callbacktest.Trace) {
			s.State, s.Status, s.Description, s.Usage = "ERROR", "ERROR", "Rate limit reached", nil
			s.Outputs, s.ResponsePreview = jsontext.Value(`{}`), "{}"
			s.Events = []event{{Name: "exception", Attributes: map[string]string{
				"exception.message": "Rate limit reached", "exception.type": "RateLimitError", "error_code": "429",
			}}}
		}), tags},
		{r.Stream, with(func(s *callbacktest.Trace) {
			s.Inputs = jsontext.Value(`{"messages":[{"role":"system","content":"Sê breve."},{"role":"user","content":"Olá"}],"temperature":0.5,` +
				`"stream":true,"tools":[{"type":"function","function":{"name":"f"}}]}`)
			s.Outputs, s.Events = r.Stream.Response, firstToken
		}), tags},
		{r.Aborted, with(func(s *callbacktest.Trace) {
			s.Usage = map[string]int{"input_tokens": 100, "output_tokens": 3, "total_tokens": 103}
			s.Outputs, s.ResponsePreview, s.Events = r.Aborted.Response, "Era uma", firstToken
		}), tags},
		{r.CacheHit, with(func(s *callbacktest.Trace) {
			s.Usage = map[string]int{"input_tokens": 100, "output_tokens": 20, "total_tokens": 120}
			s.Outputs = r.CacheHit.Response
		}), tags},
		{r.Cascade, with(func(s *callbacktest.Trace) { s.Outputs = r.Cascade.Response }), map[string]string{"model_group": "backup"}},
		{r.Embedding, with(func(s *callbacktest.Trace) {
			s.Name, s.Type = "litellm-aembedding", "EMBEDDING"
			s.Inputs = jsontext.Value(`{"input":["um","dois"],"encoding_format":"float"}`)
			s.Outputs = r.Embedding.Response
			s.RequestPreview, s.ResponsePreview = `{"input":["um","dois"],"encoding_format":"float"}`,
				`{"object":"list","data":[{"embedding":[0.1,0.2]}]}`
		}), map[string]string{"model_group": "my-model"}},
	}
}
